"""A user needs weights, and the network, the server, the disk or another process is in the way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from limn import zoo
from limn.errors import DownloadError, ModelError
from limn.zoo import download, store


def checkpoint(seed: int, size: int = 300_000) -> bytes:
    """Return a small zip archive, as torch's checkpoints are."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", bytes([seed]) * size)
    return made.getvalue()


GOOD, OTHER = checkpoint(1), checkpoint(2)
NAME = f"rtmpose-t_test-{hashlib.sha256(GOOD).hexdigest()[:8]}_20230504.pth"
PLAIN = "model_without_hash.pth"


@dataclass
class Server:
    """A web server in this process whose answer to each path a test chooses."""

    url: str = ""
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # (path, Range header)

    def give(self, path: str, answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        self.answers[f"/{path}"] = answer
        return f"{self.url}/{path}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@pytest.fixture
def server() -> Iterator[Server]:
    site = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers.get("Range", "")))
            self.close_connection = True
            with suppress(ConnectionError):  # some tests want the client to give up
                site.answers.get(self.path, refuse(404))(self)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http://127.0.0.1:{httpd.server_port}"
    yield site
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def file(content: bytes, *, ranges: bool = True) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with a file, from where the client asks for it."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and ranges else 0
        request.send_response(416 if start >= len(content) else 206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(content[start:])))
        request.end_headers()
        request.wfile.write(content[start:])

    return answer


def refuse(code: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def cut_off(content: bytes, after: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """Promise a file, send its beginning, and hang up."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:after])

    return answer


def stalled(content: bytes, release: threading.Event, *, pause: float = 30) -> Callable[[BaseHTTPRequestHandler], None]:
    """Send half of a file, then one byte now and then."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        half = len(content) // 2
        request.wfile.write(content[:half])
        while not release.wait(pause):
            request.wfile.write(content[half : half + 1])
            half += 1

    return answer


def one_after_another(*answers: Callable[[BaseHTTPRequestHandler], None]) -> Callable[[BaseHTTPRequestHandler], None]:
    left = list(answers)

    def answer(request: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give limn a cache of its own, and no way to the internet."""
    monkeypatch.setenv("LIMN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    for name in ("LIMN_OFFLINE", "LIMN_MIRRORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))
    return tmp_path / "home"


@pytest.fixture
def official(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the server stand for OpenMMLab's host and one built-in mirror of it."""
    monkeypatch.setattr(download, "OPENMMLAB", f"{server.url}/official/")
    monkeypatch.setattr(download, "MIRRORS", (f"{server.url}/builtin/",))
    return f"{server.url}/official/"


def weights_in(home: Path) -> list[str]:
    """Name every file in the cache that could be taken for weights."""
    return sorted(p.name for p in (home / "weights").rglob("*") if p.is_file() and p.suffix != ".part")


def run(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    source = Path(__file__).resolve().parents[1] / "src"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(source), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


FETCH = "import sys; from limn import zoo; print(zoo.ensure(sys.argv[1]))"
FETCH_OR_SAY = """
import sys
from limn import errors, zoo
try:
    print(zoo.ensure(sys.argv[1]))
except errors.DownloadError as error:
    print('DownloadError', error)
"""


# -- a good server


def test_a_good_file_is_fetched_once_and_kept(server: Server, home: Path) -> None:
    url = server.give(NAME, file(GOOD))
    seen: list[tuple[str, int, int | None]] = []
    found = zoo.ensure(url, progress=lambda *now: seen.append(now))
    assert found == home / "weights" / NAME
    assert found.read_bytes() == GOOD
    assert not found.with_name(f"{NAME}.part").exists()
    assert seen[0] == (NAME, 0, len(GOOD))
    assert seen[-1] == (NAME, len(GOOD), len(GOOD))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert zoo.ensure(url) == found
    assert server.paths() == [f"/{NAME}"]


def test_a_file_whose_name_has_no_hash_is_held_to_what_it_was_at_first(server: Server, home: Path) -> None:
    url = server.give(PLAIN, file(GOOD))
    found = zoo.ensure(url)
    found.unlink()
    server.give(PLAIN, file(OTHER))
    with pytest.raises(DownloadError, match="when it was first fetched") as caught:
        zoo.ensure(url)
    assert weights_in(home) == []
    record = home / "hashes.json"
    assert str(record) in str(caught.value)
    hashes = json.loads(record.read_text())
    del hashes["hashes"][f"{found.parent.name}/{PLAIN}"]  # what the message advises
    record.write_text(json.dumps(hashes))
    assert zoo.ensure(url).read_bytes() == OTHER


def test_two_addresses_that_end_alike_are_two_files(server: Server) -> None:
    first = zoo.ensure(server.give(f"one/{PLAIN}", file(GOOD)))
    second = zoo.ensure(server.give(f"two/{PLAIN}", file(OTHER)))
    assert first.read_bytes() == GOOD
    assert second.read_bytes() == OTHER


@pytest.mark.parametrize("broken", [refuse(503), refuse(429), cut_off(GOOD, 0), cut_off(GOOD, 1000)])
def test_a_server_that_recovers_is_asked_again(
    server: Server, broken: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    url = server.give(NAME, one_after_another(broken, broken, file(GOOD)))
    assert zoo.ensure(url).read_bytes() == GOOD
    assert len(server.asked) == 3


# -- resuming


def test_a_broken_download_goes_on_where_it_stopped(server: Server) -> None:
    url = server.give(NAME, one_after_another(cut_off(GOOD, 100_000), file(GOOD)))
    assert zoo.ensure(url).read_bytes() == GOOD
    assert [asked for _, asked in server.asked] == ["", "bytes=100000-"]


def test_a_killed_process_leaves_a_part_that_the_next_one_completes(server: Server, home: Path) -> None:
    release = threading.Event()
    url = server.give(NAME, stalled(GOOD, release))
    process = run(FETCH, url)
    part = home / "weights" / f"{NAME}.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == len(GOOD) // 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    release.set()
    assert weights_in(home) == []
    server.give(NAME, file(GOOD))
    assert zoo.ensure(url).read_bytes() == GOOD
    assert server.asked[-1][1] == f"bytes={len(GOOD) // 2}-"


def test_a_part_that_is_no_part_of_the_file_is_thrown_away(server: Server, home: Path) -> None:
    part = home / "weights" / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 5000)
    assert zoo.ensure(server.give(NAME, file(GOOD))).read_bytes() == GOOD
    assert [asked for _, asked in server.asked] == ["bytes=5000-", ""]


def test_a_part_that_lacks_nothing_is_taken(server: Server, home: Path) -> None:
    part = home / "weights" / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(GOOD)
    assert zoo.ensure(server.give(NAME, file(GOOD))).read_bytes() == GOOD


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, home: Path) -> None:
    part = home / "weights" / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(GOOD + b"more")
    assert zoo.ensure(server.give(NAME, file(GOOD))).read_bytes() == GOOD


def test_a_server_that_cannot_resume_sends_the_whole_file(server: Server, home: Path) -> None:
    part = home / "weights" / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(GOOD[:1000])
    assert zoo.ensure(server.give(NAME, file(GOOD, ranges=False))).read_bytes() == GOOD


# -- a bad server


def test_a_file_with_the_wrong_hash_never_gets_into_the_cache(server: Server, home: Path) -> None:
    url = server.give(NAME, file(OTHER))
    with pytest.raises(DownloadError) as caught:
        zoo.ensure(url)
    said = str(caught.value)
    assert f"its SHA-256 begins with {hashlib.sha256(OTHER).hexdigest()[:8]}" in said
    assert weights_in(home) == []
    assert not list((home / "weights").glob("*.part"))


def test_a_file_that_is_always_cut_off_is_an_error(server: Server, home: Path) -> None:
    url = server.give(NAME, cut_off(GOOD, 1000))
    with pytest.raises(DownloadError, match="it ended after 1,000 of") as caught:
        zoo.ensure(url)
    assert "(3 tries)" in str(caught.value)
    assert weights_in(home) == []


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><p>Log in to the hotel's network", b"", GOOD[:-40], b"text"])
def test_what_cannot_be_weights_is_refused_even_without_a_hash(server: Server, home: Path, content: bytes) -> None:
    url = server.give(PLAIN, cut_off(content, len(content)))
    with pytest.raises(DownloadError, match=r"web page|empty|cut off|not a torch checkpoint"):
        zoo.ensure(url)
    assert weights_in(home) == []


def test_an_end_that_nothing_confirms_is_not_trusted(server: Server, home: Path) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"\x80\x02 a legacy checkpoint, cut off somewhere")

    with pytest.raises(DownloadError, match="it may be cut off"):
        zoo.ensure(server.give(PLAIN, endless))
    assert weights_in(home) == []


def test_a_file_that_is_not_there_is_asked_for_once(server: Server) -> None:
    with pytest.raises(DownloadError, match="404"):
        zoo.ensure(f"{server.url}/{NAME}")
    assert len(server.asked) == 1


def test_a_server_that_falls_silent_is_given_up(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SILENCE", 0.3)
    release = threading.Event()
    url = server.give(NAME, stalled(GOOD, release))
    try:
        with pytest.raises(DownloadError, match=r"nothing came for 0\.3 seconds"):
            zoo.ensure(url)
    finally:
        release.set()
    assert len(server.asked) == 2
    assert weights_in(home) == []


def test_a_server_that_only_trickles_is_given_up(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SILENCE", 0.3)
    monkeypatch.setattr(download, "TRICKLE", 1e6)
    release = threading.Event()
    url = server.give(NAME, stalled(GOOD, release, pause=0.05))
    try:
        with pytest.raises(DownloadError, match="bytes came in a second"):
            zoo.ensure(url)
    finally:
        release.set()
    assert weights_in(home) == []


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DownloadError, match="no connection"):
        zoo.ensure(f"http://127.0.0.1:9/{NAME}")  # the discard port: nothing listens there


@pytest.mark.parametrize(
    "address", ["https://example.org/", "https://example.org/..", "https://example.org/a%5Cb.pth", "ftp://a.org/b.pth"]
)
def test_an_address_that_names_no_file_is_an_error(address: str) -> None:
    with pytest.raises(DownloadError, match=r"name of a file|http"):
        zoo.ensure(address)


def test_the_error_says_what_was_tried_and_what_helps(official: str, server: Server, home: Path) -> None:
    server.give(f"builtin/mmpose/{NAME}", file(OTHER))
    with pytest.raises(DownloadError) as caught:
        zoo.ensure(f"{official}mmpose/{NAME}")
    said = str(caught.value)
    assert f"{server.url}/official/mmpose/{NAME}: the server says 404" in said
    assert f"{server.url}/builtin/mmpose/{NAME}: its SHA-256" in said
    assert str(home / "weights" / NAME) in said
    assert "LIMN_MIRRORS" in said
    assert "face-lite" in said


def test_a_password_in_an_address_is_not_printed(server: Server) -> None:
    with pytest.raises(DownloadError) as caught:
        zoo.ensure(f"http://me:secret@127.0.0.1:9/{NAME}?token=secret")
    assert "secret" not in str(caught.value)


# -- mirrors


def test_mirrors_are_asked_in_order_until_one_has_the_file(
    official: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMN_MIRRORS", f"{server.url}/first, {server.url}/second/,")
    server.give(f"second/mmpose/{NAME}", file(OTHER))
    server.give(f"builtin/mmpose/{NAME}", file(GOOD))
    assert zoo.ensure(f"{official}mmpose/{NAME}").read_bytes() == GOOD
    assert server.paths() == [f"/{place}/mmpose/{NAME}" for place in ("first", "second", "official", "builtin")]


def test_a_mirror_serves_openmmlabs_real_addresses(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMN_MIRRORS", f"{server.url}/mirror")
    server.give(f"mirror/mmpose/v1/{NAME}", file(GOOD))
    assert zoo.ensure(f"https://download.openmmlab.com/mmpose/v1/{NAME}").read_bytes() == GOOD


def test_a_file_that_one_mirror_began_another_one_completes(official: str, server: Server) -> None:
    server.give(f"official/{NAME}", cut_off(GOOD, 2000))
    server.give(f"builtin/{NAME}", file(GOOD))
    assert zoo.ensure(f"{official}{NAME}").read_bytes() == GOOD
    assert server.asked == [(f"/official/{NAME}", ""), (f"/builtin/{NAME}", "bytes=2000-")]


def test_mirrors_are_for_openmmlabs_files_only(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMN_MIRRORS", f"{server.url}/mirror")
    zoo.ensure(server.give(NAME, file(GOOD)))
    assert server.paths() == [f"/{NAME}"]


# -- what is already here


def test_a_file_put_there_by_hand_is_used(server: Server, home: Path) -> None:
    (home / "weights").mkdir(parents=True)
    (home / "weights" / NAME).write_bytes(GOOD)
    assert zoo.ensure(f"{server.url}/{NAME}").read_bytes() == GOOD
    assert server.asked == []


def test_torch_hubs_copy_is_used_where_it_lies(server: Server, tmp_path: Path, home: Path) -> None:
    copy = tmp_path / "torch" / "hub" / "checkpoints" / NAME
    copy.parent.mkdir(parents=True)
    copy.write_bytes(GOOD)
    assert zoo.ensure(f"{server.url}/{NAME}") == copy
    assert server.asked == []
    assert not (home / "weights" / NAME).exists()


def test_a_damaged_copy_of_torch_hub_is_passed_over(server: Server, tmp_path: Path, home: Path) -> None:
    copy = tmp_path / "torch" / "hub" / "checkpoints" / NAME
    copy.parent.mkdir(parents=True)
    copy.write_bytes(OTHER)
    assert zoo.ensure(server.give(NAME, file(GOOD))) == home / "weights" / NAME
    assert copy.read_bytes() == OTHER


def test_a_file_that_was_damaged_later_is_fetched_again(server: Server) -> None:
    url = server.give(NAME, file(GOOD))
    found = zoo.ensure(url)
    found.write_bytes(GOOD[:-1] + b"!")
    assert zoo.ensure(url).read_bytes() == GOOD
    assert len(server.asked) == 2


def test_an_unchanged_file_is_not_read_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.give(NAME, file(GOOD))
    zoo.ensure(url)
    monkeypatch.setattr(store, "_digest", lambda file: pytest.fail(f"{file} was read"))
    zoo.ensure(url)


def test_a_damaged_record_is_an_error_and_not_a_free_pass(server: Server, home: Path) -> None:
    home.mkdir()
    (home / "hashes.json").write_text("{")
    with pytest.raises(DownloadError, match=r"hashes\.json"):
        zoo.ensure(server.give(PLAIN, file(GOOD)))


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_offline_touches_no_network(
    official: str, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "variable":
        monkeypatch.setenv("LIMN_OFFLINE", "1")
    server.give(f"official/{NAME}", file(GOOD))
    with pytest.raises(DownloadError, match="offline") as caught:
        zoo.ensure(f"{official}{NAME}", offline=how == "argument")
    assert str(home / "weights" / NAME) in str(caught.value)
    assert server.asked == []
    (home / "weights").mkdir(parents=True, exist_ok=True)
    (home / "weights" / NAME).write_bytes(GOOD)
    assert zoo.ensure(f"{official}{NAME}", offline=how == "argument").read_bytes() == GOOD


def test_a_local_file_is_taken_as_it_is_and_a_missing_one_named(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"whatever")
    assert zoo.ensure(str(mine)) == mine
    with pytest.raises(ModelError, match=r"other\.pth"):
        zoo.ensure(str(tmp_path / "other.pth"))


# -- two processes, and a full disk


def test_two_processes_fetch_one_file_once(server: Server, home: Path) -> None:
    def slowly(request: BaseHTTPRequestHandler) -> None:
        time.sleep(1.5)  # long enough for the other process to come
        file(GOOD)(request)

    url = server.give(NAME, slowly)
    both = [run(FETCH, url) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].strip() for process in both]
    assert said == [str(home / "weights" / NAME)] * 2
    assert (home / "weights" / NAME).read_bytes() == GOOD
    assert server.paths() == [f"/{NAME}"]


def test_a_disk_that_is_too_small_is_seen_before_the_download(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(home.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DownloadError, match=r"the disk is full at .* 0\.0 MB are free .*LIMN_HOME"):
        zoo.ensure(server.give(NAME, file(GOOD)))
    assert weights_in(home) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the file size are POSIX")
def test_a_disk_that_fills_up_leaves_nothing_behind(server: Server, home: Path) -> None:
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n" + FETCH_OR_SAY
    )
    process = run(limited, server.give(NAME, file(GOOD)))
    said = process.communicate(timeout=60)[0]
    assert said.startswith("DownloadError"), said
    assert "the disk is full" in said
    assert "LIMN_HOME" in said
    assert not [p for p in (home / "weights").rglob("*") if p.is_file()]


def test_a_cache_folder_that_cannot_be_made_is_an_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not-a-folder").write_text("")
    monkeypatch.setenv("LIMN_HOME", str(tmp_path / "not-a-folder"))
    with pytest.raises(DownloadError, match="LIMN_HOME"):
        zoo.ensure(server.give(NAME, file(GOOD)))


# -- names


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("rtmpose-m_simcc-face6_pt-in1k_120e-256x256-72a37400_20230529.pth", "72a37400"),
        ("rtmpose-m_simcc-hand5_pt-aic-coco_210e-256x256-74fb594_20230320.pth", "74fb594"),
        ("yolo-x_8xb8-300e_coco-face_13274d7c.pth", "13274d7c"),
        ("rtmdet_m_8xb32-300e_coco_20220719_112220-229f527c.pth", "229f527c"),
        ("rtmpose-m_simcc-coco-wholebody-hand_pt-aic-coco_210e-256x256-99477206_20230228.pth", "99477206"),
        ("dekr_hrnet-w32_8xb10-140e_coco-512x512_ac7c17bf-20221228.pth", "ac7c17bf"),
        ("rtmw-dw-l-m_simcc-cocktail14_270e-256x192-20231122.pth", ""),  # a date
        ("iter_1600000.pth", ""),  # a number of steps
        ("td-hm_hrnet-w32_8xb64-210e_exlpose-ll-256x192.pth", ""),
    ],
)
def test_the_hash_in_a_files_name_is_found(name: str, prefix: str) -> None:
    assert store.sha256_prefix(name) == prefix


def test_the_platforms_cache_folder_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIMN_HOME")
    assert store.home().is_absolute()
    assert "limn" in store.home().parts

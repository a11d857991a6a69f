"""A user needs weights, and the network, the server, the disk or another process is in the way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
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

from limner import zoo
from limner.errors import DownloadError, ModelError
from limner.zoo import download, mirrors, store, web


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

    def weights(self) -> list[str]:
        """Return what was asked for, without the lists of hashes."""
        return [path for path in self.paths() if not path.endswith("/SHA256SUMS")]


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
    """Give limner a cache of its own, and no way to the internet."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    for name in ("LIMNER_OFFLINE", "LIMNER_MIRRORS"):
        monkeypatch.delenv(name, raising=False)
    for module in (download, mirrors):
        monkeypatch.setattr(module, "RETRY_DELAYS", (0.0, 0.0))
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


FETCH = "import sys; from limner import zoo; print(zoo.ensure(sys.argv[1]))"
FETCH_OR_SAY = """
import sys
from limner import errors, zoo
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
    with pytest.raises(DownloadError, match="when it was first downloaded") as caught:
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
    monkeypatch.setattr(web, "TIMEOUT", 0.3)
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
    monkeypatch.setattr(web, "TIMEOUT", 0.3)
    monkeypatch.setattr(download, "MIN_BYTES_PER_SECOND", 1e6)
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
    assert "LIMNER_MIRRORS" in said
    assert "face-lite" in said


def test_a_password_in_an_address_is_not_printed(server: Server) -> None:
    with pytest.raises(DownloadError) as caught:
        zoo.ensure(f"http://me:secret@127.0.0.1:9/{NAME}?token=secret")
    assert "secret" not in str(caught.value)


# -- mirrors


def test_mirrors_are_asked_in_order_until_one_has_the_file(
    official: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_MIRRORS", f"{server.url}/first, {server.url}/second/,")
    server.give(f"second/mmpose/{NAME}", file(OTHER))
    server.give(f"builtin/mmpose/{NAME}", file(GOOD))
    assert zoo.ensure(f"{official}mmpose/{NAME}").read_bytes() == GOOD
    assert server.weights() == [f"/{place}/mmpose/{NAME}" for place in ("first", "second", "official", "builtin")]


def test_a_mirror_serves_openmmlabs_real_addresses(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_MIRRORS", f"{server.url}/mirror")
    server.give(f"mirror/mmpose/v1/{NAME}", file(GOOD))
    assert zoo.ensure(f"https://download.openmmlab.com/mmpose/v1/{NAME}").read_bytes() == GOOD


def test_a_file_that_one_mirror_began_another_one_completes(official: str, server: Server) -> None:
    server.give(f"official/{NAME}", cut_off(GOOD, 2000))
    server.give(f"builtin/{NAME}", file(GOOD))
    assert zoo.ensure(f"{official}{NAME}").read_bytes() == GOOD
    assert server.asked == [(f"/official/{NAME}", ""), (f"/builtin/{NAME}", "bytes=2000-")]


def test_mirrors_are_for_openmmlabs_files_only(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_MIRRORS", f"{server.url}/mirror")
    zoo.ensure(server.give(NAME, file(GOOD)))
    assert server.paths() == [f"/{NAME}"]


# -- weights of one's own, on a mirror that lists their hashes


OWN = checkpoint(3)
OWN_PATH = f"mmpose/v1/{NAME}"


def sums(**files: bytes) -> bytes:
    """Return a list as sha256sum writes it."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in files.items()).encode()


@pytest.fixture
def lab(official: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name a mirror that holds another file under a published name; the published one is at its own address too."""
    server.give(f"lab/{OWN_PATH}", file(OWN))
    server.give("lab/SHA256SUMS", file(sums(**{OWN_PATH: OWN})))
    server.give(f"official/{OWN_PATH}", file(GOOD))
    monkeypatch.setenv("LIMNER_MIRRORS", f"{server.url}/lab")
    return f"{official}{OWN_PATH}"


def test_a_mirror_that_lists_a_hash_may_hold_another_file(lab: str, server: Server, home: Path) -> None:
    found = zoo.ensure(lab)
    assert found.read_bytes() == OWN
    assert found != home / "weights" / NAME
    assert server.paths() == ["/lab/SHA256SUMS", f"/lab/{OWN_PATH}"]


def test_it_needs_no_network_afterwards(lab: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    found = zoo.ensure(lab)
    server.asked.clear()
    assert zoo.ensure(lab) == found
    assert zoo.ensure(lab, offline=True) == found
    monkeypatch.setattr(store, "_digest", lambda file: pytest.fail(f"{file} was read again"))
    assert zoo.ensure(lab) == found
    assert server.asked == []


def test_it_never_passes_for_the_published_file(lab: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = zoo.ensure(lab)
    monkeypatch.delenv("LIMNER_MIRRORS")
    with pytest.raises(DownloadError, match="offline"):
        zoo.ensure(lab, offline=True)
    published = zoo.ensure(lab)
    assert published == home / "weights" / NAME
    assert published.read_bytes() == GOOD
    assert own.read_bytes() == OWN


def test_the_mirror_counts_even_where_the_published_file_is_here(lab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = os.environ["LIMNER_MIRRORS"]
    monkeypatch.delenv("LIMNER_MIRRORS")
    assert zoo.ensure(lab).read_bytes() == GOOD
    monkeypatch.setenv("LIMNER_MIRRORS", mirror)
    assert zoo.ensure(lab).read_bytes() == OWN
    assert zoo.ensure(lab, offline=True).read_bytes() == OWN


def test_two_mirrors_are_told_apart(lab: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    first = zoo.ensure(lab)
    server.give(f"other/{OWN_PATH}", file(OTHER))
    server.give("other/SHA256SUMS", file(sums(**{OWN_PATH: OTHER})))
    monkeypatch.setenv("LIMNER_MIRRORS", f"{server.url}/other")
    assert zoo.ensure(lab).read_bytes() == OTHER
    assert first.read_bytes() == OWN
    monkeypatch.setenv("LIMNER_MIRRORS", f"{server.url}/empty,{server.url}/lab,{server.url}/other")
    assert zoo.ensure(lab) == first


def test_a_listed_file_that_is_the_published_one_is_kept_as_such(
    lab: str, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.give(f"lab/{OWN_PATH}", file(GOOD))
    server.give("lab/SHA256SUMS", file(sums(**{f"./{OWN_PATH}": GOOD})))
    assert zoo.ensure(lab) == home / "weights" / NAME
    monkeypatch.delenv("LIMNER_MIRRORS")
    assert zoo.ensure(lab, offline=True).read_bytes() == GOOD


def test_a_mirror_that_lists_other_files_works_as_one_without_a_list(lab: str, server: Server, home: Path) -> None:
    server.give("lab/SHA256SUMS", file(sums(other=OWN)))
    assert zoo.ensure(lab) == home / "weights" / NAME
    assert server.weights() == [f"/lab/{OWN_PATH}", f"/official/{OWN_PATH}"]


def test_a_mirror_without_a_list_is_asked_for_one_once(lab: str, server: Server) -> None:
    del server.answers["/lab/SHA256SUMS"]
    zoo.ensure(lab)
    zoo.ensure(lab)
    assert server.paths().count("/lab/SHA256SUMS") == 1


@pytest.mark.parametrize("again", ["pull", "missing file"])
def test_a_new_file_on_the_mirror_is_taken_when_it_is_asked_for(lab: str, server: Server, again: str) -> None:
    old = zoo.ensure(lab)
    server.give(f"lab/{OWN_PATH}", file(OTHER))
    server.give("lab/SHA256SUMS", file(sums(**{OWN_PATH: OTHER})))
    assert zoo.ensure(lab).read_bytes() == OWN
    if again == "missing file":
        old.unlink()
    assert zoo.ensure(lab, refresh=again == "pull").read_bytes() == OTHER


def test_a_file_that_does_not_fit_the_list_is_an_error(lab: str, server: Server, home: Path) -> None:
    server.give(f"lab/{OWN_PATH}", file(OTHER))
    with pytest.raises(DownloadError) as caught:
        zoo.ensure(lab)
    digests = [hashlib.sha256(content).hexdigest()[:12] for content in (OTHER, OWN)]
    assert f"begins with {digests[0]} where SHA256SUMS of {server.url}/lab/ says {digests[1]}" in str(caught.value)
    assert "take the mirror out of LIMNER_MIRRORS" in str(caught.value)
    assert weights_in(home) == ["SHA256SUMS"]
    assert f"/official/{OWN_PATH}" not in server.paths()


def test_a_file_of_a_mirror_that_was_damaged_later_is_fetched_again(lab: str) -> None:
    found = zoo.ensure(lab)
    found.write_bytes(GOOD)  # what the name says, not what the list says
    assert zoo.ensure(lab).read_bytes() == OWN


def test_a_broken_download_from_a_mirror_goes_on_where_it_stopped(lab: str, server: Server) -> None:
    server.give(f"lab/{OWN_PATH}", one_after_another(cut_off(OWN, 1000), file(OWN)))
    assert zoo.ensure(lab).read_bytes() == OWN
    assert [asked for path, asked in server.asked if path.endswith(".pth")] == ["", "bytes=1000-"]


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (b"not a list", "damaged: line 1"),
        (sums(**{OWN_PATH: OWN}) + b"0123  cut/off", "damaged: line 2"),
        (b"\xff\xfe\x00", "not text"),
        (sums(**{"../../" + OWN_PATH: OWN}), "below the mirror's folder"),
        (sums(**{"/srv/" + OWN_PATH: OWN}), "below the mirror's folder"),
        (sums(**{OWN_PATH: OWN}) + sums(**{"./" + OWN_PATH: OTHER}), "another hash"),
        (b"#" * (mirrors.MAX_LIST_BYTES + 1), "larger than 4 MB"),
    ],
)
def test_a_list_that_cannot_be_right_is_an_error_in_one_sentence(
    lab: str, server: Server, home: Path, listed: bytes, said: str
) -> None:
    server.give("lab/SHA256SUMS", file(listed))
    with pytest.raises(DownloadError, match=said) as caught:
        zoo.ensure(lab)
    assert f"SHA256SUMS of {server.url}/lab/" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not home.exists()


@pytest.mark.parametrize(
    "listed",
    [
        sums(**{OWN_PATH: OWN}).replace(b"\n", b"\r\n"),
        sums(**{OWN_PATH: OWN}).replace(b"  ", b" *"),
        b"\xef\xbb\xbf# ours\n\n"
        + sums(SHA256SUMS=b"", **{f"./{OWN_PATH}": OWN}).upper().replace(OWN_PATH.upper().encode(), OWN_PATH.encode()),
    ],
    ids=["windows", "binary", "by hand"],
)
def test_a_list_may_look_as_sha256sum_makes_it_anywhere(lab: str, server: Server, listed: bytes) -> None:
    server.give("lab/SHA256SUMS", file(listed))
    assert zoo.ensure(lab).read_bytes() == OWN


@pytest.mark.parametrize(
    "broken", [refuse(503), refuse(403), file(b"<!DOCTYPE html><p>Log in"), cut_off(sums(**{OWN_PATH: OWN}), 30)]
)
def test_a_mirror_that_does_not_answer_is_reported_and_asked_again_the_next_time(
    lab: str,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    broken: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    works = server.answers["/lab/SHA256SUMS"]
    server.give("lab/SHA256SUMS", broken)
    assert zoo.ensure(lab).read_bytes() == GOOD
    assert f"the mirror {server.url}/lab/ gave no SHA256SUMS" in caplog.text
    server.give("lab/SHA256SUMS", works)
    assert zoo.ensure(lab).read_bytes() == OWN
    caplog.clear()
    server.give("lab/SHA256SUMS", broken)
    assert zoo.ensure(lab, refresh=True).read_bytes() == OWN
    assert "its cached list is used" in caplog.text


def test_a_mirror_that_falls_silent_over_its_list_is_given_up(
    lab: str, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(web, "TIMEOUT", 0.3)
    release = threading.Event()
    for pause in (30, 0.05):
        server.give("lab/SHA256SUMS", stalled(sums(**{OWN_PATH: OWN}), release, pause=pause))
        try:
            assert zoo.ensure(lab).read_bytes() == GOOD
        finally:
            release.set()
            release = threading.Event()
    assert "nothing came for 0.3 seconds" in caplog.text
    assert "it sends less than 1 KB a second" in caplog.text


def test_the_built_in_mirrors_are_never_asked_for_a_list(
    official: str, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("official", "builtin"):
        server.give(f"{place}/SHA256SUMS", file(sums(**{OWN_PATH: OWN})))
        server.give(f"{place}/{OWN_PATH}", file(OWN))
    for named in ("", f"{server.url}/builtin, {server.url}/official/"):
        monkeypatch.setenv("LIMNER_MIRRORS", named)
        with pytest.raises(DownloadError, match="where its name says"):
            zoo.ensure(f"{official}{OWN_PATH}")
    assert server.paths() == server.weights()
    assert weights_in(home) == []


@pytest.mark.parametrize("path", ["../../evil.pth", "a/%2e%2e/%2e%2e/evil.pth", "a//evil.pth"])
def test_an_address_cannot_leave_the_folder_of_a_mirror(
    lab: str, official: str, server: Server, home: Path, path: str
) -> None:
    server.give("lab/SHA256SUMS", file(sums(**{OWN_PATH: OWN, "evil.pth": OWN})))
    with pytest.raises(DownloadError):
        zoo.ensure(f"{official}{path}")
    assert [name for name in weights_in(home) if name != "SHA256SUMS"] == []


def test_a_list_that_names_itself_is_never_overwritten(lab: str, official: str, server: Server) -> None:
    server.give("lab/SHA256SUMS", file(sums(**{OWN_PATH: OWN, "SHA256SUMS": OWN})))
    folder = zoo.ensure(lab).parents[2]
    with pytest.raises(DownloadError, match="404"):
        zoo.ensure(f"{official}SHA256SUMS?of=another", offline=False)
    assert OWN_PATH in (folder / "SHA256SUMS").read_text()


def test_a_damaged_copy_of_a_list_is_an_error_that_names_it(lab: str, home: Path) -> None:
    zoo.ensure(lab)
    (kept,) = (home / "weights").rglob("SHA256SUMS")
    kept.write_bytes(b"\xff")
    with pytest.raises(DownloadError, match=f"{re.escape(str(kept))}.* is damaged: remove it"):
        zoo.ensure(lab, offline=True)
    kept.unlink()
    assert zoo.ensure(lab).read_bytes() == OWN


def test_what_came_from_a_mirror_is_a_mirror_itself(lab: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = zoo.ensure(lab).parents[2]
    monkeypatch.setenv("LIMNER_MIRRORS", str(folder))
    monkeypatch.setenv("LIMNER_HOME", str(home.with_name("elsewhere")))
    assert zoo.ensure(lab, offline=True).read_bytes() == OWN


def test_two_processes_fetch_one_file_of_a_mirror_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(request: BaseHTTPRequestHandler) -> None:
        time.sleep(1.5)  # long enough for the other process to come
        file(OWN)(request)

    server.give(f"lab/{OWN_PATH}", slowly)
    server.give("lab/SHA256SUMS", file(sums(**{OWN_PATH: OWN})))
    monkeypatch.setenv("LIMNER_MIRRORS", f"{server.url}/lab")
    both = [run(FETCH, f"https://download.openmmlab.com/{OWN_PATH}") for _ in range(2)]
    said = {process.communicate(timeout=60)[0].strip() for process in both}
    assert len(said) == 1
    assert Path(said.pop()).read_bytes() == OWN
    assert server.weights() == [f"/lab/{OWN_PATH}"]


# -- a mirror that is a folder


@pytest.fixture
def stick(official: str, tmp_path: Path) -> Path:
    """Lay out a folder, such as one on a memory stick, that holds a file under OpenMMLab's path."""
    folder = tmp_path / "memory stick #1"
    (folder / "mmpose" / "v1").mkdir(parents=True)
    (folder / OWN_PATH).write_bytes(GOOD)
    return folder


@pytest.mark.parametrize("how", ["path", "address"])
@pytest.mark.parametrize("offline", [False, True])
def test_a_folder_can_be_a_mirror_with_and_without_network(
    official: str, stick: Path, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch, how: str, offline: bool
) -> None:
    monkeypatch.setenv("LIMNER_MIRRORS", str(stick) if how == "path" else stick.as_uri())
    assert zoo.ensure(f"{official}{OWN_PATH}", offline=offline) == home / "weights" / NAME
    shutil.rmtree(stick)
    assert zoo.ensure(f"{official}{OWN_PATH}", offline=offline).read_bytes() == GOOD
    assert server.asked == []


def test_a_folder_can_list_files_of_its_own_and_be_pulled_out(
    official: str, stick: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (stick / OWN_PATH).write_bytes(OWN)
    (stick / "SHA256SUMS").write_bytes(sums(**{OWN_PATH: OWN}))
    monkeypatch.setenv("LIMNER_MIRRORS", str(stick))
    found = zoo.ensure(f"{official}{OWN_PATH}")
    assert found.read_bytes() == OWN
    shutil.rmtree(stick)
    assert zoo.ensure(f"{official}{OWN_PATH}") == found
    assert caplog.text == ""
    found.unlink()
    with pytest.raises(DownloadError, match="there is no such file"):
        zoo.ensure(f"{official}{OWN_PATH}")
    assert "there is no such folder" in caplog.text


def test_a_relative_folder_and_one_at_home_are_mirrors(
    official: str, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stick.parent)
    monkeypatch.setenv("LIMNER_MIRRORS", stick.name)
    assert zoo.ensure(f"{official}{OWN_PATH}", offline=True).read_bytes() == GOOD
    monkeypatch.setenv("LIMNER_MIRRORS", f"~nobody-of-that-name/x,{stick.name}")
    monkeypatch.setenv("LIMNER_HOME", str(stick.parent / "another"))
    assert zoo.ensure(f"{official}{OWN_PATH}", offline=True).read_bytes() == GOOD
    monkeypatch.setenv("HOME", str(stick.parent))
    monkeypatch.setenv("LIMNER_MIRRORS", f"~/{stick.name}/")
    monkeypatch.setenv("LIMNER_HOME", str(stick.parent / "elsewhere"))
    assert zoo.ensure(f"{official}{OWN_PATH}", offline=True).read_bytes() == GOOD


def test_a_folder_that_lacks_the_file_or_is_not_there_says_so(
    official: str, stick: Path, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LIMNER_MIRRORS", f"{stick},{stick}-that-is-not-there")
    with pytest.raises(DownloadError) as caught:
        zoo.ensure(f"{official}mmpose/other-01234567_20230101.pth", offline=True)
    assert f"{stick}/mmpose/other-01234567_20230101.pth: there is no such file" in str(caught.value)
    assert "offline" in str(caught.value)
    assert server.asked == []
    assert f"{stick}-that-is-not-there gave no SHA256SUMS (there is no such folder" in caplog.text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_no_file(official: str, stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stick / OWN_PATH).unlink()
    os.mkfifo(stick / OWN_PATH)  # reading it would wait for ever
    monkeypatch.setenv("LIMNER_MIRRORS", str(stick))
    with pytest.raises(DownloadError, match="there is no such file"):
        zoo.ensure(f"{official}{OWN_PATH}", offline=True)


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://example.org/SHA256SUMS"])
def test_only_mirrors_can_be_files(address: str) -> None:
    with pytest.raises(DownloadError, match="not an http or https URL"):
        zoo.ensure(address)


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
        monkeypatch.setenv("LIMNER_OFFLINE", "1")
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
    with pytest.raises(DownloadError, match=r"the disk is full at .* 0\.0 MB are free .*LIMNER_HOME"):
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
    assert "LIMNER_HOME" in said
    assert not [p for p in (home / "weights").rglob("*") if p.is_file()]


def test_a_cache_folder_that_cannot_be_made_is_an_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not-a-folder").write_text("")
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "not-a-folder"))
    with pytest.raises(DownloadError, match="LIMNER_HOME"):
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
        ("rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504.zip", ""),  # that of the .pth in it
        ("td-hm_hrnet-w32_8xb64-210e_exlpose-ll-256x192.pth", ""),
    ],
)
def test_the_hash_in_a_files_name_is_found(name: str, prefix: str) -> None:
    assert store.sha256_prefix(name) == prefix


def test_the_platforms_cache_folder_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIMNER_HOME")
    assert store.home().is_absolute()
    assert "limner" in store.home().parts

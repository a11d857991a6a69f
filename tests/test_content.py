"""What an input is, is told by its content: images, streams and pages at URLs, pipes, odd names, damaged JPEGs."""

from __future__ import annotations

import http.server
import io
import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from limner import sources, zoo
from limner.errors import ArgumentError, DownloadError, InputError
from limner.sources import Input, expand, look, open_video, read
from limner.video.reader import VideoSource
from limner.web import user_agent


def scene(width: int = 60, height: int = 40) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4 % 256, y * 5 % 256, (x + y) * 3 % 256], -1).astype(np.uint8)


def encoded(ending: str, image: np.ndarray | None = None, *options: int) -> bytes:
    done, data = cv2.imencode(ending, scene() if image is None else image, options)
    assert done
    return data.tobytes()


def clip(path: Path, frames: int = 4) -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(64, 48) // 2 + i, format="bgr24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def gif(frames: int = 3) -> bytes:
    pillow = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e .[test]")
    made = [pillow.fromarray(np.full((20, 30, 3), 60 * i, np.uint8)) for i in range(frames)]
    data = io.BytesIO()
    made[0].save(data, "GIF", save_all=True, append_images=made[1:], duration=100)
    return data.getvalue()


def only(named: str) -> Input:
    (found,), errors, _ = expand(named)
    assert not errors
    return found


def one_sentence(message: str) -> bool:
    return "\n" not in message and "Errno" not in message and "errno" not in message


# -- servers ---------------------------------------------------------------------------------------


class Web:
    """A server on the loopback: what is at which path, and who asked for it."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str]] = []  # path and User-Agent
        self.in_parts = False  # whether it sends parts of files
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers.get("User-Agent", "")))
                status, headers, body = web.pages.get(self.path, (404, {}, b""))
                asked = self.headers.get("Range", "")
                if web.in_parts and asked.startswith("bytes=") and status == 200:
                    start = int(asked[6:].split("-")[0])
                    last, body = len(body) - 1, body[start:]
                    status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{last}/{last + 1}"}
                self.send_response(status)
                if web.in_parts:
                    self.send_header("Accept-Ranges", "bytes")
                if "Transfer" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    if name != "Transfer":
                        self.send_header(name, value)
                self.end_headers()
                with suppress(ConnectionError):  # who asked has seen enough
                    self.wfile.write(body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def put(self, path: str, body: bytes, kind: str = "application/octet-stream", **headers: str) -> str:
        self.pages[path] = (200, {"Content-Type": kind, **headers}, body)
        return self.address + path

    def endless(self, path: str, body: bytes, kind: str) -> str:
        """What has no length, as streams have none."""
        return self.put(path, body, kind, Transfer="endless")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "text/plain"])
@pytest.mark.parametrize("path", ["/photo?id=7", "/a/b.php?x=1", "/", "/movie.mp4", "/a.png"])
def test_an_image_is_one_whatever_its_url_ends_in_and_is_asked_for_once(web: Web, path: str, kind: str) -> None:
    found = only(web.put(path, encoded(".jpg"), kind))
    assert not found.is_video
    assert found.suffix in (".jpg", ".png")
    np.testing.assert_array_equal(read(found).image, cv2.imdecode(np.frombuffer(encoded(".jpg"), np.uint8), 1))
    assert len(web.asked) == 1


@pytest.mark.parametrize("path", ["/film", "/film.jpg", "/film.php?format=.x"])
def test_a_video_is_one_whatever_its_url_ends_in(web: Web, path: str, tmp_path: Path) -> None:
    found = only(web.put(path, clip(tmp_path / "a.mp4"), "video/mp4"))
    assert found.is_video
    assert not found.is_live
    with open_video(found) as video:
        assert len(list(video)) == 4


def with_sound(path: Path) -> bytes:
    """A clip of 4 frames with sound, of which the index comes last."""
    with av.open(str(path), "w") as container:
        stream, sound = container.add_stream("mpeg4", rate=10), container.add_stream("aac", rate=44100)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(64, 48) // 2 + i, format="bgr24")))
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 4410), np.float32), format="fltp", layout="mono")
            heard.sample_rate, heard.pts = 44100, 4410 * i
            container.mux(sound.encode(heard))
        container.mux([*stream.encode(None), *sound.encode(None)])
    return path.read_bytes()


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_a_video_whose_index_comes_last_is_stored_where_its_server_sends_no_parts(
    web: Web, name: str, in_parts: bool, tmp_path: Path
) -> None:
    web.in_parts = in_parts
    found = only(web.put("/clip", with_sound(tmp_path / name), "video/mp4"))
    assert found.whole != in_parts
    with open_video(found) as video:
        assert [frame.source for frame in video] == [f"{web.address}/clip"] * 4
        assert video.sound_from is not None
        with av.open(video.sound_from) as kept:
            assert len(kept.streams.audio) == 1


def test_a_video_that_is_too_large_to_be_stored_is_one_sentence(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.addresses, "MAX_VIDEO_BYTES", 10)
    clip_ = with_sound(tmp_path / "a.mp4")
    index = clip_.index(b"mdat") + 4  # more than what FFmpeg keeps of what it has read
    address = web.put("/clip.mp4", clip_[: index - 8] + b"\0\4\0\0free" + bytes((1 << 18) - 8) + clip_[index - 8 :])
    with pytest.raises(InputError, match=r"its index is at its end, .*; download it and give the file") as caught:
        open_video(only(address))
    assert one_sentence(str(caught.value))
    with pytest.raises(InputError, match="if its server sends no parts of files, download it"):
        VideoSource(address, timeout=2)
    monkeypatch.setattr(sources.addresses.tempfile, "NamedTemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: SIM115
    monkeypatch.setattr(sources.addresses, "MAX_VIDEO_BYTES", 1 << 20)
    if Path("/dev/full").exists():
        with pytest.raises(InputError, match=r"cannot be stored in .*: no space left on device; free some space"):
            open_video(only(address))


def test_images_beyond_the_memory_that_is_kept_are_asked_for_again(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.addresses, "KEPT_BYTES", 10)
    first, second = (web.put(path, encoded(".png")) for path in ("/1", "/2"))
    items, _, _ = expand([first, second])
    assert [bool(item.data) for item in items] == [True, False]
    for item in items:
        np.testing.assert_array_equal(read(item).image, scene())


def test_an_animation_at_a_url_is_a_video(web: Web) -> None:
    found = only(web.put("/moving?id=1", gif(3), "image/gif"))
    assert found.is_video
    assert found.name == "moving.gif"
    assert not found.is_live
    with open_video(found) as video:
        assert [frame.source for frame in video] == [f"{web.address}/moving?id=1"] * 3
    still = only(web.put("/still", gif(1), "image/gif"))
    assert not still.is_video


def test_jpegs_without_an_end_are_a_live_stream(web: Web) -> None:
    jpeg = encoded(".jpg")
    part = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n"
    for address in (
        web.endless("/video.cgi", part * 3, "multipart/x-mixed-replace; boundary=frame"),
        web.endless("/cam.jpg", part * 3, "multipart/x-mixed-replace;boundary=--frame"),
        web.endless("/raw", jpeg * 6000, "image/jpeg"),
    ):
        (found,), live = look([address])
        assert isinstance(found, Input)
        assert live
        assert found.is_live
        assert found.is_video
        with open_video(found) as video:
            assert [frame.image.shape for frame in itertools.islice(video, 2)] == [(40, 60, 3)] * 2
            assert video.live


def test_one_image_without_a_length_is_no_stream(web: Web) -> None:
    found = only(web.endless("/one", encoded(".jpg"), "image/jpeg"))
    assert not found.is_video
    assert not found.is_live


def test_a_playlist_that_goes_on_is_live(web: Web) -> None:
    media = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n"
    assert only(web.put("/live.m3u8", media)).is_live
    assert not only(web.put("/ended.m3u8", media + b"#EXT-X-ENDLIST\n")).is_live
    for name, live in (("live", True), ("ended", False)):
        choice = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}.m3u8\n".encode()
        assert only(web.put(f"/all-{name}.m3u8", choice)).is_live == live


def test_every_request_says_who_asks(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    read(only(web.put("/a", encoded(".png"))))
    with VideoSource(web.put("/clip.mp4", clip(tmp_path / "a.mp4"))) as video:
        assert len(list(video)) == 4
    with pytest.raises(DownloadError):
        zoo.ensure(web.put("/weights.pth", b"no weights"))
    assert {path for path, _ in web.asked} == {"/a", "/clip.mp4", "/weights.pth"}
    assert {agent for _, agent in web.asked} == {user_agent()}
    assert user_agent().startswith("limner/")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "put a user and password in the URL"),
        (403, "refuses access: it wants a login"),
        (404, "nothing at this URL"),
        (410, "nothing at this URL"),
        (429, "too many requests came; wait 30 seconds"),
        (500, "try again later"),
        (503, "try again later"),
        (418, "check the URL"),
    ],
)
@pytest.mark.parametrize("path", ["/a.jpg", "/a.mp4", "/a"])
def test_what_a_server_refuses_is_said_fittingly(web: Web, path: str, status: int, said: str) -> None:
    web.pages[path] = (status, {"Retry-After": "30"}, b"")
    found = only(web.address + path)
    with pytest.raises(InputError, match=said) as caught:
        read(found) if not found.is_video else open_video(found)
    assert str(status) in str(caught.value)
    assert one_sentence(str(caught.value))
    assert len(web.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
def test_a_video_that_ffmpeg_is_refused_is_said_fittingly(web: Web, status: int) -> None:
    web.pages["/a.mp4"] = (status, {}, b"")
    said = {401: "user and password", 403: "login", 404: "nothing at", 429: "too many requests", 503: "later"}[status]
    with pytest.raises(InputError, match=said):
        VideoSource(f"{web.address}/a.mp4", timeout=2)


def test_a_web_page_is_called_one(web: Web) -> None:
    page = b"<!DOCTYPE html>\n<html><body>a photo</body></html>"
    for path in ("/photo", "/watch?v=1"):
        found = only(web.put(path, page, "text/html; charset=utf-8"))
        with pytest.raises(InputError, match="is a web page, not an image or a video"):
            open_video(found)
    found = only(web.put("/a.jpg", page, "text/html"))
    with pytest.raises(InputError, match=r"not an image|web page"):
        read(found)


def test_a_server_that_is_not_there_is_said_in_plain_words() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as free:
        port = free.server_port
    for path in ("a.jpg", "a", "a.mp4"):
        found = only(f"http://127.0.0.1:{port}/{path}")
        with pytest.raises(InputError, match="nothing answers there; check the URL") as caught:
            read(found) if not found.is_video else open_video(found)
        assert one_sentence(str(caught.value))


def test_an_image_that_breaks_off_is_not_taken_for_damaged(web: Web) -> None:
    web.pages["/a.png"] = (200, {"Transfer": "x", "Content-Length": "100000"}, encoded(".png"))
    with pytest.raises(InputError, match="broke off"):
        read(only(f"{web.address}/a.png"))


# -- secrets in URLs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://h/a.jpg?token=abc/d==&id=7", "http://h/a.jpg?token=***&id=7"),
        ("http://h/v?access_token=x&apiKey=y&k=3#access_token=q", "http://h/v?access_token=***&apiKey=***&k=3#access_token=***"),
        ("rtsp://h/user=admin_password=tl_Jw_channel=1_stream=0.sdp", "rtsp://h/user=***_password=***_channel=1_stream=0.sdp"),
        ("rtsp://h/user=admin&password=x&channel=1", "rtsp://h/user=***&password=***&channel=1"),
        ("https://b/a?X-Amz-Date=2&X-Amz-Credential=A%2F&X-Amz-Signature=f", "https://b/a?X-Amz-Date=2&X-Amz-Credential=***&X-Amz-Signature=***"),
        ("https://a.blob/c/x.png?sv=2020&sig=abc%3D", "https://a.blob/c/x.png?sv=2020&sig=***"),
        ("https://d/x?Expires=9&Signature=a-b_c~&Key-Pair-Id=K", "https://d/x?Expires=9&Signature=***&Key-Pair-Id=***"),
        ("http://h/snapshot.cgi?loginuse=a&loginpas=b", "http://h/snapshot.cgi?loginuse=***&loginpas=***"),
        ("http://h/cam;pwd=1/x.jpg", "http://h/cam;pwd=***/x.jpg"),
        ("http://u:p@h/a?pwd=1", "http://***@h/a?pwd=***"),
        ("http://h/a?keyframe=1&keypoints=2&author=x", "http://h/a?keyframe=1&keypoints=2&author=x"),
        ("/home/user=a_password=b.mp4", "/home/user=a_password=b.mp4"),
    ],
)  # fmt: skip
def test_secrets_in_urls_are_masked(address: str, shown: str) -> None:
    assert Input("a", address=address).source == shown


def test_a_token_is_neither_printed_nor_stored(web: Web, tmp_path: Path) -> None:
    import limner

    path = "/a.jpg?token=s3cret"
    model = limner.load()
    result = model(web.put(path, encoded(".jpg")))
    result.save(tmp_path / "a.json")
    assert result.source == f"{web.address}/a.jpg?token=***"
    assert "s3cret" not in (tmp_path / "a.json").read_text()
    assert "s3cret" not in repr(result)
    for call in (lambda: model(f"{web.address}/b?sig=s3cret"), lambda: list(model.watch(web.address + path))):
        with pytest.raises((InputError, ArgumentError)) as caught:
            call()
        assert "s3cret" not in str(caught.value)
    camera = only("rtsp://127.0.0.1:1/user=admin_password=s3cret_channel=1_stream=0.sdp")
    assert "s3cret" not in camera.name


@pytest.mark.parametrize("password", ["pa#ss", "pa/ss", "p?ss", "a/b@c", "#x"])
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_password_with_signs_that_end_it_gets_a_hint(scheme: str, password: str) -> None:
    _, errors, _ = expand(f"{scheme}://admin:{password}@127.0.0.1:1/1")
    assert "write # as %23, / as %2F" in str(errors[0])
    assert password not in str(errors[0])


def test_a_password_that_might_be_a_port_gets_a_hint_once_it_fails() -> None:
    with pytest.raises(InputError, match=r"write # as %23, / as %2F"):
        VideoSource("rtsp://127.0.0.1:1/234@127.0.0.1/1", timeout=1)
    assert expand("http://127.0.0.1:1/photo@2x.jpg")[1] == []


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.AVI", "clip.ts"])
def test_an_image_with_the_ending_of_a_video_is_an_image(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(encoded(kind))
    for named in (tmp_path / name, tmp_path):
        found = only(str(named))
        assert not found.is_video
        assert read(found).image.shape == (40, 60, 3)
    (tmp_path / name).write_bytes(b"dear diary\n" * 99)
    assert only(str(tmp_path / name)).is_video  # opening it says that it is none


# -- files -----------------------------------------------------------------------------------------


def photo(path: Path, image: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(".png", image))
    return path


@pytest.mark.parametrize("folder", ["[set 1]", "a[0-9]", "what?", "star*", "[x]/[y z]"])
def test_a_pattern_in_a_folder_that_looks_like_one(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("p1.png", "p2.png", "deep/p3.png"):
        photo(tmp_path / folder / name)
    photo(tmp_path / "s" / "p1.png")  # what the brackets would match
    for base in (folder, str(tmp_path / folder)):
        assert [item.name for item in expand(f"{base}/*.png")[0]] == ["p1.png", "p2.png"]
        assert [item.name for item in expand(f"{base}/p[12].png")[0]] == ["p1.png", "p2.png"]
        found = expand(f"{base}/**/*.png")[0]
        assert [(item.folder, item.name) for item in found] == [("deep", "p3.png"), ("", "p1.png"), ("", "p2.png")]
        (video,), errors, _ = expand(f"{base}/p%d.png")
        assert not errors
        assert len(video.frames) == 2


def test_brackets_are_still_a_pattern_where_no_folder_has_that_name(tmp_path: Path) -> None:
    for name in ("set 1/a.png", "set 2/a.png", "set 3/a.png"):
        photo(tmp_path / name)
    assert len(expand(f"{tmp_path}/set [12]/*.png")[0]) == 2
    assert len(expand(f"{tmp_path}/*/a.png")[0]) == 3


@pytest.mark.parametrize("name", ["a.png", "a.mp4", "a", "a[1].png"])
def test_a_link_that_leads_nowhere_says_where_to(name: str, tmp_path: Path) -> None:
    (tmp_path / name).symlink_to("/nowhere/at all.png")
    _, errors, _ = expand(tmp_path / name)
    assert str(errors[0]).startswith(f"'{tmp_path / name}' is a link to '/nowhere/at all.png', which does not exist; ")
    items, errors, _ = expand(tmp_path) if "." in name else ([], [], [])
    for item in items:
        with pytest.raises(InputError, match=r"is a link to '/nowhere/at all\.png'"):
            open_video(item) if item.is_video else read(item)


def test_links_that_lead_back_or_through_a_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    (tmp_path / "gone").symlink_to("/nowhere")
    assert "leads back to itself" in str(expand(tmp_path / "one")[1][0])
    assert "its folder" in str(expand(tmp_path / "gone" / "a.png")[1][0])


def text_is_strict(data: bytes) -> Any:
    """Read JSON as strict readers do: UTF-8 without half characters."""
    found = json.loads(data.decode("utf-8"))
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    return found


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are text there")
def test_a_name_that_is_not_utf8_is_text_in_every_result(tmp_path: Path) -> None:
    import limner
    from limner.cli import app

    names = [os.fsdecode(name) for name in (b"caf\xe9.png", b"\xff\xfe.png", b"gone\x80.png", b"clip\xe9.mp4")]
    for name in names[:2]:
        photo(tmp_path / name)
    clip(tmp_path / "a.mp4")
    (tmp_path / "a.mp4").rename(tmp_path / names[3])
    inputs = [str(tmp_path / name) for name in names]
    with pytest.raises(SystemExit):
        app(["run", *inputs, "-o", str(tmp_path / "o"), "--json", str(tmp_path / "j"), "--jsonl", str(tmp_path / "l")])
    lines = [text_is_strict(line) for line in (tmp_path / "l").read_bytes().splitlines()]
    sources_of = {Path(line["source"]).name for line in lines if "source" in line}
    assert sources_of == {r"caf\xe9.png", r"\xff\xfe.png", r"gone\x80.png", r"clip\xe9.mp4"}
    assert len(list((tmp_path / "j").glob("*.json"))) == 3
    for path in (tmp_path / "j").glob("*.json"):
        text_is_strict(path.read_bytes())
    result = limner.load()(inputs[0])
    assert result.source == str(tmp_path / r"caf\xe9.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("name", ["pipe", "pipe.mp4", "pipe.png", "pipe.fifo"])
@pytest.mark.parametrize("what", ["image", "mpeg", "mp4", "gif"])
def test_a_named_pipe_is_read_once_as_what_comes(name: str, what: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "c.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(64, 48), format="bgr24")))
        container.mux(stream.encode(None))
    content = {
        "image": lambda: encoded(".png"),
        "mpeg": (tmp_path / "c.mkv").read_bytes,
        "mp4": lambda: clip(tmp_path / "c.mp4"),
        "gif": lambda: gif(4),
    }[what]()
    os.mkfifo(tmp_path / name)
    writer = threading.Thread(target=(tmp_path / name).write_bytes, args=(content,), daemon=True)
    writer.start()
    found = only(str(tmp_path / name))
    assert found.source == str(tmp_path / name)
    assert found.is_video == (what != "image")
    assert not found.is_live
    assert not found.is_camera
    if what == "image":
        np.testing.assert_array_equal(read(found).image, scene())
    else:
        with open_video(found) as video:
            assert [frame.source for frame in video] == [str(tmp_path / name)] * 4
    writer.join(5)
    assert not writer.is_alive()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_named_pipe_that_gives_nothing_or_something_else(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    for content, said in ((b"", "is empty"), (b"dear diary\n" * 100, "holds no image or video")):
        writer = threading.Thread(target=(tmp_path / "p").write_bytes, args=(content,), daemon=True)
        writer.start()
        items, errors, _ = expand(tmp_path / "p")
        if not errors:
            with pytest.raises(InputError) as caught:
                open_video(items[0])
            errors = [caught.value]
        assert said in str(errors[0])
        assert str(tmp_path / "p") in str(errors[0])
        assert "standard input" not in str(errors[0])
        writer.join(5)


@pytest.mark.parametrize(
    ("named", "live"),
    [
        ("0", True),
        ("12", True),
        ("webcam", True),
        ("webcam:1", True),
        ("/dev/video7", True),
        ("/dev/v4l/by-id/usb-cam", True),
        ("rtsp://127.0.0.1/1", True),
        ("udp://127.0.0.1:1", True),
        ("photo.jpg", False),
        ("/dev/shm/photo.jpg", False),
        ("-", False),
        ("7.jpg", False),
        ("1234", False),
    ],
)
def test_what_is_live_opens_a_window(named: str, live: bool) -> None:
    assert look([named])[1] == live


def test_a_file_named_like_a_camera_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "0")
    (tmp_path / "1").mkdir()
    assert look(["0", "1"])[1] is False
    assert read(only("0")).image.shape == (40, 60, 3)

"""What a file or URL may name: a playlist opens what is of its own kind, and nothing else names anything."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from limner import sources
from limner.errors import InputError
from limner.sources.content import holds_video
from limner.video import playlists
from limner.video.inputs import open_stream
from limner.video.reader import VideoSource

ENDED = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.3,\n{}\n#EXT-X-ENDLIST\n"


def part(path: Path) -> bytes:
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


class Web:
    """A server on this machine, and what was asked of it."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                kind, body = web.pages.get(self.path, ("", b""))
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def web() -> Iterator[Web]:
    found = Web()
    yield found
    found.server.shutdown()
    found.server.server_close()


def frames(path: str | Path) -> int:
    with VideoSource(path, timeout=3) as video:
        return len(list(video))


def refused(path: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        frames(path)
    return str(caught.value)


def test_a_playlist_of_the_user_names_files_in_its_own_folder(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    (folder / "parts").mkdir(parents=True)
    part(folder / "parts" / "a.ts")
    (folder / "list.m3u8").write_text(ENDED.format("parts/a.ts"))
    assert frames(folder / "list.m3u8") == 3
    (folder / "all.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlist.m3u8\n")
    assert frames(folder / "all.m3u8") == 3


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.ts", "{folder}/secret.ts", "file://{folder}/secret.ts", "link.ts", "parts/../../secret.ts"),
        *("{web}/secret.ts", "//{folder}/secret.ts", "crypto:../secret.ts", "concat:../secret.ts|b.ts"),
        *("subfile,,start,0,end,0,,:../secret.ts", "data:video/mp2t;base64,AAAA", "tcp://127.0.0.1:9"),
    ],
)
@pytest.mark.parametrize("form", ["part", "key", "map", "inner", "choice"])
def test_a_playlist_of_the_user_names_nothing_else(name: str, form: str, web: Web, tmp_path: Path) -> None:
    web.pages["/secret.ts"] = ("video/mp2t", part(tmp_path / "secret.ts"))
    folder = tmp_path / "clip"
    folder.mkdir()
    part(folder / "a.ts")
    (folder / "link.ts").symlink_to(tmp_path / "secret.ts")
    name = name.format(folder=tmp_path, web=web.address)
    text = {
        "part": ENDED.format(name),
        "key": ENDED.format("a.ts").replace("#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{name}"\n#EXTINF'),
        "map": ENDED.format("a.ts").replace("#EXTINF", f'#EXT-X-MAP:URI="{name}"\n#EXTINF'),
        "inner": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ninner.ts\n",
        "choice": f'#EXTM3U\n#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="v",NAME="a",URI="{name}"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,VIDEO="v"\ninner.ts\n',
    }[form]
    (folder / "inner.ts").write_text(ENDED.format("a.ts" if form == "choice" else name))
    (folder / "list.m3u8").write_text(text)
    assert "a playlist may only name files in its own folder" in refused(folder / "list.m3u8")
    assert web.asked == []


def test_a_playlist_without_an_end_is_not_waited_for(tmp_path: Path) -> None:
    part(tmp_path / "a.ts")
    (tmp_path / "live.m3u8").write_text(ENDED.format("a.ts").replace("#EXT-X-ENDLIST\n", ""))
    assert "is a playlist without an end" in refused(tmp_path / "live.m3u8")
    (tmp_path / "all.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8\n")
    assert "live.m3u8' is a playlist without an end" in refused(tmp_path / "all.m3u8")


TEXTS = {
    "a playlist of HLS": ENDED.format("a.ts"),
    "a script that joins files": "ffconcat version 1.0\nfile a.ts\n",
    "a description of streams": "<?xml version='1.0'?>\n<MPD><BaseURL>a.ts</BaseURL></MPD>",
    "a description of streams (SDP)": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
}


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.txt", "a.mpd", "a.sdp", "a"])
@pytest.mark.parametrize("before", ["", "\ufeff", "\n \n"])
def test_a_text_that_is_called_a_video_is_none(what: str, name: str, before: str, tmp_path: Path) -> None:
    part(tmp_path / "beside.ts")
    path = tmp_path / name
    path.write_text(before + TEXTS[what].replace("a.ts", "beside.ts"), "utf-8")
    assert f"is {what}, not a video" in refused(path)
    assert holds_video(path) == (path.suffix in (".mp4", ".mkv", ".ts"))


@pytest.mark.parametrize("what", TEXTS)
def test_a_text_on_standard_input_opens_nothing(what: str, web: Web, tmp_path: Path) -> None:
    part(tmp_path / "a.ts")
    web.pages["/a.ts"] = ("video/mp2t", (tmp_path / "a.ts").read_bytes())
    for place in (f"{web.address}/a.ts", f"file:{tmp_path}/a.ts", f"{tmp_path}/a.ts"):
        path = tmp_path / "text"
        path.write_text(TEXTS[what].replace("a.ts", place))
        with path.open("rb") as file, pytest.raises(InputError, match="holds no image or video"):
            open_stream(file)  # type: ignore[arg-type]
    assert web.asked == []


def test_a_playlist_of_a_server_opens_what_servers_have(web: Web, tmp_path: Path) -> None:
    web.pages["/a.ts"] = ("video/mp2t", part(tmp_path / "a.ts"))
    web.pages["/list.m3u8"] = ("application/vnd.apple.mpegurl", ENDED.format("a.ts").encode())
    assert frames(f"{web.address}/list.m3u8") == 3


@pytest.mark.parametrize(
    "place", ["file://{}", "file:{}", "{}", "crypto+file://{}", "concat:{}", "subfile,,start,0,,:{}"]
)
@pytest.mark.parametrize("kind", ["application/vnd.apple.mpegurl", "video/mp4", "text/plain"])
@pytest.mark.parametrize("text", [ENDED, TEXTS["a script that joins files"].replace("a.ts", "{}")])
def test_a_playlist_of_a_server_never_opens_a_file(place: str, kind: str, text: str, web: Web, tmp_path: Path) -> None:
    part(tmp_path / "secret.ts")
    body = text.format(place.format(tmp_path / "secret.ts")).encode()
    for name in ("/list.m3u8", "/clip.mp4"):
        web.pages[name] = (kind, body)
        assert refused(f"{web.address}{name}").startswith(f"{web.address}{name}")


def test_what_ffmpeg_may_open_depends_on_the_kind_of_source() -> None:
    for scheme in ("http", "https"):
        options = playlists.open_options(scheme)
        assert options["protocol_whitelist"] == "http,https,tcp,tls,crypto,httpproxy"
    for scheme in ("", "-", "http", "https", "rtsp", "rtmp", "udp", "rtp", "srt", "tcp", "new"):
        options = playlists.open_options(scheme)
        protocols = set(options["protocol_whitelist"].split(","))
        assert not protocols & {"concat", "concatf", "subfile", "data", "pipe", "fd", "ffrtmphttp", "async", "cache"}
        assert ("file" in protocols) == (scheme == "")
        forms = set(options["format_whitelist"].split(","))
        assert not forms & {"concat", "imf", "lavfi", "webm_dash_manifest"}
        assert {"mov", "matroska", "avi", "mpegts", "gif", "apng", "h264", "mjpeg"} <= forms
        assert ("hls" in forms) == ("dash" in forms) == (scheme in ("http", "https"))
        assert ("sdp" in forms) == (scheme in ("rtsp", "rtp"))
    assert "hls" in playlists.open_options("", playlist=True)["format_whitelist"].split(",")


@pytest.mark.parametrize(
    "name",
    [
        *("concat:a.ts|b.ts", "subfile,,start,0,end,9,,:a.ts", "data:video/mp2t;base64,AAAA", "crypto:a.ts", "pipe:0"),
        *("fd:", "concat://a.ts", "hls+http://127.0.0.1/a", "ftp://127.0.0.1/a.ts"),
    ],
)
def test_a_url_of_ffmpegs_own_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    part(tmp_path / "a.ts")
    found, errors, _ = sources.expand(name)
    said = str(errors[0]) if errors else ""
    for item in found:
        with pytest.raises(InputError) as caught:
            sources.open_video(item)
        said = str(caught.value)
    assert "is a URL of FFmpeg's own" in said or "is not one of" in said

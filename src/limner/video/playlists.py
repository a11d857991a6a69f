"""What FFmpeg may open for a source, as some files name others: playlists, scripts, descriptions of streams.

What may be opened depends on where the name came from. A file of the user's is read and nothing beyond it; a playlist
of HLS (`.m3u8`) that the user names may name files in its own folder, and those below it. What comes from a server may
name what servers have, never files. Scripts of `concat`, patterns of images and descriptions of streams are not read.
A text that is called a video is no playlist.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import av

from ..errors import InputError

_HTTP = "http,https,tcp,tls,crypto,httpproxy"
_RTSP = "rtsp,rtsps,rtp,srtp,udp,tcp,tls"
# protocols of FFmpeg that a source may use, by the scheme of its URL; "" is a file
_PROTOCOLS = {
    "": "file,crypto",
    "http": _HTTP,
    "https": _HTTP,
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "rtmp": "rtmp,rtmpt,tcp",
    "rtmps": "rtmps,rtmpts,rtmp,tls,tcp",
    "rtp": "rtp,srtp,udp",
    "udp": "udp",
    "srt": "srt",
    "tcp": "tcp",
}
# demuxers that open other files or devices, and those of them that a kind of source may use
_NAMING = frozenset((
    *("concat", "image2", "imf", "webm_dash_manifest", "hls", "dash", "sdp", "rtsp", "sap", "rtp", "lavfi"),
    *("vapoursynth", "avisynth"),
))  # fmt: skip
_ALLOWED = {
    "http": frozenset(("hls", "dash", "image2")),  # one image: nothing but servers can be opened
    "rtsp": frozenset(("rtsp", "sdp", "rtp")),
    "rtp": frozenset(("rtp", "sdp", "sap")),
}
_TEXTS = (
    (re.compile(rb"#EXTM3U"), "a playlist of HLS"),
    (re.compile(rb"ffconcat\s|(?:#[^\n]*\n|\s)*file\s+['\"/\w]"), "a script that joins files"),
    (re.compile(rb"<\?xml|<MPD[\s>]|<SmoothStreamingMedia|<smil|<asx", re.IGNORECASE), "a description of streams"),
    (re.compile(rb"v=0\r?\n[a-z]="), "a description of streams (SDP)"),
    (re.compile(rb"\[(?:reference|playlist)\]|RTSPtext", re.IGNORECASE), "a playlist"),
)
_START = 4096  # bytes of a file that are looked at
_LONGEST = 1 << 22  # bytes of a playlist
_DEEPEST = 3  # playlists that name playlists
_URI = re.compile(r'URI="([^"]*)"')


def open_options(scheme: str, *, playlist: bool = False) -> dict[str, str]:
    """Return the options of `av.open` that bound what FFmpeg opens.

    Args:
        scheme: of the URL, "" for a file, "-" for bytes that limner reads itself.
        playlist: it is a playlist of HLS that was checked.
    """
    kind = {"https": "http", "rtsps": "rtsp"}.get(scheme, scheme)
    return {
        "protocol_whitelist": _PROTOCOLS.get(scheme, "none"),
        "format_whitelist": _formats(frozenset(("hls",)) if playlist else _ALLOWED.get(kind, frozenset())),
    }


@cache
def _formats(allowed: frozenset[str]) -> str:
    return ",".join(sorted(av.formats_available - (_NAMING - allowed)))


def text_kind(start: bytes) -> str | None:
    """Return what kind of text the first bytes of a file are that names other files; None for anything else."""
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((what for pattern, what in _TEXTS if pattern.match(start)), None)


def check_file(path: str) -> bool:
    """Check the file of a video before FFmpeg opens it; return whether it is a playlist.

    Raises:
        InputError: it is a text that names other files, and no playlist, or one that names what it must not.
        OSError: it cannot be read.
    """
    if not os.path.isfile(path):
        return False  # a pipe
    with open(path, "rb") as file:
        what = text_kind(file.read(_START))
    if what is None:
        return False
    if what != _TEXTS[0][1]:
        raise InputError(f"'{path}' is {what}, not a video; give the files or the URL that it names")
    if not path.lower().endswith((".m3u8", ".m3u")):
        raise InputError(f"'{path}' is {what}, not a video; if it is to be read as one, rename it to .m3u8")
    _check_playlist(Path(path), Path(path).parent.resolve(), set(), 0)
    return True


def _check_playlist(path: Path, folder: Path, seen: set[Path], depth: int) -> None:
    """Raise InputError where a playlist, or one that it names, names what is not in a folder, or has no end."""
    if path in seen:
        return
    seen.add(path)
    if depth > _DEEPEST or path.stat().st_size > _LONGEST:
        raise InputError(f"'{path}' is too large or too deep for a playlist; give the videos that it names")
    lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
    choice = any(line.startswith("#EXT-X-STREAM-INF") for line in lines)
    if not choice and "#EXT-X-ENDLIST" not in lines:
        raise InputError(
            f"'{path}' is a playlist without an end, for which more would be waited; if nothing more comes, add a last "
            "line #EXT-X-ENDLIST"
        )
    for line in lines:
        for name in _URI.findall(line) if line.startswith("#") else [line] if line else []:
            named = _inside(folder, path.parent, name)
            if named is None:
                raise InputError(
                    f"'{path}' names '{name[:200]}', and a playlist may only name files in its own folder; give that "
                    "file or URL itself"
                )
            if named not in seen and named.is_file():
                with named.open("rb") as file:
                    what = text_kind(file.read(_START))
                if what == _TEXTS[0][1]:
                    _check_playlist(named, folder, seen, depth + 1)
                elif what is not None:
                    raise InputError(f"'{path}' names '{name[:200]}', which is {what}, not a video; give a video")
                seen.add(named)


def _inside(folder: Path, beside: Path, name: str) -> Path | None:
    """Return the file that a playlist names; None where it is a URL, or not in the folder."""
    if ":" in name or "\\" in name or "\0" in name or name.startswith("/"):
        return None
    try:
        found = (beside / name).resolve()
    except (OSError, RuntimeError):  # links that lead back to themselves
        return None
    return found if found.is_relative_to(folder) else None

"""Which parts of a URL's path, query and fragment may be shown."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from urllib.parse import unquote

HIDDEN = "***"

# fmt: off
_SECRET_WORDS = frozenset((
    "account", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "hash", "hdnea", "hdntl",
    "hdnts", "hmac", "jwt", "key", "login", "loginpas", "loginuse", "pass", "passcode", "passphrase", "passwd",
    "password", "passwort", "pin", "policy", "psw", "pw", "pwd", "secret", "session", "sid", "sig", "sign", "signature",
    "ticket", "token", "user", "username", "usr",
))
_SECRET_ENDS = (
    "token", "secret", "password", "passwd", "signature", "credential", "apikey", "authkey", "accesskey", "secretkey",
    "privatekey", "streamkey", "sessionid", "username",
)
# names whose values are shown where those are plain words, numbers, sizes or times
_HARMLESS_NAMES = frozenset((
    "action", "audio", "author", "bitrate", "cam", "camera", "camid", "ch", "channel", "channels", "chn", "clip",
    "cmd", "codec", "color", "compression", "crop", "date", "dpr", "duration", "encoder", "end", "expires", "ext",
    "fit", "fmt", "format", "fps", "frame", "framerate", "frames", "from", "h", "height", "id", "index", "interval",
    "keyframe", "keypoints", "lang", "language", "mode", "name", "no", "number", "offset", "page", "part", "preset",
    "profile", "proto", "protocol", "q", "quality", "rate", "resolution", "rotate", "rotation", "scale", "size",
    "speed", "start", "stream", "streamtype", "subtype", "sv", "t", "time", "timeout", "track", "transport", "type",
    "unicast", "v", "version", "video", "videocodec", "videoframeskipmode", "view", "w", "width", "x-amz-algorithm",
    "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-goog-algorithm", "x-goog-date", "x-goog-expires",
    "x-goog-signedheaders", "zoom",
))
# parts of the paths of cameras and media servers
_STREAM_WORDS = frozenset((
    "11", "12", "app", "av", "avstream", "axis", "bcs", "c", "cam", "camera", "cameras", "cgi", "bin", "ch", "channel",
    "channels", "chn", "defaultprimary", "defaultsecondary", "feed", "h", "hd", "high", "hls", "isapi", "image", "img",
    "live", "livestream", "low", "main", "media", "mediainput", "medium", "mjpeg", "mjpg", "mp", "mpeg", "onvif", "ov",
    "play", "preview", "primary", "profile", "proxy", "realmonitor", "record", "rec", "rtmp", "rtsp", "s", "sd", "sec",
    "secondary", "service", "stream", "streaming", "streams", "sub", "substream", "tcp", "test", "track", "tracks",
    "tv", "udp", "unicast", "multicast", "user", "v", "video", "videomain", "videosub", "vod", "x", "sdp", "p", "k",
))
_LOGINS = frozenset(("admin", "administrator", "guest", "operator", "root", "supervisor", "ubnt", "viewer"))
_IPTV = frozenset(("live", "movie", "movies", "series", "timeshift", "vod"))
# fmt: on

_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9._-]{0,30}[A-Za-z0-9])?")
_TRIVIAL = re.compile(r"\d{0,3}|[A-Za-z]|\.[A-Za-z]{1,4}")  # values that are shown with any name but a secret one
# one of the words of such a value
_PLAIN = re.compile(r"(?:[A-Za-z]{0,16}|[A-Za-z]{0,8}\d{0,4}|\d{1,10}|\d{1,5}x\d{1,5})")
_TIME = re.compile(r"\d{4}-?\d\d-?\d\d(?:T?\d\d:?\d\d(?::?\d\d)?)?Z?|\d\d?:\d\d(?::\d\d)?")
_STREAM_PART = re.compile(r"(?:h26[45]|mpe?g?4)?([A-Za-z]*)\d{0,4}", re.IGNORECASE)
_NEXT_PAIR = re.compile(r"_(?=[A-Za-z][A-Za-z0-9]*=)")  # as in "user=admin_channel=1"
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}\Z")
_RUN = re.compile(r"[A-Za-z0-9]+")
_TOKENS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_UNSPOKEN = re.compile(r"(?:[^aeiouy0-9]){7}", re.IGNORECASE)  # as many consonants no word has in a row
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{6,}")
_CHANNEL_OF_USER = re.compile(r"\d{1,12}(?:\.(?:ts|m3u8))?")
_MEDIA = re.compile(r"(?:mp4|mp3|flv|smil|sdp|ndvr|amlst):[\w.-]*")  # as media servers name files
_CHANNEL = re.compile(r"\d{1,12}(?:\.[A-Za-z0-9]{2,4})?")  # of television: a number, and perhaps an ending


def in_query(text: str, wary: bool) -> str:
    """Return all from ``?`` or ``#`` on as it may be shown.

    Args:
        text: the query and the fragment, with their marks.
        wary: a secret came before, of which this may be the rest: unknown names are not shown either.
    """
    shown: list[str] = []
    for part in re.split(r"([?#&;])", text):
        if part in ("?", "#", "&", ";"):
            # a mark that does not part pairs may as well be one of the secret before it
            wary = wary or (part != "&" and bool(shown) and shown[-1].endswith(HIDDEN))
            shown.append(part)
        else:
            shown.append(_pairs(part, wary))
    return "".join(shown)


def in_path(path: str, live: bool, wary: bool) -> tuple[str, bool]:
    """Return a URL's path as it may be shown, and whether a secret stands in it or before it.

    Args:
        path: with its slashes.
        live: it is of a stream, where an unknown part may be a password or the key of the stream.
        wary: a secret came before, of which this may be the rest.
    """
    parts = path.split("/")
    plain = [_decoded(part) for part in parts]
    hidden = _logins(plain, live)
    shown = []
    for i, (part, text) in enumerate(zip(parts, plain, strict=True)):
        if i in hidden or (wary and not _is_ordinary(text)):
            shown.append(_hide(text))
        elif "=" in text:
            while "=" not in part:  # what is escaped once more than the first "=" is part of a value
                part = unquote(part)
            found = _fields(part)
            wary = wary or HIDDEN in found
            shown.append(parts[i] if found == part else found)
        elif _may_be_login(text) or _is_opaque(text):
            shown.append(_hide(text))
        else:
            shown.append(part)
    return "/".join(shown), wary


def _decoded(part: str) -> str:
    for _ in range(4):
        if "%" not in part or (text := unquote(part)) == part:
            break
        part = text
    return part


def _hide(text: str) -> str:
    """Return ``***`` with the ending of a file, by which it is told what it is."""
    ending = _ENDING.search(text)
    return HIDDEN + (ending[0] if ending is not None and not _is_opaque(ending[0]) and "=" not in text else "")


def _fields(text: str) -> str:
    """Return a part of a path that has pairs in it, such as ``user=admin&channel=1``."""
    if any(mark in text for mark in "/?#"):  # escaped, and so part of what is told
        return HIDDEN
    parts = re.split(r"([&;|\s])", text)
    told = [part if i % 2 or (i == 0 and "=" not in part and not _is_opaque(part)) else _pairs(part, True)
            for i, part in enumerate(parts)]  # fmt: skip
    return "".join(told)


def _pairs(text: str, wary: bool) -> str:
    """Return one pair of a name and a value, or several with ``_`` between them."""
    first, mark, rest = text.partition("=")
    parts = _NEXT_PAIR.split(rest)
    shown = [_pair(first + mark + parts[0], wary)]
    for part in parts[1:]:
        told = _pair(part, wary or shown[-1].endswith(HIDDEN))
        if told != HIDDEN or not shown[-1].endswith(HIDDEN):  # else the rest of a value, rather than a pair
            shown.append(told)
    return "_".join(shown)


def _pair(text: str, wary: bool) -> str:
    name, mark, value = text.partition("=")
    told = _decoded(value)
    if not mark:
        shown = text.lower() in _HARMLESS_NAMES or not text or (not wary and _TRIVIAL.fullmatch(text))
        return text if shown else HIDDEN
    known = name.lower() in _HARMLESS_NAMES
    secret = not known and _NAME.fullmatch(name) is not None and is_secret(name) and not _is_opaque(name)
    if (not value and (known or secret)) or (known and is_plain(told) and (len(told) <= 5 or not wary)):
        return text
    if known or secret:
        return f"{name}={HIDDEN}"
    if wary or len(name) > 3 or not name.isalpha():  # it may be a part of a secret itself
        return HIDDEN
    return text if _TRIVIAL.fullmatch(told) else f"{name}={HIDDEN}"


def is_secret(name: str) -> bool:
    """Return whether the value of a name in a URL is for nobody else."""
    return name.lower().endswith(_SECRET_ENDS) or not _SECRET_WORDS.isdisjoint(_words(name))


def _words(name: str) -> Iterable[str]:
    return (word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def is_plain(value: str) -> bool:
    """Return whether a value is of a few words, numbers, sizes or times, and no token."""
    if len(value) > 40 or "=" in value:
        return False
    return bool(_TIME.fullmatch(value)) or all(_PLAIN.fullmatch(word) for word in re.split(r"[._,+ -]", value))


def _is_ordinary(text: str) -> bool:
    """Return whether a part of a path is of words that cameras and media servers use, or the name of a file."""
    parts = re.split(r"[._-]", _ENDING.sub("", text))
    return len(text) <= 40 and all(
        (found := _STREAM_PART.fullmatch(part)) is not None and _STREAM_WORDS.issuperset(_words(found[1]))
        for part in parts
    )


def _logins(parts: list[str], live: bool) -> set[int]:
    """Return which parts of a path are a user or a password by where they stand."""
    hidden: set[int] = set()
    named = [i for i, part in enumerate(parts) if part]
    for before, i in itertools.pairwise(named):
        last = i == named[-1]
        if parts[before].lower() in _SECRET_WORDS or (
            parts[before].lower() in _LOGINS and not (last and _ENDING.search(parts[i]))
        ):
            hidden.add(i)
    if not live and len(named) >= 3 and _CHANNEL.fullmatch(parts[named[-1]]):  # television: /live/USER/PASSWORD/7.ts
        first = parts[named[0]].lower()
        if first in _IPTV and len(named) >= 4:
            hidden.update(named[1:3])
        elif len(named) == 3 and _CHANNEL_OF_USER.fullmatch(parts[named[2]]):
            hidden.update(i for i in named[:2] if not _is_ordinary(parts[i]))
    if live and len(named) >= 3:  # /USER/PASSWORD/stream
        hidden.update(i for i in named if not _is_ordinary(parts[i]))
    return hidden


def _may_be_login(text: str) -> bool:
    """Return whether a part of a path may be ``user:password``."""
    after = text.partition(":")[2]
    return bool(after) and not _TIME.fullmatch(text) and not _MEDIA.fullmatch(text)


def _is_opaque(text: str) -> bool:
    """Return whether a text looks like a token rather than words and numbers."""
    if _JWT.search(text):
        return True
    if any(_is_random(run) for run in _RUN.findall(text)):
        return True
    # keys of streams in groups, "a1b2-c3d4-e5f6"
    mixed = [run for run in _RUN.findall(text) if len(run) == 4 and re.search(r"\d[A-Za-z]|[A-Za-z]\d[A-Za-z]", run)]
    return len(mixed) >= 3


def _is_random(run: str) -> bool:
    if len(run) < 10:
        return False
    if _UNSPOKEN.search(run):
        return True
    length = len(run) / len(_TOKENS.findall(run))
    has_both = not run.isalpha() and not run.isdigit()
    if len(run) >= 16 and has_both and set(run) <= set("0123456789abcdef"):
        return True
    return length < (2.2 if len(run) < 20 else 3.2 if len(run) < 28 else 4.0)

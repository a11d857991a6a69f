"""URLs with a secret in them, as people, cameras and services write them: nothing that limner shows may hold it.

The secret is a random text, which is sought in what is shown as it is, decoded, in either case and in pieces; so this
knows nothing of how limner takes a URL apart.
"""

from __future__ import annotations

import random as numbers
import string
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

NAME = "addresses"
COUNT = 1_000_000
SHORT = 20_000

PIECE = 6  # characters of a secret of which nobody may see that many in a row
_LETTERS = string.ascii_letters + string.digits
_HARMLESS = "abcdefghijk"  # of hosts and words around a secret
# fmt: off
_SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "srt", "tcp", "udp", "rtp", "HTTP", "Rtsp", "ftp", "mms")
_NAMES = (
    "password", "Password", "PASS", "pwd", "passwd", "pw", "psw", "token", "access_token", "accessToken", "auth", "key",
    "api_key", "apikey", "X-Amz-Signature", "X-Amz-Security-Token", "X-Goog-Signature", "sig", "Signature", "Policy",
    "Key-Pair-Id", "hdnts", "hmac", "jwt", "session", "sid", "_sid", "user", "usr", "login", "loginpas", "loginuse",
    "u", "p", "st", "e", "md5", "hash", "wmsAuthSign", "wsSecret", "txSecret", "auth_key", "streamid", "passphrase",
    "code", "ticket", "secret", "client_secret", "refresh_token", "id_token", "authorization", "Cookie", "credentials",
    "se", "skoid", "x", "foo", "data", "cfg", "user[password]", "pass%77ord", "P%41SSWORD", "k", "url", "next",
    "password[]", "X-Plex-Token", "rtsp_password", "camera-password", "Passwort", "pin", "accesskey", "nonce", "cnonce",
)
_WORDS = ("live", "stream1", "cam", "video.mp4", "snapshot.jpg", "h264", "main", "media", "index.m3u8", "1", "ch0", "")
_ODD = "/?#@:;&=%+!$'()*,~ \\|\"<>^`{}[]é€\t"
# fmt: on


class Case(NamedTuple):
    """A URL and what it must keep to itself."""

    address: str
    secrets: tuple[str, ...]


def _secret(random: numbers.Random, *, odd: str = "") -> str:
    kind = random.randrange(5)
    size = random.randint(PIECE, 24)
    if kind == 0:
        text = "".join(random.choice("0123456789abcdef") for _ in range(size))
    elif kind == 1:
        text = "".join(random.choice(string.digits) for _ in range(size + 4))
    elif kind == 2:
        text = "".join(random.choice(string.ascii_lowercase) for _ in range(size)) + str(random.randint(0, 99))
    else:
        text = "".join(random.choice(_LETTERS) for _ in range(size))
    for _ in range(random.randint(1, 3) if odd and random.random() < 0.5 else 0):
        at = random.randint(0, len(text))
        text = text[:at] + random.choice(odd) + text[at:]
    return text


def _written(random: numbers.Random, text: str, keep: str = "") -> str:
    """Return a text as one writes it into a URL: escaped, escaped twice, all of it, or as it is but for some signs."""
    way = random.randrange(6)
    if way == 0:
        return "".join(f"%{byte:02x}" if random.random() < 0.5 else f"%{byte:02X}" for byte in text.encode())
    if way == 1:
        return quote(quote(text, safe=""), safe="")
    if way == 2 and keep:
        return "".join(c if c in _LETTERS or c in keep else quote(c, safe="") for c in text)
    return quote(text, safe="")


def _host(random: numbers.Random) -> str:
    name = random.choice(("192.168.1.9", "cam.local", "h", "[::1]", "example.org", "203.0.113.7"))
    return name + random.choice(("", "", ":554", ":8080", ":80"))


def _path(random: numbers.Random) -> str:
    return "/" + "/".join(random.choice(_WORDS) for _ in range(random.randint(0, 3)))


def _query(random: numbers.Random) -> str:
    pairs = ("channel=1", "subtype=0", "resolution=640x480", "fps=15", "t=10", "id=7", "stream=main", "X-Amz-Date=2")
    return "&".join(random.sample(pairs, random.randint(0, 2)))


def _login(random: numbers.Random, secret: str) -> str:
    # "/", "?" and "#" in a password that should have been escaped; an "@" further on would hide more, not less
    raw = "".join(c for c in secret if c not in " \t\"'<>`")
    password = raw if random.random() < 0.3 else _written(random, secret, "@:;&=+!$*,~")
    user = random.choice(("admin", "root", "a.b", "joe%40home", ""))
    return f"{user}:{password}@{_host(random)}{_path(random)}"


def _in_login(random: numbers.Random) -> tuple[str, str]:
    secret = _secret(random, odd=_ODD)
    address = _login(random, secret)
    if random.random() < 0.3:
        address += "?" + _query(random)
    return address, secret


def _in_user(random: numbers.Random) -> tuple[str, str]:
    secret = _secret(random, odd="%+!$*,~")
    after = random.choice(("", ":", ":x", ":x-oauth-basic"))
    return f"{_written(random, secret, '+!$*,~')}{after}@{_host(random)}{_path(random)}", secret


def _in_query(random: numbers.Random) -> tuple[str, str]:
    secret = _secret(random, odd=_ODD)
    value = _written(random, secret, "/?@:=+!$*,~'()|")
    mark = random.choice(("?", "?", "?", "#", "?#", "#?", "??", "#!"))
    pair = f"{random.choice(_NAMES)}={value}" if random.random() < 0.9 else value
    pairs = [_query(random), pair, _query(random)]
    random.shuffle(pairs)
    return _host(random) + _path(random) + mark + random.choice("&&&;").join(filter(None, pairs)), secret


def _in_pairs(random: numbers.Random) -> tuple[str, str]:
    """user=admin_password=SECRET_channel=1_stream=0.sdp"""
    secret = _secret(random, odd="@:+!$*,~%=-.")
    value = _written(random, secret, "@:+!$*,~=-.")
    mark = random.choice("__&;")
    name = random.choice(("password", "pwd", "pass", "Password", "token", "psw"))
    pairs = [f"user={random.choice(('admin', 'a_b', ''))}", f"{name}={value}", "channel=1", "stream=0.sdp"]
    if random.random() < 0.3:
        pairs = [pairs[1], pairs[2], pairs[0]]
    text = mark.join(pairs)
    text = quote(text, safe="%") if random.random() < 0.2 else text
    return (
        f"{_host(random)}/{random.choice(('', 'live/', 'cam;'))}{text}{random.choice(('', '?real_stream', '/1'))}",
        secret,
    )


def _in_path(random: numbers.Random) -> tuple[str, str]:
    """/live/USER/PASSWORD/7.ts, /USER:PASSWORD/main, /admin/PASSWORD/stream, /token/SECRET/index.m3u8 ..."""
    secret = _secret(random)
    text = _written(random, secret)
    number, ending = random.randint(1, 99999), random.choice(("", ".ts", ".m3u8"))
    path = random.choice((
        f"live/joe/{text}/{number}{ending}", f"{text}/joe/{number}{ending}", f"joe/{text}/{number}{ending}",
        f"movie/joe/{text}/{number}.mkv", f"0/joe:{text}/main", f"joe:{text}/ch1", f"admin/{text}/stream",
        f"user/joe/password/{text}/cam", f"token/{text}/index.m3u8", f"hls/key/{text}/1.ts", f"root/{text}/main/av",
        f"x.ts|User-Agent=a&Authorization=Basic%20{text}", f"auth/{text}", f"s;jsessionid={text}/x.jpg",
    ))  # fmt: skip
    return f"{_host(random)}/{path}", secret


def _in_token(random: numbers.Random) -> tuple[str, str]:
    """A token that is a part of the path."""
    token = "".join(random.choice(_LETTERS) for _ in range(random.randint(32, 64)))
    if random.random() < 0.3:
        token = "eyJ" + token + "." + token[::-1] + "." + token[5:]
    return (
        f"{_host(random)}{random.choice(('/video', '', '/a/b'))}/{token}{random.choice(('', '/main.m3u8', '/'))}",
        token,
    )


def _around(random: numbers.Random, rest: str) -> str:
    """Put a scheme before a URL, or what people and programs put there."""
    scheme = random.choice(_SCHEMES)
    plain = f"{scheme}://{rest}"
    return random.choice((
        plain, plain, plain, plain, plain, plain, f"concat:{plain}", f"async:{plain}", f" {plain}",
        f"{scheme}:////{rest}", f"http://proxy.example/{plain}", f"crypto+{plain}",
    ))  # fmt: skip


def make(random: numbers.Random, folder: Path) -> Case:
    """Return a URL with a secret in one place of those where they are."""
    if random.random() < 0.15:  # of a stream, whose key may be a part of the path
        first, second = _secret(random), _secret(random)
        scheme = random.choice(("rtsp", "rtsps", "rtmp", "srt"))
        last = random.choice(("stream", "main", "ch1", "live.sdp"))
        return Case(f"{scheme}://{_host(random)}/{first}/{_written(random, second)}/{last}", (second,))
    places = (_in_login, _in_login, _in_user, _in_query, _in_query, _in_query, _in_pairs, _in_path, _in_token)
    rest, secret = random.choice(places)(random)
    return Case(_around(random, rest), (secret,))


def shown(address: str) -> list[str]:
    """Return what limner would show of a URL, as far as that needs no server: of one in eight all of it."""
    from limner.errors import InputError
    from limner.masking import masked, masked_text
    from limner.sources.addresses import input_at
    from limner.sources.inputs import Input
    from limner.video.inputs import display_name

    texts = [masked(address)]
    if len(address) % 8:
        return texts
    texts += [Input("a", address=address).source, display_name(address), masked(texts[0])]
    error = InputError(f"{masked(address)} cannot be read: check it")
    texts += [repr(error), repr(Input("a", address=address))]
    if not set(address) & set(" \t'\"<>`"):  # where such a URL ends in a sentence is not to be known
        error = InputError(f"'{address}' cannot be read: {address}; check it, or another URL")
        texts += [str(error), repr(error), masked_text(f"Error opening {address}: Input/output error")]
    if not address.lower().startswith(("http", "file")):  # those would be asked, or opened
        try:
            item = input_at(address)
            texts += [item.name, item.source, repr(item), item.stem]
        except InputError as problem:
            texts += [str(problem), problem.source]
    return texts


def attempt(case: Case) -> None:
    """Raise AssertionError where a secret, or a piece of it, is shown."""
    for text in shown(case.address):
        for secret in case.secrets:
            found = leak(secret, text)
            assert not found, f"{found!r} of {secret!r} in {text!r} of {case.address!r}"


def leak(secret: str, text: str) -> str:
    """Return the piece of a secret that a text has, as it is or decoded, in whatever case."""
    pieces = {secret[i : i + PIECE].lower() for i in range(max(1, len(secret) - PIECE + 1))}
    for _ in range(4):
        low = text.lower()
        for piece in pieces:
            if piece in low:
                return piece
        if (decoded := unquote(text)) == text:
            break
        text = decoded
    return ""

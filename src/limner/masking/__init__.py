"""What no message, log, output or name may show: the secrets in URLs, and bytes that are no text.

Nearly anything in a URL may be a secret, and each camera and service has names of its own. So it is not the secrets
that are sought: what is known to be harmless stays, and all else in a login, query or fragment becomes ``***``.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

from .pieces import HIDDEN, in_path, in_query, is_secret

_SCHEME = re.compile(r"(?:file://|[A-Za-z][A-Za-z0-9+.-]*:/{2,})", re.IGNORECASE)
# all up to the last "@", as "/", "@" and "#" that should have been escaped may be part of a password
_LOGIN = re.compile(r"(?:[^/?#@:\[]*:.*|[^/?#]+)@", re.DOTALL)
_HOST = re.compile(r"(?:\[[0-9A-Za-z:.%]*\]|[^\s:@%\[\]]*)(?::\d{0,5})?")
_PORT = re.compile(r"[^/?#@:\[]*:\d{0,5}[/?#]")  # or a password of digits, with a sign that should have been escaped
_SURE_HOST = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\]|localhost)(?::\d{1,5})?")
_PAIR = re.compile(r"(?<=[?&;#/_])([A-Za-z0-9._-]+)=[^&;#]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL_IN_TEXT = re.compile(_SCHEME.pattern + r"[^\s'\"<>`]*", re.IGNORECASE)
_AFTER_A_URL = ".,;:!)]}"  # what ends a sentence rather than a URL
# a login without a scheme before it, "admin:secret@192.168.1.9"; a letter and a colon are a drive
_LOGIN_IN_TEXT = re.compile(r"(?<![^\s'\"(,=|/])(?![A-Za-z]:[\\/])[^\s/\\:@'\"|]+:(?!//)[^\s@'\"]+@(?=[A-Za-z0-9\[])")
_EXAMPLE = "user:password@"  # of our own hints


def printable(text: str) -> str:
    """Return a text in which the bytes of a file name that are not UTF-8 are written as ``\\xe9``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half of a character, which is no name of a file
            data = text.encode("utf-8", "replace")
        return data.decode("utf-8", "backslashreplace")
    return text


def masked(address: str) -> str:
    """Return a path or URL fit for messages and outputs: what may be secret in a URL becomes ``***``.

    That is the user and password; each value in the query and the fragment but those with harmless names, such as
    ``channel=1``; pairs of a name and a value in the path, as some cameras have them; names and passwords that are
    parts of the path (``/live/USER/PASSWORD/7.ts``); and parts that look like a token. A path stays as it is, but
    its bytes that are not UTF-8 become text such as ``\\xe9``, as JSON and other files of text cannot hold them.

    It is its own fixed point: what is masked stays as it is.
    """
    address = printable(address)
    scheme = _SCHEME.search(address)
    return address if scheme is None else address[: scheme.start()] + _masked_url(scheme[0], address[scheme.end() :])


def _masked_url(scheme: str, rest: str) -> str:
    """Return a URL whose secrets are masked, given what stands before its host and all else."""
    rest = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", rest)
    login = ""
    wary = False
    if rest.startswith("@"):  # of a multicast group, without a login
        login, rest = "@", rest[1:]
    elif (found := _LOGIN.match(rest)) is not None:
        login, rest = f"{HIDDEN}@", rest[found.end() :]
        wary = _PORT.match(found[0]) is not None
    host, path, query = _split(rest)
    if wary and not _SURE_HOST.fullmatch(host):  # the "@" may as well stand in a path or a query
        host = HIDDEN
    live = scheme.partition(":")[0].lower() not in ("http", "https", "ftp", "ftps", "file")
    inner = _SCHEME.search(path)
    if inner is not None:  # of another URL in the path of this one
        shown, _ = in_path(path[: inner.start()], live, wary)
        return scheme + login + _host(host) + shown + _masked_url(inner[0], path[inner.end() :] + query)
    path, wary = in_path(path, live, wary)
    return scheme + login + _host(host) + path + in_query(query, wary)


def masked_text(text: str) -> str:
    """Return a sentence or several, of limner's or a library's, in which the URLs are masked as by `masked`.

    A password with blanks or quotes in it ends where those are: mask an address before it is put into a sentence.
    """
    if "://" in text:
        text = _URL_IN_TEXT.sub(_masked_in_text, text)
    if "@" in text:
        text = _LOGIN_IN_TEXT.sub(lambda found: found[0] if _EXAMPLE in found[0] else f"{HIDDEN}@", text)
    return text


def identity(address: str) -> str:
    """Return a text that differs where two URLs do, and shows no more than `masked`; not where passwords alone do."""
    shown = masked(address)
    if shown == address:
        return shown
    rest = _PAIR.sub(lambda found: found[1] if is_secret(found[1]) else found[0], address.rpartition("@")[2])
    return f"{shown} {hashlib.sha256(rest.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _masked_in_text(found: re.Match[str]) -> str:
    if _EXAMPLE in found[0]:
        return found[0]
    url = found[0].rstrip(_AFTER_A_URL)
    return masked(url) + found[0][len(url) :]


def _split(rest: str) -> tuple[str, str, str]:
    """Return host, path and all from the first ``?`` or ``#`` on."""
    end = next((i for i, c in enumerate(rest) if c in "/?#"), len(rest))
    host, rest = rest[:end], rest[end:]
    end = next((i for i, c in enumerate(rest) if c in "?#"), len(rest))
    return host, rest[:end], rest[end:]


def _host(host: str) -> str:
    """Return a host, without what may be a password that lacks its ``@``, or has it escaped."""
    if _HOST.fullmatch(host):
        return host
    if "@" in unquote(unquote(host)) or any(c in host for c in " \\"):
        return HIDDEN
    return f"{host.partition(':')[0]}:{HIDDEN}" if ":" in host and "[" not in host else HIDDEN

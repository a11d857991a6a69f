"""Servers: who asks them, the certificates that are trusted, and in words why one does not give what is asked for."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..masking import masked_text

if TYPE_CHECKING:
    from http.client import HTTPResponse


_CONTROL = "".join(map(chr, (*range(32), 127)))  # left as they are: a URL with them is refused

# for messages about URLs
ESCAPES = "in a password write # as %23, / as %2F, ? as %3F and @ as %40, as they end it otherwise"


def user_agent() -> str:
    """Return what limner calls itself in every request: many hosts refuse the default names of libraries."""
    from .. import __version__

    return f"limner/{__version__}"


def tls() -> Any:
    """Return the system's certificates, or those of certifi where the system has none."""
    import ssl

    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and not os.environ.get("SSL_CERT_DIR"):
        import certifi  # comes with pooch

        context.load_verify_locations(certifi.where())
    return context


class SlowError(TimeoutError):
    """A server sends too little in too long a time."""


class RedirectError(OSError):
    """A server sends on to where limner does not follow; the message says where, in half a sentence."""


def open_url(
    address: str, timeout: float, headers: Mapping[str, str] | None = None, limit: float | None = None
) -> HTTPResponse:
    """Ask for an http or https URL and return the response, see `opening.open_url`."""
    from . import opening  # loads what files do without

    return opening.open_url(address, timeout, headers, limit)


def needs_escapes(address: str) -> bool:
    """Return whether a password certainly holds characters that end it, such as ``/``, ``?`` and ``#``."""
    match = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#@\[\]]*:([^/?#@]*))[/?#].*@", address, re.DOTALL)
    return match is not None and not match[2].isdigit()  # digits would be a port


def quoted(address: str) -> str:
    """Return a URL in which blanks, umlauts and other characters that no URL may hold are escaped."""
    return quote(address, safe="%/:?#[]@!$&'()*+,;=~|\\^{}`\"<>" + _CONTROL)


def reason(error: Exception, timeout: float) -> str:
    """Return in half a sentence why `open_url`, or reading what it returns, failed, and what to do."""
    import http.client
    import ssl
    from urllib.error import HTTPError

    if isinstance(error, HTTPError):
        error.close()
        return refusal(error.code, error.headers.get("Retry-After") if error.headers is not None else None)
    cause = getattr(error, "reason", None)
    cause = cause if isinstance(cause, Exception) else error
    if isinstance(cause, (SlowError, RedirectError)):
        return f"{cause}; check the URL"
    if isinstance(cause, TimeoutError):
        return f"nothing came for {timeout:g} s; check that it is running"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({cause.verify_message.rstrip('.')}); for your own one, "
            "set the environment variable SSL_CERT_FILE to its file; check the URL"
        )
    if isinstance(cause, ssl.SSLError):
        why = str(cause.reason or "it breaks off").replace("_", " ").lower()
        return f"no secure connection is made ({why}); check the URL, and whether it begins with http:// instead"
    if isinstance(cause, http.client.InvalidURL):  # which quotes the URL
        if "control" in str(cause):
            return "it holds characters that no URL may hold; check it for stray ones"
        return f"its host or port is not valid; check the URL, and {ESCAPES}"
    if isinstance(cause, ConnectionRefusedError):
        return "nothing answers there; check the URL, its host and port, and that it is running"
    if isinstance(cause, socket.gaierror):
        return "its host is not known; check the URL and the network"
    if isinstance(cause, http.client.HTTPException):
        return "what answers there is no web server, or it broke off; check the URL"
    return f"{plain_reason(cause)}; check the URL and the network"


def plain_reason(error: BaseException) -> str:
    """Return the words of an error in lower case, without the numbers and brackets that systems put around them."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return os.strerror(number).lower()
    text = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
    return masked_text(str(text)).rstrip(".").lower() or type(error).__name__


def refusal(code: int, retry_after: str | None = None) -> str:
    """Return in half a sentence what a server says with the number of a status, and what to do."""
    says = f"its server answers {code}"
    if 300 <= code < 400:
        return f"{says} and sends on and on to other URLs; check the URL"
    if code == 401:
        return f"{says} and refuses access; put a user and password in the URL: scheme://user:password@host/..."
    if code == 403:
        return (
            f"{says} and refuses access: it wants a login, the link has expired, or it serves browsers only; "
            "download it with a browser and give the file"
        )
    if code in (404, 410):
        return f"{says}: it has nothing at this URL; check the URL"
    if code == 407:
        return f"the proxy answers {code} and wants a user and password; set them in the variable https_proxy"
    if code == 429:
        wait = f"{retry_after} seconds" if retry_after and retry_after.isdigit() else "a while"
        return f"{says}: too many requests came; wait {wait} and try again"
    if code == 408 or code >= 500:
        return f"{says}: it fails itself, and the URL may be right; try again later"
    return f"{says}; check the URL"

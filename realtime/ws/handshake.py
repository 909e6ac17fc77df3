"""May this request become a WebSocket connection? Decided before the upgrade, in HTTP's words.

A browser sends cookies and reaches loopback on behalf of any page it shows, and WebSocket
requests are not bound by the same-origin policy. What a page cannot forge is the Origin header, so
that is what is checked; programs other than browsers send none and are let through.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

__all__ = ["PATH", "Frames", "Rejection", "bearer", "rejection"]

PATH = "/connection/websocket"


class Frames(ServerProtocol):
    """The WebSocket protocol, sans-I/O, without extensions and without subprotocols.

    Compression stays off: it cannot be shared between connections, costs each of them 30 KiB
    and more, and some clients then reorder what they send.
    """

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Not even parsed: old stock clients send this header empty, which is not allowed."""
        return None


class Rejection(NamedTuple):
    """An HTTP answer instead of a connection."""

    status: HTTPStatus
    detail: str


def rejection(request: Request, allowed_origins: frozenset[str]) -> Rejection | None:
    """Why the request is turned away; None lets it in."""
    if request.path.partition("?")[0] != PATH:
        return Rejection(HTTPStatus.NOT_FOUND, f"WebSocket connections go to {PATH}")
    if not _may_come_from(_only(request.headers, "Origin"), request.headers, allowed_origins):
        return Rejection(HTTPStatus.FORBIDDEN, "pages of this origin may not connect")
    return None


def bearer(headers: Headers) -> str:
    """The key of an ``Authorization: Bearer`` header; empty if there is none."""
    scheme, _, credentials = (_only(headers, "Authorization") or "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""


def _may_come_from(origin: str | None, headers: Headers, allowed: frozenset[str]) -> bool:
    if origin is None or "*" in allowed or origin in allowed:
        return True
    try:
        page = urlsplit(origin)
    except ValueError:
        return False
    return page.scheme in ("http", "https") and page.netloc == (_only(headers, "Host") or "")


def _only(headers: Headers, name: str) -> str | None:
    """A header that comes once; of several, what no header can be: they contradict each other."""
    try:
        return headers.get(name)
    except MultipleValuesError:
        return "several"

"""May this request become a WebSocket connection? Decided before the upgrade, in HTTP's words.

A browser reaches us on behalf of any page it shows, and WebSocket requests are not bound by
the same-origin policy. What a page cannot forge is the Origin header, so that is what is
checked: our own pages may connect, those that are allowed by name, and programs, which send
none. While no key exists `realtime.origins` says who else may, and who may not.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import NamedTuple

from websockets.datastructures import Headers, MultipleValuesError
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.http11 import Request, Response
from websockets.protocol import Protocol
from websockets.server import ServerProtocol
from websockets.typing import StatusLike, Subprotocol

from realtime.origins import is_local_host, is_local_origin

__all__ = ["PATH", "Frames", "Rejection", "bearer", "foreign", "rejection"]

PATH = "/connection/websocket"


_DEFLATE = (
    ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        compress_settings={"level": 1},  # unused: only control frames are sent by this layer
    ),
)


class Frames(ServerProtocol):
    """The WebSocket protocol, sans-I/O, without subprotocols.

    Compression is off unless it is asked for: some clients then reorder what they send. It is
    negotiated without context takeover on either side: what is compressed for one connection is
    right for all, and neither side keeps 30 KiB and more for the next message.
    """

    def __init__(self, max_size: int, logger: logging.Logger, *, deflate: bool) -> None:
        extensions = _DEFLATE if deflate else None
        super().__init__(max_size=max_size, logger=logger, extensions=extensions)

    @property
    def window_bits(self) -> int:
        """How far back the peer can look in what is compressed for it; 0: it takes nothing such."""
        for extension in self.extensions:
            if isinstance(extension, PerMessageDeflate):
                return extension.local_max_window_bits
        return 0

    def begin(self) -> None:
        """The request is answered: forget it. Its headers would stay as long as the connection.

        The parser knows it as long as it has not begun anew, and it has read nothing else yet.
        """
        self.parser.close()
        self.parser = Protocol.parse(self)
        next(self.parser)

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Not even parsed: old stock clients send this header empty, which is not allowed."""
        return None

    def reject(self, status: StatusLike, text: str, retry_after: int = 0) -> Response:
        """The answer to a request that becomes no connection; see `Rejection`."""
        response = super().reject(status, text)
        if retry_after:
            response.headers["Retry-After"] = str(retry_after)
        return response


class Rejection(NamedTuple):
    """An HTTP answer instead of a connection."""

    status: HTTPStatus
    detail: str
    retry_after: int = 0
    """Seconds; 0: waiting does not help."""


def rejection(
    request: Request, *, allowed_origins: frozenset[str], is_open: bool
) -> Rejection | None:
    """Why the request is turned away; None lets it in. ``is_open``: no key exists."""
    if request.path.partition("?")[0] != PATH:
        return Rejection(HTTPStatus.NOT_FOUND, f"WebSocket connections go to {PATH}")
    host, origin = _only(request.headers, "Host") or "", _only(request.headers, "Origin")
    return foreign(host, origin, allowed_origins=allowed_origins, is_open=is_open)


def foreign(
    host: str, origin: str | None, *, allowed_origins: frozenset[str], is_open: bool
) -> Rejection | None:
    """Why the page of an origin may not connect, by whatever transport; None lets it."""
    if is_open and not is_local_host(host):
        return Rejection(HTTPStatus.FORBIDDEN, "without keys only names of this machine are served")
    if origin is None or not allowed_origins.isdisjoint((origin, "*")):
        return None
    if _is_own(origin, host) or (is_open and is_local_origin(origin)):
        return None
    return Rejection(HTTPStatus.FORBIDDEN, "pages of this origin may not connect")


def bearer(headers: Headers) -> str:
    """The key of an ``Authorization: Bearer`` header; empty if there is none."""
    scheme, _, credentials = (_only(headers, "Authorization") or "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""


def _is_own(origin: str, host: str) -> bool:
    """Whether a page comes from where it wants to connect to."""
    scheme, _, where = origin.partition("://")
    return scheme in ("http", "https") and where.lower() == host.lower()


def _only(headers: Headers, name: str) -> str | None:
    """A header that comes once; of several, what no header can be: they contradict each other."""
    try:
        return headers.get(name)
    except MultipleValuesError:
        return "several"

"""The HTTP server: uvicorn, with what a hostile network makes necessary.

uvicorn's parser rejects malformed requests, but waits for slow ones for ever and takes
headers of any size. `BoundedHttp` adds the bounds: how long a request may take to arrive,
how large and how many its headers may be, how many connections there are. What breaks a
bound gets a problem document and its connection is closed; nobody else notices.

One sweep a second looks at every connection's clock: no timer per request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

__all__ = ["BoundedHttp", "HttpBounds", "cut_off_slow_requests"]


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """Bounds of every HTTP connection. Times are seconds."""

    header_timeout: float = 10.0
    """From the connection, or a request's first byte, to the end of its headers."""
    request_timeout: float = 30.0
    """From a request's first byte to the last of its body."""
    max_header_bytes: int = 32 * 1024
    """The request line and all headers; a browser sends about 1 KiB."""
    max_headers: int = 100
    max_connections: int = 50_000
    idle_timeout: float = 75.0
    """Between two requests of a connection that is kept alive."""


class _Rejected(Exception):
    """Raised inside a parser's callback to stop it; ``BoundedHttp`` keeps the status."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol within `HttpBounds`."""

    bounds: HttpBounds
    is_ready: Callable[[], bool]
    """Whether WebSockets are let in; HTTP requests find out for themselves."""
    gate: Callable[[asyncio.Transport], asyncio.Transport] | None = None
    """What all that is written must pass, also by the WebSocket that a connection may become."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.arriving_since: float | None = None
        """When the request that is arriving began; None while none is."""
        self.idle_since: float | None = None
        """When the last answer was written, if nothing has come since."""
        self.in_head = True
        self._head_bytes = 0
        self._hosts = 0
        self._rejection: tuple[HTTPStatus, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport if self.gate is None else self.gate(transport))
        self.arriving_since = self.loop.time()
        if len(self.connections) > self.bounds.max_connections:
            self.reject(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        # A header that has not ended yet was never handed to us: count what came instead.
        if (
            self.in_head
            and self._head_bytes > self.bounds.max_header_bytes
            and not self.transport.is_closing()
        ):
            self._reject_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.check_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.end_message()
        super().on_message_complete()

    def begin_head(self) -> None:
        """A request's first byte is here."""
        self.arriving_since = self.loop.time()
        self.in_head = True
        self._hosts = 0

    def check_head(self) -> None:
        """A request's headers are here. Raises what stops the parser."""
        self.in_head = False
        headers = self.headers
        size = len(self.url) + sum([len(name) + len(value) + 4 for name, value in headers])
        if size > self.bounds.max_header_bytes or len(headers) > self.bounds.max_headers:
            self.stop(*_TOO_LARGE)
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() == "1.1"):
            self.stop(HTTPStatus.BAD_REQUEST, "a request names its host exactly once")

    def stop(self, status: HTTPStatus, detail: str) -> NoReturn:
        """Reject from within a callback of the parser, which reads no further."""
        self._rejection = (status, detail)
        raise _Rejected

    def end_message(self) -> None:
        """A request's last byte is here; the next one may begin within the same read."""
        self.arriving_since = None
        self.in_head = True
        self._head_bytes = 0

    def progressed(self) -> None:
        """The request that arrives is worked off meanwhile: its time begins anew."""
        if self.arriving_since is not None:
            self.arriving_since = self.loop.time()

    def handle_websocket_upgrade(self) -> None:
        self.arriving_since = None
        if self.is_ready():
            super().handle_websocket_upgrade()
            self.parser = None  # it refers to us: else both would wait for the collector
        else:
            self.reject(HTTPStatus.SERVICE_UNAVAILABLE, "the service is not ready yet")

    def send_400_response(self, msg: str) -> None:
        status, detail = self._rejection or (HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")
        self.reject(status, detail)

    def reject(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem document and close. A response under way is only cut off."""
        self.arriving_since = None
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_problem(status, detail))
        self.transport.close()

    def is_late(self, now: float) -> bool:
        """Whether the request that is arriving has taken too long."""
        since = self.arriving_since
        if since is None:
            return False
        bounds = self.bounds
        return now - since > (bounds.header_timeout if self.in_head else bounds.request_timeout)

    def is_idle(self, now: float) -> bool:
        """Whether nothing has come for so long that nothing is expected any more."""
        since = self.idle_since
        return since is not None and now - since > self.bounds.idle_timeout

    def _reject_head(self) -> None:
        self.reject(*_TOO_LARGE)


_TOO_LARGE = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large or too many")


def cut_off_slow_requests(connections: Iterable[object], now: float) -> None:
    """Close what takes too long to arrive, and what is kept alive for nothing. O(connections)."""
    ours = [connection for connection in connections if isinstance(connection, BoundedHttp)]
    for connection in ours:
        if connection.is_late(now):
            connection.reject(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive")
        elif connection.is_idle(now):
            connection.transport.close()


def _problem(status: HTTPStatus, detail: str) -> bytes:
    code = status.phrase.lower().replace(" ", "-")
    document = {
        "type": f"/docs/errors#{code}",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
    }
    body = json.dumps(document).encode()
    retry = b"retry-after: 1\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else b""
    return (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
        b"%bconnection: close\r\n\r\n%b" % (status, status.phrase.encode(), len(body), retry, body)
    )

"""A conversation whose answers are the body of one HTTP response, which ends with it.

uvicorn parses the request. Once it has arrived, the stream takes the transport over from
uvicorn, as a WebSocket connection does after its upgrade, and with the same effect: no task,
no message and no copy per publication. It is a response in chunks (RFC 9112, section 7.1).

    head ─> chunk, chunk, … (shared by all streams with this framing) ─> the close, last chunk

The peer has said all it has to say on this connection. What comes all the same is read, for
only then one hears that it has hung up, and is thrown away. A peer that closes its half of the
connection is taken for one that has hung up, as proxies take it.
"""

from __future__ import annotations

import asyncio

from realtime.ws.client import Client
from realtime.ws.codes import Close
from realtime.ws.conversation import Conversation, State
from realtime.ws.outbox import Outbox

__all__ = ["Headers", "Stream", "head"]

Headers = tuple[tuple[bytes, bytes], ...]

_HEAD = (
    b"HTTP/1.1 200 OK\r\n%b"
    b"content-type: %b\r\n"
    b"cache-control: no-store\r\n"
    b"x-accel-buffering: no\r\n"  # nginx and others pass every chunk on as it comes
    b"x-content-type-options: nosniff\r\n"
    b"transfer-encoding: chunked\r\n"
    b"connection: close\r\n\r\n"
)


def head(media: bytes, headers: Headers) -> bytes:
    """The head of the response. What is behind it is the framing's."""
    return _HEAD % (b"".join([b"%b: %b\r\n" % pair for pair in headers]), media)


class Stream(Conversation):
    """A conversation in one response; how commands come is up to its kinds."""

    __slots__ = ()

    def take_over(self, transport: asyncio.Transport, outbox: Outbox, client: Client) -> None:
        """From here on the connection is this stream's."""
        self._transport = transport
        self._outbox = outbox
        self._client = client
        transport.set_protocol(self)
        self._connections.add(self)
        self._state = State.OPEN
        self._door.hub.connections += 1
        self._door.hub.wheel.set(self, self._door.options.connect_timeout)

    def data_received(self, data: bytes) -> None:
        """Nothing that is said here matters any more."""

    def eof_received(self) -> None:
        self._outbox.cut()
        self._leave_open(State.GONE)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end()

    def close(self, close: Close) -> None:
        super().close(close)
        self._end()

    def _end(self) -> None:
        """Once the last chunk is with the transport, the response is complete."""
        if self._state is State.CLOSING and not self._outbox.holds:
            self._outbox.half_close()

"""One WebSocket connection, from uvicorn's upgrade to the last byte.

uvicorn parses the HTTP request, and on an upgrade hands the transport to what
`websocket_protocol` makes. From there on no ASGI is involved: ASGI wants every message
encoded, framed and sent per connection, and fan-out is fast because it does those once.

    transport ─> Frames ─> Conversation: backlog of commands ─> Client
    transport <─ Outbox <─ Hub (shared frames) and Client (replies)

What is here is WebSocket's own: the handshake, and frames. The rest is the `Conversation`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN

from realtime.ws import codes, messages
from realtime.ws.client import Client
from realtime.ws.codes import Close
from realtime.ws.conversation import Conversation, State
from realtime.ws.door import Door, Options
from realtime.ws.framing import deflated
from realtime.ws.handshake import Frames, bearer, rejection
from realtime.ws.outbox import Outbox

__all__ = ["Connection", "Options", "websocket_protocol"]

log = logging.getLogger("websockets.server")
"""Of the frame parser, which would look it up for every connection."""


def websocket_protocol(door: Door) -> Callable[..., Connection]:
    """What uvicorn's ``Config(ws=...)`` makes connections with."""
    return partial(Connection, door)


class Connection(Conversation):
    """A conversation in WebSocket frames."""

    __slots__ = ("_deaf", "_fragments", "_frames")

    def __init__(
        self, door: Door, *, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(door, server_state)
        self._frames = Frames(door.options.message_bytes, log, deflate=door.options.deflate)
        self._deaf = False
        """The backlog ends in a close: what comes after it does not count."""
        self._fragments = bytearray()

    # What the event loop and uvicorn call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        door = self._door
        self._transport = transport
        self._outbox = Outbox(door.hub, transport, door.options.queue_bytes, self.close)
        self._client = Client(door, self._outbox, self.close, self._perform)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        frames = self._frames
        frames.receive_data(data)
        for event in frames.events_received():
            if isinstance(event, Request):
                self._greet(event)
            elif isinstance(event, Frame) and self._state is State.OPEN and not self._deaf:
                self._receive(event)
        if self._state is State.OPEN:
            self._work()
        self._answer_frames()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._frames.parser.close()  # it refers to itself: without this it waits for the collector

    def _goodbye(self, close: Close) -> bytes:
        if self._frames.state is OPEN:  # else its close frame is waiting to be sent already
            self._frames.send_close(*close)
        return b"".join(self._frames.data_to_send())

    # Frames

    def _greet(self, request: Request) -> None:
        door, frames = self._door, self._frames
        refused = rejection(
            request, allowed_origins=door.options.allowed_origins, is_open=door.access.open
        )
        credentials = bearer(request.headers)
        if refused is None:
            refused = door.turn_away(credentials)
        response = frames.accept(request) if refused is None else frames.reject(*refused)
        frames.send_response(response)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return
        self._transport.write(b"".join(frames.data_to_send()))
        frames.begin()
        if frames.window_bits:
            self._outbox.framing = deflated(door.options.deflate_bytes, frames.window_bits)
        self._state = State.OPEN
        self._client.bearer = credentials
        door.hub.connections += 1
        door.hub.wheel.set(self, door.options.connect_timeout)

    def _receive(self, frame: Frame) -> None:
        """Collect the commands of text frames; what else matters is `_answer_frames`' business."""
        if frame.opcode in _CONTROL or not frame.fin:
            # It costs us something, and is no command that could be counted.
            overdone = self._client.quota.note()
            if overdone is not None:
                self._close_in_turn(overdone)
                return
        if frame.opcode is Opcode.BINARY:
            self._close_in_turn(codes.CLOSE_INAPPROPRIATE.because("we speak JSON in text frames"))
        elif frame.opcode is Opcode.TEXT or frame.opcode is Opcode.CONT:
            self._fragments += frame.data
            if frame.fin:
                message, self._fragments = self._fragments, bytearray()
                try:
                    self._backlog.extend(messages.commands(message))
                except UnicodeDecodeError:
                    self._close_in_turn(codes.CLOSE_INVALID_UTF8)

    def _close_in_turn(self, close: Close) -> None:
        """Close once the commands that came before have been carried out."""
        self._backlog.append(close)
        self._deaf = True

    def _answer_frames(self) -> None:
        """Send what frames are answered with: pongs, a close, or the refusal of the handshake."""
        frames = self._frames
        out = b"".join(frames.data_to_send())
        if self._state is State.HANDSHAKE:
            self._transport.write(out or _NOT_A_HANDSHAKE)
            self._leave_open(State.GONE)
            self._transport.close()
        elif frames.parser_exc is not None and self._state is State.OPEN:
            assert frames.close_sent is not None
            self._leave_open(State.CLOSING)
            self._door.hub.count_close(frames.close_sent.code)
            self._outbox.finish(out, half_close=True)
        elif frames.close_rcvd is not None:
            self._outbox.finish(out)
            self._leave_open(State.GONE)
            self._transport.close()
        elif out:
            self._outbox.sink(out)


_CONTROL = (Opcode.PING, Opcode.PONG)

_NOT_A_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

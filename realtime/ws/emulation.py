"""Streams that are talked to by requests of their own: what makes of HTTP a conversation.

The client sends its first commands with the request that opens the stream. The answer to its
connect command names a *session*, which is a secret, and this *node*. All further commands
come in requests to ``/emulation``, over whatever connections: they name the session, and are
carried out by its client in the order in which they arrive here, within the same bounds as
those of a WebSocket connection. Where several processes share a store, a request may arrive at
any of them: it is passed on to the node that it names.
"""

from __future__ import annotations

import secrets
from asyncio import Transport
from collections.abc import Awaitable

import msgspec
from uvicorn.server import ServerState

from realtime.errors import InvalidInput, InvalidRequest, NotFound, TooLarge, TooManyRequests
from realtime.services.mailbox import Mailbox
from realtime.ws.client import Client, Work
from realtime.ws.codes import Close
from realtime.ws.conversation import State
from realtime.ws.door import Door
from realtime.ws.framing import Framing
from realtime.ws.outbox import Outbox
from realtime.ws.stream import Stream

__all__ = ["EmulatedStream", "Emulation", "Message", "said"]

SESSION_BYTES = 18
"""Of chance: who guesses a session speaks as its client."""

WAITING_MESSAGES = 4
"""How many of the largest messages may wait in a session while the store is slow."""

TAKEN, UNKNOWN, FULL = "taken", "unknown", "full"
"""What a node says to commands that another one passes on."""


class Message(msgspec.Struct):
    """The body of a request to ``/emulation``: commands, one to a line."""

    session: str
    data: str
    node: str = ""


_decode = msgspec.json.Decoder(Message).decode
_encode = msgspec.json.Encoder().encode


def said(body: bytes, most: int) -> Message:
    """What a request says, in at most ``most`` bytes. Raises RealtimeError."""
    try:
        message = _decode(body)
    except msgspec.ValidationError as error:
        raise InvalidInput(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    if _size(message.data) > most:
        raise TooLarge(f"the commands of a message may have {most} bytes")
    return message


class EmulatedStream(Stream):
    """A stream that belongs to a session."""

    __slots__ = ("_emulation", "_waiting", "session")

    def __init__(self, door: Door, server_state: ServerState, emulation: Emulation) -> None:
        super().__init__(door, server_state)
        self.session = secrets.token_urlsafe(SESSION_BYTES)
        self._emulation = emulation
        self._waiting = 0
        """Bytes of commands in the backlog."""

    def begin(
        self, transport: Transport, framing: Framing, head: bytes, bearer: str, commands: str
    ) -> None:
        """Answer the request that brought these commands."""
        door = self._door
        outbox = Outbox(door.hub, transport, door.options.queue_bytes, self.close, framing)
        client = Client(door, outbox, self.close, self._perform, self.session)
        client.bearer = bearer
        self._emulation.sessions[self.session] = self
        self.take_over(transport, outbox, client)
        outbox.sink(head)
        self.hear(commands)

    def hear(self, commands: str) -> bool:
        """Carry out commands, one to a line, after those before; False if too many wait."""
        lines = commands.removesuffix("\n").split("\n")
        size = sum(map(_size, lines))
        most = WAITING_MESSAGES * self._door.options.message_bytes
        if self._waiting and self._waiting + size > most:
            return False
        self._waiting += size
        self._backlog.extend(lines)
        self._work()
        return True

    async def _carry_out(self, item: str | Close | Work) -> None:
        if isinstance(item, str):
            self._waiting -= _size(item)
        await super()._carry_out(item)

    def _leave_open(self, state: State) -> None:
        super()._leave_open(state)
        self._emulation.sessions.pop(self.session, None)


class Emulation:
    """The sessions of this node, and the way to those of others. One per process."""

    def __init__(self, door: Door) -> None:
        self.sessions: dict[str, EmulatedStream] = {}
        self._node = door.node
        self._mailbox = Mailbox(
            door.services.backend, "emulation", door.node, self._on_behalf_of_another
        )

    async def run(self) -> None:
        """Hear what other nodes pass on, until cancelled."""
        await self._mailbox.run()

    def carry(self, message: Message) -> Awaitable[None] | None:
        """See to it that commands are carried out. Raises RealtimeError.

        What is answered is to be awaited: the session belongs to another node. That raises
        RealtimeError and BackendUnavailable.
        """
        if message.session not in self.sessions and message.node not in ("", self._node):
            return self._pass_on(message)
        _check(self._hear(message))
        return None

    def _hear(self, message: Message) -> str:
        stream = self.sessions.get(message.session)
        if stream is None:
            return UNKNOWN
        return TAKEN if stream.hear(message.data) else FULL

    async def _pass_on(self, message: Message) -> None:
        _check(await self._mailbox.ask(message.node, _encode(message).decode()))

    def _on_behalf_of_another(self, text: str) -> str:
        return self._hear(_decode(text))


def _check(answer: str | None) -> None:
    if answer == FULL:
        raise TooManyRequests("too many commands of this session wait")
    if answer != TAKEN:
        raise NotFound("there is no such session, or no longer")


def _size(text: str) -> int:
    """Bytes of its UTF-8. O(1) for ASCII."""
    return len(text) if text.isascii() else len(text.encode())

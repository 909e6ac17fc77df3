"""A conversation with one client, over whatever transport: its commands in, one after the other.

Each transport adds how bytes become commands, and how it ends: `realtime.ws.connection` for
WebSocket, `realtime.ws.stream` for HTTP.

    transport ─> backlog of commands ─> Client
    transport <─ Outbox <─ Hub (shared frames) and Client (replies)

The commands of a connection are carried out one after the other. On a backend that never
suspends they are driven right here, without a task; a long backlog gives way to others
after some commands. Otherwise one task per connection works while there is a backlog. In
both cases nothing more is read meanwhile, so that what a peer makes us hold is bounded by
one read.

    OPEN ──> CLOSING, our last words are sent; the peer may still read what is under way
      └────> GONE, nothing can be sent any more

Every way out of OPEN leads through ``_leave_open``: the socket first, then what others see.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Coroutine
from enum import Enum, auto
from typing import Any, cast

from uvicorn.server import ServerState

from realtime.errors import InvalidRequest
from realtime.ws import codes, messages
from realtime.ws.client import Client, Work
from realtime.ws.codes import Close, Disconnect
from realtime.ws.door import Door
from realtime.ws.outbox import Outbox

__all__ = ["Conversation", "State"]

COMMANDS_PER_TURN = 64
"""Commands of one connection before others get their turn: a millisecond or two of work."""


class State(Enum):
    HANDSHAKE = auto()
    OPEN = auto()
    CLOSING = auto()
    GONE = auto()


class Conversation(asyncio.Protocol):
    """A protocol for uvicorn, which also calls ``shutdown``."""

    __slots__ = (
        "_awaits_pong",
        "_backlog",
        "_client",
        "_connections",
        "_door",
        "_outbox",
        "_pinged_at",
        "_pump",
        "_state",
        "_tasks",
        "_transport",
        "_turns",
        "due",
    )

    def __init__(self, door: Door, server_state: ServerState) -> None:
        self.due: int | None = None
        self._door = door
        self._connections = cast(set[object], server_state.connections)
        self._tasks = server_state.tasks
        self._state = State.HANDSHAKE
        self._backlog: deque[str | Close | Work] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._turns = False
        """The next turn of a long backlog is booked."""
        self._awaits_pong = False
        self._pinged_at = 0.0
        self._transport: asyncio.Transport
        self._outbox: Outbox
        self._client: Client

    # What a transport adds

    def _goodbye(self, close: Close) -> bytes:
        """The last bytes, framed; nothing if they are on their way already."""
        return self._outbox.framing.close(close)

    def _finish(self, last: bytes) -> None:
        """Send the last bytes after all that came before them."""
        self._outbox.finish(last)

    # What the event loop and uvicorn call

    def pause_writing(self) -> None:
        self._outbox.pause()

    def resume_writing(self) -> None:
        self._outbox.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._outbox.cut()
        self._leave_open(State.GONE)
        self._door.hub.wheel.clear(self)
        self._connections.discard(self)

    def shutdown(self) -> None:
        """The server stops; another one may be up by the time the client comes back."""
        self.close(codes.CLOSE_SHUTDOWN)

    def on_deadline(self) -> None:
        """The one thing that this connection was waiting for has not happened in time."""
        if self._state is not State.OPEN:
            self._transport.abort()
        elif self._client.principal is None:
            self.close(codes.CLOSE_STALE)
        elif self._awaits_pong:
            self.close(codes.CLOSE_NO_PONG)
        elif not self._client.stands():
            self.close(codes.CLOSE_INVALID_TOKEN)
        else:
            self._ping()

    def close(self, close: Close) -> None:
        """Say goodbye, once; what the peer is sent before it is still sent, unless it is slow."""
        if self._state is not State.OPEN:
            return
        self._backlog.clear()
        last = self._goodbye(close)
        self._leave_open(State.CLOSING)
        self._door.hub.count_close(close.code)
        if close is codes.CLOSE_SLOW:
            self._outbox.drop(last)
        else:
            self._finish(last)

    # Commands

    def _perform(self, work: Work) -> None:
        """Do something to the client that it has not asked for, soon, between two commands."""
        if self._state is State.OPEN:
            self._backlog.append(work)
            # Not now: whoever calls may be in the middle of this client's command.
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Carry out the backlog, or see to it that it will be."""
        if not self._backlog or self._pump is not None or self._turns:
            return
        if self._door.services.backend.immediate:
            self._turn()
        else:
            self._transport.pause_reading()
            self._pump = self._start(self._drain())

    def _turn(self) -> None:
        """Some of the backlog, on a backend that never suspends."""
        backlog = self._backlog
        self._turns = False
        for _ in range(min(COMMANDS_PER_TURN, len(backlog))):
            if backlog:  # a command may close the connection, which clears it
                _drive(self._carry_out(backlog.popleft()))
        if backlog:
            self._transport.pause_reading()
            self._turns = True
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._caught_up()

    async def _drain(self) -> None:
        """All of the backlog, on a backend that may suspend."""
        try:
            while self._backlog:
                await self._carry_out(self._backlog.popleft())
        finally:
            self._pump = None
            self._caught_up()

    def _caught_up(self) -> None:
        if self._state is State.OPEN:
            self._transport.resume_reading()
        else:
            self._wind_up()

    async def _carry_out(self, item: str | Close | Work) -> None:
        try:
            if isinstance(item, Close):
                raise Disconnect(item)
            if not isinstance(item, str):
                await item()
                return
            command = messages.parse(item)
            if command == messages.PONG:
                self._pong()
                return
            await self._client.handle(command, _bytes(item))
            if isinstance(command.request, messages.Connect) and self._client.principal:
                self._begin_pings()
        except InvalidRequest as error:
            self.close(codes.CLOSE_BAD_REQUEST.because(error.detail))
        except Disconnect as ending:
            self.close(ending.close)

    # Keeping alive, and letting go

    def _begin_pings(self) -> None:
        """The first comes at a random point: else all would come at once after a restart."""
        interval = self._door.options.ping_interval
        if interval:
            self._door.hub.wheel.set(self, random.uniform(interval / 2, interval))
        else:
            self._door.hub.wheel.clear(self)

    def _ping(self) -> None:
        wheel = self._door.hub.wheel
        self._awaits_pong = True
        self._pinged_at = wheel.clock()
        wheel.set(self, self._door.options.pong_timeout)
        self._outbox.sink(self._outbox.framing.ping)

    def _pong(self) -> None:
        if not self._awaits_pong:
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because("a pong without a ping"))
        self._awaits_pong = False
        wheel = self._door.hub.wheel
        wheel.set(self, self._pinged_at + self._door.options.ping_interval - wheel.clock())

    def _leave_open(self, state: State) -> None:
        """The peer has a last term to read what is on its way; others see it leave soon after."""
        if self._state is State.OPEN:
            self._door.hub.connections -= 1
            # Not now: whoever called may be in the middle of this client's command.
            asyncio.get_running_loop().call_soon(self._wind_up)
        self._state = state
        self._door.hub.wheel.set(self, self._door.options.close_timeout)
        self._transport.resume_reading()

    def _wind_up(self) -> None:
        """Forget the client, unless commands of it are still to be carried out."""
        if self._backlog or self._pump is not None:
            return
        if self._door.services.backend.immediate:
            _drive(self._client.depart())
        else:
            self._start(self._client.depart())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that the server waits for before it stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _bytes(text: str) -> int:
    """The size of its UTF-8. O(1) for ASCII."""
    return len(text) if text.isascii() else len(text.encode())


def _drive(work: Coroutine[Any, Any, None]) -> None:
    """Run what never suspends to its end, without a task."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise RuntimeError("a backend that is said never to suspend has suspended")

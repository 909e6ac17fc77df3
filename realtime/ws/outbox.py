"""What is on its way to one connection: in order, and bounded.

While the peer keeps up, bytes go straight to the transport. Once the transport's own buffer
is over its high-water mark it *lags*: they are held here (`realtime.ws.held`), and counted:
the buffer and what is held may together be ``limit`` bytes. Channels may say that for them
something is dropped instead. For all others the peer is too slow over that. It is told so and
closed, for it can come back and recover, while everybody else must neither wait for it nor pay
for it: what is held are mostly references to bytes that other connections were sent too.

The answers to commands are collected (``send``, ``queue``), and written by the hub at the end
of the turn of the event loop, so that many small ones leave in one frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime.gate import past_the_gate
from realtime.ws import codes
from realtime.ws.codes import Close
from realtime.ws.fan import Fan, Sink
from realtime.ws.framing import FRAME_BYTES, WEBSOCKET, Framing
from realtime.ws.held import Held
from realtime.ws.hub import Hub

__all__ = ["HIGH_WATER", "Outbox"]

HIGH_WATER = 0
"""Bytes in the transport's buffer from which on we hold back. What the socket does not take is held
here, and what it takes goes at once: uvloop lets nothing wait for the end of the turn then, so the
first of many subscribers need not wait until all have been gone through."""


class Outbox:
    """The bytes of one connection; the `Subscriber` that the hub knows."""

    __slots__ = (
        "_close",
        "_collected",
        "_collected_bytes",
        "_held",
        "_hub",
        "_limit",
        "_retired",
        "_transport",
        "direct",
        "fans",
        "framing",
        "lags",
        "on_lost",
        "sink",
    )

    def __init__(
        self,
        hub: Hub,
        transport: asyncio.Transport,
        limit: int,
        close: Callable[[Close], None],
        framing: Framing = WEBSOCKET,
    ) -> None:
        """``close`` is called when more than ``limit`` bytes wait; it is to call ``drop``."""
        transport.set_write_buffer_limits(HIGH_WATER)
        self.fans: dict[str, Fan] = {}
        self.lags = False
        self.sink: Sink = transport.write
        self.direct: Sink = past_the_gate(transport)
        self.framing = framing
        self._hub = hub
        self._transport = transport
        self._limit = limit
        self._close = close
        self._collected: list[bytes] = []
        self._collected_bytes = 0
        self._held: Held | None = None
        self._retired = False
        self.on_lost: Callable[[str], None] = _ignore_loss
        """Called with a channel on which nothing more comes, for something was lost."""

    @property
    def waiting(self) -> int:
        """Bytes that the socket has not taken yet."""
        held = 0 if self._held is None else self._held.size
        return held + self._transport.get_write_buffer_size()

    @property
    def holds(self) -> bool:
        """Whether something waits that the transport was not given yet."""
        return self._held is not None

    def send(self, item: bytes) -> None:
        """Collect a reply. What was published before it comes before it."""
        self._hub.settle(self)
        self._collect(item)

    def queue(self, objects: list[bytes]) -> None:
        """Collect pushes."""
        for item in objects:
            self._collect(item)

    def flush(self) -> None:
        """Write what was collected."""
        if self._collected:
            collected, self._collected, self._collected_bytes = self._collected, [], 0
            self.sink(self.framing.frames(collected))

    def finish(self, last: bytes, *, half_close: bool = False) -> None:
        """Write the last bytes, after all that came before them; later ones are discarded."""
        self.flush()
        self.sink(last)
        self._retire()
        if half_close and self._held is None and self._transport.can_write_eof():
            self.half_close()

    def half_close(self) -> None:
        """Nothing follows; the peer may go on reading. A peer that has hung up meanwhile is cut."""
        try:
            self._transport.write_eof()
        except OSError:  # of asyncio's transports, which do not look before
            self._transport.abort()

    def drop(self, last: bytes) -> None:
        """Write the last bytes instead of all that is held; later ones are discarded."""
        self._forget()
        if not self._retired:
            self._transport.write(last)
        self._retire()

    def lose(self, channel: str) -> None:
        """See `realtime.ws.fan.Subscriber`."""
        self.on_lost(channel)

    def cut(self) -> None:
        """The transport is gone."""
        self._forget()
        self._retire()
        self._close = _ignore
        self.on_lost = _ignore_loss

    def pause(self) -> None:
        """The transport's buffer is over its mark."""
        self.lags = True
        self._route()

    def resume(self) -> None:
        """The transport has room again. Any write may fill it once more."""
        self.lags = False
        while self._held is not None and not self.lags:
            data, publications = self._held.pop()
            if not self._held:
                self._held = None
            self._hub.deliveries += publications
            self._transport.write(data)
        if not self.lags:
            self._route()

    def hold(self, fan: Fan, data: bytes, kept: int, dropped: int) -> None:
        """What a channel that may drop has for a connection that lags."""
        self.flush()  # what was collected comes before it
        if self._retired:
            return
        held = self._held = self._held or Held()
        fixed = self.waiting - held.loose
        room = max(0, min(self._limit // 2, self._limit - fixed))
        self._hub.drops += dropped + held.append_loose(fan, data, kept, room)
        if self.waiting > self._limit:
            self._close(codes.CLOSE_SLOW)

    def _retire(self) -> None:
        self._retired = True
        self._route()

    def _route(self) -> None:
        if self._retired:
            self.sink = self.direct = _discard
        elif self.lags:
            self.sink = self.direct = self._hold
        else:
            self.sink, self.direct = self._transport.write, past_the_gate(self._transport)
        self._hub.reroute(self)

    def _collect(self, item: bytes) -> None:
        if not self._collected:
            self._hub.book(self)
        self._collected.append(item)
        self._collected_bytes += len(item)
        if self._collected_bytes > FRAME_BYTES:
            self.flush()

    def _hold(self, data: bytes) -> None:
        held = self._held = self._held or Held()
        held.append(data)
        excess = self.waiting - self._limit
        if excess > 0 and held.loose:
            self._hub.drops += held.make_room(excess)
        if self.waiting > self._limit:
            self._close(codes.CLOSE_SLOW)

    def _forget(self) -> None:
        self._collected.clear()
        self._held = None


def _discard(data: bytes) -> None:
    """The sink of a connection that has been sent its last bytes."""


def _ignore(close: Close) -> None:
    """It has ended already; and the connection is not kept alive by being called back."""


def _ignore_loss(channel: str) -> None:
    """There is nobody yet, or nobody any more, who could begin anew."""

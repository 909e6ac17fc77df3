"""What leaves the process: together, and not before what it tells of is safe.

**Safe.** Every door writes to its sockets through a `Gated` transport. While the engine holds
changes that are not yet written as the durability level wants it, the gate is closed, and what
is written is held, in order: answers, publications, and reads that may have seen such a change.
So no client ever hears of anything that a crash could take back, and no door needs to know.

    engine ──effect──> Journal ──closes──> Gate <──write── Gated <── HTTP, WebSocket
                          └── written ──> release ──> the sockets

Held are references to the bytes that would have been written anyway. A connection that holds
much is told to pause like one whose peer does not read. Open, the gate costs one comparison
per write.

**Together.** If it ``gathers``, the answers of one turn of the event loop leave at its end. With
many clients that is up to a third more answers a second: all requests that have arrived are
answered before the first client wakes up, and asks for a core.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

__all__ = ["Gate", "Gated", "Held", "past_the_gate", "release", "release_reads"]

log = logging.getLogger("realtime")

HIGH_WATER = 64 * 1024
"""Bytes held for one connection from which on its protocol is asked to pause."""

Held = list[tuple["Gated", bytes, bool, bool]]
"""(where to, what, whether it is a whole answer that another may replace, and whether that answer
may tell that something was changed)"""


class Gate:
    """One per process. If there is a journal, it closes and opens it."""

    __slots__ = ("_booked", "_held", "changed", "closed", "gathers", "kept", "refusal")

    def __init__(self) -> None:
        self.closed = False
        self.gathers = False
        """Answers wait for the end of the turn, and leave together."""
        self._booked = False  # the end of this turn
        self.changed = False
        """Something was changed since the last answer was held: the next one may tell of it."""
        self.refusal = b""
        """The HTTP answer that stands for those whose writes could not be written down. It says
        that the connection is closed, and it is: others may be on their way behind it."""
        self._held: Held = []
        self.kept = 0
        """Writes that are held and no answers, also of those that somebody has taken."""

    @property
    def passes(self) -> bool:
        """Whether ``write`` of every transport writes at once, unless it holds an answer."""
        return not (self.closed or self.kept)

    def wrap(self, transport: asyncio.Transport) -> asyncio.Transport:
        """The same transport, for a protocol to write to."""
        return cast(asyncio.Transport, Gated(self, transport))

    def hold(self, gated: Gated, data: bytes, is_answer: bool) -> None:
        """Keep it until whoever takes it releases it."""
        self._held.append((gated, data, is_answer, self.changed))
        if is_answer:
            self.changed = False

    def book(self) -> None:
        """Let go of what is held at the end of this turn of the event loop, unless closed then."""
        if not self._booked:
            self._booked = True
            asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._booked = False
        if not self.closed:  # otherwise whoever closed it lets go
            release(self.take())

    def take(self) -> Held:
        """All that has been held since the last call: for ``release``, or for ``fail``."""
        held, self._held = self._held, []
        return held

    def open_for_reads(self, earlier: Held) -> None:
        """What is changed must wait, but whoever only asks need not: also if they have asked
        already. ``earlier`` was held before, and taken."""
        self.closed = False
        release_reads(earlier, self._held)

    def fail(self, held: Held) -> None:
        """What they tell of was not written down, and may be lost: say so, or break off.

        O(held).
        """
        for gated, data, is_answer, _ in held:
            gated.fail(data, is_answer, self.refusal if is_answer else b"")


def past_the_gate(transport: asyncio.Transport) -> Callable[[bytes], object]:
    """What ``write`` comes to while the gate ``passes``: for who has asked, and writes to many."""
    return transport.direct if isinstance(transport, Gated) else transport.write


def release(held: Held) -> None:
    """It is safe: let it go. O(held)."""
    for gated, data, is_answer, _ in held:
        gated.release(data, is_answer)


def release_reads(*parts: Held) -> None:
    """Let go, and take out, what tells of no change of its own: the disk may take long. O(held).

    ``parts`` in the order in which they were held. What comes behind something else on the same
    connection stays behind it.
    """
    waiting: set[Gated] = set()
    for held in parts:
        kept: Held = []
        for item in held:
            gated, data, is_answer, tells = item
            if is_answer and not tells and gated not in waiting:
                gated.release(data, is_answer)
            else:
                waiting.add(gated)
                kept.append(item)
        held[:] = kept


class Gated:
    """A transport whose writes pass the gate. Order is kept, also between writing and closing."""

    __slots__ = ("_ends", "_gate", "_held", "_mark", "_paused", "_transport", "direct")

    def __init__(self, gate: Gate, transport: asyncio.Transport) -> None:
        self._gate = gate
        self._transport = transport
        self.direct = transport.write
        self._held = 0  # bytes
        self._mark = HIGH_WATER  # of the transport: over it, it asks for a pause by itself
        self._ends = ""  # what else to do once nothing is held: close, or write_eof
        self._paused = False

    def __getattr__(self, name: str) -> Any:
        """Whatever does not write is the transport's business."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._held or self._gate.closed:
            self._hold(data, False)
        else:
            self.direct(data)

    def write_answer(self, data: bytes) -> None:
        """Write a whole HTTP answer: one that may be replaced by a refusal."""
        gate = self._gate
        if self._held or gate.closed:
            self._hold(data, True)
        elif gate.gathers:
            self._hold(data, True)
            gate.book()
        else:
            self.direct(data)

    def set_write_buffer_limits(self, high: int) -> None:
        """Bytes in the transport's own buffer over which it asks for a pause."""
        self._mark = high
        self._transport.set_write_buffer_limits(high)

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def get_write_buffer_size(self) -> int:
        return self._held + self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._ends == "close" or self._transport.is_closing()

    def close(self) -> None:
        self._end("close")

    def write_eof(self) -> None:
        self._end("write_eof")

    def abort(self) -> None:
        self._transport.abort()

    def release(self, data: bytes, is_answer: bool) -> None:
        """Write what was held. The connection may be gone by now, and never hurts others."""
        self._let_go(data, is_answer)
        if self._transport.is_closing():
            return
        try:
            self.direct(data)
            if self._ends or self._paused:
                self._settle()
        except Exception:
            log.exception("a connection broke while it was written to")
            self._transport.abort()

    def fail(self, data: bytes, is_answer: bool, instead: bytes) -> None:
        """Write something else and close, or nothing and break off."""
        self._let_go(data, is_answer)
        if self._transport.is_closing():
            return
        if instead:
            self.direct(instead)
            self._transport.close()
        else:
            self._transport.abort()

    def _hold(self, data: bytes, is_answer: bool) -> None:
        if self.is_closing():
            return
        data = bytes(data)
        self._held += len(data)
        self._gate.kept += not is_answer
        self._gate.hold(self, data, is_answer)
        if self._held > HIGH_WATER and not self._paused:
            self._paused = True
            self._protocol().pause_writing()

    def _let_go(self, data: bytes, is_answer: bool) -> None:
        self._held -= len(data)
        self._gate.kept -= not is_answer

    def _end(self, how: str) -> None:
        if self._held:
            self._ends = "close" if how == "close" else self._ends or how
        else:
            self._apply(how)

    def _settle(self) -> None:
        if self._held:
            return
        if self._ends:
            self._apply(self._ends)
        elif self._paused:
            self._paused = False
            # Over its own mark the transport has asked for the pause itself, and will end it.
            if self._transport.get_write_buffer_size() <= self._mark:
                self._protocol().resume_writing()

    def _apply(self, how: str) -> None:
        try:
            getattr(self._transport, how)()
        except OSError:  # asyncio's half-close says so of a peer that has hung up meanwhile
            self._transport.abort()

    def _protocol(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, self._transport.get_protocol())

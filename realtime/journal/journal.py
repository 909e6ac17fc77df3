"""The journal of a running service: every effect of the engine, written before it is told.

What the engine does within one turn of the event loop becomes one batch: sealed with a
sequence number and a checksum (see `engine.persistence.journal`), and appended in one write.
Until then the gate is closed, and so nothing leaves the process that speaks of it.

    effect ──> buffer ──(end of the turn)──> batch ──> write ──(always: fsync)──> gate opens

With ``bounded`` the loop itself writes, which takes a microsecond or two, since it only copies
into the kernel's memory; the fsync is `Bound`'s. With ``always`` a thread writes and syncs, and
what comes meanwhile makes the next batch: one fsync for all.

**Trouble.** A write that fails is taken back, tried again every second, and loses nothing. An
fsync that fails makes the file worthless, since nobody knows what of it is on disk: then all
is written anew from memory (`Compaction`). Meanwhile writes are refused, reads go on, and
only what expires still changes anything. Those whose writes were under way are told that
nobody knows: the change is in memory, and on disk as soon as the disk takes it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Final

from engine.effects import Effect, Effects
from realtime.backends.base import WritesRefused
from realtime.gate import Gate, Held, release
from realtime.journal.batches import Batches
from realtime.journal.bound import Bound
from realtime.journal.disk import Increment
from realtime.journal.durability import Durability
from realtime.journal.stats import JournalStats
from realtime.journal.switch import Switch
from realtime.journal.worker import Worker

__all__ = ["Journal"]

log = logging.getLogger("realtime.journal")

RETRY: Final = 1.0
"""Seconds between two attempts to write after one that failed."""

PATIENCE: Final = 1.0
"""Seconds that the disk may take before writes are refused rather than left to wait."""

MOST_KEPT: Final = 100_000
"""Effects kept while the disk is away. Beyond that, writing everything anew costs less."""

BEHIND: Final = "the disk does not keep up with what is written"


class Journal:
    """One engine's journal. All of it belongs to the event loop; only ``close`` may block it."""

    increment: Increment
    """Where it is written, from ``start`` on."""

    def __init__(self, effects: Effects, durability: Durability) -> None:
        assert durability.bound is not None
        self.gate = Gate()
        self.stats = JournalStats()
        self._batches = Batches(self.stats)
        self._written = 0
        """The newest batch that is in the file."""
        self.refusal: str | None = None
        """Why writes are refused just now."""
        self.needs_base = False
        """The increment is not to be trusted, or effects were dropped: only a new base helps."""
        self._effects = effects
        self._bound: Bound | None = None
        if not durability.waits_for_disk:
            self._bound = Bound(durability.bound, self._sync, self._fall_behind)
        self._worker = Worker()
        self._in_flight: Held = []
        """What leaves once the worker is done."""
        self._busy_since: float | None = None
        """The worker has the increment, since then; nobody else may write to it."""
        self._switch: Switch | None = None
        self._trouble: str | None = None
        """Why nothing is written: effects are only kept."""
        self._suspended = False
        """Somebody replaces the files: nothing but ``resume`` ends the trouble."""
        self._idle = asyncio.Event()
        """The worker is back: set for a moment, each time."""
        self._stop_listening: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop

    def start(self, increment: Increment, sequence: int) -> None:
        """Listen to the engine, on the loop that runs now, and go on after batch ``sequence``.

        The increment is on disk as it is.
        """
        self._loop = asyncio.get_running_loop()
        self.increment = increment
        self._written = self._batches.sequence = self._batches.synced = sequence
        self._stop_listening = self._effects.listen(self._heard)

    def admit(self) -> None:
        """Let a write pass, before it does anything. Raises WritesRefused."""
        if self.refusal is not None:
            self.stats.refused += 1
            raise WritesRefused(self.refusal)

    def tick(self) -> None:
        """Look at the clock, ten times a second: a disk that hangs must not hang the service."""
        since = self._busy_since
        if since is not None and self._loop.time() - since > PATIENCE:
            self._fall_behind()

    @property
    def sequence(self) -> int:
        """Of the newest batch."""
        return self._batches.sequence

    @property
    def synced(self) -> int:
        """The newest batch that is known to be on disk."""
        return self._batches.synced

    @property
    def is_whole(self) -> bool:
        """Whether it takes what comes, as far as anybody knows."""
        return self._trouble is None

    @property
    def unsynced_seconds(self) -> float:
        """How old the oldest answered change is that a power cut would take."""
        return 0.0 if self._bound is None else self._bound.age()

    async def switch(self, increment: Increment, at_boundary: Callable[[], None]) -> None:
        """Go on in another file, once all that came before is on disk in this one.

        If that fails, or nobody waits for it any more, the other file is closed.
        ``at_boundary`` is called in the instant between what belongs to the one and to the
        other; it may raise OSError, and then nothing changes. Raises OSError.
        """
        switch = Switch(increment, at_boundary, self._loop.create_future())
        if self._trouble is not None:
            switch.end(OSError(errno.EIO, self._trouble))
        else:
            self._switch = switch
            self._loop.call_soon(self._commit)
        try:
            await asyncio.shield(switch.done)
        except asyncio.CancelledError:
            if self._switch is switch and not switch.begun:
                self._switch = None
                switch.end(OSError(errno.ECANCELED, "nobody waits for it any more"))
            raise  # one that has begun ends by itself

    async def suspend(self, reason: str) -> None:
        """Write what came so far, and nothing from here on: writes are refused, reads go on."""
        self.refusal = self.refusal or reason
        while self._busy_since is not None or (self._batches.effects and self._trouble is None):
            if self._busy_since is None:
                self._commit()
            await self._until_idle()
        self._suspended = True
        self._trouble = self._trouble or reason
        self.refusal = self._trouble
        self.gate.closed = False

    def forget(self) -> None:
        """All that was not written is void: a base is being made that has it."""
        self._batches.forget()
        self.needs_base = False

    def resume(self, increment: Increment | None = None) -> None:
        """End what ``suspend`` began; in another file if the old one is worthless.

        In the old one, what a failed write left behind comes first."""
        self._suspended = False
        if increment is not None:
            self.increment.close()
            self.increment = increment
            self._written = self._batches.synced = self.sequence
            if self._bound is not None:
                self._bound.all_synced()
        if self._batches.unwritten:
            self._retry()
        else:
            self._recover()

    async def sync(self) -> None:
        """Return once all that was done before is on disk. Raises OSError."""
        while self._busy_since is not None:
            await self._until_idle()
        if self._trouble is None:
            self._hand_over(self._batches.take())
            await self._until_idle()
        if self._trouble is not None:
            raise OSError(errno.EIO, self._trouble)

    async def close(self) -> None:
        """Write and sync what there is. Raises OSError if anything is not on disk then."""
        while self._busy_since is not None:
            await self._until_idle()
        self._stop_listening()
        if self._bound is not None:
            self._bound.stop()
        self._worker.close()
        unwritten, trouble = self._batches.take(), self._trouble
        self._suspended, self._trouble = True, "shutting down"
        self.refusal = self._trouble
        try:
            if self.needs_base or self.increment.distrusted:
                raise OSError(errno.EIO, trouble or "changes could not be written")
            for batch in unwritten:
                self.increment.write(batch)
            self.increment.sync()
        finally:
            self.increment.close()

    def _heard(self, effect: Effect) -> None:
        effects = self._batches.effects
        effects.append(effect)
        self.gate.changed = True
        if len(effects) == 1:
            self._begin_batch()
        elif len(effects) > MOST_KEPT and self._trouble is not None:
            effects.clear()
            self.needs_base = True

    def _begin_batch(self) -> None:
        """The first effect since the last batch was sealed: from now on answers wait for this."""
        if self._trouble is not None:
            return
        if self._busy_since is None:
            self.gate.closed = True
            self._loop.call_soon(self._commit)
        elif self.refusal is None:
            # What was held until now has seen nothing of this batch.
            self._in_flight += self.gate.take()
            self.gate.closed = True

    def _commit(self) -> None:
        """The turn is over: write what it did. The next turn's end may find the worker busy; then
        what was done meanwhile is written when the worker is back."""
        if self._busy_since is not None or self._trouble is not None:
            return
        try:
            if self._switch is not None:
                self._commit_and_switch(self._switch)
            elif not self._batches.effects:
                self._open()
            elif self._bound is None:
                self._hand_over(self._batches.take())
            else:
                self._write_here(self._bound)
        except Exception as fault:  # of ours: a gate that stays closed would be worse
            log.exception("the journal failed")
            self.needs_base = True
            self._fail(fault, [], self.gate.take())

    def _write_here(self, bound: Bound) -> None:
        batch = self._batches.seal()
        try:
            self.increment.write(batch)
        except OSError as fault:
            self._fail(fault, [batch], self.gate.take())
        else:
            self._written = self.sequence
            bound.written()
            self._open()

    def _open(self) -> None:
        self.gate.closed = False
        release(self.gate.take())

    # The worker

    def _hand_over(
        self,
        batches: list[bytes],
        done: Callable[[], None] = lambda: None,
        failed: Callable[[Exception], None] = lambda fault: None,
    ) -> None:
        """Let the worker write and sync; ``done`` is called when all is on disk, or ``failed``."""
        self._busy_since = self._loop.time()
        self._in_flight = self.gate.take()
        increment, sequence = self.increment, self.sequence

        def write() -> None:
            for batch in batches:
                increment.write(batch)
            increment.sync()

        def written(fault: Exception | None) -> None:
            self._busy_since = None
            held, self._in_flight = self._in_flight, []
            if fault is not None:
                failed(fault)
                self._fail(fault, batches, held + self.gate.take())
            else:
                self._written = self._batches.synced = sequence
                self.stats.syncs += 1
                done()
                release(held)
                self._keep_up()
                self._commit()
            self._idle.set()
            self._idle.clear()

        self._worker.submit(write, written)

    def _commit_and_switch(self, switch: Switch) -> None:
        switch.begun = True

        def failed(fault: Exception) -> None:
            self._switch = None
            switch.end(fault)

        try:
            switch.at_boundary()
        except OSError as fault:
            failed(fault)
            self._commit()
            return

        def switched() -> None:
            self._switch = None
            self.increment.close()
            self.increment = switch.increment
            if self._bound is not None:
                self._bound.all_synced()
            switch.end(None)

        self._hand_over(self._batches.take(), switched, failed)

    def _sync(self) -> None:
        """What `Bound` begins."""
        increment, sequence = self.increment, self._written
        self._worker.submit(increment.sync, lambda fault: self._synced(increment, sequence, fault))

    def _synced(self, increment: Increment, sequence: int, fault: Exception | None) -> None:
        if self._bound is None or increment is not self.increment:
            return  # the switch has synced it, too
        if fault is not None:
            self._fail(fault, [], self.gate.take())
            return
        self._batches.synced = max(self.synced, sequence)
        self.stats.syncs += 1
        self._bound.synced()
        self._keep_up()

    # When the disk is slow, and when it is broken

    def _fall_behind(self) -> None:
        """The disk is late: refuse what would wait for it, and let the rest pass."""
        if self.refusal is None:
            self.refusal = BEHIND
            log.warning("refusing writes: %s", BEHIND)
        if self._busy_since is not None:
            self.gate.open_for_reads(self._in_flight)

    def _keep_up(self) -> None:
        if self.refusal is BEHIND:
            self.refusal = None
            log.warning("taking writes again")

    def _fail(self, fault: Exception, batches: list[bytes], held: Held) -> None:
        """Nothing can be written: keep it, tell those who waited, and try again."""
        self.stats.failures += 1
        self._batches.unwritten += batches
        self.needs_base = self.needs_base or self.increment.distrusted
        reason = getattr(fault, "strerror", None) or repr(fault)
        if self._trouble is None:
            log.error("refusing writes: %s: %s", self.increment.path, reason)
        self._trouble = self.refusal = f"the journal cannot be written: {reason}"
        if self._bound is not None and self.increment.distrusted:
            self._bound.stop()  # otherwise what was answered is to be synced in time all the same
        if self._switch is not None and not self._switch.begun:
            self._switch.end(fault)
            self._switch = None
        self.gate.closed = False
        self.gate.fail(held)
        self._loop.call_later(RETRY, self._retry)

    def _retry(self) -> None:
        idle = self._busy_since is None
        if idle and self._trouble is not None and not (self._suspended or self.needs_base):
            self._hand_over(self._batches.take(), self._recover)

    def _recover(self) -> None:
        """All is well again, unless effects were dropped meanwhile."""
        if not (self._suspended or self.needs_base):
            if self._trouble is not None:
                log.warning("taking writes again")
            self._trouble = self.refusal = None
            if self._batches.effects:
                self._commit()

    async def _until_idle(self) -> None:
        """The worker may be busy again by the time one hears of it."""
        if self._busy_since is not None:
            await self._idle.wait()

"""The journal as a whole, as the store that owns it sees it: open, start, keep, close.

open     what recovery has read is cut where it was torn, or a new journal is begun
start    from here on every effect is written before it is told
replace  everything becomes something else, at once and for good
close    nothing is left unwritten
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from engine.engine import Engine
from engine.persistence.recovery import Recovered
from realtime.copies import Copies
from realtime.datadir import JOURNAL
from realtime.journal import files
from realtime.journal.compaction import MENDING, Compaction
from realtime.journal.disk import Increment
from realtime.journal.durability import Durability
from realtime.journal.files import Files
from realtime.journal.journal import Journal
from realtime.keeping import SnapshotError
from realtime.metrics import Probe

__all__ = ["Journaling"]


class Journaling:
    """One engine's journal, in one data directory that is owned meanwhile."""

    def __init__(
        self,
        engine: Engine,
        durability: Durability,
        copies: Copies,
        *,
        ratio: float,
        floor: int,
    ) -> None:
        """``ratio`` and ``floor`` (bytes) say when it is compacted."""
        self.journal = Journal(engine.effects, durability)
        self._engine = engine
        self._copies = copies
        self._ratio = ratio
        self._floor = floor
        self._opened: tuple[Files, Increment, int] | None = None
        self._compaction: Compaction | None = None

    def open(self, data: Path, recovered: Recovered | None, snapshot: Path | None) -> None:
        """Make ready to go on after what was loaded: a journal, a snapshot, or nothing.

        Blocks. Raises SnapshotError.
        """
        folder = data / JOURNAL
        try:
            if recovered is None:
                self._opened = (*files.begin(folder, snapshot), 0)
            else:
                self._opened = (*files.go_on(folder, recovered), recovered.sequence)
        except OSError as fault:
            raise SnapshotError(f"{folder} cannot be written to: {fault}") from fault

    def start(self) -> None:
        """On the event loop, once it is open. Nothing has changed since it was loaded."""
        assert self._opened is not None
        opened, increment, sequence = self._opened
        self.journal.start(increment, sequence)
        self._compaction = Compaction(
            self._engine,
            self.journal,
            opened,
            self._copies.turn,
            ratio=self._ratio,
            floor=self._floor,
        )

    async def run(self) -> None:
        """Compact, and mend what is broken, until cancelled."""
        assert self._compaction is not None
        await self._compaction.run()

    async def replace(self, change: Callable[[], None]) -> None:
        """Let ``change`` replace everything; on disk when it returns. Raises SnapshotError."""
        assert self._compaction is not None
        try:
            await self._compaction.rebase("a backup is being restored", change)
        except OSError as fault:
            raise SnapshotError(str(fault)) from fault

    async def sync(self) -> None:
        """Return once everything is on disk. Raises SnapshotError."""
        try:
            await self.journal.sync()
        except OSError as fault:
            raise SnapshotError(f"the journal cannot be written: {fault}") from fault

    async def close(self) -> None:
        """Nothing changes any more. Raises SnapshotError if anything is not on disk."""
        if self._compaction is None:
            return
        if self.journal.needs_base:
            with contextlib.suppress(OSError):  # it was logged, and closing says so, too
                await self._compaction.rebase(MENDING)
        async with self._copies.turn():  # a compaction that was cancelled may still be ending
            try:
                await self.journal.close()
            except OSError as fault:
                raise SnapshotError(f"the journal was not written to its end: {fault}") from fault

    def probes(self) -> list[Probe]:
        """Its figures; from ``start`` on."""
        journal, stats = self.journal, self.journal.stats
        return [
            Probe(
                "journal_up",
                "Whether writes are taken: 1, or 0 while the disk is not to be had.",
                lambda: float(journal.refusal is None),
            ),
            Probe(
                "journal_refused_writes",
                "Writes refused because they could not be written down.",
                lambda: stats.refused,
                counts=True,
            ),
            Probe(
                "journal_failures",
                "System calls on the journal that failed.",
                lambda: stats.failures,
                counts=True,
            ),
            Probe("journal_batches", "Batches written.", lambda: stats.batches, counts=True),
            Probe("journal_written_bytes", "Bytes written.", lambda: stats.bytes, counts=True),
            Probe("journal_syncs", "Times it was synced.", lambda: stats.syncs, counts=True),
            Probe("journal_sequence", "The newest batch.", lambda: journal.sequence),
            Probe(
                "journal_synced_sequence",
                "The newest batch that is known to be on disk.",
                lambda: journal.synced,
            ),
            Probe(
                "journal_unsynced_seconds",
                "Age of the oldest answered change that a power cut would take.",
                lambda: journal.unsynced_seconds,
            ),
            *self._compaction_probes(),
        ]

    def _compaction_probes(self) -> list[Probe]:
        def figure(read: Callable[[Compaction], float]) -> Callable[[], float]:
            return lambda: 0.0 if self._compaction is None else read(self._compaction)

        return [
            Probe(
                "journal_bytes",
                "Bytes of the journal, base and increments.",
                figure(lambda compaction: compaction.bytes),
            ),
            Probe(
                "compactions",
                "New bases written.",
                figure(lambda compaction: compaction.stats.done),
                counts=True,
            ),
            Probe(
                "compaction_failures",
                "New bases that could not be written.",
                figure(lambda compaction: compaction.stats.failures),
                counts=True,
            ),
            Probe(
                "compaction_seconds",
                "How long the last one took.",
                figure(lambda compaction: compaction.stats.last_seconds),
            ),
            Probe(
                "compaction_fork_seconds",
                "How long its fork stopped the service.",
                figure(lambda compaction: compaction.stats.fork_seconds),
            ),
        ]

"""What the embedded engine keeps in its data directory: a journal or snapshots, and backups.

    load:   own the directory -> journal or snapshot -> engine -> go on
    close:  last batch, or last snapshot -> give the directory up

With ``--durability snapshot`` there is no journal: one that the directory has is loaded, and
retired once a snapshot has all that it held. With a journal, what the directory has of a
snapshot becomes the first base of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Self

from engine.clock import SECOND
from engine.engine import Engine
from realtime.backends.embedded_channels import ALL_ADMITTED, Admission
from realtime.backups import Backups, Schedule
from realtime.backups import probes as backup_probes
from realtime.copies import Copies
from realtime.datadir import retire_journal
from realtime.gate import Gate
from realtime.journal.journaling import Journaling
from realtime.metrics import Probe
from realtime.recovery import Loaded, Percent, Progress, torn_line
from realtime.settings import Settings
from realtime.snapshots import Snapshots
from realtime.snapshots import probes as snapshot_probes

__all__ = ["OnDisk"]

log = logging.getLogger("realtime")


class OnDisk:
    """One engine's data directory, from ``load`` to ``close``."""

    @classmethod
    def of(cls, engine: Engine, settings: Settings) -> Self | None:
        """As the settings want it; None if there is nothing on disk."""
        return None if settings.data is None else cls(engine, settings, settings.data)

    def __init__(self, engine: Engine, settings: Settings, data: Path) -> None:
        self._engine = engine
        self._data = data
        copies = Copies()
        promise = settings.promise
        self._journaling: Journaling | None = None
        if promise.is_journaled:
            self._journaling = Journaling(
                engine,
                promise,
                copies,
                ratio=settings.compaction_ratio,
                floor=settings.compaction_floor,
            )
        self.snapshots = Snapshots(
            engine,
            data,
            interval=0 if self._journaling else settings.snapshot_interval,
            at_end=self._journaling is None,
            copies=copies,
        )
        self.backups = Backups(
            engine, data, _schedule(settings), copies=copies, replace=self._replace
        )

    @property
    def admission(self) -> Admission:
        """What every write asks first."""
        return ALL_ADMITTED if self._journaling is None else self._journaling.journal

    @property
    def gate(self) -> Gate | None:
        """What all that leaves the process must pass."""
        return None if self._journaling is None else self._journaling.journal.gate

    async def load(self, progress: Callable[[str], None]) -> str:
        """Bring back what the last process left; one line about it, for people.

        Raises DirectoryInUse, SnapshotError or OSError.
        """
        loaded = await asyncio.to_thread(self._load, Percent(progress))
        journaling = self._journaling
        if journaling is not None:
            journaling.start()
        elif loaded.recovered is not None:
            await self.snapshots.save()
            await asyncio.to_thread(retire_journal, self._data)
        await self._settle(was_journaled=loaded.recovered is not None)
        return loaded.line

    def background(self) -> list[Coroutine[object, object, None]]:
        """What runs beside the doors, each until it is cancelled."""
        journaling = [] if self._journaling is None else [self._journaling.run()]
        return [self.snapshots.run(), self.backups.run(), *journaling]

    def tick(self) -> None:
        """Ten times a second."""
        if self._journaling is not None:
            self._journaling.journal.tick()

    def probes(self) -> list[Probe]:
        journal = [] if self._journaling is None else self._journaling.probes()
        return [*snapshot_probes(self.snapshots), *backup_probes(self.backups), *journal]

    async def close(self) -> None:
        """Write what is unwritten, and give the directory up. Raises SnapshotError."""
        whole = False
        try:
            await self.backups.close()
            if self._journaling is not None:
                await self._journaling.close()
            whole = True
        finally:
            await self.snapshots.close(whole=whole)

    def _load(self, progress: Progress) -> Loaded:
        loaded = self.snapshots.load(progress)
        if loaded.recovered is not None and loaded.recovered.torn is not None:
            log.warning("%s", torn_line(self._data, loaded.recovered.torn))
        self.backups.open()
        if self._journaling is not None:
            snapshot = self.snapshots.path
            self._journaling.open(
                self._data, loaded.recovered, snapshot if snapshot.exists() else None
            )
        return loaded

    async def _settle(self, *, was_journaled: bool) -> None:
        """Deal with what the last stop may have taken back of what was answered.

        A journal loses nothing with the process. Whatever else ended badly: who saw more than
        what is here now must be able to tell.
        """
        stop = self.snapshots.last_stop
        if stop == "power" or (stop == "crash" and not was_journaled):
            channels = self._engine.channels.renew_epochs()
            log.warning(
                "the last stop was not in good order: %d channels begin a new epoch", channels
            )
            if self._journaling is not None:
                await self._journaling.sync()
            else:
                await self.snapshots.save()
        await asyncio.to_thread(self.snapshots.settle)

    async def _replace(self, change: Callable[[], None]) -> None:
        if self._journaling is not None:
            await self._journaling.replace(change)
        else:
            change()
            await self.snapshots.save()


def _schedule(settings: Settings) -> Schedule:
    return Schedule(
        round(settings.backup_interval * SECOND),
        settings.backup_keep,
        round(settings.backup_max_age * SECOND),
    )

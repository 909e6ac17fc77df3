"""The engine on disk: loaded at the start, written now and then, and once more at the end.

A snapshot is a Redis RDB file, ``dump.rdb``. It is written by a forked copy of the process
(see `realtime.fork` and `realtime.copies`), so that the service goes on meanwhile: it costs the
pause of the fork, and a copy of the memory pages that either side touches. Whatever happens to
the copy, the last good snapshot stays until the next one is whole and on disk.

Whoever asks for a snapshot gets one that was forked after they asked, hence with all they
had written. Those who ask while one is being written share the next.

What changed since the last snapshot is lost if the process is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from engine.clock import SECOND
from engine.effects import Effects
from realtime.copies import Copies
from realtime.datadir import DataDirectory, DirectoryInUse, LastStop
from realtime.fork import ChildFailed
from realtime.keeping import SnapshotError, SnapshotInfo
from realtime.metrics import Probe
from realtime.recovery import Loaded, Progress, load_directory
from realtime.snapshot_file import Content, Written, dump

__all__ = [
    "DirectoryInUse",
    "Engine",
    "SnapshotError",
    "SnapshotInfo",
    "SnapshotStats",
    "Snapshots",
    "probes",
]

log = logging.getLogger("realtime.snapshots")

NAME = "dump.rdb"
"""What Redis calls it too."""

INTERVAL = 60.0
"""Seconds between snapshots while things change: how much a crash may cost."""


class Engine(Content, Protocol):
    """What is written down, and whether that is needed."""

    @property
    def effects(self) -> Effects: ...


@dataclass(frozen=True, slots=True)
class SnapshotStats:
    """How saving is going; for metrics."""

    in_progress: bool = False
    unsaved_changes: int = 0
    """Changes that the last good snapshot does not have."""
    last: SnapshotInfo | None = None
    """The last good one of this process."""
    last_success_at: float | None = None
    """Seconds since 1970 of the last good one, also if another process wrote it."""
    fork_seconds: float = 0.0
    """How long the last fork stopped the service."""
    failures: int = 0
    last_error: str | None = None


class Snapshots:
    """One engine's snapshots in one directory. ``load`` comes first, ``close`` last."""

    def __init__(
        self,
        engine: Engine,
        directory: str | os.PathLike[str],
        *,
        interval: float = INTERVAL,
        at_end: bool = True,
        copies: Copies | None = None,
    ) -> None:
        """``interval`` is in seconds; at 0 nothing is saved unless asked for, or ``at_end``.

        ``copies`` are shared with whoever else writes files of this engine."""
        self._engine = engine
        self._directory = DataDirectory(directory)
        self._interval = interval
        self._at_end = at_end
        self._copies = copies or Copies()
        self._next: asyncio.Task[SnapshotInfo] | None = None  # asked for, and not yet forked
        self._writing = False  # the copy that runs is ours
        self._forked_changes = 0  # the engine's count of changes that the running copy has
        self._saved_changes: int | None = None  # and the last snapshot; None until loaded
        self._closing = False
        self._stats = SnapshotStats()

    @property
    def path(self) -> Path:
        """Where the last good snapshot lies."""
        return self._directory.path / NAME

    @property
    def stats(self) -> SnapshotStats:
        """As things stand. O(1)."""
        return replace(
            self._stats,
            in_progress=self._writing,
            unsaved_changes=self._unsaved(),
            fork_seconds=self._copies.fork_seconds,
        )

    @property
    def last_stop(self) -> LastStop:
        """How the process before this one ended: what it held may be older than it has told."""
        return self._directory.last_stop

    def load(self, progress: Progress = lambda done, total: None) -> Loaded:
        """Own the directory and fill the empty engine with what is there.

        It blocks, so a server that answers meanwhile runs it in a thread and touches the engine
        only afterwards. Raises DirectoryInUse, SnapshotError or OSError; nothing is loaded then.
        """
        self._directory.acquire()
        loaded = load_directory(self._engine, self._directory.path, progress)
        self._saved_changes = self._engine.effects.changes
        if self.path.exists():
            self._stats = replace(self._stats, last_success_at=self.path.stat().st_mtime)
        return loaded

    def settle(self) -> None:
        """What the last stop left behind has been dealt with, and is on disk. Raises OSError."""
        self._directory.settle()

    async def run(self) -> None:
        """Save at every interval in which something changed, until cancelled."""
        while self._interval > 0:
            await asyncio.sleep(self._interval)
            if self._unsaved():
                # A failure was logged and counted; the next interval is the next attempt.
                with contextlib.suppress(SnapshotError):
                    await self.save()

    async def save(self) -> SnapshotInfo:
        """A snapshot with everything that was written before the call. Raises SnapshotError.

        It is written to the end even if the caller goes away.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._take_turn())
        return await asyncio.shield(self._next)

    async def close(self, *, whole: bool = True) -> None:
        """Write what is unwritten and give up the directory. Raises SnapshotError.

        Blocks while it writes: the doors are closed, and nothing may change any more. ``whole``:
        whatever else keeps something there has written it.
        """
        self._closing = True
        clean: bool | None = False
        try:
            if self._writing and self._forked_changes != self._engine.effects.changes:
                self._copies.kill()  # it has not seen everything, so it must be written anyway
            async with self._copies.turn():
                if self._at_end and self._unsaved():
                    self._save_here()
            clean = None if self._saved_changes is None else whole
        finally:
            self._directory.release(clean=clean)

    def _unsaved(self) -> int:
        """Changes to be saved; none before loading, lest a failed start overwrite good data."""
        saved = self._saved_changes
        return 0 if saved is None else self._engine.effects.changes - saved

    async def _take_turn(self) -> SnapshotInfo:
        async with self._copies.turn():
            self._next = None  # who asks from here on is too late for this one
            if self._closing or self._saved_changes is None:
                raise SnapshotError("no snapshot is taken before loading or while shutting down")
            try:
                return await self._save_in_copy()
            except (ChildFailed, OSError) as fault:
                raise self._failed(fault) from fault
            finally:
                self._writing = False

    async def _save_in_copy(self) -> SnapshotInfo:
        started = time.perf_counter()
        changes = self._forked_changes = self._engine.effects.changes
        with self._directory.create() as new:
            self._writing = True
            written = await self._copies.write(
                new, lambda: dump(self._engine, new.descriptor), NAME
            )
        return self._succeeded(written, changes, time.perf_counter() - started)

    def _save_here(self) -> None:
        started = time.perf_counter()
        changes = self._engine.effects.changes
        try:
            with self._directory.create() as new:
                written = dump(self._engine, new.descriptor)
                new.commit(NAME)
        except OSError as fault:
            raise self._failed(fault) from fault
        self._succeeded(written, changes, time.perf_counter() - started)

    def _succeeded(self, written: Written, changes: int, seconds: float) -> SnapshotInfo:
        info = SnapshotInfo(str(self.path), written.bytes, seconds, written.keys)
        self._saved_changes = changes
        at = self._engine.clock() / SECOND
        self._stats = replace(self._stats, last=info, last_success_at=at, last_error=None)
        log.info("saved %d keys, %d bytes in %.2f s", info.keys, info.bytes, seconds)
        return info

    def _failed(self, fault: Exception) -> SnapshotError:
        error = SnapshotError(f"no snapshot was written to {self.path}: {fault}")
        if not self._closing:
            failures = self._stats.failures + 1
            self._stats = replace(self._stats, failures=failures, last_error=str(error))
            log.error("%s", error)
        return error


def probes(snapshots: Snapshots) -> list[Probe]:
    """Their figures."""
    return [
        Probe(
            "snapshot_unsaved_changes",
            "Changes that the last good snapshot does not have.",
            lambda: snapshots.stats.unsaved_changes,
        ),
        Probe(
            "snapshot_failures",
            "Snapshots that could not be written.",
            lambda: snapshots.stats.failures,
            counts=True,
        ),
        Probe(
            "snapshot_success_time",
            "When the last good snapshot was written, in seconds since 1970.",
            lambda: snapshots.stats.last_success_at or 0,
        ),
        Probe(
            "snapshot_fork_seconds",
            "How long the last fork stopped the service.",
            lambda: snapshots.stats.fork_seconds,
        ),
    ]

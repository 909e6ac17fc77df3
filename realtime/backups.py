"""Backups of a running engine: written now and then or when asked, and brought back to life.

A backup is a snapshot file of its own (see `realtime.backup_files`). It is written by a forked
copy of the process, which reads it back whole before it gets its name; only then may an older
one make room. Snapshots and backups take turns, see `realtime.copies`.

**When.** A scheduled one is due an interval after the newest on disk, whoever made that, so a
restart postpones nothing. One that fails is tried again after a minute, then two, four, … up to
an hour. Those who ask while another one is being written share the next.

**Going back.** A restore loads the backup beside what is live, so it needs memory for both, makes
a backup of what is live, and then puts the other in its place in one step of the event loop.
What is written while that backup is being made is in neither. A backup that is damaged changes
nothing. See `realtime.going_back` for what must not go back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from engine.clock import DAY, SECOND
from engine.engine import Engine
from engine.keyspace import Value
from realtime.backup_files import FOLDER, BackupFiles, instant_of, write_verified
from realtime.collector import hide, paused
from realtime.copies import Copies
from realtime.errors import Conflict
from realtime.fork import ChildFailed
from realtime.going_back import loaded, raise_versions, version_keys
from realtime.keeping import Backup, BackupError, Restored, SnapshotError
from realtime.metrics import Probe

__all__ = ["Backups", "Replace", "Schedule", "probes"]

log = logging.getLogger("realtime.backups")

Replace = Callable[[Callable[[], None]], Awaitable[object]]
"""Runs a function that replaces everything, and returns once that is what a crash would bring
back. Raises SnapshotError if it is not, and the function may have run all the same."""

T = TypeVar("T")

FIRST_RETRY: Final = 60 * SECOND
LAST_RETRY: Final = 3600 * SECOND

FREED: Final = 200
"""Keys of an old content that are let go of between two turns of the event loop."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often, and how many are kept; durations in microseconds."""

    interval: int = 0
    """0: only when asked."""
    keep: int = 7
    max_age: int = 30 * DAY
    """0: for ever. The newest one is kept, however old."""


@dataclass(frozen=True, slots=True)
class BackupStats:
    """How it is going; for metrics."""

    kept: int = 0
    bytes: int = 0
    newest: int | None = None
    """The instant of the newest of ours that is on disk, in microseconds since 1970."""
    failures: int = 0
    last_error: str | None = None


class Backups:
    """Those of one engine, in the data directory that its process owns. ``open`` comes first.

    Errors are those of `realtime.keeping.KeepsBackups`.
    """

    def __init__(
        self,
        engine: Engine,
        directory: Path,
        schedule: Schedule,
        *,
        copies: Copies,
        replace: Replace,
    ) -> None:
        self.stats = BackupStats()
        self._engine = engine
        self._files = BackupFiles(directory / FOLDER)
        self._schedule = schedule
        self._copies = copies
        self._replace = replace
        self._next: asyncio.Task[Backup] | None = None  # asked for, and not yet forked
        self._writing = False  # the copy that runs is ours
        self._usable = False
        self._known: dict[str, Backup] = {}  # those that this process has read whole
        self._restoring = asyncio.Lock()
        self._spared: frozenset[str] = frozenset()  # being restored: they make no room now
        self._failed_in_a_row = 0
        self._retry_at = 0

    def open(self) -> None:
        """The directory is owned and the engine loaded. Blocks; raises OSError."""
        self._files.tidy()
        self._note(self._files.kept())
        self._usable = True

    async def run(self) -> None:
        """Make one whenever it is due, until cancelled."""
        while self._schedule.interval > 0:
            await asyncio.sleep(self.due_in() / SECOND)
            if self.due_in() == 0:
                # A failure was logged and counted, and has set the time of the next attempt.
                with contextlib.suppress(BackupError):
                    await self.create()

    def due_in(self) -> int:
        """Microseconds until the next scheduled one. O(1)."""
        now, interval = self._engine.clock(), self._schedule.interval
        newest = self.stats.newest
        wait = 0 if newest is None else min(newest + interval - now, interval)
        if self._failed_in_a_row:
            wait = max(wait, self._retry_at - now)
        return max(wait, 0)

    async def list(self) -> Sequence[Backup]:
        return self._note(await self._in_thread(self._files.kept))

    async def create(self) -> Backup:
        if self._next is None:
            self._next = asyncio.create_task(self._take_turn())
        return await asyncio.shield(self._next)

    async def delete(self, name: str) -> None:
        await self._in_thread(lambda: self._files.remove(name))
        await self.list()

    async def restore(self, name: str) -> Restored:
        async with self._restoring:
            fresh = await self._in_thread(lambda: self._load(name))
            keys = len(fresh.keyspace)
            self._spared = frozenset({name})
            try:
                kept = await self.create()
                held = await self._put_in_place(fresh)
            except SnapshotError as fault:
                raise BackupError(f"{name} is live, but not yet on disk: {fault}") from fault
            finally:
                self._spared = frozenset()
            log.warning("restored %s, %d keys; what there was is in %s", name, keys, kept.name)
            await _let_go(fresh, held)
            return Restored(name, keys, kept)

    async def close(self) -> None:
        """End what is under way: a half file is removed, and nothing begins any more."""
        self._usable = False
        if self._writing:
            self._copies.kill()
        async with self._copies.turn():
            pass

    async def _take_turn(self) -> Backup:
        async with self._copies.turn():
            self._next = None  # who asks from here on is too late for this one
            if not self._usable:
                raise BackupError("no backup is made before loading or while shutting down")
            try:
                made = await self._write()
            except (ChildFailed, OSError) as fault:
                raise self._failed(fault) from fault
            finally:
                self._writing = False
            await self._succeeded(made)
            return made

    async def _write(self) -> Backup:
        name = self._files.free_name(self._engine.clock())
        with self._files.create() as new:
            self._writing = True
            written = await self._copies.write(new, lambda: write_verified(self._engine, new), name)
        return Backup(name, written.bytes, instant_of(name) or 0, written.keys)

    async def _succeeded(self, made: Backup) -> None:
        """Note it, and remove those that are too many or too old now."""
        log.info("backup %s: %d keys, %d bytes", made.name, made.keys, made.bytes)
        self._failed_in_a_row = 0
        self._known[made.name] = made
        self.stats = replace(self.stats, last_error=None, newest=made.created_at)
        age = self._schedule.max_age
        oldest = made.created_at - age if age else 0
        spared = self._spared | {made.name}
        try:
            kept = await asyncio.to_thread(
                self._files.make_room, self._schedule.keep, oldest, spared
            )
        except OSError as fault:
            log.error("old backups could not be removed: %s", fault)
        else:
            self._note(kept)

    def _failed(self, fault: Exception) -> BackupError:
        error = BackupError(f"no backup was made: {fault}")
        if self._usable:
            pause = min(FIRST_RETRY << min(self._failed_in_a_row, 10), LAST_RETRY)
            self._failed_in_a_row += 1
            self._retry_at = self._engine.clock() + pause
            failures = self.stats.failures + 1
            self.stats = replace(self.stats, failures=failures, last_error=str(error))
            log.error("%s", error)
        return error

    def _note(self, found: Sequence[Backup]) -> Sequence[Backup]:
        """What is on disk, and whether we have read it."""
        kept = [self._as_known(backup) for backup in found]
        self._known = {backup.name: backup for backup in kept if backup.verified}
        ours = [backup.created_at for backup in kept if instant_of(backup.name) is not None]
        self.stats = replace(
            self.stats,
            kept=len(kept),
            bytes=sum(backup.bytes for backup in kept),
            newest=max(ours, default=None),
        )
        return kept

    def _as_known(self, backup: Backup) -> Backup:
        known = self._known.get(backup.name)
        return known if known is not None and known.bytes == backup.bytes else backup

    def _load(self, name: str) -> Engine:
        path = self._files.find(name)
        with paused():
            try:
                fresh = loaded(path, self._engine.clock)
            except SnapshotError as fault:
                raise _unloadable(name, fault) from fault
            hide()
        return fresh

    async def _put_in_place(self, fresh: Engine) -> dict[bytes, Value]:
        """Answers what was live."""
        engine = self._engine
        versions = await asyncio.to_thread(version_keys, [*engine.keyspace.values])
        held: dict[bytes, Value] = {}

        def change() -> None:
            nonlocal held
            raise_versions(fresh, engine, versions)
            held = engine.replace(fresh)

        await self._replace(change)
        return held

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as fault:
            raise BackupError(f"the folder of backups cannot be used: {fault}") from fault


def _unloadable(name: str, fault: SnapshotError) -> Exception:
    text = f"{name} cannot be loaded, and nothing was changed: {fault.__cause__}"
    return BackupError(text) if isinstance(fault.__cause__, OSError) else Conflict(text)


async def _let_go(fresh: Engine, held: dict[bytes, Value]) -> None:
    """Free what was live, little by little: all at once it would hold everybody up."""
    for emptied in (held, fresh.keyspace.values, fresh.keyspace.deadlines):
        while emptied:
            for _ in range(min(FREED, len(emptied))):
                emptied.popitem()
            await asyncio.sleep(0)


def probes(backups: Backups) -> list[Probe]:
    """Their figures."""
    return [
        Probe("backups", "Backups on disk.", lambda: backups.stats.kept),
        Probe("backup_bytes", "Bytes of all backups on disk.", lambda: backups.stats.bytes),
        Probe(
            "backup_success_time",
            "Of which instant the newest good backup is, in seconds since 1970; 0: there is none.",
            lambda: (backups.stats.newest or 0) / SECOND,
        ),
        Probe(
            "backup_failures",
            "Backups that could not be made.",
            lambda: backups.stats.failures,
            counts=True,
        ),
    ]

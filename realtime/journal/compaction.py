"""A new base in the background, so that the journal does not grow for ever.

A forked copy of the process (see `realtime.fork`) writes all that is in memory at one instant
into a new base, while the service goes on. That instant lies exactly between two batches: what
came before is in the base, what comes after goes to a new increment.

    1  a new increment is created, and the manifest lists it, empty
    2  the last batch for the old one is sealed; at that instant: fork
    3  the old increment is synced, and writing goes on in the new one
    4  the copy has written and synced the base; it gets its name
    5  the manifest lists the new base and the new increment only
    6  the old files are removed

A crash before 5 leaves the old base and all increments, one after it the new ones; each gives
the same state. Up to 5 nothing but space has been spent, so a failure is logged and tried again.

**Rebase** is the same with the journal suspended: where the increment cannot be trusted any more
(an fsync failed), or where everything is about to be something else (a backup is restored).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, TypeVar

from realtime.datadir import NewFile
from realtime.faults import reach
from realtime.fork import Child, ChildFailed, fork
from realtime.journal.disk import Increment
from realtime.journal.files import Files
from realtime.journal.journal import Journal
from realtime.snapshot_file import Content, dump

__all__ = ["MENDING", "Compaction", "CompactionStats"]

log = logging.getLogger("realtime.journal")

LOOK_EVERY: Final = 0.2
"""Seconds between two looks at whether there is anything to do."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 600.0
"""Seconds before the next attempt after a failure; each doubles it."""

MENDING_PAUSE = 5.0
"""The longest while writes are refused: somebody is waiting."""

MENDING: Final = "the journal is being written anew"


T = TypeVar("T")


def _nothing() -> None:
    """There is nothing to be done."""


@dataclass(slots=True)
class CompactionStats:
    """Since the start of the process; times are seconds."""

    done: int = 0
    failures: int = 0
    in_progress: bool = False
    last_seconds: float = 0.0
    fork_seconds: float = 0.0


class Compaction:
    """Of one journal. Used on the event loop."""

    def __init__(
        self,
        content: Content,
        journal: Journal,
        files: Files,
        turn: Callable[[], AbstractAsyncContextManager[None]],
        *,
        ratio: float,
        floor: int,
    ) -> None:
        """``turn`` is shared with whatever else forks: one copy at a time. ``ratio`` 0: never."""
        self.stats = CompactionStats()
        self._content = content
        self._journal = journal
        self._files = files
        self._turn = turn
        self._ratio = ratio
        self._floor = floor
        self._pause = FIRST_PAUSE / 2
        self._failed_at = float("-inf")

    async def run(self) -> None:
        """Compact when it is time to, and mend what is broken, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            broken = self._journal.needs_base
            if self._is_too_soon(broken) or not (broken or self.is_due):
                continue
            try:
                await (self.rebase(MENDING) if broken else self.compact())
            except OSError:  # it was logged and counted
                self._failed_at = time.monotonic()
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
            else:
                self._pause = FIRST_PAUSE / 2

    def _is_too_soon(self, broken: bool) -> bool:
        """Whether the last failure is too fresh to try again."""
        pause = min(self._pause, MENDING_PAUSE) if broken else self._pause
        return time.monotonic() - self._failed_at < pause

    @property
    def bytes(self) -> int:
        """Of all files of the journal."""
        return self._files.base_bytes + self._grown

    @property
    def _grown(self) -> int:
        return self._files.closed_bytes + self._journal.increment.size

    @property
    def is_due(self) -> bool:
        """Whether the increments have outgrown the base."""
        grown = self._grown
        return (
            self._ratio > 0
            and self._journal.is_whole
            and grown > max(self._floor, self._ratio * self._files.base_bytes)
        )

    async def compact(self) -> None:
        """Write a new base while everything goes on. Raises OSError; nothing is lost then."""
        async with self._turn():
            with self._attempt(), self._files.new_base() as new, _killing() as copies:
                increment = await _to_the_end(self._files.prepare)
                await self._journal.switch(increment, lambda: copies.append(self._fork(new)))
                await self._adopt(copies[0], new)

    async def rebase(self, reason: str, change: Callable[[], None] = _nothing) -> None:
        """Suspend writing, ``change`` everything, and return once that is on disk, whole.

        Writes are refused meanwhile, with the reason. Raises OSError. If the change was made
        by then, or the journal was broken before, writing stays suspended until ``run`` has
        brought to disk what is in memory.
        """
        async with self._turn():
            journal = self._journal
            was_broken = journal.needs_base
            await journal.suspend(reason)
            try:
                with self._attempt():
                    increment = await _to_the_end(self._files.prepare)
                    with (
                        _closing(increment),
                        self._files.new_base() as new,
                        _killing() as copies,
                    ):
                        change()
                        was_broken = True  # the files do not say any more what is in memory
                        journal.forget()
                        copies.append(self._fork(new))
                        await self._adopt(copies[0], new)
            except BaseException:
                journal.needs_base = was_broken
                journal.resume()
                raise
            journal.resume(increment)

    def _fork(self, new: NewFile) -> Child:
        started = time.perf_counter()
        reach("base.fork")
        content, output = self._content, new.descriptor
        copy = fork(lambda: _write(content, output), [output])
        self.stats.fork_seconds = time.perf_counter() - started
        return copy

    async def _adopt(self, copy: Child, new: NewFile) -> None:
        """Wait for the copy, then make what it wrote the truth."""

        def finish() -> None:
            copy.wait()
            self._files.adopt(new)

        await _to_the_end(finish, copy.kill)

    @contextlib.contextmanager
    def _attempt(self) -> Iterator[None]:
        """Count it, time it, and say how it went."""
        stats, started = self.stats, time.perf_counter()
        stats.in_progress = True
        try:
            yield
        except (OSError, ChildFailed) as fault:
            stats.failures += 1
            log.error("the journal could not be written anew: %s", fault)
            if isinstance(fault, ChildFailed):
                raise OSError(errno.EIO, str(fault)) from fault
            raise
        else:
            stats.done += 1
            stats.last_seconds = time.perf_counter() - started
            size = self._files.base_bytes
            log.info("wrote a new base, %d bytes in %.2f s", size, stats.last_seconds)
        finally:
            stats.in_progress = False


def _write(content: Content, output: int) -> bytes:
    """What the copy does."""
    reach("base.write")
    return b"%d %d" % dump(content, output)


@contextlib.contextmanager
def _killing() -> Iterator[list[Child]]:
    """Whatever goes wrong, no copy goes on writing."""
    copies: list[Child] = []
    try:
        yield copies
    except BaseException:
        for copy in copies:
            copy.kill()
        raise


@contextlib.contextmanager
def _closing(increment: Increment) -> Iterator[None]:
    """Unless all goes well, nobody is going to write to it. It stays listed, and empty."""
    try:
        yield
    except BaseException:
        increment.close()
        raise


async def _to_the_end(work: Callable[[], T], when_cancelled: Callable[[], None] = _nothing) -> T:
    """Run ``work`` in a thread. Whoever is cancelled meanwhile still waits for it to end: what
    comes after may want the same files."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        when_cancelled()
        await asyncio.wait([running])
        raise

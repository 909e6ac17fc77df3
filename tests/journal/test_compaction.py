"""A new base in the background: exact at every instant, whatever fails, however often."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from engine.keyspace import String, text
from engine.persistence.manifest import MANIFEST, Manifest
from realtime import faults
from realtime.backends.base import WritesRefused
from realtime.journal import compaction as module
from realtime.journal.durability import ALWAYS, Durability, bounded
from tests.journal.support import Journaled, content, journaled, turn
from tests.redis.waiting import until

POINTS = [
    "increment.create",
    "folder.sync",
    "folder.sync@2",
    "folder.sync@3",
    "manifest.write",
    "manifest.write@2",
    "manifest.sync",
    "manifest.sync@2",
    "manifest.rename",
    "manifest.rename@2",
    "base.fork",
    "base.write",
    "base.rename",
    "base.renamed",
]
"""Where a compaction may fail. What comes behind them only tidies up."""

TIDYING = ["manifest.write@3", "manifest.rename@3", "folder.sync@4", "history.remove"]

COUNTED = 20_000


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.001)


@asynccontextmanager
async def running(one: Journaled) -> AsyncIterator[None]:
    """Compact whenever it is due meanwhile."""
    task = asyncio.create_task(one.compaction.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def on_disk(folder: Path) -> Manifest:
    return Manifest.parse((folder / MANIFEST).read_bytes())


def count_in(folder: Path, key: bytes = b"n") -> int:
    """What a counter would be after a crash at this instant."""
    return int(text(cast(String, content(folder)[key])))


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


async def test_it_leaves_a_base_and_an_empty_increment(folder: Path) -> None:
    async with journaled(folder) as one:
        one.count(5)
        await one.compaction.compact()
        assert names(folder) == [
            "appendonly.aof.1.base.rdb",
            "appendonly.aof.2.incr.aof",
            MANIFEST,
        ]
        assert (folder / "appendonly.aof.2.incr.aof").stat().st_size == 0
        assert count_in(folder) == 5
        assert one.compaction.stats.done == 1
        assert one.compaction.bytes == (folder / "appendonly.aof.1.base.rdb").stat().st_size


@pytest.mark.parametrize("level", [ALWAYS, bounded(100)], ids=str)
async def test_counting_goes_on_and_is_exact(folder: Path, level: Durability) -> None:
    """Compactions all the time, while a counter runs: none is lost, and none counted twice."""
    async with journaled(folder, level, floor=10_000) as one, running(one):
        counted = 0
        while counted < COUNTED or one.compaction.stats.done < 3:
            one.count(20)
            counted += 20
            await asyncio.sleep(0)
    assert count_in(folder) == counted
    async with journaled(folder) as again:
        assert again.engine.counters.get(b"n") == counted


async def test_it_begins_when_the_increments_have_outgrown_the_base(folder: Path) -> None:
    async with journaled(folder, floor=2_000) as one:
        assert not one.compaction.is_due
        one.engine.strings.set(b"k", bytes(2_000))
        await until(lambda: one.compaction.is_due)
        async with running(one):
            await until(lambda: one.compaction.stats.done == 1)
            one.count()
            await one.journal.sync()
            assert not one.compaction.is_due
        assert content(folder)[b"k"] == bytes(2_000)


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "EROFS"])
@pytest.mark.parametrize("point", POINTS)
async def test_wherever_it_fails_nothing_is_lost_and_it_is_tried_again(
    folder: Path, point: str, fault: str
) -> None:
    async with journaled(folder) as one:
        one.count(5)
        await one.journal.sync()
        gc.collect()
        open_files = len(os.listdir("/proc/self/fd"))
        faults.arm(f"{point}={fault}")
        for _ in range(2 if point == "base.write" else 1):  # each copy counts for itself
            with pytest.raises(OSError, match=r"No space|Input/output|Read-only"):
                await one.compaction.compact()
        one.count()  # writes go on
        await one.journal.sync()
        assert count_in(folder) == 6
        assert len(os.listdir("/proc/self/fd")) == open_files, "a file was left open"
        faults.disarm()
        await one.compaction.compact()
        one.count()
        await one.journal.sync()
        assert count_in(folder) == 7
        assert not on_disk(folder).history
        assert names(folder) == sorted([part.name for part in on_disk(folder).parts] + [MANIFEST])


@pytest.mark.parametrize("point", TIDYING)
async def test_what_cannot_be_tidied_up_is_left_for_the_next_time(folder: Path, point: str) -> None:
    async with journaled(folder) as one:
        one.count(5)
        await one.compaction.compact()
        one.count()
        faults.arm(f"{point}=EIO")
        await one.compaction.compact()
        assert one.compaction.stats.failures == 0
        assert count_in(folder) == 6
        await one.compaction.compact()
        assert names(folder) == sorted([part.name for part in on_disk(folder).parts] + [MANIFEST])


async def test_while_the_disk_is_broken_none_is_begun(folder: Path) -> None:
    async with journaled(folder, floor=0) as one:
        faults.arm("journal.write@1+=ENOSPC")
        one.count()
        await until(lambda: one.journal.refusal is not None)
        assert not one.compaction.is_due
        faults.disarm()
        await until(lambda: one.compaction.is_due)


async def test_after_failures_it_waits_longer_and_longer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    async with journaled(folder, floor=0) as one:
        one.count()
        await one.journal.sync()
        faults.arm("base.fork@1+=ENOSPC")
        stats = one.compaction.stats
        async with running(one):
            await until(lambda: stats.failures == 1)
            for attempt, pause in enumerate([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600], 1):
                clock.now += pause - 0.01
                await clock.looked_at()
                assert stats.failures == attempt
                clock.now += 0.02
                await until(lambda attempt=attempt: stats.failures == attempt + 1)  # type: ignore[misc]
            faults.disarm()
            clock.now += module.LONGEST_PAUSE
            await until(lambda: stats.done > 0)
        assert count_in(folder) == 1


class Clock:
    """The clock of `realtime.journal.compaction`, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._looks = 0

    def monotonic(self) -> float:
        self._looks += 1
        return self.now

    async def looked_at(self) -> None:
        """Return when somebody has read it twice."""
        seen = self._looks
        await until(lambda: self._looks > seen + 1)

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize("level", [ALWAYS, bounded(20)], ids=str)
async def test_an_fsync_that_failed_leads_to_a_new_base_by_itself(
    folder: Path, level: Durability
) -> None:
    async with journaled(folder, level) as one, running(one):
        faults.arm("journal.sync=EIO")
        one.count()
        await until(lambda: one.compaction.stats.done == 1 and one.journal.refusal is None)
        assert on_disk(folder).base is not None
        one.count()
        await one.journal.sync()
        assert count_in(folder) == 2


async def test_mending_refuses_writes_until_it_is_done(folder: Path) -> None:
    """However long the copy takes, and whatever was to be tried again meanwhile: what were written
    to the old file would be lost with it."""
    async with journaled(folder) as one:
        faults.arm("journal.sync=EIO")
        one.count()
        await until(lambda: one.journal.needs_base)
        faults.arm("base.rename=HANG")
        mending = asyncio.create_task(one.compaction.rebase("mending"))
        await until(lambda: faults.times("base.rename") == 1)
        one.journal._retry()  # as it does a second after what failed, at the worst moment
        assert one.journal._busy_since is None
        with pytest.raises(WritesRefused):
            one.journal.admit()
        one.count()  # such as what expires
        faults.disarm()
        await mending
        one.journal.admit()
        await one.journal.sync()
        assert count_in(folder) == 2


@pytest.mark.parametrize("point", POINTS)
async def test_wherever_mending_fails_writes_stay_refused_until_it_succeeds(
    folder: Path, point: str
) -> None:
    async with journaled(folder) as one:
        one.count(5)
        await one.compaction.compact()
        faults.arm("journal.sync=EIO")
        one.count()
        await until(lambda: one.journal.needs_base)
        faults.arm(f"{point}@1+=EROFS" if "@" not in point else f"{point}+=EROFS")
        with pytest.raises(OSError, match="Read-only"):
            await one.compaction.rebase("mending")
        with pytest.raises(WritesRefused):
            one.journal.admit()
        one.count()
        assert count_in(folder) >= 5, "what was acknowledged is there"
        faults.disarm()
        await one.compaction.rebase("mending")
        one.journal.admit()
        one.count()
        await one.journal.sync()
        assert count_in(folder) == 8


@pytest.mark.parametrize("point", POINTS[: POINTS.index("base.fork")])
async def test_a_change_that_cannot_begin_is_not_made(folder: Path, point: str) -> None:
    changes: list[int] = []
    async with journaled(folder) as one:
        one.count()
        await one.journal.sync()
        if point.endswith(("@2", "@3")) and point != "folder.sync@2":
            return  # behind the change
        faults.arm(f"{point}=ENOSPC")
        with pytest.raises(OSError, match="No space"):
            await one.compaction.rebase("a backup is being restored", lambda: changes.append(1))
        assert not changes
        one.journal.admit()
        one.count()
        await one.journal.sync()
        assert count_in(folder) == 2


async def test_a_change_is_whole_on_disk_or_writes_are_refused(folder: Path) -> None:
    async with journaled(folder) as one:
        one.count()
        await one.journal.sync()

        def change() -> None:
            one.engine.counters.set(b"n", 100)
            one.engine.counters.set(b"m", 100)

        faults.arm("base.rename=ENOSPC")
        with pytest.raises(OSError, match="No space"):
            await one.compaction.rebase("a backup is being restored", change)
        with pytest.raises(WritesRefused):
            one.journal.admit()
        assert count_in(folder) == 1
        async with running(one):
            await until(lambda: one.journal.refusal is None, within=10)
        assert [count_in(folder, key) for key in (b"n", b"m")] == [100, 100]


async def test_who_is_cancelled_leaves_the_journal_as_it_was(folder: Path) -> None:
    async with journaled(folder) as one:
        one.count()
        faults.arm("base.rename=HANG")
        compacting = asyncio.create_task(one.compaction.compact())
        await until(lambda: faults.times("base.rename") == 1)
        compacting.cancel()
        await turn()
        assert not compacting.done(), "its copy is still at work"
        faults.disarm()
        await asyncio.gather(compacting, return_exceptions=True)
        assert compacting.cancelled()
        one.count()
        await one.journal.sync()
        assert count_in(folder) == 2
        assert not any(name.startswith("temp-") for name in names(folder))

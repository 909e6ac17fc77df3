"""A disk that is slow, full or broken: what a journal refuses, keeps, and makes good."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from realtime import faults
from realtime.gate import Gated
from realtime.journal import compaction
from realtime.journal import journal as module
from realtime.journal.durability import ALWAYS, Durability, bounded
from tests.journal.support import (
    Journaled,
    batches,
    connection,
    content,
    journaled,
    refused,
    settled,
    turn,
)
from tests.journal.transport import Transport
from tests.redis.waiting import until

LEVELS = [ALWAYS, bounded(50)]


async def test_a_disk_that_hangs_refuses_writes_and_lets_reads_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    async with journaled(folder) as one:
        client, transport = connection(one)
        faults.arm("journal.sync=HANG")
        one.count()
        client.write_answer(b"1")
        await turn()
        early, seen = connection(one)
        early.write_answer(b"an early read")
        assert seen.left == []
        one.journal.tick()
        assert seen.left == [b"an early read"]
        assert refused(one) == module.BEHIND
        reader, read = connection(one)
        reader.write_answer(b"a read")
        assert read.left == [b"a read"]
        assert transport.left == []
        faults.disarm()
        await until(lambda: bool(transport.left))
        assert transport.left == [b"1"]
        assert refused(one) is None


async def test_bounded_refuses_when_the_bound_is_over(folder: Path) -> None:
    async with journaled(folder, bounded(20)) as one:
        client, transport = connection(one)
        faults.arm("journal.sync=HANG")
        one.count()
        client.write_answer(b"1")
        await until(lambda: refused(one) is not None)
        assert refused(one) == module.BEHIND
        assert one.journal.unsynced_seconds >= 0.02
        assert transport.left == [b"1"], "what was promised is that it is written"
        faults.disarm()
        await until(lambda: refused(one) is None)
        assert one.journal.synced == 1


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "EROFS"])
@pytest.mark.parametrize("level", LEVELS, ids=str)
async def test_a_write_that_fails_is_told_kept_and_tried_again(
    folder: Path, level: Durability, fault: str
) -> None:
    async with journaled(folder, level) as one:
        client, transport = connection(one)
        one.count()
        await settled(one)
        faults.arm(f"journal.write@1+={fault}")
        one.count()
        client.write_answer(b"2")
        await until(lambda: bool(transport.left))
        assert transport.left == [b"refused", "close"]
        assert "the journal cannot be written: " in (refused(one) or "")
        assert one.journal.stats.failures > 0
        await until(lambda: one.journal.stats.failures > 2)
        assert content(folder) == {b"n": 1}
        faults.disarm()
        await until(lambda: refused(one) is None)
        assert content(folder) == {b"n": 2}
        one.count()
        await settled(one)
        assert [batch.sequence for batch in batches(folder)] == [1, 2, 3]


@pytest.mark.parametrize("level", LEVELS, ids=str)
async def test_what_expires_while_nothing_can_be_written_is_written_later(
    folder: Path, level: Durability
) -> None:
    async with journaled(folder, level) as one:
        one.engine.strings.set(b"k", b"v", ttl=1000)
        await settled(one)
        faults.arm("journal.write@1+=ENOSPC")
        one.count()
        await until(lambda: refused(one) is not None)
        cast(Any, one.engine.clock).advance(10_000_000)
        one.engine.sweep(1000)
        assert one.engine.strings.get(b"k") is None
        assert set(content(folder)) == {b"k"}
        faults.disarm()
        await settled(one)
        assert content(folder) == {b"n": 1}


async def test_bounded_syncs_what_it_has_answered_also_while_nothing_can_be_written(
    folder: Path,
) -> None:
    """A full disk takes no more, but what it has taken it can still be asked to keep."""
    async with journaled(folder, bounded(50)) as one:
        one.count()
        await turn()
        faults.arm("journal.write@1+=ENOSPC")
        one.count()
        await turn()
        assert refused(one) is not None
        await until(lambda: one.journal.synced == 1)
        assert refused(one) is not None
        faults.disarm()
        await settled(one)


@pytest.mark.parametrize("level", LEVELS, ids=str)
async def test_after_an_fsync_that_failed_only_a_new_base_helps(
    folder: Path, level: Durability
) -> None:
    async with journaled(folder, level) as one:
        faults.arm("journal.sync=EIO")
        one.count()
        await until(lambda: one.journal.needs_base)
        assert "Input/output error" in (refused(one) or "")
        await one.journal.until_it_looks()
        assert refused(one) is not None, "an fsync that succeeds later proves nothing"
        await one.compaction.rebase("mending")
        assert refused(one) is None
        assert one.files.manifest.base is not None
        assert one.journal.increment.path.name == "appendonly.aof.2.incr.aof"
        one.count()
        await settled(one)
        assert content(folder) == {b"n": 2}


async def test_more_than_is_worth_keeping_is_forgotten_for_a_new_base(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 10)
    async with journaled(folder) as one:
        faults.arm("journal.write@1+=ENOSPC")
        one.count()
        await until(lambda: refused(one) is not None)
        one.count(50)
        assert one.journal.needs_base
        faults.disarm()
        await one.compaction.rebase("mending")
        assert content(folder) == {b"n": 51}
        assert refused(one) is None


async def test_an_attempt_that_succeeds_after_effects_were_dropped_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are dropped while the worker tries: what it has written has a hole behind it."""
    monkeypatch.setattr(module, "MOST_KEPT", 10)
    async with journaled(folder) as one:
        faults.arm("journal.write=ENOSPC,journal.sync=HANG")
        one.count()
        await until(lambda: (folder / "appendonly.aof.1.incr.aof").stat().st_size > 0)
        one.count(50)
        assert one.journal.needs_base
        faults.disarm()
        await until(lambda: one.journal.synced == 1)
        assert refused(one) is not None
        await one.compaction.rebase("mending")
        assert content(folder) == {b"n": 51}


async def test_suspended_it_keeps_what_happens_and_refuses_the_rest(folder: Path) -> None:
    async with journaled(folder) as one:
        one.count()
        await one.journal.suspend("closed for a moment")
        assert content(folder) == {b"n": 1}
        assert refused(one) == "closed for a moment"
        one.count()
        client, transport = connection(one)
        client.write(b"a read")
        assert transport.left == [b"a read"]
        one.journal.resume()
        assert refused(one) is None
        await settled(one)
        assert content(folder) == {b"n": 2}


@pytest.mark.parametrize("level", LEVELS, ids=str)
async def test_an_old_trouble_does_not_end_a_suspension(folder: Path, level: Durability) -> None:
    """Else writes would go to a file that is about to be forgotten."""
    async with journaled(folder, level) as one:
        faults.arm("journal.write@1+=ENOSPC")
        one.count()
        await until(lambda: refused(one) is not None)
        await one.journal.suspend("closed for a moment")
        await one.journal.until_it_looks(one.journal.looked)
        assert refused(one) is not None
        faults.disarm()
        one.journal.resume()
        await settled(one)
        assert content(folder) == {b"n": 1}


async def test_resuming_the_old_file_writes_first_what_had_failed_before(folder: Path) -> None:
    async with journaled(folder) as one:
        faults.arm("journal.write=ENOSPC,increment.create=ENOSPC")
        one.count()
        await until(lambda: refused(one) is not None)
        with pytest.raises(OSError, match="No space"):
            await one.compaction.rebase("a backup is being restored")
        one.count()
        await settled(one)
        one.count()
        await settled(one)
        assert [batch.sequence for batch in batches(folder)] == [1, 2, 3]
        assert content(folder) == {b"n": 3}


async def test_sync_says_that_it_cannot(folder: Path) -> None:
    async with journaled(folder, bounded(60_000)) as one:
        faults.arm("journal.write=ENOSPC")
        one.count()
        with pytest.raises(OSError, match="the journal cannot be written: No space left"):
            await one.journal.sync()
        await settled(one)


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("fault", ["journal.write@2+=ENOSPC", "journal.sync@2+=EIO"])
async def test_closing_says_that_something_is_not_on_disk(
    folder: Path, level: Durability, fault: str
) -> None:
    one = Journaled(folder, level, 1 << 30)
    one.open()
    one.count()
    await settled(one)
    faults.arm(fault.replace("@2+", "@1+"))
    one.count()
    with pytest.raises(OSError, match=r"No space|Input/output"):
        await one.journal.close()


async def test_nothing_is_tried_again_once_it_is_closed(folder: Path) -> None:
    """The descriptor is closed, and may be another file's by then."""
    one = Journaled(folder, ALWAYS, 1 << 30)
    one.open()
    faults.arm("journal.write@1+=ENOSPC")
    one.count()
    await until(lambda: refused(one) is not None)
    with pytest.raises(OSError, match="No space"):
        await one.journal.close()
    faults.arm("journal.write@1000=EIO")  # only counts
    await one.journal.until_it_looks(one.journal.looked)
    assert faults.times("journal.write") == 0
    assert not any(thread.name == "journal" for thread in threading.enumerate())


async def test_while_it_is_broken_it_does_not_switch(folder: Path) -> None:
    calls: list[int] = []
    async with journaled(folder) as one:
        faults.arm("journal.write=EIO")
        one.count()
        await until(lambda: refused(one) is not None)
        with pytest.raises(OSError, match="the journal cannot be written"):
            await one.journal.switch(one.files.prepare(), lambda: calls.append(1))
        assert not calls
        await settled(one)


@pytest.mark.parametrize("level", LEVELS, ids=str)
async def test_nothing_is_answered_that_is_not_written(
    folder: Path, level: Durability, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails: what a client was told is there after a crash at that instant."""
    monkeypatch.setattr(compaction, "LOOK_EVERY", 0.01)
    answered: list[int] = []
    async with journaled(folder, level) as one:
        run = asyncio.create_task(one.compaction.run())
        for number in range(120):
            await until(lambda: refused(one) is None)
            if number % 10 == 7:
                faults.arm(_FAULTS[number // 10 % len(_FAULTS)])
            one.count()
            _answer_to(one, one.engine.counters.get(b"n") or 0, answered.append)
            await until(lambda: not one.journal.gate.closed)
            assert cast(int, content(folder)[b"n"]) >= answered[-1]
        await settled(one)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        assert content(folder) == {b"n": 120}
    assert 90 < len(answered) < 120


_FAULTS = ["journal.write=ENOSPC", "journal.sync=EIO", "journal.write=EIO,journal.cut=EIO"]


def _answer_to(one: Journaled, number: int, told: Callable[[int], None]) -> None:
    """Tell when the answer leaves, if it leaves."""

    class Client(Transport):
        def write(self, data: bytes) -> None:
            if data != b"refused":
                told(number)

    one.journal.gate.refusal = b"refused"
    cast(Gated, one.journal.gate.wrap(cast(Any, Client()))).write_answer(b"done")

"""From effects to batches on disk: what is written together, and told when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from realtime import faults
from realtime.journal.durability import ALWAYS, Durability, bounded
from tests.journal.support import (
    batches,
    connection,
    content,
    journaled,
    refused,
    settled,
    turn,
)
from tests.redis.waiting import until

LEVELS = [ALWAYS, bounded(50)]


@pytest.mark.parametrize("level", LEVELS, ids=str)
async def test_what_one_turn_does_is_one_batch_and_one_fsync(
    folder: Path, level: Durability
) -> None:
    async with journaled(folder, level) as one:
        one.count(100)
        await settled(one)
        assert len(batches(folder)) == 1
        assert one.journal.stats.syncs == 1
        one.count(1)
        await settled(one)
        assert [batch.sequence for batch in batches(folder)] == [1, 2]
        assert content(folder) == {b"n": 101}


@pytest.mark.parametrize("level", LEVELS, ids=str)
async def test_close_writes_what_is_unwritten(folder: Path, level: Durability) -> None:
    async with journaled(folder, level) as one:
        one.count(3)
    assert content(folder) == {b"n": 3}
    async with journaled(folder, level) as one:
        one.count(1)
    assert content(folder) == {b"n": 4}
    assert [batch.sequence for batch in batches(folder)] == [1, 2]


async def test_an_answer_leaves_when_it_is_on_disk(folder: Path) -> None:
    async with journaled(folder) as one:
        client, transport = connection(one)
        faults.arm("journal.sync=HANG")
        one.count()
        client.write_answer(b"1")
        await until(lambda: (folder / "appendonly.aof.1.incr.aof").stat().st_size > 0)
        client.write_answer(b"a read that has seen it")
        assert transport.left == []
        faults.disarm()
        await until(lambda: len(transport.left) == 2)
        assert transport.left == [b"1", b"a read that has seen it"]


async def test_what_comes_meanwhile_is_the_next_batch(folder: Path) -> None:
    """One fsync for all who came while the last one ran, and each leaves with its own."""
    async with journaled(folder) as one:
        client, transport = connection(one)
        faults.arm("journal.sync=HANG")
        one.count()
        client.write_answer(b"1")
        await until(lambda: faults.times("journal.sync") == 1)
        for number in (b"2", b"3", b"4"):
            one.count()
            client.write_answer(number)
            await turn()
        assert transport.left == []
        faults.arm("journal.sync=HANG")  # another one: the first goes on
        await until(lambda: bool(transport.left))
        assert transport.left == [b"1"]
        faults.disarm()
        await until(lambda: transport.left == [b"1", b"2", b"3", b"4"])
        assert len(batches(folder)) == 2
        assert one.journal.stats.syncs == 2


async def test_bounded_answers_when_it_is_written(folder: Path) -> None:
    async with journaled(folder, bounded(1000)) as one:
        client, transport = connection(one)
        one.count()
        client.write_answer(b"1")
        assert transport.left == []
        await turn()
        assert transport.left == [b"1"]
        assert [batch.sequence for batch in batches(folder)] == [1]
        assert one.journal.synced == 0
        await settled(one)


async def test_sync_returns_when_all_is_on_disk(folder: Path) -> None:
    async with journaled(folder, bounded(60_000)) as one:
        one.count(2)
        await one.journal.sync()
        assert one.journal.synced == one.journal.sequence == 1
        assert content(folder) == {b"n": 2}


async def test_a_switch_lies_exactly_between_two_batches(folder: Path) -> None:
    async with journaled(folder) as one:
        seen: list[int | None] = []

        def boundary() -> None:
            seen.append(one.engine.counters.get(b"n"))

        switching = asyncio.create_task(one.journal.switch(one.files.prepare(), boundary))
        for _ in range(50):
            one.count()
            await asyncio.sleep(0)
        await switching
        one.count()
        await settled(one)
        before = sum(len(batch.body.split(b"SET")) - 1 for batch in batches(folder, 1))
        assert seen == [before]
        assert content(folder) == {b"n": 51}


async def test_a_boundary_that_fails_leaves_everything_as_it_was(folder: Path) -> None:
    def boundary() -> None:
        raise OSError("no room for a copy")

    async with journaled(folder) as one:
        one.count()
        with pytest.raises(OSError, match="no room for a copy"):
            await one.journal.switch(one.files.prepare(), boundary)
        assert refused(one) is None
        await settled(one)
        assert [batch.sequence for batch in batches(folder)] == [1]

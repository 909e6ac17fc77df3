"""Live boards: complete tops, at most one per interval, only when the top has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from engine.clock import ManualClock
from realtime.backends.base import BackendUnavailable, Ranking, Submit
from realtime.embedded import Embedded
from realtime.services.live import LiveBoards


class Rig:
    """Live boards whose interval passes when the test says so."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.features = Embedded(self.clock)
        self.watched = {"leaderboard:arcade"}
        self.asleep = asyncio.Event()
        self.wake = asyncio.Event()
        self.published: list[dict[str, Any]] = []
        self.live = LiveBoards(self.features.services, self.watched.__contains__, 0.1, self._sleep)
        self.features.services.backend.channels.listen(
            lambda channel, publication, _: self.published.append(
                msgspec.json.decode(publication.data)
            )
        )

    async def _sleep(self, interval: float) -> None:
        assert interval == 0.1
        self.asleep.set()
        await self.wake.wait()
        self.wake.clear()

    async def interval(self) -> None:
        """Let one interval pass, and wait for what is published after it."""
        self.asleep.clear()
        self.wake.set()
        await self.settled()

    async def settled(self) -> None:
        await asyncio.wait_for(self.asleep.wait(), 5)

    async def submit(self, member: str, score: float, board: str = "arcade") -> None:
        await self.features.leaderboards.submit(board, [Submit(member.encode(), score)])


@asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    rig = Rig()
    task = asyncio.create_task(rig.live.run())
    yield rig
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_however_many_scores_arrive_one_top_is_published() -> None:
    async with running() as rig:
        for number in range(1000):
            await rig.submit(f"p{number}", number)
        await rig.settled()
        (top,) = rig.published
        assert [entry["rank"] for entry in top["entries"]] == list(range(1, 11))
        assert top["entries"][0] == {"rank": 1, "member": "p999", "score": 999}
        await rig.submit("ada", 5000)
        await rig.submit("ada", 6000)
        assert len(rig.published) == 1
        await rig.interval()
        assert [top["version"] for top in rig.published] == [1, 2]
        assert rig.published[-1]["entries"][0]["score"] == 6000


async def test_a_change_below_the_top_is_not_published() -> None:
    async with running() as rig:
        for number in range(20):
            await rig.submit(f"p{number}", 100 + number)
        await rig.settled()
        await rig.submit("last", 1)
        await rig.interval()
        assert len(rig.published) == 1


async def test_a_board_that_nobody_watches_costs_nothing() -> None:
    async with running() as rig:
        await rig.submit("ada", 1, board="other")
        await rig.submit("ada", 1)
        await rig.settled()
        assert [top["board"] for top in rig.published] == ["arcade"]


async def test_a_new_subscriber_sees_what_the_others_saw_last() -> None:
    async with running() as rig:
        await rig.submit("ada", 1)
        await rig.settled()
        snapshot = await rig.live.snapshot("leaderboard:arcade")
        assert snapshot is not None
        assert msgspec.json.decode(snapshot) == rig.published[-1]
        assert await rig.live.snapshot("news") is None


async def test_versions_grow_across_quiet_times_and_cost_an_empty_board_nothing() -> None:
    async with running() as rig:
        empty = await rig.live.snapshot("leaderboard:arcade")
        assert empty == b'{"board":"arcade","version":0,"entries":[]}'
        assert len(rig.features.engine.keyspace) == 0
        await rig.submit("ada", 1)
        await rig.settled()
        rig.watched.clear()
        await rig.submit("ada", 2)
        snapshot = await rig.live.snapshot("leaderboard:arcade")
        assert snapshot is not None
        assert msgspec.json.decode(snapshot)["version"] == 2
        assert msgspec.json.decode(snapshot)["entries"][0]["score"] == 2


async def test_an_outage_delays_a_top_and_does_not_end_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as rig:
        page = rig.features.leaderboards.page

        async def away(*_: object, **__: object) -> None:
            raise BackendUnavailable

        monkeypatch.setattr(rig.features.leaderboards, "page", away)
        await rig.submit("ada", 1)
        await rig.settled()
        assert rig.published == []
        monkeypatch.setattr(rig.features.leaderboards, "page", page)
        await rig.interval()
        assert len(rig.published) == 1


async def test_what_cannot_be_shown_of_one_board_does_not_end_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As when another program has stored a member there whose name is no text."""
    async with running() as rig:
        rig.watched.add("leaderboard:other")
        rig.features.engine.boards.submit(b"lb:{other}", Ranking(), Submit(b"\xfe", 1.0))
        await rig.submit("zoe", 1, board="other")
        await rig.submit("ada", 1)
        await rig.settled()
        assert [top["board"] for top in rig.published] == ["arcade"]
        (record,) = caplog.records
        assert record.getMessage() == "the live board 'other' cannot be shown"
        rig.features.engine.boards.remove(b"lb:{other}", b"\xfe")
        await rig.submit("zoe", 2, board="other")
        await rig.interval()
        assert [top["board"] for top in rig.published] == ["arcade", "other"]


async def test_an_entry_that_leaves_by_itself_is_a_change() -> None:
    """Nobody submits or looks; time passes by the clocks of both store and loop."""
    async with running() as rig:
        await rig.features.leaderboards.configure("arcade", Ranking(entry_ttl=40_000))
        await rig.submit("ada", 1)
        rig.clock.advance(20_000)
        await rig.submit("bob", 2)
        await rig.settled()
        assert [len(top["entries"]) for top in rig.published] == [2]
        for left in (["bob"], []):
            rig.clock.advance(20_000)
            await rig.interval()
            assert [entry["member"] for entry in rig.published[-1]["entries"]] == left


async def test_it_is_one_also_if_nothing_changed_since_somebody_came() -> None:
    async with running() as rig:
        await rig.features.leaderboards.configure("arcade", Ranking(entry_ttl=20_000))
        rig.watched.clear()
        await rig.submit("ada", 1)
        rig.watched.add("leaderboard:arcade")
        assert await rig.live.snapshot("leaderboard:arcade") is not None
        rig.clock.advance(20_000)
        await rig.settled()
        assert [top["entries"] for top in rig.published] == [[]]

"""Live boards of several nodes on one store: published once for all, and right on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from realtime.backends.base import BackendUnavailable, Page, Publication, Ranking, Submit
from realtime.backends.keys import board_key
from realtime.services import Services
from realtime.services.live import KEPT, LiveBoards
from realtime.services.seasons import SeasonRules
from tests.services.shared import Ear, SharedStore, Watching

CHANNEL = "leaderboard:arcade"
INTERVAL = 0.1


class Node:
    """A service node; its intervals pass when the rig says so."""

    def __init__(self, store: SharedStore, now: list[float]) -> None:
        self.services = Services.on(store.node())
        self.watched: set[str] = {CHANNEL}
        self.seen: list[dict[str, Any]] = []
        """What its subscribers saw."""
        self.asleep, self.wake = asyncio.Event(), asyncio.Event()
        self.live = LiveBoards(
            self.services, self.watched.__contains__, INTERVAL, self._sleep, lambda: now[0]
        )
        self.services.backend.channels.listen(self._push)
        self.task = asyncio.create_task(self.live.run())

    def _push(self, channel: bytes, item: Publication, epoch: str) -> None:
        if channel.decode() in self.watched:
            self.seen.append(msgspec.json.decode(item.data))

    async def _sleep(self, interval: float) -> None:
        self.asleep.set()
        await self.wake.wait()
        self.wake.clear()
        self.asleep.clear()

    @property
    def ear(self) -> Ear:
        assert isinstance(self.services.backend.channels, Ear)
        return self.services.backend.channels

    @property
    def watching(self) -> Watching:
        assert isinstance(self.services.backend.watches, Watching)
        return self.services.backend.watches

    async def submit(self, member: str, score: float, board: str = "arcade") -> None:
        await self.services.leaderboards.submit(board, [Submit(member.encode(), score)])

    async def snapshot(self, channel: str = CHANNEL) -> dict[str, Any]:
        data = await self.live.snapshot(channel)
        assert data is not None
        answer: dict[str, Any] = msgspec.json.decode(data)
        return answer


class Rig:
    """Two nodes, and all that is published."""

    def __init__(self) -> None:
        self.store = SharedStore()
        self.now = [1000.0]
        self.published: list[dict[str, Any]] = []
        self.store.engine.channels.listen(
            lambda _, item, __: self.published.append(msgspec.json.decode(item.data))
        )
        self.nodes = [Node(self.store, self.now) for _ in range(2)]

    async def settle(self) -> None:
        """Let everybody do what there is to do within this interval."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def interval(self, of: Node | None = None) -> None:
        """Let an interval pass, for one node or for all."""
        self.now[0] += INTERVAL
        for node in self.nodes:
            if of in (None, node):
                node.wake.set()
        await self.settle()

    async def quiet(self) -> None:
        """Intervals until nobody has anything to do."""
        for _ in range(6):
            await self.interval()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    for node in rig.nodes:
        await node.snapshot()
    await rig.quiet()
    yield rig
    for node in rig.nodes:
        node.task.cancel()
    for ended in await asyncio.gather(*[node.task for node in rig.nodes], return_exceptions=True):
        assert isinstance(ended, asyncio.CancelledError), ended


def scores(top: dict[str, Any]) -> list[float]:
    return [entry["score"] for entry in top["entries"]]


async def test_both_together_publish_once_in_an_interval(rig: Rig) -> None:
    one, two = rig.nodes
    before = len(rig.published)
    for number in range(1, 21):
        for node in rig.nodes:
            for _ in range(10):
                await node.submit("ada", number)
                await node.submit("bob", number / 2)
        await rig.interval()
        assert len(rig.published) - before <= number
    assert len(rig.published) - before >= 19, "whoever publishes goes on at once"
    await rig.quiet()
    assert one.seen == two.seen == rig.published[before:]
    assert scores(rig.published[-1]) == [20, 10]
    versions = [top["version"] for top in rig.published]
    assert versions == sorted(set(versions))


async def test_when_all_have_seen_it_nobody_reads_any_more(rig: Rig) -> None:
    await rig.nodes[0].submit("ada", 1)
    await rig.quiet()
    asked = [len(node.watching.asked) for node in rig.nodes]
    await rig.quiet()
    assert [len(node.watching.asked) for node in rig.nodes] == asked
    assert len(rig.published) == 1


async def test_a_node_that_does_not_publish_does_not_read_either(rig: Rig) -> None:
    """Else every node would read every board that is busy ten times a second."""
    one, two = rig.nodes
    await one.submit("ada", 1)
    await rig.interval(one)
    asked = len(two.watching.asked)
    for number in range(2, 12):
        await one.submit("ada", number)
        await rig.interval(one)
        two.wake.set()
        await rig.settle()
    assert scores(two.seen[-1]) == [11]
    assert len(two.watching.asked) - asked <= 1


async def test_when_the_publisher_dies_another_one_takes_over(rig: Rig) -> None:
    one, two = rig.nodes
    await one.submit("ada", 1)
    await rig.settle()
    await one.submit("ada", 2)
    one.task.cancel()
    await asyncio.sleep(0)
    one.task = asyncio.create_task(asyncio.sleep(3600))
    one.ear.deaf = True
    for _ in range(3):
        await rig.interval(two)
    assert scores(two.seen[-1]) == [2]


async def test_who_comes_second_has_lost_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our reading and our publishing, another node publishes a newer top."""
    one, two = rig.nodes
    publish_next = one.ear.publish_next

    async def late(*args: Any, **options: Any) -> bool:
        monkeypatch.undo()
        await two.submit("ada", 2)
        await rig.settle()
        assert scores(two.seen[-1]) == [2]
        return await publish_next(*args, **options)

    monkeypatch.setattr(one.ear, "publish_next", late)
    two.watching.armed.clear()  # it hears of the first score only by way of its own second one
    await one.submit("ada", 1)
    await rig.settle()
    assert [scores(top) for top in rig.published] == [[2]]
    await rig.quiet()
    assert [scores(top) for top in rig.published] == [[2]]
    assert one.seen == two.seen
    await one.submit("ada", 3)
    await rig.quiet()
    assert scores(two.seen[-1]) == [3]


async def test_a_top_is_never_followed_by_an_older_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node publishes a newer top while we read: ours must not be taken for the next."""
    one, two = rig.nodes
    counters = one.services.backend.counters
    get = counters.get

    async def late(keys: Any) -> Any:
        monkeypatch.undo()
        await two.submit("ada", 2)
        await rig.settle()
        return await get(keys)

    monkeypatch.setattr(counters, "get", late)
    two.watching.armed.clear()
    await one.submit("ada", 1)
    await rig.quiet()
    assert [scores(top) for top in rig.published] == [[2]]


async def test_what_changes_between_reading_and_publishing_is_published_next(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = rig.nodes
    two.watched.clear()
    publish_next = one.ear.publish_next

    async def late(*args: Any, **options: Any) -> bool:
        monkeypatch.undo()
        await two.submit("ada", 2)
        return await publish_next(*args, **options)

    monkeypatch.setattr(one.ear, "publish_next", late)
    await one.submit("ada", 1)
    await rig.quiet()
    assert [scores(top) for top in one.seen] == [[1], [2]]


async def test_a_snapshot_is_not_of_before_what_another_node_changed(rig: Rig) -> None:
    """While nobody watched here, nobody told us what was published either."""
    one, two = rig.nodes
    await one.submit("ada", 1)
    await rig.quiet()
    one.watched.clear()
    await two.submit("ada", 2)
    await two.submit("ada", 3)
    await rig.quiet()
    one.watched.add(CHANNEL)
    snapshot = await one.snapshot()
    assert scores(snapshot) == [3]
    assert snapshot["version"] > 1


async def test_a_snapshot_has_a_version_of_its_own(rig: Rig) -> None:
    """Who saw version 1 elsewhere, with another top, must take this for newer."""
    one, two = rig.nodes
    await one.submit("ada", 1)
    await rig.quiet()
    for node in rig.nodes:
        node.watched.clear()
    await two.submit("ada", 2)
    await rig.quiet()
    one.watched.add(CHANNEL)
    assert await one.snapshot() == {
        "board": "arcade", "version": 2, "entries": [{"rank": 1, "member": "ada", "score": 2}],
    }  # fmt: skip
    assert [top["version"] for top in rig.published] == [1]


async def test_who_comes_at_the_same_time_sees_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is told an older top than the other: it must be sent the newer one."""
    one, two = rig.nodes
    await one.submit("ada", 1)
    await rig.quiet()
    for node in rig.nodes:
        node.watched.clear()
    await two.submit("ada", 2)
    one.watched.add(CHANNEL)
    page = one.services.leaderboards.page
    reads = 0

    async def slowly(*args: Any, **options: Any) -> Any:
        nonlocal reads
        reads += 1
        found = await page(*args, **options)
        if reads == 2:  # the first newcomer's second look
            await two.submit("ada", 3)
        await asyncio.sleep(0)
        return found

    monkeypatch.setattr(one.services.leaderboards, "page", slowly)
    first, second = await asyncio.gather(one.snapshot(), one.snapshot())
    assert first == second
    await rig.quiet()
    assert scores(one.seen[-1] if one.seen[1:] else first) == [3]


async def test_other_rules_are_another_top(rig: Rig) -> None:
    one, two = rig.nodes
    one.watched.clear()
    await one.submit("ada", 1)
    await one.submit("bob", 2)
    await rig.quiet()
    assert scores(two.seen[-1]) == [2, 1]
    await one.services.leaderboards.configure("arcade", Ranking(descending=False))
    await rig.quiet()
    assert scores(two.seen[-1]) == [1, 2]
    await one.services.leaderboards.drop("arcade")
    await rig.quiet()
    assert scores(two.seen[-1]) == []


async def test_when_the_watches_end_every_board_is_watched_anew(rig: Rig) -> None:
    """Also one that is empty, and of which therefore nothing else would ever tell."""
    one, two = rig.nodes
    one.watched.clear()
    two.watched.add("leaderboard:new")
    assert scores(await two.snapshot("leaderboard:new")) == []
    await rig.quiet()
    two.watching.lapse()
    await rig.quiet()
    assert {board_key(b"new"), board_key(b"arcade")} <= two.watching.armed
    await one.submit("ada", 1, board="new")
    await rig.quiet()
    assert scores(two.seen[-1]) == [1]


async def test_watches_that_end_while_somebody_comes_are_missed_by_nobody(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = rig.nodes
    two.watched.add("leaderboard:new")
    page = two.services.leaderboards.page

    async def slowly(*args: Any, **options: Any) -> Any:
        monkeypatch.undo()
        two.watching.lapse()
        return await page(*args, **options)

    monkeypatch.setattr(two.services.leaderboards, "page", slowly)
    await two.snapshot("leaderboard:new")
    await rig.quiet()
    await one.submit("ada", 1, board="new")
    await rig.quiet()
    assert scores(two.seen[-1]) == [1]


async def test_what_nobody_heard_is_published_again(rig: Rig) -> None:
    """A node whose connection for publications is broken has not shown its subscribers anything."""
    one, _ = rig.nodes
    one.ear.deaf = True
    await one.submit("ada", 1)
    await rig.quiet()
    assert one.seen == []
    one.ear.deaf = False
    await rig.quiet()
    assert scores(one.seen[-1]) == [1]
    count = len(rig.published)
    await rig.quiet()
    assert len(rig.published) == count


@pytest.mark.parametrize("data", [b'{"entries":[]}', b"[]", b"no JSON", b""])
async def test_what_is_older_or_not_ours_is_set_right(rig: Rig, data: bytes) -> None:
    """A publication may be of before a change, and whoever made it be dead by now."""
    one, two = rig.nodes
    await one.submit("ada", 1)
    await rig.quiet()
    for node in rig.nodes:
        node.live._heard(CHANNEL.encode(), Publication(0, data), "")
    await rig.quiet()
    assert scores(one.seen[-1]) == scores(two.seen[-1]) == [1]
    assert one.seen[-1]["version"] > 1
    assert scores(await one.snapshot()) == [1]


async def away(*_: object, **__: object) -> Any:
    raise BackendUnavailable


@pytest.mark.parametrize("call", ["watches.watch", "counters.get", "channels.publish_next"])
async def test_an_outage_delays_a_top(rig: Rig, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    one, two = rig.nodes
    two.watched.clear()
    part, method = call.split(".")
    monkeypatch.setattr(getattr(one.services.backend, part), method, away)
    await one.submit("ada", 1)
    await rig.quiet()
    assert one.seen == []
    monkeypatch.undo()
    await rig.quiet()
    assert [scores(top) for top in one.seen] == [[1]]


async def test_a_key_of_another_type_does_not_end_the_others(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Others may write to a store that is shared, and they may write nonsense."""
    one, _ = rig.nodes
    await one.services.backend.hashes.put(board_key(b"arcade"), {b"a": b"1"})
    one.watched.add("leaderboard:other")
    await one.submit("ada", 1, board="other")
    await rig.quiet()
    assert [top["board"] for top in one.seen] == ["other"]
    assert "'arcade' cannot be read" in caplog.text


async def test_boards_that_nobody_watches_any_more_are_forgotten(rig: Rig) -> None:
    one, _ = rig.nodes
    for number in range(KEPT + 1):
        one.watched = {f"leaderboard:{number}"}
        one.live._watched = one.watched.__contains__
        await one.snapshot(f"leaderboard:{number}")
    assert len(one.live._shown) <= 2


async def test_a_new_season_is_seen_everywhere_whoever_closes_it(rig: Rig) -> None:
    """Also of a board that has no entries, on a node on which nobody watches it."""
    one, two = rig.nodes
    boards = one.services.leaderboards
    await boards.configure("arcade", Ranking(), SeasonRules(resets=(), archives=3))
    await rig.quiet()
    assert rig.published[-1]["season"] == 1
    one.watched.clear()
    one.ear.deaf = True
    for number in (2, 3):
        await boards.close_season("arcade")
        await rig.quiet()
        assert (two.seen[-1]["season"], two.seen[-1]["entries"]) == (number, [])


async def test_the_season_is_that_of_the_entries(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends between our reading of the one and of the other."""
    one, _ = rig.nodes
    boards = one.services.leaderboards
    await boards.configure("arcade", Ranking(), SeasonRules(resets=(), archives=3))
    await one.submit("ada", 1)
    await rig.quiet()
    page = boards.page
    closes = 2

    async def late(*args: Any, **options: Any) -> Page:
        nonlocal closes
        found = await page(*args, **options)
        if closes:
            closes -= 1
            await boards.close_season("arcade")
        return found

    monkeypatch.setattr(boards, "page", late)
    await one.submit("bob", 2)
    await rig.quiet()
    assert not closes
    tops = {(top["season"], len(top["entries"])) for top in rig.published[2:]}
    assert tops <= {(1, 1), (1, 2), (2, 0), (3, 0)}
    assert (3, 0) in tops

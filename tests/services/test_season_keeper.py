"""Seasons are looked after when they end: by one node, at least once, whatever happens to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest

from engine.clock import HOUR, SECOND
from realtime.backends import embedded
from realtime.backends.base import BackendUnavailable, Ranking, Submit, WritesRefused
from realtime.backends.keys import SEASON_INDEX, SEASONS, board_key
from realtime.errors import InternalError
from realtime.season_probes import season_probes
from realtime.services import Services
from realtime.services.leaderboards import Leaderboards
from realtime.services.resets import Answer, Reset
from realtime.services.rolling import ClosedSeason
from realtime.services.season_care import SeasonCare
from realtime.services.season_index import NEVER, Due
from realtime.services.season_keeper import AT_ONCE, LEASE, SeasonKeeper
from realtime.services.seasons import SeasonRules
from tests.redis.waiting import until
from tests.services.shared import SharedStore

HOURLY = SeasonRules(reset="0 * * * *", archives=3)
BY_HAND = SeasonRules(resets=(), archives=3)


class Listener:
    """Whoever is told of seasons; answers what a test wants it to."""

    def __init__(self) -> None:
        self.told: list[Reset] = []
        self.ages: list[float] = []
        self.answer = Answer(done=True)
        self.go_on: asyncio.Event | None = None
        """Answers wait for it, if it is there."""

    async def tell(self, reset: Reset, age: float) -> Answer:
        self.told.append(reset)
        self.ages.append(age)
        if self.go_on is not None:
            await self.go_on.wait()
        return self.answer

    @property
    def seasons(self) -> list[tuple[str, int]]:
        return [(reset.board, reset.season) for reset in self.told]


class Node:
    """A service with a keeper."""

    def __init__(self, store: SharedStore, listener: Listener | None, *, alone: bool) -> None:
        backend = embedded.backend(store.engine) if alone else store.node()
        self.services = Services.on(backend)
        self.boards = self.services.leaderboards
        care = SeasonCare(backend, self.boards, self.boards.archives, listener)
        self.keeper = SeasonKeeper(backend, self.boards, care)
        self.task = asyncio.create_task(self.keeper.run())

    def die(self) -> None:
        """Without a word to anybody."""
        for task in [self.task, *self.keeper._tasks]:
            task.cancel()

    async def end(self) -> None:
        """As the service does it."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.keeper.close()


class Rig:
    """Nodes on one store; the clock stands still, and whoever sleeps is woken when it moves."""

    def __init__(self) -> None:
        self.store = SharedStore()
        self.listener = Listener()
        self.nodes: list[Node] = []
        self.clock = self.store.clock
        self.clock.now -= self.clock.now % HOUR
        self._boards = Services.on(embedded.backend(self.store.engine)).leaderboards

    @property
    def boards(self) -> Leaderboards:
        """Those of the service that is alone on its store; or of one that has no keeper."""
        alone = [node.boards for node in self.nodes if node.services.backend.immediate]
        return alone[-1] if alone else self._boards

    def node(self, *, alone: bool = True, tells: bool = True) -> Node:
        node = Node(self.store, self.listener if tells else None, alone=alone)
        self.nodes.append(node)
        return node

    def advance(self, duration: int) -> None:
        self.clock.advance(duration)
        for node in self.nodes:
            node.keeper._wake.set()

    async def play(self, board: str = "arcade", rules: SeasonRules = HOURLY) -> None:
        """A board with some scores, which may have been there before."""
        await self.boards.configure(board, Ranking(), rules)
        scores = [Submit(b"ada", 3), Submit(b"bob", 2)]
        await self.boards.submit(board, scores)

    async def seasons(self, board: str = "arcade") -> list[ClosedSeason]:
        return list(reversed(await self.boards.closed(board)))

    async def done(self, board: str = "arcade") -> bool:
        """Whether there is nothing left to do for the seasons that are over."""
        seasons = await self.seasons(board)
        index = dict(await self.boards.season_index.earliest(1_000))
        is_later = index.get(board, NEVER) > self.clock.now
        return is_later and all(one.told and one.packed is not None for one in seasons)

    async def settle(self, *boards: str) -> None:
        for board in boards or ("arcade",):
            await until(lambda board=board: self.done(board))  # type: ignore[misc]
            await until(lambda: not any(node.keeper._held for node in self.nodes))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    for node in rig.nodes:
        if not node.task.done():
            await node.end()


def numbers(seasons: Sequence[ClosedSeason]) -> list[int]:
    return [one.number for one in seasons]


@pytest.mark.parametrize("alone", [True, False])
async def test_a_season_ends_where_nobody_comes(rig: Rig, alone: bool) -> None:
    node = rig.node(alone=alone)
    await rig.play()
    began = rig.clock.now
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 1)
    await rig.settle()
    (season,) = await rig.seasons()
    assert (season.number, season.began, season.ended, season.size) == (1, began, began + HOUR, 2)
    (reset,) = rig.listener.told
    assert reset[:5] == ("arcade", 1, began, began + HOUR, 2)
    assert [entry.member for entry in reset.top] == [b"ada", b"bob"]
    assert (await node.boards.page("arcade", 0, 10)).entries == []
    assert node.keeper.figures.closed == node.keeper.figures.packed == 1


async def test_what_was_there_before_is_looked_after(rig: Rig) -> None:
    await rig.play()
    rig.clock.advance(5 * HOUR)
    rig.node()
    await until(lambda: len(rig.listener.told) == 1)
    await rig.settle()
    assert numbers(await rig.seasons()) == [1], "the empty hours after it are none"
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 2)
    assert rig.listener.seasons == [("arcade", 1), ("arcade", 2)]


async def test_a_keeper_sleeps_until_the_next_end_and_not_beyond(rig: Rig) -> None:
    """Nobody wakes it but its own timer."""
    node = rig.node()
    await rig.play(rules=SeasonRules(resets=(rig.clock.now + SECOND // 10,)))
    await rig.settle()
    rig.clock.advance(SECOND // 10)
    await until(lambda: len(rig.listener.told) == 1)
    await rig.settle()
    assert node.keeper.figures.closed == 1


async def test_the_newest_are_kept(rig: Rig) -> None:
    node = rig.node()
    await rig.play()
    for count in range(1, 6):
        await rig.play()
        rig.advance(HOUR)
        await until(lambda count=count: len(rig.listener.told) == count)  # type: ignore[misc]
        await rig.settle()
    assert numbers(await rig.seasons()) == [3, 4, 5]
    assert node.keeper.figures.deleted == 2
    await rig.boards.configure("arcade", Ranking(), SeasonRules(reset="0 * * * *", archives=1))
    await until(lambda: node.keeper.figures.deleted == 4)
    assert numbers(await rig.seasons()) == [5]


async def test_none_is_kept_for_longer_than_was_said(rig: Rig) -> None:
    node = rig.node()
    ttl = 90 * 60 * SECOND
    resets = (rig.clock.now + HOUR,)
    await rig.play(rules=SeasonRules(resets=resets, archives=3, archive_ttl=ttl))
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 1)
    await rig.settle()
    rig.advance(ttl - 1)
    await rig.settle()
    assert numbers(await rig.seasons()) == [1]
    rig.advance(1)
    await until(lambda: node.keeper.figures.deleted == 1)
    assert await rig.seasons() == []


async def test_no_archives_are_told_of_too(rig: Rig) -> None:
    node = rig.node()
    await rig.play(rules=SeasonRules(reset="0 * * * *", archives=0))
    rig.advance(HOUR)
    await until(lambda: node.keeper.figures.deleted == 1)
    assert [len(reset.top) for reset in rig.listener.told] == [2]
    assert node.keeper.figures.packed == 0
    assert not [
        key for key, _, _ in rig.store.engine.keyspace.items(rig.clock.now) if b":s:" in key
    ]


async def test_seasons_are_ended_by_hand(rig: Rig) -> None:
    node = rig.node()
    await rig.play(rules=BY_HAND)
    await rig.settle()
    closed = await node.boards.close_season("arcade")
    assert (closed.number, closed.size) == (1, 2)
    await until(lambda: rig.listener.seasons == [("arcade", 1)])
    await rig.settle()
    assert dict(await rig.boards.season_index.earliest(10)) == {"arcade": NEVER}


async def test_nobody_is_told_where_nobody_wants_to_be(rig: Rig) -> None:
    rig.node(tells=False)
    await rig.play()
    rig.advance(HOUR)
    await rig.settle()
    assert [one.told for one in await rig.seasons()] == [True]
    rig.node()
    rig.advance(HOUR)
    await rig.settle()
    assert ("arcade", 1) not in rig.listener.seasons


async def test_what_is_not_heard_is_told_again_and_kept_until_then(rig: Rig) -> None:
    rig.listener.answer = Answer(done=False, pause=30)
    first = rig.node()
    await rig.play(rules=SeasonRules(reset="0 * * * *", archives=0))
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 1)
    await until(lambda: not first.keeper._held)
    again = rig.clock.now + 30 * SECOND
    assert await rig.boards.season_index.earliest(10) == [Due("arcade", again)]
    first.die()
    second = rig.node()
    rig.advance(30 * SECOND - 1)
    await until(lambda: not second.keeper._held)
    assert len(rig.listener.told) == 1
    rig.listener.answer = Answer(done=True)
    rig.advance(1)
    await until(lambda: second.keeper.figures.deleted == 1)
    assert rig.listener.told[0] == rig.listener.told[1]
    assert rig.listener.ages == [0, 30], "whoever tries, since the first try"
    assert await rig.seasons() == []
    notes = board_key(b"arcade") + SEASONS
    assert rig.store.engine.keyspace.get(notes, rig.clock.now) is None


@pytest.mark.parametrize(("alone", "others"), [(True, 0), (False, 0), (True, 600)])
async def test_a_board_that_the_index_has_lost_is_found_when_its_season_ends(
    rig: Rig, alone: bool, others: int
) -> None:
    """As after a failover: whoever closes the season says so."""
    node = rig.node(alone=alone)
    names = ["arcade", *(f"b{number}" for number in range(others))]
    for name in names:
        await rig.play(name)
    await rig.settle(*names)
    await node.services.backend.values.delete(SEASON_INDEX)
    rig.clock.advance(HOUR)
    for name in names:
        await node.boards.submit(name, [Submit(b"ada", 1)])
    await rig.settle(*names)
    assert sorted(rig.listener.seasons) == [(name, 1) for name in sorted(names)]


async def test_who_is_away_is_not_told_of_the_others(rig: Rig) -> None:
    rig.listener.answer = Answer(done=False, tried=False, pause=30)
    node = rig.node()
    await rig.play()
    for hour in range(3):
        rig.advance(HOUR)
        await until(lambda hour=hour: len(rig.listener.told) > hour)  # type: ignore[misc]
        await until(lambda: not node.keeper._held)
        await rig.play()
    assert set(rig.listener.seasons) == {("arcade", 1)}
    assert set(rig.listener.ages) == {0}, "nothing was tried"
    assert len([one for one in await rig.seasons() if one.packed]) == 3


async def test_one_whose_end_is_not_heard_holds_up_nobody(rig: Rig) -> None:
    rig.listener.go_on = hanging = asyncio.Event()
    node = rig.node()
    await rig.play("slow")
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 1)
    rig.listener.go_on = None
    others = [f"board {number}" for number in range(2 * AT_ONCE)]
    for board in others:
        await rig.play(board)
    rig.advance(HOUR)
    for board in others:
        await until(lambda board=board: rig.done(board))  # type: ignore[misc]
    assert "slow" in node.keeper._held
    assert len(rig.listener.seasons) == 1 + len(others)
    hanging.set()
    await rig.settle("slow")
    assert numbers(await rig.seasons("slow")) == [1, 2]


async def test_what_is_said_while_a_board_is_looked_after_is_not_lost(rig: Rig) -> None:
    rig.listener.go_on = asyncio.Event()
    node = rig.node()
    await rig.play(rules=BY_HAND)
    await rig.settle()
    await node.boards.close_season("arcade")
    await until(lambda: len(rig.listener.told) == 1)
    await rig.play(rules=BY_HAND)
    await node.boards.close_season("arcade")
    rig.listener.go_on.set()
    await until(lambda: len(rig.listener.told) == 2)
    await rig.settle()
    assert numbers(await rig.seasons()) == [1, 2]


async def test_one_of_several_nodes_does_it(rig: Rig) -> None:
    nodes = [rig.node(alone=False) for _ in range(3)]
    boards = [f"board {number}" for number in range(30)]
    for board in boards:
        await rig.play(board)
    rig.advance(HOUR)
    await rig.settle(*boards)
    assert sorted(rig.listener.seasons) == sorted((board, 1) for board in boards)
    assert sum(node.keeper.figures.packed for node in nodes) == 30


async def test_what_a_node_had_that_died_is_taken_over_when_its_lease_ends(rig: Rig) -> None:
    rig.listener.go_on = asyncio.Event()
    dying = rig.node(alone=False)
    await rig.play()
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 1)
    dying.die()
    rig.listener.go_on = None
    other = rig.node(alone=False)
    rig.advance(LEASE - 1)
    await until(lambda: not other.keeper._wake.is_set())
    assert len(rig.listener.told) == 1
    rig.advance(1)
    await until(lambda: len(rig.listener.told) == 2)
    await rig.settle()


async def test_what_a_node_had_that_ends_well_is_free_at_once(rig: Rig) -> None:
    rig.listener.go_on = asyncio.Event()
    ending = rig.node(alone=False)
    await rig.play()
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 1)
    await ending.end()
    rig.listener.go_on = None
    rig.node(alone=False)
    await rig.settle()
    assert rig.listener.seasons == [("arcade", 1)] * 2


async def test_what_takes_longer_than_a_lease_stays_with_who_does_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.services.season_keeper.RENEWAL", 0.0)
    rig.listener.go_on = asyncio.Event()
    node, other = rig.node(alone=False), rig.node(alone=False)
    await rig.play()
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 1)
    holder = node if node.keeper._held else other
    for _ in range(5):
        rig.advance(LEASE // 2)
        await until(lambda: holder.keeper._held["arcade"] == rig.clock.now + LEASE)
    rig.listener.go_on.set()
    await rig.settle()
    assert rig.listener.seasons == [("arcade", 1)]


@pytest.mark.parametrize("fault", [BackendUnavailable("away"), WritesRefused("full")])
@pytest.mark.parametrize("verb", ["roll", "submit", "page"])
async def test_an_outage_is_survived(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, fault: BackendUnavailable, verb: str
) -> None:
    monkeypatch.setattr("realtime.services.season_keeper.NAP", 0.01)
    node = rig.node()
    await rig.play()
    await rig.settle()
    asked = 0

    async def away(*words: object, **options: object) -> None:
        nonlocal asked
        asked += 1
        raise fault

    with monkeypatch.context() as outage:
        outage.setattr(node.services.backend.sorted_sets, verb, away)
        rig.advance(HOUR)
        await until(lambda: asked >= 1)
        await until(lambda: not node.keeper._held)
    assert not node.task.done()
    assert node.keeper.figures.packed == 0
    rig.advance(LEASE)
    await until(lambda: len(rig.listener.told) == 1)
    await rig.settle()


async def test_a_board_that_cannot_be_read_holds_up_nobody(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    node = rig.node()
    await rig.play("broken")
    await rig.play("sound")
    pack = node.boards.archives.pack

    async def fail(board: str, season: ClosedSeason) -> None:
        if board == "broken":
            raise InternalError("moth in the relay")
        await pack(board, season)

    monkeypatch.setattr(node.boards.archives, "pack", fail)
    rig.advance(HOUR)
    await rig.settle("sound")
    await until(lambda: not node.keeper._held)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "'broken'" in line
    assert "moth" in line
    assert node.keeper.figures.failures == 1
    monkeypatch.setattr(node.boards.archives, "pack", pack)
    rig.advance(60 * SECOND)
    await rig.settle("broken")
    assert node.keeper.figures.failures == 1


async def test_a_board_that_is_deleted_is_forgotten(rig: Rig) -> None:
    node = rig.node()
    await rig.play()
    rig.advance(HOUR)
    await rig.settle()
    await rig.boards.drop("arcade")
    await node.boards.season_index.put_now("arcade")  # somebody did not know that yet
    await until(lambda: rig.store.engine.keyspace.get(SEASON_INDEX, rig.clock.now) is None)
    await rig.play()
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 2)


@pytest.mark.parametrize("done", [True, False])
async def test_a_board_that_is_deleted_while_it_is_told_of_leaves_nothing(
    rig: Rig, done: bool
) -> None:
    rig.listener.go_on = asyncio.Event()
    rig.listener.answer = Answer(done=done, pause=30)
    node = rig.node()
    await rig.play()
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 1)
    assert await rig.boards.drop("arcade")
    rig.listener.go_on.set()
    await until(lambda: not node.keeper._held)
    assert await node.services.backend.hashes.get(board_key(b"arcade") + SEASONS) is None
    assert await rig.boards.season_index.earliest(1) == []


async def test_a_board_that_has_no_seasons_any_more_is_left_alone(rig: Rig) -> None:
    node = rig.node()
    await rig.play(rules=SeasonRules(reset="0 * * * *", archives=0))
    await rig.settle()
    await node.boards.configure("arcade", Ranking())
    index = node.boards.season_index
    while await index.earliest(1):  # noqa: ASYNC110  # what is waited for sets no event
        await asyncio.sleep(0)
    await node.boards.configure("arcade", Ranking(), HOURLY)
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == 1)


async def test_figures_tell_how_it_goes(rig: Rig) -> None:
    rig.listener.go_on = asyncio.Event()
    node = rig.node()
    read = {probe.name: probe.read for probe in season_probes(node.keeper.figures)}
    boards = [f"board {number}" for number in range(AT_ONCE + 1)]
    for board in boards:
        await rig.play(board)
    await rig.settle(*boards)
    rig.advance(HOUR)
    await until(lambda: len(rig.listener.told) == AT_ONCE)
    assert read["seasons_closed"]() == AT_ONCE
    assert read["archives_packed"]() == 0
    rig.advance(7 * SECOND)
    await until(lambda: read["seasons_late_seconds"]() == 7)
    rig.listener.go_on.set()
    await rig.settle(*boards)
    assert read["archives_packed"]() == AT_ONCE + 1
    assert read["archives_waiting"]() == 0
    assert read["seasons_late_seconds"]() == 0
    assert read["archives_deleted"]() == 0

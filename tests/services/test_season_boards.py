"""Boards with seasons and views: every score is in one season, whoever closes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from engine.clock import SECOND, ManualClock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.base import Backend, Ranking, Submit
from realtime.backends.keys import board_key
from realtime.errors import Conflict, InvalidInput, Unavailable
from realtime.services.boardrules import fields_of, frozen, ranking_of, seasons_of, thawed
from realtime.services.bulk import Bulk, Numbered
from realtime.services.leaderboards import SLICE, Leaderboards
from realtime.services.rolling import rules_key
from realtime.services.seasons import VIEWS, SeasonRules
from tests.redis.servers import RedisServer
from tests.redis.stores import opened
from tests.services.shared import SharedStore

DAY = 86_400 * SECOND
HOUR = 3_600 * SECOND

NIGHTLY = SeasonRules(reset="0 0 * * *", archives=10)
BY_HAND = SeasonRules(resets=(), archives=10)
ALL_VIEWS = SeasonRules(views=VIEWS)


@dataclass
class Stage:
    """A store with its clock; the boards of as many nodes as a test opens."""

    backend: Backend
    clock: ManualClock
    open: Callable[[], Leaderboards]
    closed: list[str] = field(default_factory=list)
    """The boards of which the first node has closed a season, in order."""
    changed: list[str] = field(default_factory=list)
    boards: Leaderboards = field(init=False)

    def __post_init__(self) -> None:
        self.boards = self.open()
        self.boards.on_closed(self.closed.append)
        self.boards.on_change(self.changed.append)

    async def scores(self, board: str) -> dict[str, float]:
        page = await self.boards.page(board, 0, 1_000)
        return {entry.member.decode(): entry.score for entry in page.entries}

    async def submit(self, board: str, member: str, score: float) -> None:
        await self.boards.submit(board, [Submit(member.encode(), score)])

    async def number(self, board: str) -> int | None:
        season = await self.boards.catch_up(board)
        return None if season is None else season.number


async def staged(
    kind: str, request: pytest.FixtureRequest, rest: AsyncExitStack
) -> tuple[Backend, ManualClock, Callable[[], Leaderboards]]:
    if kind == "embedded":
        clock = ManualClock()
        backend = embedded.backend(Engine(clock))
        return backend, clock, lambda: Leaderboards(backend)
    if kind == "shared":
        store = SharedStore()
        return store.node(), store.clock, lambda: Leaderboards(store.node(), store.clock)
    server: RedisServer = request.getfixturevalue("frozen_redis")
    assert server.clock is not None
    nodes = [(await rest.enter_async_context(opened(server))).backend for _ in range(2)]
    unused = iter(nodes)
    return nodes[0], server.clock, lambda: Leaderboards(next(unused), server.clock)


@pytest.fixture(params=["embedded", "shared", "redis"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as rest:
        yield Stage(*await staged(request.param, request, rest))


def midnight(clock: ManualClock, days: int = 0) -> int:
    """The last one, by universal time, and so many days later."""
    return clock.now // DAY * DAY + days * DAY


async def test_a_score_that_comes_after_the_end_is_of_the_next_season(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    began, end = stage.clock.now, midnight(stage.clock, 1)
    await stage.submit("b", "ada", 5)
    stage.clock.advance(end - stage.clock.now - 1)
    await stage.submit("b", "bob", 7)
    assert stage.closed == []
    stage.clock.advance(1)
    await stage.submit("b", "ada", 3)
    assert stage.closed == ["b"]
    assert await stage.scores("b") == {"ada": 3}
    (closed,) = await stage.boards.closed("b")
    assert closed[:4] == (1, began, end, 2)
    assert (closed.packed, closed.told) == (None, False)
    assert await stage.boards.catch_up("b") == (2, end, end + DAY)


async def test_bounds_hold_for_the_first_score_of_a_season(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(max_score=5), NIGHTLY)
    stage.clock.advance(DAY)
    with pytest.raises(InvalidInput, match="above max_score 5"):
        await stage.submit("b", "ada", 6)
    assert await stage.scores("b") == {}


async def test_who_reads_after_the_end_finds_a_new_season(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    await stage.submit("b", "ada", 5)
    stage.clock.advance(DAY)
    assert await stage.boards.size("b") == 0
    assert [closed.size for closed in await stage.boards.closed("b")] == [1]
    assert await stage.boards.standing("b", "ada") is None


async def test_seasons_that_nobody_saw_are_not_recorded(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    began, end = stage.clock.now, midnight(stage.clock, 1)
    await stage.submit("b", "ada", 5)
    stage.clock.advance(3 * DAY)
    await stage.submit("b", "ada", 6)
    assert [closed[:4] for closed in await stage.boards.closed("b")] == [(1, began, end, 1)]
    assert await stage.boards.catch_up("b") == (2, end + 2 * DAY, end + 3 * DAY)


async def test_after_the_last_instant_a_season_goes_on(stage: Stage) -> None:
    first, second = stage.clock.now + HOUR, stage.clock.now + 2 * HOUR
    await stage.boards.configure("b", Ranking(), SeasonRules(resets=(first, second), archives=9))
    for number, ends in ((1, first), (2, second), (3, None), (3, None)):
        season = await stage.boards.catch_up("b")
        assert season is not None and (season.number, season.ends) == (number, ends)
        await stage.submit("b", "ada", number)
        stage.clock.advance(HOUR)
    assert [closed.number for closed in await stage.boards.closed("b")] == [2, 1]


async def test_a_clock_that_steps_back_opens_no_season_again(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    stage.clock.advance(DAY)
    await stage.submit("b", "ada", 5)
    stage.clock.advance(-2 * DAY)
    await stage.submit("b", "bob", 6)
    assert await stage.scores("b") == {"ada": 5, "bob": 6}
    assert await stage.number("b") == 2


async def test_views_get_every_score_in_the_same_step(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(keep="sum"), ALL_VIEWS)
    views = [f"{{b}}:{view}" for view in VIEWS]
    entries = [Submit(b"ada", 5, id=b"1"), Submit(b"bob", 7, id=b"2")]
    answers = await stage.boards.submit("b", entries, overtaken=5)
    assert [(one.member, one.rank) for one in answers] == [(b"ada", 2), (b"bob", 1)]
    for name in ("b", *views):
        assert await stage.scores(name) == {"ada": 5, "bob": 7}
        assert stage.changed.count(name) >= 2
    stage.clock.advance(DAY - HOUR)
    answers = await stage.boards.submit("b", [*entries, Submit(b"ada", 1)])
    assert [(one.score, one.repeated) for one in answers] == [(5, True), (7, True), (6, False)]
    assert await stage.scores("b") == {"ada": 6, "bob": 7}
    assert await stage.scores("{b}:all-time") == {"ada": 6, "bob": 7}
    assert await stage.scores("{b}:daily") == {"ada": 1}, "a repeated score counts in no season"
    assert stage.closed == ["{b}:daily"]
    assert [await stage.number(name) for name in ("b", *views)] == [None, 2, 1, 1, None]


async def test_one_score_for_boards_with_views(stage: Stage) -> None:
    await stage.boards.configure("{g}:a", Ranking(), SeasonRules(views=("daily",)))
    await stage.boards.configure("{g}:b", Ranking(max_score=5), SeasonRules(views=("weekly",)))
    with pytest.raises(InvalidInput, match="above max_score 5"):
        await stage.boards.submit_to(["{g}:a", "{g}:b"], Submit(b"ada", 6))
    assert await stage.boards.size("{g}:a:daily") == 0
    answers = await stage.boards.submit_to(["{g}:a", "{g}:b", "g"], Submit(b"ada", 5))
    assert len(answers) == 3
    for name in ("{g}:a", "{g}:b", "g", "{g}:a:daily", "{g}:b:weekly"):
        assert await stage.scores(name) == {"ada": 5}, name


async def test_all_seasons_of_one_step_may_be_over(stage: Stage) -> None:
    rules = SeasonRules(reset="0 0 * * *", views=("daily", "weekly", "monthly"), archives=9)
    await stage.boards.configure("b", Ranking(), rules)
    await stage.submit("b", "ada", 5)
    stage.clock.advance(40 * DAY)
    await stage.submit("b", "ada", 3)
    for name in ("b", "{b}:daily", "{b}:weekly", "{b}:monthly"):
        assert await stage.scores(name) == {"ada": 3}
        assert [closed.size for closed in await stage.boards.closed(name)] == [1]


async def test_who_leaves_a_board_leaves_its_views(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), SeasonRules(views=("daily", "all-time")))
    await stage.submit("b", "ada", 5)
    assert await stage.boards.remove("b", "ada")
    assert await stage.scores("{b}:daily") == await stage.scores("{b}:all-time") == {}
    assert not await stage.boards.remove("b", "ada")


async def test_who_leaves_after_the_end_stays_in_the_season_that_is_over(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    await stage.submit("b", "ada", 5)
    stage.clock.advance(DAY)
    assert not await stage.boards.remove("b", "ada")
    assert [closed.size for closed in await stage.boards.closed("b")] == [1]


@pytest.mark.parametrize("count", [SLICE, SLICE + 1, 3 * SLICE])
async def test_many_scores_reach_all_views(stage: Stage, count: int) -> None:
    await stage.boards.configure("b", Ranking(), SeasonRules(views=("daily", "all-time")))
    entries = [Submit(b"m%04d" % number, number) for number in range(count)]
    answers = await stage.boards.submit("b", entries)
    assert [one.member for one in answers] == [one.member for one in entries]
    for name in ("b", "{b}:daily", "{b}:all-time"):
        assert await stage.boards.size(name) == count


async def test_a_bulk_load_goes_through_the_end_of_a_season(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(max_score=900), SeasonRules(views=("daily",)))
    bulk = Bulk(stage.backend, stage.boards)
    lines = [Numbered(number, Submit(b"m%04d" % number, number)) for number in range(1_000)]
    done = await bulk.load("b", lines[:500])
    stage.clock.advance(DAY)
    done = await bulk.load("b", lines[500:])
    assert (done.changed, [one.line for one in done.refused]) == (401, list(range(901, 1_000)))
    assert await stage.boards.size("b") == 901
    assert await stage.boards.size("{b}:daily") == 401
    assert [closed.size for closed in await stage.boards.closed("{b}:daily")] == [500]
    with pytest.raises(Conflict, match="view"):
        await bulk.load("{b}:daily", lines[:1])


async def test_a_view_changes_only_with_its_board(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), ALL_VIEWS)
    boards, name = stage.boards, "{b}:daily"
    for change in (
        boards.submit(name, [Submit(b"ada", 1)]),
        boards.submit_to(["b", name], Submit(b"ada", 1)),
        boards.remove(name, "ada"),
        boards.configure(name, Ranking()),
        boards.close_season(name),
        boards.drop(name),
    ):
        with pytest.raises(Conflict, match="view of the board b"):
            await change
    assert await stage.boards.size("b") == 0


async def test_a_view_takes_no_name_that_is_taken(stage: Stage) -> None:
    await stage.submit("{b}:daily", "ada", 5)
    await stage.boards.configure("{b}:weekly", Ranking(keep="sum"))
    for view in VIEWS[:2]:
        with pytest.raises(Conflict, match="no view"):
            await stage.boards.configure("b", Ranking(), SeasonRules(views=(view,)))
    assert await stage.boards.seasons("b") == SeasonRules()
    await stage.boards.drop("{b}:daily")
    await stage.boards.configure("b", Ranking(), SeasonRules(views=("daily",)))


async def test_views_come_and_go_with_the_rules(stage: Stage) -> None:
    rules = SeasonRules(views=("daily",), archives=9)
    await stage.boards.configure("b", Ranking(), rules)
    await stage.submit("b", "ada", 5)
    stage.clock.advance(DAY)
    await stage.submit("b", "bob", 6)
    await stage.boards.configure("b", Ranking(), SeasonRules(views=("weekly",)))
    assert await stage.boards.closed("{b}:daily") == []
    assert await stage.scores("{b}:daily") == await stage.scores("{b}:weekly") == {}
    await stage.submit("b", "kim", 7)
    assert await stage.scores("{b}:weekly") == {"kim": 7}
    await stage.submit("{b}:daily", "zoe", 1)  # a board of its own again
    assert await stage.scores("b") == {"ada": 5, "bob": 6, "kim": 7}


async def test_views_take_the_rules_of_their_board(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), SeasonRules(views=("daily",)))
    for number in range(5):
        await stage.submit("b", f"m{number}", number)
    ranking = Ranking(descending=False, ties="first", max_entries=2)
    await stage.boards.configure("b", ranking, SeasonRules(views=("daily",)))
    assert await stage.scores("{b}:daily") == await stage.scores("b") == {"m0": 0, "m1": 1}
    rules = await stage.boards.rules("{b}:daily")
    assert (rules.descending, rules.ties, rules.max_entries) == (False, "first", 2)


async def test_a_change_that_was_broken_off_is_finished_by_the_next_one(stage: Stage) -> None:
    """The board names its view no more, and the view is still there."""
    await stage.boards.configure("b", Ranking(), SeasonRules(views=("daily",)))
    await stage.submit("b", "ada", 5)
    await stage.backend.hashes.patch(rules_key("b"), {}, [b"views"])
    reborn = stage.open() if not stage.backend.immediate else Leaderboards(stage.backend)
    assert await reborn.size("{b}:daily") == 1
    await reborn.configure("b", Ranking())
    assert await reborn.size("{b}:daily") == 0
    assert await stage.backend.hashes.get(rules_key("{b}:daily")) is None


async def test_numbers_go_on_whatever_becomes_of_the_rules(stage: Stage) -> None:
    configure = stage.boards.configure
    await stage.submit("b", "old", 1)
    await configure("b", Ranking(), NIGHTLY)
    stage.clock.advance(DAY)
    assert await stage.number("b") == 2
    hour = midnight(stage.clock) + (stage.clock.now % DAY // HOUR + 1) * HOUR
    await configure("b", Ranking(), SeasonRules(reset="0 * * * *", archives=9))
    season = await stage.boards.catch_up("b")
    assert season is not None and (season.number, season.ends) == (2, hour)
    await stage.submit("b", "ada", 5)
    await configure("b", Ranking())
    stage.clock.advance(2 * DAY)
    await stage.submit("b", "bob", 6)
    assert await stage.boards.catch_up("b") is None
    assert await stage.scores("b") == {"ada": 5, "bob": 6}
    await configure("b", Ranking(), NIGHTLY)
    season = await stage.boards.catch_up("b")
    assert season is not None and (season.number, season.ends) == (2, midnight(stage.clock, 1))
    stage.clock.advance(DAY)
    assert await stage.number("b") == 3
    assert [(one.number, one.size) for one in await stage.boards.closed("b")] == [(2, 2), (1, 1)]


async def test_what_is_over_is_closed_before_rules_change(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(keep="sum", max_score=9), NIGHTLY)
    await stage.submit("b", "ada", 5)
    stage.clock.advance(DAY)
    await stage.boards.configure("b", Ranking(descending=False))
    (closed,) = await stage.boards.closed("b")
    assert (closed.ranking, closed.size) == (Ranking(keep="sum", max_score=9), 1)
    assert await stage.scores("b") == {}


async def test_a_season_is_closed_by_hand(stage: Stage) -> None:
    with pytest.raises(Conflict, match="no seasons"):
        await stage.boards.close_season("b")
    await stage.boards.configure("b", Ranking(), BY_HAND)
    await stage.submit("b", "ada", 5)
    began = stage.clock.now
    stage.clock.advance(HOUR)
    closed = await stage.boards.close_season("b")
    assert closed[:4] == (1, began, began + HOUR, 1)
    assert await stage.boards.closed("b") == [closed]
    assert stage.closed == ["b"]
    assert await stage.boards.catch_up("b") == (2, began + HOUR, None)
    assert await stage.scores("b") == {}
    stage.clock.advance(HOUR)
    assert (await stage.boards.close_season("b"))[:4] == (2, began + HOUR, began + 2 * HOUR, 0)


async def test_a_season_that_is_closed_early_is_followed_by_a_short_one(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    closed = await stage.boards.close_season("b")
    assert (closed.number, closed.ended) == (1, stage.clock.now)
    season = await stage.boards.catch_up("b")
    assert season == (2, stage.clock.now, midnight(stage.clock, 1))


async def test_a_dropped_board_leaves_no_season(stage: Stage) -> None:
    rules = SeasonRules(reset="0 0 * * *", views=VIEWS, archives=9)
    await stage.boards.configure("b", Ranking(ties="first", ranks="dense"), rules)
    for _ in range(3):
        await stage.boards.submit("b", [Submit(b"ada", 5, b"{}", b"id")])
        stage.clock.advance(DAY)
    assert await stage.boards.drop("b")
    names = ("b", *(f"{{b}}:{view}" for view in VIEWS))
    for name in names:
        key = board_key(name.encode())
        assert await stage.backend.hashes.get(key + b":seasons") is None
        assert await stage.boards.closed(name) == []
        beside = (b"", b":rules", b":season", b":s:1", b":s:1:meta", b":s:2", b":s:1:places")
        assert await stage.backend.values.delete(*(key + end for end in beside)) == 0
        assert name in stage.changed
    assert not await stage.boards.drop("b")
    assert await stage.boards.season_index.earliest(10) == []
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    assert await stage.number("b") == 1


async def test_boards_with_seasons_are_noted_for_who_looks_after_them(stage: Stage) -> None:
    index = stage.boards.season_index
    await stage.boards.configure("plain", Ranking())
    await stage.boards.configure("b", Ranking(), SeasonRules(resets=(), views=("daily",)))
    noted = {due.board: due.at for due in await index.earliest(10)}
    assert noted == {"b": stage.clock.now, "{b}:daily": stage.clock.now}
    await index.put("b", stage.clock.now + DAY)
    stage.clock.advance(HOUR)
    await stage.boards.close_season("b")
    assert {due.board: due.at for due in await index.earliest(10)}["b"] == stage.clock.now


@pytest.mark.parametrize("kind", ["shared", "redis"])
async def test_nodes_agree_on_the_season(request: pytest.FixtureRequest, kind: str) -> None:
    """Whoever is first closes it; all scores count, in the new one."""
    async with AsyncExitStack() as rest:
        stage = Stage(*await staged(kind, request, rest))
        other = stage.open()
        others: list[str] = []
        other.on_closed(others.append)
        await stage.boards.configure("b", Ranking(keep="sum"), NIGHTLY)
        await other.submit("b", [Submit(b"ada", 1)])
        for _ in range(3):
            stage.clock.advance(DAY)
            await asyncio.gather(
                *(node.submit("b", [Submit(b"ada", 1)])
                  for node in (stage.boards, other) for _ in range(5))
            )  # fmt: skip
            assert await stage.scores("b") == {"ada": 10}
        assert len(stage.closed) + len(others) == 3
        assert [one.size for one in await other.closed("b")] == [1, 1, 1]


@pytest.mark.parametrize("kind", ["shared", "redis"])
async def test_a_season_is_closed_once_however_many_say_so(
    request: pytest.FixtureRequest, kind: str
) -> None:
    async with AsyncExitStack() as rest:
        stage = Stage(*await staged(kind, request, rest))
        nodes = (stage.boards, stage.open())
        await stage.boards.configure("b", Ranking(), BY_HAND)
        await stage.submit("b", "ada", 5)
        answers = await asyncio.gather(*(node.close_season("b") for node in nodes))
        closed = await stage.boards.closed("b")
        assert {answer.number for answer in answers} == {one.number for one in closed}
        assert {answer[:4] for answer in answers} == {one[:4] for one in closed}


async def test_seasons_that_end_faster_than_the_store_answers_are_given_up() -> None:
    class Hasty(ManualClock):
        def __call__(self) -> int:
            self.advance(DAY)
            return super().__call__()

    backend = embedded.backend(Engine(Hasty()))
    boards = Leaderboards(backend)
    with pytest.raises(Unavailable, match="faster"):
        await boards.configure("b", Ranking(), NIGHTLY)
    with pytest.raises(Unavailable, match="faster"):
        await boards.submit("b", [Submit(b"ada", 1)])


RANKINGS = [
    Ranking(),
    Ranking(False, "sum", "dense", 10, -1.5, 1e9, "first", 60_000_000, True),
]


@pytest.mark.parametrize("ranking", RANKINGS)
@pytest.mark.parametrize(
    "seasons",
    [
        SeasonRules(),
        SeasonRules(resets=()),
        SeasonRules(resets=(0, 5, 2**57), archives=0),
        SeasonRules("0 0 * * MON", None, "Europe/Berlin", 7, 5, VIEWS, None),
        SeasonRules(view_of="ä {b}:x"),
    ],
)
def test_rules_are_stored_and_read(ranking: Ranking, seasons: SeasonRules) -> None:
    fields = fields_of(ranking, seasons)
    assert seasons_of(fields) == seasons
    found = ranking_of(fields)
    assert found.seasonal is seasons.seasonal
    assert fields_of(found, seasons) == fields
    assert fields_of(ranking_of(fields_of(ranking))) == fields_of(ranking)


@pytest.mark.parametrize("ranking", RANKINGS)
def test_the_rules_of_a_season_are_kept_without_its_end(ranking: Ranking) -> None:
    text = frozen(ranking)
    assert text.startswith(b"{") and b" " not in text
    assert thawed(text) == ranking

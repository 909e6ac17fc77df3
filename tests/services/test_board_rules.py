"""Rules that change while a board is live: what is due, under way, or of a node that is late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from engine.clock import SECOND
from realtime.backends.base import BackendUnavailable, Board, Ranking, Submit
from realtime.backends.keys import board_key
from realtime.embedded import Embedded
from realtime.services import boardsetup
from realtime.services.leaderboards import SLICE
from realtime.services.turns import may_wait
from tests.services.test_season_boards import Stage, staged

KEY = board_key(b"b")


@pytest.fixture(params=["embedded", "redis"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as rest:
        yield Stage(*await staged(request.param, request, rest))


def timed(seconds: int, **rules: object) -> Ranking:
    return Ranking(entry_ttl=seconds * SECOND, **rules)  # type: ignore[arg-type]


async def fill(stage: Stage, *scores: float) -> None:
    await stage.boards.submit("b", [Submit(b"m%d" % at, score) for at, score in enumerate(scores)])


@pytest.mark.parametrize("ties", ["member", "first"])
@pytest.mark.parametrize("seconds", [None, 60])
async def test_whoever_has_left_does_not_come_back(
    stage: Stage, seconds: int | None, ties: str
) -> None:
    await stage.boards.configure("b", timed(10, ties=ties))
    await fill(stage, 1)
    stage.clock.advance(5 * SECOND)
    await stage.submit("b", "late", 2)
    stage.clock.advance(5 * SECOND)  # nobody looks
    ranking = Ranking() if seconds is None else timed(seconds)
    await stage.boards.configure("b", ranking)
    assert await stage.scores("b") == {"late": 2}
    stage.clock.advance(59 * SECOND)
    assert await stage.scores("b") == {"late": 2}


async def test_whoever_has_left_takes_nobodys_room(stage: Stage) -> None:
    await stage.boards.configure("b", timed(10))
    await fill(stage, 100)
    stage.clock.advance(5 * SECOND)
    await stage.submit("b", "ada", 2)
    await stage.submit("b", "bob", 1)
    stage.clock.advance(5 * SECOND)
    await stage.boards.configure("b", timed(10, max_entries=2))
    assert await stage.scores("b") == {"ada": 2, "bob": 1}


@pytest.mark.parametrize("seconds", [None, 600])
async def test_a_change_that_fails_lets_nobody_leave_too_soon(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: int | None
) -> None:
    """Nor does it take the board along with the entry that leaves last."""
    await stage.boards.configure("b", Ranking() if seconds is None else timed(seconds))
    await fill(stage, 1, 2)
    put = stage.backend.hashes.put

    async def away(*_: object) -> None:
        raise BackendUnavailable

    monkeypatch.setattr(stage.boards._hashes, "put", away)
    with pytest.raises(BackendUnavailable):
        await stage.boards.configure("b", timed(10))
    monkeypatch.setattr(stage.boards._hashes, "put", put)
    await stage.submit("b", "ada", 3)
    stage.clock.advance(30 * SECOND)
    assert await stage.scores("b") == {"m0": 1, "m1": 2, "ada": 3}
    await stage.boards.configure("b", timed(10))  # finishes it
    stage.clock.advance(10 * SECOND)
    assert await stage.scores("b") == {}


async def test_rules_that_change_hold_from_the_next_slice_on() -> None:
    """Else a board of which all is to stay would leave with what came in by the old rules."""
    features = Embedded()
    boards, engine = features.leaderboards, features.engine
    await boards.configure("b", timed(10))
    entries = [Submit(b"m%04d" % number, number) for number in range(3 * SLICE)]

    async def submit() -> None:
        may_wait.set(True)
        await boards.submit("b", entries)

    submitting = asyncio.create_task(submit())
    await asyncio.sleep(0)  # one slice
    assert await boards.size("b") == SLICE
    await boards.configure("b", Ranking(max_entries=2 * SLICE))
    await submitting
    assert await boards.size("b") == 2 * SLICE
    assert KEY not in engine.keyspace.deadlines


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Ranking(ties="first", keep="latest"), Ranking()),
        (Ranking(), Ranking(max_entries=10)),
        (Ranking(), timed(60)),
    ],
)
async def test_scores_that_never_stop_coming_do_not_hold_a_change_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, before: Ranking, after: Ranking
) -> None:
    """What has been seen to is not begun anew for the sake of what came in meanwhile."""
    await stage.boards.configure("b", before)
    await fill(stage, *range(20))
    adapt, came = stage.backend.sorted_sets.adapt, 0

    async def come() -> None:
        """By the rules that hold, before every slice."""
        nonlocal came
        came += 1
        assert came < 50, "it has no end"
        await stage.boards.submit("b", [Submit(b"new%d" % came, came), Submit(b"m1", came)])

    async def interrupted(board: Board, start: int) -> int | None:
        await come()
        return await adapt(board, start)

    monkeypatch.setattr(stage.backend.sorted_sets, "adapt", interrupted)
    await stage.boards.configure("b", after)
    assert await stage.boards.rules("b") == after


@pytest.mark.parametrize("calls", range(1, 4))
async def test_of_two_changes_at_once_the_last_one_stands(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Whenever the second one comes: else the first one might go on to what it has set aside."""
    await fill(stage, 1, 2)
    adapt, called = stage.backend.sorted_sets.adapt, 0

    async def interrupted(board: Board, start: int) -> int | None:
        nonlocal called
        called += 1
        at = await adapt(board, start)
        if called == calls:
            await stage.boards.configure("b", Ranking(keep="latest"))
        return at

    monkeypatch.setattr(stage.backend.sorted_sets, "adapt", interrupted)
    await stage.boards.configure("b", timed(10))
    assert called > calls
    rules = await stage.boards.rules("b")
    stage.clock.advance(30 * SECOND)
    assert await stage.scores("b") == ({} if rules.entry_ttl else {"m0": 1, "m1": 2})


async def configured_past(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, ranking: Ranking, *late: tuple[str, float]
) -> None:
    """Change the rules while another process, which has not heard, goes by those of before."""
    was = await stage.boards.rules("b")
    rest = asyncio.sleep

    async def meanwhile(seconds: float) -> None:
        assert seconds == boardsetup.HEARD
        for member, _ in late:
            await stage.submit("b", member, 5)  # here they hold already
        for member, score in late:
            await stage.backend.sorted_sets.submit(
                Board(KEY, was), [Submit(member.encode(), score)]
            )
        await rest(0)

    monkeypatch.setattr(asyncio, "sleep", meanwhile)
    await stage.boards.configure("b", ranking)
    monkeypatch.undo()


@pytest.fixture
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as rest:
        yield Stage(*await staged("redis", request, rest))


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_nobody_stands_twice_where_places_come(
    shared: Stage, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    is_descending = order == "desc"
    await shared.boards.configure("b", Ranking(descending=is_descending))
    await fill(shared, 1)
    ranking = Ranking(descending=is_descending, ties="first")
    await configured_past(shared, monkeypatch, ranking, ("ada", 7), ("bob", 3))
    page = await shared.boards.page("b", 0, 10)
    best = {"ada": 7, "bob": 5} if is_descending else {"ada": 5, "bob": 3}
    assert page.total == 3
    assert await shared.scores("b") == {"m0": 1, **best}


async def test_whoever_has_not_heard_of_places_sees_members_by_their_names(shared: Stage) -> None:
    was = Board(KEY, await shared.boards.rules("b"))
    await shared.boards.configure("b", Ranking(ties="first"))
    await fill(shared, 1, 2)
    page = await shared.backend.sorted_sets.page(was, 0, 10)
    assert [(entry.member, entry.score) for entry in page.entries] == [(b"m1", 2), (b"m0", 1)]


async def test_dense_ranks_know_of_scores_that_came_by_other_rules(
    shared: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shared.boards.configure("b", Ranking(ties="first"))
    await fill(shared, 1, 1)
    ranking = Ranking(ties="first", ranks="dense")
    await configured_past(shared, monkeypatch, ranking, ("ada", 7), ("bob", 6))
    page = await shared.boards.page("b", 0, 10)
    assert [(entry.rank, entry.member) for entry in page.entries] == [
        (1, b"ada"),
        (2, b"bob"),
        (3, b"m0"),
        (3, b"m1"),
    ]


async def test_another_time_to_live_is_given_to_all(
    shared: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shared.boards.configure("b", timed(10))
    await configured_past(shared, monkeypatch, timed(60), ("ada", 7))
    shared.clock.advance(59 * SECOND)
    assert await shared.scores("b") == {"ada": 7}
    shared.clock.advance(SECOND)
    assert await shared.scores("b") == {}

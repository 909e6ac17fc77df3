"""Seasons of boards, on every backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.clock import SECOND
from realtime.backends.base import (
    Backend,
    Board,
    Closed,
    Entry,
    OutOfBounds,
    Ranking,
    Season,
    SeasonOver,
    Standing,
    Submit,
    WrongType,
)
from realtime.backends.keys import BESIDE_BOARD, META, SEASON, SEASONS, archive_key
from tests.conformance.conftest import LAG, Store

KEY = b"lb:{arcade}"
SPAN = 10 * SECOND
RULES = b'{"keep": "best"}'
FAR = 253_402_300_799_999_999
"""The last microsecond of the year 9999, which no double holds."""


def board(key: bytes = KEY, /, **rules: object) -> Board:
    return Board(key, Ranking(seasonal=True, **rules))  # type: ignore[arg-type]


def archive(board: Board, number: int) -> Board:
    """As one reads it."""
    ranking = replace(board.ranking, seasonal=False, entry_ttl=None, max_entries=None)
    return Board(archive_key(board.key, number), ranking)


async def begin(backend: Backend, board: Board, span: int = SPAN) -> int:
    """The first season of the board; the instant of its beginning."""
    _, now = await backend.sorted_sets.season(board)
    assert await backend.sorted_sets.set_season(board, now + span) == Season(1, now, now + span)
    return now


async def roll(
    backend: Backend, board: Board, number: int, ends: int | None = None, force: bool = False
) -> Closed | None:
    """The next season begins when the last one ended, if that went by the clock."""
    season, now = await backend.sorted_sets.season(board)
    begins = now if season is None or season.ends is None else min(now, season.ends)
    return await backend.sorted_sets.roll(
        board, number, begins=begins, ends=ends, rules=RULES, force=force
    )


async def entries(backend: Backend, board: Board) -> list[Entry]:
    return (await backend.sorted_sets.page(board, 0, 1_000, metadata=True)).entries


async def everything(backend: Backend, *boards: Board) -> list[object]:
    """What must not change when nothing is to happen."""
    found: list[object] = []
    for one in boards:
        onward = await backend.sorted_sets.onward(one, None, 1_000, metadata=True)
        found += [onward, (await backend.sorted_sets.season(one))[0]]
        found.append(await backend.hashes.get(one.key + SEASONS))
    return found


async def test_a_board_has_no_season_until_it_gets_one(store: Store) -> None:
    sets = store.backend.sorted_sets
    season, began = await sets.season(board())
    assert season is None
    await sets.submit(board(), [Submit(b"a", 1)])
    assert await roll(store.backend, board(), 1, force=True) is None
    assert await sets.set_season(board(), None) == Season(1, began, None)
    await store.advance(SECOND)
    assert await sets.season(board()) == (Season(1, began, None), began + SECOND)
    assert await sets.set_season(board(), began + SPAN) == Season(1, began, began + SPAN)
    assert await sets.set_season(board(), began + SPAN) == Season(1, began, began + SPAN)
    assert await sets.set_season(board(), FAR) == Season(1, began, FAR)
    assert await sets.season(board()) == (Season(1, began, FAR), began + SECOND)


async def test_what_is_written_after_the_end_changes_nothing(store: Store) -> None:
    backend, sets = store.backend, store.backend.sorted_sets
    began = await begin(backend, board())
    await sets.submit(board(), [Submit(b"a", 1, b"1")])
    await store.advance(SPAN - 1)
    await sets.submit(board(), [Submit(b"b", 2, None, b"i")])
    assert await sets.remove(board(), b"nobody") is False
    await store.advance(1)
    before = await everything(backend, board())
    plain = Board(b"lb:{arcade}=plain", Ranking())
    for write in (
        lambda: sets.submit(board(), [Submit(b"a", 9)]),
        lambda: sets.submit(board(), [Submit(b"a", 9), Submit(b"c", 9, b"2", b"j")], overtaken=2),
        lambda: sets.submit(board(), [Submit(b"b", 2, None, b"i")]),
        lambda: sets.submit(board(), []),
        lambda: sets.submit(board(max_score=1.0), [Submit(b"a", 9)]),
        lambda: sets.submit_to([plain, board()], [Submit(b"a", 9)]),
        lambda: sets.remove(board(), b"a"),
        lambda: sets.remove(board(), b"nobody"),
    ):
        with pytest.raises(SeasonOver) as raised:
            await write()
        over = raised.value
        assert (over.key, over.number) == (KEY, 1)
        assert (over.ended, over.now) == (began + SPAN, began + SPAN)
    assert await everything(backend, board()) == before
    assert await sets.size(plain) == 0
    # Who is not told that the board has seasons goes on as ever.
    (answer,) = await sets.submit(Board(KEY, Ranking()), [Submit(b"a", 9)])
    assert answer.changed


async def test_of_several_boards_none_changes_if_one_is_over(store: Store) -> None:
    """Also where another would have refused the score."""
    backend, sets = store.backend, store.backend.sorted_sets
    daily, weekly = board(b"lb:{arcade}=daily", ties="first"), board(b"lb:{arcade}=weekly")
    strict = board(b"lb:{arcade}=strict", max_score=1.0, entry_ttl=5 * SECOND)
    boards = [strict, weekly, daily]
    for one, span in ((daily, SPAN), (weekly, 7 * SPAN), (strict, 7 * SPAN)):
        await begin(backend, one, span)
    answers = await sets.submit_to(boards, [Submit(b"a", 0.5), Submit(b"b", 1, b"1")])
    assert [answer.rank for answer in answers] == [2, 1, 2, 1, 2, 1]
    assert [answer.member for answer in answers] == [b"a", b"b"] * 3
    await store.advance(SPAN)
    before = await everything(backend, weekly, daily)
    with pytest.raises(SeasonOver) as raised:
        await sets.submit_to(boards, [Submit(b"a", 2)])
    assert (raised.value.key, raised.value.number) == (daily.key, 1)
    assert await everything(backend, weekly, daily) == before
    assert await roll(backend, daily, 1) is not None
    with pytest.raises(OutOfBounds):
        await sets.submit_to(boards, [Submit(b"a", 2)])
    answers = await sets.submit_to(boards[1:], [Submit(b"a", 2)])
    assert [answer.previous_score for answer in answers] == [0.5, None]


async def test_of_many_who_close_a_season_one_does(store: Store) -> None:
    backend, sets = store.backend, store.backend.sorted_sets
    began = await begin(backend, board())
    await sets.submit(board(), [Submit(b"a", 1), Submit(b"b", 2, b"1")])
    assert await roll(backend, board(), 1) is None  # it is not over
    await store.advance(SPAN)
    assert await roll(backend, board(), 2) is None
    assert await roll(backend, board(), 0) is None
    ends = began + 2 * SPAN
    assert await roll(backend, board(), 1, ends) == Closed(1, began, began + SPAN, 2)
    await sets.submit(board(), [Submit(b"c", 3)])
    after = await everything(backend, board(), archive(board(), 1))
    assert await roll(backend, board(), 1, None) is None
    assert await roll(backend, board(), 1, None, force=True) is None
    assert await everything(backend, board(), archive(board(), 1)) == after
    assert (await sets.season(board()))[0] == Season(2, began + SPAN, ends)
    row = b"%d %d 2 %b" % (began, began + SPAN, RULES)
    assert await backend.hashes.get(KEY + SEASONS) == {b"1": row}
    assert await entries(backend, board()) == [Entry(1, b"c", 3)]
    assert await entries(backend, archive(board(), 1)) == [
        Entry(1, b"b", 2, b"1"),
        Entry(2, b"a", 1),
    ]


async def test_a_season_that_ends_in_the_past_is_rolled_again(store: Store) -> None:
    """As after a long night: what the next season is, is the caller's business."""
    backend, sets = store.backend, store.backend.sorted_sets
    began = await begin(backend, board())
    await store.advance(5 * SPAN)
    assert await roll(backend, board(), 1, began + 2 * SPAN) == Closed(1, began, began + SPAN, 0)
    with pytest.raises(SeasonOver) as raised:
        await sets.submit(board(), [Submit(b"a", 1)])
    assert (raised.value.number, raised.value.ended) == (2, began + 2 * SPAN)
    assert await roll(backend, board(), 2, FAR) == Closed(2, began + SPAN, began + 2 * SPAN, 0)
    assert (await sets.season(board()))[0] == Season(3, began + 2 * SPAN, FAR)
    await sets.submit(board(), [Submit(b"a", 1)])


async def test_a_season_is_closed_by_hand(store: Store) -> None:
    backend, sets = store.backend, store.backend.sorted_sets
    began = (await sets.set_season(board(), None)).began
    await sets.submit(board(), [Submit(b"a", 1)])
    await store.advance(SECOND)
    assert await roll(backend, board(), 1) is None
    closed = await roll(backend, board(), 1, began + SPAN, force=True)
    assert closed == Closed(1, began, began + SECOND, 1)
    await store.advance(SPAN)
    # One that was over already ended then, whoever closes it.
    closed = await roll(backend, board(), 2, None, force=True)
    assert closed == Closed(2, began + SECOND, began + SPAN, 0)


async def test_a_clock_that_steps_back_stays_in_the_season(store: Store) -> None:
    backend, sets = store.backend, store.backend.sorted_sets
    began = await begin(backend, board())
    await sets.submit(board(), [Submit(b"a", 1)])
    await store.advance(SPAN)
    await roll(backend, board(), 1, began + 2 * SPAN)
    await store.advance(-SPAN // 2)
    await sets.submit(board(), [Submit(b"b", 1)])
    assert await sets.remove(board(), b"a") is False
    assert await roll(backend, board(), 2) is None
    closed = await sets.roll(board(), 2, begins=began, ends=None, rules=RULES, force=True)
    assert closed == Closed(2, began + SPAN, began + SPAN, 1)  # not before it began
    assert [entry.member for entry in await entries(backend, archive(board(), 1))] == [b"a"]


KINDS: list[dict[str, object]] = [
    {},
    {"descending": False, "ranks": "competition"},
    {"ties": "first", "keep": "latest"},
    {"ranks": "dense", "entry_ttl": 30 * SECOND},
    {"ties": "first", "ranks": "dense", "entry_ttl": 30 * SECOND, "descending": False},
]


@pytest.mark.parametrize("rules", KINDS, ids=repr)
async def test_an_archive_answers_as_the_board_did(store: Store, rules: dict[str, object]) -> None:
    backend, sets, now = store.backend, store.backend.sorted_sets, board(**rules)
    await begin(backend, now)
    for number in range(12):
        member = b"m%d" % (number * 7 % 12)
        note = b"%d" % number if number % 3 else None
        await sets.submit(now, [Submit(member, float(number % 3), note)])
    before = await _asked(backend, now)
    await store.advance(SPAN)
    closed = await roll(backend, now, 1)
    assert closed is not None and closed.size == 12
    assert await _asked(backend, archive(now, 1)) == before
    await sets.submit(now, [Submit(b"m3", 7)])
    await store.advance(60 * SECOND + LAG)  # its entries do not leave any more
    assert await _asked(backend, archive(now, 1)) == before
    assert await backend.values.delete(KEY + b":s:1:ttl") == 0


async def _asked(backend: Backend, board: Board) -> Sequence[object]:
    sets = backend.sorted_sets
    standing = await sets.standing(board, b"m5")
    assert isinstance(standing, Standing)
    return [
        standing,
        await sets.page(board, 0, 100, metadata=True),
        await sets.page_by_score(board, 1, 1, 1, 3, metadata=True),
        await sets.members(board, [b"m5", b"nobody", b"m1"]),
        await sets.around(board, b"m5", 2),
        await sets.around_score(board, 1.5, 2),
        await sets.at_percentile(board, 80),
        await sets.histogram(board, 4),
        (await sets.onward(board, None, 100)).page,
    ]


async def test_whoever_is_due_is_not_in_the_archive(store: Store) -> None:
    backend, timed = store.backend, board(entry_ttl=6 * SECOND, ties="first")
    await begin(backend, timed)
    await backend.sorted_sets.submit(timed, [Submit(b"a", 1, b"1"), Submit(b"b", 1)])
    await store.advance(5 * SECOND)
    await backend.sorted_sets.submit(timed, [Submit(b"b", 0)])
    await store.advance(5 * SECOND)
    closed = await roll(backend, timed, 1)
    assert closed is not None and closed.size == 1
    assert await entries(backend, archive(timed, 1)) == [Entry(1, b"b", 1)]
    assert await backend.values.delete(KEY + b":ttl", KEY + META) == 0
    await backend.sorted_sets.submit(timed, [Submit(b"a", 2)])
    assert await entries(backend, timed) == [Entry(1, b"a", 2)]  # nothing beside it is of before


@pytest.mark.parametrize("ties", ["member", "first"])
async def test_who_leaves_after_the_end_is_in_the_archive(store: Store, ties: str) -> None:
    """However late the season is closed, as long as somebody is there whose time is not up."""
    backend, timed = store.backend, board(entry_ttl=6 * SECOND, ties=ties)
    await begin(backend, timed)
    for member, wait in ((b"a", 3), (b"b", 6), (b"c", 4)):
        await backend.sorted_sets.submit(timed, [Submit(member, 1, b"1")])
        await store.advance(wait * SECOND)
    closed = await roll(backend, timed, 1)  # after 13 of 10 seconds; a left after 6, b after 9
    assert closed is not None and closed.size == 1
    await backend.sorted_sets.submit(timed, [Submit(b"d", 1)])
    await store.advance(5 * SECOND)
    await backend.sorted_sets.set_season(timed, (await backend.sorted_sets.season(timed))[1])
    await backend.sorted_sets.submit(replaced(timed), [Submit(b"e", 1)])
    await store.advance(2 * SECOND)
    closed = await roll(backend, timed, 2)
    assert closed is not None and closed.size == 2  # d has left since the end, two seconds ago
    found = [entry.member for entry in await entries(backend, archive(timed, 2))]
    assert sorted(found) == [b"d", b"e"]


def replaced(board: Board) -> Board:
    """As who has not heard yet that it has seasons."""
    return board._replace(ranking=replace(board.ranking, seasonal=False))


async def test_an_id_counts_once_also_across_the_end(store: Store) -> None:
    backend, sums = store.backend, board(keep="sum")
    await begin(backend, sums)
    await backend.sorted_sets.submit(sums, [Submit(b"a", 1, None, b"i")])
    await store.advance(SPAN)
    await roll(backend, sums, 1)
    await backend.sorted_sets.submit(sums, [Submit(b"a", 5, None, b"j")])
    (again,) = await backend.sorted_sets.submit(sums, [Submit(b"a", 1, None, b"i")])
    assert (again.repeated, again.score) == (True, 5)
    assert await entries(backend, archive(sums, 1)) == [Entry(1, b"a", 1)]


async def test_whoever_goes_on_reading_learns_that_the_season_was_closed(store: Store) -> None:
    backend, sets = store.backend, store.backend.sorted_sets
    await begin(backend, board())
    await sets.submit(board(), [Submit(b"a", 1), Submit(b"b", 2)])
    seen = {(await sets.onward(board(), None, 1)).generation}
    for number in range(1, 4):  # at one instant
        assert await roll(backend, board(), number, force=True)
        seen.add((await sets.onward(board(), None, 1)).generation)
    assert await sets.drop(board()) is True
    seen.add((await sets.onward(board(), None, 1)).generation)
    assert len(seen) == 5
    assert (await sets.onward(archive(board(), 1), None, 1)).generation == 0


async def test_a_board_that_is_deleted_begins_anew(store: Store) -> None:
    """Its archives are the service's to delete; what is left of them is not taken for new ones."""
    backend, sets, first = store.backend, store.backend.sorted_sets, board(ties="first")
    await begin(backend, first)
    await sets.submit(first, [Submit(b"a", 1, b'"old"')])
    assert await roll(backend, first, 1, force=True)
    await backend.hashes.patch(KEY + SEASONS, {b"1:packed": b"1000 1", b"1:told": b"1"})
    assert await sets.drop(first)
    assert await backend.values.delete(KEY, *(KEY + end for end in BESIDE_BOARD)) == 0
    assert (await sets.season(first))[0] is None
    assert await entries(backend, archive(first, 1)) == [Entry(1, b"a", 1, b'"old"')]
    began = await begin(backend, first)
    await sets.submit(first, [Submit(b"a", 2)])
    assert await roll(backend, first, 1, force=True) == Closed(1, began, began, 1)
    assert await entries(backend, archive(first, 1)) == [Entry(1, b"a", 2)]
    fields = await backend.hashes.get(KEY + SEASONS)
    assert fields is not None and list(fields) == [b"1"]
    assert await sets.drop(first)
    await begin(backend, first)
    closed = await roll(backend, first, 1, force=True)
    assert closed is not None and closed.size == 0
    assert await entries(backend, archive(first, 1)) == []
    assert await backend.values.delete(KEY + b":s:1", KEY + b":s:1" + META) == 0


async def test_a_season_of_another_type_is_refused(backend: Backend) -> None:
    await backend.values.set(KEY + SEASON, b"1")
    with pytest.raises(WrongType):
        await backend.sorted_sets.season(board())
    with pytest.raises(WrongType):
        await backend.sorted_sets.set_season(board(), None)


@pytest.mark.parametrize("rules", KINDS, ids=repr)
async def test_who_is_erased_leaves_what_is_kept_in_order(
    store: Store, rules: dict[str, object]
) -> None:
    backend, sets, now = store.backend, store.backend.sorted_sets, board(**rules)
    await begin(backend, now)
    for number in range(12):
        await sets.submit(now, [Submit(b"m%d" % (number * 7 % 12), float(number % 3), b"1")])
    await store.advance(SPAN)
    assert await roll(backend, now, 1) is not None
    there, (row,) = archive(now, 1), await backend.hashes.fields(KEY + SEASONS, [b"1"])
    assert row is not None
    await sets.submit(now, [Submit(b"m3", 7)])
    order = [entry.member for entry in await entries(backend, there)]
    for size in range(11, -1, -1):
        member = order.pop(size // 2)
        assert await sets.erase(now, 1, member) is True
        assert await sets.erase(now, 1, member) is False
        assert [entry.member for entry in await entries(backend, there)] == order
        (after,) = await backend.hashes.fields(KEY + SEASONS, [b"1"])
        assert after == row.replace(b" 12 ", b" %d " % size)
    assert await sets.erase(now, 2, b"m3") is False  # it is not over
    assert await sets.erase(now, 9, b"m3") is False
    assert [entry.member for entry in await entries(backend, now)] == [b"m3"]
    beside = [there.key + end for end in (b"", META, b":places", b":scores")]
    assert await backend.values.delete(*beside) == 0

"""Boards with rules that need more than a sorted set, on every backend."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.clock import SECOND
from realtime.backends.base import UNHEARD, Backend, Board, Ranking, Submit, WrongType
from realtime.backends.keys import META
from tests.conformance.conftest import LAG, Store

KEY = b"lb:{arcade}"
DAY = 24 * 3600 * SECOND
MANY = 2_500
"""More than two slices."""


def board(**rules: object) -> Board:
    return Board(KEY, Ranking(**rules))  # type: ignore[arg-type]


async def names(backend: Backend, board: Board) -> list[bytes]:
    page = await backend.sorted_sets.page(board, 0, 2 * MANY)
    return [entry.member for entry in page.entries]


async def adapt(backend: Backend, board: Board, begin: int = 0) -> int:
    """To its end; in how many slices."""
    slices, at = 0, begin
    while at is not None:
        at = await backend.sorted_sets.adapt(board, at)  # type: ignore[assignment]
        slices += 1
    return slices


async def fill(backend: Backend, board: Board) -> None:
    for first in range(0, MANY, 500):
        entries = [Submit(b"m%04d" % n, float(n % 3)) for n in range(first, first + 500)]
        await backend.sorted_sets.submit(board, entries)


async def test_an_entry_leaves_at_its_instant(store: Store) -> None:
    backend, timed = store.backend, board(entry_ttl=10 * SECOND)
    await backend.sorted_sets.submit(timed, [Submit(b"a", 1, b"1"), Submit(b"b", 2)])
    await store.advance(6 * SECOND)
    (answer,) = await backend.sorted_sets.submit(timed, [Submit(b"a", 0)])
    assert not answer.changed  # and yet it stays on
    await store.advance(4 * SECOND)
    assert await backend.sorted_sets.size(timed) == 1
    assert await names(backend, timed) == [b"a"]
    assert await backend.sorted_sets.standing(timed, b"b") is None
    (answer,) = await backend.sorted_sets.submit(timed, [Submit(b"b", 1)])
    assert (answer.previous_rank, answer.rank) == (None, 1)
    await store.advance(10 * SECOND)
    assert await names(backend, timed) == []


async def test_a_board_that_nobody_looks_at_goes_as_a_whole(store: Store) -> None:
    backend, timed = store.backend, board(entry_ttl=8 * SECOND)
    await backend.sorted_sets.submit(timed, [Submit(b"a", 1, b'"old"')])
    await store.advance(9 * SECOND + LAG)  # an eighth longer than the entry
    assert await backend.values.delete(KEY, KEY + META, KEY + b":ttl") == 0
    await backend.sorted_sets.submit(timed, [Submit(b"a", 2)])
    standing = await backend.sorted_sets.standing(timed, b"a")
    assert standing is not None and standing.entry.metadata is None


async def test_metadata_does_not_outlive_its_board(store: Store) -> None:
    """It came later, so its own deadline is later."""
    backend, timed = store.backend, board(entry_ttl=8 * SECOND)
    await backend.sorted_sets.submit(timed, [Submit(b"a", 1)])
    await store.advance(SECOND)
    await backend.sorted_sets.submit(timed, [Submit(b"a", 2, b'"old"')])
    await store.advance(8 * SECOND)
    await backend.sorted_sets.submit(timed, [Submit(b"a", 3)])
    standing = await backend.sorted_sets.standing(timed, b"a")
    assert standing is not None and standing.entry.metadata is None


@pytest.mark.parametrize("ties", ["member", "first"])
async def test_time_begins_for_all_when_the_rule_comes(store: Store, ties: str) -> None:
    backend, before = store.backend, board(ties=ties)
    await fill(backend, before)
    timed = Board(KEY, replace(before.ranking, entry_ttl=10 * SECOND))
    assert await adapt(backend, timed) == 3
    await store.advance(9 * SECOND)
    await backend.sorted_sets.submit(timed, [Submit(b"m0007", 0.5)])
    assert await backend.sorted_sets.size(timed) == MANY
    await store.advance(SECOND)
    assert await names(backend, timed) == [b"m0007"]
    assert await adapt(backend, before) == 1
    await store.advance(100 * SECOND)
    assert await names(backend, before) == [b"m0007"]


async def test_when_the_next_entry_leaves_is_told(store: Store) -> None:
    sets, timed = store.backend.sorted_sets, board(entry_ttl=10 * SECOND)
    assert await sets.leaving(timed) is None
    await sets.submit(timed, [Submit(b"a", 1)])
    await store.advance(4 * SECOND)
    await sets.submit(timed, [Submit(b"b", 1)])
    assert await sets.leaving(timed) == 6 * SECOND
    await store.advance(7 * SECOND)
    assert await sets.leaving(timed) == 0
    assert await sets.size(timed) == 1
    assert await sets.leaving(timed) == 3 * SECOND
    await adapt(store.backend, board())
    assert await sets.leaving(board()) is None


async def test_places_are_forgotten_a_slice_at_a_time(backend: Backend) -> None:
    first = board(ties="first")
    await fill(backend, first)
    order = await names(backend, first)
    assert order[:2] == [b"m0002", b"m0005"]
    assert await adapt(backend, board()) > 1
    assert (await names(backend, board()))[:2] == [b"m2498", b"m2495"]
    await adapt(backend, first)
    await backend.sorted_sets.submit(first, [Submit(b"0", 2.0)])
    order = await names(backend, first)
    assert order[:2] == [b"m0002", b"m0005"]
    assert order.index(b"0") == sum(1 for n in range(MANY) if n % 3 == 2)


async def test_the_surplus_goes_a_slice_at_a_time(backend: Backend) -> None:
    await fill(backend, board(ties="first"))
    assert await adapt(backend, board(ties="first", max_entries=10)) > 2
    assert await names(backend, board(ties="first")) == [b"m%04d" % n for n in range(2, 32, 3)]
    assert await adapt(backend, board(ties="first", max_entries=10)) == 1


@pytest.mark.parametrize("ranks", ["ordinal", "dense"])
async def test_what_others_may_have_left_out_is_made_up_for(backend: Backend, ranks: str) -> None:
    """Where there is nothing to make up for, nothing changes."""
    rules = board(ties="first", ranks=ranks, entry_ttl=SECOND)
    await fill(backend, rules)
    before = await backend.sorted_sets.page(rules, 0, MANY)
    await adapt(backend, rules, UNHEARD)
    assert await backend.sorted_sets.page(rules, 0, MANY) == before
    await backend.sorted_sets.submit(rules, [Submit(b"m0000", 2.5)])
    (best, *_) = (await backend.sorted_sets.page(rules, 0, 2)).entries
    assert (best.rank, best.member) == (1, b"m0000")


async def test_there_is_nothing_to_adapt_where_there_is_nothing(backend: Backend) -> None:
    assert await backend.sorted_sets.adapt(board(entry_ttl=1, ties="first"), 0) is None


async def test_whoever_goes_on_reading_learns_of_the_end(store: Store) -> None:
    backend = store.backend
    await backend.sorted_sets.submit(board(), [Submit(b"a", 1), Submit(b"b", 2, b"1")])
    found = await backend.sorted_sets.onward(board(), None, 1)
    assert found.end == (2, b"b")
    assert found.generation == 0
    assert await backend.sorted_sets.drop(board())
    await backend.sorted_sets.submit(board(), [Submit(b"a", 1)])
    again = await backend.sorted_sets.onward(board(), found.end, 1)
    assert [entry.member for entry in again.page.entries] == [b"a"]
    assert again.generation > 0
    await store.advance(30 * DAY + LAG)
    assert (await backend.sorted_sets.onward(board(), None, 1)).generation == 0


async def test_nothing_is_left_of_a_board(backend: Backend) -> None:
    rich = board(ties="first", ranks="dense", entry_ttl=SECOND)
    await backend.sorted_sets.submit(rich, [Submit(b"a", 1, b"1", b"i")])
    assert await backend.sorted_sets.drop(rich)
    beside = (META, b":ttl", b":ids", b":places", b":scores")
    assert await backend.values.delete(KEY, *(KEY + end for end in beside)) == 0
    assert not await backend.sorted_sets.drop(rich)


async def test_an_id_is_known_for_a_day(store: Store) -> None:
    sums, submit = board(keep="sum"), store.backend.sorted_sets.submit
    (first, second) = await submit(sums, [Submit(b"a", 1, None, b"i"), Submit(b"b", 1, None, b"i")])
    assert (first.repeated, second.repeated) == (False, True)
    assert (second.score, second.rank, second.changed) == (1, None, False)
    await store.advance(DAY - 1)
    (again,) = await submit(sums, [Submit(b"a", 5, None, b"i")])
    assert (again.score, again.repeated) == (1, True)
    await store.advance(1)
    (anew,) = await submit(sums, [Submit(b"a", 5, None, b"i")])
    assert (anew.score, anew.repeated) == (6, False)


async def test_a_board_of_another_type_is_refused(backend: Backend) -> None:
    await backend.values.set(KEY, b"text")
    for rules in (board(ties="first"), board(ranks="dense"), board(entry_ttl=SECOND)):
        with pytest.raises(WrongType):
            await backend.sorted_sets.submit(rules, [Submit(b"a", 1)])
        with pytest.raises(WrongType):
            await backend.sorted_sets.page(rules, 0, 1)

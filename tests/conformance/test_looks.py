"""Looks at members of a board, and their versions, on every backend."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends.base import Backend, Board, Entry, Ranking, Submit
from realtime.backends.keys import LOOKS
from tests.conformance.conftest import Store

KEY = b"lb:{arcade}"
BOARD = Board(KEY, Ranking())
MONTH = 30 * 24 * 3600 * 1_000_000

RULES = {
    "plain": Ranking(),
    "competition": Ranking(ranks="competition"),
    "ascending": Ranking(descending=False),
    "first": Ranking(ties="first"),
    "dense": Ranking(ranks="dense"),
    "leaving": Ranking(entry_ttl=MONTH),
}


async def fill(backend: Backend, board: Board, **scores: float) -> None:
    for member, score in scores.items():
        await backend.sorted_sets.submit(board, [Submit(member.encode(), score)])


async def version(backend: Backend, board: Board = BOARD) -> int:
    return (await backend.sorted_sets.look(board, [b"ada"]))[0]


@pytest.mark.parametrize("rules", RULES)
async def test_a_look_shows_what_reading_members_does(backend: Backend, rules: str) -> None:
    board = Board(KEY, RULES[rules])
    await fill(backend, board, ada=2, bob=3, cid=2, dan=1)
    wanted = [b"dan", b"nobody", b"ada", b"dan", b"cid"]
    before = 0
    for _ in range(3):
        newest, page = await backend.sorted_sets.look(board, wanted)
        assert newest > before
        before = newest
        assert page == await backend.sorted_sets.members(board, wanted)
        assert {entry.member for entry in page.entries} == {b"ada", b"cid", b"dan"}


async def test_a_look_at_nobody_counts_the_entries(backend: Backend) -> None:
    await fill(backend, BOARD, ada=2)
    assert (await backend.sorted_sets.look(BOARD, []))[1] == (1, [])


async def test_a_later_look_has_a_higher_version_and_each_board_its_own(store: Store) -> None:
    sets = store.backend.sorted_sets
    await fill(store.backend, BOARD, ada=2)
    first = await version(store.backend)
    assert await version(store.backend) == first + 1  # the clock stands still
    await store.advance(1_000_000)
    assert await version(store.backend) > first + 1
    other = Board(b"lb:{other}", Ranking())
    await fill(store.backend, other, ada=1)
    newest, page = await sets.look(other, [b"ada"])
    assert page.entries == [Entry(1, b"ada", 1)]
    assert newest == await version(store.backend) - 1


async def test_looking_at_what_is_not_there_stores_nothing(backend: Backend) -> None:
    early, page = await backend.sorted_sets.look(BOARD, [b"ada"])
    assert page == (0, [])
    assert await backend.values.delete(KEY + LOOKS) == 0
    await fill(backend, BOARD, ada=1)
    assert await version(backend) > early


@pytest.mark.parametrize("rules", ["plain", "first"])
async def test_versions_go_on_when_a_board_is_emptied_or_deleted(
    backend: Backend, rules: str
) -> None:
    board = Board(KEY, RULES[rules])
    await fill(backend, board, ada=1)
    seen = [await version(backend, board)]
    await backend.sorted_sets.remove(board, b"ada")
    seen.append(await version(backend, board))
    await fill(backend, board, ada=1)
    seen.append(await version(backend, board))
    assert await backend.sorted_sets.drop(board)
    assert await backend.values.delete(KEY) == 0
    seen += [await version(backend, board), await version(backend, board)]
    await fill(backend, board, ada=1)
    seen.append(await version(backend, board))
    assert seen == sorted(set(seen))


async def test_the_version_is_forgotten_when_the_clock_is_far_beyond_it(store: Store) -> None:
    await fill(store.backend, BOARD, ada=1)
    before = await version(store.backend)
    await store.advance(MONTH + 1_000_000)
    assert await store.backend.values.delete(KEY + LOOKS) == 0
    assert await version(store.backend) > before


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["look", "submit", "remove", "drop", "back", "on"]), max_size=30))
def test_versions_only_grow_whatever_the_clock_does(steps: list[str]) -> None:
    """Once there was a board at a look; before, the version is the time and no more."""
    clock = ManualClock()
    engine = Engine(clock)
    keys, newest = [KEY, KEY + b":meta"], 0
    engine.boards.submit(KEY, Ranking(), Submit(b"ada", 1))
    for step in ["look", *steps, "look"]:
        if step == "look":
            found, _ = engine.boards.look(KEY, Ranking(), [b"ada"])
            assert found > newest
            newest = found
        elif step == "submit":
            engine.boards.submit(KEY, Ranking(), Submit(b"ada", 1))
        elif step == "remove":
            engine.boards.remove(KEY, b"ada")
        elif step == "drop":
            engine.boards.drop(keys)
        else:
            clock.advance(-5_000_000 if step == "back" else 2_000_000)

"""Who is erased from a season that is over leaves it as he would have left the board."""

from __future__ import annotations

import random
from collections.abc import Coroutine, Iterator, Sequence
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.base import Backend, Ranking, Submit
from realtime.backends.keys import SEASONS, board_key
from realtime.errors import NotFound
from realtime.services.archives import Archives
from realtime.services.closedseasons import ClosedSeason
from realtime.services.packing import Block, Damaged, Head
from realtime.services.turns import may_wait
from tests.boards.archived import ARCADE, all_answers, closed, everybody, some_entries
from tests.boards.test_archives import driven, rankings, submits

KEY = board_key(ARCADE.encode())
SOME = some_entries(60)


def steps(work: Coroutine[Any, Any, Any], result: list[Any] | None = None) -> Iterator[None]:
    """Run something that may wait, from one turn to the next."""
    context = copy_context()
    context.run(may_wait.set, True)
    while True:
        try:
            context.run(work.send, None)
        except StopIteration as done:
            if result is not None:
                result.append(done.value)
            return
        yield


def made(rows: int = 20) -> tuple[Engine, Backend, Archives]:
    engine = Engine(ManualClock())
    backend = embedded.backend(engine)
    return engine, backend, Archives(backend, rows)


async def kept(archives: Archives, season: ClosedSeason) -> ClosedSeason:
    """As it is now."""
    found = await archives.see(ARCADE, season)
    assert found is not None
    return found.season


async def answers_without(
    ranking: Ranking, entries: Sequence[Submit], gone: Sequence[bytes], members: Sequence[bytes]
) -> Any:
    """Of a board that is still open, from which they were removed."""
    _, backend, archives = made()
    season = await closed(backend, ranking, entries)
    board = archives.board(ARCADE, season)
    for member in gone:
        await backend.sorted_sets.remove(board, member)
    size = await backend.sorted_sets.size(board)
    return await all_answers(archives, season._replace(size=size), members)


@settings(deadline=None, max_examples=150)
@given(
    rankings,
    st.lists(submits, min_size=1, max_size=30),
    st.integers(1, 7),
    st.integers(0, 30),
    st.randoms(use_true_random=False),
)
def test_it_answers_as_the_board_would(
    ranking: Ranking, entries: list[Submit], rows: int, before: int, draw: random.Random
) -> None:
    """Some go before it is packed, and the others after that; perhaps all."""
    entries = [entry._replace(id=None) for entry in entries]
    members = list(dict.fromkeys([entry.member for entry in entries]))
    gone = draw.sample(members, draw.randint(0, len(members)))
    asked = [*members, b"nobody"]

    async def check() -> None:
        _, backend, archives = made(rows)
        reader = Archives(backend)
        season = await closed(backend, ranking, entries)
        for number in range(len(gone) + 1):
            if number == before:
                await archives.pack(ARCADE, season)
            expected = await answers_without(ranking, entries, gone[:number], asked)
            now = await kept(archives, season)
            assert now.size == len(members) - number
            assert await all_answers(reader, now, asked) == expected
            assert await all_answers(reader, season, asked) == expected  # also if read before
            for member in gone[number : number + 1]:
                assert await archives.erase(ARCADE, season, member)
                assert not await archives.erase(ARCADE, season, member)

    driven(check())


def test_packing_begins_anew_whenever_somebody_is_erased() -> None:
    """At every turn of it. What it had written of him is gone when it is done."""
    entries, gone = some_entries(61), b"m1"
    left = [entry for entry in entries if entry.member != gone]
    turn = 0
    while True:
        engine, backend, archives = made()
        season = driven(closed(backend, Ranking(ranks="dense"), entries))
        packing = steps(archives.pack(ARCADE, season))
        if any(next(packing, True) for _ in range(turn)):
            break
        turn += 1
        assert driven(Archives(backend).erase(ARCADE, season, gone))
        assert len(driven(everybody(Archives(backend), season))) == len(left)
        list(packing)
        found = driven(everybody(archives, season))
        assert {entry.member for entry in found} == {entry.member for entry in left}
        assert driven(kept(archives, season)).packed is not None
        parts = [key for key in engine.keyspace.values if b":rows:" in key]
        assert len(parts) == 3
        assert gone not in named(engine)
        driven(archives.delete(ARCADE, season))
        assert not engine.keyspace.values
    assert turn > 10


def named(engine: Engine) -> set[bytes]:
    """All members that a block has."""
    stored = [value for key, value in engine.keyspace.values.items() if b":rows:" in key]
    blocks = [Block(value) for value in stored if isinstance(value, bytes)]
    assert len(blocks) == len(stored)
    return {member for block in blocks for member in block.members}


def test_nothing_speaks_any_more_of_who_was_erased() -> None:
    engine, backend, archives = made()
    season = driven(closed(backend, Ranking(), SOME))
    driven(archives.pack(ARCADE, season))
    values = dict(engine.keyspace.values)
    assert b"m1" in named(engine)
    assert driven(archives.erase(ARCADE, season, b"m1"))
    assert b"m1" not in named(engine)
    changed = {
        key[len(KEY) :] for key, value in engine.keyspace.values.items() if values[key] != value
    }
    kinds = sorted(key.rstrip(b"0123456789") for key in changed)
    assert kinds == [b":s:1:head", b":s:1:index:", b":s:1:rows:"]


def test_of_those_who_erase_at_once_all_do() -> None:
    draw = random.Random(3)
    for packed in (False, True):
        for _ in range(20):
            _, backend, archives = made()
            season = driven(closed(backend, Ranking(), SOME))
            if packed:
                driven(archives.pack(ARCADE, season))
            members = draw.sample([entry.member for entry in SOME], 5)
            done: list[Any] = []
            running = [
                steps(Archives(backend).erase(ARCADE, season, member), done)
                for member in (*members, members[0])
            ]
            while running:
                one = draw.choice(running)
                if next(one, True):
                    running.remove(one)
            assert sorted(done) == [False] + [True] * 5
            left = {entry.member for entry in driven(everybody(archives, season))}
            assert left == {entry.member for entry in SOME} - set(members)
            assert driven(kept(archives, season)).size == len(left)


@pytest.mark.parametrize("ranks", ["ordinal", "dense"])
def test_a_reader_sees_one_instant(ranks: Any) -> None:
    """At whichever of his turns somebody is erased, and if his shelf is of before."""
    for cold in (True, False):
        turn = 0
        while True:
            _, backend, archives = made(rows=10)
            season = driven(closed(backend, Ranking(ranks=ranks), SOME))
            driven(archives.pack(ARCADE, season))
            season = driven(kept(archives, season))
            reader = Archives(backend)
            members = [entry.member for entry in SOME]
            board = reader.board(ARCADE, season)

            def read(reader: Archives = reader, season: ClosedSeason = season) -> Any:
                return reader.sets(ARCADE, season).members(board, members)  # noqa: B023

            before = driven(read())
            result: list[Any] = []
            if cold:
                reader.shelf = Archives(backend).shelf
            reading = steps(read(), result)
            if any(next(reading, True) for _ in range(turn)):
                break
            turn += 1
            victim = before.entries[31].member
            driven(archives.erase(ARCADE, season, victim))
            after = driven(read(Archives(backend)))
            assert after.total == before.total - 1
            list(reading)
            assert result[0] in (before, after)
            again = driven(kept(archives, season))
            assert driven(read(reader, again)) == after
        assert turn > (5 if cold else 0)


def test_whoever_erases_while_it_is_deleted_brings_nothing_back() -> None:
    for packed in (False, True):
        turn = 0
        while True:
            engine, backend, archives = made()
            season = driven(closed(backend, Ranking(), SOME))
            if packed:
                driven(archives.pack(ARCADE, season))
            erasing = steps(Archives(backend).erase(ARCADE, season, b"m1"))
            if any(next(erasing, True) for _ in range(turn)):
                break
            turn += 1
            driven(archives.delete(ARCADE, driven(kept(archives, season))))
            with pytest.raises(NotFound, match="not kept any more"):
                list(erasing)
            assert not engine.keyspace.values
        assert turn > (2 if packed else 0)


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_done_to_a_season_while_it_is_deleted_leaves_nothing(packed: bool) -> None:
    """So many parts that they are deleted in several steps, between which others have a turn."""
    draw, done = random.Random(5), 0
    for _ in range(40):
        engine, backend, archives = made(rows=1)
        season = driven(closed(backend, Ranking(), SOME))
        if packed:
            driven(archives.pack(ARCADE, season))
            season = driven(kept(archives, season))
        running = {
            name: steps(work)
            for name, work in (
                ("pack", Archives(backend, rows=1).pack(ARCADE, season)),
                ("erase", Archives(backend).erase(ARCADE, season, b"m1")),
                ("delete", archives.delete(ARCADE, season)),
            )
        }
        # What is deleted may have been packed half, or nearly: that takes 4 turns an entry.
        for _ in range(draw.choice([draw.randrange(260), *range(237, 243)])):
            next(running["pack"], None)
        while running:
            name = draw.choice(list(running))
            try:
                if not next(running[name], True):
                    continue
                done += name == "erase"
            except (NotFound, Damaged):
                assert name != "delete"
            del running[name]
        assert not engine.keyspace.values
    assert 0 < done < 40


def test_half_deleted_is_deleted() -> None:
    """The head goes first, and nobody writes another one."""
    engine, backend, archives = made()
    season = driven(closed(backend, Ranking(), SOME))
    driven(archives.pack(ARCADE, season))
    season = driven(kept(archives, season))
    engine.strings.delete(KEY + b":s:1:head")
    with pytest.raises(NotFound, match="not kept any more"):
        driven(archives.erase(ARCADE, season, b"m1"))
    assert engine.strings.get(KEY + b":s:1:head") is None
    driven(archives.delete(ARCADE, season))
    assert not engine.keyspace.values


async def test_pages_go_on_behind_who_was_erased() -> None:
    for rules in ({}, {"descending": False}, {"ties": "first"}):
        ranking = Ranking(keep="latest", **rules)
        _, backend, archives = made(rows=7)
        season = await closed(backend, ranking, SOME)
        await archives.pack(ARCADE, season)
        order = [entry.member for entry in await everybody(archives, season)]
        scores = {entry.member: entry.score for entry in SOME}
        for at in range(0, 50, 9):
            board, sets = archives.board(ARCADE, season), archives.sets(ARCADE, season)
            cursor = (await sets.onward(board, None, at + 1)).end
            assert cursor is not None and cursor.stored == order[at]
            assert await archives.erase(ARCADE, season, order.pop(at))
            page = (await sets.onward(board, cursor, 100)).page
            rest = [entry.member for entry in page.entries]
            if ranking.ties == "member":
                assert rest == order[at:]
            else:  # from the first of his equals: nobody is passed over
                assert rest[-len(order[at:]) :] == order[at:]
                assert {scores[name] for name in rest[: -len(order[at:])]} <= {cursor.score}


def test_a_head_says_of_what_is_left_what_it_would_of_a_new_one() -> None:
    _, backend, archives = made(rows=5)
    draw = random.Random(8)
    season = driven(closed(backend, Ranking(ranks="dense"), SOME))
    driven(archives.pack(ARCADE, season))
    names = [entry.member for entry in SOME]
    draw.shuffle(names)
    for name in names:
        assert driven(archives.erase(ARCADE, season, name))
        stored = driven(backend.values.get(KEY + b":s:1:head"))
        head = Head.read(stored)
        assert Head.read(head.value()) == head and head.value() == stored
        blocks = [
            Block(driven(backend.values.get(KEY + b":s:1:rows:%d" % number)))
            for number in range(len(head.firsts))
        ]
        keys = [key for block in blocks for key in block.keys]
        at = 0
        for number, block in enumerate(blocks):
            assert (head.befores[number], head.size(number)) == (at, len(block.keys))
            assert head.block_marks[number] == block.mark
            if block.keys:
                first = block.keys[0]
                assert head.firsts[number] == first
                assert head.starts[number] == keys.index(first)
                assert head.denses[number] == len({key for key in keys if key <= first})
            at += len(block.keys)
        assert head.total == at and (not keys or head.last == keys[-1])
    assert driven(kept(archives, season)).size == 0


async def test_a_season_that_nobody_is_in_is_still_one() -> None:
    for packed in (False, True):
        engine, backend, archives = made()
        season = await closed(backend, Ranking(), some_entries(3))
        if packed:
            await archives.pack(ARCADE, season)
        for entry in some_entries(3):
            assert await archives.erase(ARCADE, season, entry.member)
        now = await kept(archives, season)
        assert now.size == 0
        for seen in (now, season):
            board, sets = archives.board(ARCADE, seen), archives.sets(ARCADE, seen)
            assert (await sets.page(board, 0, 10)).total == 0
            assert await sets.standing(board, b"m1") is None
            assert (await sets.histogram(board, 3)).total == 0
        assert not await archives.erase(ARCADE, season, b"m1")
        if not packed:
            await archives.pack(ARCADE, season)
        assert (await kept(archives, season)).packed is not None
        await archives.delete(ARCADE, now)
        assert not engine.keyspace.values


async def test_the_row_keeps_what_else_it_says() -> None:
    _, backend, archives = made()
    season = await closed(backend, Ranking(min_score=-1e300), SOME)
    (row,) = await backend.hashes.fields(KEY + SEASONS, [b"1"])
    assert row is not None
    for number in (59, 58):
        await archives.erase(ARCADE, season, SOME[number].member)
        await archives.pack(ARCADE, season)
        (now,) = await backend.hashes.fields(KEY + SEASONS, [b"1"])
        assert now == row.replace(b" 60 ", b" %d " % number)

"""Seasons that are over answer the same, packed or not; and are small."""

from __future__ import annotations

import random
import uuid
from array import array
from collections.abc import Callable, Coroutine, Iterator
from contextvars import copy_context
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.base import Backend, Entry, Ranking, Submit
from realtime.errors import InternalError, NotFound
from realtime.services.archives import Archives
from realtime.services.packing import Block, Bucket, Damaged, Head, Packing
from realtime.services.shelf import Shelf
from realtime.services.turns import may_wait
from tests.boards.archived import ARCADE, all_answers, closed, everybody, some_entries

rankings = st.builds(
    Ranking,
    descending=st.booleans(),
    keep=st.just("latest"),
    ranks=st.sampled_from(["ordinal", "competition", "dense"]),
    ties=st.sampled_from(["member", "first"]),
    entry_ttl=st.none() | st.just(60_000_000),
)
names = st.binary(min_size=1, max_size=3).filter(lambda name: name[0] != 0xFF)
scores = st.integers(-2, 2).map(float) | st.floats(allow_nan=False, allow_infinity=False)
submits = st.builds(Submit, names, scores, st.none() | st.sampled_from([b"1", b'{"a":[]}']))


def driven(work: Coroutine[Any, Any, Any]) -> Any:
    """What never waits for anything but its turn."""
    while True:
        try:
            work.send(None)
        except StopIteration as done:
            return done.value


@pytest.fixture
def backend() -> Backend:
    return embedded.backend(Engine(ManualClock()))


@settings(deadline=None, max_examples=150)
@given(rankings, st.lists(submits, min_size=1, max_size=40), st.integers(1, 9))
def test_a_packed_season_answers_as_it_did(
    ranking: Ranking, entries: list[Submit], rows: int
) -> None:
    backend = embedded.backend(Engine(ManualClock()))
    archives = Archives(backend, rows)
    season = driven(closed(backend, ranking, entries))
    members = [*{entry.member for entry in entries}, b"nobody", b""]
    before = driven(all_answers(archives, season, members))
    driven(archives.pack(ARCADE, season))
    assert driven(backend.sorted_sets.size(archives.board(ARCADE, season))) == 0
    assert driven(all_answers(archives, season, members)) == before


def _of_letters(number: int) -> bytes:
    return b"player-%d" % number


def _uuid(number: int) -> bytes:
    return str(uuid.UUID(bytes=random.Random(number).randbytes(16))).encode()


@pytest.mark.parametrize(("name", "most"), [(_of_letters, 12), (_uuid, 30)])
def test_a_member_takes_few_bytes(name: Callable[[int], bytes], most: int) -> None:
    """In a sorted set it takes 175 in memory, and nearly as much in Redis."""
    draw, count = random.Random(5), 100_000
    rows = [Entry(0, name(number), float(draw.randrange(10**6))) for number in range(count)]
    rows.sort(key=lambda entry: -entry.score)
    packing = Packing(1, bytes(16), count, 1_000, descending=True)
    size = sum(len(packing.block(rows[at : at + 1_000])) for at in range(0, count, 1_000))
    size += sum(map(len, packing.buckets())) + len(packing.head().value())
    assert size / count < most


async def test_what_is_kept_unpacked_is_bounded(backend: Backend) -> None:
    archives = Archives(backend, rows=10)
    archives.shelf = Shelf(backend.values, budget := 20_000)
    season = await closed(backend, Ranking(), some_entries(1_000))
    await archives.pack(ARCADE, season)
    sets, board = archives.sets(ARCADE, season), archives.board(ARCADE, season)
    for _ in range(2):
        for offset in range(0, 1_000, 7):
            await sets.page(board, offset, 10, metadata=True)
            assert 0 < archives.shelf.weight <= budget
    assert archives.shelf.weight > budget / 2


async def test_what_weighs_more_than_may_be_kept_is_read_all_the_same(backend: Backend) -> None:
    archives = Archives(backend)
    archives.shelf = Shelf(backend.values, 100)
    season = await closed(backend, Ranking(), some_entries(50))
    before = await everybody(archives, season)
    await archives.pack(ARCADE, season)
    assert await everybody(archives, season) == before
    assert archives.shelf.weight <= 100


@pytest.fixture
def stored() -> dict[str, bytes]:
    packing = Packing(1, bytes(16), 5, 3, descending=True)
    rows = [Entry(0, b"m%d" % n, 5.0 - n, b"1") for n in range(5)]
    blocks = [packing.block(rows[:3]), packing.block(rows[3:])]
    return {"block": blocks[0], "bucket": next(packing.buckets()), "head": packing.head().value()}


def _unpacked(kind: str, value: bytes) -> object:
    match kind:
        case "block":
            block = Block(value)
            return block.keys, block.members, block.notes
        case "bucket":
            bucket = Bucket(value)
            return bucket.candidates(0), [bucket.candidates(n) for n in range(65_536)]
        case _:
            return Head.read(value)


@pytest.mark.parametrize("kind", ["block", "bucket", "head"])
def test_whatever_is_stored_is_unpacked_or_damaged(kind: str, stored: dict[str, bytes]) -> None:
    """One byte of it was changed, or it was cut off."""
    value = stored[kind]
    draw, damaged = random.Random(3), 0
    for at in range(len(value)):
        for broken in (
            value[:at],
            value[:at] + bytes([value[at] ^ (1 + draw.randrange(255))]) + value[at + 1 :],
        ):
            try:
                _unpacked(kind, broken)
            except Damaged:
                damaged += 1
    assert damaged > len(value)


def test_numbers_of_any_size_are_kept() -> None:
    packing = Packing(2**60, b"x" * 16, 3, 3, descending=False)
    rows = [Entry(0, b"a", -1e308), Entry(0, b"b", 0.0), Entry(0, b"c", 1e308)]
    block = Block(packing.block(rows))
    assert block.keys == array("d", [-1e308, 0.0, 1e308])
    assert block.notes == [None, None, None]
    head = packing.head()
    assert Head.read(head.value()) == head


async def test_a_damaged_season_says_so(backend: Backend) -> None:
    archives = Archives(backend, rows=10)
    season = await closed(backend, Ranking(), some_entries(100))
    await archives.pack(ARCADE, season)
    board = archives.board(ARCADE, season)
    await backend.values.set(board.key + b":rows:3", b"not that")
    await backend.values.delete(board.key + b":rows:4")
    sets = archives.sets(ARCADE, season)
    assert len((await sets.page(board, 0, 30)).entries) == 30
    with pytest.raises(InternalError, match="the archive of this season is damaged"):
        await sets.page(board, 30, 1)
    with pytest.raises(InternalError, match="block 4 is missing"):
        await sets.page(board, 40, 1)


async def test_what_is_lost_before_it_was_packed_is_told(backend: Backend) -> None:
    archives = Archives(backend, rows=10)
    season = await closed(backend, Ranking(), some_entries(100))
    await backend.sorted_sets.drop(archives.board(ARCADE, season))
    with pytest.raises(Damaged, match="some of its entries are missing"):
        await archives.pack(ARCADE, season)
    with pytest.raises(NotFound, match="not kept any more"):
        await everybody(archives, season)


async def test_the_same_number_again_is_another_season(backend: Backend) -> None:
    """A board that was deleted begins at 1 again. Its old archive may not have been forgotten by
    all, or not be gone yet."""
    archives = Archives(backend, rows=10)
    old = await closed(backend, Ranking(), some_entries(100))
    await archives.pack(ARCADE, old)
    await everybody(archives, old)
    new = await closed(backend, Ranking(), some_entries(50, 2), ended=3_000)
    before = await everybody(archives, new)
    assert len(before) == 50
    await archives.pack(ARCADE, new)
    assert await everybody(archives, new) == before


async def test_a_season_that_is_deleted_leaves_nothing() -> None:
    engine = Engine(ManualClock())
    backend = embedded.backend(engine)
    archives = Archives(backend, rows=10)
    for pack in (False, True):
        season = await closed(backend, Ranking(), some_entries(100))
        if pack:
            await archives.pack(ARCADE, season)
            await everybody(archives, season)
        await archives.delete(ARCADE, season)
        assert not engine.keyspace.values


def test_what_is_deleted_while_it_is_packed_does_not_come_back() -> None:
    """Nor is a season touched that has come to lie there since."""
    for turns, again in product(range(1, 15), (False, True)):
        engine = Engine(ManualClock())
        backend = embedded.backend(engine)
        archives = Archives(backend, rows=20)
        season = driven(closed(backend, Ranking(), some_entries(100)))
        steps = _steps(archives.pack(ARCADE, season))
        for _ in range(turns):
            next(steps)
        driven(Archives(backend, rows=20).delete(ARCADE, season))
        if again:
            new = driven(closed(backend, Ranking(), some_entries(30), ended=3_000))
        list(steps)
        if again:
            assert len(driven(everybody(archives, new))) == 30
        else:
            assert not engine.keyspace.values


def _steps(work: Coroutine[Any, Any, Any]) -> Iterator[None]:
    """Run something from one turn to the next."""
    while True:
        try:
            work.send(None)
        except StopIteration:
            return
        yield


def test_readers_find_the_same_at_every_turn_of_packing(backend: Backend) -> None:
    archives, elsewhere = Archives(backend, rows=20), Archives(backend, rows=20)
    ranking = Ranking(ranks="dense", ties="first", keep="latest")
    season = driven(closed(backend, ranking, some_entries(100)))
    members = [entry.member for entry in some_entries(100)][::9]
    before = driven(all_answers(archives, season, members))
    turns = 0
    for _ in _steps(archives.pack(ARCADE, season)):
        turns += 1
        assert driven(all_answers(elsewhere, season, members)) == before
    assert turns > 10
    assert driven(all_answers(archives, season, members)) == before


def test_packing_may_be_broken_off_anywhere_and_begun_anew(backend: Backend) -> None:
    archives = Archives(backend, rows=20)
    season = driven(closed(backend, Ranking(), some_entries(100)))
    before = driven(everybody(archives, season))
    turns = 0
    while True:
        work = archives.pack(ARCADE, season)
        steps = _steps(work)
        if any(next(steps, True) for _ in range(turns)):
            break
        turns += 1
        work.close()
        assert driven(everybody(archives, season)) == before
    assert turns > 10
    assert driven(everybody(archives, season)) == before


def test_two_who_pack_at_once_do_the_same(backend: Backend) -> None:
    one, other = Archives(backend, rows=20), Archives(backend, rows=20)
    season = driven(closed(backend, Ranking(), some_entries(100)))
    before = driven(everybody(one, season))
    draw = random.Random(4)
    running = [_steps(one.pack(ARCADE, season)), _steps(other.pack(ARCADE, season))]
    while running:
        steps = draw.choice(running)
        if next(steps, True):
            running.remove(steps)
    reader = Archives(backend)
    members = [entry.member for entry in some_entries(100)]
    sets, board = reader.sets(ARCADE, season), reader.board(ARCADE, season)
    assert driven(everybody(reader, season)) == before
    assert len(driven(sets.members(board, members)).entries) == 100


async def test_only_the_season_that_is_meant_is_deleted(backend: Backend) -> None:
    """Who is to delete it may have waited meanwhile, and the board been deleted and set up anew."""
    archives = Archives(backend, rows=10)
    old = await closed(backend, Ranking(), some_entries(100))
    await archives.delete(ARCADE, old)
    new = await closed(backend, Ranking(), some_entries(50, 2), ended=3_000)
    for pack in (False, True):
        if pack:
            await archives.pack(ARCADE, new)
        await archives.delete(ARCADE, old)
        assert len(await everybody(archives, new)) == 50


async def test_others_have_a_turn_while_many_are_read(backend: Backend) -> None:
    """Also if all of it has been unpacked before."""
    archives = Archives(backend, rows=1)
    season = await closed(backend, Ranking(), some_entries(320))
    await archives.pack(ARCADE, season)
    members = [entry.member for entry in some_entries(320)]
    sets, board = archives.sets(ARCADE, season), archives.board(ARCADE, season)
    await sets.members(board, members)

    async def read() -> None:
        may_wait.set(True)
        await sets.members(board, members)

    context = copy_context()
    work, turns = read(), 0
    while True:
        try:
            context.run(work.send, None)
        except StopIteration:
            break
        turns += 1
    assert turns >= 10


def test_many_are_found_in_a_block_without_looking_at_all_of_it_for_each() -> None:
    looks = 0

    class Name(bytes):
        def __eq__(self, other: object) -> bool:
            nonlocal looks
            looks += 1
            return bytes(self) == other

        __hash__ = bytes.__hash__

    packing = Packing(1, bytes(16), 1_000, 1_000, descending=True)
    block = Block(packing.block([Entry(0, b"m%d" % n, float(-n)) for n in range(1_000)]))
    block._members = [Name(member) for member in block.members]
    names = [b"m%d" % n for n in range(0, 2_000, 2)]
    assert list(block.places(names)) == list(range(0, 1_000, 2))
    assert looks < 5_000
    assert list(block.places([b"m7", b"no", b"m999"])) == [7, 999]

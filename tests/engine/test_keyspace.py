"""Keys, deadlines and the sweep."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import SECOND, ManualClock
from engine.engine import Engine
from engine.errors import WrongType
from engine.keyspace import LARGE, SLOT_BITS, Keyspace, Value, text, type_name
from engine.placedset import PlacedSet
from engine.ranking import Ranking
from engine.sortedset import SortedSet
from engine.stream import Stream


def test_a_key_is_absent_from_its_deadline_on() -> None:
    keys = Keyspace()
    keys.put(b"k", b"v", 10)
    assert keys.get(b"k", 9) == b"v"
    assert keys.get(b"k", 10) is None
    assert len(keys) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.integers(0, 4)), max_size=80))
def test_the_sweep_gives_back_all_that_expired_and_nothing_else(
    steps: list[tuple[int, int, int]],
) -> None:
    """Deadlines move both ways, keys are deleted and come back; the model is a plain dict."""
    expired: list[bytes] = []
    keys = Keyspace(expired.append)
    model: dict[bytes, int | None] = {}
    now = 0
    for number, offset, action in steps:
        key = b"%d" % number
        deadline = now + 1 + offset * SECOND
        if action == 0:
            keys.put(key, b"v")
            model[key] = None
        elif action == 1:
            keys.delete(key)
            model.pop(key, None)
        elif action == 2:
            now += offset * SECOND
            keys.sweep(now, 1000)
            model = {k: d for k, d in model.items() if d is None or d > now}
        else:
            keys.put(key, b"v", deadline)
            model[key] = deadline
        keys._check()
        assert {key for key, _, _ in keys.items(now)} == {
            key for key, deadline in model.items() if deadline is None or deadline > now
        }
    now += 60 * SECOND
    while keys.sweep(now, 3) == 3:
        pass
    assert len(keys) == sum(deadline is None for deadline in model.values())


def test_the_sweep_stops_at_its_limit_and_goes_on_later() -> None:
    keys = Keyspace()
    for n in range(100):
        keys.put(b"%d" % n, b"v", SECOND)
    assert keys.sweep(10 * SECOND, 30) == 30
    assert len(keys) == 70
    assert keys.sweep(10 * SECOND, 1000) == 70
    assert keys.sweep(10 * SECOND, 1000) == 0


def test_reaping_finds_within_its_limit_also_what_the_sweep_leaves_for_a_moment() -> None:
    keys = Keyspace()
    assert keys.reap(10 * SECOND, 10) == 0
    begins = 5 << SLOT_BITS
    for n in range(10):
        keys.put(b"%d" % n, b"v", begins + 1 + n)
    keys.put(b"later", b"v", begins + 20)
    assert keys.reap(begins - 1, 100) == 0
    assert keys.sweep(begins + 10, 100) == 0
    assert keys.reap(begins + 10, 4) == 4
    left = len(keys)
    assert 7 <= left <= 8  # the one that has time may have been among the four
    assert keys.reap(begins + 10, 100) == left
    assert [key for key, _, _ in keys.items(0)] == [b"later"]
    keys._check()


def test_an_engine_sweeps_within_its_budget() -> None:
    ticks = iter(range(10**9, 10**12, 100))
    engine = Engine(lambda: next(ticks))
    for n in range(2000):
        engine.keyspace.put(b"%d" % n, b"v", 1)
    looked = engine.sweep(250)
    assert 0 < looked < 2000
    while engine.sweep(250):
        pass
    assert len(engine.keyspace) == 0


def test_expiry_is_announced() -> None:
    clock = ManualClock()
    engine = Engine(clock)
    heard: list[tuple[bytes, ...]] = []
    engine.effects.listen(heard.append)
    engine.strings.set(b"k", b"v", ttl=SECOND)
    clock.advance(SECOND)
    assert engine.strings.get(b"k") is None
    assert heard == [(b"SET", b"k", b"v", b"PXAT", b"1700000001000"), (b"DEL", b"k")]


@pytest.mark.parametrize(
    ("value", "name"),
    [(b"v", "string"), (1, "string"), ((1, 2), "string"), ({b"f": b"v"}, "hash"),
     (SortedSet(), "zset"), (Stream(), "stream")],
)  # fmt: skip
def test_a_type_is_named_and_guarded(value: Value, name: str) -> None:
    keys = Keyspace()
    keys.put(b"k", value)
    assert type_name(value) == name
    if name == "string":
        assert keys.string(b"k", 0) == value
    else:
        with pytest.raises(WrongType, match=f"holds a {name}"):
            keys.string(b"k", 0)
    with pytest.raises(WrongType) if name != "stream" else pytest.raises(ZeroDivisionError):
        keys.typed(b"k", 0, Stream, "stream")
        raise ZeroDivisionError  # a stream is what was asked for


def test_a_string_reads_as_text_however_it_is_held() -> None:
    assert [text(value) for value in (b"x", -5, (1, 2, 3))] == [b"x", b"-5", b"1 2 3"]


def test_clear_forgets_everything() -> None:
    keys = Keyspace()
    keys.put(b"k", b"v", 5)
    keys.clear()
    keys._check()
    assert len(keys) == 0
    assert keys.sweep(10 * SECOND, 10) == 0


def test_a_keyspace_is_replaced_by_another_whole() -> None:
    """Verbs hold on to the dicts, so those stay; what expires is found as before."""
    gone: list[bytes] = []
    one, other = Keyspace(gone.append), Keyspace()
    values, deadlines = one.values, one.deadlines
    one.put(b"both", b"old")
    one.put(b"early", b"old", SECOND)
    for key, deadline in ((b"both", None), (b"soon", 5 * SECOND), (b"late", 50 * SECOND)):
        other.put(key, b"new", deadline)
    assert one.replace(other) == {b"both": b"old", b"early": b"old"}
    one._check()
    assert one.values is values
    assert one.deadlines is deadlines
    assert set(one.items(0)) == {
        (b"both", b"new", None),
        (b"soon", b"new", 5 * SECOND),
        (b"late", b"new", 50 * SECOND),
    }
    assert one.sweep(10 * SECOND, 100) == 1
    assert gone == [b"soon"]
    one._check()


def _hash() -> dict[bytes, bytes]:
    return {b"%d" % number: b"v" for number in range(2 * LARGE)}


def _set() -> SortedSet:
    return SortedSet((b"%d" % number, number) for number in range(2 * LARGE))


def _placed_set() -> SortedSet:
    board = PlacedSet.of(_set())
    board.reach(b"0", 1.0, 1)
    return board


@pytest.mark.parametrize("make", [_hash, _set, _placed_set])
@pytest.mark.parametrize("end", ["delete", "expire"])
def test_what_is_large_is_freed_piece_by_piece(make: Callable[[], Value], end: str) -> None:
    clock = ManualClock(1)
    engine = Engine(clock)
    value = make()
    assert isinstance(value, (dict, SortedSet))
    engine.keyspace.put(b"k", value, 10 if end == "expire" else None)
    if end == "delete":
        assert engine.strings.delete(b"k") == 1
    clock.now += 60 * SECOND
    sizes = [len(value)]
    assert engine.keyspace.get(b"k", clock.now) is None
    while value:
        engine.sweep(0)
        sizes.append(len(value))
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) > 10, "it is not freed at one go"
    assert not engine.keyspace.free(1), "nothing is left"


def test_what_was_deleted_does_not_touch_what_comes_after_it() -> None:
    engine = Engine(ManualClock(1))
    engine.keyspace.put(b"k", _set())
    engine.strings.delete(b"k")
    engine.keyspace.put(b"k", _set())
    engine.sweep(1_000)
    found = engine.keyspace.get(b"k", 1)
    assert isinstance(found, SortedSet)
    assert len(found) == 2 * LARGE
    found._check()


def test_a_value_that_gets_another_name_is_kept() -> None:
    engine = Engine(ManualClock(1))
    engine.keyspace.put(b"lb:{b}", _set())
    engine.boards.set_season(b"lb:{b}", None)
    closed = engine.boards.roll(
        b"lb:{b}", Ranking(seasonal=True), 1, begins=1, ends=None, rules=b"", force=True
    )
    assert closed is not None
    engine.sweep(1_000)
    assert engine.boards.size(b"lb:{b}:s:1") == 2 * LARGE

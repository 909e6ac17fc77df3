"""The effects of any history, replayed on nothing, give the same state.

The replay is a dozen lines that know only what Redis' commands mean; if an effect were
missing, relative or out of order, the two states would differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from engine.channel import Guard
from engine.channels import Mirror
from engine.clock import SECOND, ManualClock
from engine.effects import Effect
from engine.engine import Engine
from engine.errors import EngineError
from engine.keyspace import Keyspace, Value, text
from engine.limits import (
    Amended,
    FixedWindow,
    LimitRule,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
)
from engine.ranking import Ranking, Submit
from engine.sortedset import SortedSet
from engine.stream import Stream

RULES: list[LimitRule] = [
    TokenBucket(3, SECOND, 5),
    FixedWindow(3, SECOND),
    SlidingWindow(3, SECOND),
]
AMENDED = [
    Amended(SlidingLog(3, SECOND), RULES[0].parameters),
    Amended(RULES[0], RULES[0].parameters, "proportional"),
]
RANKING = Ranking(max_entries=3)
SEASONAL = [
    Ranking(seasonal=True, ties="first"),
    Ranking(seasonal=True, entry_ttl=2 * SECOND, ranks="dense"),
    Ranking(seasonal=True, keep="sum"),
]


def pairs(parts: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    return zip(parts[::2], parts[1::2], strict=True)


def replay(keys: dict[bytes, Value], deadlines: dict[bytes, bytes], effect: Effect) -> None:
    name, key, *rest = effect
    match name:
        case b"SET":
            keys[key] = rest[0]
            deadlines.pop(key, None)
            if rest[1:]:
                assert rest[1] == b"PXAT"
                deadlines[key] = rest[2]
        case b"DEL":
            del keys[key]
            deadlines.pop(key, None)
        case b"RENAME":
            keys[rest[0]] = keys.pop(key)
            deadlines.pop(rest[0], None)
            if key in deadlines:
                deadlines[rest[0]] = deadlines.pop(key)
        case b"PERSIST":
            del deadlines[key]
        case b"PEXPIREAT":
            assert key in keys
            deadlines[key] = rest[0]
        case b"HSET":
            fields = keys.setdefault(key, {})
            assert isinstance(fields, dict)
            fields.update(pairs(tuple(rest)))
        case b"HDEL":
            fields = keys[key]
            assert isinstance(fields, dict)
            for field in rest:
                del fields[field]
            if not fields:
                del keys[key]
        case b"ZADD":
            members = keys.setdefault(key, SortedSet())
            assert isinstance(members, SortedSet)
            for score, member in pairs(tuple(rest)):
                members.add(member, float(score))
        case b"ZREM":
            members = keys[key]
            assert isinstance(members, SortedSet)
            for member in rest:
                assert members.remove(member)
            if not members:
                del keys[key]
                deadlines.pop(key, None)
        case b"XADD":
            stream = keys.setdefault(key, Stream())
            assert isinstance(stream, Stream)
            stream.append((int(rest[2].removesuffix(b"-0")), 0), tuple(rest[3:]))
            stream.trim(int(rest[1]))
        case _:
            raise AssertionError(f"unknown effect {effect}")


def plain(value: Value) -> object:
    if isinstance(value, SortedSet):
        return list(value)
    if isinstance(value, Stream):
        return list(value.entries)
    return value if isinstance(value, dict) else text(value)


def contents(keyspace: Keyspace, now: int) -> dict[bytes, tuple[object, bytes | None]]:
    return {
        key: (plain(value), None if deadline is None else b"%d" % -(-deadline // 1000))
        for key, value, deadline in keyspace.items(now)
    }


def act_on_seasons(engine: Engine, verb: int, n: int, m: int) -> None:
    key = b"Z%d" % n
    match verb:
        case 24:
            note, name = (b"{}" if m % 2 else None), (b"i%d" % m if m % 3 else None)
            engine.boards.submit(key, SEASONAL[n], Submit(b"u%d" % (m % 4), m, note, name))
        case 25:
            engine.boards.set_season(key, engine.clock() + m * SECOND if m else None)
        case 26:
            season, now = engine.boards.season(key)
            number = 1 if season is None else season.number
            ends = now + m * SECOND if m else None
            engine.boards.roll(
                key, SEASONAL[n], number, begins=now, ends=ends, rules=b"{}", force=m > 3
            )
        case _:
            kept = (b"", b":season", b":meta", b":ttl", b":ids")  # archives stay behind
            engine.boards.drop([key + end for end in kept])


def act(engine: Engine, verb: int, n: int, m: int) -> None:
    key, other = b"%d" % n, b"u%d" % m
    match verb:
        case 0:
            engine.strings.set(b"s" + key, other, ttl=m * SECOND + 1 if m % 2 else None)
        case 1:
            engine.counters.add(b"c" + key, m - 3, minimum=-4, ttl=SECOND)
        case 2:
            engine.strings.delete(b"s" + key, b"c" + key, b"z" + key)
        case 3:
            engine.boards.submit(b"z" + key, RANKING, Submit(other, m * 1.5, b"{}" if n else None))
        case 4:
            entries = [Submit(b"u%d" % i, i * m) for i in range(n)]
            engine.boards.submit_many([(b"z1", RANKING), (b"z2", RANKING)], entries)
        case 5:
            engine.boards.remove(b"z" + key, other)
        case 6:
            engine.buckets.take(b"b" + key, RULES[n % 3], m % 3)
        case 7:
            engine.sessions.create(
                b"S%d" % m, b"U" + key, {b"f": other}, user=key,
                idle_timeout=2 * SECOND, absolute_timeout=5 * SECOND,
            )  # fmt: skip
        case 8:
            engine.sessions.patch(b"S%d" % m, {b"g": other}, [b"f"] if n else [])
        case 9:
            engine.sessions.read(b"S%d" % m, touch=True)
        case 10:
            engine.sessions.delete(b"S%d" % m, b"U" + key)
        case 11:
            engine.sessions.end_all(b"U" + key)
        case 12:
            engine.channels.publish(b"n", b"h" + key, other, size=2, ttl=m * SECOND)
        case 17:
            engine.channels.publish(
                b"n", b"h" + key, other, tags=b"{}" if m % 2 else None, size=m % 3, ttl=SECOND,
                guard=Guard(None, m, key), result=b"R%d" % m if n else None,
                mirror=Mirror(b"*", b"hm", m % 4, m * SECOND),
            )  # fmt: skip
        case 13:
            engine.channels.history(b"h" + key, limit=-1)
        case 14:
            engine.hashes.put(b"H" + key, {b"f": other} if m else {})
        case 15:
            engine.channels.remove_history(b"h" + key)
        case 18:
            engine.leases.acquire(b"L" + key, 2, b"%d" % m, (m + 1) * SECOND)
        case 19:
            engine.leases.renew(b"L" + key, b"%d" % m, SECOND)
        case 20:
            engine.leases.release(b"L" + key, b"%d" % m)
        case 21:
            engine.buckets.take_all([(b"b%d" % at, AMENDED[m % 2], n) for at in range(m % 3 + 1)])
        case 22:
            engine.buckets.adjust(b"b" + key, AMENDED[m % 2], m - 3)
        case 23:
            engine.hashes.patch(b"H" + key, {b"g": other} if m else {}, [b"f"] if n else [])
        case 24 | 25 | 26 | 27:
            act_on_seasons(engine, verb, n, m)
        case _:
            engine.channels.renew_epochs(b"h")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 27), st.integers(0, 2), st.integers(0, 6), st.integers(0, 2 * SECOND)
        ),
        max_size=120,
    )
)
def test_the_effects_are_the_whole_truth(steps: list[tuple[int, int, int, int]]) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    keys: dict[bytes, Value] = {}
    deadlines: dict[bytes, bytes] = {}
    engine.effects.listen(lambda effect: replay(keys, deadlines, effect))
    for verb, n, m, pause in steps:
        clock.advance(pause)
        try:
            act(engine, verb, n, m)
        except EngineError:
            continue
        engine.keyspace._check()
    engine.sweep(SECOND)
    now = clock()
    alive = contents(engine.keyspace, now)
    replayed = {
        key: (plain(value), deadlines.get(key))
        for key, value in keys.items()
        if key not in deadlines or int(deadlines[key]) * 1000 > now
    }
    assert {key: replayed.get(key) for key in alive} == alive
    # A deadline is rounded up to a millisecond: what is left over expires within one.
    assert all(key in alive or int(deadlines[key]) * 1000 - now <= 1000 for key in replayed)


def test_a_verb_that_changes_nothing_announces_nothing() -> None:
    engine = Engine(ManualClock())
    engine.boards.submit(b"z", Ranking(), Submit(b"m", 5))
    heard: list[Effect] = []
    stop = engine.effects.listen(heard.append)
    before = engine.effects.changes
    engine.boards.submit(b"z", Ranking(), Submit(b"m", 4))
    engine.boards.remove(b"z", b"nobody")
    engine.strings.delete(b"nothing")
    engine.strings.set(b"z", b"v", only_if_absent=True)
    assert heard == []
    assert engine.effects.changes == before
    stop()
    engine.strings.set(b"k", b"v")
    assert heard == []
    assert engine.effects.changes == before + 1

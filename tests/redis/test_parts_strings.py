"""Strings, counters and hashes on Redis, held against the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.crc import key_slot

from engine.clock import SECOND
from realtime.backends.base import WrongType
from realtime.backends.redis.calls import Calls, CrossSlot
from realtime.backends.redis.scripts import Script
from realtime.backends.redis.strings import Counters
from tests.redis.pair import Pair

KEY = b"cnt:{c}"


edges = st.sampled_from([0, 1, 10**9, 10**9 - 1, 10**18, 2**53, 2**53 + 1, 2**62, 2**63 - 1])
nearby = st.tuples(edges, st.integers(-2, 2), st.sampled_from([1, -1])).map(
    lambda n: max(-(2**63), min(2**63 - 1, (n[0] + n[1]) * n[2]))
)
int64s = nearby | st.integers(-(2**63), 2**63 - 1)
bounds = st.none() | int64s | st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**30, -(10**30)])


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.none() | int64s, int64s, bounds, bounds, st.data())
def test_a_sum_is_exact_to_64_bits(
    pair: Pair, start: int | None, by: int, minimum: int | None, maximum: int | None, data: Any
) -> None:
    """Lua has doubles, which are not: what is one too many must not look like the bound."""
    pair.reset()
    if start is not None:
        pair.counters.set(KEY, start)
        if data.draw(st.booleans()):
            edge = start + by + data.draw(st.integers(-1, 1))
            minimum, maximum = data.draw(st.sampled_from([(edge, None), (None, edge)]))
    limits = {"minimum": minimum, "maximum": maximum}
    pair.counters.add(KEY, by, **limits)
    pair.check_contents()


@pytest.mark.parametrize("text", [b"", b"x", b" 1", b"1 ", b"+1", b"01", b"-0", b"1.0", b"1e3",
                                  b"9223372036854775808", b"-9223372036854775809", b"0x10",
                                  b"99999999999999999999999999999999999"])  # fmt: skip
@pytest.mark.parametrize("limits", [{}, {"minimum": -5}, {"maximum": 0}])
def test_other_text_is_no_integer_and_stays(
    pair: Pair, text: bytes, limits: dict[str, int]
) -> None:
    pair.values.set(KEY, text, ttl=SECOND)
    for by in (1, -1):
        pair.counters.add(KEY, by, **limits)
    pair.counters.get([KEY])
    pair.check_contents()


def test_a_time_to_live_counts_for_who_creates_only(pair: Pair) -> None:
    pair.clock.now += 1234
    for limits in ({}, {"minimum": 0}, {"maximum": 4}):
        for by in (2, 1, 9, -9):
            pair.counters.add(KEY, by, ttl=SECOND + 1, **limits)
            pair.counters.add(KEY, by, **limits)
            pair.check_contents()
            pair.advance(SECOND // 7)
        pair.values.delete(KEY)


def test_the_first_key_that_is_misused_says_so(pair: Pair) -> None:
    pair.counters.set(b"n", 7)
    pair.values.set(b"text", b"x")
    pair.hashes.put(b"hash", {b"f": b"v"})
    for keys in ([b"n", b"no", b"n"], [b"n", b"text", b"hash"], [b"hash", b"text"], []):
        pair.counters.get(keys)
    with pytest.raises(WrongType) as refused:
        pair.run(pair.redis.counters.get([b"n", b"hash"]))
    assert refused.value.key == b"hash"


class SeveralServers:
    """Calls as in a cluster: who asks for keys of two slots in one step is refused."""

    sharded = True

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.ran: list[Sequence[bytes]] = []

    async def command(self, key: bytes, *words: bytes, writes: bool = False) -> Any:
        return await self._calls.command(key, *words, writes=writes)

    async def run(self, script: Script, keys: Sequence[bytes], *args: bytes) -> Any:
        if len({key_slot(key) for key in keys}) > 1:
            raise CrossSlot
        self.ran.append(keys)
        return await self._calls.run(script, keys, *args)


def test_counters_of_several_slots_are_one_step_each(pair: Pair) -> None:
    names = [b"cnt:{%d}" % n for n in range(20)] + [b"cnt:{3}=a", b"cnt:{3}=b"]
    for number, name in enumerate(names[1:]):
        pair.client.set(name, number)
    calls = SeveralServers(pair.calls)
    wanted = [*names, *reversed(names)]
    found = pair.run(Counters(calls).get(wanted))
    assert found == pair.run(pair.redis.counters.get(wanted))
    assert found[:3] == [None, 0, 1]
    assert len(calls.ran) == 20
    assert sum(len(keys) for keys in calls.ran) == len(names)


def test_a_value_never_expires_early(pair: Pair) -> None:
    """Redis rounds to milliseconds, and the one that has begun may be nearly over."""
    for fraction in (0, 1, 999):
        for ttl in (1, 999, 1000, 1001, SECOND + 1):
            pair.reset()
            pair.clock.now += fraction
            pair.run(pair.redis.values.set(KEY, b"v", ttl=ttl))
            pair.clock.advance(ttl - 1)
            assert pair.run(pair.redis.values.get(KEY)) == b"v"
            pair.clock.advance(2_001)
            assert pair.run(pair.redis.values.get(KEY)) is None


def test_a_record_may_have_more_fields_than_lua_unpacks(pair: Pair) -> None:
    fields = {b"f%d" % n: b"%d" % n for n in range(8_500)}
    for record in (fields, {b"f": b"v"}, {}):
        pair.hashes.put(KEY, record)
        assert pair.run(pair.redis.hashes.get(KEY)) == (record or None)
        pair.check_contents()


def test_put_replaces_whatever_was_there(pair: Pair) -> None:
    pair.values.set(KEY, b"v", ttl=SECOND)
    pair.hashes.put(KEY, {b"f": b"v"})
    pair.check_contents()


def test_another_type_is_refused(pair: Pair) -> None:
    pair.hashes.put(KEY, {b"f": b"v"})
    pair.values.get(KEY)
    pair.counters.add(KEY, 1)
    pair.counters.add(KEY, 1, maximum=1)
    pair.counters.get([KEY])
    pair.values.set(KEY, b"v")
    pair.hashes.get(KEY)


def test_deleting_nothing_is_nothing(pair: Pair) -> None:
    pair.values.delete()
    pair.values.delete(KEY, KEY)

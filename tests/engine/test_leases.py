"""P12: never more than the limit at once, and each lease comes back exactly once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import SECOND, ManualClock
from engine.engine import Engine
from engine.errors import WrongType

KEY = b"rl:r:{k}:leases"

names = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
steps = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "renew", "release"]),
        names,
        st.integers(1, 3 * SECOND),
        st.integers(0, 2 * SECOND),
    ),
    max_size=60,
)


@given(st.integers(1, 4), steps)
def test_p12_leases_are_what_a_plain_model_says(
    limit: int, steps: list[tuple[str, bytes, int, int]]
) -> None:
    clock = ManualClock()
    engine, model = Engine(clock), dict[bytes, int]()
    for verb, lease, ttl, pause in steps:
        clock.advance(pause)
        now = clock()
        model = {name: ends for name, ends in model.items() if ends > now}
        if verb == "acquire":
            decision = engine.leases.acquire(KEY, limit, lease, ttl)
            assert decision.granted == (lease in model or len(model) < limit)
            if decision.granted:
                model[lease] = now + ttl
                assert (decision.expires, decision.retry_after) == (now + ttl, 0)
            else:
                assert decision.retry_after == min(model.values()) - now
            assert decision.active == len(model)
        elif verb == "renew":
            renewed = engine.leases.renew(KEY, lease, ttl)
            assert renewed == (now + ttl if lease in model else None)
            model |= {lease: now + ttl} if lease in model else {}
        else:
            assert engine.leases.release(KEY, lease) == (model.pop(lease, None) is not None)
        assert dict(engine.leases.active(KEY)) == model
        assert engine.leases.count(KEY) == len(model) <= limit
        engine.keyspace._check()
    clock.advance(4 * SECOND)
    engine.sweep(SECOND)
    assert len(engine.keyspace) == 0


def test_a_lease_comes_back_once_by_its_release_or_by_its_expiry() -> None:
    clock = ManualClock()
    leases = Engine(clock).leases
    leases.acquire(KEY, 2, b"a", SECOND)
    leases.acquire(KEY, 2, b"b", 2 * SECOND)
    assert leases.release(KEY, b"a")
    assert not leases.release(KEY, b"a")
    assert leases.acquire(KEY, 2, b"c", 5 * SECOND).granted
    clock.advance(2 * SECOND)
    assert not leases.release(KEY, b"b")
    assert leases.renew(KEY, b"b", SECOND) is None
    assert leases.active(KEY) == [(b"c", clock() + 3 * SECOND)]


def test_asking_again_with_the_same_id_holds_one() -> None:
    leases = Engine(ManualClock()).leases
    assert [leases.acquire(KEY, 1, b"a", SECOND).active for _ in range(3)] == [1, 1, 1]
    assert not leases.acquire(KEY, 1, b"b", SECOND).granted


def test_a_limit_that_was_lowered_waits_for_enough_to_end() -> None:
    clock = ManualClock()
    leases = Engine(clock).leases
    for number in range(4):
        leases.acquire(KEY, 4, b"%d" % number, (number + 1) * SECOND)
    assert leases.acquire(KEY, 2, b"x", SECOND).retry_after == 3 * SECOND
    clock.advance(3 * SECOND)
    assert leases.acquire(KEY, 2, b"x", SECOND).granted


def test_misuse_changes_nothing() -> None:
    engine = Engine(ManualClock())
    for limit, ttl in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            engine.leases.acquire(KEY, limit, b"a", ttl)
    with pytest.raises(ValueError, match="at least 1"):
        engine.leases.renew(KEY, b"a", 0)
    engine.strings.set(KEY, b"text")
    with pytest.raises(WrongType):
        engine.leases.acquire(KEY, 1, b"a", 1)

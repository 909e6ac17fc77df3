"""Leases: when the key of a caller's leases ends, on both sides."""

from __future__ import annotations

from engine.clock import MINUTE, SECOND
from tests.redis.pair import Pair

KEY = b"ls:r:{k}"


def test_a_key_ends_with_its_only_lease_whatever_had_lasted_longer(pair: Pair) -> None:
    pair.leases.acquire(KEY, 1, b"a", MINUTE)
    pair.leases.acquire(KEY, 1, b"a", SECOND // 100)
    pair.clock.advance(SECOND)
    pair.leases.acquire(KEY, 1, b"b", SECOND)
    pair.check_contents()


def test_a_key_lasts_as_long_as_any_of_its_leases_may(pair: Pair) -> None:
    pair.leases.acquire(KEY, 2, b"a", MINUTE)
    pair.leases.acquire(KEY, 2, b"b", SECOND)
    pair.check_contents()
    pair.leases.renew(KEY, b"b", 2 * MINUTE)
    pair.check_contents()

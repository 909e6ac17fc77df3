"""Leases, on every backend."""

from __future__ import annotations

import asyncio

import pytest

from realtime.backends.base import Backend, WrongType

from .conftest import Store

SECOND = 1_000_000
KEY = b"rl:r:{k}:leases"


async def test_no_more_are_active_than_the_limit(store: Store) -> None:
    leases = store.backend.leases
    now = await store.backend.buckets.now()
    first = await leases.acquire(KEY, 2, b"a", 3 * SECOND)
    assert first == (True, 2, 1, 0, now + 3 * SECOND, False)
    assert (await leases.acquire(KEY, 2, b"b", 5 * SECOND)).active == 2
    refused = await leases.acquire(KEY, 2, b"c", SECOND)
    assert refused == (False, 2, 2, 3 * SECOND, 0, False)
    assert (await leases.acquire(KEY, 1, b"c", SECOND)).retry_after == 5 * SECOND
    assert await leases.active(KEY, 10) == [(b"a", now + 3 * SECOND), (b"b", now + 5 * SECOND)]
    assert await leases.active(KEY, 1) == [(b"a", now + 3 * SECOND)]
    assert await leases.count(KEY) == 2


async def test_a_lease_ends_once_by_its_release_or_by_its_expiry(store: Store) -> None:
    leases = store.backend.leases
    await leases.acquire(KEY, 1, b"a", SECOND)
    assert await leases.release(KEY, b"a")
    assert not await leases.release(KEY, b"a")
    await leases.acquire(KEY, 1, b"b", SECOND)
    await store.advance(SECOND)
    assert await leases.count(KEY) == 0
    assert not await leases.release(KEY, b"b")
    assert await leases.renew(KEY, b"b", SECOND) is None
    assert (await leases.acquire(KEY, 1, b"c", SECOND)).granted


async def test_a_renewal_moves_the_end_either_way(store: Store) -> None:
    leases = store.backend.leases
    now = await store.backend.buckets.now()
    await leases.acquire(KEY, 1, b"a", SECOND)
    assert await leases.renew(KEY, b"a", 5 * SECOND) == now + 5 * SECOND
    await store.advance(4 * SECOND)
    assert await leases.count(KEY) == 1
    assert await leases.renew(KEY, b"a", 1) == now + 4 * SECOND + 1
    again = await leases.acquire(KEY, 1, b"a", 2 * SECOND)
    assert (again.granted, again.active, again.expires) == (True, 1, now + 6 * SECOND)


async def test_many_at_once_get_exactly_the_limit(backend: Backend) -> None:
    wishes = (backend.leases.acquire(KEY, 7, b"%d" % n, 60 * SECOND) for n in range(40))
    assert sum(decision.granted for decision in await asyncio.gather(*wishes)) == 7
    ends = (backend.leases.release(KEY, b"%d" % n) for n in range(40) for _ in range(2))
    assert sum(await asyncio.gather(*ends)) == 7
    assert await backend.values.delete(KEY) == 0


async def test_misuse_changes_nothing(backend: Backend) -> None:
    for limit, ttl in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            await backend.leases.acquire(KEY, limit, b"a", ttl)
    with pytest.raises(ValueError, match="at least 1"):
        await backend.leases.renew(KEY, b"a", 0)
    await backend.values.set(KEY, b"text")
    with pytest.raises(WrongType):
        await backend.leases.acquire(KEY, 1, b"a", 1)
    with pytest.raises(WrongType):
        await backend.leases.active(KEY, 1)

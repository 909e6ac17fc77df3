"""Rate limits, on every backend."""

from __future__ import annotations

import asyncio

import pytest

from realtime.backends.base import (
    NEVER,
    Backend,
    FixedWindow,
    LimitRule,
    SlidingWindow,
    Take,
    TokenBucket,
)

from .conftest import Store

SECOND = 1_000_000
RULES: list[LimitRule] = [
    TokenBucket(5, 10 * SECOND, 5),
    TokenBucket(3, SECOND, 7),
    FixedWindow(5, 10 * SECOND),
    SlidingWindow(5, 10 * SECOND),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_capacity_is_given_once(backend: Backend, rule: LimitRule) -> None:
    decisions = [await backend.buckets.take(b"k", rule) for _ in range(rule.limit + 3)]
    assert [d.allowed for d in decisions] == [True] * rule.limit + [False] * 3
    assert [d.remaining for d in decisions] == [*range(rule.limit - 1, -1, -1), 0, 0, 0]


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_a_refusal_does_not_postpone_the_next_pass(store: Store, rule: LimitRule) -> None:
    take = store.backend.buckets.take
    while (await take(b"k", rule)).allowed:
        pass
    first = await take(b"k", rule)
    for _ in range(100):
        assert not (await take(b"k", rule)).allowed
    assert (await take(b"k", rule)).retry_after == first.retry_after > 0
    await store.advance(first.retry_after)
    assert (await take(b"k", rule)).allowed


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_callers_do_not_share(backend: Backend, rule: LimitRule) -> None:
    while (await backend.buckets.take(b"a", rule)).allowed:
        pass
    assert (await backend.buckets.take(b"b", rule)).remaining == rule.limit - 1


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_a_look_spends_nothing(backend: Backend, rule: LimitRule) -> None:
    for _ in range(3):
        look = await backend.buckets.take(b"k", rule, 0)
        assert (look.allowed, look.remaining, look.reset_after) == (True, rule.limit, 0)
    await backend.buckets.take(b"k", rule, 2)
    assert (await backend.buckets.take(b"k", rule, 0)).remaining == rule.limit - 2


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_what_can_never_pass_says_so_and_changes_nothing(
    backend: Backend, rule: LimitRule
) -> None:
    decision = await backend.buckets.take(b"k", rule, rule.limit + 1)
    assert (decision.allowed, decision.retry_after) == (False, NEVER)
    assert (await backend.buckets.take(b"k", rule, rule.limit)).allowed


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_after_the_reset_all_is_there_again(store: Store, rule: LimitRule) -> None:
    spent = await store.backend.buckets.take(b"k", rule, rule.limit)
    await store.advance(spent.reset_after)
    assert (await store.backend.buckets.take(b"k", rule, 0)).remaining == rule.limit


async def test_all_or_nothing(backend: Backend) -> None:
    wide, narrow = TokenBucket(10, SECOND, 10), TokenBucket(1, SECOND, 1)
    both = [Take(b"org", wide, 2), Take(b"user", narrow, 1)]
    assert [d.allowed for d in await backend.buckets.take_all(both)] == [True, True]
    assert [d.allowed for d in await backend.buckets.take_all(both)] == [True, False]
    assert (await backend.buckets.take(b"org", wide, 0)).remaining == 8


async def test_the_same_bucket_twice_in_one_step_is_spent_twice(backend: Backend) -> None:
    rule = TokenBucket(3, SECOND, 3)
    decisions = await backend.buckets.take_all([Take(b"k", rule, 2), Take(b"k", rule, 2)])
    assert [d.allowed for d in decisions] == [True, False]
    assert (await backend.buckets.take(b"k", rule, 0)).remaining == 3
    decisions = await backend.buckets.take_all([Take(b"k", rule, 2), Take(b"k", rule, 1)])
    assert [d.remaining for d in decisions] == [1, 0]


async def test_many_at_once_get_exactly_the_capacity(backend: Backend) -> None:
    rule = TokenBucket(50, 3600 * SECOND, 50)

    async def caller() -> int:
        return sum([(await backend.buckets.take(b"k", rule)).allowed for _ in range(20)])

    assert sum(await asyncio.gather(*(caller() for _ in range(10)))) == 50


async def test_a_deleted_bucket_is_full(backend: Backend) -> None:
    rule = TokenBucket(2, SECOND, 2)
    await backend.buckets.take(b"k", rule, 2)
    assert await backend.values.delete(b"k") == 1
    assert (await backend.buckets.take(b"k", rule, 2)).allowed


async def test_a_negative_cost_is_misuse(backend: Backend) -> None:
    with pytest.raises(ValueError, match="cost"):
        await backend.buckets.take(b"k", RULES[0], -1)

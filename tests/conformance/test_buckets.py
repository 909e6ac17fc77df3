"""Rate limits, on every backend."""

from __future__ import annotations

import asyncio

import pytest

from realtime.backends.base import (
    NEVER,
    Amended,
    Backend,
    CalendarWindow,
    FixedWindow,
    LimitRule,
    OutOfTime,
    PenaltyBox,
    SlidingLog,
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
    SlidingLog(5, 10 * SECOND),
    Amended(TokenBucket(5, 10 * SECOND, 5), FixedWindow(1, 1).parameters),
    Amended(SlidingLog(5, 10 * SECOND), SlidingLog(5, 10 * SECOND).parameters),
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


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_what_is_given_back_can_be_taken_again_and_no_more(
    backend: Backend, rule: LimitRule
) -> None:
    await backend.buckets.take(b"k", rule, 4)
    assert (await backend.buckets.adjust(b"k", rule, -1)).remaining == rule.limit - 3
    assert (await backend.buckets.adjust(b"k", rule, 2)).remaining == rule.limit - 5
    assert (await backend.buckets.adjust(b"k", rule, 99)).remaining == 0
    full = await backend.buckets.adjust(b"k", rule, -99)
    assert (full.remaining, full.reset_after) == (rule.limit, 0)
    assert await backend.values.delete(b"k") == 0


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_adjustments_and_takes_at_once_lose_nothing(
    backend: Backend, rule: LimitRule
) -> None:
    wide = Amended(TokenBucket(1000, 3600 * SECOND, 1000), rule.parameters)
    await backend.buckets.take(b"k", wide, 500)
    await asyncio.gather(
        *(backend.buckets.adjust(b"k", wide, -1) for _ in range(20)),
        *(backend.buckets.take(b"k", wide, 1) for _ in range(20)),
    )
    assert (await backend.buckets.take(b"k", wide, 0)).remaining == 500


async def test_a_calendar_window_holds_until_its_end(store: Store) -> None:
    buckets = store.backend.buckets
    now = await buckets.now()
    window = CalendarWindow(3, now, now + SECOND)
    assert [(await buckets.take(b"k", window)).allowed for _ in range(4)] == [True] * 3 + [False]
    await store.advance(SECOND)
    with pytest.raises(OutOfTime) as over:
        await buckets.take(b"k", window)
    assert over.value.now == now + SECOND
    for takes in ([Take(b"other", RULES[0]), Take(b"k", window)], [Take(b"k", window, 0)]):
        with pytest.raises(OutOfTime):
            await buckets.take_all(takes)
    with pytest.raises(OutOfTime):
        await buckets.adjust(b"k", window, -1)
    assert (await buckets.take(b"other", RULES[0], 0)).remaining == RULES[0].limit
    again = CalendarWindow(3, now + SECOND, now + 2 * SECOND)
    assert (await buckets.take(b"k", again)).remaining == 2


async def test_a_state_of_other_parameters_is_read_as_the_policy_says(store: Store) -> None:
    buckets = store.backend.buckets
    old = TokenBucket(10, 10 * SECOND, 10)
    for policy, left in (("as-is", 4), ("proportional", 8), ("reset", 20)):
        key = policy.encode()
        await buckets.take(key, old, 6)
        rule = Amended(TokenBucket(20, 10 * SECOND, 20), old.parameters, policy)  # type: ignore[arg-type]
        both = [Take(key, rule), Take(key, rule, 21)]
        assert [d.allowed for d in await buckets.take_all(both)] == [True, False]
        assert (await buckets.take(key, rule, 0)).remaining == left
        assert (await buckets.take_all([Take(key, rule), Take(b"x", rule)]))[0].allowed
        assert (await buckets.take(key, rule, 0)).remaining == left - 1
        back = Amended(old, old.parameters, "as-is")
        assert (await buckets.take(key, back)).remaining == min(left - 1, 10) - 1


async def test_a_change_met_by_many_at_once_gives_nothing_away(backend: Backend) -> None:
    old, new = FixedWindow(40, 3600 * SECOND), FixedWindow(50, 3600 * SECOND)
    await backend.buckets.take(b"k", old, 40)
    rule = Amended(new, old.parameters)

    async def caller() -> int:
        return sum([(await backend.buckets.take(b"k", rule)).allowed for _ in range(5)])

    assert sum(await asyncio.gather(*(caller() for _ in range(10)))) == 10


async def test_a_penalty_box_opens_when_its_time_is_over(store: Store) -> None:
    take, box = store.backend.buckets.take, PenaltyBox(2, 60 * SECOND, 10 * SECOND)
    for reported in (1, 0):
        assert (await take(b"k", box, 0)).allowed
        assert (await take(b"k", box)).remaining == reported
    boxed = await take(b"k", box, 0)
    assert (boxed.allowed, boxed.retry_after) == (False, 10 * SECOND)
    spent = [Take(b"k", box, 0), Take(b"other", RULES[0])]
    assert [d.allowed for d in await store.backend.buckets.take_all(spent)] == [False, True]
    assert (await take(b"other", RULES[0], 0)).remaining == RULES[0].limit
    await store.advance(10 * SECOND)
    assert (await take(b"k", box, 0)).allowed


async def test_who_has_not_heard_of_a_change_yet_gives_nothing_away(backend: Backend) -> None:
    """While the news is on its way, two processes take from one caller by two rules."""
    old, new = TokenBucket(5, 3600 * SECOND, 5), TokenBucket(7, 3600 * SECOND, 7)
    rules: list[LimitRule] = [old, Amended(new, old.parameters)] * 10
    got = [(await backend.buckets.take(b"k", rule)).allowed for rule in rules]
    assert sum(got) == 5


async def test_who_comes_under_two_rates_by_turns_still_regains(store: Store) -> None:
    rates = TokenBucket(1, SECOND, 5), TokenBucket(2, SECOND, 5)
    rules = [Amended(rate, rates[0].parameters) for rate in rates]
    got = 0
    for turn in range(200):
        got += (await store.backend.buckets.take(b"k", rules[turn % 2])).allowed
        await store.advance(SECOND // 10)
    assert 20 <= got <= 45

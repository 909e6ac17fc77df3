"""Rate limits in Redis: one script per step.

The script decides by the server's clock and stores; it answers what it decided upon, the
instant and the state before. The decision is then computed from these by the rule itself,
`engine.limits`, as it is in the embedded store. The script is told each rule as a few whole
numbers, see `_numbers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

from engine.limits import LimitState
from realtime.backends.base import (
    Decision,
    FixedWindow,
    LimitRule,
    SlidingWindow,
    Take,
    TokenBucket,
    WrongType,
)
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.scripts import load
from realtime.backends.redis.typed import TypedCalls

__all__ = ["Buckets"]

TAKE = load("take", "_limits", writes=True)
TAKE_ALL = load("take_all", "_limits", writes=True)
LOOK = load("bucket_look", writes=False)


class Buckets:
    """See `realtime.backends.base.Buckets`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = TypedCalls(calls, "string")

    async def take(self, key: bytes, rule: LimitRule, cost: int = 1) -> Decision:
        _check_cost(cost)
        if cost:
            now, *state = await self._calls.run(TAKE, [key], *_words(rule, cost))
        else:
            now, *state = await self._calls.run(LOOK, [key])
        if not state:
            raise _not_a_state(key)
        return rule.take(_state(key, state[0]), now, cost)[0]

    async def take_all(self, takes: Sequence[Take]) -> list[Decision]:
        if not takes:
            return []
        numbers: dict[bytes, int] = {}
        words: list[bytes] = []
        for key, rule, cost in takes:
            _check_cost(cost)
            words += (b"%d" % numbers.setdefault(key, len(numbers) + 1), *_words(rule, cost))
        keys = list(numbers)
        now, *answer = await self._calls.run(TAKE_ALL, keys, *words)
        if not answer:
            raise _not_a_state(keys[0])
        states = {key: _state(key, text) for key, text in zip(keys, answer[0], strict=True)}
        return _decide(takes, states, now)


def _decide(
    takes: Sequence[Take], states: dict[bytes, LimitState | None], now: int
) -> list[Decision]:
    """One after the other, each from what the earlier ones left."""
    decisions: list[Decision] = []
    for key, rule, cost in takes:
        decision, after, _ = rule.take(states[key], now, cost)
        decisions.append(decision)
        if after is not None:
            states[key] = after
    return decisions


def _check_cost(cost: int) -> None:
    if cost < 0:
        raise ValueError(f"cost must not be negative, got {cost}")


def _numbers(rule: LimitRule, cost: int) -> tuple[bytes, ...]:
    """The rule's name and five numbers, none of which is larger than a double holds exactly.

    What costs more than the rule ever gives is refused; one more than it gives says that too.
    """
    cost = min(cost, rule.limit + 1)
    if not cost:
        return (b"look", *[b"0"] * 5)
    if isinstance(rule, TokenBucket):
        scale = rule.scale
        numbers = (scale, *divmod(rule.capacity, scale), *divmod(cost * rule.interval, scale))
        return (b"token_bucket", *(b"%d" % number for number in numbers))
    assert isinstance(rule, (FixedWindow, SlidingWindow)), rule
    name = b"fixed_window" if isinstance(rule, FixedWindow) else b"sliding_window"
    return (name, *(b"%d" % number for number in (rule.quota, rule.period, cost, 0, 0)))


_words: Callable[[LimitRule, int], tuple[bytes, ...]] = cast(Any, lru_cache(4096)(_numbers))


def _state(key: bytes, text: bytes | None) -> LimitState | None:
    if text is None:
        return None
    try:
        numbers = tuple(map(int, text.split()))
    except ValueError:
        raise _not_a_state(key) from None
    return numbers[0] if len(numbers) == 1 else numbers


def _not_a_state(key: bytes) -> WrongType:
    return WrongType(key, "text", "state of a limit")

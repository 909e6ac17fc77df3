"""Rate limits in Redis: one script per step.

The script decides by the server's clock and stores; it answers what it decided upon, the
instant and the state before. The decision is then computed from these by the rule itself,
`engine.limits`, as it is in the embedded store. The script is told each rule as a few whole
numbers, see `_words`.

What happens once per caller and change of a rule, reading a state of other parameters, no
script can do; nor can it give back. There the rule computes what to store, and it is stored if
the state is still the one that was looked at. Else somebody else was first: it is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from engine.buckets import held_until
from engine.limits import LimitState, bare_rule, numbers_of, reader_of
from realtime.backends.base import (
    Amended,
    BackendUnavailable,
    CalendarWindow,
    Decision,
    FixedWindow,
    LimitRule,
    PenaltyBox,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
    Wanted,
    WrongType,
)
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.scripts import load
from realtime.backends.redis.typed import TypedCalls

__all__ = ["Buckets"]

TAKE = load("take", "_limits", writes=True)
TAKE_ALL = load("take_all", "_limits", writes=True)
LOOK = load("bucket_look", writes=False)
SWAP = load("bucket_swap", writes=True)
HOLD = load("bucket_hold", writes=True)

TRIES = 100
"""Of a swap: each that fails means that somebody else's change was made in between."""

ALGORITHMS = {
    TokenBucket: b"token_bucket",
    FixedWindow: b"fixed_window",
    SlidingWindow: b"sliding_window",
    SlidingLog: b"sliding_log",
    CalendarWindow: b"calendar_window",
    PenaltyBox: b"penalty_box",
}

T = TypeVar("T")

Swap = tuple[bytes, bytes, bytes, bytes]
"""(key, the state it had, the one it gets, its deadline), see `bucket_swap.lua`."""


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
        if len(state) == 1:
            return _take(key, rule, _state(key, state[0]), now, cost)[0]
        if not state:
            raise _not_a_state(key)
        return (await self._take_by_swap([(key, rule, cost)], even_if_refused=True))[0]

    async def take_all(self, takes: Sequence[Wanted]) -> list[Decision]:
        if not takes:
            return []
        numbers: dict[bytes, int] = {}
        words: list[bytes] = []
        for key, rule, cost in takes:
            _check_cost(cost)
            words += (b"%d" % numbers.setdefault(key, len(numbers) + 1), *_words(rule, cost))
        keys = list(numbers)
        now, *answer = await self._calls.run(TAKE_ALL, keys, *words)
        if isinstance(answer[0], int):
            raise _not_a_state(keys[answer[0] - 1])
        if len(answer) > 1:
            return await self._take_by_swap(takes)
        states = {key: _state(key, text) for key, text in zip(keys, answer[0], strict=True)}
        return _decide(takes, states, now)[0]

    async def adjust(
        self, key: bytes, rule: LimitRule, by: int, until: int | None = None
    ) -> Decision:
        for _ in range(TRIES):
            now, text = await self._calls.run(LOOK, [key])
            after, deadline = _adjusted(key, rule, _state(key, text), now, by, until)
            if after is not None and deadline > now:
                swap = _swap(key, text, after, deadline)
            else:
                after, swap = None, (key, text or b"", b"-", b"0")
            if await self._swap([swap]):
                return rule.take(after, now, 0)[0]
        raise _contended(key)

    async def hold(self, key: bytes, regained_after: int, ttl: int) -> int:
        """There is room, or the server refuses to write."""
        await self._calls.run(HOLD, [key], b"%d" % regained_after, b"%d" % ttl)
        return 0

    async def unhold(self, key: bytes) -> int | None:
        until = await self._calls.command(key, b"GETDEL", key, writes=True)
        return None if until is None else held_until(until)

    async def now(self) -> int:
        seconds, micros = await self._calls.command(b"", b"TIME")
        return int(seconds) * 1_000_000 + int(micros)

    async def _take_by_swap(
        self, takes: Sequence[Wanted], *, even_if_refused: bool = False
    ) -> list[Decision]:
        """A refusal, too, may store what a state has become; but not that of one among others."""
        keys = list(dict.fromkeys(key for key, _, _ in takes))
        for _ in range(TRIES):
            now, *texts = await self._calls.run(LOOK, keys)
            before = dict(zip(keys, texts, strict=True))
            states = {key: _state(key, text) for key, text in before.items()}
            decisions, stored = _decide(takes, states, now)
            is_refused = not all(decision.allowed for decision in decisions)
            if not stored or (is_refused and not even_if_refused):
                return decisions
            kept = [(key, before[key] or b"", b"", b"") for key in keys if key not in stored]
            changed = [_swap(key, before[key], *stored[key]) for key in stored]
            if await self._swap([*kept, *changed]):
                return decisions
        raise _contended(keys[0])

    async def _swap(self, swaps: Sequence[Swap]) -> bool:
        keys = [key for key, *_ in swaps]
        words = [word for _, *words in swaps for word in words]
        done: int = await self._calls.run(SWAP, keys, *words)
        return done == 1


def _decide(
    takes: Sequence[Wanted], states: dict[bytes, LimitState | None], now: int
) -> tuple[list[Decision], dict[bytes, tuple[LimitState, int]]]:
    """One after the other, each from what the earlier ones left; and what to store till when."""
    decisions: list[Decision] = []
    stored: dict[bytes, tuple[LimitState, int]] = {}
    for key, rule, cost in takes:
        state = stored[key][0] if key in stored else states[key]
        decision, after, deadline = _take(key, rule, state, now, cost)
        decisions.append(decision)
        if after is not None:
            stored[key] = after, deadline
    return decisions, stored


def _take(
    key: bytes, rule: LimitRule, state: LimitState | None, now: int, cost: int
) -> tuple[Decision, LimitState | None, int]:
    return _read(key, rule, state, lambda reader: reader.take(state, now, cost))


def _adjusted(
    key: bytes, rule: LimitRule, state: LimitState | None, now: int, by: int, until: int | None
) -> tuple[LimitState | None, int]:
    return _read(key, rule, state, lambda reader: reader.adjusted(state, now, by, until))


def _read(
    key: bytes, rule: LimitRule, state: LimitState | None, ask: Callable[[LimitRule], T]
) -> T:
    """What the rule answers, or whoever reads a state that it does not. Raises WrongType."""
    try:
        return ask(rule)
    except TypeError:
        assert state is not None
    try:
        return ask(reader_of(rule, state))
    except TypeError:
        raise _not_a_state(key) from None


def _swap(key: bytes, before: bytes | None, after: LimitState, deadline: int) -> Swap:
    text = b" ".join([b"%d" % number for number in numbers_of(after)])
    return key, before or b"", text, b"%d" % -(-deadline // 1000)


def _check_cost(cost: int) -> None:
    if cost < 0:
        raise ValueError(f"cost must not be negative, got {cost}")


def _take_words(rule: LimitRule, cost: int) -> tuple[bytes, ...]:
    """The algorithm and five numbers, none of which is larger than a double holds exactly; then
    the tag of its states, and the span of time in which the rule holds.

    What costs more than the rule ever gives is refused; one more than it gives says that too.
    """
    cost = min(cost, rule.limit + 1)
    bare = bare_rule(rule)
    name = ALGORITHMS[type(bare)]
    if not cost and not isinstance(bare, PenaltyBox):
        name = b"look"
    numbers = (*_numbers(bare, cost), 0, 0)[:5]
    return (name, *(b"%d" % number for number in numbers), _tag(rule), *_span(rule, bare))


def _numbers(rule: LimitRule, cost: int) -> tuple[int, ...]:
    match rule:
        case TokenBucket():
            scale = rule.scale
            price = divmod(cost * rule.interval, scale)
            return (scale, *divmod(rule.capacity, scale), *price)
        case CalendarWindow():
            return (rule.quota, rule.start, cost, rule.end)
        case PenaltyBox():
            return (rule.after, rule.within, cost, rule.duration)
    return (rule.quota, rule.period, cost)


def _tag(rule: LimitRule) -> bytes:
    """See `bare` in `_limits.lua`."""
    tag = rule.tag if isinstance(rule, Amended) else ()
    return b"".join([b"%d " % number for number in tag])


def _span(rule: LimitRule, bare: LimitRule) -> tuple[bytes, bytes]:
    """When the rule holds, from and until; ``0`` until means ever."""
    start, end = (bare.start, bare.end) if isinstance(bare, CalendarWindow) else (0, 0)
    if isinstance(rule, Amended):
        end = min(end or rule.until, rule.until)
    return b"%d" % start, b"%d" % end


_words: Callable[[LimitRule, int], tuple[bytes, ...]] = cast(Any, lru_cache(4096)(_take_words))


def _state(key: bytes, text: bytes | None) -> LimitState | None:
    if text is None:
        return None
    try:
        numbers = numbers_of(text)
    except TypeError:
        raise _not_a_state(key) from None
    return numbers[0] if len(numbers) == 1 else numbers


def _not_a_state(key: bytes) -> WrongType:
    return WrongType(key, "text", "state of a limit")


def _contended(key: bytes) -> BackendUnavailable:
    return BackendUnavailable(f"{key!r} changes faster than it can be read and written")

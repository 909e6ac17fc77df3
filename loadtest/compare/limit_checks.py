"""One rate-limit check inside the program, against the memory storage of `limits`.

1,000 callers, 40 checks allowed in 60 s, and each caller asks more often than that, so both
answers occur. The timed region holds the checks alone, in CPU time. Ours gives a full
decision (allowed, remaining, retry and reset times) where `limits` gives a yes or no. The
engine is given its keys as ready-made bytes; the service and `limits` build them from the
caller's name. The target is the engine's, where the algorithms are alike. `limits` has no
token bucket; ours stands beside its cheapest strategy, for what that says.

Several rules are one step, all or nothing: three of them (a burst, an hour, a day), of one
algorithm and of three. They are held against one of them in the same kind of step, and against
the bare check of one, which has no lists to read, and nothing to hold back. A step is bound to its
rules beforehand, as the service and the middleware do it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from statistics import fmean
from typing import NamedTuple

from engine.limits import FixedWindow, LimitRule, SlidingWindow, TokenBucket
from loadtest.compare import inside
from loadtest.compare.inside import microseconds_each
from loadtest.compare.report import Row
from loadtest.compare.rounds import Contender, Effort
from realtime.embedded import Embedded
from realtime.services.limits import Algorithm, Limits, RuleSpec

__all__ = ["rows"]

CALLERS = 1_000
LIMIT = 40
MINUTE = 60_000_000
"""Microseconds."""
CHECKS_EACH = 60
"""Of one caller in one round, 40 of which pass."""
CHECKS = CALLERS * CHECKS_EACH
TIMES = 4.0
SEVERAL = 2.5
"""Times that three rules in one step may cost what one does."""
FASTEST = 1.0
"""Microseconds of a token bucket's check by the engine: a million a second."""
NOT_INSTALLED = "limits is not installed (PyPI; `make bench` installs it)"

Measure = Callable[[int], float]


class Pair(NamedTuple):
    """An algorithm of ours and the one of `limits` that is nearest to it."""

    algorithm: Algorithm
    rule: LimitRule
    strategy: str
    alike: bool = True
    """Both do the same, so that ours can be held to a target."""


PAIRS = (
    Pair("fixed_window", FixedWindow(LIMIT, MINUTE), "FixedWindowRateLimiter"),
    Pair("sliding_window", SlidingWindow(LIMIT, MINUTE), "SlidingWindowCounterRateLimiter"),
    Pair("token_bucket", TokenBucket(LIMIT, MINUTE, LIMIT), "FixedWindowRateLimiter", alike=False),
)


LAYERS: tuple[LimitRule, ...] = (
    TokenBucket(LIMIT, MINUTE, LIMIT),
    TokenBucket(1_000, 60 * MINUTE, 1_000),
    TokenBucket(10_000, 24 * 60 * MINUTE, 10_000),
)

MIXED: tuple[LimitRule, ...] = (
    TokenBucket(LIMIT, MINUTE, LIMIT),
    SlidingWindow(1_000, 60 * MINUTE),
    FixedWindow(10_000, 24 * 60 * MINUTE),
)


def rows(effort: Effort) -> list[Row]:
    return [row for pair in PAIRS for row in _pair(pair, effort)] + _several(effort)


def _several(effort: Effort) -> list[Row]:
    rows: list[Row] = []
    for name, layers in (("three rules", LAYERS), ("three algorithms", MIXED)):
        ours = [Contender(f"realtime, engine, {name} in a step", _step(layers))]
        peers = [
            Contender("one rule in a step", _mean([_step((layer,)) for layer in layers])),
            Contender("one rule, bare", _mean([_engine(layer) for layer in layers])),
        ]
        title = f"Rate-limit check under {name}, all or nothing"
        for peer in peers:
            rows += inside.rows(title, ours, peer, 1 / SEVERAL, effort.rounds)
    return rows


def _mean(alone: Sequence[Measure]) -> Measure:
    """Of each of the rules alone."""
    return lambda number: fmean([measure(number) for measure in alone])


def _step(layers: tuple[LimitRule, ...]) -> Measure:
    def measure(number: int) -> float:
        step = Embedded().engine.buckets.bind(layers)
        costs = [1] * len(layers)
        steps = [
            [b"rl:%d:{caller:%d}" % (at, caller) for at in range(len(layers))]
            for caller in range(CALLERS)
        ] * CHECKS_EACH

        def work() -> None:
            for keys in steps:
                step(keys, costs)

        return microseconds_each(work, CHECKS, time.process_time)

    return measure


def _pair(pair: Pair, effort: Effort) -> list[Row]:
    name = f"limits, {pair.strategy.removesuffix('RateLimiter')}, memory"
    known = find_spec("limits") is not None
    ours, *others = inside.rows(
        f"Rate-limit check, {pair.algorithm.replace('_', ' ')}",
        [
            Contender("realtime, engine", _engine(pair.rule)),
            Contender("realtime, async service", _service(pair.algorithm)),
        ],
        Contender(name, _limits(pair.strategy)) if known else f"{name}: {NOT_INSTALLED}",
        TIMES,
        effort.rounds,
        held=int(pair.alike),
    )
    is_bucket = pair.algorithm == "token_bucket"
    return [replace(ours, at_most=FASTEST) if is_bucket else ours, *others]


def _engine(rule: LimitRule) -> Measure:
    def measure(number: int) -> float:
        take = Embedded().engine.buckets.take
        keys = [b"rl:{bench}:{caller:%d}" % caller for caller in range(CALLERS)] * CHECKS_EACH

        def work() -> None:
            for key in keys:
                take(key, rule)

        return microseconds_each(work, CHECKS, time.process_time)

    return measure


def _service(algorithm: Algorithm) -> Measure:
    def measure(number: int) -> float:
        limits = Embedded().limits
        keys = [f"caller:{caller}" for caller in range(CALLERS)] * CHECKS_EACH

        async def work() -> None:
            for key in keys:
                await limits.take("bench", key)

        asyncio.run(_define(limits, algorithm))
        return microseconds_each(lambda: asyncio.run(work()), CHECKS, time.process_time)

    return measure


async def _define(limits: Limits, algorithm: Algorithm) -> None:
    await limits.define("bench", RuleSpec(algorithm, LIMIT, 60.0))


def _limits(strategy: str) -> Measure:
    per_minute = import_module("limits").RateLimitItemPerMinute(LIMIT)
    build = getattr(import_module("limits.strategies"), strategy)

    storage = import_module("limits.storage").MemoryStorage

    def measure(number: int) -> float:
        hit = build(storage()).hit
        keys = [f"caller:{caller}" for caller in range(CALLERS)] * CHECKS_EACH

        def work() -> None:
            for key in keys:
                hit(per_minute, key)

        return microseconds_each(work, CHECKS, time.process_time)

    return measure

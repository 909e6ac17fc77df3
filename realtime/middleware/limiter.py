"""What the middleware needs of whoever decides, and the decider that lives in the process.

A limiter is asked once per rule, when the middleware is made, for a function that decides
under it; what can be prepared is prepared there, and the request pays for the decision
alone. `realtime.middleware.remote` is the other limiter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from realtime.backends.base import Decision
from realtime.middleware.rules import Rule
from realtime.services.limits import Limits, Wish

__all__ = ["EmbeddedLimiter", "Features", "Limiter", "Take", "TakeAll", "TakeNow"]

TakeNow = Callable[[str, int], Decision]
"""``(key, cost)``"""

Take = Callable[[str, int], Awaitable[Decision | None]]
"""``(key, cost)``; None if there is no telling and the request shall pass."""

TakeAll = Callable[[str, int], Awaitable[Sequence[Decision] | None]]
"""As `Take`, under several rules: all are charged, or none."""


TAKES_PER_SWEEP = 64
SWEEP_BUDGET = 100
"""Microseconds. A sweep looks at 200 keys or more, so callers never come faster than they go."""


class Limiter(Protocol):
    """Decides. What it answers may raise Unavailable, or BackendUnavailable: then it is a 503."""

    def taker_now(self, rule: Rule) -> TakeNow | None:
        """None if a decision may have to be waited for: then `taker` is used."""

    def taker(self, rule: Rule) -> Take: ...

    def taker_of_all(self, rules: Sequence[Rule]) -> TakeAll: ...

    async def prepare(self, rules: Sequence[Rule]) -> None:
        """Called once, before the first decision, with every rule there is. Never raises."""

    async def close(self) -> None:
        """Called when the app shuts down; the limiter may be used again afterwards."""


class Features(Protocol):
    """What is used of `realtime.embedded.Embedded`."""

    @property
    def limits(self) -> Limits: ...

    def sweep(self, budget: int = 1000) -> int: ...


class EmbeddedLimiter:
    """Decides in this process: exact, a few microseconds, and for this process alone.

    Give it your own `Embedded` to look at the limits it keeps, or to reset them, by name.
    """

    def __init__(self, features: Features | None = None) -> None:
        self._features = _own_features() if features is None else features

    def taker_now(self, rule: Rule) -> TakeNow | None:
        shortcut = self._features.limits.shortcut(rule.name, rule.spec)
        if shortcut is None:
            return None
        (bucket, built, take), sweep = shortcut, self._features.sweep
        calls = 0

        def take_now(key: str, cost: int) -> Decision:
            nonlocal calls
            calls += 1
            if not calls % TAKES_PER_SWEEP:
                sweep(SWEEP_BUDGET)
            return take(bucket(key), built, cost)

        return take_now

    def taker(self, rule: Rule) -> Take:
        async def take(key: str, cost: int) -> Decision:
            return (await self._features.limits.take(rule.name, key, cost)).decision

        return take

    def taker_of_all(self, rules: Sequence[Rule]) -> TakeAll:
        take_all = self._features.limits.take_all

        async def take(key: str, cost: int) -> Sequence[Decision]:
            self._features.sweep(SWEEP_BUDGET)
            verdicts = await take_all([Wish(rule.name, key, cost) for rule in rules])
            return [verdict.decision for verdict in verdicts]

        return take

    async def prepare(self, rules: Sequence[Rule]) -> None:
        for rule in rules:
            await self._features.limits.define(rule.name, rule.spec)

    async def close(self) -> None:
        """Nothing is held but memory."""


def _own_features() -> Features:
    from realtime.embedded import Embedded  # a composition root: only if nobody else composed

    return Embedded()

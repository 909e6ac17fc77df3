"""What stands before a route: its rules, with all made ready that does not need a request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from starlette.types import Scope

from realtime.backends.base import BackendUnavailable, Decision
from realtime.errors import Unavailable
from realtime.middleware.answers import OUTAGE, Announcement, Header, Refusal, policies, refusal
from realtime.middleware.limiter import Limiter, TakeNow
from realtime.middleware.occasional import Occasional
from realtime.middleware.rules import Rule

__all__ = ["Ask", "CostFunction", "Guard", "guard"]

log = logging.getLogger(__name__)

CostFunction = Callable[[Scope], int]

Answer = Refusal | list[Header]
"""A refusal, or the headers to add to the app's own response."""

UNSEEN: list[Header] = []

OUTAGES = (Unavailable, BackendUnavailable)
"""There is no decision, and without one this request shall not pass."""


class Ask(NamedTuple):
    """How to ask for a decision; the same for every route."""

    limiter: Limiter
    key: Callable[[Scope], str]
    cost: CostFunction
    silent: bool
    """No RateLimit headers."""


class Guard(Protocol):
    """Decides about one request."""

    @property
    def decide_now(self) -> Callable[[Scope], Answer] | None:
        """None if a decision may have to be waited for: then `decide` is used."""

    async def decide(self, scope: Scope) -> Answer: ...


def guard(rules: tuple[Rule, ...], ask: Ask) -> Guard:
    """The guard for these rules together."""
    if not rules:
        return _Unlimited()
    return _Single(rules[0], ask) if len(rules) == 1 else _Several(rules, ask)


class _Unlimited:
    decide_now = None

    async def decide(self, scope: Scope) -> Answer:
        return UNSEEN


class _Single:
    """One rule: the common case, and the hot one."""

    __slots__ = ("_cost", "_item", "_key", "_policy", "_rule", "_shadow", "_take", "decide_now")

    def __init__(self, rule: Rule, ask: Ask) -> None:
        self._rule = rule
        self._key = ask.key
        self._cost = ask.cost
        self._take = ask.limiter.taker(rule)
        self._item = None if ask.silent or rule.shadow else Announcement(rule).item
        self._policy = policies([rule])
        self._shadow = _Shadow()
        take_now = ask.limiter.taker_now(rule)
        self.decide_now = None if take_now is None else self._immediate(take_now)

    def _immediate(self, take_now: TakeNow) -> Callable[[Scope], Answer]:
        """The decision as a function over its parts: every request comes by here."""
        key, cost_of, answer = self._key, self._cost, self._answer

        def decide_now(scope: Scope) -> Answer:
            cost = cost_of(scope)
            return answer(take_now(key(scope), cost), cost)

        return decide_now

    async def decide(self, scope: Scope) -> Answer:
        cost = self._cost(scope)
        try:
            decision = await self._take(self._key(scope), cost)
        except OUTAGES:
            return OUTAGE
        return UNSEEN if decision is None else self._answer(decision, cost)

    def _answer(self, decision: Decision, cost: int) -> Answer:
        item = self._item
        headers = UNSEEN if item is None else [self._policy, (b"ratelimit", item(decision))]
        if decision.allowed:
            return headers
        if self._rule.shadow:
            self._shadow.would_refuse([self._rule])
            return UNSEEN
        return refusal([(self._rule, decision)], cost, headers)


class _Several:
    """Rules that apply together: all are charged, or none."""

    decide_now = None

    __slots__ = ("_cost", "_items", "_key", "_policies", "_rules", "_shadow", "_take")

    def __init__(self, rules: tuple[Rule, ...], ask: Ask) -> None:
        shown = [rule for rule in rules if not rule.shadow and not ask.silent]
        self._rules = rules
        self._key = ask.key
        self._cost = ask.cost
        self._take = ask.limiter.taker_of_all(rules)
        self._items = {rule.name: Announcement(rule).item for rule in shown}
        self._policies = policies(shown)
        self._shadow = _Shadow()

    async def decide(self, scope: Scope) -> Answer:
        cost = self._cost(scope)
        try:
            decisions = await self._take(self._key(scope), cost)
        except OUTAGES:
            return OUTAGE
        if decisions is None:
            return UNSEEN
        pairs = list(zip(self._rules, decisions, strict=True))
        refused = [pair for pair in pairs if not pair[1].allowed]
        violated = [pair for pair in refused if not pair[0].shadow]
        if len(violated) < len(refused):
            self._shadow.would_refuse([rule for rule, _ in refused if rule.shadow])
        if violated:
            # The others were not charged, so what was decided about them is not true of now.
            return refusal(violated, cost, self._headers(violated))
        return self._headers(pairs)

    def _headers(self, pairs: Iterable[tuple[Rule, Decision]]) -> list[Header]:
        items = [
            self._items[rule.name](decision) for rule, decision in pairs if rule.name in self._items
        ]
        return [self._policies, (b"ratelimit", b", ".join(items))] if items else UNSEEN


class _Shadow:
    """Tells what a shadow rule would have done."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = Occasional(log)

    def would_refuse(self, rules: Sequence[Rule]) -> None:
        names = ", ".join(rule.name for rule in rules)
        self._lines.warn(
            f"a request would have been refused, were it not for the shadow of {names}"
        )

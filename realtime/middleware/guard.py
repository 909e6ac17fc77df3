"""What stands before a route: its rules, with all made ready that does not need a request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from starlette.types import Scope

from realtime.backends.base import BackendUnavailable, Decision
from realtime.errors import Unavailable
from realtime.middleware.answers import OUTAGE, Header, Refusal, Refusals, item_of, policies
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
    cost: int | CostFunction
    silent: bool
    """No RateLimit headers."""

    def price(self, scope: Scope) -> int:
        """What a request costs."""
        return self.cost if isinstance(self.cost, int) else self.cost(scope)


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

    __slots__ = ("_ask", "_item", "_policy", "_refusals", "_rule", "_shadow", "_take", "decide_now")

    def __init__(self, rule: Rule, ask: Ask) -> None:
        self._rule = rule
        self._ask = ask
        self._take = ask.limiter.taker(rule)
        self._item = None if ask.silent or rule.shadow else item_of(rule)
        self._policy = policies([rule])
        self._refusals = Refusals()
        self._shadow = _Shadow()
        take_now = ask.limiter.taker_now(rule)
        self.decide_now = None if take_now is None else self._immediate(take_now)

    def _immediate(self, take_now: TakeNow) -> Callable[[Scope], Answer]:
        """`decide` as one function over its parts: nearly every request comes by here."""
        key, policy, item = self._ask.key, self._policy, self._item
        cost_of = self._ask.cost

        def decide_now(scope: Scope) -> Answer:
            cost = cost_of if isinstance(cost_of, int) else cost_of(scope)
            decision = take_now(key(scope), cost)
            if decision.allowed and item is not None:
                return [policy, (b"ratelimit", item(decision))]
            return self._answer(decision, cost)

        return decide_now

    async def decide(self, scope: Scope) -> Answer:
        cost = self._ask.price(scope)
        try:
            decision = await self._take(self._ask.key(scope), cost)
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
        return self._refusals.refusal([(self._rule, decision)], cost, headers)


class _Several:
    """Rules that apply together: all are charged, or none."""

    decide_now = None

    __slots__ = ("_ask", "_items", "_policies", "_refusals", "_rules", "_shadow", "_take")

    def __init__(self, rules: tuple[Rule, ...], ask: Ask) -> None:
        shown = [rule for rule in rules if not rule.shadow and not ask.silent]
        self._rules = rules
        self._ask = ask
        self._take = ask.limiter.taker_of_all(rules)
        self._items = {rule.name: item_of(rule) for rule in shown}
        self._policies = policies(shown)
        self._refusals = Refusals()
        self._shadow = _Shadow()

    async def decide(self, scope: Scope) -> Answer:
        cost = self._ask.price(scope)
        try:
            decisions = await self._take(self._ask.key(scope), cost)
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
            return self._refusals.refusal(violated, cost, self._headers(violated))
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

"""How an app wants decisions to be asked for: the same for all its routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypedDict

from starlette.types import Scope

from realtime.middleware.clients import MAX_KEY, REMEMBERED, clean, client_address
from realtime.middleware.events import Observer, Outcome
from realtime.middleware.fallback import Fallback
from realtime.middleware.fields import Fields, HeaderMode, ResetForm
from realtime.middleware.limiter import EmbeddedLimiter, Limiter
from realtime.middleware.rules import KeyFunction, Rule, distinct
from realtime.middleware.running import Running
from realtime.services.limits import Wish

__all__ = [
    "Ask",
    "CostAfter",
    "CostFunction",
    "ExemptFunction",
    "Options",
    "TierFunction",
    "ask",
    "together",
]

CostFunction = Callable[[Scope], int]
"""What a request costs, as far as that is known before."""

CostAfter = str | Callable[[Scope], int | None]
"""What a request has cost: the name of a header of the response, or a function that is called
when the app is done, and answers None if it was as estimated."""

TierFunction = Callable[[Scope], str | None]
"""Of which tier a caller is; None if of none."""

ExemptFunction = Callable[[Scope], bool]

MAX_COST = 2**31 - 1
"""The most that a rule can give; what costs more cannot pass either."""


class Options(TypedDict, total=False):
    """What may be said besides the rules; see docs/middleware.md."""

    key: KeyFunction | None
    cost: int | CostFunction
    cost_after: CostAfter | None
    tier: TierFunction | None
    exempt: ExemptFunction | None
    headers: HeaderMode
    reset: ResetForm
    jitter: float
    limiter: Limiter | None
    observe: Observer | None


@dataclass(frozen=True, slots=True)
class Ask:
    """All that, ready for use."""

    limiter: Limiter
    fields: Fields
    key: Callable[[Scope], str]
    cost: int | CostFunction
    cost_after: CostAfter | None
    tier: TierFunction | None
    exempt: ExemptFunction | None
    observe: Observer | None
    fallback: Fallback
    has_functions: bool
    """Of the app: who is asked for every request what it costs, and whose it is."""
    running: Running = field(default_factory=Running)

    def price(self, scope: Scope) -> int:
        """What a request costs."""
        return self.cost if isinstance(self.cost, int) else self.cost(scope)

    def tell(self, outcome: Outcome, rules: Sequence[str]) -> None:
        """To whoever counts."""
        if self.observe is not None:
            self.observe(outcome, rules)

    def key_of(self, rule: Rule) -> Callable[[Scope], str]:
        """Who is counted under this rule."""
        if rule.key is None:
            return self.key
        if isinstance(rule.key, str):
            everybody = clean(rule.key)
            return lambda scope: everybody
        return _known(rule.key, self.key)

    def wishes(
        self, rules: Sequence[tuple[Rule, Callable[[Scope], str]]], scope: Scope, cost: int
    ) -> Iterator[Wish]:
        """What a request wants under each of these rules."""
        tier = None if self.tier is None or not rules else self.tier(scope)
        for rule, key in rules:
            yield Wish(rule.name, key(scope), cost, tier if tier in rule.tiers else None)

    async def close(self) -> None:
        """Nothing is asked any more, until it is asked again."""
        await self.running.close()
        await self.limiter.close()


def ask(
    *,
    key: KeyFunction | None = None,
    cost: int | CostFunction = 1,
    cost_after: CostAfter | None = None,
    tier: TierFunction | None = None,
    exempt: ExemptFunction | None = None,
    headers: HeaderMode = "draft10",
    reset: ResetForm = "seconds",
    jitter: float = 0.0,
    limiter: Limiter | None = None,
    observe: Observer | None = None,
) -> Ask:
    """Raises ValueError for what makes no sense."""
    if not callable(cost):
        cost = _whole(cost)
        if not cost and cost_after is not None:
            raise ValueError("an estimate of 0 refuses nobody, whatever is spent afterwards")
    used = EmbeddedLimiter() if limiter is None else limiter
    address = client_address()
    return Ask(
        limiter=used,
        fields=Fields(headers, reset, jitter),
        key=address if key is None else _known(key, address),
        cost=_priced(cost) if callable(cost) else cost,
        cost_after=cost_after.lower() if isinstance(cost_after, str) else cost_after,
        tier=tier,
        exempt=exempt,
        observe=observe,
        fallback=Fallback(used.on_outage),
        has_functions=key is not None or tier is not None or callable(cost),
    )


def together(entry: Rule | Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules of one entry, each once."""
    return (entry,) if isinstance(entry, Rule) else distinct(entry)


def _known(key: KeyFunction, otherwise: Callable[[Scope], str]) -> Callable[[Scope], str]:
    """Who a request is counted under, whatever the app's own function answers."""
    cleaned = lru_cache(maxsize=REMEMBERED)(clean)

    def known(scope: Scope) -> str:
        found = key(scope)
        if found is None or found == "":
            return otherwise(scope)
        if not isinstance(found, str):
            raise TypeError(f"a key is a text, or None, not {found!r}")
        # A caller may choose his key: a long one is not kept, since there may be thousands.
        return cleaned(found) if len(found) <= MAX_KEY else clean(found)

    return known


def _priced(cost: CostFunction) -> CostFunction:
    """The app's function; a fraction would spoil what is counted, and less than 0 give it away."""

    def priced(scope: Scope) -> int:
        found = cost(scope)
        return found if found.__class__ is int and 0 <= found <= MAX_COST else _whole(found)

    return priced


def _whole(cost: int) -> int:
    """A cost that can be counted. Raises ValueError for what is none."""
    if not isinstance(cost, int) or cost < 0:
        raise ValueError(f"a cost is a whole number of 0 or more, not {cost!r}")
    return min(int(cost), MAX_COST)

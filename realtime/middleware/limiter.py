"""What the middleware needs of whoever decides, and the decider that lives in the process.

A limiter is asked in words of `realtime.services.limits`. The one in this process also opens a
way to decisions that nobody waits for; `realtime.middleware.remote` and
`realtime.middleware.store` are the others.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Generic, NamedTuple, Protocol, TypeVar

from starlette.types import Scope

from realtime.backends.base import BackendUnavailable, Decision
from realtime.errors import InvalidInput, NotFound
from realtime.middleware.rules import OnOutage, Rule, check_policy
from realtime.services.leases import Lease
from realtime.services.limits import Limits, RuleSpec, Shortcut, Verdict, Wish
from realtime.services.terms import Rule as Known

__all__ = [
    "EmbeddedLimiter",
    "Ends",
    "EndsOfAll",
    "Features",
    "Limiter",
    "Way",
    "acquire",
    "renew",
    "settle",
    "take",
]

log = logging.getLogger(__name__)

T = TypeVar("T")

Way = Callable[[Scope], T | int]
"""What becomes of a request, at once; or its cost, if `Limiter.take` has to be asked."""

TAKES_PER_SWEEP = 64
SWEEP_BUDGET = 100
"""Microseconds. A sweep looks at 200 keys or more, so callers never come faster than they go."""

ESTIMATE = 1
SETTLED_WITHIN = 60.0
"""What is spent after an answer is reserved first, since that spends what is left."""


class Ends(NamedTuple, Generic[T]):
    """Where a way begins, and where it leads."""

    key: Callable[[Scope], str]
    cost: int | Callable[[Scope], int]
    allowed: Callable[[Decision], T]
    refused: Callable[[Decision, int], T]


class EndsOfAll(NamedTuple, Generic[T]):
    """The same for several rules: there is a key, and a decision, for each."""

    keys: Sequence[Callable[[Scope], str]]
    cost: int | Callable[[Scope], int]
    allowed: Callable[[Sequence[Decision]], T]
    refused: Callable[[Sequence[Decision], int], T]


class Limiter(Protocol):
    """Decides. Any answer may raise Unavailable, or BackendUnavailable: that is an outage."""

    @property
    def on_outage(self) -> OnOutage:
        """What happens then under rules that do not say so themselves."""

    @property
    def immediate(self) -> bool:
        """Nothing it answers has to be waited for."""

    def way(self, rule: Rule, ends: Ends[T]) -> Way[T] | None:
        """To decisions under one rule that nobody waits for; None if there is none."""

    def way_of_all(self, rules: Sequence[Rule], ends: EndsOfAll[T]) -> Way[T] | None:
        """The same under several rules: all are charged, or none."""

    async def take(self, wishes: Sequence[Wish]) -> Sequence[Verdict]:
        """One verdict per wish: all are charged, or none. If none, those may be left out that
        would allow it."""

    async def settle(self, wish: Wish, by: int) -> None:
        """Spend ``by`` more, as far as it is left; or give ``-by`` back."""

    async def acquire(self, wish: Wish, lease_id: str) -> Lease:
        """A lease for the rule's own duration; the cost does not matter."""

    async def renew(self, rule: str, key: str, lease_id: str) -> bool:
        """Whether it was active still."""

    async def release(self, rule: str, key: str, lease_id: str) -> None:
        """May be repeated."""

    async def prepare(self, rules: Sequence[Rule], *, at_start: bool = False) -> None:
        """Called before the first decision, with every rule there is. ``at_start`` nobody waits
        for that decision yet. Never raises."""

    async def close(self) -> None:
        """Called when the app shuts down; the limiter may be used again afterwards."""


class Features(Protocol):
    """What is used of `realtime.embedded.Embedded`."""

    @property
    def limits(self) -> Limits: ...

    def sweep(self, budget: int = 1000) -> int: ...


class EmbeddedLimiter:
    """Decides in this process: exact, a few microseconds, and for this process alone.

    Give it your own `Embedded` to look at the limits it keeps, to reset them, or to make
    exceptions for single callers, by name.
    """

    def __init__(self, features: Features | None = None, on_outage: OnOutage = "deny") -> None:
        """``on_outage`` matters only if the features have a store that can be away."""
        check_policy(on_outage)
        self._features = _own_features() if features is None else features
        self._rules: dict[str, Rule] = {}
        self._takes = 0
        self.on_outage = on_outage

    @property
    def immediate(self) -> bool:
        return self._features.limits.shortcut("any", RuleSpec()) is not None

    def way(self, rule: Rule, ends: Ends[T]) -> Way[T] | None:
        """One function over all its parts: nearly every request comes by here."""
        limits, name, spec = self._features.limits, rule.name, rule.spec
        shortcut = limits.shortcut(name, spec)
        if shortcut is None:
            return None
        (bucket, _, take, _), sweep, ready = shortcut, self._features.sweep, limits.ready
        key, cost_of, allowed, refused = ends
        fixed, price = (cost_of, None) if isinstance(cost_of, int) else (0, cost_of)
        takes = 0
        last: object = None
        is_ours = False

        def decide(scope: Scope) -> T | int:
            nonlocal takes, last, is_ours
            cost = fixed if price is None else price(scope)
            found = ready(name)
            if found is not last:
                # Somebody has changed the rule, or said something of a single caller.
                last, is_ours = found, found is not None and found.is_plainly(spec)
            if not is_ours:
                return cost
            takes += 1
            if takes >= TAKES_PER_SWEEP:
                takes = 0
                sweep(SWEEP_BUDGET)
            decision = take(bucket(key(scope)), cost)
            return allowed(decision) if decision[0] else refused(decision, cost)

        return decide

    def way_of_all(self, rules: Sequence[Rule], ends: EndsOfAll[T]) -> Way[T] | None:
        """Written like ``way``. Rules that stand together mostly ask who it is in the same way:
        that is asked once."""
        limits, names = self._features.limits, [rule.name for rule in rules]
        found = [limits.shortcut(rule.name, rule.spec) for rule in rules]
        shortcuts = [shortcut for shortcut in found if shortcut is not None]
        if len(shortcuts) < len(rules):
            return None
        callers = _by_caller(ends.keys, shortcuts)
        step = shortcuts[0].bind([shortcut.rule for shortcut in shortcuts])
        sweep, ready = self._features.sweep, limits.ready
        _, cost_of, allowed, refused = ends
        fixed, price = (cost_of, None) if isinstance(cost_of, int) else (0, cost_of)
        takes = 0
        last: list[object] = []
        are_ours = False

        def decide(scope: Scope) -> T | int:
            nonlocal takes, last, are_ours
            cost = fixed if price is None else price(scope)
            found = list(map(ready, names))
            if found != last:
                last, are_ours = [*found], all(map(_is_plainly, found, rules))
            if not are_ours:
                return cost
            takes += 1
            if takes >= TAKES_PER_SWEEP:
                takes = 0
                sweep(SWEEP_BUDGET)
            keys: list[bytes] = []
            for key, buckets in callers:
                caller = key(scope)
                keys += [bucket(caller) for bucket in buckets]
            decisions = step(keys, [cost] * len(keys))
            for decision in decisions:
                if not decision[0]:
                    return refused(decisions, cost)
            return allowed(decisions)

        return decide

    async def take(self, wishes: Sequence[Wish]) -> Sequence[Verdict]:
        self._takes += 1
        if not self._takes % TAKES_PER_SWEEP:
            self._features.sweep(SWEEP_BUDGET)
        names = [wish.rule for wish in wishes]
        return await self._with_rules(names, lambda limits: take(limits, wishes))

    async def settle(self, wish: Wish, by: int) -> None:
        await self._with_rules([wish.rule], lambda limits: settle(limits, wish, by))

    async def acquire(self, wish: Wish, lease_id: str) -> Lease:
        return await self._with_rules([wish.rule], lambda limits: acquire(limits, wish, lease_id))

    async def renew(self, rule: str, key: str, lease_id: str) -> bool:
        return await self._with_rules([rule], lambda limits: renew(limits, rule, key, lease_id))

    async def release(self, rule: str, key: str, lease_id: str) -> None:
        await self._with_rules([rule], lambda limits: limits.leases.release(rule, key, lease_id))

    async def prepare(self, rules: Sequence[Rule], *, at_start: bool = False) -> None:
        self._rules |= {rule.name: rule for rule in rules}
        try:
            await self._define(rules)
        except BackendUnavailable as fault:  # of features that have a store
            log.warning("the rules are not defined yet: %s", fault)

    async def close(self) -> None:
        """Nothing is held but memory."""

    async def _with_rules(
        self, names: Sequence[str], decide: Callable[[Limits], Awaitable[T]]
    ) -> T:
        limits = self._features.limits
        try:
            return await decide(limits)
        except NotFound:  # somebody has removed one, and the app still has it
            await self._define([self._rules[name] for name in names if name in self._rules])
            return await decide(limits)

    async def _define(self, rules: Sequence[Rule]) -> None:
        for rule in rules:
            await self._features.limits.define(rule.name, rule.spec)


def _by_caller(
    keys: Sequence[Callable[[Scope], str]], shortcuts: Sequence[Shortcut]
) -> list[tuple[Callable[[Scope], str], list[Callable[[str], bytes]]]]:
    """In the order of the rules; those in a row that have the same key are together."""
    pairs = zip(keys, shortcuts, strict=True)
    return [
        (key, [shortcut.bucket for _, shortcut in group])
        for key, group in groupby(pairs, lambda pair: pair[0])
    ]


def _is_plainly(found: Known | None, rule: Rule) -> bool:
    """Whether nobody has changed the rule, or said something of a single caller."""
    return found is not None and found.is_plainly(rule.spec)


async def take(limits: Limits, wishes: Sequence[Wish]) -> Sequence[Verdict]:
    """See `Limiter.take`."""
    try:
        return await _take(limits, wishes)
    except InvalidInput:
        known = [await _as_known(limits, wish) for wish in wishes]
        if known == list(wishes):
            raise
        return await _take(limits, known)


async def _take(limits: Limits, wishes: Sequence[Wish]) -> Sequence[Verdict]:
    if len(wishes) == 1:
        return [await limits.take(*wishes[0])]
    return await limits.take_all(wishes)


async def acquire(limits: Limits, wish: Wish, lease_id: str) -> Lease:
    """See `Limiter.acquire`."""
    rule, key, _, tier = await _as_known(limits, wish)
    return await limits.leases.acquire(rule, key, lease_id=lease_id, tier=tier)


async def renew(limits: Limits, rule: str, key: str, lease_id: str) -> bool:
    """See `Limiter.renew`."""
    return await limits.leases.renew(rule, key, lease_id) is not None


async def settle(limits: Limits, wish: Wish, by: int) -> None:
    """See `Limiter.settle`."""
    rule, key, _, tier = await _as_known(limits, wish)
    if by < 0:
        await limits.refund(rule, key, -by, tier)
    elif by > 0:
        reserved = await limits.reserve(rule, key, ESTIMATE, SETTLED_WITHIN, tier)
        if reserved.id is not None:
            await limits.settle(rule, key, reserved.id, by, tier)


async def _as_known(limits: Limits, wish: Wish) -> Wish:
    """Without its tier, if somebody has changed the rule, and it does not have that any more."""
    if wish.tier is None:
        return wish
    spec = await limits.spec(wish.rule)
    is_known = spec is None or wish.tier in spec.tiers
    return wish if is_known else wish._replace(tier=None)


def _own_features() -> Features:
    from realtime.embedded import Embedded  # a composition root: only if nobody else composed

    return Embedded()

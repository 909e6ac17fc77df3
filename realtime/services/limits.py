"""Rate limits: named rules, and whether a caller may proceed under them.

A rule is stored once and used by name. Its definition is read at the first use and kept until
it changes.
A shadow rule decides and counts like any other, and never blocks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from realtime.backends.base import (
    Backend,
    BackendUnavailable,
    Decision,
    LimitRule,
    OutOfTime,
    Take,
)
from realtime.backends.keys import (
    penalty_key,
    shadow_key,
)
from realtime.services.leases import Leases
from realtime.services.names import name_bytes
from realtime.services.reservations import MAX_HOLD, Reservations, Reserved
from realtime.services.rulebook import Rulebook
from realtime.services.rules import (
    Algorithm,
    Override,
    Penalty,
    RuleSpec,
    Tier,
)
from realtime.services.terms import Reason, Rule, Term, Verdict, Wish, buckets, reason_of

__all__ = [
    "MAX_HOLD",
    "Algorithm",
    "Explanation",
    "Limits",
    "Override",
    "Penalty",
    "Reason",
    "Reserved",
    "RuleSpec",
    "Shortcut",
    "Tier",
    "Verdict",
    "Wish",
]

T = TypeVar("T")

_new = tuple.__new__

MOVES = 5
"""Times that terms are made anew for one call: a window ends, the next is a minute or longer."""

STEPS = 1_000
"""Sequences of rules whose steps are kept ready."""

Step = Callable[[Sequence[bytes], Sequence[int]], list[Decision]]
"""(keys, costs): all or nothing, under rules it is bound to."""

OneTake = Callable[[bytes, int], Decision]
"""(key, cost), under a rule it is bound to."""


@runtime_checkable
class BindingBuckets(Protocol):
    """A capability of buckets in this process: takes under rules that are known beforehand."""

    def bind(self, rules: Sequence[LimitRule]) -> Step: ...

    def bind_one(self, rule: LimitRule) -> OneTake: ...


class Shortcut(NamedTuple):
    """A rule laid open: ``take(bucket(key), cost)`` is the bare decision."""

    bucket: Callable[[str], bytes]
    rule: LimitRule
    take: OneTake
    bind: Callable[[Sequence[LimitRule]], Step]
    """To the step under several rules that are laid open."""


class Explanation(NamedTuple):
    """Why a caller is treated as he is. Instants are microseconds since 1970."""

    term: Term
    verdict: Verdict
    since: int | None
    """When what decides became what it is."""
    violations: int
    """That count towards the penalty box."""
    released_after: int
    """Microseconds that the caller will still be in it; 0 if he is not."""
    leases: int
    shadow_refused: int
    """How often the shadow rule would have refused anybody, since it exists."""


class Plan(NamedTuple):
    """One wish on its way through the store."""

    rule: Rule
    wish: Wish
    term: Term
    takes: list[Take]
    """A look into the penalty box, if there is one, and the take itself; nothing if exempt."""


class Limits(Rulebook):
    """Every method may raise InvalidInput for a name, NotFound for a rule, BackendUnavailable."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._counters = backend.counters
        store = backend.buckets
        self._step = _steps(store) if isinstance(store, BindingBuckets) else None
        self._one = _takes(store) if isinstance(store, BindingBuckets) else None
        self.leases = Leases(backend, self._find, self._count_shadow)
        self._reservations = Reservations(backend, self._find, self._take_one, self._adjust)

    # Decisions

    async def take(self, rule: str, key: str, cost: int = 1, tier: str | None = None) -> Verdict:
        """Spend ``cost`` if the rule allows it. O(1) for most: see `engine.limits`."""
        found = self._rules.peek(rule) or await self._find(rule)
        if found.build is not None and tier is None:
            if self._one is not None:
                return found.verdict(self._one(found)(found.bucket(key), cost))
            return found.verdict(await self._buckets.take(found.bucket(key), found.build, cost))
        return (await self._timely([found], self._take, [Wish(rule, key, cost, tier)]))[0]

    def shortcut(self, rule: str, spec: RuleSpec) -> Shortcut | None:
        """The way to decisions under one rule without a wait, for hot paths.

        None if the store may have to be waited for, or if the rule holds not for all alike. It
        need not be defined; if it is, and was not changed since, both ways spend from the same
        callers' states. A decision may be `Saturated`.
        """
        store = self._buckets
        if not isinstance(store, BindingBuckets):
            return None
        if spec.algorithm in ("calendar", "concurrency") or spec.penalty is not None:
            return None
        if spec.allow or spec.deny or spec.tiers:
            return None
        build = spec.build()
        bucket = buckets(name_bytes("rule", rule))
        return Shortcut(bucket, build, store.bind_one(build), store.bind)

    async def take_all(self, wishes: Sequence[Wish]) -> list[Verdict]:
        """Spend all or nothing, in one step; shadow rules are decided aside, and never block.

        In a cluster all callers must share a hash tag: `CrossSlot` says so."""
        ready = self.ready
        rules: list[Rule] = []
        keys: list[bytes] = []
        costs: list[int] = []
        for name, key, cost, tier in wishes:
            rule = ready(name) or await self._find(name)
            rules.append(rule)
            if rule.build is not None and tier is None:
                keys.append(rule.bucket(key))
                costs.append(cost)
        if len(keys) < len(rules):
            return await self._timely(rules, self._take, wishes)
        if self._step is not None:
            answers = self._step(tuple(rules))(keys, costs)
        else:
            takes = zip(keys, _builds(rules), costs, strict=True)
            answers = await self._buckets.take_all(list(takes))
        return [rule.verdict(answer) for rule, answer in zip(rules, answers, strict=True)]

    async def peek(self, rule: str, key: str, tier: str | None = None) -> Verdict:
        """What is left, spending nothing. O(1)."""
        return await self.take(rule, key, 0, tier)

    async def forecast(self, rule: str, key: str, cost: int, tier: str | None = None) -> Verdict:
        """What a take would be answered now, spending and counting nothing. O(1)."""

        async def foresee(rules: Sequence[Rule], wishes: Sequence[Wish]) -> Verdict:
            return await self._foresee(_plan(rules[0], wishes[0]))

        return await self._timely([await self._find(rule)], foresee, [Wish(rule, key, cost, tier)])

    async def refund(self, rule: str, key: str, amount: int, tier: str | None = None) -> Verdict:
        """Give back what was spent in vain; never more than was. O(1)."""
        return await self._adjust(Wish(rule, key, -amount, tier))

    async def reserve(
        self, rule: str, key: str, cost: int, ttl: float, tier: str | None = None
    ) -> Reserved:
        """Spend an estimate, to be settled to the real cost within ``ttl`` seconds.

        Whatever happens in between, what was not settled stays spent."""
        return await self._reservations.reserve(Wish(rule, key, cost, tier), ttl)

    async def settle(
        self, rule: str, key: str, reservation: str, cost: int, tier: str | None = None
    ) -> Verdict | None:
        """Charge the real cost instead of the estimate: give back the rest, but for what the clock
        has given back meanwhile, or spend more as far as it is left.

        None, and nothing is done, if it was settled, has expired, or never was."""
        return await self._reservations.settle(Wish(rule, key, cost, tier), reservation)

    async def reset(self, rule: str, key: str) -> bool:
        """Give a caller the full capacity again, and forgive him; whether anything was missing.

        Leases stay: what runs, runs."""
        bucket = (await self._find(rule)).bucket(key)
        return await self._values.delete(bucket, penalty_key(bucket)) > 0

    async def explain(self, rule: str, key: str, tier: str | None = None) -> Explanation:
        """Which list, rate or rule decides for a caller, since when, and how he stands."""
        found = await self._find(rule)
        if found.spec.algorithm == "concurrency":
            term, verdict = await self.leases.look(found, key, tier)
        else:
            verdict = await self.peek(rule, key, tier)
            term = found.terms.of(key, tier)
        box = found.terms.box
        look = None
        if box is not None:
            look = await self._buckets.take(penalty_key(found.bucket(key)), box, 0)
        count = await self._counters.get([shadow_key(name_bytes("rule", rule))])
        override = term.override if term.source == "override" else None
        return Explanation(
            term,
            verdict,
            found.terms.stored.since if override is None else override.since,
            0 if look is None else look.limit - look.remaining,
            0 if look is None or look.allowed else look.retry_after,
            await self.leases.count(found, key),
            count[0] or 0,
        )

    # How

    async def _take(self, rules: Sequence[Rule], wishes: Sequence[Wish]) -> list[Verdict]:
        plans = [_plan(rule, wish) for rule, wish in zip(rules, wishes, strict=True)]
        if len(plans) == 1 and (said := plans[0].rule.beside_the_store(plans[0].term)):
            if said.allowed and not said.decision.allowed and wishes[0].cost:
                await self._count_shadow(said.rule)
            return [said]
        blocking = [plan for plan in plans if not plan.rule.spec.shadow]
        answers = await self._buckets.take_all([take for plan in blocking for take in plan.takes])
        spent = all(answer.allowed for answer in answers)
        rest = iter(answers)
        verdicts: list[Verdict] = []
        for plan in plans:
            if plan.rule.spec.shadow:
                verdicts.append(await self._take_aside(plan, spent))
            else:
                decisions = [next(rest) for _ in plan.takes]
                verdicts.append(await self._judge(plan, decisions))
        return verdicts

    async def _take_aside(self, plan: Plan, spent: bool) -> Verdict:
        """Of a shadow rule: nothing that others refused is counted.

        What they let pass they have charged already: so its own time is its own business."""

        async def take(rules: Sequence[Rule], wishes: Sequence[Wish]) -> Verdict:
            plan = _plan(rules[0], wishes[0])
            if not spent:
                return await self._foresee(plan)
            return await self._judge(plan, await self._buckets.take_all(plan.takes))

        return await self._timely([plan.rule], take, [plan.wish])

    async def _foresee(self, plan: Plan) -> Verdict:
        """What a take would be answered: in one step with one that can never pass, none is charged,
        and nobody counts it."""
        takes = plan.takes
        never = [take._replace(cost=take.rule.limit + 1) for take in takes[-1:]]
        decisions = await self._buckets.take_all([*takes, *never])
        return await self._judge(plan, decisions[: len(takes)], is_counted=False)

    async def _judge(
        self, plan: Plan, decisions: Sequence[Decision], *, is_counted: bool = True
    ) -> Verdict:
        rule, wish, term, takes = plan
        said = rule.beside_the_store(term)
        if said is not None:
            verdict = said
        else:
            *boxes, decision = decisions
            reason = reason_of(decision)
            if boxes and not boxes[0].allowed:
                wait = boxes[0].retry_after
                reset = max(wait, decision.reset_after)
                decision = Decision(False, decision.limit, 0, wait, reset)
                reason = "penalty"
            elif boxes and reason == "limit" and is_counted:
                await self._buckets.take(takes[0].key, takes[0].rule, 1)
            verdict = rule.judged(term, decision, reason)
        if is_counted and rule.spec.shadow and wish.cost and not verdict.decision.allowed:
            await self._count_shadow(rule.name)
        return verdict

    async def _take_one(self, wish: Wish) -> Verdict:
        return await self.take(*wish)

    async def _adjust(self, wish: Wish, until: int | None = None) -> Verdict:
        async def adjust(rules: Sequence[Rule], wishes: Sequence[Wish]) -> Verdict:
            (rule,), (wish,) = rules, wishes
            term = rule.terms.of(wish.key, wish.tier)
            key = rule.bucket(wish.key)
            decision = await self._buckets.adjust(key, term.build, wish.cost, until)
            return rule.judged(term, decision, reason_of(decision))

        return await self._timely([await self._find(wish.rule)], adjust, [wish])

    async def _timely(
        self,
        rules: Sequence[Rule],
        work: Callable[[Sequence[Rule], Sequence[Wish]], Awaitable[T]],
        wishes: Sequence[Wish],
    ) -> T:
        """Do it by the terms that hold at the store's time."""
        for _ in range(MOVES):
            try:
                return await work(rules, wishes)
            except OutOfTime as error:
                for rule in rules:
                    rule.terms.move(error.now)
        raise BackendUnavailable("the clocks of the store's servers are far apart")

    async def _count_shadow(self, rule: str) -> None:
        await self._counters.add(shadow_key(name_bytes("rule", rule)), 1)


def _steps(store: BindingBuckets) -> Callable[[tuple[Rule, ...]], Step]:
    @lru_cache(maxsize=STEPS)
    def step(rules: tuple[Rule, ...]) -> Step:
        return store.bind(_builds(rules))

    return step


def _takes(store: BindingBuckets) -> Callable[[Rule], OneTake]:
    @lru_cache(maxsize=STEPS)
    def take(rule: Rule) -> OneTake:
        assert rule.build is not None  # it holds for all alike
        return store.bind_one(rule.build)

    return take


def _builds(rules: Sequence[Rule]) -> list[LimitRule]:
    """Of rules that hold for all alike."""
    return [rule.build for rule in rules if rule.build is not None]


def _plan(rule: Rule, wish: Wish) -> Plan:
    """Who is exempt asks nothing of the store. Who is denied asks for more than there is: so
    the others' decisions are made in the same step, and none of them is charged."""
    term = rule.terms.of(wish.key, wish.tier)
    if term.source == "allow":
        return Plan(rule, wish, term, [])
    bucket = rule.bucket(wish.key)
    if term.source == "deny":
        return Plan(rule, wish, term, [Take(bucket, term.build, term.build.limit + 1)])
    take = Take(bucket, term.build, wish.cost)
    box = rule.terms.box
    if box is None:
        return Plan(rule, wish, term, [take])
    return Plan(rule, wish, term, [Take(penalty_key(bucket), box, 0), take])

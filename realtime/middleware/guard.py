"""What stands before a route: its rules, with all made ready that does not need a request.

Two kinds. Rules that are the same for all callers, decided in this process, are a few function
calls. Everything else - tiers, leases, real costs, a limiter elsewhere - is asked for: leases
first, one after the other, then all that is spent, in one atomic step; if anything is refused,
the leases are given back. `Admission` is what has to be seen to afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from starlette.types import Scope

from realtime.backends.base import NEVER, Decision, LimitRule
from realtime.middleware.answers import OUTAGE, Refusal, Refusals, Violation
from realtime.middleware.ask import Ask
from realtime.middleware.blocked import Known
from realtime.middleware.fallback import OUTAGES
from realtime.middleware.fields import NOTHING, Announcer, Fields, Header, Standing, joined
from realtime.middleware.limiter import Ends, EndsOfAll, Limiter, Way
from realtime.middleware.occasional import Occasional
from realtime.middleware.rules import CONCURRENCY, Rule
from realtime.middleware.running import Held
from realtime.services.leases import Lease
from realtime.services.limits import Verdict, Wish
from realtime.services.terms import reason_of

__all__ = ["Admission", "Guard", "Question"]

log = logging.getLogger(__name__)

KEPT = 256
"""Rates whose headers a route keeps ready."""


class Admission:
    """A request that was let through: what its response says, and what is to be done at its end."""

    __slots__ = ("_ask", "_charged", "_held", "_limiter", "headers")

    def __init__(self, ask: Ask) -> None:
        self.headers = NOTHING
        self._ask = ask
        self._held: list[Held] = []
        self._limiter: Limiter = ask.limiter
        self._charged: Sequence[Wish] = ()

    @property
    def has_end(self) -> bool:
        """Whether `end` has to be called, whatever becomes of the request."""
        return bool(self._held or self._charged)

    async def acquire(self, limiter: Limiter, rule: Rule, wish: Wish) -> Lease:
        """A lease until the end, if it is granted. Raises what is an outage."""
        lease, held = await self._ask.running.acquire(limiter, rule, wish)
        if held is not None:
            self._held.append(held)
        return lease

    def charge(self, limiter: Limiter, wishes: Sequence[Wish], verdicts: Sequence[Verdict]) -> None:
        """Estimates were spent, which the end may correct."""
        pairs = zip(wishes, verdicts, strict=True)
        self._limiter = limiter
        self._charged = [wish for wish, verdict in pairs if verdict.reason != "exempt"]

    async def release(self) -> None:
        """Give back the leases."""
        held, self._held = self._held, []
        await self._ask.running.release(held)

    async def end(self, cost: int | None = None) -> None:
        """The request is done, and has cost so much; None if as much as was estimated."""
        try:
            await self.release()
        finally:
            if cost is not None:
                await self._settle(cost)

    async def _settle(self, cost: int) -> None:
        for wish in self._charged:
            try:
                await self._limiter.settle(wish, cost - wish.cost)
            except OUTAGES:  # the estimate stays spent
                self._ask.tell("outage", (wish.rule,))


class Question(NamedTuple):
    """What a request asks for: all that the app's own functions say of it."""

    cost: int
    running: Sequence[Wish]
    spent: Sequence[Wish]


class Guard:
    """Decides about requests under these rules together."""

    def __init__(self, rules: Sequence[Rule], ask: Ask) -> None:
        self._ask = ask
        self._rules = {rule.name: rule for rule in rules}
        keyed = [(rule, ask.key_of(rule)) for rule in rules]
        self._running = [pair for pair in keyed if pair[0].algorithm == CONCURRENCY]
        self._spent = [pair for pair in keyed if pair[0].algorithm != CONCURRENCY]
        self.asks_app = ask.has_functions or any(callable(rule.key) for rule in rules)
        """Whether functions of the app have a say, which may do anything, and take their time."""
        self._names = tuple(self._rules)
        self._refusals = Refusals()
        self._lines = Occasional(log)
        self._announcers = _Announcers(ask.fields)
        self._is_plain = ask.fields.is_plain and not self._running and ask.cost_after is None
        """Nearly all of its requests are told what follows from their verdicts, and that is it."""
        self.decide_now = self._immediate()

    async def decide(self, scope: Scope, cost: int | None = None) -> Admission | Refusal:
        """Ask; ``cost`` if it is known already. Raises what the app's own functions raise, and
        nothing else."""
        return await self.answer(self.question(scope, cost))

    def question(self, scope: Scope, cost: int | None = None) -> Question:
        """The first half of `decide`, and all of it that is the app's. Raises what that raises."""
        price = self._ask.price(scope) if cost is None else cost
        wishes = list(self._ask.wishes([*self._running, *self._spent], scope, price))
        running = len(self._running)
        return Question(price, wishes[:running], wishes[running:])

    async def answer(self, question: Question) -> Admission | Refusal:
        """The other half. Raises nothing."""
        admission = Admission(self._ask)
        try:
            refusal = await self._decide(question, admission)
        except OUTAGES:
            refusal = OUTAGE
        except BaseException:
            await admission.release()
            raise
        if refusal is None:
            self._ask.tell("allowed", self._names)
            return admission
        await admission.release()
        return refusal

    async def charge(self, scope: Scope, costs: Sequence[int]) -> Refusal | None:
        """Spend another cost under each rule, for something that has no end and no headers."""
        try:
            verdicts, _ = await self._take(
                [
                    wish._replace(cost=cost)
                    for wish, cost in zip(
                        self._ask.wishes(self._spent, scope, 0), costs, strict=True
                    )
                ]
            )
        except OUTAGES:
            return OUTAGE
        violated = self._violated(verdicts)
        if violated:
            return self._refusal(violated, verdicts, max(costs), [])
        self._ask.tell("allowed", self._names)
        return None

    async def _decide(self, question: Question, admission: Admission) -> Refusal | None:
        cost, running, wishes = question
        standings: list[Standing] = []
        for wish in running:
            found = await self._acquire(self._rules[wish.rule], wish, admission)
            if isinstance(found, Violation):
                return self._refusal([found], [], cost, [found.standing])
            standings += [found] if found is not None else []
        verdicts, limiter = await self._take(wishes) if wishes else ([], self._ask.limiter)
        if self._is_plain and (announced := self._announcers.announced(verdicts)) is not None:
            admission.headers = announced
            return None
        violated = self._violated(verdicts)
        shown = [*standings, *map(Standing.of, filter(_is_shown, verdicts))]
        if violated:
            return self._refusal(violated, verdicts, cost, shown)
        if self._ask.cost_after is not None and verdicts:
            charged = [wish for wish in wishes if wish.rule in {one.rule for one in verdicts}]
            admission.charge(limiter, charged, verdicts)
        admission.headers = self._ask.fields.of(shown, shown, self._ask.fields.draw())
        return None

    async def _acquire(
        self, rule: Rule, wish: Wish, admission: Admission
    ) -> Violation | Standing | None:
        """None if there is nothing to tell: of a shadow rule, of one that a caller is exempt
        from, and while requests pass because nobody can be asked."""
        try:
            lease = await admission.acquire(self._ask.limiter, rule, wish)
        except OUTAGES:
            self._ask.tell("outage", (rule.name,))
            if not self._ask.fallback.decided_here(self._rules, [wish]):
                return None
            self._ask.tell("local", (rule.name,))
            local = await self._ask.fallback.limiter([rule])
            lease = await admission.acquire(local, rule, wish)
        if not lease.allowed:
            return Violation.of_lease(rule.name, rule.spec, lease, rule.status)
        if lease.id is None:
            self._would_refuse([rule.name])
        if lease.id is None or lease.reason == "exempt" or rule.shadow:
            return None
        return Standing(rule.name, lease.limit, max(0, lease.limit - lease.active), 0, 0, 0)

    async def _take(self, wishes: Sequence[Wish]) -> tuple[Sequence[Verdict], Limiter]:
        """The verdicts, and whose they are; none while requests pass because nobody can be
        asked. Raises Unavailable if they do not."""
        try:
            return await self._ask.limiter.take(wishes), self._ask.limiter
        except OUTAGES:
            names = [wish.rule for wish in wishes]
            self._ask.tell("outage", names)
            wishes = self._ask.fallback.decided_here(self._rules, wishes)
        if not wishes:
            return [], self._ask.limiter
        names = [wish.rule for wish in wishes]
        self._ask.tell("local", names)
        local = await self._ask.fallback.limiter([self._rules[name] for name in names])
        return await local.take(wishes), local

    def _violated(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        violated = [one for one in verdicts if not one.allowed]
        shadows = [one.rule for one in verdicts if one.allowed and not one.decision.allowed]
        if shadows and not violated:  # who is refused anyway owes it to no shadow that he is not
            self._would_refuse(shadows)
        return violated

    def _refusal(
        self,
        violated: Sequence[Verdict | Violation],
        verdicts: Sequence[Verdict],
        cost: int,
        shown: Sequence[Standing],
    ) -> Refusal:
        violations = [self._violation(one) for one in violated]
        names = [one.standing.rule for one in violations]
        self._ask.tell("blocked" if isinstance(verdicts, Known) else "refused", names)
        late = self._ask.fields.draw()
        # The others were not charged, so what was decided about them is not true of now.
        items = [one.standing for one in violations]
        headers = self._ask.fields.of(shown, items if shown else [], late)
        return self._refusals.refusal(violations, cost, headers, late)

    def _violation(self, one: Verdict | Violation) -> Violation:
        if isinstance(one, Violation):
            return one
        return Violation.of(one, self._rules[one.rule].status)

    def _would_refuse(self, names: Sequence[str]) -> None:
        self._ask.tell("would-refuse", names)
        self._lines.warn(
            "a request would have been refused, were it not for the shadow of " + ", ".join(names)
        )

    def _immediate(self) -> Way[list[Header] | Refusal] | None:
        """The whole way in one function, if there is nobody to wait for: nearly every request
        comes by here. If it is not that easy after all, it answers the cost."""
        rules = list(self._rules.values())
        if not rules:
            return lambda scope: NOTHING
        if self._running or not self._is_plain:
            return None
        return self._way(rules[0]) if len(rules) == 1 else self._way_of_all(rules)

    def _way(self, rule: Rule) -> Way[list[Header] | Refusal] | None:
        build = rule.spec.build()
        announce = self._ask.fields.announcer(rule.name, build)
        refused, observe = self._refusals.of_rule(rule), self._ask.observe

        def refuse(decision: Decision, cost: int) -> list[Header] | Refusal:
            reason = reason_of(decision)
            if decision[3] == NEVER or reason != "limit":
                verdict = Verdict(rule.name, rule.spec, decision, build, False, reason)
                return self._refusal([verdict], [verdict], cost, [Standing.of(verdict)])
            self._ask.tell("refused", self._names)
            return refused(decision[3], announce(decision))

        def allow(decision: Decision) -> list[Header] | Refusal:
            self._ask.tell("allowed", self._names)
            return announce(decision)

        allowed = announce if observe is None else allow
        ends = Ends(self._ask.key_of(rule), self._ask.cost, allowed, refuse)
        return self._ask.limiter.way(rule, ends)

    def _way_of_all(self, rules: Sequence[Rule]) -> Way[list[Header] | Refusal] | None:
        builds = [rule.spec.build() for rule in rules]
        keys = [self._ask.key_of(rule) for rule in rules]
        announce = self._ask.fields.announcer_of_all(list(zip(self._names, builds, strict=True)))

        def refuse(decisions: Sequence[Decision], cost: int) -> list[Header] | Refusal:
            verdicts = [
                Verdict(rule.name, rule.spec, one, build, one.allowed, reason_of(one))
                for rule, one, build in zip(rules, decisions, builds, strict=True)
            ]
            return self._refusal(
                self._violated(verdicts), verdicts, cost, list(map(Standing.of, verdicts))
            )

        def allow(decisions: Sequence[Decision]) -> list[Header] | Refusal:
            self._ask.tell("allowed", self._names)
            return announce(decisions)

        ends = EndsOfAll(keys, self._ask.cost, allow, refuse)
        return self._ask.limiter.way_of_all(rules, ends)


class _Announcers:
    """Those of the rules that verdicts are made under: of tiers and of rates, not only ours."""

    __slots__ = ("_fields", "_kept")

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        # By identity, which is quick; what is kept is not given to another.
        self._kept: dict[int, tuple[object, Announcer]] = {}

    def announced(self, verdicts: Sequence[Verdict]) -> list[Header] | None:
        """What is told if all is plainly allowed; None if it is not."""
        told = []
        for name, spec, decision, build, allowed, reason in verdicts:
            if reason or not allowed or not decision[0] or spec.shadow:
                return None
            found = self._kept.get(id(build))
            if found is None:
                found = self._keep(name, build)
            told.append(found[1](decision))
        return joined(told)

    def _keep(self, name: str, build: LimitRule) -> tuple[object, Announcer]:
        if len(self._kept) >= KEPT:
            self._kept.clear()
        found = self._kept[id(build)] = (build, self._fields.announcer(name, build))
        return found


def _is_shown(verdict: Verdict) -> bool:
    """Nobody is told of a shadow, and nobody who is exempt of the rule."""
    return not verdict.spec.shadow and verdict.reason != "exempt"

"""A rule ready for use: under what terms a caller may proceed, and what was decided.

Most rules hold for everybody alike, and are as they were defined first: they are a
`LimitRule`, and nothing else. The others have *terms*: who is on which list, whose rate is
another, in which calendar window we are. Terms hold for a span of time; the store's clock says
when it is over (`OutOfTime`), and ``move`` makes those that hold then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from realtime.backends.base import (
    NEVER,
    Amended,
    Decision,
    LimitRule,
    PenaltyBox,
    Saturated,
)
from realtime.backends.keys import bucket_key
from realtime.errors import InvalidInput
from realtime.services.names import name_bytes
from realtime.services.rules import Override, RuleSpec, Stored, Tier

__all__ = ["Reason", "Rule", "Source", "Terms", "Verdict", "Wish", "ready"]

Reason = Literal["", "limit", "denied", "penalty", "saturated", "exempt"]
"""Why: ``exempt`` is why it passed, and nothing was spent; the others are why it did not."""

Source = Literal["deny", "allow", "override", "tier", "rule"]

KEPT = 1_000
"""Rates of one rule that are kept ready; there are hardly ever more than its tiers."""


_new = tuple.__new__


class Wish(NamedTuple):
    """What a caller wants to spend under a rule, and of which of its tiers he is."""

    rule: str
    key: str
    cost: int = 1
    tier: str | None = None


class Verdict(NamedTuple):
    """A decision under a named rule. ``allowed`` is what to act on: a shadow rule never blocks."""

    rule: str
    spec: RuleSpec
    """What decided: of the rule, or of the tier or the rate that holds for the caller."""
    decision: Decision
    build: LimitRule
    allowed: bool
    reason: Reason = ""

    @property
    def next_after(self) -> int:
        """Microseconds until more may be taken; 0 if nothing is missing."""
        if self.reason in ("denied", "penalty", "saturated"):
            return max(0, self.decision.retry_after)
        return self.build.next_after(self.decision)


class Term(NamedTuple):
    """What holds for one caller."""

    source: Source
    spec: RuleSpec
    build: LimitRule
    tier: str | None = None
    override: Override | None = None


class Terms:
    """What holds for whom, as far as it is not the same for all."""

    __slots__ = ("_kept", "_now", "box", "stored")

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        penalty = stored.spec.penalty
        self.box: PenaltyBox | None = None if penalty is None else penalty.build()
        self._now = 0
        self._kept: dict[tuple[Tier | None, int | None], tuple[RuleSpec, LimitRule]] = {}

    def move(self, now: int) -> None:
        """It is ``now``, and what was made for another time does not hold."""
        self._now = now
        self._kept.clear()

    def of(self, key: str, tier: str | None) -> Term:
        """Raises InvalidInput if the rule has no such tier. O(lists), which are bounded."""
        spec = self.stored.spec
        if tier is not None and tier not in spec.tiers:
            raise InvalidInput(f"the rule has no tier {tier!r}")
        override = self.stored.overrides.get(key)
        if override is not None and (override.expires is None or override.expires > self._now):
            own = override.tier
            rate = override.rate if own is None else spec.tiers.get(own)
            found = Term("override", *self._ready(rate, override.expires), own, override)
        elif tier is not None:
            found = Term("tier", *self._ready(spec.tiers[tier]), tier)
        else:
            found = Term("rule", *self._ready(None))
        if key in spec.deny:
            return found._replace(source="deny")
        return found._replace(source="allow") if key in spec.allow else found

    def _ready(self, rate: Tier | None, expires: int | None = None) -> tuple[RuleSpec, LimitRule]:
        found = self._kept.get((rate, expires))
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            found = self._kept[rate, expires] = self._made(rate, expires)
        return found

    def _made(self, rate: Tier | None, expires: int | None) -> tuple[RuleSpec, LimitRule]:
        spec = self.stored.spec if rate is None else self.stored.spec.at_rate(rate)
        build = spec.build(self._now)
        if not self.stored.is_amended:
            return spec, build
        first = self.stored.first or self.stored.spec.build(self._now).parameters
        until = {} if expires is None else {"until": expires}
        return spec, Amended(build, first, self.stored.spec.on_change, **until)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule by its name. Not a tuple, since its parts are read by name at every take."""

    name: str
    spec: RuleSpec
    build: LimitRule | None
    """What decides where there are no terms."""
    bucket: Callable[[str], bytes]
    """Where a caller's state lies, by the caller's name."""
    terms: Terms

    def verdict(self, decision: Decision) -> Verdict:
        """Of a rule without terms."""
        # A named tuple's own constructor would cost a tenth of a take.
        if decision[0]:
            return _new(Verdict, (self.name, self.spec, decision, self.build, True, ""))
        reason = reason_of(decision)
        return _new(Verdict, (self.name, self.spec, decision, self.build, False, reason))

    def is_plainly(self, spec: RuleSpec) -> bool:
        """Whether ``spec``, from the first and for everybody alike, is all there is to it."""
        return self.build is not None and self.spec == spec

    def judged(self, term: Term, decision: Decision, reason: Reason) -> Verdict:
        """Of a rule with terms."""
        allowed = decision.allowed or self.spec.shadow
        return Verdict(self.name, term.spec, decision, term.build, allowed, reason)

    def beside_the_store(self, term: Term) -> Verdict | None:
        """What the lists say; None if the caller is on none."""
        limit = term.build.limit
        if term.source == "deny":
            return self.judged(term, Decision(False, limit, 0, NEVER, 0), "denied")
        if term.source == "allow":
            return self.judged(term, Decision(True, limit, limit, 0, 0), "exempt")
        return None


def reason_of(decision: Decision) -> Reason:
    if decision.allowed:
        return ""
    return "saturated" if isinstance(decision, Saturated) else "limit"


def ready(name: str, stored: Stored) -> Rule:
    spec = stored.spec
    has_terms = (
        stored.is_amended
        or stored.overrides
        or spec.penalty is not None
        or spec.shadow
        or spec.allow
        or spec.deny
        or spec.algorithm in ("calendar", "concurrency")
    )
    build = None if has_terms else spec.build()
    return Rule(name, spec, build, buckets(name_bytes("rule", name)), Terms(stored))


def buckets(rule: bytes) -> Callable[[str], bytes]:
    """The keys of a rule's callers. Those who come often come from the cache."""

    @lru_cache(maxsize=4096)
    def bucket(caller: str) -> bytes:
        return bucket_key(rule, name_bytes("key", caller))

    return bucket

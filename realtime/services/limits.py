"""Rate limits: named rules, and whether a caller may proceed under them.

A rule is stored once and used by name. Its definition is read at the first use and kept until
it changes.
A shadow rule decides and counts like any other, and never blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, cast

from realtime.backends.base import (
    Backend,
    Decision,
    FixedWindow,
    ImmediateBuckets,
    LimitRule,
    SlidingWindow,
    Take,
    TokenBucket,
)
from realtime.backends.keys import bucket_key, rule_key
from realtime.errors import InvalidInput, NotFound
from realtime.services.cached import cached
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes

__all__ = ["Algorithm", "Limits", "RuleSpec", "Shortcut", "Verdict", "Wish"]

Algorithm = Literal["token_bucket", "sliding_window", "fixed_window"]


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule as people state it: ``limit`` per ``per`` seconds."""

    algorithm: Algorithm = "token_bucket"
    limit: int = 100
    per: float = 60.0
    burst: int | None = None
    """Token bucket: how many may come at once; as many as the limit if not said."""
    shadow: bool = False

    def build(self) -> LimitRule:
        """The rule itself. Raises InvalidInput."""
        period = microseconds("per", self.per)
        if self.burst is not None and self.algorithm != "token_bucket":
            raise InvalidInput(f"a {self.algorithm} has no burst", path="$.burst")
        try:
            if self.algorithm == "token_bucket":
                burst = self.limit if self.burst is None else self.burst
                return TokenBucket(self.limit, period, burst)
            if self.algorithm == "sliding_window":
                return SlidingWindow(self.limit, period)
            return FixedWindow(self.limit, period)
        except ValueError as error:
            path = None if self.burst is None else "$.burst"
            raise InvalidInput(str(error), path=path) from None


class Wish(NamedTuple):
    """What a caller wants to spend under a rule."""

    rule: str
    key: str
    cost: int = 1


class Verdict(NamedTuple):
    """A decision under a named rule. ``allowed`` is what to act on: a shadow rule never blocks."""

    rule: str
    spec: RuleSpec
    decision: Decision
    build: LimitRule
    allowed: bool

    @property
    def next_after(self) -> int:
        """Microseconds until more may be taken; 0 if nothing is missing."""
        return self.build.next_after(self.decision)


class Shortcut(NamedTuple):
    """A rule laid open: ``take(bucket(key), rule, cost)`` is the bare decision."""

    bucket: Callable[[str], bytes]
    rule: LimitRule
    take: Callable[[bytes, LimitRule, int], Decision]


class Rule(NamedTuple):
    """A rule ready for use."""

    name: str
    spec: RuleSpec
    build: LimitRule
    bucket: Callable[[str], bytes]
    """Where a caller's state lies, by the caller's name."""

    def verdict(self, decision: Decision) -> Verdict:
        allowed = decision.allowed or self.spec.shadow
        return Verdict(self.name, self.spec, decision, self.build, allowed)


class Limits:
    """Every method may raise InvalidInput for a name, NotFound for a rule, BackendUnavailable."""

    def __init__(self, backend: Backend) -> None:
        self._buckets = backend.buckets
        self._hashes = backend.hashes
        self._values = backend.values
        self._rules = cached(backend, self._load, _key)

    async def define(self, rule: str, spec: RuleSpec) -> RuleSpec:
        """Store a rule, or replace it. Callers keep what they have spent, as far as it fits."""
        name = name_bytes("rule", rule)
        ready = _ready(rule, name, spec)
        await self._hashes.put(_key(rule), _fields(spec))
        self._rules.put(rule, ready)
        return spec

    async def spec(self, rule: str) -> RuleSpec | None:
        """The rule as it was defined, or None."""
        try:
            return (await self._rules.get(rule)).spec
        except NotFound:
            return None

    async def take(self, rule: str, key: str, cost: int = 1) -> Verdict:
        """Spend ``cost`` if the rule allows it. O(1)."""
        found = self._rules.peek(rule) or await self._rules.get(rule)
        return found.verdict(await self._buckets.take(found.bucket(key), found.build, cost))

    def shortcut(self, rule: str, spec: RuleSpec) -> Shortcut | None:
        """The way to decisions under one rule without a wait, for hot paths.

        None if the store may have to be waited for. The rule need not be defined; if it is,
        both ways spend from the same callers' states.
        """
        if not isinstance(self._buckets, ImmediateBuckets):
            return None
        return Shortcut(_buckets(name_bytes("rule", rule)), spec.build(), self._buckets.take_now)

    async def take_all(self, wishes: Sequence[Wish]) -> list[Verdict]:
        """Spend all or nothing, in one step; shadow rules are decided aside, and never block."""
        rules = [await self._rules.get(wish.rule) for wish in wishes]
        takes = [
            Take(rule.bucket(wish.key), rule.build, wish.cost)
            for rule, wish in zip(rules, wishes, strict=True)
        ]
        blocking = [at for at, rule in enumerate(rules) if not rule.spec.shadow]
        answers = await self._buckets.take_all([takes[at] for at in blocking])
        spent = all(answer.allowed for answer in answers)
        decisions = dict(zip(blocking, answers, strict=True))
        for at, take in enumerate(takes):
            if at not in decisions:
                cost = take.cost if spent else 0
                decisions[at] = await self._buckets.take(take.key, take.rule, cost)
        return [rule.verdict(decisions[at]) for at, rule in enumerate(rules)]

    async def peek(self, rule: str, key: str) -> Verdict:
        """What is left, spending nothing. O(1)."""
        return await self.take(rule, key, 0)

    async def reset(self, rule: str, key: str) -> bool:
        """Give a caller the full capacity again; whether anything was missing."""
        found = await self._rules.get(rule)
        return await self._values.delete(found.bucket(key)) > 0

    async def _load(self, rule: str) -> Rule:
        name = name_bytes("rule", rule)
        fields = await self._hashes.get(_key(rule))
        if fields is None:
            raise NotFound(f"there is no rule {rule!r}; define it with PUT /v1/limits/{{rule}}")
        return _ready(rule, name, _spec(fields))


def _key(rule: str) -> bytes:
    return rule_key(name_bytes("rule", rule))


def _ready(rule: str, name: bytes, spec: RuleSpec) -> Rule:
    return Rule(rule, spec, spec.build(), _buckets(name))


def _buckets(rule: bytes) -> Callable[[str], bytes]:
    """The keys of a rule's callers. Those who come often come from the cache."""

    @lru_cache(maxsize=4096)
    def bucket(caller: str) -> bytes:
        return bucket_key(rule, name_bytes("key", caller))

    return bucket


def _fields(spec: RuleSpec) -> dict[bytes, bytes]:
    fields = {
        b"algorithm": spec.algorithm.encode(),
        b"limit": b"%d" % spec.limit,
        b"per": repr(spec.per).encode(),
        b"shadow": b"1" if spec.shadow else b"0",
    }
    if spec.burst is not None:
        fields[b"burst"] = b"%d" % spec.burst
    return fields


def _spec(fields: Mapping[bytes, bytes]) -> RuleSpec:
    burst = fields.get(b"burst")
    return RuleSpec(
        algorithm=cast(Algorithm, fields[b"algorithm"].decode()),
        limit=int(fields[b"limit"]),
        per=float(fields[b"per"]),
        burst=None if burst is None else int(burst),
        shadow=fields.get(b"shadow") == b"1",
    )

"""Where the rules of rate limits are kept: by name, and what is said of single callers.

A process reads a rule at its first use and keeps it until it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from realtime.backends.base import Backend, Parameters
from realtime.backends.keys import LIMIT_RULES, rule_key, shadow_key
from realtime.errors import Conflict, InvalidInput, NotFound
from realtime.services.cached import cached
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes
from realtime.services.rules import (
    DEFINED,
    MAX_OVERRIDES,
    Override,
    RuleSpec,
    Stored,
    fields_of,
    override_field,
    override_text,
    stored,
)
from realtime.services.terms import Rule, ready

__all__ = ["Rulebook"]


class Rulebook:
    """Every method may raise InvalidInput for a name, NotFound for a rule, BackendUnavailable."""

    def __init__(self, backend: Backend) -> None:
        self._buckets = backend.buckets
        self._hashes = backend.hashes
        self._values = backend.values
        self._rules = cached(backend, self._load, _key)
        self.ready: Callable[[str], Rule | None] = self._rules.look
        """A rule as it is kept in this process, without asking the store; for hot paths."""

    async def define(self, rule: str, spec: RuleSpec) -> RuleSpec:
        """Store a rule, or replace it; what is said of single callers stays.

        What callers have spent is read as ``spec.on_change`` says. Raises InvalidInput."""
        name = name_bytes("rule", rule)
        spec.check()
        key = _key(rule)
        before = await self._stored(rule)
        if before is None or before.spec != spec or before.since is None:
            now = await self._buckets.now()
            fields = fields_of(spec) | {b"since": b"%d" % now} | _history(before, spec)
            removed = [field for field in DEFINED if field not in fields]
            await self._hashes.patch(LIMIT_RULES, {name: b"%d" % now})
            await self._hashes.patch(key, fields, removed)
            self._rules.forget(rule)
        return spec

    async def spec(self, rule: str) -> RuleSpec | None:
        """The rule as it was defined, or None."""
        try:
            return (await self._find(rule)).spec
        except NotFound:
            return None

    async def names(self, after: str = "", limit: int = 1_000) -> list[str]:
        """Rules by name, those after ``after``. O(rules)."""
        if after:
            name_bytes("rule", after)
        names = sorted(name.decode() for name in await self._hashes.get(LIMIT_RULES) or ())
        return [name for name in names if name > after][:limit]

    async def remove(self, rule: str) -> bool:
        """Forget a rule; whether there was one. What callers have spent goes when it expires."""
        name = name_bytes("rule", rule)
        await self._hashes.patch(LIMIT_RULES, {}, [name])
        removed = await self._values.delete(_key(rule), shadow_key(name))
        self._rules.forget(rule)
        return removed > 0

    async def override(
        self, rule: str, key: str, override: Override, *, ttl: float | None = None
    ) -> Override:
        """Let a tier, or a rate of his own, hold for one caller, for ``ttl`` seconds or for good.

        Raises Conflict if the rule has too many of them."""
        found = await self._find(rule)
        if override.rate is not None:
            found.spec.check_rate(override.rate)
        elif override.tier not in found.spec.tiers:
            raise InvalidInput(f"the rule has no tier {override.tier!r}", path="$.tier")
        now = await self._buckets.now()
        others, over = _others(found.terms.stored.overrides, key, now)
        if others >= MAX_OVERRIDES:
            raise Conflict(f"a rule has at most {MAX_OVERRIDES} callers with rates of their own")
        expires = None if ttl is None else now + microseconds("ttl", ttl)
        override = override._replace(since=now, expires=expires)
        await self._change(rule, {override_field(key): override_text(override)}, over)
        return override

    async def remove_override(self, rule: str, key: str) -> bool:
        """Let the rule hold for a caller as for all others; whether it did not."""
        found = await self._find(rule)
        await self._change(rule, {}, [override_field(key)])
        return key in found.terms.stored.overrides

    async def _change(
        self, rule: str, changes: Mapping[bytes, bytes], removals: Sequence[bytes]
    ) -> None:
        """Of what is said of single callers: states may be of their rates from now on."""
        await self._hashes.patch(_key(rule), {**changes, b"amended": b"1"}, removals)
        self._rules.forget(rule)

    async def _find(self, rule: str) -> Rule:
        return await self._rules.get(rule)

    async def _load(self, rule: str) -> Rule:
        found = await self._stored(rule)
        if found is None:
            raise NotFound(f"there is no rule {rule!r}; define it with PUT /v1/limits/{{rule}}")
        return ready(rule, found)

    async def _stored(self, rule: str) -> Stored | None:
        """Raises Conflict for what cannot be read: a later version of ours has other algorithms."""
        try:
            return stored(await self._hashes.get(_key(rule)) or {})
        except ValueError as error:
            raise Conflict(f"the rule {rule!r} as it is stored cannot be read: {error}") from None


def _key(rule: str) -> bytes:
    return rule_key(name_bytes("rule", rule))


def _others(overrides: Mapping[str, Override], key: str, now: int) -> tuple[int, Sequence[bytes]]:
    """How many callers but this one have a rate of their own; and the fields of those who had."""
    over = [
        name
        for name, override in overrides.items()
        if override.expires is not None and override.expires <= now and name != key
    ]
    return len(overrides.keys() - {key, *over}), [override_field(name) for name in over]


def _history(before: Stored | None, spec: RuleSpec) -> dict[bytes, bytes]:
    """What has to be remembered of the rule as it was, so that callers' states can be read.

    They stay while it is a concurrency rule, too, which has none."""
    if before is None:
        return {}
    was, becomes = _parameters(before.spec), _parameters(spec)
    first = before.first or was
    if first is None or (was == becomes and not before.is_amended):
        return {}
    return {b"first": b" ".join([b"%d" % number for number in first]), b"amended": b"1"}


def _parameters(spec: RuleSpec) -> Parameters | None:
    return None if spec.algorithm == "concurrency" else spec.build().parameters

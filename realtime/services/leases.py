"""Concurrency: how many of a caller's things may run at once.

A rule of the algorithm ``concurrency`` is asked for leases. What runs holds one, renews it if
it runs long, and releases it at the end; what dies is taken for done when its lease expires.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from realtime.backends.base import MAX_LIMIT, NEVER, Backend, Decision, FixedWindow, LeaseDecision
from realtime.backends.keys import leases_key
from realtime.errors import InvalidInput
from realtime.services.durations import microseconds
from realtime.services.rules import RuleSpec
from realtime.services.terms import Reason, Rule, Source, Term, Verdict

__all__ = ["MAX_LEASE", "Held", "Lease", "Leases"]

MAX_LEASE = 64
"""Characters of an id, visible ASCII."""
MAX_SHOWN = 1_000


class Lease(NamedTuple):
    """The answer to an acquisition. Durations are microseconds, instants those since 1970."""

    allowed: bool
    """What to act on: a shadow rule never blocks."""
    id: str | None
    """None if there is no lease: nothing has to be released."""
    limit: int
    active: int
    retry_after: int
    """0 if it was granted, NEVER for a caller who is denied."""
    expires: int | None
    reason: Reason = ""


class Held(NamedTuple):
    """An active lease."""

    id: str
    expires: int


class Leases:
    """Every method may raise InvalidInput, NotFound for a rule, and BackendUnavailable."""

    def __init__(
        self,
        backend: Backend,
        find: Callable[[str], Awaitable[Rule]],
        count_shadow: Callable[[str], Awaitable[None]],
    ) -> None:
        self._leases = backend.leases
        self._buckets = backend.buckets
        self._find = find
        self._count_shadow = count_shadow

    async def acquire(
        self,
        rule: str,
        key: str,
        *,
        ttl: float | None = None,
        lease_id: str | None = None,
        tier: str | None = None,
    ) -> Lease:
        """A lease for ``ttl`` seconds, at most and by default those of the rule. O(log leases).

        An id that is active already is renewed, so that a retry does not hold two."""
        found = await self._concurrency(rule)
        wanted = secrets.token_urlsafe(12) if lease_id is None else _checked(lease_id)
        term = await self._term(found, key, tier)
        limit, source = term.spec.limit, term.source
        if source == "deny":
            return await self._answer(
                found, LeaseDecision(False, limit, 0, NEVER, 0), wanted, "denied"
            )
        decision = await self._leases.acquire(
            leases_key(found.bucket(key)),
            MAX_LIMIT if source == "allow" else limit,
            wanted.encode(),
            _ttl(found.spec, ttl),
        )
        reason: Reason = "exempt" if source == "allow" else ""
        if not decision.granted:
            reason = "saturated" if decision.is_saturated else "limit"
        return await self._answer(found, decision._replace(limit=limit), wanted, reason)

    async def renew(
        self, rule: str, key: str, lease_id: str, ttl: float | None = None
    ) -> Held | None:
        """Let it last for ``ttl`` seconds from now; None if it is not active any more."""
        found = await self._concurrency(rule)
        lease, duration = _checked(lease_id).encode(), _ttl(found.spec, ttl)
        expires = await self._leases.renew(leases_key(found.bucket(key)), lease, duration)
        return None if expires is None else Held(lease_id, expires)

    async def release(self, rule: str, key: str, lease_id: str) -> bool:
        """Whether it was active until now; may be repeated."""
        found = await self._concurrency(rule)
        return await self._leases.release(
            leases_key(found.bucket(key)), _checked(lease_id).encode()
        )

    async def of(self, rule: str, key: str) -> list[Held]:
        """The active leases of a caller, the first to expire first; the first thousand."""
        found = await self._concurrency(rule)
        rows = await self._leases.active(leases_key(found.bucket(key)), MAX_SHOWN)
        return [Held(lease.decode(), expires) for lease, expires in rows]

    async def count(self, found: Rule, key: str) -> int:
        """How many are active."""
        return await self._leases.count(leases_key(found.bucket(key)))

    async def look(self, found: Rule, key: str, tier: str | None = None) -> tuple[Term, Verdict]:
        """How a caller stands, in the words of other limits. O(active leases)."""
        term = await self._term(found, key, tier)
        said = found.beside_the_store(term)
        if said is not None:
            return term, said
        count = await self.count(found, key)
        rows = await self._leases.active(leases_key(found.bucket(key)), max(1, count))
        decision = _decision(term.spec.limit, [ends for _, ends in rows], await self._buckets.now())
        return term, found.judged(term, decision, "" if decision.allowed else "limit")

    async def _term(self, found: Rule, key: str, tier: str | None) -> Term:
        """What holds for a caller. Raises InvalidInput if the rule has no such tier."""
        stored = found.terms.stored
        spec = stored.spec
        if tier is not None and tier not in spec.tiers:
            raise InvalidInput(f"the rule has no tier {tier!r}")
        override = stored.overrides.get(key)
        if override is not None and override.expires is not None:
            override = override if override.expires > await self._buckets.now() else None
        source: Source = "rule" if tier is None else "tier"
        rate = None if tier is None else spec.tiers[tier]
        if override is not None:
            source, tier = "override", override.tier
            rate = override.rate if tier is None else spec.tiers.get(tier)
        held = spec if rate is None else spec.at_rate(rate)
        source = "deny" if key in spec.deny else "allow" if key in spec.allow else source
        return Term(source, held, FixedWindow(held.limit, 1), tier, override)

    async def _answer(
        self, found: Rule, decision: LeaseDecision, wanted: str, reason: Reason
    ) -> Lease:
        if not decision.granted and found.spec.shadow:
            await self._count_shadow(found.name)
        return Lease(
            decision.granted or found.spec.shadow,
            wanted if decision.granted else None,
            decision.limit,
            decision.active,
            decision.retry_after,
            decision.expires if decision.granted else None,
            reason,
        )

    async def _concurrency(self, rule: str) -> Rule:
        found = await self._find(rule)
        if found.spec.algorithm != "concurrency":
            raise InvalidInput(f"{rule!r} is no concurrency rule: it is taken from")
        return found


def _decision(limit: int, ends: Sequence[int], now: int) -> Decision:
    """Of a look, from when the active leases end."""
    left = max(0, limit - len(ends))
    wait = 0 if left else max(0, ends[len(ends) - limit] - now)
    return Decision(left > 0, limit, left, wait, max(0, ends[-1] - now) if ends else 0)


def _checked(lease_id: str) -> str:
    is_one = 1 <= len(lease_id) <= MAX_LEASE and all("!" <= letter <= "~" for letter in lease_id)
    if not is_one:
        raise InvalidInput(f"a lease's id is 1 to {MAX_LEASE} visible characters of ASCII")
    return lease_id


def _ttl(spec: RuleSpec, ttl: float | None) -> int:
    longest = microseconds("per", spec.per)
    wanted = longest if ttl is None else microseconds("ttl", ttl)
    if wanted > longest:
        raise InvalidInput(f"a lease of this rule lasts at most {spec.per} seconds")
    return wanted

"""How rules, decisions and leases are written in the HTTP interface of a service."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import quote

from realtime.backends.base import NEVER, Decision
from realtime.middleware.rules import Rule
from realtime.services.leases import Lease
from realtime.services.limits import Reason, RuleSpec, Tier, Verdict, Wish

__all__ = ["definition", "lease_of", "rule_path", "take_of", "verdict_of"]

SECOND = 1_000_000


def rule_path(rule: str) -> str:
    """Where a rule is, whatever its name."""
    return f"/v1/limits/{quote(rule, safe='')}"


def take_of(wish: Wish) -> dict[str, object]:
    """The body of a take, but for the rule."""
    body: dict[str, object] = {"key": wish.key, "cost": wish.cost}
    return body if wish.tier is None else body | {"tier": wish.tier}


def definition(rule: Rule) -> dict[str, object]:
    """The body that defines a rule; what is as it is by default is left out."""
    spec = rule.spec
    body: dict[str, object] = {
        "algorithm": spec.algorithm,
        "limit": spec.limit,
        "shadow": spec.shadow,
    }
    if spec.unit is None:
        body["per"] = spec.per
    else:
        body |= {"unit": spec.unit, "timezone": spec.timezone}
    if spec.burst is not None:
        body["burst"] = spec.burst
    if spec.penalty is not None:
        after, within, duration = spec.penalty
        body["penalty"] = {"after": after, "within": within, "for": duration}
    if spec.on_change != "as-is":
        body["on_change"] = spec.on_change
    tiers = {name: _rate(tier) for name, tier in spec.tiers.items()}
    lists = {"tiers": tiers, "allow": list(spec.allow), "deny": list(spec.deny)}
    return body | {name: value for name, value in lists.items() if value}


def verdict_of(answer: Mapping[str, Any], rule: Rule, tier: str | None) -> Verdict:
    """Raises KeyError, TypeError or ValueError for what is no decision."""
    wait = answer["retry_after"]
    retry_after = NEVER if wait is None else round(wait * SECOND)
    decision = Decision(
        # Of a shadow rule it says what would have been.
        retry_after == 0,
        int(answer["limit"]),
        int(answer["remaining"]),
        retry_after,
        round(answer["reset_after"] * SECOND),
    )
    spec = _spec(rule, tier, decision.limit)
    build = spec.build(time.time_ns() // 1_000)
    allowed, reason = bool(answer["allowed"]), cast(Reason, answer.get("reason", ""))
    if not allowed and not reason:
        reason = "limit"
    return Verdict(rule.name, spec, decision, build, allowed, reason)


def lease_of(answer: Mapping[str, Any]) -> Lease:
    """Raises KeyError, TypeError or ValueError for what is no lease."""
    wait = answer["retry_after"]
    return Lease(
        allowed=bool(answer["allowed"]),
        id=answer["id"],
        limit=int(answer["limit"]),
        active=int(answer["active"]),
        retry_after=NEVER if wait is None else round(wait * SECOND),
        expires=None,  # the service knows; we renew long before
        reason=cast(Reason, answer.get("reason", "")),
    )


def _rate(tier: Tier) -> dict[str, object]:
    return {name: value for name, value in tier._asdict().items() if value is not None}


def _spec(rule: Rule, tier: str | None, limit: int) -> RuleSpec:
    """What decided, as far as we know it.

    Where the service decided by a rate that we do not know, one of the caller's own or of
    another definition, its capacity is all there is to say. A window of that size is told then:
    whoever waits until it is over is not too early."""
    spec = rule.spec if tier is None else rule.spec.at_rate(rule.tiers[tier])
    capacity = spec.limit if spec.burst is None else spec.burst
    if capacity == limit or spec.unit is not None:
        return replace(spec, limit=limit) if spec.unit is not None else spec
    return replace(spec, algorithm="fixed_window", limit=limit, burst=None, penalty=None)

"""What bodies and answers of rate limits look like, and how the services' words become them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from realtime.backends.base import NEVER
from realtime.http.operation import Answer, Body, PathFields
from realtime.http.values import Name, RuleName, Seconds, instant, seconds
from realtime.services.limits import RuleSpec, Verdict
from realtime.services.rules import MAX_LISTED, MAX_TIERS, Override, Penalty, Tier

__all__ = [
    "Algorithm",
    "Burst",
    "Cost",
    "Count",
    "Decision",
    "Key",
    "KeyPath",
    "Limit",
    "NewCalendarRule",
    "NewRule",
    "OnChange",
    "OverrideAnswer",
    "Period",
    "RateOverride",
    "Reason",
    "Rule",
    "RulePath",
    "TierName",
    "TierOverride",
    "Unit",
    "decision_of",
    "override_of",
    "rule_of",
    "spec_of",
]

MAX_LIMIT = 2**31 - 1
YEAR = 366 * 86_400.0

Algorithm = Literal["token_bucket", "sliding_window", "fixed_window", "sliding_log", "concurrency"]
Unit = Literal["minute", "hour", "day", "week", "month"]
OnChange = Annotated[
    Literal["as-is", "proportional", "reset"],
    Meta(description="What becomes of what callers have spent when the rule is changed to this."),
]
Reason = Literal["limit", "denied", "penalty", "saturated", "exempt"]

Count = Annotated[int, Meta(ge=0)]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]
Cost = Annotated[int, Meta(ge=0, le=MAX_LIMIT, description="A cost of 0 only looks.")]
Key = Annotated[Name, Meta(description="Who is limited.", examples=["user:1"])]
TierName = Annotated[Name, Meta(description="One of the rule's tiers.", examples=["gold"])]
Period = Annotated[
    float,
    Meta(
        ge=0.001,
        le=YEAR,
        description="Seconds. Of a concurrency rule: how long a lease lasts unless it is renewed.",
    ),
]
Burst = Annotated[
    Limit | None,
    Meta(
        description="Token bucket only: the most that can be had at once; else the limit. It must "
        "take no longer than 100 years to be regained: `burst * per / limit` seconds."
    ),
]
Shadow = Annotated[bool, Meta(description="Decide and count, but never refuse.")]
Zone = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9_+/-]{1,64}$",
        description="A name of the IANA database.",
        examples=["Europe/Berlin"],
    ),
]
Keys = Annotated[list[Key], Meta(max_length=MAX_LISTED)]
Allow = Annotated[Keys, Meta(description="Keys that are never refused, and spend nothing.")]
Deny = Annotated[Keys, Meta(description="Keys that are always refused.")]


class TierRate(Body):
    """Another rate; what is left out is as the rule says."""

    limit: Limit
    per: Period | None = None
    burst: Limit | None = None


class PenaltyBox(Body):
    """A key that is refused `after` times `within` so many seconds is refused `for` so many."""

    after: Limit
    within: Period
    duration: Period = field(name="for")


Tiers = Annotated[dict[str, TierRate], Meta(max_length=MAX_TIERS)]


class RulePath(PathFields):
    rule: RuleName


class KeyPath(PathFields):
    rule: RuleName
    key: Key


class _Rest(Body, kw_only=True):
    """What every rule may have."""

    shadow: Shadow = False
    tiers: Tiers | UnsetType = UNSET
    penalty: PenaltyBox | None = None
    allow: Allow | UnsetType = UNSET
    deny: Deny | UnsetType = UNSET
    on_change: OnChange = "as-is"


class NewRule(_Rest, kw_only=True):
    """`limit` per `per` seconds."""

    limit: Limit
    per: Period
    algorithm: Algorithm = "token_bucket"
    burst: Burst = None


class NewCalendarRule(_Rest, kw_only=True):
    """`limit` per calendar `unit`, as it begins in a time zone."""

    algorithm: Literal["calendar"]
    limit: Limit
    unit: Unit
    timezone: Zone = "UTC"


class Rule(Answer, kw_only=True):
    """A rule as it is in force; what is as it is by default is left out."""

    rule: RuleName
    algorithm: Literal[Algorithm, "calendar"]
    limit: Limit
    per: Period | UnsetType = UNSET
    burst: Burst
    shadow: Shadow
    unit: Unit | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    tiers: Tiers | UnsetType = UNSET
    penalty: PenaltyBox | UnsetType = UNSET
    allow: Allow | UnsetType = UNSET
    deny: Deny | UnsetType = UNSET
    on_change: OnChange | UnsetType = UNSET


class TierOverride(Body, kw_only=True):
    """One of the rule's tiers for one key."""

    tier: TierName
    ttl: Seconds | None = None


class RateOverride(Body, kw_only=True):
    """A rate of its own for one key."""

    limit: Limit
    per: Period | None = None
    burst: Limit | None = None
    ttl: Seconds | None = None


class OverrideAnswer(Answer):
    """What holds for one key, and until when; null is as long as it stands."""

    rule: RuleName
    key: Key
    tier: str | None
    limit: Limit | None
    per: Period | None
    burst: Limit | None
    since: datetime
    expires_at: datetime | None


class Decision(Answer):
    """Whether it passes, and what is left."""

    allowed: Annotated[bool, Meta(description="What to act on: always true for a shadow rule.")]
    limit: Limit
    remaining: Count
    retry_after: Annotated[
        float | None,
        Meta(description="Seconds until the same cost can pass: 0 if it does, null if never."),
    ]
    reset_after: Annotated[float, Meta(ge=0, description="Seconds until all is there again.")]
    reason: Annotated[
        Reason | UnsetType,
        Meta(
            description="Why it was refused: the limit, the deny list, the penalty box, or no room "
            "to remember another key. Or why nothing was spent: the key is exempt."
        ),
    ] = UNSET


def spec_of(body: NewRule | NewCalendarRule) -> RuleSpec:
    common = {
        "limit": body.limit,
        "shadow": body.shadow,
        "tiers": _tiers(body.tiers or {}),
        "penalty": body.penalty and _penalty(body.penalty),
        "allow": tuple(body.allow or ()),
        "deny": tuple(body.deny or ()),
        "on_change": body.on_change,
    }
    if isinstance(body, NewCalendarRule):
        return RuleSpec("calendar", unit=body.unit, timezone=body.timezone, **common)  # type: ignore[arg-type]
    return RuleSpec(body.algorithm, per=body.per, burst=body.burst, **common)  # type: ignore[arg-type]


def rule_of(name: str, spec: RuleSpec) -> Rule:
    penalty = spec.penalty
    return Rule(
        rule=name,
        algorithm=spec.algorithm,
        limit=spec.limit,
        per=spec.per if spec.unit is None else UNSET,
        burst=spec.burst,
        shadow=spec.shadow,
        unit=spec.unit or UNSET,
        timezone=spec.timezone if spec.unit is not None else UNSET,
        tiers={name: TierRate(*tier) for name, tier in spec.tiers.items()} or UNSET,
        penalty=UNSET if penalty is None else PenaltyBox(*penalty),
        allow=list(spec.allow) or UNSET,
        deny=list(spec.deny) or UNSET,
        on_change=UNSET if spec.on_change == "as-is" else spec.on_change,
    )


def override_of(rule: str, key: str, override: Override) -> OverrideAnswer:
    rate = override.rate
    return OverrideAnswer(
        rule=rule,
        key=key,
        tier=override.tier,
        limit=None if rate is None else rate.limit,
        per=None if rate is None else rate.per,
        burst=None if rate is None else rate.burst,
        since=instant(override.since),
        expires_at=None if override.expires is None else instant(override.expires),
    )


def decision_of(verdict: Verdict) -> Decision:
    decision = verdict.decision
    return Decision(
        allowed=verdict.allowed,
        limit=decision.limit,
        remaining=decision.remaining,
        retry_after=None if decision.retry_after == NEVER else seconds(decision.retry_after),
        reset_after=seconds(decision.reset_after),
        reason=verdict.reason or UNSET,
    )


def _tiers(tiers: Mapping[str, TierRate]) -> dict[str, Tier]:
    return {name: Tier(tier.limit, tier.per, tier.burst) for name, tier in tiers.items()}


def _penalty(penalty: PenaltyBox) -> Penalty:
    return Penalty(penalty.after, penalty.within, penalty.duration)

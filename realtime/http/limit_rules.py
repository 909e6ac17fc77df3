"""The routes of rules of rate limits: define, read, list, remove; what holds for one key; why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from realtime.errors import NotFound
from realtime.http.limit_shapes import (
    Count,
    Decision,
    Key,
    KeyPath,
    NewCalendarRule,
    NewRule,
    OverrideAnswer,
    RateOverride,
    Rule,
    RulePath,
    TierName,
    TierOverride,
    decision_of,
    override_of,
    rule_of,
    spec_of,
)
from realtime.http.operation import Answer, Example, Feature, QueryFields, Scope, operation
from realtime.http.values import RuleName, instant, seconds
from realtime.services.explaining import state_text
from realtime.services.limits import Limits
from realtime.services.rules import Override, Tier

__all__ = ["OPERATIONS"]

TAG: Feature = "limits"
READ, ADMIN = Scope(TAG, "read"), Scope(TAG, "admin")

MAX_RULES = 1_000


class RulesQuery(QueryFields):
    after: Annotated[
        RuleName | UnsetType, Meta(description="Begin after this one: the last you have seen.")
    ] = UNSET
    limit: Annotated[int, Meta(ge=1, le=MAX_RULES)] = 100


class Rules(Answer):
    """By name."""

    rules: list[Rule]


class ExplainQuery(QueryFields):
    key: Key
    tier: TierName | UnsetType = UNSET


class Explanation(Answer):
    """What decides for a key, and how it stands."""

    rule: RuleName
    key: Key
    decided_by: Annotated[
        Literal["deny", "allow", "override", "tier", "rule"],
        Meta(description="A list, what was set for the key, a tier, or the rule itself."),
    ]
    tier: str | None
    since: Annotated[
        datetime | None,
        Meta(description="When that became what it is; null for a rule of an older version."),
    ]
    expires_at: datetime | None
    in_force: Annotated[Rule, Meta(description="The rule with the rate that holds for the key.")]
    decision: Decision
    state: Annotated[str, Meta(description="The same, for people.")]
    violations: Annotated[Count, Meta(description="That count towards the penalty box.")]
    released_after: Annotated[
        float, Meta(ge=0, description="Seconds that the key will still be in the penalty box.")
    ]
    leases: Annotated[Count, Meta(description="Active now.")]
    shadow_refused: Annotated[
        Count, Meta(description="How often the shadow rule would have refused any key.")
    ]


_RULE = (
    '{"rule":"login","algorithm":"token_bucket","limit":5,"per":60.0,"burst":null,"shadow":false}'
)
_OVERRIDE = (
    '{"rule":"login","key":"user:1","tier":null,"limit":50,"per":null,"burst":null,'
    '"since":"2026-01-01T12:00:00Z","expires_at":null}'
)
_EXPLANATION = (
    '{"rule":"login","key":"user:1","decided_by":"rule","tier":null,'
    '"since":"2026-01-01T12:00:00Z","expires_at":null,"in_force":' + _RULE + ","
    '"decision":{"allowed":true,"limit":5,"remaining":4,"retry_after":0.0,"reset_after":12.0},'
    '"state":"4 of 5 left, all of it in 12 s","violations":0,"released_after":0.0,"leases":0,'
    '"shadow_refused":0}'
)


@operation(
    "PUT",
    "/v1/limits/{rule}",
    tag=TAG,
    scope=ADMIN,
    summary="Define a rule",
    example=Example(body='{"algorithm":"token_bucket","limit":5,"per":60}', answer=_RULE),
)
async def define_rule(limits: Limits, path: RulePath, body: NewRule | NewCalendarRule) -> Rule:
    """Or replace it: `on_change` says how what callers have spent is read from then on; what was
    set for single keys stays. A token bucket holds `burst` at most and regains `limit` per `per`
    seconds; a sliding window admits about `limit` in any period, a sliding log never more; a fixed
    window `limit` per aligned period, a calendar per `unit`; a concurrency rule so many at once."""
    return rule_of(path.rule, await limits.define(path.rule, spec_of(body)))


@operation(
    "GET",
    "/v1/limits/{rule}",
    tag=TAG,
    scope=READ,
    summary="Read a rule",
    errors=(NotFound,),
    example=Example(answer=_RULE),
)
async def read_rule(limits: Limits, path: RulePath) -> Rule:
    """404 if it was never defined."""
    spec = await limits.spec(path.rule)
    if spec is None:
        raise NotFound("there is no such rule")
    return rule_of(path.rule, spec)


@operation(
    "GET",
    "/v1/limits",
    tag=TAG,
    scope=READ,
    summary="List the rules",
    example=Example(answer='{"rules":[' + _RULE + "]}", query="limit=10"),
)
async def list_rules(limits: Limits, query: RulesQuery) -> Rules:
    """By name, so many after another."""
    names = await limits.names(query.after or "", query.limit)
    found = [(name, await limits.spec(name)) for name in names]
    return Rules(rules=[rule_of(name, spec) for name, spec in found if spec is not None])


@operation("DELETE", "/v1/limits/{rule}", tag=TAG, scope=ADMIN, summary="Remove a rule")
async def remove_rule(limits: Limits, path: RulePath) -> None:
    """204 also if there was none. What was set for single keys goes with it; what callers have
    spent is forgotten at the time at which it would be given back."""
    await limits.remove(path.rule)


@operation(
    "PUT",
    "/v1/limits/{rule}/keys/{key}",
    tag=TAG,
    scope=ADMIN,
    summary="Let another rate hold for one key",
    errors=(NotFound,),
    example=Example(body='{"limit":50}', answer=_OVERRIDE),
)
async def override_key(
    limits: Limits, path: KeyPath, body: RateOverride | TierOverride
) -> OverrideAnswer:
    """One of the rule's tiers, or a rate of its own; for `ttl` seconds, or for good. What the key
    has spent is read as the rule's `on_change` says. A rule has 10,000 such keys at most: if each
    of your users is of some tier, say which with each take."""
    if isinstance(body, TierOverride):
        override = Override(tier=body.tier)
    else:
        override = Override(rate=Tier(body.limit, body.per, body.burst))
    stored = await limits.override(path.rule, path.key, override, ttl=body.ttl)
    return override_of(path.rule, path.key, stored)


@operation(
    "DELETE",
    "/v1/limits/{rule}/keys/{key}/override",
    tag=TAG,
    scope=ADMIN,
    summary="Let the rule hold for a key as for all others",
    errors=(NotFound,),
)
async def remove_override(limits: Limits, path: KeyPath) -> None:
    """204 also if it did."""
    await limits.remove_override(path.rule, path.key)


@operation(
    "GET",
    "/v1/limits/{rule}/explain",
    tag=TAG,
    scope=READ,
    summary="Say why a key is treated as it is",
    errors=(NotFound,),
    private=True,
    example=Example(answer=_EXPLANATION, query="key=user%3A1"),
)
async def explain(limits: Limits, path: RulePath, query: ExplainQuery) -> Explanation:
    """Which list, rate or rule decides, since when, and how the key stands. Spends nothing."""
    found = await limits.explain(path.rule, query.key, query.tier or None)
    override = found.term.override if found.term.source == "override" else None
    expires = None if override is None else override.expires
    return Explanation(
        rule=path.rule,
        key=query.key,
        decided_by=found.term.source,
        tier=found.term.tier,
        since=None if found.since is None else instant(found.since),
        expires_at=None if expires is None else instant(expires),
        in_force=rule_of(path.rule, found.term.spec),
        decision=decision_of(found.verdict),
        state=state_text(found),
        violations=found.violations,
        released_after=seconds(found.released_after),
        leases=found.leases,
        shadow_refused=found.shadow_refused,
    )


OPERATIONS = (
    define_rule,
    read_rule,
    list_rules,
    remove_rule,
    override_key,
    remove_override,
    explain,
)

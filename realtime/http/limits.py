"""The routes of rate limits: take, look, give back, settle, reset.

A decision is always 200, whatever it says: the caller asked whether, not for the thing
itself. Takes also carry the RateLimit and RateLimit-Policy headers (draft 10) and, if
refused, Retry-After, ready to be handed on. Rules are defined in `realtime.http.limit_rules`;
leases are in `realtime.http.leases`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from realtime.errors import NotFound
from realtime.http.limit_shapes import (
    Cost,
    Count,
    Decision,
    Key,
    KeyPath,
    Limit,
    Reason,
    RulePath,
    TierName,
    decision_of,
)
from realtime.http.operation import (
    Answer,
    Body,
    Example,
    Feature,
    PathFields,
    QueryFields,
    Reply,
    Scope,
    operation,
)
from realtime.http.ratelimit import DESCRIBED, headers_of
from realtime.http.values import RuleName
from realtime.services.limits import MAX_HOLD, Limits, Wish

__all__ = ["OPERATIONS"]

TAG: Feature = "limits"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")

MAX_TAKES = 100

Hold = Annotated[float, Meta(gt=0, le=MAX_HOLD, description="Seconds until it must be settled.")]
ReservationId = Annotated[
    str, Meta(pattern="^[A-Za-z0-9_.-]{1,63}$", examples=["c3VjaCBhbiBpZA.5"])
]


class Take(Body):
    """What one caller wants to spend."""

    key: Key
    cost: Cost = 1
    tier: TierName | None = None


class RuleTake(Take, kw_only=True):
    """What one caller wants to spend under a rule."""

    rule: RuleName


class Takes(Body):
    """All are granted, or none is spent."""

    takes: Annotated[list[RuleTake], Meta(min_length=1, max_length=MAX_TAKES)]


class Refund(Body):
    """What one caller gets back."""

    key: Key
    amount: Limit
    tier: TierName | None = None


class Estimate(Body):
    """What one caller will spend, as far as that is known before."""

    key: Key
    cost: Limit = 1
    ttl: Hold = 60.0
    tier: TierName | None = None


class Settlement(Body):
    """What it was in the end."""

    key: Key
    cost: Cost
    tier: TierName | None = None


class ReservationPath(PathFields):
    rule: RuleName
    reservation: ReservationId


class TierQuery(QueryFields):
    tier: TierName | UnsetType = UNSET


class RuleDecision(Answer):
    """The decision on one of several takes."""

    rule: RuleName
    key: Key
    allowed: bool
    limit: Limit
    remaining: Count
    retry_after: float | None
    reset_after: Annotated[float, Meta(ge=0)]
    reason: Reason | UnsetType = UNSET


class Decisions(Answer):
    """The common decision, the rules that forbade it, and each take in the order asked."""

    allowed: bool
    violated: list[RuleName]
    results: list[RuleDecision]


class Reservation(Answer):
    """The decision on an estimate, and by which name it is settled; null if nothing was spent."""

    reservation: ReservationId | None
    allowed: bool
    limit: Limit
    remaining: Count
    retry_after: float | None
    reset_after: Annotated[float, Meta(ge=0)]
    reason: Reason | UnsetType = UNSET


_EXAMPLE_DECISION = '{"allowed":true,"limit":5,"remaining":4,"retry_after":0.0,"reset_after":12.0}'


@operation(
    "POST",
    "/v1/limits/{rule}/take",
    tag=TAG,
    scope=WRITE,
    summary="Ask whether a caller may proceed",
    errors=(NotFound,),
    private=True,
    answer_headers=DESCRIBED,
    example=Example(body='{"key":"user:1"}', answer=_EXAMPLE_DECISION),
)
async def take(limits: Limits, path: RulePath, body: Take) -> Reply[Decision]:
    """Spends `cost` if it is allowed; a refusal spends nothing. The answer is 200 either way.
    `tier` says which of the rule's tiers the caller is of, if you know it; what was set for the
    key itself comes first."""
    verdict = await limits.take(path.rule, body.key, body.cost, body.tier)
    return Reply(decision_of(verdict), headers_of((verdict,)))


@operation(
    "POST",
    "/v1/limits/take",
    tag=TAG,
    scope=WRITE,
    summary="Ask under several rules at once",
    errors=(NotFound,),
    private=True,
    answer_headers=DESCRIBED,
    example=Example(
        body='{"takes":[{"rule":"login","key":"user:1"}]}',
        answer='{"allowed":true,"violated":[],"results":[{"rule":"login","key":"user:1",'
        + _EXAMPLE_DECISION[1:]
        + "]}",
    ),
)
async def take_all(limits: Limits, body: Takes) -> Reply[Decisions]:
    """All or nothing, in one step: if one rule refuses, none of the others is charged. The keys
    may differ, as those of an organisation, a user and an API key do; on Redis Cluster they must
    then share a hash tag, as `{acme}` and `{acme}:ada` do."""
    wishes = [Wish(one.rule, one.key, one.cost, one.tier) for one in body.takes]
    verdicts = await limits.take_all(wishes)
    violated = dict.fromkeys(verdict.rule for verdict in verdicts if not verdict.allowed)
    results = [
        RuleDecision(rule=wish.rule, key=wish.key, **msgspec.structs.asdict(decision_of(verdict)))
        for wish, verdict in zip(wishes, verdicts, strict=True)
    ]
    answer = Decisions(allowed=not violated, violated=list(violated), results=results)
    return Reply(answer, headers_of(verdicts))


@operation(
    "GET",
    "/v1/limits/{rule}/keys/{key}",
    tag=TAG,
    scope=READ,
    summary="Look what a caller has left",
    errors=(NotFound,),
    private=True,
    answer_headers=DESCRIBED,
    example=Example(answer=_EXAMPLE_DECISION),
)
async def peek(limits: Limits, path: KeyPath, query: TierQuery) -> Reply[Decision]:
    """Spends nothing. `allowed` says whether a cost of 1 would pass now."""
    tier = query.tier or None
    verdict = await limits.peek(path.rule, path.key, tier)
    if not verdict.decision.remaining and not verdict.reason:
        verdict = await limits.forecast(path.rule, path.key, 1, tier)
    return Reply(decision_of(verdict), headers_of((verdict,)))


@operation(
    "DELETE",
    "/v1/limits/{rule}/keys/{key}",
    tag=TAG,
    scope=WRITE,
    summary="Give a caller everything back",
    errors=(NotFound,),
)
async def reset(limits: Limits, path: KeyPath) -> None:
    """204 also if nothing was missing. Takes a key out of the penalty box, too; what was set for
    it, and its leases, stay."""
    await limits.reset(path.rule, path.key)


@operation(
    "POST",
    "/v1/limits/{rule}/refund",
    tag=TAG,
    scope=WRITE,
    summary="Give back what was spent in vain",
    errors=(NotFound,),
    private=True,
    answer_headers=DESCRIBED,
    example=Example(body='{"key":"user:1","amount":1}', answer=_EXAMPLE_DECISION),
)
async def refund(limits: Limits, path: RulePath, body: Refund) -> Reply[Decision]:
    """Never more than is missing. The answer is what is left after it."""
    verdict = await limits.refund(path.rule, body.key, body.amount, body.tier)
    return Reply(decision_of(verdict), headers_of((verdict,)))


@operation(
    "POST",
    "/v1/limits/{rule}/reservations",
    tag=TAG,
    scope=WRITE,
    summary="Spend an estimate",
    errors=(NotFound,),
    private=True,
    answer_headers=DESCRIBED,
    links={"settle": ("reservation", "$response.body#/reservation")},
    example=Example(
        body='{"key":"user:1","cost":5}',
        answer='{"reservation":"c3VjaCBhbiBpZA.5","allowed":true,"limit":5,"remaining":0,'
        '"retry_after":0.0,"reset_after":60.0}',
    ),
)
async def reserve(limits: Limits, path: RulePath, body: Estimate) -> Reply[Reservation]:
    """For what costs more or less than is known before. What is not settled within `ttl` seconds
    stays spent as it was estimated."""
    reserved = await limits.reserve(path.rule, body.key, body.cost, body.ttl, body.tier)
    decision = msgspec.structs.asdict(decision_of(reserved.verdict))
    return Reply(Reservation(reservation=reserved.id, **decision), headers_of((reserved.verdict,)))


@operation(
    "PUT",
    "/v1/limits/{rule}/reservations/{reservation}",
    tag=TAG,
    scope=WRITE,
    summary="Settle an estimate to the real cost",
    errors=(NotFound,),
    private=True,
    answer_headers=DESCRIBED,
    example=Example(body='{"key":"user:1","cost":1}', answer=_EXAMPLE_DECISION),
)
async def settle(limits: Limits, path: ReservationPath, body: Settlement) -> Reply[Decision]:
    """Once: 404 if it was settled already, or has expired, and nothing is done. What was too much
    is given back, unless the clock has given it back meanwhile; what was too little is spent as
    far as it is left. The answer is what is left after it."""
    verdict = await limits.settle(path.rule, body.key, path.reservation, body.cost, body.tier)
    if verdict is None:
        raise NotFound("there is no such reservation, or it is settled, or has expired")
    return Reply(decision_of(verdict), headers_of((verdict,)))


OPERATIONS = (take, take_all, peek, reset, refund, reserve, settle)

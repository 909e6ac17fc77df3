"""The routes of rate limits: define a rule, take from it, look, reset.

A decision is always 200, whatever it says: the caller asked whether, not for the thing
itself. Takes also carry the RateLimit and RateLimit-Policy headers (draft 10) and, if
refused, Retry-After, ready to be handed on.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from realtime.backends.base import NEVER
from realtime.errors import NotFound
from realtime.http.operation import (
    Answer,
    Body,
    Example,
    Feature,
    PathFields,
    Reply,
    Scope,
    operation,
)
from realtime.http.ratelimit import DESCRIBED, headers_of
from realtime.http.values import Name, RuleName, seconds
from realtime.services.limits import Algorithm, Limits, RuleSpec, Verdict, Wish

__all__ = ["OPERATIONS"]

TAG: Feature = "limits"
READ, WRITE, ADMIN = Scope(TAG, "read"), Scope(TAG, "write"), Scope(TAG, "admin")

MAX_TAKES = 100
MAX_LIMIT = 2**31 - 1
YEAR = 366 * 86_400.0

Count = Annotated[int, Meta(ge=0)]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]
Cost = Annotated[int, Meta(ge=0, le=MAX_LIMIT, description="A cost of 0 only looks.")]
Key = Annotated[Name, Meta(description="Who is limited.", examples=["user:1"])]
Period = Annotated[float, Meta(ge=0.001, le=YEAR, description="Seconds.")]
Burst = Annotated[
    Limit | None,
    Meta(
        description="Token bucket only: the most that can be had at once; else the limit. It must "
        "take no longer than 100 years to be regained: `burst * per / limit` seconds."
    ),
]
Shadow = Annotated[bool, Meta(description="Decide and count, but never refuse.")]


class RulePath(PathFields):
    rule: RuleName


class KeyPath(PathFields):
    rule: RuleName
    key: Key


class NewRule(Body):
    """`limit` per `per` seconds."""

    limit: Limit
    per: Period
    algorithm: Algorithm = "token_bucket"
    burst: Burst = None
    shadow: Shadow = False


class Rule(Answer):
    """A rule as it is in force."""

    rule: RuleName
    algorithm: Algorithm
    limit: Limit
    per: Period
    burst: Burst
    shadow: Shadow


class Take(Body):
    """What one caller wants to spend."""

    key: Key
    cost: Cost = 1


class RuleTake(Take, kw_only=True):
    """What one caller wants to spend under a rule."""

    rule: RuleName


class Takes(Body):
    """All are granted, or none is spent."""

    takes: Annotated[list[RuleTake], Meta(min_length=1, max_length=MAX_TAKES)]


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


class RuleDecision(Answer):
    """The decision on one of several takes."""

    rule: RuleName
    key: Key
    allowed: bool
    limit: Limit
    remaining: Count
    retry_after: float | None
    reset_after: Annotated[float, Meta(ge=0)]


class Decisions(Answer):
    """The common decision, the rules that forbade it, and each take in the order asked."""

    allowed: bool
    violated: list[RuleName]
    results: list[RuleDecision]


_EXAMPLE_RULE = (
    '{"rule":"login","algorithm":"token_bucket","limit":5,"per":60.0,"burst":null,"shadow":false}'
)
_EXAMPLE_DECISION = '{"allowed":true,"limit":5,"remaining":4,"retry_after":0.0,"reset_after":12.0}'


@operation(
    "PUT",
    "/v1/limits/{rule}",
    tag=TAG,
    scope=ADMIN,
    summary="Define a rule",
    example=Example(body='{"algorithm":"token_bucket","limit":5,"per":60}', answer=_EXAMPLE_RULE),
)
async def define_rule(limits: Limits, path: RulePath, body: NewRule) -> Rule:
    """Or replace it: callers keep what they have spent, as far as it fits. A token bucket holds
    `burst` at most and regains `limit` per `per` seconds; a sliding window admits about `limit`
    in any period; a fixed window `limit` per aligned period."""
    spec = RuleSpec(body.algorithm, body.limit, body.per, body.burst, body.shadow)
    return _rule(path.rule, await limits.define(path.rule, spec))


@operation(
    "GET",
    "/v1/limits/{rule}",
    tag=TAG,
    scope=READ,
    summary="Read a rule",
    errors=(NotFound,),
    example=Example(answer=_EXAMPLE_RULE),
)
async def read_rule(limits: Limits, path: RulePath) -> Rule:
    """404 if it was never defined."""
    spec = await limits.spec(path.rule)
    if spec is None:
        raise NotFound("there is no such rule")
    return _rule(path.rule, spec)


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
    """Spends `cost` if it is allowed; a refusal spends nothing. The answer is 200 either way."""
    verdict = await limits.take(path.rule, body.key, body.cost)
    return Reply(_decision(verdict), headers_of((verdict,)))


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
    """All or nothing, in one step: if one rule refuses, none of the others is charged."""
    wishes = [Wish(one.rule, one.key, one.cost) for one in body.takes]
    verdicts = await limits.take_all(wishes)
    violated = dict.fromkeys(verdict.rule for verdict in verdicts if not verdict.allowed)
    results = [
        RuleDecision(rule=wish.rule, key=wish.key, **msgspec.structs.asdict(_decision(verdict)))
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
async def peek(limits: Limits, path: KeyPath) -> Reply[Decision]:
    """Spends nothing. `allowed` says whether a cost of 1 would pass now."""
    verdict = await limits.peek(path.rule, path.key)
    decision = verdict.decision
    if not decision.remaining:
        allowed = verdict.spec.shadow
        refused = decision._replace(allowed=False, retry_after=verdict.next_after)
        verdict = verdict._replace(decision=refused, allowed=allowed)
    return Reply(_decision(verdict), headers_of((verdict,)))


@operation(
    "DELETE",
    "/v1/limits/{rule}/keys/{key}",
    tag=TAG,
    scope=WRITE,
    summary="Give a caller everything back",
    errors=(NotFound,),
)
async def reset(limits: Limits, path: KeyPath) -> None:
    """204 also if nothing was missing."""
    await limits.reset(path.rule, path.key)


OPERATIONS = (define_rule, read_rule, take, take_all, peek, reset)


def _rule(name: str, spec: RuleSpec) -> Rule:
    return Rule(
        rule=name,
        algorithm=spec.algorithm,
        limit=spec.limit,
        per=spec.per,
        burst=spec.burst,
        shadow=spec.shadow,
    )


def _decision(verdict: Verdict) -> Decision:
    decision = verdict.decision
    return Decision(
        allowed=verdict.allowed,
        limit=decision.limit,
        remaining=decision.remaining,
        retry_after=None if decision.retry_after == NEVER else seconds(decision.retry_after),
        reset_after=seconds(decision.reset_after),
    )

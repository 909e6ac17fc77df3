"""The routes of leases: how many of a caller's things may run at once.

The rule is one of the algorithm ``concurrency``. Acquiring is a decision, so it is always 200.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from realtime.backends.base import NEVER
from realtime.errors import NotFound
from realtime.http.limit_shapes import Count, Key, Limit, Reason, RulePath, TierName
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
from realtime.http.ratelimit import DESCRIBED, headers_of_lease
from realtime.http.values import RuleName, Seconds, instant, seconds
from realtime.services.leases import MAX_LEASE
from realtime.services.limits import Limits

__all__ = ["OPERATIONS"]

TAG: Feature = "limits"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")

LeaseId = Annotated[
    str,
    Meta(
        pattern="^[!-~]+$",
        min_length=1,
        max_length=MAX_LEASE,
        description="Visible ASCII.",
        examples=["job-17"],
    ),
]


class LeasePath(PathFields):
    rule: RuleName
    lease: LeaseId


class KeyQuery(QueryFields):
    key: Key


class Acquisition(Body):
    """Who wants a lease; an `id` of yours makes it safe to ask again."""

    key: Key
    id: LeaseId | None = None
    ttl: Annotated[
        Seconds | None, Meta(description="Seconds; by default, and at most, the rule's `per`.")
    ] = None
    tier: TierName | None = None


class Renewal(Body):
    """Whose lease it is, and how long it shall last from now."""

    key: Key
    ttl: Seconds | None = None


class Lease(Answer):
    """Whether it may run; `id` is null if there is no lease, and so none to release."""

    allowed: Annotated[bool, Meta(description="What to act on: always true for a shadow rule.")]
    id: str | None
    limit: Limit
    active: Count
    retry_after: Annotated[
        float | None,
        Meta(
            description="Seconds until one is free if none is released: 0 if this was granted, "
            "null if never."
        ),
    ]
    expires_at: datetime | None
    reason: Reason | UnsetType = UNSET


class HeldLease(Answer):
    """An active lease."""

    id: str
    expires_at: datetime


class HeldLeases(Answer):
    """The first to expire first; a thousand at most."""

    leases: list[HeldLease]


@operation(
    "POST",
    "/v1/limits/{rule}/leases",
    tag=TAG,
    scope=WRITE,
    summary="Acquire a lease",
    errors=(NotFound,),
    private=True,
    answer_headers=DESCRIBED,
    links={
        "renew_lease": ("lease", "$response.body#/id"),
        "release_lease": ("lease", "$response.body#/id"),
    },
    example=Example(
        body='{"key":"user:1","id":"job-17"}',
        answer='{"allowed":true,"id":"job-17","limit":10,"active":1,"retry_after":0.0,'
        '"expires_at":"2026-01-01T12:01:00Z"}',
    ),
)
async def acquire_lease(limits: Limits, path: RulePath, body: Acquisition) -> Reply[Lease]:
    """If fewer than `limit` are active. An `id` that is active is renewed and counts once."""
    lease = await limits.leases.acquire(
        path.rule, body.key, ttl=body.ttl, lease_id=body.id, tier=body.tier
    )
    answer = Lease(
        allowed=lease.allowed,
        id=lease.id,
        limit=lease.limit,
        active=lease.active,
        retry_after=None if lease.retry_after == NEVER else seconds(lease.retry_after),
        expires_at=None if lease.expires is None else instant(lease.expires),
        reason=lease.reason or UNSET,
    )
    return Reply(answer, headers_of_lease(path.rule, lease))


@operation(
    "PUT",
    "/v1/limits/{rule}/leases/{lease}",
    tag=TAG,
    scope=WRITE,
    summary="Renew a lease",
    errors=(NotFound,),
    example=Example(
        body='{"key":"user:1"}', answer='{"id":"job-17","expires_at":"2026-01-01T12:01:30Z"}'
    ),
)
async def renew_lease(limits: Limits, path: LeasePath, body: Renewal) -> HeldLease:
    """404 if it is not active any more: then somebody else may run in its place."""
    held = await limits.leases.renew(path.rule, body.key, path.lease, body.ttl)
    if held is None:
        raise NotFound("the lease is not active")
    return HeldLease(id=held.id, expires_at=instant(held.expires))


@operation(
    "DELETE",
    "/v1/limits/{rule}/leases/{lease}",
    tag=TAG,
    scope=WRITE,
    summary="Release a lease",
    errors=(NotFound,),
)
async def release_lease(limits: Limits, path: LeasePath, query: KeyQuery) -> None:
    """204 also if it was not active: it may be repeated."""
    await limits.leases.release(path.rule, query.key, path.lease)


@operation(
    "GET",
    "/v1/limits/{rule}/leases",
    tag=TAG,
    scope=READ,
    summary="List the active leases of a caller",
    errors=(NotFound,),
    private=True,
    example=Example(
        answer='{"leases":[{"id":"job-17","expires_at":"2026-01-01T12:01:00Z"}]}',
        query="key=user%3A1",
    ),
)
async def list_leases(limits: Limits, path: RulePath, query: KeyQuery) -> HeldLeases:
    """The first to expire first."""
    held = await limits.leases.of(path.rule, query.key)
    return HeldLeases(
        leases=[HeldLease(id=one.id, expires_at=instant(one.expires)) for one in held]
    )


OPERATIONS = (acquire_lease, renew_lease, release_lease, list_leases)

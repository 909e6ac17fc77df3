"""The routes of tokens: revoke them before they expire, and list what is revoked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from realtime.errors import Conflict
from realtime.http.operation import (
    Answer,
    Body,
    Example,
    Feature,
    QueryFields,
    Scope,
    operation,
)
from realtime.http.values import UserName, instant
from realtime.services.revocations import DEFAULT_TTL, MAX_TTL, Revocation, Revocations

__all__ = ["OPERATIONS"]

TAG: Feature = "admin"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")

Jti = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        description="The claim jti of a token.",
        examples=["b0a1"],
        extra_json_schema={"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"},
    ),
]
ClientId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        description="The id of a connection, as its connect reply and presence name it.",
        examples=["5e1b4b4e-4e1c-4f0e-9a70-3f7a0a2c8f11"],
        extra_json_schema={"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"},
    ),
]
TimeToLive = Annotated[
    float,
    Meta(
        gt=0,
        le=MAX_TTL,
        description="Seconds for which such a token could still be valid; by default 30 days.",
    ),
]


class UserTokens(Body):
    """Every token of a user that was issued until now."""

    user: UserName
    ttl: TimeToLive = DEFAULT_TTL


class OneToken(Body):
    """The token with this jti."""

    jti: Jti
    ttl: TimeToLive = DEFAULT_TTL


class OneClient(Body):
    """One connection; its token is not revoked."""

    client: ClientId


class RevocationInfo(Answer):
    """What is revoked, and until when that is remembered."""

    kind: Literal["user", "token", "client"]
    name: Annotated[str, Meta(description="The user, the jti, or the id of the client.")]
    before: Annotated[
        datetime, Meta(description="Of a user: tokens that were issued later are taken.")
    ]
    until: datetime


class RevocationPage(Answer):
    """Newest first."""

    total: Annotated[int, Meta(ge=0)]
    revocations: list[RevocationInfo]


class Page(QueryFields):
    offset: Annotated[int, Meta(ge=0, le=2**53, description="How many to pass over.")] = 0
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many to answer.")] = 100


_SHOWN = (
    '{"kind":"user","name":"ada","before":"2026-11-25T21:40:09.123000Z",'
    '"until":"2026-12-25T21:40:09.123000Z"}'
)


@operation(
    "POST",
    "/v1/tokens/revoke",
    tag=TAG,
    scope=WRITE,
    summary="Revoke tokens of users, or close a connection",
    errors=(Conflict,),
    example=Example(body='{"user":"ada","ttl":2592000}', answer=_SHOWN),
)
async def revoke_tokens(
    revocations: Revocations, body: UserTokens | OneToken | OneClient
) -> RevocationInfo:
    """Name a `user` (every token of theirs that was issued until now, also in this very second),
    a `jti` (that one token) or a `client` (that one connection). Connections that they opened are
    closed at once, on every node, and the tokens are refused from then on. A revocation is kept
    for `ttl`; choose it no shorter than the tokens live. 409 if 20,000 are in force already."""
    if isinstance(body, UserTokens):
        return _info(await revocations.revoke_user(body.user, body.ttl))
    if isinstance(body, OneToken):
        return _info(await revocations.revoke_token(body.jti, body.ttl))
    return _info(await revocations.close_client(body.client))


@operation(
    "GET",
    "/v1/tokens/revocations",
    tag=TAG,
    scope=READ,
    summary="List what is revoked",
    example=Example(query="limit=10", answer=f'{{"total":1,"revocations":[{_SHOWN}]}}'),
)
async def list_revocations(revocations: Revocations, query: Page) -> RevocationPage:
    """Those in force, as this node knows them."""
    total, page = revocations.in_force(query.offset, query.limit)
    return RevocationPage(total=total, revocations=[_info(one) for one in page])


def _info(revocation: Revocation) -> RevocationInfo:
    kind, name, before, until = revocation
    return RevocationInfo(
        kind=kind.value,
        name=name,
        before=instant(round(before * 1_000_000)),
        until=instant(round(until * 1_000_000)),
    )


OPERATIONS = (revoke_tokens, list_revocations)

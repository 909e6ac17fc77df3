"""The routes of those who are connected: list them, and send them away."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from realtime.errors import Conflict
from realtime.governing import Close, Connected, GovernsClients, Whom
from realtime.http.operation import (
    Answer,
    Body,
    Example,
    Feature,
    PathFields,
    QueryFields,
    Scope,
    operation,
)
from realtime.http.tokens import ClientId
from realtime.http.values import UserName, instant

__all__ = ["MAX_SPARED", "OPERATIONS", "WRITE", "present"]

TAG: Feature = "admin"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")

MAX_SPARED = 1_000
MAX_PAGE = 200
"""Each may have more than a hundred channels."""


class ConnectedClient(Answer):
    """A connection; `name` and `version` are what the program at the other end says of itself."""

    client: Annotated[str, Meta(examples=["5e1b4b4e-4e1c-4f0e-9a70-3f7a0a2c8f11"])]
    user: Annotated[str, Meta(description="Empty if its token, or key, names none.")]
    name: str
    version: str
    transport: Annotated[str, Meta(examples=["websocket", "sse", "http_stream", "events"])]
    since: datetime
    channels: list[str]


class ClientPage(Answer):
    """The longest connected first."""

    total: Annotated[int, Meta(ge=0)]
    clients: list[ConnectedClient]


class ClientsQuery(QueryFields):
    user: Annotated[str, Meta(max_length=255, description="Only theirs.")] | UnsetType = UNSET
    offset: Annotated[int, Meta(ge=0, le=2**53, description="How many to pass over.")] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="How many to answer.")] = 100


class ClientPath(PathFields):
    client: ClientId


class UserPath(PathFields):
    user: UserName


class Farewell(Body):
    """How connections end."""

    code: Annotated[
        int,
        Meta(
            ge=3000,
            le=4999,
            description="3000 to 3499 and 4000 to 4499: stock clients come back at once.",
        ),
    ] = 3503
    reason: Annotated[str, Meta(min_length=1, max_length=123, description="Words.")] = (
        "force disconnect"
    )
    spared: Annotated[
        tuple[ClientId, ...],
        Meta(max_length=MAX_SPARED, description="Connections that stay."),
    ] = ()


@operation(
    "GET",
    "/v1/admin/clients",
    tag=TAG,
    scope=READ,
    summary="List who is connected",
    errors=(Conflict,),
    example=Example(
        query="user=ada&limit=10",
        answer='{"total":1,"clients":[{"client":"5e1b4b4e-4e1c-4f0e-9a70-3f7a0a2c8f11",'
        '"user":"ada","name":"js","version":"5.4.0","transport":"websocket",'
        '"since":"2026-11-25T21:40:09.123000Z","channels":["news","#ada"]}]}',
    ),
)
async def list_clients(clients: GovernsClients | None, query: ClientsQuery) -> ClientPage:
    """To this node: where several share a store, each knows its own. Presence, of a channel, is
    of all of them."""
    user = None if query.user is UNSET else query.user
    total, page = present(clients).connected(user, query.offset, query.limit)
    return ClientPage(total=total, clients=[_client(one) for one in page])


@operation(
    "DELETE",
    "/v1/admin/clients/{client}",
    tag=TAG,
    scope=WRITE,
    summary="Close a connection",
    errors=(Conflict,),
)
async def close_client(clients: GovernsClients | None, path: ClientPath) -> None:
    """On whatever node it is, with code 3503, after which clients do not come back by themselves.
    The answer is the same if there is no such connection, or no longer."""
    await present(clients).disconnect(Whom(client=path.client))


@operation(
    "POST",
    "/v1/admin/users/{user}/disconnect",
    tag=TAG,
    scope=WRITE,
    summary="Close the connections of a user",
    errors=(Conflict,),
    example=Example(body='{"code":4001,"reason":"please sign in again"}'),
)
async def disconnect_user(clients: GovernsClients | None, path: UserPath, body: Farewell) -> None:
    """On all nodes. Their tokens are still good: to keep them out, revoke those as well."""
    whom = Whom(user=path.user, spared=body.spared)
    await present(clients).disconnect(whom, Close(body.code, body.reason))


OPERATIONS = (list_clients, close_client, disconnect_user)


def present(clients: GovernsClients | None) -> GovernsClients:
    """Raises Conflict where there is no door for clients."""
    if clients is None:
        raise Conflict("nobody can be connected here")
    return clients


def _client(one: Connected) -> ConnectedClient:
    return ConnectedClient(
        client=one.client,
        user=one.user,
        name=one.name,
        version=one.version,
        transport=one.transport,
        since=instant(round(one.since * 1_000_000)),
        channels=list(one.channels),
    )

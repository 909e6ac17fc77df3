"""The routes of channels: publish, broadcast, history, who is there."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, TypedDict

from msgspec import UNSET, Meta, Raw, UnsetType

from realtime.backends.base import ClientInfo, Position, Publication, Published
from realtime.errors import Conflict, NotFound, TooManyRequests
from realtime.http.inputs import Call
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
from realtime.http.values import JSON, ChannelName, Name, Seconds, VersionEpoch, compact
from realtime.services.channels import Channels
from realtime.services.publishing import MAX_HISTORY, MAX_TAGS, MAX_VERSION, HistoryPolicy

__all__ = ["OPERATIONS"]

TAG: Feature = "channels"
READ, WRITE, PUBLISH = Scope(TAG, "read"), Scope(TAG, "write"), Scope(TAG, "publish")

MAX_CHANNELS = 1_000
MAX_PAGE = 1_000

Offset = Annotated[
    int, Meta(ge=0, le=2**63 - 1, description="The place in the history; 0: the channel has none.")
]
Epoch = Annotated[
    str, Meta(max_length=64, description="Names this life of the offsets.", examples=["KxWdQpZt"])
]


class ChannelPath(PathFields):
    channel: ChannelName


class KeptHistory(Body):
    """What the channel keeps from now on."""

    size: Annotated[int, Meta(ge=0, le=MAX_HISTORY, description="0: nothing.")]
    ttl: Annotated[Seconds, Meta(description="Seconds after the last publication.")]


Tags = Annotated[
    dict[str, str],
    Meta(max_length=MAX_TAGS, description="What subscribers may tell publications apart by."),
]
IdempotencyKey = Annotated[
    Name,
    Meta(description="For five minutes nothing else is published on the channel with this key."),
]
Version = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_VERSION,
        description="Of what the data shows: nothing is published if what the channel keeps had "
        "this version, or a newer one. 0: none.",
    ),
]
Delivered = Annotated[
    bool, Meta(description="Whether it was published now; false: it was held back.")
]


class NewPublication(Body):
    """What to publish."""

    data: JSON
    history: KeptHistory | None = None
    tags: Tags | None = None
    idempotency_key: IdempotencyKey | None = None
    version: Version = 0
    version_epoch: VersionEpoch = ""


class Broadcast(Body):
    """What to publish, and where."""

    channels: Annotated[list[ChannelName], Meta(min_length=1, max_length=MAX_CHANNELS)]
    data: JSON
    history: KeptHistory | None = None
    tags: Tags | None = None
    idempotency_key: IdempotencyKey | None = None
    version: Version = 0
    version_epoch: VersionEpoch = ""


class PublishedAt(Answer):
    """The position of the publication; if it was held back, of the one it was held back for."""

    offset: Offset
    epoch: Epoch
    delivered: Delivered


class PublishedTo(Answer):
    """The position of the publication on one of the channels."""

    channel: ChannelName
    offset: Offset
    epoch: Epoch
    delivered: Delivered


class BroadcastAnswer(Answer):
    """In the order of the request."""

    results: list[PublishedTo]


class PublicationAnswer(Answer):
    """A publication; `info` tells of the client that published it, and `channel`, in the history
    of a pattern, where."""

    offset: Offset
    data: JSON
    info: JSON | UnsetType = UNSET
    tags: JSON | UnsetType = UNSET
    channel: ChannelName | UnsetType = UNSET


class HistoryAnswer(Answer):
    """Publications, oldest first, and the position of the newest one ever published."""

    channel: ChannelName
    offset: Offset
    epoch: Epoch
    publications: list[PublicationAnswer]


class HistoryQuery(QueryFields):
    since: (
        Annotated[Offset, Meta(description="Only what was published after this offset.")]
        | UnsetType
    ) = UNSET
    epoch: Epoch | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=0, le=MAX_PAGE, description="0: the position only.")] = 100


class ActiveChannel(Answer):
    """A channel that somebody is subscribed to."""

    channel: ChannelName
    clients: Annotated[int, Meta(ge=1)]


class ActiveChannels(Answer):
    """By name."""

    channels: list[ActiveChannel]


class Client(Answer):
    """A connection that is subscribed; `chan_info` is said of it in this channel only."""

    client: Annotated[str, Meta(examples=["c0ffee"])]
    user: str
    info: JSON | UnsetType = UNSET
    chan_info: JSON | UnsetType = UNSET


class PresenceAnswer(Answer):
    """Who is subscribed to a channel."""

    channel: ChannelName
    clients: list[Client]
    users: Annotated[
        dict[str, Annotated[int, Meta(ge=1)]],
        Meta(description="How many of the connections are of each user who has a name."),
    ]
    num_clients: Annotated[int, Meta(ge=0)]
    num_users: Annotated[int, Meta(ge=0)]


@operation(
    "POST",
    "/v1/channels/{channel}/messages",
    tag=TAG,
    scope=PUBLISH,
    summary="Publish to a channel",
    errors=(NotFound, TooManyRequests),
    example=Example(
        body='{"data":{"state":"paid"},"tags":{"kind":"order"},'
        '"idempotency_key":"order-17-paid","version":3}',
        answer='{"offset":7,"epoch":"KxWdQpZt","delivered":true}',
    ),
)
async def publish(
    channels: Channels, path: ChannelPath, body: NewPublication, call: Call
) -> PublishedAt:
    """Whoever is subscribed gets it now, whoever comes back in time gets it from the history.
    Channels that begin with `leaderboard:` are published by the service alone, and patterns like
    `orders.*` only show what is published on others.

    Say an `idempotency_key` to try again safely, and a `version` if publications may overtake
    each other: what was published before, or is out of date, is not delivered."""
    made = await channels.publish(
        path.channel, compact(body.data), **_wishes(body), user=call.caller.user
    )
    return PublishedAt(offset=made.offset, epoch=made.epoch, delivered=made.delivered)


@operation(
    "POST",
    "/v1/messages",
    tag=TAG,
    scope=PUBLISH,
    summary="Publish the same to several channels",
    errors=(NotFound, TooManyRequests),
    example=Example(
        body='{"channels":["news","sport"],"data":{"text":"hello"},"idempotency_key":"hello-1"}',
        answer='{"results":[{"channel":"news","offset":7,"epoch":"KxWdQpZt","delivered":true},'
        '{"channel":"sport","offset":1,"epoch":"mBvRtYuA","delivered":true}]}',
    ),
)
async def broadcast(channels: Channels, body: Broadcast, call: Call) -> BroadcastAnswer:
    """In order; if one name is wrong, nothing is published. The key and the version are compared
    on each channel by itself."""
    made = await channels.broadcast(
        body.channels, compact(body.data), **_wishes(body), user=call.caller.user
    )
    pairs = zip(body.channels, made, strict=True)
    return BroadcastAnswer(results=[_published_to(channel, one) for channel, one in pairs])


@operation(
    "GET",
    "/v1/channels/{channel}/messages",
    tag=TAG,
    scope=READ,
    summary="Read the history of a channel",
    errors=(Conflict, NotFound),
    example=Example(
        query="since=6&epoch=KxWdQpZt",
        answer='{"channel":"news","offset":7,"epoch":"KxWdQpZt",'
        '"publications":[{"offset":7,"data":{"text":"hello"}}]}',
    ),
)
async def read_history(channels: Channels, path: ChannelPath, query: HistoryQuery) -> HistoryAnswer:
    """All that is kept, or what came `since` an offset. Say the `epoch` of that offset, too: if
    the offsets have begun anew since then, the answer is 409. A first offset above `since` + 1
    means that publications in between are no longer kept. Of a pattern like `orders.eu.*`, which
    shows a part of `orders.*`, offsets are those of the whole: there they are not consecutive."""
    since = Position(
        0 if query.since is UNSET else query.since, "" if query.epoch is UNSET else query.epoch
    )
    found = await channels.history(path.channel, since=since, limit=query.limit)
    if not found.covers(since):
        raise Conflict(f"the offsets have begun anew, in epoch {found.position.epoch}")
    return HistoryAnswer(
        channel=path.channel,
        offset=found.position.offset,
        epoch=found.position.epoch,
        publications=[_publication(one) for one in found.publications],
    )


@operation(
    "DELETE",
    "/v1/channels/{channel}/messages",
    tag=TAG,
    scope=WRITE,
    summary="Remove the history of a channel",
    errors=(NotFound,),
)
async def remove_history(channels: Channels, path: ChannelPath) -> None:
    """Its position lives on: whoever was up to date still is. What a pattern shows of it stays,
    until the history of the pattern is removed."""
    await channels.remove_history(path.channel)


@operation(
    "GET",
    "/v1/channels",
    tag=TAG,
    scope=READ,
    summary="List the active channels",
    example=Example(answer='{"channels":[{"channel":"news","clients":2}]}'),
)
async def read_active_channels(channels: Channels) -> ActiveChannels:
    """Those that somebody is subscribed to."""
    return ActiveChannels(
        channels=[
            ActiveChannel(channel=channel, clients=clients)
            for channel, clients in await channels.active()
        ]
    )


@operation(
    "GET",
    "/v1/channels/{channel}/presence",
    tag=TAG,
    scope=READ,
    summary="See who is subscribed to a channel",
    example=Example(
        answer='{"channel":"news","clients":[{"client":"c0ffee","user":"ada"}],'
        '"users":{"ada":1},"num_clients":1,"num_users":1}'
    ),
)
async def read_presence(channels: Channels, path: ChannelPath) -> PresenceAnswer:
    """By connection and by user, as of one instant. Who subscribes to a pattern is present there,
    and not in the channels that it shows."""
    members = await channels.presence(path.channel)
    users = Counter(member.user for member in members if member.user)
    return PresenceAnswer(
        channel=path.channel,
        clients=[_client(member) for member in members],
        users=dict(users),
        num_clients=len(members),
        num_users=len(users),
    )


OPERATIONS = (
    publish,
    broadcast,
    read_history,
    remove_history,
    read_active_channels,
    read_presence,
)


class _Wishes(TypedDict):
    history: HistoryPolicy | None
    tags: dict[str, str] | None
    idempotency_key: str | None
    version: int
    version_epoch: str


def _wishes(body: NewPublication | Broadcast) -> _Wishes:
    kept = body.history
    return {
        "history": None if kept is None else HistoryPolicy(kept.size, kept.ttl),
        "tags": body.tags,
        "idempotency_key": body.idempotency_key,
        "version": body.version,
        "version_epoch": body.version_epoch,
    }


def _published_to(channel: str, made: Published) -> PublishedTo:
    return PublishedTo(
        channel=channel, offset=made.offset, epoch=made.epoch, delivered=made.delivered
    )


def _publication(publication: Publication) -> PublicationAnswer:
    channel = publication.channel
    return PublicationAnswer(
        offset=publication.offset,
        data=Raw(publication.data),
        info=_raw(publication.info),
        tags=_raw(publication.tags),
        channel=UNSET if channel is None else channel.decode(),
    )


def _client(member: ClientInfo) -> Client:
    return Client(
        client=member.client,
        user=member.user,
        info=_raw(member.info),
        chan_info=_raw(member.chan_info),
    )


def _raw(text: bytes | None) -> Raw | UnsetType:
    return UNSET if text is None else Raw(text)

"""The routes of channels: publish, broadcast, history, who is there."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Raw, UnsetType

from realtime.backends.base import ClientInfo, Position, Publication
from realtime.errors import Conflict
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
from realtime.http.values import JSON, ChannelName, Seconds, compact
from realtime.services.channels import MAX_HISTORY, Channels, HistoryPolicy

__all__ = ["OPERATIONS"]

TAG: Feature = "channels"
READ, PUBLISH = Scope(TAG, "read"), Scope(TAG, "publish")

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


class NewPublication(Body):
    """What to publish."""

    data: JSON
    history: KeptHistory | None = None


class Broadcast(Body):
    """What to publish, and where."""

    channels: Annotated[list[ChannelName], Meta(min_length=1, max_length=MAX_CHANNELS)]
    data: JSON
    history: KeptHistory | None = None


class Published(Answer):
    """The position of the publication."""

    offset: Offset
    epoch: Epoch


class PublishedTo(Answer):
    """The position of the publication on one of the channels."""

    channel: ChannelName
    offset: Offset
    epoch: Epoch


class BroadcastAnswer(Answer):
    """In the order of the request."""

    results: list[PublishedTo]


class PublicationAnswer(Answer):
    """A publication; `info` tells of the client that published it."""

    offset: Offset
    data: JSON
    info: JSON | UnsetType = UNSET


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
    """A connection that is subscribed."""

    client: Annotated[str, Meta(examples=["c0ffee"])]
    user: str
    info: JSON | UnsetType = UNSET


class PresenceAnswer(Answer):
    """Who is subscribed to a channel."""

    channel: ChannelName
    clients: list[Client]


@operation(
    "POST",
    "/v1/channels/{channel}/messages",
    tag=TAG,
    scope=PUBLISH,
    summary="Publish to a channel",
    example=Example(body='{"data":{"text":"hello"}}', answer='{"offset":7,"epoch":"KxWdQpZt"}'),
)
async def publish(channels: Channels, path: ChannelPath, body: NewPublication) -> Published:
    """Whoever is subscribed gets it now, whoever comes back in time gets it from the history.
    Channels that begin with `leaderboard:` are published by the service alone."""
    position = await channels.publish(
        path.channel, compact(body.data), history=_policy(body.history)
    )
    return Published(offset=position.offset, epoch=position.epoch)


@operation(
    "POST",
    "/v1/messages",
    tag=TAG,
    scope=PUBLISH,
    summary="Publish the same to several channels",
    example=Example(
        body='{"channels":["news","sport"],"data":{"text":"hello"}}',
        answer='{"results":[{"channel":"news","offset":7,"epoch":"KxWdQpZt"},'
        '{"channel":"sport","offset":1,"epoch":"mBvRtYuA"}]}',
    ),
)
async def broadcast(channels: Channels, body: Broadcast) -> BroadcastAnswer:
    """In order; if one name is wrong, nothing is published."""
    positions = await channels.broadcast(
        body.channels, compact(body.data), history=_policy(body.history)
    )
    return BroadcastAnswer(
        results=[
            PublishedTo(channel=channel, offset=position.offset, epoch=position.epoch)
            for channel, position in zip(body.channels, positions, strict=True)
        ]
    )


@operation(
    "GET",
    "/v1/channels/{channel}/messages",
    tag=TAG,
    scope=READ,
    summary="Read the history of a channel",
    errors=(Conflict,),
    example=Example(
        query="since=6&epoch=KxWdQpZt",
        answer='{"channel":"news","offset":7,"epoch":"KxWdQpZt",'
        '"publications":[{"offset":7,"data":{"text":"hello"}}]}',
    ),
)
async def read_history(channels: Channels, path: ChannelPath, query: HistoryQuery) -> HistoryAnswer:
    """All that is kept, or what came `since` an offset. Say the `epoch` of that offset, too: if
    the offsets have begun anew since then, the answer is 409. A first offset above `since` + 1
    means that publications in between are no longer kept."""
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
    example=Example(answer='{"channel":"news","clients":[{"client":"c0ffee","user":"ada"}]}'),
)
async def read_presence(channels: Channels, path: ChannelPath) -> PresenceAnswer:
    """A user with several connections is listed once per connection."""
    members = await channels.presence(path.channel)
    return PresenceAnswer(channel=path.channel, clients=[_client(member) for member in members])


OPERATIONS = (
    publish,
    broadcast,
    read_history,
    read_active_channels,
    read_presence,
)


def _policy(history: KeptHistory | None) -> HistoryPolicy | None:
    return None if history is None else HistoryPolicy(history.size, history.ttl)


def _publication(publication: Publication) -> PublicationAnswer:
    info = publication.info
    return PublicationAnswer(
        offset=publication.offset,
        data=Raw(publication.data),
        info=UNSET if info is None else Raw(info),
    )


def _client(member: ClientInfo) -> Client:
    return Client(
        client=member.client,
        user=member.user,
        info=UNSET if member.info is None else Raw(member.info),
    )

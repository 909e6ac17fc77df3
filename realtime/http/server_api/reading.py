"""presence, presence_stats, history, channels and info: what the server API tells."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from realtime.backends.base import ClientInfo, Publication
from realtime.errors import InvalidInput, NotFound
from realtime.governing import GovernsClients
from realtime.http.channels import MAX_PAGE, READ
from realtime.http.clients import present
from realtime.http.operation import Body
from realtime.http.server_api.globs import matcher
from realtime.http.server_api.method import (
    LIMIT_EXCEEDED,
    NOT_AVAILABLE,
    UNRECOVERABLE,
    Refused,
    method,
)
from realtime.http.server_api.shapes import Since, raw
from realtime.http.turns import Turn
from realtime.services.channels import LIVE_PREFIX, Channels
from realtime.services.namespaces import Namespace
from realtime.services.nodes import Node

__all__ = ["METHODS", "ChannelRequest", "keeping_history"]

MAX_LISTED = 100_000
"""Channels in one answer; who has more names a pattern."""

SLICE = 512
"""Names that are matched between two looks at the clock."""


class ChannelRequest(Body):
    channel: str


class Info(msgspec.Struct):
    """Who stands behind a connection."""

    user: str
    client: str
    conn_info: Raw | UnsetType = UNSET
    chan_info: Raw | UnsetType = UNSET


class PresenceResult(msgspec.Struct):
    """By the ids of connections."""

    presence: dict[str, Info]


class PresenceStatsResult(msgspec.Struct):
    num_clients: int
    num_users: int


class HistoryRequest(Body):
    channel: str
    limit: Annotated[int, Meta(ge=-1, le=MAX_PAGE)] | None = None
    """0: the position alone; -1: all that is kept."""
    since: Since | None = None
    reverse: bool | None = None


class PublicationResult(msgspec.Struct, omit_defaults=True):
    """``channel`` stands in the history of a pattern only."""

    data: Raw
    info: Raw | UnsetType = UNSET
    offset: int = 0
    tags: Raw | UnsetType = UNSET
    channel: str = ""


class HistoryResult(msgspec.Struct):
    publications: list[PublicationResult]
    epoch: str
    offset: int


class ChannelsRequest(Body):
    pattern: str | None = None


class ChannelInfo(msgspec.Struct):
    num_clients: int


class ChannelsResult(msgspec.Struct):
    """By name."""

    channels: dict[str, ChannelInfo]


class InfoRequest(Body):
    """Nothing is asked of this method."""


class Figures(msgspec.Struct):
    """Counted in the last ``interval`` seconds: since the node started."""

    interval: float
    items: dict[str, float]


class NodeResult(msgspec.Struct):
    """A process that serves from this store."""

    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_channels: int
    uptime: int
    metrics: Figures
    num_subs: int


class InfoResult(msgspec.Struct):
    nodes: list[NodeResult]


@method(READ)
async def api_presence(channels: Channels, body: ChannelRequest) -> PresenceResult:
    _with_presence(channels, body.channel)
    members = await channels.presence(body.channel)
    return PresenceResult({member.client: _info(member) for member in members})


@method(READ)
async def api_presence_stats(channels: Channels, body: ChannelRequest) -> PresenceStatsResult:
    _with_presence(channels, body.channel)
    found = await channels.presence_stats(body.channel)
    return PresenceStatsResult(found.clients, found.users)


@method(READ)
async def api_history(channels: Channels, body: HistoryRequest) -> HistoryResult:
    keeping_history(channels, body.channel)
    since = None if body.since is None else body.since.position
    reverse, limit = bool(body.reverse), body.limit or 0
    if reverse and since is not None and since.offset == 0:
        raise InvalidInput("nothing comes before offset 0", path="$.since")
    most = MAX_PAGE + 1 if limit < 0 else limit
    found = await channels.history(body.channel, since=since, limit=most, reverse=reverse)
    if since is not None and not found.covers(since):
        raise Refused(UNRECOVERABLE, f"the offsets have begun anew, in {found.position.epoch}")
    if len(found.publications) > MAX_PAGE:
        raise Refused(LIMIT_EXCEEDED, f"more than {MAX_PAGE} are kept; read pages of them")
    offset, epoch = found.position
    return HistoryResult([_publication(one) for one in found.publications], epoch, offset)


@method(READ)
async def api_channels(channels: Channels, body: ChannelsRequest) -> ChannelsResult:
    """Those that somebody is subscribed to, on any node."""
    found = await channels.active()
    if body.pattern:
        found = await _matching(found, body.pattern)
    if len(found) > MAX_LISTED:
        raise Refused(LIMIT_EXCEEDED, f"more than {MAX_LISTED} channels; name a pattern")
    return ChannelsResult({channel: ChannelInfo(clients) for channel, clients in found})


@method(READ)
async def api_info(clients: GovernsClients | None, body: InfoRequest) -> InfoResult:
    return InfoResult([_node(one) for one in present(clients).nodes()])


METHODS = (api_presence, api_presence_stats, api_history, api_channels, api_info)


def keeping_history(channels: Channels, channel: str) -> None:
    """Raises NotFound for a channel that there must not be, and Refused if it keeps none."""
    namespace = _namespace(channels, channel)
    if not namespace.keeps_history or channel.startswith(LIVE_PREFIX):
        raise Refused(NOT_AVAILABLE, "the channel keeps no history")


def _with_presence(channels: Channels, channel: str) -> None:
    if not _namespace(channels, channel).presence:
        raise Refused(NOT_AVAILABLE, "the channel has no presence")


def _namespace(channels: Channels, channel: str) -> Namespace:
    found = channels.namespaces.find(channel)
    if found is None:
        raise NotFound(f"{channel} belongs to no namespace")
    return found


async def _matching(found: list[tuple[str, int]], pattern: str) -> list[tuple[str, int]]:
    matches, turn = matcher(pattern), Turn()
    matching: list[tuple[str, int]] = []
    for start in range(0, len(found), SLICE):
        await turn.share()
        matching += [one for one in found[start : start + SLICE] if matches(one[0])]
    return matching


def _info(member: ClientInfo) -> Info:
    return Info(member.user, member.client, raw(member.info), raw(member.chan_info))


def _publication(one: Publication) -> PublicationResult:
    channel = "" if one.channel is None else one.channel.decode()
    return PublicationResult(Raw(one.data), raw(one.info), one.offset, raw(one.tags), channel)


def _node(node: Node) -> NodeResult:
    return NodeResult(
        uid=node.uid,
        name=node.name,
        version=node.version,
        num_clients=node.clients,
        num_users=node.users,
        num_channels=node.channels,
        uptime=int(node.uptime),
        metrics=Figures(node.uptime, node.figures),
        num_subs=node.subscriptions,
    )

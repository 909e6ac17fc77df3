"""What each command does, once its client has connected.

A command is answered by a reply, or raises what it is refused with: Refused, an error of the
services, or Disconnect. A channel's commands first look whether there is such a channel and
whether the client may; see `realtime.ws.permissions`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from realtime.backends.base import Position, Publication
from realtime.services.channels import LIVE_PREFIX
from realtime.services.namespaces import Audience, Namespace
from realtime.ws import codes, messages, pushes
from realtime.ws.codes import Disconnect, Refused
from realtime.ws.credentials import admitted, check_owner, subscription
from realtime.ws.expiry import ttl
from realtime.ws.permissions import may_publish, may_read, may_subscribe
from realtime.ws.rpc import perform
from realtime.ws.wish import NO_OPTIONS, Wish, asked

if TYPE_CHECKING:
    from realtime.ws.client import Client

__all__ = ["COMMANDS"]


async def _subscribe(client: Client, number: int, request: messages.Subscribe) -> None:
    client.quota.admit_subscribe()
    namespace = client.namespace(request.channel)
    subscriptions = client.subscriptions
    subscriptions.check(request.channel)
    begun = await subscriptions.begin(_granted(client, request, namespace))
    # From here on nothing awaits, or something might come between the reply and what follows it.
    client.reply(number, b"subscribe", begun.start.result)
    await subscriptions.complete(begun)


async def _unsubscribe(client: Client, number: int, request: messages.Unsubscribe) -> None:
    if not request.channel:
        raise Disconnect(codes.CLOSE_BAD_REQUEST.because("no channel"))
    await client.subscriptions.remove(request.channel)
    client.reply(number, b"unsubscribe")


async def _publish(client: Client, number: int, request: messages.Publish) -> None:
    channel, namespace = request.channel, client.namespace(request.channel)
    subscribed = channel in client.subscriptions
    if not may_publish(client.caller, namespace, channel, subscribed=subscribed):
        raise Refused(codes.PERMISSION_DENIED)
    data = bytes(request.data)
    if not data:
        raise Refused(codes.BAD_REQUEST.because("a publication has data"))
    who = client.subscriptions.who(channel)
    await client.door.services.channels.publish(channel, data, info=who, user=client.caller.user)
    client.reply(number, b"publish")


async def _presence(client: Client, number: int, request: messages.Presence) -> None:
    _check_presence(client, request.channel)
    present = await client.door.services.channels.presence(request.channel)
    infos = {info.client: pushes.client_info(*info) for info in present}
    if sum(map(len, infos.values())) > client.door.options.reply_bytes:
        raise Refused(codes.LIMIT_EXCEEDED.because("too many to list; presence_stats counts"))
    result = messages.PresenceResult({name: Raw(info) for name, info in infos.items()})
    client.reply(number, b"presence", result)


async def _presence_stats(client: Client, number: int, request: messages.PresenceStats) -> None:
    _check_presence(client, request.channel)
    found = await client.door.services.channels.presence_stats(request.channel)
    # This protocol takes all those without a name for one user.
    users = found.users + (found.nameless > 0)
    client.reply(number, b"presence_stats", messages.PresenceStatsResult(found.clients, users))


async def _history(client: Client, number: int, request: messages.History) -> None:
    channel, namespace = request.channel, client.namespace(request.channel)
    if channel.startswith(LIVE_PREFIX) or not namespace.keeps_history:
        raise Refused(codes.NOT_AVAILABLE)
    _check_reader(client, channel, namespace.read_history)
    since = None
    if request.since is not None:
        since = Position(request.since.offset, request.since.epoch)
    if request.reverse and since is not None and since.offset == 0:
        raise Refused(codes.BAD_REQUEST.because("nothing comes before offset 0"))
    options = client.door.options
    most = options.recovery_limit
    limit = request.limit if 0 <= request.limit <= most else most
    found = await client.door.services.channels.history(
        channel, since=since, limit=limit, reverse=request.reverse
    )
    if since is not None and not found.covers(since):
        raise Refused(codes.UNRECOVERABLE)
    page = _page(found.publications, options.reply_bytes)
    offset, epoch = found.position
    client.reply(number, b"history", messages.HistoryResult(page, epoch, offset))


async def _refresh(client: Client, number: int, request: messages.Refresh) -> None:
    """Raises Disconnect for credentials of another user, and for such as have expired."""
    if not request.token:
        raise Disconnect(codes.CLOSE_BAD_REQUEST.because("a token is needed"))
    try:
        admission = admitted(client.door.access, request.token)
    except Refused as refused:
        if refused.refusal is codes.TOKEN_EXPIRED:
            raise Disconnect(codes.CLOSE_EXPIRED) from None
        raise
    if admission.user != client.user:
        raise Disconnect(codes.CLOSE_INVALID_TOKEN)
    client.reply(number, b"refresh", client.renew(admission))


async def _sub_refresh(client: Client, number: int, request: messages.SubRefresh) -> None:
    channel = request.channel
    if channel not in client.subscriptions:
        raise Refused(codes.PERMISSION_DENIED.because("not subscribed"))
    try:
        token = subscription(client.door.access, request.token)
    except Refused as refused:
        if refused.refusal is codes.TOKEN_EXPIRED:
            raise Refused(codes.EXPIRED) from None
        raise
    check_owner(token, client.user, client.id, channel)
    client.subscriptions.prolong(channel, token.expires)
    result = messages.RefreshResult()
    if token.expires != math.inf:
        result.expires, result.ttl = True, ttl(token.expires, client.door.now())
    client.reply(number, b"sub_refresh", result)


async def _rpc(client: Client, number: int, request: messages.Rpc) -> None:
    operations = client.door.operations
    if operations is None:
        raise Refused(codes.NOT_AVAILABLE)
    answer = await perform(operations, client.caller, request.method, bytes(request.data))
    if len(answer) > client.door.options.reply_bytes:
        raise Refused(codes.LIMIT_EXCEEDED.because("the answer is too large for a reply"))
    result = messages.RpcResult(Raw(answer)) if answer else messages.RpcResult()
    client.reply(number, b"rpc", result)


async def _send(client: Client, number: int, request: messages.Send) -> None:
    if client.door.on_message is None:
        raise Disconnect(codes.CLOSE_NOT_AVAILABLE)
    client.door.on_message(client, bytes(request.data))


async def _unknown(client: Client, number: int, request: object) -> None:
    raise Refused(codes.METHOD_NOT_FOUND)


COMMANDS: dict[type, Callable[[Client, int, Any], Awaitable[None]]] = {
    messages.Subscribe: _subscribe,
    messages.Unsubscribe: _unsubscribe,
    messages.Publish: _publish,
    messages.Presence: _presence,
    messages.PresenceStats: _presence_stats,
    messages.History: _history,
    messages.Rpc: _rpc,
    messages.Refresh: _refresh,
    messages.SubRefresh: _sub_refresh,
    messages.Send: _send,
    type(None): _unknown,
}
"""By the type of the request. `Connect` is the client's own business."""


def _granted(client: Client, request: messages.Subscribe, namespace: Namespace) -> Wish:
    """The subscription that the client may have. Raises Refused and Disconnect."""
    channel = request.channel
    options, expires, has_token = NO_OPTIONS, math.inf, False
    if request.token and client.caller.is_user:
        token = subscription(client.door.access, request.token)
        check_owner(token, client.user, client.id, channel)
        options, expires, has_token = token.options, token.expires, True
    if not may_subscribe(client.caller, namespace, channel, has_token=has_token):
        raise Refused(codes.PERMISSION_DENIED)
    if request.type or request.tf is not None:
        raise Refused(codes.NOT_AVAILABLE)
    return asked(request, namespace, options, expires)


def _check_presence(client: Client, channel: str) -> None:
    """Raises Refused unless the client may look who is there."""
    namespace = client.namespace(channel)
    if not namespace.presence:
        raise Refused(codes.NOT_AVAILABLE)
    _check_reader(client, channel, namespace.read_presence)


def _check_reader(client: Client, channel: str, audience: Audience) -> None:
    subscribed = channel in client.subscriptions
    if not may_read(client.caller, audience, channel, subscribed=subscribed):
        raise Refused(codes.PERMISSION_DENIED)


def _page(found: list[Publication], most: int) -> list[Raw]:
    """As many of the publications, from the first, as fit into ``most`` bytes; at least one."""
    page: list[Raw] = []
    size = 0
    for item in found:
        size += len(item.data)
        if page and size > most:
            break
        page.append(Raw(pushes.publication(*item)))
    return page

"""The control plane: what the service does to clients, wherever they are connected.

An order names a client, a session, or a user and so all of the user's clients, but for some
that are spared. It is carried out on this node before it is told to the others, which do the
same. Nobody answers whether there was such a client: by then it may have come back elsewhere.

Orders travel by a `Feed`. So a node whose way to the store was interrupted hears late, but
hears, and an order then meets whoever is connected by that time. A node that starts has nobody
it could meet. Where there is only one node, there is no feed: an order is a few look-ups.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from realtime.errors import InvalidInput, NotFound
from realtime.services.feed import Feed
from realtime.services.names import channel_bytes
from realtime.services.namespaces import Namespaces
from realtime.tokens import ChannelOptions
from realtime.ws import codes
from realtime.ws.clients import Clients
from realtime.ws.codes import MAX_REASON, Close, Unsubscribed
from realtime.ws.messages import Resume
from realtime.ws.wish import NO_OPTIONS, decreed

if TYPE_CHECKING:
    from realtime.ws.client import Client

__all__ = ["FEED", "KEPT", "KEPT_FOR", "Control", "Target"]

log = logging.getLogger("realtime")

FEED = "control"
KEPT = 10_000
"""Orders that a node may have missed and still hears of."""
KEPT_FOR = 60.0
"""Seconds for which it does."""


class Target(Struct, frozen=True, omit_defaults=True):
    """Whom an order is for: all of a user's clients, or the one that is named, or both agree."""

    user: str = ""
    client: str = ""
    session: str = ""
    spared: tuple[str, ...] = ()
    """Clients of the user that it is not for."""


class _Disconnect(Struct, frozen=True, tag="disconnect", omit_defaults=True):
    code: int
    reason: str

    def carry_out(self, client: Client, namespaces: Namespaces) -> None:
        client.disconnect(Close(self.code, self.reason))


class _Unsubscribe(Struct, frozen=True, tag="unsubscribe", omit_defaults=True):
    channel: str
    code: int
    reason: str

    def carry_out(self, client: Client, namespaces: Namespaces) -> None:
        client.unsubscribe(self.channel, Unsubscribed(self.code, self.reason))


class _Subscribe(Struct, frozen=True, tag="subscribe", omit_defaults=True):
    channel: str
    options: ChannelOptions = NO_OPTIONS
    resume: Resume | None = None
    expires: float | None = None

    def carry_out(self, client: Client, namespaces: Namespaces) -> None:
        expires = math.inf if self.expires is None else self.expires
        namespace = namespaces.of(self.channel)
        client.subscribe(
            decreed(self.channel, namespace, self.options, resume=self.resume, expires=expires)
        )


class _Refresh(Struct, frozen=True, tag="refresh", omit_defaults=True):
    expires: float | None = None

    def carry_out(self, client: Client, namespaces: Namespaces) -> None:
        client.expire_at(math.inf if self.expires is None else self.expires)


_Order = _Disconnect | _Unsubscribe | _Subscribe | _Refresh


class _Told(Struct, frozen=True, omit_defaults=True):
    """An order on its way to other nodes."""

    node: str
    target: Target
    order: _Order


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Told).decode


class Control:
    """What one node has others do, and does for them.

    All methods raise InvalidInput for what no client could be told, and BackendUnavailable if
    other nodes could not be; then it has been done on this one.
    """

    def __init__(
        self, clients: Clients[Client], namespaces: Namespaces, node: str, feed: Feed | None = None
    ) -> None:
        """``feed`` is None if there are no other nodes. ``node`` is the name of this one."""
        self._clients = clients
        self._namespaces = namespaces
        self._node = node
        self._feed = feed

    async def start(self) -> None:
        """From now on do what other nodes say."""
        if self._feed is not None:
            self._feed.listen(self._heard)
            await self._feed.start()

    async def close(self) -> None:
        """Hear nothing more."""
        if self._feed is not None:
            await self._feed.close()

    async def disconnect(self, target: Target, close: Close = codes.CLOSE_FORCED) -> None:
        """End connections; the code says whether they are to come back: see `realtime.ws.codes`."""
        _check_code(close, 3000, 5000)
        await self._tell(target, _Disconnect(*close))

    async def unsubscribe(
        self, target: Target, channel: str, why: Unsubscribed = codes.SERVER_UNSUBSCRIBED
    ) -> None:
        """End subscriptions of a channel, whoever wanted them."""
        channel_bytes(channel)
        _check_code(why, 2000, 3000)
        await self._tell(target, _Unsubscribe(channel, *why))

    async def subscribe(
        self,
        target: Target,
        channel: str,
        options: ChannelOptions = NO_OPTIONS,
        *,
        resume: Resume | None = None,
        expires: float | None = None,
    ) -> None:
        """Subscribe clients that are not yet. ``expires`` (seconds since 1970): when it ends.

        Nobody is asked whether they may. Raises NotFound if there must be no such channel.
        """
        channel_bytes(channel)
        if self._namespaces.find(channel) is None:
            raise NotFound(f"the channel {channel} belongs to no namespace")
        await self._tell(target, _Subscribe(channel, options, resume, expires))

    async def refresh(self, target: Target, expires: float | None) -> None:
        """Have connections end then (seconds since 1970, and the term of grace); None: never."""
        await self._tell(target, _Refresh(expires))

    async def _tell(self, target: Target, order: _Order) -> None:
        if not (target.user or target.client or target.session):
            raise InvalidInput("name a user, a client or a session")
        self._carry_out(target, order)
        if self._feed is not None:
            await self._feed.publish(_encode(_Told(self._node, target, order)))

    def _heard(self, data: bytes) -> None:
        try:
            told = _decode(data)
        except msgspec.DecodeError:
            log.error("an order of another node is not understood: is it of another version?")
            return
        if told.node != self._node:
            self._carry_out(told.target, told.order)

    def _carry_out(self, target: Target, order: _Order) -> None:
        for client in self._meant(target):
            order.carry_out(client, self._namespaces)

    def _meant(self, target: Target) -> list[Client]:
        """O(clients of the user), or O(1)."""
        if target.client:
            found = self._clients.get(target.client)
        elif target.session:
            found = self._clients.by_session(target.session)
        else:
            return [one for one in self._clients.of(target.user) if one.id not in target.spared]
        if found is None or target.session not in ("", found.session):
            return []
        return [found] if target.user in ("", found.user) else []


def _check_code(told: Close | Unsubscribed, first: int, end: int) -> None:
    """Raises InvalidInput for a number or a reason that clients would not understand."""
    if not first <= told.code < end:
        raise InvalidInput(f"the code must be within {first}..{end - 1}")
    if not 0 < len(told.reason.encode()) <= MAX_REASON:
        raise InvalidInput(f"the reason must be 1 to {MAX_REASON} bytes")
    if _is_json(told.reason):
        raise InvalidInput("the reason must be words: clients take JSON for something else")


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True

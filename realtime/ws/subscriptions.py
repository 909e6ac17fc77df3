"""The channels of one client: how it comes into one, and out again.

A subscription is made in the order that loses nothing: register with the hub, which from
then on keeps what is published; become present; read the history; reply; go live with what
was kept. On a backend that never suspends nothing can come in between. The reply is sent
before any push of the channel, the join after the reply, and the leave after the join.

    begin(wish) ──> Begun: what the reply says ──(the reply is sent)──> complete(begun)

What happens to a subscription that the client has not asked for (its token expires, the
service ends it, its position is lost) is done by the same methods, between two commands.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

from msgspec import UNSET, Raw

from realtime.backends.base import BackendUnavailable, ClientInfo, Position, Publication
from realtime.services.names import channel_bytes
from realtime.ws import codes, pushes
from realtime.ws.codes import Disconnect, Refused, Unsubscribed
from realtime.ws.delta import whole
from realtime.ws.door import Door
from realtime.ws.expiry import Expiry, ttl
from realtime.ws.fan import Flavour
from realtime.ws.hub import Arrival
from realtime.ws.messages import SubscribeResult
from realtime.ws.outbox import Outbox
from realtime.ws.wish import Wish

__all__ = ["Begun", "Subscription", "Subscriptions"]

log = logging.getLogger(__name__)

NOWHERE = Position(0, "")
"""The position of a subscription that has none."""


class Subscription:
    """One channel of one client."""

    __slots__ = ("by_server", "expiry", "has_joined", "info", "is_present", "watches", "who")

    def __init__(self, info: ClientInfo, who: bytes, wish: Wish) -> None:
        self.info = info
        self.who = who
        """The same as JSON, for joins, leaves and publications."""
        self.by_server = wish.by_server
        self.is_present = wish.is_present
        self.has_joined = False
        """Others were told of it, and are to be told when it ends."""
        self.watches = False
        """It is told of joins and leaves."""
        self.expiry: Expiry | None = None


class Begun(NamedTuple):
    """A subscription whose reply may be sent: what that says, and what the client has by then."""

    wish: Wish
    subscription: Subscription
    arrival: Arrival
    start: _Start
    is_first: bool
    """Of its user in the channel."""


class _Start(NamedTuple):
    """Where a subscription begins."""

    result: SubscribeResult
    had: Position
    snapshot: bytes | None = None
    """Of a live leaderboard: what the client sees first."""


class Subscriptions:
    """The channels of one client."""

    __slots__ = ("_by_channel", "_channels", "_door", "_expire", "_hub", "_info", "_outbox", "_who")

    def __init__(
        self, door: Door, outbox: Outbox, info: ClientInfo, expire: Callable[[str], None]
    ) -> None:
        """``expire`` is called when a channel's time is over; it is to have it ended."""
        self._door = door
        self._hub = door.hub
        self._channels = door.services.channels
        self._outbox = outbox
        self._info = info
        self._who = pushes.client_info(*info)
        self._expire = expire
        self._by_channel: dict[str, Subscription] = {}

    def __contains__(self, channel: str) -> bool:
        return channel in self._by_channel

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_channel))

    def get(self, channel: str) -> Subscription | None:
        """O(1)."""
        return self._by_channel.get(channel)

    def who(self, channel: str) -> bytes:
        """Who publishes there, as JSON."""
        found = self._by_channel.get(channel)
        return self._who if found is None else found.who

    def check(self, channel: str) -> None:
        """Raises Refused unless the client may have this one, too; InvalidInput for a bad name."""
        channel_bytes(channel)
        if channel in self._by_channel:
            raise Refused(codes.ALREADY_SUBSCRIBED)
        if len(self._by_channel) >= self._door.options.max_channels:
            raise Refused(codes.LIMIT_EXCEEDED)

    async def begin(self, wish: Wish) -> Begun:
        """Everything up to the reply. Raises Refused and what services raise; then it is undone."""
        channel = wish.channel
        subscription = self._by_channel[channel] = self._made(wish)
        arrival = self._hub.arrive(self._outbox, channel)
        try:
            await self._channels.subscribe(channel)
            if wish.joins:
                subscription.watches = True
                await self._door.joins.watch(channel)
            is_first = wish.is_present and await self._channels.join(channel, subscription.info)
            start = await self._start(wish)
        except BaseException:
            await self.remove(channel)
            raise
        return Begun(wish, subscription, arrival, start, is_first)

    async def complete(self, begun: Begun) -> None:
        """Everything after the reply. Nothing may have awaited since ``begin`` but others' begin.

        What cannot be continued from the position in the reply ends: a subscription of the
        client's with a push, one of the service's with the connection (Disconnect).
        """
        wish, subscription, arrival, start, is_first = begun
        channel = wish.channel
        if start.snapshot is not None and not arrival.buffer:
            first = Publication(0, start.snapshot)
            encoded = self._outbox.framing.publication(pushes.push_head(channel), first, "")
            self._outbox.queue([encoded])
        flavour = Flavour(joins=wish.joins, delta=wish.delta, changes=wish.changes)
        repeats = not self._door.services.backend.immediate
        if not self._hub.go_live(arrival, start.had, flavour, repeats=repeats):
            await self.lose(channel)
            return
        if wish.expires != math.inf:
            self.prolong(channel, wish.expires)
        if wish.is_announced:
            subscription.has_joined = True
            body = pushes.joined(subscription.who, first=is_first)
            await self._door.joins.tell(channel, b"join", body)

    async def remove(self, channel: str) -> bool:
        """Unsubscribe; whether there was such a subscription."""
        found = self._by_channel.pop(channel, None)
        if found is None:
            return False
        if found.expiry is not None:
            found.expiry.clear()
        last_here = self._hub.leave(self._outbox, channel)
        async with (
            AsyncExitStack() as steps
        ):  # the last one first, and each whatever befalls others
            steps.push_async_callback(self._depart, channel, found)
            if found.watches:
                steps.push_async_callback(self._door.joins.unwatch, channel)
            if last_here:
                self._door.live.ended(channel)
                # Not one await later: another client's subscribe must not be overtaken.
                await self._channels.unsubscribe(channel)
        return True

    async def end(self, channel: str, why: Unsubscribed) -> None:
        """Unsubscribe although the client has not asked for it, and tell it."""
        if channel in self._by_channel:
            # Before the hub lets go of it, so that what is pending comes before it.
            self._outbox.send(pushes.unsubscribed(channel, *why))
            await self.remove(channel)

    async def lose(self, channel: str) -> None:
        """The client's position is no longer right: it has to recover. Raises Disconnect."""
        found = self._by_channel.get(channel)
        if found is not None and found.by_server:
            raise Disconnect(codes.CLOSE_INSUFFICIENT_STATE)
        await self.end(channel, codes.INSUFFICIENT_STATE)

    async def expire(self, channel: str) -> None:
        """Its token was not replaced in time. Raises Disconnect."""
        found = self._by_channel.get(channel)
        if found is None or found.expiry is None or found.expiry.due is not None:
            return  # ended or prolonged since
        if found.by_server:
            raise Disconnect(codes.CLOSE_SUBSCRIPTION_EXPIRED)
        await self.end(channel, codes.SUBSCRIPTION_EXPIRED)

    def prolong(self, channel: str, expires: float) -> None:
        """From now on it ends then; never if that is infinity. Seconds since 1970. O(1)."""
        subscription = self._by_channel[channel]
        if subscription.expiry is not None:
            subscription.expiry.clear()
            subscription.expiry = None
        if expires != math.inf:
            subscription.expiry = Expiry(self._hub.wheel, partial(self._expire, channel))
            grace = self._door.options.token_grace
            subscription.expiry.set(expires, self._door.now(), grace)

    async def _depart(self, channel: str, subscription: Subscription) -> None:
        """Be present no more, and tell others; in this order, for presence knows who is last."""
        is_last = False
        try:
            if subscription.is_present:
                is_last = await self._channels.leave(channel, self._info.client)
        finally:
            if subscription.has_joined:
                body = pushes.left(subscription.who, last=is_last)
                await self._door.joins.tell(channel, b"leave", body)

    async def clear(self) -> None:
        """Unsubscribe from everything."""
        for channel in self:
            try:
                await self.remove(channel)
            except BackendUnavailable as error:
                log.warning("the store still takes %s for present: %s", self._info.client, error)

    def _made(self, wish: Wish) -> Subscription:
        if wish.info is None:
            return Subscription(self._info, self._who, wish)
        info = self._info._replace(chan_info=wish.info)
        return Subscription(info, pushes.client_info(*info), wish)

    async def _start(self, wish: Wish) -> _Start:
        live = await self._door.live.snapshot(wish.channel)
        if live is not None or not wish.is_positioned:
            return _Start(self._result(wish), NOWHERE, live)
        if wish.recover or wish.latest:
            return await self._recover(wish)
        position = (await self._channels.history(wish.channel)).position
        return _Start(self._result(wish, position), position)

    async def _recover(self, wish: Wish) -> _Start:
        """Everything since the client's position, or nothing and the news that some is lost."""
        options = self._door.options
        position, recovered, missed = await self._channels.recover(
            wish.channel, wish.since, options.recovery_limit
        )
        result = self._result(wish, position)
        result.was_recovering = wish.recover
        # More than a reply may hold is as good as lost: the client fetches its state anew.
        if recovered and sum([len(item.data) for item in missed]) <= options.reply_bytes:
            result.recovered = True
            result.offset = wish.since.offset
            result.publications = [_raw(item, wish.delta) for item in missed] or UNSET
        elif wish.recover and wish.must_recover:
            raise Refused(codes.UNRECOVERABLE)
        return _Start(result, position)

    def _result(self, wish: Wish, position: Position = NOWHERE) -> SubscribeResult:
        """What every reply says: where it begins, and when it ends."""
        result = SubscribeResult(
            recoverable=wish.is_recoverable,
            positioned=wish.is_positioned,
            epoch=position.epoch,
            offset=position.offset,
            delta=wish.delta,
            data=UNSET if wish.data is None else Raw(wish.data),
        )
        if wish.expires != math.inf:
            result.expires, result.ttl = True, ttl(wish.expires, self._door.now())
        return result


def _raw(item: Publication, delta: bool) -> Raw:
    """``delta``: as those see it who take differences, but a whole one."""
    if delta:
        item = item._replace(data=whole(item.data))
    return Raw(pushes.publication(*item))

"""The channels of one client: how it comes into one, and out again.

A subscription is made in the order that loses nothing: register with the hub, which from
then on keeps what is published; become present; read the history; reply; go live with what
was kept. On a backend that never suspends nothing can come in between. The reply is sent
before any push of the channel, the join after the reply, and the leave after the join.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from msgspec import UNSET, Raw

from realtime.backends.base import BackendUnavailable, ClientInfo, Position, Publication
from realtime.services.channels import LIVE_PREFIX
from realtime.services.names import name_bytes
from realtime.ws import codes, messages
from realtime.ws.codes import Disconnect, Refused
from realtime.ws.door import Door
from realtime.ws.fan import Flavour
from realtime.ws.messages import Subscribe, SubscribeResult
from realtime.ws.outbox import Outbox

__all__ = ["Subscriptions"]

log = logging.getLogger(__name__)


class _Start(NamedTuple):
    """Where a subscription begins: what its reply says, and what the client has by then."""

    result: SubscribeResult
    had: Position
    snapshot: bytes | None = None
    """Of a live board: what the client sees first."""


class Subscriptions:
    """The channels of one client."""

    __slots__ = ("_channels", "_door", "_hub", "_info", "_names", "_outbox", "_who")

    def __init__(self, door: Door, outbox: Outbox, info: ClientInfo) -> None:
        self._door = door
        self._hub = door.hub
        self._channels = door.services.channels
        self._outbox = outbox
        self._info = info
        self._who = messages.client_info(*info)
        self._names: set[str] = set()

    async def add(self, command: int, request: Subscribe) -> None:
        """Subscribe, reply, and go live. Raises Refused, Disconnect and what services raise."""
        channel = request.channel
        self._check(request)
        self._names.add(channel)
        arrival = self._hub.arrive(self._outbox, channel)
        try:
            await self._channels.subscribe(channel)
            await self._channels.join(channel, self._info)
            start = await self._start(request)
        except BaseException:
            await self.remove(channel)
            raise
        # From here on nothing awaits: see the head of the module.
        self._outbox.send(messages.reply(command, b"subscribe", start.result))
        if start.snapshot is not None and not arrival.buffer:
            body = messages.publication(0, start.snapshot)
            self._outbox.queue([messages.push(messages.push_head(channel), b"pub", body)])
        repeats = not self._door.services.backend.immediate
        flavour = Flavour(joins=request.join_leave)
        if not self._hub.go_live(arrival, start.had, flavour, repeats=repeats):
            raise Disconnect(codes.CLOSE_INSUFFICIENT_STATE)
        self._hub.announce(channel, b"join", self._who)

    async def remove(self, channel: str) -> bool:
        """Unsubscribe; whether there was such a subscription."""
        if channel not in self._names:
            return False
        self._names.discard(channel)
        joined = channel in self._outbox.fans
        last = self._hub.leave(self._outbox, channel)
        if joined:
            self._hub.announce(channel, b"leave", self._who)
        try:
            # Not one await later: another client's subscribe must not be overtaken.
            if last:
                await self._channels.unsubscribe(channel)
        finally:
            await self._channels.leave(channel, self._info.client)
        return True

    async def clear(self) -> None:
        """Unsubscribe from everything."""
        for channel in list(self._names):
            try:
                await self.remove(channel)
            except BackendUnavailable as error:
                log.warning("the store still takes %s for present: %s", self._info.client, error)

    def _check(self, request: Subscribe) -> None:
        """Raises Refused unless the client may have one more subscription of this kind."""
        name_bytes("channel", request.channel)
        if request.channel in self._names:
            raise Refused(codes.ALREADY_SUBSCRIBED)
        if len(self._names) >= self._door.options.max_channels:
            raise Refused(codes.LIMIT_EXCEEDED)
        if request.type or request.tf is not None:
            raise Refused(codes.NOT_AVAILABLE)

    async def _start(self, request: Subscribe) -> _Start:
        channel = request.channel
        if channel.startswith(LIVE_PREFIX):
            snapshot = await self._door.live.snapshot(channel)
            return _Start(SubscribeResult(), Position(0, ""), snapshot)
        if not self._channels.namespaces.of(channel).is_positioned:
            return _Start(SubscribeResult(), Position(0, ""))
        if request.recover:
            return await self._recover(request)
        position = (await self._channels.history(channel)).position
        return _Start(_positioned(position), position)

    async def _recover(self, request: Subscribe) -> _Start:
        """Everything since the client's position, or nothing and the news that some is lost."""
        options = self._door.options
        position, recovered, missed = await self._channels.recover(
            request.channel, Position(request.offset, request.epoch), options.recovery_limit
        )
        result = _positioned(position)
        result.was_recovering = True
        # More than a reply may hold is as good as lost: the client fetches its state anew.
        if recovered and sum([len(item.data) for item in missed]) <= options.reply_bytes:
            result.recovered = True
            result.offset = request.offset
            result.publications = [_raw(item) for item in missed] or UNSET
        elif request.flag & messages.REJECT_UNRECOVERED:
            raise Refused(codes.UNRECOVERABLE)
        return _Start(result, position)


def _positioned(position: Position) -> SubscribeResult:
    return SubscribeResult(
        recoverable=True, positioned=True, epoch=position.epoch, offset=position.offset
    )


def _raw(item: Publication) -> Raw:
    return Raw(messages.publication(*item))

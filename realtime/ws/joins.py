"""Joins and leaves: who came into a channel, and who left it, told to those who watch.

Here that is the hub's business, and done at once. Where several nodes share a store, the others
hear by an internal channel beside each channel, which only those nodes are subscribed to that
have somebody who watches. It keeps no history: what is lost while the store is away stays lost,
and presence, which is kept, is where it can be seen who is there.
"""

from __future__ import annotations

import logging

import msgspec

from realtime.backends.base import Backend, BackendUnavailable, Publication
from realtime.services.feed import INTERNAL
from realtime.ws.hub import Hub

__all__ = ["Joins"]

log = logging.getLogger(__name__)

_PREFIX = INTERNAL + b"joins:"


class _Told(msgspec.Struct, array_like=True):
    """Who says it, what happened, and the body of the push."""

    node: str
    kind: str
    body: msgspec.Raw


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Told).decode


class Joins:
    """Tells of joins and leaves, and hears of those of other nodes. One per process."""

    def __init__(self, hub: Hub, backend: Backend, node: str) -> None:
        """``node`` is the name of this one."""
        self._hub = hub
        self._channels = backend.channels
        self._alone = backend.immediate
        self._node = node
        self._watched: dict[str, int] = {}
        """Channel -> how many subscriptions here watch it."""
        if not self._alone:
            backend.channels.listen(self._heard)

    async def tell(self, channel: str, kind: bytes, body: bytes) -> None:
        """To all who watch, on every node. Never raises: see the head of the module."""
        self._hub.announce(channel, kind, body)
        if self._alone:
            return
        told = _encode(_Told(self._node, kind.decode(), msgspec.Raw(body)))
        try:
            await self._channels.publish(_beside(channel), told)
        except BackendUnavailable as error:
            log.debug("other nodes were not told of a %s: %s", kind.decode(), error)

    async def watch(self, channel: str) -> None:
        """One subscription more wants to know; it counts also if this raises BackendUnavailable."""
        count = self._watched.get(channel, 0)
        self._watched[channel] = count + 1
        if count == 0 and not self._alone:
            await self._channels.subscribe(_beside(channel))

    async def unwatch(self, channel: str) -> None:
        """One less does."""
        self._watched[channel] -= 1
        if self._watched[channel] == 0:
            del self._watched[channel]
            if not self._alone:
                await self._channels.unsubscribe(_beside(channel))

    def _heard(self, channel: bytes, item: Publication, epoch: str) -> None:
        if not channel.startswith(_PREFIX):
            return
        try:
            told = _decode(item.data)
        except msgspec.DecodeError:
            log.error("a join of another node is not understood: is it of another version?")
            return
        if told.node != self._node:
            name = channel[len(_PREFIX) :].decode()
            self._hub.announce(name, told.kind.encode(), bytes(told.body))


def _beside(channel: str) -> bytes:
    return _PREFIX + channel.encode()

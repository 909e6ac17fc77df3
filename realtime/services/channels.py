"""Channels: publish to whoever listens, and let those who were away catch up.

Data is JSON text. Channels named ``leaderboard:{board}`` are live boards: the service
publishes on them and nobody else may. What a channel keeps and allows is said by its namespace;
where that has wildcards, a name may be a pattern (`realtime.services.patterns`), which shows
what is published on others, and on which nobody publishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from realtime.backends.base import (
    Backend,
    ClientInfo,
    Guard,
    History,
    Position,
    PresenceStats,
    Publication,
    Published,
    Wildcard,
    recover,
    recover_latest,
)
from realtime.backends.keys import LIVE_PREFIX
from realtime.errors import Forbidden, InvalidInput, NotFound
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes
from realtime.services.namespaces import Namespace, Namespaces, Recovery
from realtime.services.patterns import View, is_shown, view_of
from realtime.services.publishing import MAX_HISTORY, HistoryPolicy, guard_of, kept_by, tags_text
from realtime.services.rates import PublishRates

__all__ = ["LIVE_PREFIX", "MAX_HISTORY", "Channels", "HistoryPolicy", "Recovered", "View"]


class Recovered(NamedTuple):
    """The channel's position, whether nothing is missing, and what the subscriber missed."""

    position: Position
    recovered: bool
    publications: list[Publication]


class _Place(NamedTuple):
    """Where the stream of a channel lies."""

    name: bytes
    wildcard: Wildcard | None


class _Address(NamedTuple):
    """Where to publish, and what is kept of it for how long (µs)."""

    place: _Place
    namespace: Namespace
    size: int
    ttl: int


class _Wish(NamedTuple):
    """What is to be published, wherever it is."""

    data: bytes
    info: bytes | None
    tags: bytes | None
    history: HistoryPolicy | tuple[int, float] | None
    guard: Guard | None

    @property
    def size(self) -> int:
        return len(self.data) + len(self.tags or b"")


class Channels:
    """Every method may raise InvalidInput for a name, and BackendUnavailable."""

    def __init__(self, backend: Backend, namespaces: Namespaces) -> None:
        self.namespaces = namespaces
        self.rates = PublishRates(backend.buckets)
        self._channels = backend.channels
        self._presence = backend.presence
        self._waits = not backend.immediate
        self._wildcards = {one.prefix: _wildcard(one) for one in namespaces if one.wildcards}

    async def publish(
        self,
        channel: str,
        data: bytes,
        *,
        info: bytes | None = None,
        tags: Mapping[str, str] | None = None,
        history: HistoryPolicy | tuple[int, float] | None = None,
        idempotency_key: str | None = None,
        version: int = 0,
        version_epoch: str = "",
        user: str = "",
    ) -> Published:
        """Deliver and remember. ``Published(0, "")`` if the channel keeps no history.

        Not delivered, and answered with the position of the first one, if the channel was
        published to with the same ``idempotency_key`` in the last five minutes. Nor, if what the
        channel keeps had this ``version`` or a newer one: see `engine.channel.Guard`.
        ``user`` is whose rate it counts for; "" for nobody's. Raises Forbidden, InvalidInput,
        NotFound, TooLarge and TooManyRequests; then nothing is done.
        """
        guard = guard_of(idempotency_key, version, version_epoch)
        wish = _Wish(data, info, tags_text(tags), history, guard)
        address = self._addressed(channel, wish)
        if address.namespace.is_rated:
            await self.rates.admit(address.namespace, address.place.name, user)
        return await self._publish(address, wish)

    async def broadcast(
        self,
        channels: Sequence[str],
        data: bytes,
        *,
        tags: Mapping[str, str] | None = None,
        history: HistoryPolicy | tuple[int, float] | None = None,
        idempotency_key: str | None = None,
        version: int = 0,
        version_epoch: str = "",
        user: str = "",
    ) -> list[Published]:
        """Publish the same to several channels, in order; all of it is checked first.

        Guards are of each channel alone.
        """
        guard = guard_of(idempotency_key, version, version_epoch)
        wish = _Wish(data, None, tags_text(tags), history, guard)
        addresses = [self._addressed(channel, wish) for channel in channels]
        for where in addresses:
            if where.namespace.is_rated:
                await self.rates.admit(where.namespace, where.place.name, user)
        if self._waits:  # they leave in order, in one pipeline: one round trip instead of many
            return await asyncio.gather(*[self._publish(where, wish) for where in addresses])
        return [await self._publish(where, wish) for where in addresses]

    def view_of(self, channel: str) -> View | None:
        """What a pattern shows of which stream; None if the channel is no pattern."""
        return view_of(channel, self.namespaces.of(channel))

    async def history(
        self, channel: str, *, since: Position | None = None, limit: int = 0, reverse: bool = False
    ) -> History:
        """Up to ``limit`` publications beyond ``since``; 0 for the position alone.

        O(answered); of a view of a part of a stream O(all that the stream keeps beyond).
        """
        place, view = self._place(channel)
        if view is None or view.is_whole or limit == 0:
            return await self._read(place, since, limit, reverse)
        found = await self._read(place, since, -1, reverse)
        shown = view.of(found.publications)
        return found._replace(publications=shown if limit < 0 else shown[:limit])

    async def recover(self, channel: str, since: Position, limit: int) -> Recovered:
        """What a subscriber at ``since`` missed, if it is provably all of it: as many as ``limit``.

        Where the namespace recovers the newest publication only, that, unless it was seen.
        """
        place, view = self._place(channel)
        if self.namespaces.of(channel).recovery is Recovery.CACHE:
            found = await self._read(place, None, 1, True)
            recovered, missed = recover_latest(since, found)
            return Recovered(found.position, recovered, missed if view is None else view.of(missed))
        if view is None or view.is_whole:
            found = await self._read(place, since, limit + 1, False)
            return Recovered(found.position, *recover(since, found, limit))
        found = await self._read(place, since, -1, False)
        recovered, missed = recover(since, found, len(found.publications))
        shown = view.of(missed)
        few = recovered and len(shown) <= limit
        return Recovered(found.position, few, shown if few else [])

    async def remove_history(self, channel: str) -> None:
        """Drop the publications; the position lives on. What patterns show of them stays."""
        place, view = self._place(channel)
        if view is not None and not view.is_whole:
            raise InvalidInput(f"{channel} is a part of {view.stream}: remove all of it")
        await self._channels.remove_history(place.name, wildcard=place.wildcard)

    async def active(self) -> list[tuple[str, int]]:
        """Channels with somebody in them, and how many, by name."""
        found = await self._presence.channels()
        return sorted((channel.decode(), count) for channel, count in found.items())

    async def presence(self, channel: str) -> list[ClientInfo]:
        return await self._presence.members(name_bytes("channel", channel))

    async def presence_stats(self, channel: str) -> PresenceStats:
        """How many connections are subscribed, and of how many users. O(1)."""
        return await self._presence.stats(name_bytes("channel", channel))

    async def join(self, channel: str, info: ClientInfo) -> bool:
        """Whether it is the user's first connection there, over all nodes."""
        return await self._presence.add(name_bytes("channel", channel), info)

    async def leave(self, channel: str, client: str) -> bool:
        """Whether it was the user's last connection there, over all nodes."""
        return await self._presence.remove(name_bytes("channel", channel), client)

    async def subscribe(self, channel: str) -> None:
        """This process has its first subscriber of the channel; of a pattern: of its stream."""
        place, _ = self._place(channel)
        await self._channels.subscribe(place.name, wildcard=place.wildcard)

    async def unsubscribe(self, channel: str) -> None:
        """This process has lost its last subscriber of the channel; of a pattern: of its stream."""
        place, _ = self._place(channel)
        await self._channels.unsubscribe(place.name)

    def _place(self, channel: str) -> tuple[_Place, View | None]:
        """Where the stream lies that a channel shows."""
        name = name_bytes("channel", channel)
        namespace = self._namespace(channel)
        view = view_of(channel, namespace)
        if view is not None:
            return _Place(view.stream.encode(), None), view
        return _Place(name, self._shown_on(channel, namespace)), None

    def _namespace(self, channel: str) -> Namespace:
        namespace = self.namespaces.find(channel)
        if namespace is None:
            raise NotFound(f"no namespace has a channel {channel}")
        return namespace

    def _addressed(self, channel: str, wish: _Wish) -> _Address:
        """Where to publish; everything is checked."""
        if channel.startswith(LIVE_PREFIX):
            raise Forbidden(f"only the service publishes on {LIVE_PREFIX} channels")
        place, view = self._place(channel)
        if view is not None:
            raise InvalidInput(f"{channel} is a pattern: publish on one of the channels it shows")
        namespace = self.namespaces.of(channel)
        return _Address(place, namespace, *kept_by(namespace, wish.size, wish.history))

    def _shown_on(self, channel: str, namespace: Namespace) -> Wildcard | None:
        return self._wildcards[namespace.prefix] if is_shown(channel, namespace) else None

    async def _publish(self, where: _Address, wish: _Wish) -> Published:
        place, _, size, ttl = where
        data, info, tags, _, guard = wish
        return await self._channels.publish(
            place.name, data, info=info, tags=tags, size=size, ttl=ttl,
            guard=guard, wildcard=place.wildcard,
        )  # fmt: skip

    async def _read(
        self, place: _Place, since: Position | None, limit: int, reverse: bool
    ) -> History:
        return await self._channels.history(
            place.name, since=since, limit=limit, reverse=reverse, wildcard=place.wildcard
        )


def _wildcard(namespace: Namespace) -> Wildcard:
    ttl = microseconds("history ttl", namespace.history_ttl) if namespace.keeps_history else 0
    size = namespace.history_size if ttl else 0
    return Wildcard((namespace.prefix + "*").encode(), size, ttl)

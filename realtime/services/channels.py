"""Channels: publish to whoever listens, and let those who were away catch up.

Data is JSON text. Channels named ``leaderboard:{board}`` are live boards, and those named
``leaderboard:{board}:{member}`` show one member: the service publishes on them and nobody else
may. What a channel keeps and allows is said by its namespace;
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
    History,
    Position,
    PresenceStats,
    Publication,
    Published,
    recover,
    recover_latest,
)
from realtime.backends.keys import LIVE_PREFIX
from realtime.errors import Forbidden, InvalidInput
from realtime.services.names import channel_bytes, name_bytes
from realtime.services.namespaces import Namespaces, Recovery
from realtime.services.patterns import View, view_of
from realtime.services.places import Place, places
from realtime.services.publishing import MAX_HISTORY, HistoryPolicy, guard_of, kept_of, tags_text
from realtime.services.rates import PublishRates

__all__ = ["LIVE_PREFIX", "MAX_HISTORY", "Channels", "HistoryPolicy", "Recovered", "View"]


class Recovered(NamedTuple):
    """The channel's position, whether nothing is missing, and what the subscriber missed."""

    position: Position
    recovered: bool
    publications: list[Publication]


class Channels:
    """Every method may raise InvalidInput for a name, and BackendUnavailable."""

    def __init__(self, backend: Backend, namespaces: Namespaces) -> None:
        self.namespaces = namespaces
        self.rates = PublishRates(backend.buckets)
        self._channels = backend.channels
        self._presence = backend.presence
        self._waits = not backend.immediate
        self._place = places(namespaces)

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
        is_guarded = version or idempotency_key is not None
        guard = guard_of(idempotency_key, version, version_epoch) if is_guarded else None
        text = tags_text(tags) if tags else None
        place = self._open(channel)
        size, ttl = kept_of(place, data, text, history)
        if place.namespace.is_rated:
            await self.rates.admit(place.namespace, place.name, user)
        return await self._channels.publish(
            place.name, data, info=info, tags=text, size=size, ttl=ttl,
            guard=guard, wildcard=place.wildcard,
        )  # fmt: skip

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
        text = tags_text(tags)
        open_to = [self._open(channel) for channel in channels]
        kept = [kept_of(place, data, text, history) for place in open_to]
        for place in open_to:
            if place.namespace.is_rated:
                await self.rates.admit(place.namespace, place.name, user)
        publications = [
            self._channels.publish(
                place.name, data, tags=text, size=size, ttl=ttl,
                guard=guard, wildcard=place.wildcard,
            )
            for place, (size, ttl) in zip(open_to, kept, strict=True)
        ]  # fmt: skip
        if self._waits:  # they leave in order, in one pipeline: one round trip instead of many
            return await asyncio.gather(*publications)
        return [await publication for publication in publications]

    def view_of(self, channel: str) -> View | None:
        """What a pattern shows of which stream; None if the channel is no pattern."""
        return view_of(channel, self.namespaces.of(channel))

    async def history(
        self, channel: str, *, since: Position | None = None, limit: int = 0, reverse: bool = False
    ) -> History:
        """Up to ``limit`` publications beyond ``since``; 0 for the position alone.

        O(answered); of a view of a part of a stream O(all that the stream keeps beyond).
        """
        place = self._place(channel)
        view = place.view
        if view is None or view.is_whole or limit == 0:
            return await self._read(place, since, limit, reverse)
        found = await self._read(place, since, -1, reverse)
        shown = view.of(found.publications)
        return found._replace(publications=shown if limit < 0 else shown[:limit])

    async def recover(self, channel: str, since: Position, limit: int) -> Recovered:
        """What a subscriber at ``since`` missed, if it is provably all of it: as many as ``limit``.

        Where the namespace recovers the newest publication only, that, unless it was seen.
        """
        place = self._place(channel)
        view = place.view
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
        place = self._place(channel)
        view = place.view
        if view is not None and not view.is_whole:
            raise InvalidInput(f"{channel} is a part of {view.stream}: remove all of it")
        await self._channels.remove_history(place.name, wildcard=place.wildcard)

    async def active(self) -> list[tuple[str, int]]:
        """Channels with somebody in them, and how many, by name."""
        found = await self._presence.channels()
        return sorted((channel.decode(), count) for channel, count in found.items())

    async def presence(self, channel: str) -> list[ClientInfo]:
        return await self._presence.members(channel_bytes(channel))

    async def presence_stats(self, channel: str) -> PresenceStats:
        """How many connections are subscribed, and of how many users. O(1)."""
        return await self._presence.stats(channel_bytes(channel))

    async def join(self, channel: str, info: ClientInfo) -> bool:
        """Whether it is the user's first connection there, over all nodes."""
        return await self._presence.add(name_bytes("channel", channel), info)

    async def leave(self, channel: str, client: str) -> bool:
        """Whether it was the user's last connection there, over all nodes."""
        return await self._presence.remove(name_bytes("channel", channel), client)

    async def subscribe(self, channel: str) -> None:
        """This process has its first subscriber of the channel; of a pattern: of its stream."""
        place = self._place(channel)
        if not place.is_local:
            await self._channels.subscribe(place.name, wildcard=place.wildcard)

    async def unsubscribe(self, channel: str) -> None:
        """This process has lost its last subscriber of the channel; of a pattern: of its stream."""
        place = self._place(channel)
        if not place.is_local:
            await self._channels.unsubscribe(place.name)

    def _open(self, channel: str) -> Place:
        """Where to publish on a channel, if anybody may."""
        place = self._place(channel)
        if channel.startswith(LIVE_PREFIX):
            raise Forbidden(f"only the service publishes on {LIVE_PREFIX} channels")
        if place.view is not None:
            raise InvalidInput(f"{channel} is a pattern: publish on one of the channels it shows")
        return place

    async def _read(
        self, place: Place, since: Position | None, limit: int, reverse: bool
    ) -> History:
        return await self._channels.history(
            place.name, since=since, limit=limit, reverse=reverse, wildcard=place.wildcard
        )

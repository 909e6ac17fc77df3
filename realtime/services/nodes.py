"""Who else serves from this store: every node says now and then that it is there, and how it does.

What a node says goes over an internal channel without history, every three seconds, and is
kept by the others for ten. So whoever dies is forgotten, a store that was away for a moment
is not noticed, and nothing is written. A node that hears of one it did not know answers at once:
whoever is new need not wait for its turn.

On a store of this process there is nobody else, and nothing is said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta

from realtime.backends.base import Backend, BackendUnavailable, Publication
from realtime.services.feed import INTERNAL

__all__ = ["EVERY", "KEPT_FOR", "Node", "Nodes"]

log = logging.getLogger("realtime")

EVERY = 3.0
"""Seconds between two reports of a node."""

KEPT_FOR = 10.0
"""Seconds until a node that is not heard any more is forgotten: three reports may be lost."""

MOST = 1_024
"""Nodes that are remembered."""

CHANNEL = INTERNAL + b"nodes"

Count = Annotated[int, Meta(ge=0)]


class Node(msgspec.Struct, frozen=True):
    """How one node does. Figures are counted since its start, ``uptime`` seconds ago."""

    uid: str
    name: str
    version: str
    clients: Count
    users: Count
    subscriptions: Count
    channels: Count
    uptime: float
    figures: dict[str, float]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Node).decode


class Nodes:
    """What this node knows of all of them."""

    def __init__(
        self, backend: Backend, describe: Callable[[], Node], clock: Callable[[], float]
    ) -> None:
        """``describe`` tells how this node does now; ``clock`` is monotonic, in seconds."""
        self._channels = backend.channels
        self._alone = backend.immediate
        self._describe = describe
        self._clock = clock
        self._uid = describe().uid
        self._heard: dict[str, tuple[float, Node]] = {}
        self._stranger = asyncio.Event()
        """Somebody was heard of who may not know us."""

    def all(self) -> list[Node]:
        """This one as it is now, the others as they said last; by name. O(nodes)."""
        self._forget()
        others = (node for _, node in self._heard.values())
        return sorted((self._describe(), *others), key=lambda node: (node.name, node.uid))

    async def run(self) -> None:
        """Report, and hear what others report, until cancelled."""
        if self._alone:
            return
        unlisten = self._channels.listen(self._received)
        try:
            while True:
                await self._report()
                await self._pause()
        finally:
            unlisten()

    async def _report(self) -> None:
        try:
            await self._channels.subscribe(CHANNEL)
            await self._channels.publish(CHANNEL, _encode(self._describe()))
        except BackendUnavailable as fault:
            log.debug("this node could not report: %s", fault)  # the store's own words are louder

    async def _pause(self) -> None:
        # Not wait_for: up to Python 3.11 it may swallow that we are cancelled.
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await self._stranger.wait()
        self._stranger.clear()

    def _received(self, channel: bytes, item: Publication, epoch: str) -> None:
        if channel != CHANNEL:
            return
        try:
            node = _decode(item.data)
        except msgspec.DecodeError as error:
            log.warning("a node reports what makes no sense: %s", error)  # of another release, say
            return
        if node.uid == self._uid:
            return
        if node.uid not in self._heard:
            self._forget()
            if len(self._heard) >= MOST:
                return
            self._stranger.set()
        self._heard[node.uid] = (self._clock(), node)

    def _forget(self) -> None:
        """Those who are not heard any more. O(nodes)."""
        since = self._clock() - KEPT_FOR
        for uid in [uid for uid, (at, _) in self._heard.items() if at < since]:
            del self._heard[uid]

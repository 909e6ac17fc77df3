"""Does what is published here arrive? A word goes the whole way, again and again.

    publish ──> store ──> listener ──> Hub ──> Fan ──> sink

A service may answer every request and still deliver nothing: a listener that has failed, a
subscription that the store does not know of, a hub that writes nowhere. Nothing says so, since
silence is what an idle channel sounds like. So this process is a subscriber of its own: it
publishes a word on a channel that nobody else can name, as anybody would, and expects it where
a connection's bytes are written. Two words on their way and none heard: something is amiss, and
a balancer should send clients elsewhere.

Whether a store can be asked at all is its own business (`Backend.ping`): a word that could not be
published says nothing of what can be heard. Cost: one publication per interval.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from realtime.backends.base import Backend, BackendUnavailable, Position
from realtime.ws.fan import Fan, Flavour, Sink
from realtime.ws.framing import WEBSOCKET, Framing
from realtime.ws.hub import Hub

__all__ = ["INTERVAL", "SelfProbe"]

log = logging.getLogger("realtime")

INTERVAL = 2.0
"""Seconds between two words."""

UNHEARD = 2
"""Words on their way from which on something is amiss."""


class SelfProbe:
    """The `Subscriber` of a channel of its own, and who publishes there."""

    def __init__(self, backend: Backend, hub: Hub, clock: Callable[[], float]) -> None:
        """``clock`` answers seconds and never steps back."""
        self.seconds = 0.0
        """How long the last word that was heard took."""
        self.heard = 0
        self.amiss = ""
        """What is wrong, for a person; empty if nothing is known to be."""
        self.sink: Sink = self._hear
        self.direct: Sink = self._hear
        self.framing: Framing = WEBSOCKET
        self.lags = False
        self.fans: dict[str, Fan] = {}
        self._channels = backend.channels
        self._hub = hub
        self._clock = clock
        self._channel = f"\x00probe:{secrets.token_hex(8)}"
        self._count = 0
        self._is_there = False
        """The hub knows of the subscription, whether or not anything comes by it."""
        self._under_way: dict[bytes, float] = {}
        """Words that were accepted and not heard, and when they were sent; UNHEARD at most."""

    @property
    def subscriptions(self) -> int:
        """How many of the hub's are not anybody else's."""
        return len(self.fans)

    # What the hub calls

    def _hear(self, framed: bytes) -> None:
        """Bytes on their way to a subscriber."""
        for word, sent_at in self._under_way.items():
            if word in framed:
                self.heard += 1
                self.seconds = self._clock() - sent_at
                self._under_way = {}
                self._note("")
                return

    def queue(self, objects: list[bytes]) -> None:
        """What was published while the subscription was made."""
        for pushed in objects:
            self._hear(pushed)

    def flush(self) -> None:
        """Nothing stays queued here."""

    def hold(self, fan: Fan, data: bytes, kept: int, dropped: int) -> None:
        """Never called: it does not lag."""

    def lose(self, channel: str) -> None:
        """A hole in what came is no harm: the next round begins anew."""

    # Who publishes

    async def run(self) -> None:
        """Subscribe, and send words, until cancelled."""
        while True:
            try:
                await self.round()
            except BackendUnavailable as fault:
                log.debug("the self-probe cannot be sent: %s", fault)
            await asyncio.sleep(INTERVAL)

    async def round(self) -> None:
        """Look for the last words, and send one. Raises BackendUnavailable."""
        if not self.fans:
            await self._subscribe()
        if len(self._under_way) >= UNHEARD:
            self._note("publications are not delivered")
            del self._under_way[next(iter(self._under_way))]
        self._count += 1
        word = b'"%b.%d"' % (self._channel[1:].encode(), self._count)
        self._under_way[word] = self._clock()  # a store of this process delivers before it answers
        try:
            await self._channels.publish(self._channel.encode(), word)
        except BaseException:
            self._under_way.pop(word, None)
            raise

    async def _subscribe(self) -> None:
        self._leave()  # something may have been lost
        arrival = self._hub.arrive(self, self._channel)
        self._is_there = True
        try:
            await self._channels.subscribe(self._channel.encode())
        except BaseException:
            self._leave()
            raise
        self._hub.go_live(arrival, Position(0, ""), Flavour(), repeats=False)

    def _leave(self) -> None:
        if self._is_there:
            self._is_there = False
            self._hub.leave(self, self._channel)

    def _note(self, amiss: str) -> None:
        if amiss != self.amiss:
            self.amiss = amiss
            if amiss:
                log.error("%s", amiss)
            else:
                log.info("publications are delivered again")

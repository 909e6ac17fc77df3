"""Fan-out within this process: from a channel's publication to its subscribers' sockets.

What makes it fast is doing things once. A publication is encoded once. What is published on
a channel within one turn of the event loop is joined and framed once, and every subscriber
gets the very same bytes in one write. No task, no queue and no copy per subscriber; most
subscribers' ``sink`` is the write method of their transport, called in one loop.

    deliver ──> Fan.pending ──(end of the turn)──> one frame ──> sink, sink, sink, …

Order, seen from one connection: the publications of a channel come as they were published,
and whatever else is sent to it comes exactly where it belongs among them (``settle``).
Between two channels there is no order.

Backends that suspend deliver while a subscription is still being made. Until it is complete
its `Arrival` keeps what is published; see ``arrive`` and ``go_live``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from itertools import islice
from typing import NamedTuple

from realtime.backends.base import Position, Publication
from realtime.services.channels import LIVE_PREFIX
from realtime.ws.fan import Fan, Flavour, Subscriber
from realtime.ws.framing import Framing
from realtime.ws.messages import publication, push, push_head
from realtime.ws.wheel import Wheel

__all__ = ["Arrival", "Hub"]

TICK = 0.1
"""Seconds. How coarse pings and timeouts are; all of them are of whole seconds."""

BREAKS_PER_TURN = 64
"""Connections closed before others get their turn: each costs some 30 µs."""


class Arrival(NamedTuple):
    """A subscription in the making, and what was published meanwhile, with its epoch."""

    subscriber: Subscriber
    channel: str
    buffer: list[tuple[Publication, str]]


class _Topic:
    """A channel that somebody here is subscribed to, or about to be."""

    __slots__ = ("arrivals", "channel", "fans", "head", "stops")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.head = push_head(channel)
        self.fans: list[Fan] = []
        """One per flavour and framing that has subscribers: nearly always there is one."""
        self.arrivals: dict[Subscriber, Arrival] = {}
        self.stops: dict[Subscriber, Position] = {}
        """Who has had everything up to a position from the history, and may meet it again."""

    @property
    def empty(self) -> bool:
        return not (self.fans or self.arrivals)

    def subscribers(self) -> list[Subscriber]:
        """All of them, complete or not."""
        return [*(subscriber for fan in self.fans for subscriber in fan.sinks), *self.arrivals]

    def fan(self, flavour: Flavour, framing: Framing) -> Fan:
        """Where a subscription belongs. O(fans)."""
        for fan in self.fans:
            if fan.framing is framing and fan.flavour == flavour:
                return fan
        self.fans.append(Fan(flavour, framing))
        return self.fans[-1]

    def encoded(self, item: Publication, epoch: str) -> bytes:
        """The push. Who subscribed to an empty channel learns its epoch from the first one."""
        body = publication(*item, epoch=epoch if item.offset == 1 else "")
        return push(self.head, b"pub", body)


class Hub:
    """Topics and figures of this process. One event loop, one hub.

    The counters only grow, but for ``connections`` and ``subscriptions``, which are levels.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` answers seconds; tests pass one that they move."""
        self.wheel = Wheel(clock, TICK)
        self.connections = 0
        self.subscriptions = 0
        self.commands = 0
        self.publications = 0
        self.deliveries = 0
        self.closes: dict[int, int] = {}
        """Close code that we sent -> how often. 3008 are those who were too slow."""
        self._topics: dict[bytes, _Topic] = {}
        self._dirty: list[Fan] = []
        self._stopped: dict[Subscriber, None] = {}
        """In this order their connections will be closed."""

    async def run(self) -> None:
        """Keep time for the connections, until cancelled."""
        while True:
            await asyncio.sleep(self.wheel.tick)
            self.wheel.turn()

    def is_watched(self, channel: str) -> bool:
        """Whether anybody here is subscribed, or about to be. O(1)."""
        return channel.encode() in self._topics

    def deliver(self, channel: bytes, item: Publication, epoch: str) -> None:
        """Send a publication to the channel's subscribers, at the end of this turn of the loop.

        O(1): the work per subscriber is done once for all publications of the turn.
        """
        topic = self._topics.get(channel)
        if topic is None:
            return
        self.publications += 1
        if topic.stops and item.offset:
            self._join_up(topic, item, epoch)
        for arrival in topic.arrivals.values():
            arrival.buffer.append((item, epoch))
        if topic.fans:
            body = topic.encoded(item, epoch)
            for fan in topic.fans:
                self._append(fan, body)

    def lost(self, channel: bytes) -> None:
        """Publications of the channel may be missing here: its subscribers come back and recover.

        Also those who are about to be: what they read of the history may be older than the
        hole. At once nothing more is sent to them; their connections are then closed a few per
        turn of the loop. The subscribers of a live board stay: see `LiveBoards`. O(subscribers).
        """
        topic = self._topics.get(channel)
        if topic is None or topic.channel.startswith(LIVE_PREFIX):
            return
        for subscriber in topic.subscribers():
            self._stop(subscriber)

    def announce(self, channel: str, kind: bytes, info: bytes) -> None:
        """Tell those who asked that somebody joined or left; ``info`` says who, as JSON. O(1)."""
        topic = self._topics.get(channel.encode())
        watching = [fan for fan in topic.fans if fan.flavour.joins] if topic is not None else ()
        if topic is not None and watching:
            body = push(topic.head, kind, b'{"info":%b}' % info)
            for fan in watching:
                self._append(fan, body)

    def arrive(self, subscriber: Subscriber, channel: str) -> Arrival:
        """Begin a subscription: from now on nothing that is published is lost to it."""
        name = channel.encode()
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic(channel)
        arrival = topic.arrivals[subscriber] = Arrival(subscriber, channel, [])
        return arrival

    def go_live(self, arrival: Arrival, had: Position, flavour: Flavour, *, repeats: bool) -> bool:
        """Complete a subscription, with what was published since the position it ``had``.

        ``repeats``: the backend may deliver again what the history already held. False, and
        nothing is done, if something between the position and now is missing.
        """
        subscriber, channel, buffer = arrival
        missed = _continued(buffer, had)
        if missed is None:
            return False
        topic = self._topics[channel.encode()]
        del topic.arrivals[subscriber]
        subscriber.queue([topic.encoded(*delivered) for delivered in missed])
        fan = topic.fan(flavour, subscriber.framing)
        fan.add(subscriber)
        subscriber.fans[channel] = fan
        self.subscriptions += 1
        self.deliveries += len(missed)
        if repeats and had.epoch:
            last = max([had.offset, *(item.offset for item, _ in missed)])
            topic.stops[subscriber] = Position(last, had.epoch)
        return True

    def leave(self, subscriber: Subscriber, channel: str) -> bool:
        """End a subscription, complete or not; whether it was the channel's last one here."""
        name = channel.encode()
        topic = self._topics[name]
        topic.arrivals.pop(subscriber, None)
        topic.stops.pop(subscriber, None)
        fan = subscriber.fans.pop(channel, None)
        if fan is not None:
            fan.discard(subscriber)
            if not fan.sinks:
                topic.fans.remove(fan)
            self.subscriptions -= 1
        if topic.empty:
            del self._topics[name]
        return topic.empty

    def settle(self, subscriber: Subscriber) -> None:
        """Give the connection what is pending for it, before it is sent anything else."""
        if not self._dirty:
            return
        fans: Collection[Fan] = subscriber.fans.values()
        for fan in fans if len(fans) < len(self._dirty) else self._dirty:
            if subscriber in fan.sinks:
                self.deliveries += fan.settle(subscriber)

    def reroute(self, subscriber: Subscriber) -> None:
        """The subscriber's sink has changed. O(its channels), and rare."""
        for fan in subscriber.fans.values():
            fan.sinks[subscriber] = subscriber.sink

    def flush(self) -> None:
        """Write everything that is pending."""
        dirty, self._dirty = self._dirty, []
        for fan in dirty:
            self.deliveries += fan.flush()

    def count_close(self, code: int) -> None:
        self.closes[code] = self.closes.get(code, 0) + 1

    def _stop(self, subscriber: Subscriber) -> None:
        """What comes next must not reach it: it would come after a hole."""
        subscriber.stop()
        if not self._stopped:
            asyncio.get_running_loop().call_soon(self._break_off)
        self._stopped[subscriber] = None

    def _break_off(self) -> None:
        for subscriber in list(islice(self._stopped, BREAKS_PER_TURN)):
            del self._stopped[subscriber]
            subscriber.break_off()
        if self._stopped:
            asyncio.get_running_loop().call_soon(self._break_off)

    def _append(self, fan: Fan, body: bytes) -> None:
        if not fan.pending:
            if not self._dirty:
                asyncio.get_running_loop().call_soon(self.flush)
            self._dirty.append(fan)
        fan.pending.append(body)

    def _join_up(self, topic: _Topic, item: Publication, epoch: str) -> None:
        """Who has it from the history does not get it again, who misses one before it is lost.

        The first publication of a new epoch neither repeats nor misses anything.
        """
        for subscriber, stop in list(topic.stops.items()):
            had = stop.offset if epoch == stop.epoch else 0
            if item.offset <= had:
                self.deliveries += subscriber.fans[topic.channel].skip(subscriber)
            elif item.offset > had + 1:
                self._stop(subscriber)
            if item.offset >= had:
                del topic.stops[subscriber]


def _continued(
    buffer: list[tuple[Publication, str]], had: Position
) -> list[tuple[Publication, str]] | None:
    """What of the buffer comes after the position; None if that is not all of it."""
    if not had.epoch:
        return buffer  # the subscription promises no position, so any publication is news
    missed: list[tuple[Publication, str]] = []
    next_offset = had.offset + 1
    for item, epoch in buffer:
        if item.offset == 0:
            missed.append((item, epoch))
        elif epoch != had.epoch or item.offset > next_offset:
            return None
        elif item.offset == next_offset:
            missed.append((item, epoch))
            next_offset += 1
    return missed

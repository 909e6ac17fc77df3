"""Fan-out within this process: from a channel's publication to its subscribers' sockets.

What makes it fast is doing things once. A publication is encoded once. What is published on
a channel within one turn of the event loop is joined and framed once, and every subscriber
gets the very same bytes in one write. No task, no queue and no copy per subscriber; most
subscribers' ``sink`` is the write method of their transport, called in one loop.

    deliver ──> Fan.pending ──(end of the turn)──> one frame ──> sink, sink, sink, …

Where several channels have something for a connection in one turn, or it is sent replies too,
all of it leaves together (`realtime.ws.turn`).

Order, seen from one connection: the publications of a channel come as they were published,
and whatever else is sent to it comes exactly where it belongs among them (``settle``).
Between two channels there is no order.

Backends that suspend deliver while a subscription is still being made. Until it is complete
its `Arrival` keeps what is published; see ``arrive`` and ``go_live``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import islice

from realtime.backends.base import Position, Publication
from realtime.gate import Gate
from realtime.services.channels import LIVE_PREFIX
from realtime.services.namespaces import Namespace, Namespaces
from realtime.services.patterns import view_of
from realtime.ws.delta import whole_push
from realtime.ws.fan import DeltaFan, Fan, Flavour, Subscriber
from realtime.ws.framing import Encode
from realtime.ws.pushes import push
from realtime.ws.topic import Arrival, Place, Topic
from realtime.ws.turn import flush
from realtime.ws.wheel import Wheel

__all__ = ["Arrival", "Hub"]

TICK = 0.1
"""Seconds. How coarse pings and timeouts are; all of them are of whole seconds."""

LOSSES_PER_TURN = 64
"""Subscribers told of a hole before others get their turn: each costs some 30 µs."""


class Hub:
    """Topics and figures of this process. One event loop, one hub.

    The counters only grow, but for ``connections`` and ``subscriptions``, which are levels.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        namespaces: Namespaces | None = None,
    ) -> None:
        """``clock`` answers seconds; tests pass one that they move.

        ``namespaces`` say what may be dropped for slow consumers, and what a pattern stands for.
        """
        self.wheel = Wheel(clock, TICK)
        self.connections = 0
        self.subscriptions = 0
        self.commands = 0
        self.publications = 0
        self.deliveries = 0
        self.drops = 0
        """Publications that were not delivered because somebody was too slow for them."""
        self.gate: Gate | None = None
        """What all transports write through, if it is one."""
        self.closes: dict[int, int] = {}
        """Close code that we sent -> how often. 3008 are those who were too slow."""
        self._namespaces = namespaces or Namespaces(Namespace())
        self._topics: dict[bytes, Topic] = {}
        self._dirty: list[Fan] = []
        """Fans with something pending."""
        self._booked: list[Subscriber] = []
        """Those with something queued."""
        self._is_due = False
        self._lost: dict[Place, None] = {}
        """In this order they will be told."""

    async def run(self) -> None:
        """Keep time for the connections, until cancelled."""
        while True:
            await asyncio.sleep(self.wheel.tick)
            self.wheel.turn()

    @property
    def channels(self) -> int:
        """How many channels somebody here is subscribed to, or about to be. O(1)."""
        return len(self._topics)

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
        self._fan_out(topic, item, epoch)
        for view in topic.views_of(item):
            self._fan_out(view, item, epoch)

    def lost(self, channel: bytes) -> None:
        """Publications of the channel may be missing here: its subscribers come back and recover.

        Also those who are about to be: what they read of the history may be older than the
        hole. At once nothing more of it is sent to them; they are then told, a few per turn of
        the loop. The subscribers of a live board stay: see `LiveBoards`. O(subscribers).
        """
        topic = self._topics.get(channel)
        if topic is None or topic.channel.startswith(LIVE_PREFIX):
            return
        for subscriber, name in topic.places():
            self._lose(subscriber, name)

    def announce(self, channel: str, kind: bytes, body: bytes) -> None:
        """Tell those who asked that somebody joined or left; ``body`` says who, as JSON. O(1)."""
        topic = self._topics.get(channel.encode())
        watching = [fan for fan in topic.fans if fan.flavour.joins] if topic is not None else ()
        if topic is not None and watching:
            pushed = push(topic.head, kind, body)
            for fan in watching:
                self._append(fan, pushed)

    def arrive(self, subscriber: Subscriber, channel: str) -> Arrival:
        """Begin a subscription: from now on nothing that is published is lost to it."""
        topic = self._topic(channel)
        topic.count += 1
        arrival = Arrival(subscriber, channel, [])
        topic.stream.arrivals[subscriber, channel] = arrival
        return arrival

    def go_live(self, arrival: Arrival, had: Position, flavour: Flavour, *, repeats: bool) -> bool:
        """Complete a subscription, with what was published since the position it ``had``.

        ``repeats``: the backend may deliver again what the history already held. False, and
        nothing is done, if something between the position and now is missing, or may be.
        """
        subscriber, channel, buffer = arrival
        missed = _continued(buffer, had)
        topic = self._topics[channel.encode()]
        is_whole = topic.stream.arrivals.pop((subscriber, channel), None) is not None
        if missed is None or not is_whole:
            return False
        shown = [delivered for delivered in missed if topic.shows(delivered[0])]
        encode = whole_push if flavour.delta else subscriber.framing.publication
        subscriber.queue([encode(topic.head, *delivered) for delivered in shown])
        fan = topic.fan(flavour, subscriber.framing)
        fan.add(subscriber)
        subscriber.fans[channel] = fan
        self.subscriptions += 1
        self.deliveries += len(shown)
        if repeats and had.epoch:
            last = max([had.offset, *(item.offset for item, _ in missed)])
            topic.stream.stops[subscriber, channel] = Position(last, had.epoch)
        return True

    def leave(self, subscriber: Subscriber, channel: str) -> bool:
        """End a subscription, complete or not; whether it was the last one here of its stream."""
        topic = self._topics[channel.encode()]
        stream = topic.stream
        topic.count -= 1
        stream.arrivals.pop((subscriber, channel), None)
        self._lost.pop((subscriber, channel), None)
        self._take_out(topic, subscriber)
        if topic.empty and stream is not topic:
            del stream.views[channel.encode()]
        for each in {topic, stream}:
            if each.empty:
                del self._topics[each.channel.encode()]
        return stream.empty

    def settle(self, subscriber: Subscriber) -> None:
        """Give the connection what is pending for it, before it is sent anything else."""
        fans, dirty = subscriber.fans, self._dirty
        if not dirty:
            return
        if len(fans) < len(dirty):
            for fan in fans.values():
                self.deliveries += fan.settle(subscriber)
            return
        for fan in dirty:
            if subscriber in fan:
                self.deliveries += fan.settle(subscriber)

    def book(self, subscriber: Subscriber) -> None:
        """Something is queued for it: flush it at the end of this turn."""
        self._booked.append(subscriber)
        self._due()

    def reroute(self, subscriber: Subscriber) -> None:
        """The subscriber's sink has changed. O(its channels), and rare."""
        for fan in subscriber.fans.values():
            fan.route(subscriber)

    def flush(self) -> None:
        """Write everything that is queued or pending, to each what belongs together at once."""
        self._is_due = False
        booked, self._booked = self._booked, []
        for subscriber in booked:
            self.settle(subscriber)
            subscriber.flush()
        dirty, self._dirty = self._dirty, []
        if dirty:
            self.deliveries += flush(dirty, self.gate is not None and self.gate.passes)

    def count_close(self, code: int) -> None:
        self.closes[code] = self.closes.get(code, 0) + 1

    def _lose(self, subscriber: Subscriber, channel: str) -> None:
        """What comes next there must not reach it: it would come after a hole.

        It stays on the topic, without being sent anything, until it leaves.
        """
        topic = self._topics[channel.encode()]
        if topic.stream.arrivals.pop((subscriber, channel), None) is not None:
            return  # it will learn when it wants to go live
        self._take_out(topic, subscriber)
        if not self._lost:
            asyncio.get_running_loop().call_soon(self._tell_losses)
        self._lost[subscriber, channel] = None

    def _tell_losses(self) -> None:
        for subscriber, channel in list(islice(self._lost, LOSSES_PER_TURN)):
            del self._lost[subscriber, channel]
            subscriber.lose(channel)
        if self._lost:
            asyncio.get_running_loop().call_soon(self._tell_losses)

    def _take_out(self, topic: Topic, subscriber: Subscriber) -> None:
        """No publication of the topic reaches it any more, not even those that are pending."""
        topic.stream.stops.pop((subscriber, topic.channel), None)
        fan = subscriber.fans.pop(topic.channel, None)
        if fan is not None:
            topic.leave(fan, subscriber)
            self.subscriptions -= 1

    def _topic(self, channel: str) -> Topic:
        """The topic of a channel, which may be new, and then its stream's, too."""
        name = channel.encode()
        topic = self._topics.get(name)
        if topic is None:
            namespace = self._namespaces.of(channel)
            view = view_of(channel, namespace)
            stream = None if view is None or view.is_whole else self._topic(view.stream)
            topic = self._topics[name] = Topic(channel, namespace.slow, stream)
            if stream is not None:
                stream.views[name] = topic
        return topic

    def _fan_out(self, topic: Topic, item: Publication, epoch: str) -> None:
        bodies: dict[Encode, bytes] = {}
        forms = None
        for fan in topic.fans:
            if isinstance(fan, DeltaFan):
                forms = forms or topic.forms(item, epoch)
                fan.whole[len(fan.pending)] = forms.whole
                body = forms.brief
            else:
                encode = fan.framing.publication
                body = bodies.get(encode) or bodies.setdefault(
                    encode, encode(topic.head, item, epoch)
                )
            self._append(fan, body)

    def _due(self) -> None:
        """Flush at the end of this turn."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def _append(self, fan: Fan, body: bytes) -> None:
        if not fan.pending:
            self._dirty.append(fan)
            self._due()
        fan.pending.append(body)

    def _join_up(self, topic: Topic, item: Publication, epoch: str) -> None:
        """Who has it from the history does not get it again, who misses one before it is lost.

        The first publication of a new epoch neither repeats nor misses anything.
        """
        for (subscriber, channel), stop in list(topic.stops.items()):
            had = stop.offset if epoch == stop.epoch else 0
            if item.offset > had + 1:
                self._lose(subscriber, channel)
            elif item.offset <= had and self._topics[channel.encode()].shows(item):
                self.deliveries += subscriber.fans[channel].skip(subscriber)
            if item.offset >= had:
                topic.stops.pop((subscriber, channel), None)


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

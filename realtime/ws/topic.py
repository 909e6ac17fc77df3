"""One channel's subscribers in this process: those who are complete, and those on their way.

A topic has a `Fan` for every flavour and framing that somebody subscribed with; nearly always
that is one. A *view* is the topic of a narrower pattern, like ``orders.eu.*``: it has fans of
its own, but lives on the publications, and so on the positions, of its stream, ``orders.*``.
Whoever is on the way, or may meet again what the history held, is therefore kept with the
stream, which sees every publication, also those that the view does not show.
"""

from __future__ import annotations

from typing import NamedTuple

from realtime.backends.base import Position, Publication
from realtime.services.channels import LIVE_PREFIX
from realtime.services.namespaces import SlowPolicy
from realtime.ws.changes import BoardChanges
from realtime.ws.delta import Differences, Forms
from realtime.ws.fan import DeltaFan, Fan, Flavour, Subscriber
from realtime.ws.framing import Framing
from realtime.ws.pushes import push_head

__all__ = ["Arrival", "Place", "Topic"]


SEPARATORS = b".:"
"""What the ``*`` of a pattern may stand behind."""


class Arrival(NamedTuple):
    """A subscription in the making, and what was published meanwhile, with its epoch."""

    subscriber: Subscriber
    channel: str
    buffer: list[tuple[Publication, str]]


Place = tuple[Subscriber, str]
"""Who, and the channel it named."""


class Topic:
    """A channel that somebody here is subscribed to, or about to be."""

    __slots__ = (
        "_differences",
        "_stream",
        "arrivals",
        "channel",
        "count",
        "fans",
        "head",
        "policy",
        "stops",
        "views",
    )

    def __init__(self, channel: str, policy: SlowPolicy, stream: Topic | None = None) -> None:
        """``stream``: what it is a view of."""
        self.channel = channel
        self.policy = policy
        self._stream = stream
        self.count = 0
        """Subscribers, complete or not."""
        self.fans: list[Fan] = []
        self.views: dict[bytes, Topic] = {}
        self.arrivals: dict[Place, Arrival] = {}
        self.stops: dict[Place, Position] = {}
        """Who has had everything up to a position from the history, and may meet it again."""
        self.head = push_head(channel)
        self._differences: Differences | BoardChanges | None = None

    @property
    def stream(self) -> Topic:
        """Where its publications come from. No attribute: a topic would refer to itself."""
        return self if self._stream is None else self._stream

    @property
    def empty(self) -> bool:
        return not (self.count or self.views)

    def places(self) -> list[Place]:
        """All that its publications concern, complete or not, those of its views among them."""
        complete = [
            (subscriber, topic.channel)
            for topic in (self, *self.views.values())
            for fan in topic.fans
            for subscriber in fan.subscribers()
        ]
        return [*complete, *self.arrivals]

    def fan(self, flavour: Flavour, framing: Framing) -> Fan:
        """Where a subscription belongs. O(fans)."""
        for fan in self.fans:
            if fan.framing is framing and fan.flavour == flavour:
                return fan
        kind = DeltaFan if flavour.delta or flavour.changes else Fan
        self.fans.append(kind(flavour, framing, self.policy))
        return self.fans[-1]

    def shows(self, item: Publication) -> bool:
        """Whether a publication of the stream is one of this topic."""
        if self._stream is None or item.channel is None:
            return True
        return item.channel.startswith(self.channel[:-1].encode())

    def views_of(self, item: Publication) -> list[Topic]:
        """The views that show it. O(length of its channel's name)."""
        name = item.channel
        if not self.views or name is None:
            return []
        patterns = [name[:end] + b"*" for end, byte in enumerate(name, 1) if byte in SEPARATORS]
        return [self.views[pattern] for pattern in patterns if pattern in self.views]

    def forms(self, item: Publication, epoch: str) -> Forms:
        """The pushes for those who get differences. To be asked once for every publication."""
        if self._differences is None:
            is_board = self.channel.startswith(LIVE_PREFIX)
            self._differences = BoardChanges() if is_board else Differences()
        return self._differences.forms(self.head, item, epoch)

    def leave(self, fan: Fan, subscriber: Subscriber) -> None:
        """Take somebody out of a fan; one without subscribers is forgotten. O(fans)."""
        fan.discard(subscriber)
        if fan.sinks or fan.behind:
            return
        self.fans.remove(fan)
        if not any(isinstance(other, DeltaFan) for other in self.fans):
            self._differences = None

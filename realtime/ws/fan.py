"""Subscribers who get the same bytes, and what is about to be written to them.

What is published within one turn of the event loop is pending; at the end of the turn it is
framed once and the same bytes go to everybody. One subscriber may be ahead of that: before
it is sent anything else, it is *settled*, that is, it gets what is pending at once, so that
the order it sees is right. Until the turn ends it is then *apart*, and so is whoever came in
the middle of the turn and must not get what was published before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from realtime.ws.framing import Framing

__all__ = ["Fan", "Flavour", "Sink", "Subscriber"]

Sink = Callable[[bytes], object]
"""Takes framed bytes; never blocks."""


class Flavour(NamedTuple):
    """What a subscription asked for that makes its bytes differ from others'."""

    joins: bool = False
    """Joins and leaves, too."""
    delta: bool = False
    """Differences between publications, where they are shorter."""


class Subscriber(Protocol):
    """What must be known of a connection to fan out to it."""

    sink: Sink
    """Where shared frames go: the write method of its transport, as long as it keeps up."""
    framing: Framing
    """How what is sent to it is framed; it never changes."""
    fans: dict[str, Fan]
    """Channel -> the fan it is in. Only the hub writes it."""

    def queue(self, objects: list[bytes]) -> None:
        """Pushes that come before whatever is sent to this connection next."""

    def stop(self) -> None:
        """Something was lost on the way to it, and what comes next must not reach it. O(fans)."""

    def break_off(self) -> None:
        """End the connection after ``stop``; whoever is at the other end comes back."""


class Fan:
    """Subscribers of one channel who get the same bytes."""

    __slots__ = ("apart", "flavour", "framing", "pending", "sinks")

    def __init__(self, flavour: Flavour, framing: Framing) -> None:
        self.flavour = flavour
        self.framing = framing
        self.sinks: dict[Subscriber, Sink] = {}
        self.pending: list[bytes] = []
        """Encoded pushes of this turn of the loop."""
        self.apart: dict[Subscriber, int] = {}
        """How many of the pending a subscriber has had, or must not get."""

    def add(self, subscriber: Subscriber) -> None:
        """It gets what comes from now on. O(1)."""
        self.sinks[subscriber] = subscriber.sink
        if self.pending:
            self.apart[subscriber] = len(self.pending)

    def discard(self, subscriber: Subscriber) -> None:
        """It gets nothing any more, not even what is pending. O(1)."""
        del self.sinks[subscriber]
        self.apart.pop(subscriber, None)

    def settle(self, subscriber: Subscriber) -> int:
        """Hand over what is pending for this one; how many pushes that were."""
        had = self.apart.get(subscriber, 0)
        ahead = len(self.pending) - had
        if ahead <= 0:
            return 0
        self.apart[subscriber] = len(self.pending)
        subscriber.queue(self.pending[had:])
        return ahead

    def skip(self, subscriber: Subscriber) -> int:
        """What is appended next is not for this one; how many pushes it was given before."""
        ahead = self.settle(subscriber)
        self.apart[subscriber] = len(self.pending) + 1
        return ahead

    def flush(self) -> int:
        """Write what is pending to everybody; how many pushes that were. O(subscribers)."""
        pending, apart = self.pending, self.apart
        self.pending, self.apart = [], {}
        if not apart:
            return self._write(pending, list(self.sinks.values()))
        sinks = [sink for subscriber, sink in self.sinks.items() if subscriber not in apart]
        late = [(self.sinks[subscriber], pending[had:]) for subscriber, had in apart.items()]
        return self._write(pending, sinks) + sum([self._write(rest, [sink]) for sink, rest in late])

    def _write(self, objects: list[bytes], sinks: list[Sink]) -> int:
        """Frame once, write everywhere. ``sinks`` is a copy: a write may change the fan's."""
        if not objects or not sinks:
            return 0
        shared = self.framing.frames(objects)
        for sink in sinks:
            sink(shared)
        return len(objects) * len(sinks)

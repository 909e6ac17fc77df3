"""Subscribers who get the same bytes, and what is about to be written to them.

What is published within one turn of the event loop is pending; at the end of the turn it is
framed once and the same bytes go to everybody. One subscriber may be ahead of that: before
it is sent anything else, it is *settled*, that is, it gets what is pending at once, so that
the order it sees is right. Until the turn ends it is then *apart*, and so is whoever came in
the middle of the turn and must not get what was published before.

Who does not keep up is *behind*, if the channel's slow-consumer policy may drop something:
then the bytes are held for it under the name of this fan. Where nothing may be dropped, its
sink holds them, and nothing is different here.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from realtime.services.namespaces import SlowPolicy
from realtime.ws.framing import Framing
from realtime.ws.sinks import Sink, Sinks

__all__ = ["DeltaFan", "Fan", "Flavour", "Sink", "Subscriber"]

PIECE_BYTES = 4 * 1024
"""Publications of a turn are held together up to this: a piece costs 200 bytes, and is dropped
whole."""

Group = tuple[list[bytes], list["Subscriber"]]
"""Pushes, and who gets them."""


class Flavour(NamedTuple):
    """What a subscription asked for that makes its bytes differ from others'."""

    joins: bool = False
    """Joins and leaves, too."""
    delta: bool = False
    """Differences between publications, where they are shorter."""
    changes: bool = False
    """Of a live board: what changes, instead of the whole top each time."""


class Subscriber(Protocol):
    """What must be known of a connection to fan out to it."""

    sink: Sink
    """Where shared frames go: the write method of its transport, as long as it keeps up."""
    direct: Sink
    """The same while `realtime.gate.Gate.passes`, and a function call less."""
    framing: Framing
    """How what is sent to it is framed; it never changes."""
    lags: bool
    """What is written to it is held, because its transport is full."""
    fans: dict[str, Fan]
    """Channel -> the fan it is in. Only the hub writes it."""

    def queue(self, objects: list[bytes]) -> None:
        """Pushes that come before whatever is sent to this connection next."""

    def flush(self) -> None:
        """Write what is queued."""

    def hold(self, fan: Fan, data: bytes, kept: int, dropped: int) -> None:
        """Hold ``kept`` framed publications while it lags; ``dropped`` more are not among them."""

    def lose(self, channel: str) -> None:
        """Something was lost on the way to it; nothing more comes there until it begins anew."""


class Fan:
    """Subscribers of one channel who get the same bytes."""

    __slots__ = ("_direct", "apart", "behind", "flavour", "framing", "pending", "policy", "sinks")

    def __init__(self, flavour: Flavour, framing: Framing, policy: SlowPolicy) -> None:
        self.flavour = flavour
        self.framing = framing
        self.policy = policy
        self.sinks: dict[Subscriber, Sink] = {}
        """The direct ones."""
        self._direct: Sinks | None = None
        """All of them, once somebody wants it: to go through the objects just to copy the dict
        each time would hold up the first subscriber."""
        self.behind: dict[Subscriber, None] = {}
        """Subscribers that are not among the sinks."""
        self.pending: list[bytes] = []
        """Encoded pushes of this turn of the loop."""
        self.apart: dict[Subscriber, int] = {}
        """How many of the pending a subscriber has had, or must not get."""

    def __contains__(self, subscriber: Subscriber) -> bool:
        return subscriber in self.sinks or subscriber in self.behind

    def subscribers(self) -> list[Subscriber]:
        return [*self.sinks, *self.behind]

    def add(self, subscriber: Subscriber) -> None:
        """It gets what comes from now on. O(1)."""
        self.route(subscriber)
        if self.pending:
            self.apart[subscriber] = len(self.pending)

    def discard(self, subscriber: Subscriber) -> None:
        """It gets nothing any more, not even what is pending. O(1)."""
        self._direct = None
        self.sinks.pop(subscriber, None)
        self.behind.pop(subscriber, None)
        self.apart.pop(subscriber, None)

    def route(self, subscriber: Subscriber) -> None:
        """Its sink has changed, or whether it lags. O(1)."""
        self._direct = None
        if subscriber.lags and self.policy is not SlowPolicy.DISCONNECT:
            self.sinks.pop(subscriber, None)
            self.behind[subscriber] = None
        else:
            self.behind.pop(subscriber, None)
            self.sinks[subscriber] = subscriber.direct

    def settle(self, subscriber: Subscriber) -> int:
        """Hand over what is pending for this one; how many pushes it will be sent by that."""
        had = self.apart.get(subscriber, 0)
        if had >= len(self.pending):
            return 0
        objects = self._rest(subscriber, had)
        self.apart[subscriber] = len(self.pending)
        if subscriber in self.behind:
            return self._give(objects, [subscriber])
        subscriber.queue(objects)
        return len(objects)

    def skip(self, subscriber: Subscriber) -> int:
        """What is appended next is not for this one; how many pushes it was given before."""
        ahead = self.settle(subscriber)
        self.apart[subscriber] = len(self.pending) + 1
        return ahead

    def flush(self, direct: bool = False) -> int:
        """Write what is pending to everybody; how many pushes that were. O(subscribers).

        ``direct``: the gate passes.
        """
        if self.behind or self.apart:
            told, pending, common = self.take()
            return told + self._give(pending, common)
        pending, self.pending = self.pending, []
        if not direct:
            sinks = Sinks([it.sink for it in self.sinks])
        elif self._direct is None:
            sinks = self._direct = Sinks(self.sinks.values())
        else:
            sinks = self._direct
        sinks(self.framing.frames(pending))
        return len(pending) * sinks.count

    def take(self) -> tuple[int, list[bytes], list[Subscriber]]:
        """What is pending, and who gets all of it and has not got it yet.

        Everybody else gets theirs now: how many pushes that were comes first. O(subscribers).
        """
        groups = self._exceptions()
        pending, apart = self.pending, self.apart
        self.pending, self.apart = [], {}
        common = [it for it in self.sinks if it not in apart] if apart else list(self.sinks)
        return sum([self._give(*group) for group in groups]), pending, common

    def _exceptions(self) -> list[Group]:
        """Who is apart or behind, those with the same pushes together."""
        groups: dict[int, list[Subscriber]] = {}
        for subscriber, had in self.apart.items():
            groups.setdefault(had, []).append(subscriber)
        late = [subscriber for subscriber in self.behind if subscriber not in self.apart]
        return [
            (self.pending, late),
            *((self.pending[had:], group) for had, group in groups.items()),
        ]

    def _rest(self, subscriber: Subscriber, had: int) -> list[bytes]:
        """What of the pending comes after those that a subscriber has had."""
        return self.pending[had:]

    def _give(self, objects: list[bytes], subscribers: list[Subscriber]) -> int:
        """Frame once, write or hold everywhere; how many pushes were written."""
        if not objects or not subscribers:
            return 0
        if self.behind:
            self._hold(objects, [it for it in subscribers if it in self.behind])
            subscribers = [it for it in subscribers if it not in self.behind]
        shared = self.framing.frames(objects)
        for subscriber in subscribers:
            subscriber.sink(shared)
        return len(objects) * len(subscribers)

    def _hold(self, objects: list[bytes], subscribers: list[Subscriber]) -> None:
        """Framed once for all of them, too; what is dropped goes by the piece."""
        kept = objects[-1:] if self.policy is SlowPolicy.LATEST else objects
        joined = sum(map(len, kept)) <= PIECE_BYTES
        pieces = [kept] if joined else [[item] for item in kept]
        dropped = len(objects) - len(kept)
        for piece in pieces:
            shared = self.framing.frames(piece)
            for subscriber in subscribers:
                subscriber.hold(self, shared, len(piece), dropped)
            dropped = 0


class DeltaFan(Fan):
    """Subscribers who get differences, each from the first publication on that it had here.

    Nobody may drop anything of it: a difference without the one before is worth nothing.
    """

    __slots__ = ("fresh", "whole")

    def __init__(self, flavour: Flavour, framing: Framing, policy: SlowPolicy) -> None:
        assert policy is SlowPolicy.DISCONNECT
        super().__init__(flavour, framing, policy)
        self.fresh: set[Subscriber] = set()
        """Who has had no publication yet, or not the last one."""
        self.whole: dict[int, bytes] = {}
        """Index of a pending publication -> the push that depends on no other."""

    def add(self, subscriber: Subscriber) -> None:
        super().add(subscriber)
        self.fresh.add(subscriber)

    def discard(self, subscriber: Subscriber) -> None:
        super().discard(subscriber)
        self.fresh.discard(subscriber)

    def skip(self, subscriber: Subscriber) -> int:
        ahead = super().skip(subscriber)
        self.fresh.add(subscriber)
        return ahead

    def take(self) -> tuple[int, list[bytes], list[Subscriber]]:
        for subscriber in self.fresh:
            self.apart.setdefault(subscriber, 0)
        taken = super().take()
        self.whole = {}
        return taken

    def flush(self, direct: bool = False) -> int:
        if self.fresh:
            told, pending, common = self.take()
            return told + self._give(pending, common)
        self.whole = {}
        return super().flush(direct)

    def _exceptions(self) -> list[Group]:
        groups: dict[tuple[int, bool], list[Subscriber]] = {}
        for subscriber, had in self.apart.items():
            groups.setdefault((had, subscriber in self.fresh), []).append(subscriber)
        return [(self._from(had, fresh, group), group) for (had, fresh), group in groups.items()]

    def _rest(self, subscriber: Subscriber, had: int) -> list[bytes]:
        return self._from(had, subscriber in self.fresh, [subscriber])

    def _from(self, had: int, fresh: bool, group: list[Subscriber]) -> list[bytes]:
        """The rest for a group who are all fresh or all not; they are about to get it."""
        objects = self.pending[had:]
        first = next((index for index in self.whole if index >= had), None) if fresh else None
        if first is not None:
            objects[first - had] = self.whole[first]
            self.fresh.difference_update(group)
        return objects

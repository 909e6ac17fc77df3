"""The end of a turn of the event loop: what several channels give one connection leaves together.

Publications of one channel are framed once for all its subscribers (`realtime.ws.fan`). Where
several channels have something pending, the connections that are in the same ones of them are
a *party*: what all of these channels have is joined and framed once per party, and every member
gets one write of as few frames as possible. If that is much it is not copied once more but
written as the frames that the channels have anyway.

Most connections are in one of these channels at most, and cost nothing of this but a place in a
set. For the others it is a look-up per subscriber and fan, instead of the write that it saves.
Measured with 500 sockets: 8 channels with something for all of them take 2.2 ms of CPU time so,
and 8 ms with a write for each; 100 channels of which everybody is in three 3.2 ms, and 3.8.
"""

from __future__ import annotations

from collections.abc import Sequence

from realtime.ws.fan import Fan, Subscriber
from realtime.ws.framing import Framing

__all__ = ["flush"]

JOIN_BYTES = 4 * 1024
"""Pushes of several channels are joined up to this: more is as quickly written as copied."""


class _Share:
    """What one fan has for most of its subscribers, framed when somebody wants it so."""

    __slots__ = ("_framed", "framing", "objects", "size")

    def __init__(self, framing: Framing, objects: list[bytes]) -> None:
        self.framing = framing
        self.objects = objects
        self.size = sum(map(len, objects))
        self._framed: bytes | None = None

    @property
    def framed(self) -> bytes:
        if self._framed is None:
            self._framed = self.framing.frames(self.objects)
        return self._framed


class _Party:
    """Subscribers who are in the same fans so far."""

    __slots__ = ("_writes", "objects", "shares")

    def __init__(self, shares: tuple[_Share, ...]) -> None:
        self.shares = shares
        self.objects = sum([len(share.objects) for share in shares])
        self._writes: list[bytes] | None = None

    def writes(self) -> list[bytes]:
        """What each of them is written."""
        if self._writes is None:
            shares = self.shares
            if len(shares) == 1 or sum([share.size for share in shares]) > JOIN_BYTES:
                self._writes = [share.framed for share in shares]
            else:
                objects = [item for share in shares for item in share.objects]
                self._writes = [shares[0].framing.frames(objects)]
        return self._writes


def flush(fans: Sequence[Fan], direct: bool) -> int:
    """Write all that is pending; how many pushes that were. O(subscribers of all of them).

    ``direct``: the gate passes.
    """
    if len(fans) == 1:
        return fans[0].flush(direct)
    several = _several(fans)
    if not several:
        return sum([fan.flush(direct) for fan in fans])
    told = 0
    parties: dict[Subscriber, _Party] = {}
    for fan in fans:
        ahead, objects, subscribers = fan.take()
        told += ahead
        if objects:
            share = _Share(fan.framing, objects)
            told += _single(share, [it for it in subscribers if it not in several])
            _join(parties, share, [it for it in subscribers if it in several])
    for subscriber, party in parties.items():
        for data in party.writes():
            subscriber.sink(data)
        told += party.objects
    return told


def _several(fans: Sequence[Fan]) -> set[Subscriber]:
    """Who is in more than one of them."""
    seen: set[Subscriber] = set()
    count = 0
    for fan in fans:
        seen.update(fan.sinks)
        count += len(fan.sinks)
    if len(seen) == count:  # so it is where every client has a channel of its own
        return set()
    once: set[Subscriber] = set()
    several: set[Subscriber] = set()
    for fan in fans:
        several |= once & fan.sinks.keys()
        once |= fan.sinks.keys()
    return several


def _single(share: _Share, subscribers: list[Subscriber]) -> int:
    """They get nothing else in this turn."""
    for subscriber in subscribers:
        subscriber.sink(share.framed)
    return len(share.objects) * len(subscribers)


def _join(parties: dict[Subscriber, _Party], share: _Share, subscribers: list[Subscriber]) -> None:
    """All of them also get this."""
    after: dict[_Party | None, _Party] = {}
    find = parties.get  # this is the innermost loop of a busy turn
    for subscriber in subscribers:
        before = find(subscriber)
        party = after.get(before)
        if party is None:
            shares = (share,) if before is None else (*before.shares, share)
            party = after[before] = _Party(shares)
        parties[subscriber] = party

"""Channels: publications in order, and proof that none was missed.

A channel with history is a stream with an *epoch*. Every publication has the next
*offset*, from 1; the epoch is a random word that names this life of the counter. Together
they are a position. A subscriber who comes back with a position either gets exactly what
it missed, or is told that nobody can prove that: see ``recover``.

Two expiries: the publications expire some time after the last one, and then the counter
and the epoch live on, for weeks, so that "nothing was published" stays provable (for an
hour where nothing ever was). When those expire too, or the memory is lost, the next touch
starts a new epoch. So does a store that goes on from less than it had, after a crash or on the
way back to a backup; such an epoch knows where the one before it ended, as far as that survived.

Publications of a channel without history have offset 0, no epoch, and cannot be recovered.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "Guard",
    "History",
    "Position",
    "Publication",
    "Published",
    "Recovery",
    "recover",
    "recover_latest",
]


class Position(NamedTuple):
    """A place in a channel's history. ``Position(0, "")``: the channel keeps no history."""

    offset: int
    epoch: str


class Publication(NamedTuple):
    """What was published: JSON text, and what belongs to it."""

    offset: int
    data: bytes
    info: bytes | None = None
    """Who published it: JSON text of the client's info."""
    tags: bytes | None = None
    """JSON text of an object of strings."""
    channel: bytes | None = None
    """Where it was published, if this is the stream of a whole class of channels."""


class Guard(NamedTuple):
    """What keeps a publication from being made twice, or after a newer one.

    A publication with a ``key`` is made once: for some minutes the same key on the same channel
    is answered with the first position. One with a ``version`` above 0 is made only if no
    publication kept by the channel had that version or a newer one; versions of different
    ``version_epoch`` are not compared, unless this one's is empty.
    """

    key: bytes | None = None
    version: int = 0
    version_epoch: bytes = b""


class Published(NamedTuple):
    """Where a publication came to lie; not ``delivered``: a guard held it back.

    Then this is the position of the first one with the same key, or of the newest one there is.
    """

    offset: int
    epoch: str
    delivered: bool = True

    @property
    def position(self) -> Position:
        return Position(self.offset, self.epoch)


class History(NamedTuple):
    """Publications, and the position of the newest one ever published (not of the last here)."""

    position: Position
    publications: list[Publication]
    past: Position | None = None
    """Where the life before this one ended, as far as this one inherited it; see ``covers``."""

    def covers(self, since: Position) -> bool:
        """Whether offsets mean the same at ``since`` as here: same epoch, or inherited from it.

        A store that lost its newest publications (a replica that was promoted, a crash, a return
        to a backup) goes on from what it has, under a new epoch. Who had seen no more than that
        has missed nothing.
        """
        if since.epoch in ("", self.position.epoch):
            return True
        past = self.past
        return past is not None and since.epoch == past.epoch and since.offset <= past.offset


class Recovery(NamedTuple):
    recovered: bool
    publications: list[Publication]


def recover(since: Position, history: History, limit: int) -> Recovery:
    """What a subscriber at ``since`` missed, if the history proves that it is all of it.

    ``history`` holds the publications after ``since.offset``, at least ``limit + 1`` of them
    if there are so many. A gap that was trimmed, expired or is over the limit, a position
    from the future and a foreign epoch all answer not recovered: never a part.
    """
    position, missed = history.position, history.publications
    if not history.covers(since):
        return Recovery(False, [])
    if not missed:
        return Recovery(position.offset == since.offset, [])
    complete = (
        len(missed) <= limit
        and missed[0].offset == since.offset + 1
        and missed[-1].offset == position.offset
    )
    return Recovery(complete, missed if complete else [])


def recover_latest(since: Position, history: History) -> Recovery:
    """The newest publication, for those who care for no other, unless it was seen at ``since``.

    ``history`` holds the newest one, if it is kept. Not recovered: there is none, and nothing
    says that the subscriber has seen the last one there was.
    """
    position, newest = history.position, history.publications
    seen = since.offset == position.offset > 0 and since.epoch != "" and history.covers(since)
    if seen:
        return Recovery(True, [])
    if not newest or newest[-1].offset != position.offset:
        return Recovery(False, [])
    return Recovery(True, newest[-1:])

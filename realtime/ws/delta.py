"""Publications for those who asked for differences.

Their ``data`` is always a JSON string: the text of the publication, or a Fossil delta that
makes it of the text before. A difference is computed once per publication, however many
subscribers there are, and only used if it is shorter. Who has not had the publication before
gets the text itself.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from realtime.backends.base import Publication
from realtime.ws.fossil import delta
from realtime.ws.framing import pushed
from realtime.ws.pushes import publication, push

__all__ = ["Differences", "Forms", "whole", "whole_push"]

_encode = msgspec.json.Encoder().encode


class Forms(NamedTuple):
    """The two pushes of a publication."""

    whole: bytes
    brief: bytes
    """For those who have had the one before; the same if a difference is not shorter."""


def whole(data: bytes) -> bytes:
    """JSON text as a JSON string. O(length)."""
    return _encode(data.decode(errors="replace"))


def whole_push(head: bytes, item: Publication, epoch: str) -> bytes:
    """The push that depends on none before it."""
    return pushed(head, item._replace(data=whole(item.data)), epoch)


class Differences:
    """The publications of one channel, each compared with the one before."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: bytes | None = None

    def forms(self, head: bytes, item: Publication, epoch: str) -> Forms:
        """The next publication. O(length), and up to about a millisecond where it is compared."""
        after = item.data.decode(errors="replace").encode()  # what a client makes of the text
        before, self._before = self._before, after
        body = whole_push(head, item, epoch)
        brief = None if before is None else _brief(before, after)
        if brief is None:
            return Forms(body, body)
        told = publication(
            *item._replace(data=brief), epoch=epoch if item.offset == 1 else "", delta=True
        )
        return Forms(body, push(head, b"pub", told))


def _brief(before: bytes, after: bytes) -> bytes | None:
    """The difference as a JSON string, if there is one and it is shorter than the text."""
    difference = delta(before, after)
    if difference is None or len(difference) >= len(after):
        return None
    return _encode(difference.decode())

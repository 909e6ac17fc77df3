"""Live boards for those who asked for what changes, instead of the whole top each time.

The first publication that a subscriber has is a complete top, and every one after it says what
became of the one before:

    {"board": "arcade", "version": 8, "entries": [...]}                     the top
    {"board": "arcade", "version": 9, "since": 8,                           what changed
     "joined": [...], "moved": [...], "left": ["member", ...]}

``since`` is the version that it changes: whoever has another one has missed something, and
subscribes anew. Rows have an ``index``, their place in the list from 0 on, since ranks may be
shared; rows that are not named stay where they are. Where a board has seasons each of them also
has its ``season``, and the first one of a season is a complete top. It is computed once per
publication, however many subscribers there are. O(rows of the top).
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from realtime.backends.base import Publication
from realtime.ws.delta import Forms
from realtime.ws.framing import pushed

__all__ = ["BoardChanges", "wants_changes"]


class _Row(msgspec.Struct):
    rank: int
    member: str
    score: Raw


class _Top(msgspec.Struct):
    board: Raw
    version: int
    entries: list[_Row]
    season: int | None = None


class _Placed(msgspec.Struct):
    index: int
    rank: int
    member: str
    score: Raw


class _Changes(msgspec.Struct, omit_defaults=True):
    board: Raw
    version: int
    since: int
    joined: list[_Placed]
    moved: list[_Placed]
    left: list[str]
    season: int | None = None


class _Asked(msgspec.Struct):
    """What a client may say when it subscribes to a live board."""

    mode: Literal["top", "delta"] = "top"


_decode = msgspec.json.Decoder(_Top).decode
_decode_asked = msgspec.json.Decoder(_Asked).decode
_encode = msgspec.json.Encoder().encode


def wants_changes(data: Raw) -> bool:
    """Whether the ``data`` of a subscription asks for changes. Raises msgspec.DecodeError."""
    text = bytes(data)
    return text not in (b"", b"null") and _decode_asked(text).mode == "delta"


class BoardChanges:
    """The publications of one live board, each compared with the one before."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: _Top | None = None

    def forms(self, head: bytes, item: Publication, epoch: str) -> Forms:
        """The next publication, whole and as what it changes."""
        body = pushed(head, item, epoch)
        try:
            after = _decode(item.data)
        except msgspec.DecodeError:
            self._before = None  # not ours; it is passed on, and the next one is whole
            return Forms(body, body)
        before, self._before = self._before, after
        if before is None or before.season != after.season:
            return Forms(body, body)
        changes = _encode(_changed(before, after))
        return Forms(body, pushed(head, item._replace(data=changes), epoch))


def _changed(before: _Top, after: _Top) -> _Changes:
    old = {row.member: row for row in _placed(before)}
    rows = _placed(after)
    stay = {row.member for row in rows}
    return _Changes(
        board=after.board,
        version=after.version,
        since=before.version,
        joined=[row for row in rows if row.member not in old],
        moved=[row for row in rows if row.member in old and row != old[row.member]],
        left=[member for member in old if member not in stay],
        season=after.season,
    )


def _placed(top: _Top) -> list[_Placed]:
    return [
        _Placed(index, row.rank, row.member, row.score) for index, row in enumerate(top.entries)
    ]

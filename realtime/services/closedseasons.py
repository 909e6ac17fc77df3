"""What is kept of seasons that are over, in a hash beside their board.

    7           the *row* of season 7: when it began, when it ended, how many entries it has, its
                rules; see `engine.seasons`
    7:packing   how its entries are packed: how many per block, at most how many blocks, the salt
    7:packed    that they are: how many per block, at most how many blocks; and the mark of the
                one who was erased last, if there is one
    7:told      see `realtime.services.season_telling`; so is ``7:tried``

Instants are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from realtime.backends.base import Hashes, Ranking
from realtime.backends.keys import SEASONS, board_key
from realtime.services.boardrules import thawed
from realtime.services.names import name_bytes

__all__ = [
    "FIELDS",
    "PACKED",
    "PACKING",
    "ROW",
    "TOLD",
    "TRIED",
    "ClosedSeason",
    "Kept",
    "Plan",
    "all_kept",
    "kept",
    "seasons_key",
]

ROW = b"%d"
PACKING = b"%d:packing"
PACKED = b"%d:packed"
TOLD = b"%d:told"
TRIED = b"%d:tried"
FIELDS = (ROW, PACKING, PACKED, TOLD, TRIED)
"""All that there may be of a season."""


class ClosedSeason(NamedTuple):
    """A season that is over."""

    number: int
    began: int
    ended: int
    size: int
    """How many entries it has."""
    ranking: Ranking
    """The rules it was played by."""
    packed: tuple[int, int] | None
    """If its entries lie in a compact archive: rows per block, and at most how many blocks."""
    told: bool
    """Whether whoever wants to be told of it has been."""
    mark: int = 0
    """Of a compact archive: another one whenever somebody is erased from it."""


class Plan(NamedTuple):
    """How a season is packed, by whomever."""

    rows: int
    blocks: int
    """At most: it may have become smaller since."""
    salt: bytes

    def text(self) -> bytes:
        return b"%d %d %b" % (self.rows, self.blocks, self.salt.hex().encode())

    @classmethod
    def read(cls, text: bytes) -> Plan:
        rows, blocks, salt = text.split()
        return cls(int(rows), int(blocks), bytes.fromhex(salt.decode()))


class Kept(NamedTuple):
    """A closed season as it was seen."""

    season: ClosedSeason
    plan: Plan | None
    """None: nobody has begun to pack it."""
    seen: dict[bytes, bytes | None]
    """The fields by which it is recognised; see `realtime.backends.base.Hashes.commit`."""


def seasons_key(board: str) -> bytes:
    """Where all of this lies. Raises InvalidInput for a name."""
    return board_key(name_bytes("board", board)) + SEASONS


async def kept(hashes: Hashes, board: str, number: int) -> Kept | None:
    """One season, if it is kept. O(1)."""
    names = [field % number for field in (ROW, PACKED, PACKING, TOLD)]
    texts = dict(zip(names, await hashes.fields(seasons_key(board), names), strict=True))
    fields = {name: text for name, text in texts.items() if text is not None}
    if ROW % number not in fields:
        return None
    plan = fields.get(PACKING % number)
    del texts[TOLD % number]
    return Kept(_read(number, fields), None if plan is None else Plan.read(plan), texts)


async def all_kept(hashes: Hashes, board: str) -> list[ClosedSeason]:
    """The seasons that are kept, newest first. O(seasons)."""
    fields = await hashes.get(seasons_key(board)) or {}
    numbers = sorted([int(name) for name in fields if name.isdigit()], reverse=True)
    return [_read(number, fields) for number in numbers]


def _read(number: int, fields: Mapping[bytes, bytes]) -> ClosedSeason:
    began, ended, size, rules = fields[ROW % number].split(b" ", 3)
    packed = [int(part) for part in fields.get(PACKED % number, b"").split()]
    return ClosedSeason(
        number,
        int(began),
        int(ended),
        int(size),
        thawed(rules),
        (packed[0], packed[1]) if packed else None,
        TOLD % number in fields,
        packed[2] if len(packed) > 2 else 0,
    )

"""Parts of packed boards, fetched from the store, and kept unpacked up to a number of bytes.

What lies under the name of a part changes only if somebody is erased from it, and has another
*mark* then. The head of a board says which mark each of its parts must have, so parts that do not
belong together never meet: whoever finds one that is not of his head begins anew, with the head
that is there by now. See `realtime.services.packing`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from realtime.backends.base import Values
from realtime.services.packing import Block, Bucket, Damaged, Head
from realtime.services.turns import give_way

__all__ = ["AT_ONCE", "BLOCK", "HEAD", "INDEX", "Edition", "Shelf", "Superseded"]

HEAD = b":head"
BLOCK = b":rows:%d"
INDEX = b":index:%d"

BUDGET = 16 * 1024 * 1024
"""Bytes of unpacked parts that are kept, about; some 150 blocks of names alone."""

AT_ONCE = 32
"""Parts fetched in one round trip where many are needed: up to 1 MB, which holds up the answers
behind it on the same wire for a few milliseconds."""


class Superseded(Exception):
    """What was being read is not there any more, or not as it was: look again what there is."""


class Edition(NamedTuple):
    """A board that is packed, or to be: where it lies, and which of those that may come to lie
    there after each other."""

    key: bytes
    edition: int


class _Part(Protocol):
    def __init__(self, value: bytes) -> None: ...

    @property
    def mark(self) -> int: ...

    @property
    def weight(self) -> int: ...


Part = TypeVar("Part", bound=_Part)


class _Kind(NamedTuple, Generic[Part]):
    suffix: bytes
    name: str
    read: type[Part]


_BLOCKS = _Kind(BLOCK, "block", Block)
_BUCKETS = _Kind(INDEX, "index", Bucket)


class Shelf:
    """What was used last is kept. Who asks for parts may be raised Superseded, and Damaged."""

    def __init__(self, values: Values, budget: int = BUDGET) -> None:
        self._values = values
        self._budget = budget
        self._parts: OrderedDict[tuple[Edition, bytes], Any] = OrderedDict()
        self.weight = 0
        """Bytes of what is kept, about."""

    async def head(self, of: Edition, mark: int) -> Head | None:
        """The head with this mark, or a later one; None if the board is not packed."""
        kept: Head | None = self._kept((of, HEAD), mark)
        if kept is not None:
            return kept
        head = await self._stored_head(of)
        if head is not None:
            self._keep((of, HEAD), head)
        return head

    async def block(self, of: Edition, head: Head, number: int) -> Block:
        kept: Block | None = self._kept((of, BLOCK % number), head.block_marks[number])
        if kept is not None:
            return kept
        return (await self._fetch(of, head, _BLOCKS, head.block_marks, (number,)))[0]

    async def bucket(self, of: Edition, head: Head, number: int) -> Bucket:
        kept: Bucket | None = self._kept((of, INDEX % number), head.bucket_marks[number])
        if kept is not None:
            return kept
        return (await self._fetch(of, head, _BUCKETS, head.bucket_marks, (number,)))[0]

    async def blocks(self, of: Edition, head: Head, numbers: Sequence[int]) -> AsyncIterator[Block]:
        """In order, `AT_ONCE` of them fetched in one round trip."""
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            for block in await self._fetch(of, head, _BLOCKS, head.block_marks, some):
                yield block
            await give_way()  # the parts may all have been here

    async def buckets(
        self, of: Edition, head: Head, numbers: Sequence[int]
    ) -> AsyncIterator[Bucket]:
        """As `blocks`."""
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            for bucket in await self._fetch(of, head, _BUCKETS, head.bucket_marks, some):
                yield bucket
            await give_way()

    async def _stored_head(self, of: Edition) -> Head | None:
        """It is written when all parts are there, and deleted first."""
        value = await self._values.get(of.key + HEAD)
        head = None if value is None else Head.read(value)
        return None if head is None or head.edition != of.edition else head

    async def _fetch(
        self,
        of: Edition,
        head: Head,
        kind: _Kind[Part],
        marks: Sequence[int],
        numbers: Sequence[int],
    ) -> list[Part]:
        found: dict[int, Part | None] = {
            number: self._kept((of, kind.suffix % number), marks[number]) for number in numbers
        }
        missing = [number for number, part in found.items() if part is None]
        if missing:
            keys = [of.key + kind.suffix % number for number in missing]
            for number, value in zip(missing, await self._values.get_all(keys), strict=True):
                found[number] = await self._opened(of, head, kind, marks, number, value)
        return [part for number in numbers if (part := found[number]) is not None]

    async def _opened(
        self,
        of: Edition,
        head: Head,
        kind: _Kind[Part],
        marks: Sequence[int],
        number: int,
        value: bytes | None,
    ) -> Part:
        name = f"{kind.name} {number}"
        if value is None:
            raise await self._absence(of, head, f"{name} is missing")
        try:
            part = kind.read(value)
        except Damaged as error:
            raise Damaged(f"{name} cannot be read") from error
        if part.mark != marks[number]:
            raise await self._absence(of, head, f"{name} is another one")
        self._keep((of, kind.suffix % number), part)
        await give_way()  # to unpack a block takes a while, and who asks for one may ask for many
        return part

    async def _absence(self, of: Edition, head: Head, what: str) -> Exception:
        """Why a part that this head speaks of is not there."""
        self._drop((of, HEAD))
        there = await self._stored_head(of)
        if there is None or there.mark != head.mark:
            return Superseded()
        return Damaged(what)

    def _kept(self, name: tuple[Edition, bytes], mark: int) -> Any:
        """None if it is not here, or has another mark."""
        part = self._parts.get(name)
        if part is None or part.mark != mark:
            return None
        self._parts.move_to_end(name)
        return part

    def _keep(self, name: tuple[Edition, bytes], part: Head | _Part) -> None:
        self._drop(name)  # one of before, or somebody else has fetched it meanwhile
        if part.weight > self._budget:
            return
        self._parts[name] = part
        self.weight += part.weight
        while self.weight > self._budget:
            self._drop(next(iter(self._parts)))

    def _drop(self, name: tuple[Edition, bytes]) -> None:
        part = self._parts.pop(name, None)
        if part is not None:
            self.weight -= part.weight

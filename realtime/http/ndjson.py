"""Lines of JSON out of the parts of a body, wherever those were cut.

A line is bounded: what is longer is passed over, and told as `None`, so that it takes no
memory and what follows it is still read. Lines count from 1. Each byte is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Lines"]


class Lines:
    """Feed parts, take lines."""

    __slots__ = ("_bound", "_is_too_long", "_rest", "_rest_size", "count")

    def __init__(self, bound: int, first: int = 1) -> None:
        """``first`` is the number of the first line."""
        self._bound = bound
        self._rest: list[bytes] = []
        """Pieces of a line that has not ended yet."""
        self._rest_size = 0
        self._is_too_long = False
        self.count = first - 1
        """The number of the line that ended last."""

    def feed(self, part: bytes) -> Iterator[tuple[int, bytes | None]]:
        """The lines that end within a part, each with its number. O(bytes)."""
        *ended, rest = part.split(b"\n")
        for piece in ended:
            yield self._end(piece)
        self._keep(rest)

    def end(self) -> Iterator[tuple[int, bytes | None]]:
        """The last line, if it has no line feed."""
        if self._rest_size or self._is_too_long:
            yield self._end(b"")

    def _end(self, piece: bytes) -> tuple[int, bytes | None]:
        self.count += 1
        line: bytes | None = piece
        if self._rest_size or self._is_too_long or len(piece) > self._bound:
            self._keep(piece)
            line = None if self._is_too_long else b"".join(self._rest)
            self._rest, self._rest_size, self._is_too_long = [], 0, False
        return self.count, line

    def _keep(self, piece: bytes) -> None:
        self._rest_size += len(piece)
        if self._is_too_long or self._rest_size > self._bound:
            self._rest, self._rest_size, self._is_too_long = [], 0, True
        elif piece:
            self._rest.append(piece)

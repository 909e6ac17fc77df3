"""Requests that are like one that came before on their connection, but for what their body says.

A client that keeps its connection mostly says the same again: the same path, the same headers,
and in them another length of the body. Then nothing of the head needs to be parsed, nor looked at
but to see that it is the same, byte for byte, around the digits of that length.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from realtime.http.door import Head

__all__ = ["Known", "Likeness", "likeness_of"]

WORD = b"content-length"
LENGTH = re.compile(rb"\r\n" + WORD + rb":[ \t]*(\d+)\r\n", re.IGNORECASE)
DIGITS = 8
"""A length of more digits is too long in any case."""


class Likeness(NamedTuple):
    """The bytes of a head, in two pieces if it says how long the body is."""

    before: bytes
    """To the digits of the length; all of it without one."""
    behind: bytes
    """From there to the empty line."""

    def body(self, data: bytes) -> bytes | None:
        """The body, if ``data`` is one whole request that is like this; else None. O(bytes)."""
        before, behind = self
        if not data.startswith(before):
            return None
        at = len(before)
        if not behind:
            return b"" if len(data) == at else None
        end = data.find(b"\r", at, at + DIGITS)
        if end < 0 or not data.startswith(behind, end):
            return None
        length, body = data[at:end], data[end + len(behind) :]
        return body if length.isdigit() and len(body) == int(length) else None


class Known(NamedTuple):
    """A request that may come again."""

    likeness: Likeness
    request: Head
    with_body: bool
    """The answer has one."""


def likeness_of(head: bytes) -> Likeness | None:
    """What requests with this head look like, or None if it is odd. O(bytes).

    It was read without an error. Odd are words of a length in an odd place or form."""
    words = head.lower().count(WORD)
    if not words:
        return Likeness(head, b"")
    said = LENGTH.search(head) if words == 1 else None
    return None if said is None else Likeness(head[: said.start(1)], head[said.end(1) :])

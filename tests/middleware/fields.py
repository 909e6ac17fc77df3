"""A strict parser of the part of Structured Fields (RFC 9651) that the headers use.

A List of Items, each a String with Parameters whose values are Integers or Strings. Anything
else is an error, also what a lenient reader would let pass.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Item", "parse"]

_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_INTEGER = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_PARAMETER = re.compile(r"; *([a-z*][a-z0-9_.*-]*)=")
_COMMA = re.compile(r"[ \t]*,[ \t]*")


class Item(NamedTuple):
    name: str
    parameters: dict[str, int | str]


def parse(field: str) -> list[Item]:
    """The items of a field. Raises ValueError."""
    items: list[Item] = []
    at = 0
    while True:
        name, at = _string(field, at)
        parameters: dict[str, int | str] = {}
        while match := _PARAMETER.match(field, at):
            assert match[1] not in parameters
            parameters[match[1]], at = _value(field, match.end())
        items.append(Item(name, parameters))
        if at == len(field):
            return items
        comma = _COMMA.match(field, at)
        if comma is None or comma.end() == len(field):
            raise ValueError(f"{field!r}: no comma, or nothing after it, at {at}")
        at = comma.end()


def _string(field: str, at: int) -> tuple[str, int]:
    match = _STRING.match(field, at)
    if match is None:
        raise ValueError(f"{field!r}: no String at {at}")
    return re.sub(r"\\(.)", r"\1", match[1]), match.end()


def _value(field: str, at: int) -> tuple[int | str, int]:
    match = _INTEGER.match(field, at)
    if match is None:
        return _string(field, at)
    return int(match[0]), match.end()

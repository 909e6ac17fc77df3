"""What several methods of the server API say and answer, in its shapes.

A field that is null is one that is left out, for libraries write both. A field that is not
listed is refused, for whoever sends it expects something of it. In results zero values are left
out, except where that API has them in any case.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from realtime.backends.base import Position
from realtime.errors import InvalidInput
from realtime.governing import Whom
from realtime.http.inputs import MAX_DEPTH, is_too_deep
from realtime.http.operation import Body
from realtime.http.values import compact

__all__ = [
    "NOTHING",
    "Empty",
    "Flag",
    "Instant",
    "Since",
    "Target",
    "json_of",
    "raw",
]

NOTHING = Raw(b"")
"""A field of any JSON that is left out."""

ABSENT = (b"", b"null")

Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Instant = Annotated[int, Meta(ge=0, le=2**40, description="Seconds since 1970.")]


class Empty(msgspec.Struct):
    """The result of a method that has nothing to tell."""


class Since(Body):
    """A position in the history of a channel."""

    offset: Offset | None = None
    epoch: str | None = None

    @property
    def position(self) -> Position:
        return Position(self.offset or 0, self.epoch or "")


class Flag(Body):
    """A truth that may also be left unsaid."""

    value: bool | None = None
    """Left out it is false, as that API has it."""


class Target(Body, kw_only=True):
    """Whom a method is about: all connections of a user, or one of them."""

    user: str | None = None
    client: str | None = None
    session: str | None = None

    @property
    def whom(self) -> Whom:
        return Whom(self.user or "", self.client or "", self.session or "")


def json_of(name: str, given: Raw, packed: str | None) -> bytes | None:
    """The JSON text of a field, without white space, or of its twin in base64; None for neither.

    Raises InvalidInput: for both of them, and if what is packed is no JSON, which is all that
    clients of this service are sent.
    """
    plain = bytes(given)
    if not packed:
        return None if plain in ABSENT else compact(given)
    if plain not in ABSENT:
        raise InvalidInput(f"say {name} or b64{name}, not both", path=f"$.b64{name}")
    try:
        text = b64decode(packed, validate=True)
        text.decode()
        if is_too_deep(text):
            raise InvalidInput(f"nested deeper than {MAX_DEPTH} levels", path=f"$.b64{name}")
        msgspec.json.decode(text)
    except ValueError:
        raise InvalidInput("base64 of JSON text is needed", path=f"$.b64{name}") from None
    return compact(Raw(text))


def raw(text: bytes | None) -> Raw | UnsetType:
    """JSON text as a field of a result."""
    return UNSET if text is None else Raw(text)

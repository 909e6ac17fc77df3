"""What a publisher may say of a publication, checked: what is kept of it, its tags, its guard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from realtime.backends.base import Guard
from realtime.errors import InvalidInput, TooLarge
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes
from realtime.services.places import Place

__all__ = [
    "MAX_HISTORY",
    "MAX_TAGS",
    "MAX_VERSION",
    "HistoryPolicy",
    "guard_of",
    "kept_of",
    "tags_text",
]

MAX_HISTORY = 10_000
"""Publications a channel may keep; they lie in memory."""

MAX_TAGS = 32
"""Tags of a publication. They count as bytes of it, too."""

MAX_VERSION = 2**53 - 1
"""What every client and every store holds exactly."""

_encode = msgspec.json.Encoder(order="sorted").encode


class HistoryPolicy(NamedTuple):
    """How many publications a channel keeps, and for how many seconds after the last one."""

    size: int
    ttl: float


def kept_of(
    place: Place,
    data: bytes,
    tags: bytes | None,
    history: HistoryPolicy | tuple[int, float] | None,
) -> tuple[int, int]:
    """How many publications are kept after this one, and for how many microseconds.

    Raises TooLarge and InvalidInput.
    """
    length = len(data) if tags is None else len(data) + len(tags)
    if length > place.namespace.message_bytes:
        most = place.namespace.message_bytes
        raise TooLarge(f"a publication holds at most {most} bytes, not {length}", path="$.data")
    if history is None:
        return place.size, place.ttl
    size, ttl = history
    if not 0 <= size <= MAX_HISTORY:
        raise InvalidInput(f"history size must be within 0..{MAX_HISTORY}", path="$.history")
    return size, microseconds("history ttl", ttl) if size and ttl else 0


def tags_text(tags: Mapping[str, str] | None) -> bytes | None:
    """Tags as JSON; the same tags are the same text. None: no tags. Raises InvalidInput."""
    if not tags:
        return None
    if len(tags) > MAX_TAGS:
        raise InvalidInput(f"a publication has at most {MAX_TAGS} tags", path="$.tags")
    try:
        return _encode(tags)
    except UnicodeEncodeError:
        raise InvalidInput("a tag holds half of a surrogate pair", path="$.tags") from None


def guard_of(idempotency_key: str | None, version: int, version_epoch: str) -> Guard | None:
    """The guard, or None if nothing is to be guarded. Raises InvalidInput."""
    if not 0 <= version <= MAX_VERSION:
        raise InvalidInput(f"version must be within 0..{MAX_VERSION}", path="$.version")
    if idempotency_key is None and not version:
        return None
    key = None if idempotency_key is None else name_bytes("idempotency key", idempotency_key)
    return Guard(key, version, name_bytes("version epoch", version_epoch) if version_epoch else b"")

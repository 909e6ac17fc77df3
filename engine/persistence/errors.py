"""What can be wrong with a snapshot, split by who has to act.

ValueError
├── Malformed             a packed blob makes no sense; whoever knows where it lay says Damaged
└── RdbError              knows the byte offset, and the key if one was being read
    ├── Damaged           cut short, overwritten, or no snapshot at all: use another copy
    └── Unsupported       sound, but it holds what this engine has no type for
"""

from __future__ import annotations

__all__ = ["Damaged", "Malformed", "RdbError", "Unsupported"]

SHOWN_KEY = 80
"""Bytes of a key that an error shows: enough to find it, too few to flood a log."""


class Malformed(ValueError):
    """A blob inside the file is not what its type says. Never leaves this package."""


class RdbError(ValueError):
    """The snapshot cannot be read; ``offset`` is the byte of the file where that showed."""

    def __init__(self, what: str, offset: int, key: bytes | None = None) -> None:
        place = "" if key is None else f", in key {_shown(key)}"
        super().__init__(f"{what} (at byte {offset}{place})")
        self.what = what
        self.offset = offset
        self.key = key


class Damaged(RdbError):
    """No Redis wrote these bytes."""


class Unsupported(RdbError):
    """Redis may well have written this, but the engine has no such thing."""


def _shown(key: bytes) -> str:
    return repr(key) if len(key) <= SHOWN_KEY else f"{key[:SHOWN_KEY]!r}…"

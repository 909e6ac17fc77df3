"""What can be wrong with what is on disk, split by who has to act.

ValueError
├── Malformed             bytes make no sense; whoever knows where they lay says so
│   └── Foreign           sound, but it is of a kind that this engine does not have
├── RdbError              a snapshot; knows the byte offset, and the key if one was being read
│   ├── Damaged           cut short, overwritten, or no snapshot at all: use another copy
│   └── Unsupported       sound, but it holds what this engine has no type for
└── JournalError          a journal; knows the file and the byte offset
    ├── JournalDamaged    no crash leaves it so: look at it, repair it, or use a backup
    └── JournalUnsupported  a Redis logged what this engine has no type for
"""

from __future__ import annotations

__all__ = [
    "Damaged",
    "Foreign",
    "JournalDamaged",
    "JournalError",
    "JournalUnsupported",
    "Malformed",
    "RdbError",
    "Unsupported",
]

SHOWN_KEY = 80
"""Bytes of a key that an error shows: enough to find it, too few to flood a log."""


class Malformed(ValueError):
    """Some bytes are not what they should be. Never leaves this package."""


class Foreign(Malformed):
    """A Redis may have written this, but the engine has no such thing. Never leaves, either."""


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


class JournalError(ValueError):
    """The journal cannot be replayed. ``file`` is a name within its folder.

    ``offset`` is the byte of the file where that showed: everything before it was whole."""

    def __init__(self, what: str, file: str, offset: int) -> None:
        super().__init__(f"{file}: {what} (at byte {offset})")
        self.what = what
        self.file = file
        self.offset = offset


class JournalDamaged(JournalError):
    """No crash leaves a journal like this: bytes were changed, or are missing."""


class JournalUnsupported(JournalError):
    """Redis may well have logged this, but the engine has no such thing."""


def _shown(key: bytes) -> str:
    return repr(key) if len(key) <= SHOWN_KEY else f"{key[:SHOWN_KEY]!r}…"

"""What every verb shares: the keyspace, the clock, and the way to announce an effect."""

from __future__ import annotations

from engine.clock import Clock
from engine.effects import Effects
from engine.keyspace import Keyspace, String, text

__all__ = ["Core", "milliseconds", "number"]


def milliseconds(instant: int) -> bytes:
    """An instant as Redis writes it: milliseconds, rounded up so that nothing expires early."""
    return b"%d" % -(-instant // 1000)


def number(score: float) -> bytes:
    """A score as Redis writes it: the shortest text that reads back as the same double."""
    whole = int(score) if -(2**53) < score < 2**53 else None
    return b"%d" % whole if whole == score else repr(score).encode()


class Core:
    """One per engine; each family of verbs holds it."""

    __slots__ = ("clock", "effects", "keyspace")

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.effects = Effects()
        self.keyspace = Keyspace(self._expired)

    def put_string(self, key: bytes, value: String, deadline: int | None) -> None:
        """Store a string and announce it. O(1)."""
        self.keyspace.put(key, value, deadline)
        effects = self.effects
        effects.changes += 1
        if effects.listeners:
            if deadline is None:
                effects.emit(b"SET", key, text(value))
            else:
                effects.emit(b"SET", key, text(value), b"PXAT", milliseconds(deadline))

    def move_deadline(self, key: bytes, deadline: int) -> None:
        """Move the deadline of a key that is held, and announce it. O(1)."""
        self.keyspace.set_deadline(key, deadline)
        self.announce(b"PEXPIREAT", key, milliseconds(deadline))

    def rename(self, key: bytes, new: bytes, now: int) -> None:
        """Let what a key holds lie under another one, for good, and announce it. O(1)."""
        value = self.keyspace.get(key, now)
        if value is None:
            return
        had_deadline = self.keyspace.deadline(key) is not None
        self.keyspace.delete(key)
        self.keyspace.put(new, value)
        self.announce(b"RENAME", key, new)
        if had_deadline:
            self.announce(b"PERSIST", new)

    def delete(self, key: bytes) -> bool:
        """Delete a key and announce it. O(1)."""
        if not self.keyspace.discard(key):
            return False
        self.announce(b"DEL", key)
        return True

    def announce(self, *effect: bytes) -> None:
        """Count a change and tell the listeners; for verbs that are not on the hottest path."""
        effects = self.effects
        effects.changes += 1
        for listener in effects.listeners:
            listener(effect)

    def _expired(self, key: bytes) -> None:
        self.announce(b"DEL", key)

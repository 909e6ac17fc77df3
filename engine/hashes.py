"""Hashes: small records of named fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.core import Core
from engine.keyspace import Hash

__all__ = ["Hashes", "flat"]


def flat(fields: Mapping[bytes, bytes]) -> list[bytes]:
    """name, value, name, value, … as a command takes them."""
    return [part for pair in fields.items() for part in pair]


class Hashes:
    """A dict of bytes under a key. An empty one is absent."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    def live(self, key: bytes, now: int) -> Hash | None:
        """The record itself, not a copy, for verbs that read or change a few fields. O(1)."""
        return self._core.keyspace.typed(key, now, dict, "hash")

    def get(self, key: bytes) -> Hash | None:
        """A copy of the record, or None. O(fields). Raises WrongType."""
        record = self.live(key, self._core.clock())
        return None if record is None else dict(record)

    def fields(self, key: bytes, names: Sequence[bytes]) -> list[bytes | None]:
        """Some fields of the record, None where there is none. O(names). Raises WrongType."""
        record = self.live(key, self._core.clock()) or {}
        return [record.get(name) for name in names]

    def put(self, key: bytes, fields: Mapping[bytes, bytes]) -> None:
        """Replace the whole record, whatever was there; it never expires. O(fields)."""
        self.delete_then_set(key, fields, None)

    def patch(self, key: bytes, changes: Mapping[bytes, bytes], removals: Sequence[bytes]) -> None:
        """Remove some fields, then set some; a deadline stays. O(fields). Raises WrongType."""
        now = self._core.clock()
        self.remove(key, removals, now)
        if changes:
            self.update(key, changes, now)

    def commit(
        self,
        key: bytes,
        seen: Mapping[bytes, bytes | None],
        changes: Mapping[bytes, bytes],
        present: bytes | None,
        values: Mapping[bytes, bytes],
        gone: Sequence[bytes],
    ) -> bool:
        """Set fields, and strings beside the record, and delete other keys; but only if the fields
        ``seen`` are as they were seen, None for absent, and there is a value under ``present``.

        Whether that was so. O(what is named). Raises WrongType."""
        core, now = self._core, self._core.clock()
        record = self.live(key, now) or {}
        if any(record.get(name) != text for name, text in seen.items()):
            return False
        if present is not None and core.keyspace.get(present, now) is None:
            return False
        if changes:
            self.update(key, changes, now)
        for name, value in values.items():
            core.put_string(name, value, None)
        for name in gone:
            if core.keyspace.get(name, now) is not None:
                core.delete(name)
        return True

    def delete_then_set(
        self, key: bytes, fields: Mapping[bytes, bytes], deadline: int | None
    ) -> None:
        """As ``put``, with a deadline. O(fields)."""
        core = self._core
        core.delete(key)
        if not fields:
            return
        core.keyspace.put(key, dict(fields), deadline)
        core.announce(b"HSET", key, *flat(fields))
        if deadline is not None:
            core.move_deadline(key, deadline)

    def update(self, key: bytes, fields: Mapping[bytes, bytes], now: int) -> Hash:
        """Set some fields, creating the record if need be; a deadline stays. O(fields).

        Answers the record itself."""
        record = self.live(key, now)
        if record is None:
            record = dict(fields)
            self._core.keyspace.put(key, record)
        else:
            record.update(fields)
        self._core.announce(b"HSET", key, *flat(fields))
        return record

    def remove(self, key: bytes, names: Iterable[bytes], now: int) -> None:
        """Remove some fields; the last one takes the record with it. O(fields)."""
        record = self.live(key, now)
        if record is None:
            return
        gone = [name for name in names if record.pop(name, None) is not None]
        if gone:
            self._core.announce(b"HDEL", key, *gone)
        if not record:
            self._core.keyspace.delete(key)

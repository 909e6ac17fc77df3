"""What a store holds, in plain dicts, whoever tells it: a journal, a snapshot, a real Redis.

    key -> (value, deadline in milliseconds or None)

    string       bytes
    hash         dict of bytes
    sorted set   dict of floats
    stream       list of (id, fields)

All are compared as such, so that none of the code under test decides whether two are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import anycrc

from engine.keyspace import Value as EngineValue
from engine.keyspace import text
from engine.persistence.rdb import read
from engine.sortedset import SortedSet
from engine.stream import Stream
from tests.persistence.redis_process import redis_server

__all__ = ["Content", "Entry", "differences", "live", "of_redis", "of_snapshot"]

StreamItems = list[tuple[bytes, tuple[bytes, ...]]]
Value = bytes | dict[bytes, bytes] | dict[bytes, float] | StreamItems


class Entry(NamedTuple):
    """What lies under a key, and until when."""

    value: Value
    deadline: int | None = None

    @property
    def string(self) -> bytes:
        assert isinstance(self.value, bytes)
        return self.value

    @property
    def fields(self) -> dict[bytes, bytes]:
        """Of a hash."""
        assert isinstance(self.value, dict)
        return cast(dict[bytes, bytes], self.value)

    @property
    def scores(self) -> dict[bytes, float]:
        """Of a sorted set."""
        assert isinstance(self.value, dict)
        return cast(dict[bytes, float], self.value)

    @property
    def items(self) -> StreamItems:
        """Of a stream."""
        assert isinstance(self.value, list)
        return self.value


Content = dict[bytes, Entry]


def of_snapshot(path: Path) -> Content:
    """Everything in an RDB file, expired or not."""
    with path.open("rb") as file:
        return {
            key: Entry(_plain(value), None if deadline is None else -(-deadline // 1000))
            for key, value, deadline in read(file, anycrc.Model("CRC64-REDIS").calc)
        }


def of_redis(data: Path) -> Content:
    """What a real redis-server makes of a directory with a journal. It may change the files."""
    with redis_server(data, "--appendonly", "yes") as client:
        return dict(_entries(client))


def live(content: Content, at: int) -> Content:
    """Without what has expired by ``at``, in milliseconds."""
    return {
        key: entry
        for key, entry in content.items()
        if entry.deadline is None or entry.deadline > at
    }


def differences(one: Content, other: Content) -> list[str]:
    """The keys that are not the same in both, and what is there instead; at most some."""
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    return [f"{key!r}: {one.get(key)} / {other.get(key)}" for key in keys[:10]]


def _plain(value: EngineValue) -> Value:
    if isinstance(value, (bytes, int, tuple)):
        return text(value)
    if isinstance(value, SortedSet):
        return dict(value.slice(0, len(value)))
    if isinstance(value, Stream):
        return [(b"%d-%d" % identifier, fields) for identifier, fields in value.after((0, 0))]
    return dict(value)


def _entries(client: Any) -> Iterator[tuple[bytes, Entry]]:
    for key in client.scan_iter(count=1000):
        value = _READERS[client.type(key)](client, key)
        deadline = client.pexpiretime(key)
        if value:  # it may have expired between two questions
            yield key, Entry(value, None if deadline < 0 else deadline)


def _stream(client: Any, key: bytes) -> StreamItems:
    """Fields as a list: redis-py would make a dict of them, without order."""
    items = client.execute_command("XRANGE", key, "-", "+", NEVER_DECODE=True)
    return [(bytes(identifier), tuple(fields)) for identifier, fields in _raw(items)]


def _raw(items: Any) -> Iterator[tuple[bytes, list[bytes]]]:
    for identifier, fields in items:
        pairs = (
            fields.items() if isinstance(fields, dict) else zip(*[iter(fields)] * 2, strict=True)
        )
        yield identifier, [part for pair in pairs for part in pair]


_READERS: dict[bytes, Any] = {
    b"string": lambda client, key: client.get(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"zset": lambda client, key: dict(client.zrange(key, 0, -1, withscores=True)),
    b"stream": _stream,
    b"none": lambda client, key: None,
}

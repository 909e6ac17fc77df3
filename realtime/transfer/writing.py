"""Values to a Redis, each replaced whole, in commands that never hold it up.

A value of one piece is replaced in a transaction. A larger one grows under a temporary name
beside it, in the same slot, and takes its place in one step; nobody ever sees a part of
it. What a killed run leaves behind has a name that says so, see `clear`.

Every item makes the same commands each time, so a run may be repeated at will.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from engine.keyspace import Hash, Value, text
from engine.sortedset import SortedSet
from engine.stream import Stream
from realtime.transfer.ends import Item, TransferError
from realtime.transfer.layout import temporary
from realtime.transfer.progress import Beat
from realtime.transfer.server import Server

__all__ = ["ROWS", "put", "unlink"]

ROWS = 512
"""Rows in one command: under a millisecond of the server's time."""

Words = tuple[bytes, ...]


def put(server: Server, item: Item, beat: Beat) -> None:
    """Have the item replace what is under its key; done once the server has settled.

    ``beat`` is called between the pieces of a large value. Raises TransferError."""
    key, value, deadline = item
    if isinstance(value, (bytes, int, tuple)):
        until = () if deadline is None else (b"PXAT", _milliseconds(deadline))
        server.push(b"SET", key, text(value), *until)
    elif len(value) <= ROWS:
        _replace(server, key, list(_pieces(key, value)), deadline)
    else:
        _grow(server, key, value, beat)
        _replace(server, key, [(b"RENAME", temporary(key), key)], deadline)


def unlink(server: Server, key: bytes) -> None:
    """Have a key removed; a large value is freed in the background."""
    server.push(b"UNLINK", key)


def _replace(server: Server, key: bytes, by: list[Words], deadline: int | None) -> None:
    """In one step; a deadline that has passed since removes the key, as it should."""
    server.push(b"MULTI")
    server.push(b"UNLINK", key)
    for words in by:
        server.push(*words)
    if deadline is not None:
        server.push(b"PEXPIREAT", key, _milliseconds(deadline))
    server.push(b"EXEC")


def _grow(server: Server, key: bytes, value: Value, beat: Beat) -> None:
    building = temporary(key)
    unlink(server, building)
    try:
        for words in _pieces(building, value):
            server.push(*words)
            beat(1 if isinstance(value, Stream) else ROWS)
    except TransferError:
        raise  # the server is not to be talked to any more
    except BaseException:
        unlink(server, building)
        server.settle()
        raise


def _pieces(key: bytes, value: Value) -> Iterator[Words]:
    """The commands that make a value under a key where there is none."""
    if isinstance(value, dict):
        return _fields(key, value)
    if isinstance(value, SortedSet):
        return _rows(key, value)
    assert isinstance(value, Stream)
    return _entries(key, value)


def _fields(key: bytes, record: Hash) -> Iterator[Words]:
    fields = iter(record.items())
    while batch := list(islice(fields, ROWS)):
        yield (b"HSET", key, *(part for field in batch for part in field))


def _rows(key: bytes, board: SortedSet) -> Iterator[Words]:
    """Seventeen digits bring every double back as it was."""
    for start in range(0, len(board), ROWS):
        batch = board.stored_slice(start, start + ROWS)
        yield (
            b"ZADD",
            key,
            *(part for member, score in batch for part in (b"%.17g" % score, member)),
        )


def _entries(key: bytes, stream: Stream) -> Iterator[Words]:
    """XSETID says what the entries do not: which were there before them."""
    for entry_id, fields in stream.entries:
        yield (b"XADD", key, b"%d-%d" % entry_id, *fields)
    if not stream.entries:  # no command makes an empty stream, but this does by the way
        yield (b"XGROUP", b"CREATE", key, b"g", b"$", b"MKSTREAM")
        yield (b"XGROUP", b"DESTROY", key, b"g")
    added, deleted = b"%d" % stream.added, b"%d-%d" % stream.max_deleted_id
    last = b"%d-%d" % stream.last_id
    yield (b"XSETID", key, last, b"ENTRIESADDED", added, b"MAXDELETEDID", deleted)


def _milliseconds(deadline: int) -> bytes:
    """Rounded up, so that nothing expires early."""
    return b"%d" % -(-deadline // 1000)

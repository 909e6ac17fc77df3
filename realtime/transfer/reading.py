"""Values from a Redis, in pieces that never hold it up and never fill its buffers.

Small values are read whole, a hundred in one round trip. How large one is, the server says
first; a large one is read a few hundred rows at a time. That is not one instant: where
somebody writes meanwhile, the comparison at the end shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from engine.keyspace import Hash, Value
from engine.sortedset import Row, SortedSet
from engine.stream import Stream, StreamEntry, StreamId
from realtime.transfer.ends import Item
from realtime.transfer.progress import Beat
from realtime.transfer.server import Refused
from realtime.transfer.store import Question, Store

__all__ = ["BATCH", "UnknownType", "read", "scan"]

SCAN_COUNT = 1000
"""Names in one answer, about."""

BATCH = 128
"""Keys asked for in one round trip."""

SMALL = 64 * 1024
"""Bytes up to which a value is read whole; with BATCH, at most 8 MiB in one round trip."""

ROWS = 512
"""The most rows of a large value in one answer."""

PIECE = 1024 * 1024
"""Bytes of a large value in one answer, about."""

AHEAD = 16
"""Pieces of a sorted set that are asked for at once."""

_SIZE = {b"zset": b"ZCARD", b"hash": b"HLEN", b"stream": b"XLEN"}
_WHOLE: dict[bytes, Callable[[bytes], tuple[bytes, ...]]] = {
    b"string": lambda key: (b"GET", key),
    b"hash": lambda key: (b"HGETALL", key),
    b"zset": lambda key: (b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"),
    b"stream": lambda key: (b"XRANGE", key, b"-", b"+"),
}


class UnknownType(NamedTuple):
    """In the place of an item: a key of ours under which somebody keeps what we never do."""

    key: bytes


class _Facts(NamedTuple):
    """What is known of a key before its value is read."""

    key: bytes
    kind: bytes
    deadline: int
    """Milliseconds since 1970; -1: none."""
    size: int
    """Bytes in the server's memory, as it estimates them; 0: the key is gone."""


def scan(store: Store) -> Iterator[bytes]:
    """Every name on every master. Those that are there all the time come at least once."""
    for server in store.servers:
        cursor = b"0"
        while True:
            (answer,) = server.ask([(b"SCAN", cursor, b"COUNT", b"%d" % SCAN_COUNT)])
            if isinstance(answer, Refused):
                raise server.failed(answer)
            cursor, names = answer
            yield from names
            if cursor == b"0":
                break


def read(store: Store, keys: Sequence[bytes], beat: Beat) -> Iterator[Item | UnknownType]:
    """The items under these keys, at most BATCH; those that are gone are left out.

    ``beat`` is called between the pieces of large values."""
    small, large = [], []
    for facts in _facts(store, keys):
        if facts.kind not in _WHOLE:
            yield UnknownType(facts.key)
        elif facts.size <= SMALL:
            small.append(facts)
        else:
            large.append(facts)
    yield from _read_small(store, small)
    for facts in large:
        value = _read_large(store, facts, beat)
        if value is not None:
            yield facts.key, value, _deadline(facts)


def _facts(store: Store, keys: Sequence[bytes]) -> Iterator[_Facts]:
    questions = [
        Question(key, words)
        for key in keys
        for words in ((b"TYPE", key), (b"PEXPIRETIME", key), (b"MEMORY", b"USAGE", key))
    ]
    answers = iter(store.ask(questions))
    for key, kind, deadline, size in zip(keys, answers, answers, answers, strict=True):
        if size is not None and kind != b"none" and deadline != -2:
            yield _Facts(key, kind, deadline, size)


def _read_small(store: Store, small: Sequence[_Facts]) -> Iterator[Item]:
    questions = [Question(facts.key, _WHOLE[facts.kind](facts.key)) for facts in small]
    # Asked after the entries, so that it counts them all.
    streams = [facts.key for facts in small if facts.kind == b"stream"]
    questions += [Question(key, (b"XINFO", b"STREAM", key)) for key in streams]
    answers = store.ask(questions)
    about = dict(zip(streams, answers[len(small) :], strict=True))
    for facts, answer in zip(small, answers, strict=False):
        value = _value(facts.kind, answer, about.get(facts.key))
        if value is not None:
            yield facts.key, value, _deadline(facts)


def _value(kind: bytes, answer: Any, about: Any) -> Value | None:
    """What a flat answer stands for; None if it is nothing."""
    if kind == b"string":
        return cast(bytes, answer)
    if kind == b"hash":
        return dict(_pairs(answer)) or None
    if kind == b"zset":
        return SortedSet(_rows(answer)) if answer else None
    return _stream([_entry(entry) for entry in answer], about)


def _read_large(store: Store, facts: _Facts, beat: Beat) -> Value | None:
    key, kind = facts.key, facts.kind
    if kind == b"string":
        (value,) = store.ask([Question(key, (b"GET", key))])
        return cast("bytes | None", value)
    (count,) = store.ask([Question(key, (_SIZE[kind], key))])
    piece = max(1, min(ROWS, PIECE * (count or 0) // facts.size))
    if kind == b"hash":
        return _large_hash(store, key, piece, beat) or None
    if kind == b"zset":
        return SortedSet(_large_sorted_set(store, key, piece, beat)) or None
    entries = list(_large_stream(store, key, piece, beat))
    (about,) = store.ask([Question(key, (b"XINFO", b"STREAM", key))])
    return _stream(entries, about)


def _large_hash(store: Store, key: bytes, piece: int, beat: Beat) -> Hash:
    record: Hash = {}
    cursor = b"0"
    while True:
        words = (b"HSCAN", key, cursor, b"COUNT", b"%d" % piece)
        (answer,) = store.ask([Question(key, words)])
        cursor, fields = answer or (b"0", ())
        record.update(_pairs(fields))
        beat(len(fields) // 2)
        if cursor == b"0":
            return record


def _large_sorted_set(store: Store, key: bytes, piece: int, beat: Beat) -> Iterator[Row]:
    start = 0
    while True:
        questions = []
        for _ in range(AHEAD):
            stop = start + piece
            words = (b"ZRANGE", key, b"%d" % start, b"%d" % (stop - 1), b"WITHSCORES")
            questions.append(Question(key, words))
            start = stop
        for answer in store.ask(questions):
            if not answer:
                return
            yield from _rows(answer)
            beat(len(answer) // 2)


def _large_stream(store: Store, key: bytes, piece: int, beat: Beat) -> Iterator[StreamEntry]:
    after = b"-"
    while True:
        words = (b"XRANGE", key, after, b"+", b"COUNT", b"%d" % piece)
        (entries,) = store.ask([Question(key, words)])
        if not entries:
            return
        yield from map(_entry, entries)
        after = b"(" + entries[-1][0]
        beat(len(entries))


def _stream(entries: list[StreamEntry], about: Any) -> Stream | None:
    """A stream, consistent even if it was written to or trimmed between the two answers."""
    if about is None:
        return None
    facts = dict(_pairs(about))
    stream = Stream()
    stream.entries.extend(entries)
    newest = entries[-1][0] if entries else (0, 0)
    stream.last_id = max(newest, _stream_id(facts[b"last-generated-id"]))
    stream.max_deleted_id = _stream_id(facts[b"max-deleted-entry-id"])
    stream.added = max(len(entries), facts[b"entries-added"])
    return stream


def _entry(answer: Any) -> StreamEntry:
    entry_id, fields = answer
    return _stream_id(entry_id), tuple(fields)


def _stream_id(text: bytes) -> StreamId:
    milliseconds, _, sequence = text.partition(b"-")
    return int(milliseconds), int(sequence)


def _rows(flat: Sequence[bytes]) -> Iterable[Row]:
    return zip(flat[::2], map(float, flat[1::2]), strict=True)


def _pairs(flat: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _deadline(facts: _Facts) -> int | None:
    return None if facts.deadline < 0 else facts.deadline * 1000

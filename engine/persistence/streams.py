"""Streams in a snapshot: a row of nodes, each a listpack of up to a hundred entries.

A node begins with the id of its first entry and with a *master entry*, the names of that
entry's fields. Every entry then stores the difference of its id, and, where its names are
the master's, only its values:

    live | deleted | names n | name × n | 0          the master entry
    flags | ms | sequence | value × n | 3 + n        an entry with the master's names
    flags | ms | sequence | m | (name | value) × m | 4 + 2 m     any other

The last number lets Redis walk backwards; here it proves that the entry was understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.persistence.encoding import length, string
from engine.persistence.errors import Damaged, Malformed, Unsupported
from engine.persistence.listpack import Element, pack, text, unpack
from engine.persistence.source import Source
from engine.stream import Stream, StreamEntry, StreamId

__all__ = ["dump_stream", "load_stream"]

NODE_ENTRIES = 100
NODE_BYTES = 4096
"""Redis' own bounds: what it must copy to change one entry."""

DELETED, SAME_NAMES = 1, 2
UINT64 = 2**64 - 1
_MIDDLE = 2**63


def dump_stream(stream: Stream) -> Iterator[bytes]:
    """The value of a stream, node by node. O(n)."""
    yield length(sum(1 for _ in _nodes(stream.entries)))
    for node in _nodes(stream.entries):
        first = node[0][0]
        yield string(first[0].to_bytes(8, "big") + first[1].to_bytes(8, "big"))
        yield string(pack(_elements(node)))
    first = stream.entries[0][0] if stream.entries else (0, 0)
    numbers = (len(stream), *stream.last_id, *first, *stream.max_deleted_id, stream.added, 0)
    yield b"".join(map(length, numbers))  # the last one: no consumer groups


def load_stream(source: Source, *, tracked: bool) -> Stream:
    """A stream; ``tracked`` says whether its form holds more than the last id. O(n)."""
    stream = Stream()
    for _ in range(source.count(row=2)):
        _load_node(source, stream)
    live = source.length()
    if live != len(stream):
        raise source.damaged(f"a stream announces {live} entries and has {len(stream)}")
    newest = stream.last_id
    stream.last_id, stream.added = _load_id(source), live
    if tracked:
        _load_id(source)  # of the first entry, which we know
        stream.max_deleted_id, stream.added = _load_id(source), source.length()
    if newest > stream.last_id or live > stream.added:
        raise source.damaged("a stream has entries that it does not count")
    offset = source.offset
    if source.length():
        raise Unsupported("a stream with consumer groups cannot be loaded", offset, source.key)
    return stream


def _load_id(source: Source) -> StreamId:
    return source.length(), source.length()


def _load_node(source: Source, stream: Stream) -> None:
    offset = source.offset
    try:
        first = source.string()
        if len(first) != 16:
            raise Malformed(f"a stream's node has an id of {len(first)} bytes")
        start = int.from_bytes(first[:8], "big"), int.from_bytes(first[8:], "big")
        for entry in _entries(start, unpack(source.string())):
            if entry[0] <= stream.last_id:
                raise Malformed("the ids of a stream do not grow")
            stream.append(*entry)
    except Malformed as fault:
        raise Damaged(str(fault), offset, source.key) from None


def _entries(start: StreamId, elements: list[Element]) -> Iterator[StreamEntry]:
    """The live entries of a node."""
    try:
        total = _natural(elements[0]) + _natural(elements[1])
        width = _natural(elements[2])
        names = [text(name) for name in elements[3 : 3 + width]]
        if elements[3 + width] != 0:
            raise Malformed("a stream's node has no master entry")
        at = 4 + width
        for _ in range(total):
            flags, fields, end = _fields(elements, at, names)
            if not flags & DELETED:
                yield _moved(start, elements[at + 1], elements[at + 2]), fields
            at = end
    except IndexError:
        raise Malformed("a stream's node ends within an entry") from None
    if at != len(elements):
        raise Malformed("a stream's node has more entries than it announces")


def _fields(
    elements: list[Element], at: int, names: list[bytes]
) -> tuple[int, tuple[bytes, ...], int]:
    """Flags and fields of the entry at ``at``, and where the next entry begins."""
    flags = _natural(elements[at])
    if flags & SAME_NAMES:
        end = at + 3 + len(names)
        fields = [b""] * (2 * len(names))
        fields[::2] = names
        fields[1::2] = (text(value) for value in _exactly(elements, at + 3, end))
    else:
        end = at + 4 + 2 * _natural(elements[at + 3])
        fields = [text(part) for part in _exactly(elements, at + 4, end)]
    if elements[end] != end - at:
        raise Malformed("a stream's entry has another length than it announces")
    return flags, tuple(fields), end + 1


def _exactly(elements: list[Element], start: int, end: int) -> list[Element]:
    if end > len(elements):
        raise Malformed("a stream's node ends within an entry")
    return elements[start:end]


def _natural(element: Element) -> int:
    if not isinstance(element, int) or element < 0:
        raise Malformed("a stream's node has something else where a number must be")
    return element


def _moved(start: StreamId, milliseconds: Element, sequence: Element) -> StreamId:
    """Differences are modulo 2**64: a sequence may begin again where the milliseconds grew."""
    if not isinstance(milliseconds, int) or not isinstance(sequence, int):
        raise Malformed("a stream's entry has an id that is not a number")
    return start[0] + milliseconds & UINT64, start[1] + sequence & UINT64


def _nodes(entries: Iterable[StreamEntry]) -> Iterator[list[StreamEntry]]:
    """The entries in groups that make one node each."""
    node: list[StreamEntry] = []
    size = 0
    for entry in entries:
        if len(node) == NODE_ENTRIES or size > NODE_BYTES:
            yield node
            node, size = [], 0
        node.append(entry)
        size += sum(map(len, entry[1]))
    if node:
        yield node


def _elements(node: list[StreamEntry]) -> list[Element]:
    """What the listpack of a node holds."""
    first, names = node[0][0], node[0][1][::2]
    elements: list[Element] = [len(node), 0, len(names), *names, 0]
    for entry_id, fields in node:
        same = fields[::2] == names
        elements.append(SAME_NAMES if same else 0)
        elements.append(_difference(entry_id[0], first[0]))
        elements.append(_difference(entry_id[1], first[1]))
        if same:
            elements += fields[1::2]
            elements.append(3 + len(names))
        else:
            elements.append(len(fields) // 2)
            elements += fields
            elements.append(4 + len(fields))
    return elements


def _difference(number: int, first: int) -> int:
    """``number - first`` modulo 2**64, as a signed integer of 64 bits."""
    return (number - first + _MIDDLE & UINT64) - _MIDDLE

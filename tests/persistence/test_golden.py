"""Bytes that must never change: what we write, and what other versions of Redis wrote."""

from __future__ import annotations

from engine.persistence.rdb import crc64
from engine.sortedset import SortedSet
from engine.stream import Stream
from tests.persistence.samples import dumped, every_type, loaded, plain, sealed

WRITTEN = bytes.fromhex(
    """
    5245444953303031 30
    fa 0972656469732d766572 05372e302e30
    fa 0a72656469732d62697473 c040
    fa 056374696d65 c200f15365
    fa 08757365642d6d656d c000
    fe00 fb0000
    00 0474657874 0568656c6c6f
    fc 0168e5cf8b010000 00 07636f756e746572 c0f9
    """
)


def test_a_snapshot_has_exactly_these_bytes() -> None:
    data = dumped(every_type())
    assert data.startswith(WRITTEN)
    assert data[-9:] == b"\xff" + crc64(data[:-8]).to_bytes(8, "little")


def test_a_sorted_set_is_written_from_the_highest_member_down() -> None:
    data = dumped([(b"z", SortedSet([(b"low", -1.0), (b"high", 2.0)]), None)])
    rows = bytes.fromhex("05 017a 02 0468696768 0000000000000040 036c6f77 000000000000f0bf")
    assert rows in data


def test_a_stream_has_the_bytes_that_redis_gives_it() -> None:
    """As XADD s 5-1 a x b y, XADD s 5-2 a w b z in Redis 7.0."""
    stream = Stream()
    stream.append((5, 1), (b"a", b"x", b"b", b"y"))
    stream.append((5, 2), (b"a", b"w", b"b", b"z"))
    node = _listpack(
        18,
        """
        0201 0001 0201 8161 02 8162 02 0001
        0201 0001 0001 8178 02 8179 02 0501
        0201 0001 0101 8177 02 817a 02 0501
        """,
    )
    head = bytes.fromhex("13 0173 01 10 0000000000000005 0000000000000001")
    tail = bytes.fromhex("02 0502 0501 0000 02 00 ff")
    assert head + bytes([len(node)]) + node + tail in dumped([(b"s", stream, None)])


def test_what_redis_7_wrote() -> None:
    """A dump of 7.0.15: HSET h a 1 b 2, XADD s 5-1 a 1 b 2, XADD s 5-2 a 3 b 4, SET 123 45."""
    data = bytes.fromhex(
        "524544495330303130fa0972656469732d76657206372e302e3135fa0a726564"
        "69732d62697473c040fa056374696d65c206a2046bfa08757365642d6d656dc2"
        "78260f00fa08616f662d62617365c000fe00fb03001301730110000000000000"
        "000500000000000000012d2d0000001200020100010201816102816202000102"
        "0100010001010102010501020100010101030104010501ff0205020501000002"
        "0000c07bc02d10016811110000000400816102010181620202 01ffff11af29ad"
        "3ecd251e"
    )
    items = plain(loaded(data))
    assert items[b"h"] == ({b"a": b"1", b"b": b"2"}, None)
    assert items[b"123"] == (b"45", None)
    entries, last_id, deleted, added = items[b"s"][0]
    assert entries == [
        ((5, 1), (b"a", b"1", b"b", b"2")),
        ((5, 2), (b"a", b"3", b"b", b"4")),
    ]
    assert (last_id, deleted, added) == ((5, 2), (0, 0), 2)


def test_the_forms_of_older_versions() -> None:
    entries = bytes.fromhex("00 03616461 05 f3 02 03626f62 05 c0e803 ff")
    ziplist = (10 + len(entries)).to_bytes(4, "little") + bytes(4) + b"\x04\0" + entries
    zipmap = bytes.fromhex("02 01 61 02 00 6869 01 62 01 03 79 000000 ff")
    body = b"".join(
        (
            b"\xfd" + (1_700_000_000).to_bytes(4, "little") + b"\x00\x07seconds\x01x",
            b"\xf8\x05\x00\x04idle\x01x",
            b"\xf9\x05\x00\x04freq\x01x",
            b"\x09\x06zipmap%c%b" % (len(zipmap), zipmap),
            b"\x0c\x04zset%c%b" % (len(ziplist), ziplist),
            b"\x0d\x04hash%c%b" % (len(ziplist), ziplist),
            b"\x03\x04text\x04\x01a\x032.5\x01b\x04-1e3\x01c\xfe\x01d\xff",
        )
    )
    assert plain(loaded(sealed(body))) == {
        b"seconds": (b"x", 1_700_000_000_000),
        b"idle": (b"x", None),
        b"freq": (b"x", None),
        b"zipmap": ({b"a": b"hi", b"b": b"y"}, None),
        b"zset": ([(b"ada", 2.0), (b"bob", 1000.0)], None),
        b"hash": ({b"ada": b"2", b"bob": b"1000"}, None),
        b"text": (
            [(b"d", float("-inf")), (b"b", -1000.0), (b"a", 2.5), (b"c", float("inf"))],
            None,
        ),
    }


def test_a_zipmap_with_a_long_value() -> None:
    zipmap = b"\x01\x01a\xfe\x2c\x01\x00\x00\x00" + b"v" * 300 + b"\xff"
    body = b"\x09\x01h\x41\x36" + zipmap
    assert plain(loaded(sealed(body))) == {b"h": ({b"a": b"v" * 300}, None)}


def test_a_file_from_before_checksums_has_none() -> None:
    assert plain(loaded(b"REDIS0004\x00\x01k\x01v\xff")) == {b"k": (b"v", None)}


def test_a_stream_from_before_deletions_were_counted() -> None:
    node = _listpack(10, "0101 0001 0101 8164 02 0001 0201 0001 0001 8178 02 0401")
    first = bytes(7) + b"\x05" + bytes(8)
    body = b"\x0f\x01s\x01\x10%b%c%b\x01\x07\x00\x00" % (first, len(node), node)
    entries, last_id, deleted, added = plain(loaded(sealed(body)))[b"s"][0]
    assert entries == [((5, 0), (b"d", b"x"))]
    assert (last_id, deleted, added) == ((7, 0), (0, 0), 1)


def _listpack(count: int, elements: str) -> bytes:
    body = bytes.fromhex(elements) + b"\xff"
    return (6 + len(body)).to_bytes(4, "little") + count.to_bytes(2, "little") + body

"""Whatever is in the file: its keys, or a sentence that says what is wrong and where."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.persistence.errors import Malformed
from engine.persistence.listpack import pack, unpack
from engine.persistence.lzf import decompress
from engine.persistence.packed import unpack_ziplist, unpack_zipmap
from engine.persistence.rdb import Damaged, RdbError, Unsupported, crc64, read
from tests.persistence.samples import dumped, every_type, loaded, plain, sealed, unchecked

SMALL = dumped(every_type())


@pytest.mark.parametrize("size", range(len(SMALL)))
def test_a_file_cut_short_anywhere_is_damaged(size: int) -> None:
    with pytest.raises(Damaged) as raised:
        loaded(SMALL[:size])
    assert raised.value.offset <= size


@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_goes_unnoticed(bit: int) -> None:
    for at in range(len(SMALL)):
        with pytest.raises(RdbError):
            loaded(_flipped(SMALL, at, bit))


@pytest.mark.parametrize("bit", range(8))
def test_without_a_checksum_the_structure_still_holds(bit: int) -> None:
    data = unchecked(SMALL)
    tracemalloc.start()
    try:
        for at in range(len(data)):
            _loads_or_says_why(_flipped(data, at, bit))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20, "a length in the file was believed before it was checked"


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_random_bytes_in_a_file_without_a_checksum(data: st.DataObject) -> None:
    damaged = bytearray(unchecked(SMALL))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(9, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    _loads_or_says_why(bytes(damaged))


@given(st.sampled_from([0, 3, 4, 5, 9, 12, 13, 15, 16, 17, 19, 21]), st.binary(max_size=60))
@settings(max_examples=1000, deadline=None)
def test_random_bytes_where_a_value_should_be(kind: int, body: bytes) -> None:
    _loads_or_says_why(unchecked(b"REDIS0010%c\x01k%b\xff%b" % (kind, body, bytes(8))))
    packed = b"%c\x01k%c%b" % (kind, len(body), body)
    _loads_or_says_why(unchecked(b"REDIS0010%b\xff%b" % (packed, bytes(8))))


@given(st.binary(max_size=40), st.sampled_from([unpack, unpack_ziplist]))
@settings(max_examples=1000)
def test_random_bytes_in_a_packed_value(body: bytes, unpack_it: object) -> None:
    assert callable(unpack_it)
    for header in (6, 10):
        size = (len(body) + header).to_bytes(4, "little")
        for count in (b"\xff\xff", b"\x02\x00"):
            data = size + count.rjust(header - 4, b"\0") + body
            for blob in (data, data[:-1] + b"\xff"):
                try:
                    unpack_it(blob)
                except Malformed:
                    continue


@pytest.mark.parametrize("digits", [b"0000", b"0013", b"9999"])
def test_a_version_we_do_not_know(digits: bytes) -> None:
    data = b"REDIS%b\xff" % digits
    data += crc64(data).to_bytes(8, "little")
    with pytest.raises(Unsupported, match="only versions up to 12"):
        loaded(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "does not begin with REDIS"),
        (b"PK\x03\x04 something else", "does not begin with REDIS"),
        (b"REDIS00x0\xff", "is no version"),
        (b"REDIS0010\x63\x01k" + bytes(20), "99 is no type"),
        (SMALL + b"*1\r\n", "4 bytes follow the end"),
        (SMALL[:-8] + b"12345678", "the checksum does not match"),
        (sealed(b"\x00\x01k\x85"), "no length begins with 0x85"),
        (sealed(b"\x00\x01k\xc4"), "no length begins with 0xc4"),
        (sealed(b"\x00\x01k\x81" + b"\xff" * 8), "18446744073709551615 bytes were to come"),
        (sealed(b"\x04\x01k\x80" + b"\xff" * 4), "4294967295 rows were announced"),
        (
            sealed(b"\x04\x01k\x02\x01a\x01b\x01a\x01c"),
            "of 2 members or fields, 1 stand there twice",
        ),
        (sealed(b"\x05\x01k\x01\x01a" + b"\xff" * 8), "the score of b'a' is not a number"),
        (sealed(b"\x03\x01k\x01\x01a\xfd"), "the score of b'a' is not a number"),
        (sealed(b"\x03\x01k\x01\x01a\x031_0"), "b'1_0' is not a score"),
        (sealed(b"\x00\x01k\xc3\x02\x80\x00\xff\xff\xff\x00a"), "cannot hold the 16777215"),
        (sealed(b"\x00\x01k\xc3\x02\x03\x05a"), "ends within a literal"),
        (sealed(b"\x00\x01k\xc3\x01\x03\x20"), "ends within an instruction"),
        (sealed(b"\x00\x01k\xc3\x02\x03\x20\x00"), "looks back before its beginning"),
        (sealed(b"\x00\x01k\xc3\x02\x03\x00a"), "has 1 bytes, 3 were announced"),
        (sealed(b"\x00\x01k\xc3\x04\x01\x00a\x00a"), "is longer than the 1 bytes"),
    ],
)
def test_damage_has_a_name(data: bytes, what: str) -> None:
    with pytest.raises(Damaged, match=what):
        loaded(data)


@pytest.mark.parametrize(
    ("items", "what"),
    [
        (
            b"\x01\x04todo\x01\x01a",
            r"a list \(type 1\) cannot be loaded \(at byte 9, in key b'todo'\)",
        ),
        (b"\x12\x04todo\x01\x01a", r"a list \(type 18\)"),
        (b"\x02\x01k\x01\x01a", r"a set \(type 2\)"),
        (b"\x14\x01k\x01\x01a", r"a set \(type 20\)"),
        (b"\x07\x01k\x01\x01a", r"a value of a module \(type 7\)"),
        (b"\x18\x01k\x01\x01a", r"a hash whose fields expire \(type 24\)"),
        (b"\xf5\x01f", r"a function library \(opcode 245\)"),
        (b"\xf7\x01f", r"the data of a module \(opcode 247\)"),
        (b"\xfe\x00\x00\x01k\x01v\xfe\x03\x00\x01l\x01v", "in the databases 0 and 3, not in one"),
        (b"\x02" + b"\x40\xc8" + b"k" * 200 + b"\x00", r"in key b'k{80}'…"),
    ],
)
def test_what_the_engine_lacks_is_named_with_its_key(items: bytes, what: str) -> None:
    with pytest.raises(Unsupported, match=what):
        loaded(sealed(items))


def test_a_flipped_bit_is_not_blamed_on_redis() -> None:
    """A damaged type byte may name a type that we lack; the checksum knows better."""
    data = bytearray(sealed(b"\x00\x04todo\x01a"))
    data[9] ^= 1
    with pytest.raises(Damaged, match="checksum does not match; nothing made sense from here on"):
        loaded(bytes(data))


def test_a_list_in_a_file_that_has_no_checksum_is_a_list() -> None:
    with pytest.raises(Unsupported, match="a list"):
        loaded(b"REDIS0003\x01\x04todo\x01\x01a\xff")
    with pytest.raises(Unsupported, match="a list"):
        loaded(unchecked(sealed(b"\x01\x04todo\x01\x01a")))


@pytest.mark.parametrize(
    ("blob", "what"),
    [
        (b"", "announces another size"),
        (b"\x08\0\0\0\x01\0\x01\x01", "has no end"),
        (b"\x08\0\0\0\x00\0\xff\xff", "ends before its last byte"),
        (b"\x09\0\0\0\x02\0\x01\x01\xff", "announces 2 elements and has 1"),
        (b"\x09\0\0\0\x01\0\xf9\x01\xff", "unknown kind 0xf9"),
        (b"\x09\0\0\0\x01\0\x85a\xff", "ends within a string"),
    ],
)
def test_a_listpack_that_is_none(blob: bytes, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        unpack(blob)


@pytest.mark.parametrize(
    ("blob", "what"),
    [
        (b"", "announces another size"),
        (b"\x0b\0\0\0\x0a\0\0\0\x00\0\x01", "has no end"),
        (b"\x0c\0\0\0\x0a\0\0\0\x00\0\xff\xff", "ends before its last byte"),
        (b"\x0d\0\0\0\x0a\0\0\0\x02\0\x00\xf1\xff", "announces 2 elements and has 1"),
        (b"\x0d\0\0\0\x0a\0\0\0\x01\0\x00\xc5\xff", "unknown kind 0xc5"),
        (b"\x0d\0\0\0\x0a\0\0\0\x01\0\x00\x05\xff", "ends within a string"),
    ],
)
def test_a_ziplist_that_is_none(blob: bytes, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        unpack_ziplist(blob)


@pytest.mark.parametrize(
    ("blob", "what"),
    [
        (b"\x01\x01a", "ends within a string"),
        (b"\x01", "has no end"),
        (b"\x00\xff\xff", "ends before its last byte"),
    ],
)
def test_a_zipmap_that_is_none(blob: bytes, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        unpack_zipmap(blob)


START = bytes(7) + b"\x05" + bytes(8)
TAIL = b"\x01\x05\x02\x05\x01\x00\x00\x01\x00"


@pytest.mark.parametrize(
    ("first", "elements", "tail", "what"),
    [
        (START[1:], [1, 0, 0, 0], TAIL, "an id of 15 bytes"),
        (START, [b"x", 0, 0, 0], TAIL, "something else where a number must be"),
        (START, [1, 0, 1, b"f", 7], TAIL, "has no master entry"),
        (START, [1, 0, 1, b"f", 0, 2, 0], TAIL, "ends within an entry"),
        (START, [1, 0, 1, b"f", 0, 2, 0, 0], TAIL, "ends within an entry"),
        (START, [1, 0, 1, b"f", 0, 2, 0, 0, b"v", 5], TAIL, "has another length"),
        (START, [1, 0, 1, b"f", 0, 2, b"x", 0, b"v", 4], TAIL, "an id that is not a number"),
        (START, [1, 0, 1, b"f", 0, 2, 0, 0, b"v", 4, 9], TAIL, "more entries than it announces"),
        (START, [2, 0, 0, 0, 2, 0, 0, 3, 2, 0, 0, 3], TAIL, "the ids of a stream do not grow"),
        (START, [1, 0, 0, 0, 2, 0, 0, 3], b"\x02" + TAIL[1:], "announces 2 entries and has 1"),
        (START, [1, 0, 0, 0, 2, 0, 0, 3], b"\x01\x04" + TAIL[2:], "that it does not count"),
        (START, [1, 0, 0, 0, 2, 0, 0, 3], TAIL[:-2] + b"\x00\x00", "that it does not count"),
    ],
)
def test_a_stream_that_is_none(
    first: bytes, elements: list[bytes | int], tail: bytes, what: str
) -> None:
    blob = pack(elements)
    body = b"\x13\x01s\x01%c%b%c%b%b" % (len(first), first, len(blob), blob, tail)
    with pytest.raises(Damaged, match=what) as raised:
        loaded(sealed(body))
    assert raised.value.key == b"s"


def test_a_stream_with_consumer_groups_is_named() -> None:
    blob = pack([1, 0, 0, 0, 2, 0, 0, 3])
    body = b"\x13\x01s\x01\x10%b%c%b%b\x01" % (START, len(blob), blob, TAIL[:-1])
    with pytest.raises(Unsupported, match="a stream with consumer groups") as raised:
        loaded(sealed(body))
    assert raised.value.key == b"s"


def test_a_packed_value_of_an_odd_number_of_elements() -> None:
    blob = pack([b"a", b"1", b"b"])
    with pytest.raises(Damaged, match="3 elements are no pairs"):
        loaded(sealed(b"\x10\x01h%c%b" % (len(blob), blob)))


def test_a_packed_sorted_set_with_a_score_that_is_none() -> None:
    blob = pack([b"a", b"much"])
    with pytest.raises(Damaged, match="b'much' is not a score"):
        loaded(sealed(b"\x11\x01z%c%b" % (len(blob), blob)))


def test_lzf_reads_what_it_is_given() -> None:
    with pytest.raises(Malformed):
        decompress(b"\xff", 10)


def test_a_file_that_shrinks_while_it_is_read() -> None:
    class Shrinking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(size) if self.tell() == 0 else b""

    file = Shrinking(dumped([(b"long", b"x" * 2**20, None)]))
    with pytest.raises(Damaged, match="the file shrank while it was read"):
        list(read(file))


def _flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def _loads_or_says_why(data: bytes) -> None:
    """The promise: keys whose invariants hold, or an RdbError; nothing else."""
    try:
        plain(loaded(data))
    except RdbError as fault:
        assert str(fault)

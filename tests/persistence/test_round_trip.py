"""What was written is what is read, whatever it is and however it falls into blocks."""

from __future__ import annotations

import io
from itertools import pairwise

import anycrc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.persistence import listpack, lzf, source, writer
from engine.persistence.rdb import About, Item, crc64, read, write
from engine.sortedset import SortedSet
from engine.stream import Stream
from tests.persistence.samples import ITEMS, dumped, every_type, loaded, plain


@given(ITEMS)
@settings(max_examples=200, deadline=None)
def test_every_value_comes_back(items: list[Item]) -> None:
    assert plain(loaded(dumped(items))) == plain(items)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_may_end_anywhere(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", block)
    items = [*every_type(), (b"long" * 20, b"x" * 300, None)]
    assert plain(loaded(dumped(items))) == plain(items)


def test_values_of_many_rows_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ROWS", 3)
    monkeypatch.setattr(writer, "CHUNK", 16)
    items: list[Item] = [
        (b"board", SortedSet((b"%d" % i, i / 3) for i in range(10)), None),
        (b"long names", SortedSet((b"%064d" % i, -float(i)) for i in range(10)), None),
        (b"hash", {b"%d" % i: b"v" * i for i in range(90)}, None),
    ]
    chunks = list(write(items, About(0)))
    assert len(chunks) > 20
    assert plain(loaded(b"".join(chunks))) == plain(items)


def test_a_large_snapshot_is_never_in_memory_whole() -> None:
    board = SortedSet((b"member:%06d" % i, float(i)) for i in range(200_000))
    chunks = list(write([(b"board", board, None)], About(0), anycrc.Model("CRC64-REDIS").calc))
    assert sum(map(len, chunks)) > 4_000_000
    assert all(64 * 1024 <= len(chunk) <= 1024 * 1024 for chunk in chunks[:-2])


def test_deadlines_are_rounded_up_so_that_nothing_expires_early() -> None:
    items: list[Item] = [(b"%d" % at, b"", at) for at in (1_000, 1_001, 1_999, 2_000)]
    assert [deadline for _, _, deadline in loaded(dumped(items))] == [1_000, 2_000, 2_000, 2_000]


def test_an_empty_hash_and_an_empty_board_are_absent() -> None:
    items: list[Item] = [(b"h", {}, 5), (b"z", SortedSet(), 5), (b"s", Stream(), None)]
    assert [(key, deadline) for key, _, deadline in loaded(dumped(items))] == [(b"s", None)]


def test_small_integers_stay_integers() -> None:
    values = [
        value for _, value, _ in loaded(dumped([(b"a", 2**31 - 1, None), (b"b", 2**31, None)]))
    ]
    assert values == [2**31 - 1, b"2147483648"]


def test_an_integer_beyond_64_bits_is_its_text() -> None:
    assert plain(loaded(dumped([(b"k", 10**30, None)]))) == {b"k": (b"1" + b"0" * 30, None)}


@given(st.binary(max_size=100), st.integers(0, 100))
def test_the_checksum_is_that_of_redis(data: bytes, cut: int) -> None:
    in_c = anycrc.Model("CRC64-REDIS").calc
    assert crc64(data) == in_c(data)
    assert crc64(data[cut:], crc64(data[:cut])) == in_c(data)
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA


def test_the_checksum_is_injected_both_ways() -> None:
    def sizes(data: bytes, before: int) -> int:
        return before + len(data)

    data = b"".join(write(every_type(), About(0), sizes))
    assert int.from_bytes(data[-8:], "little") == len(data) - 8
    assert len(list(read(io.BytesIO(data), sizes))) == len(every_type())


ELEMENTS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-300, 300),
    st.binary(max_size=80),
    st.sampled_from([4095, 4096, 16_377, 16_378, 16_379, 2**21 - 7, 2**21 - 6, 2**21]).map(bytes),
)


@given(st.lists(ELEMENTS, max_size=8))
@settings(deadline=None)
def test_a_listpack_holds_its_elements(elements: list[listpack.Element]) -> None:
    assert listpack.unpack(listpack.pack(elements)) == elements


def test_a_listpack_refuses_what_no_encoding_holds() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        listpack.pack([2**63])


def test_a_listpack_of_many_elements_does_not_count_them() -> None:
    elements: list[listpack.Element] = [1] * 70_000
    assert listpack.unpack(listpack.pack(elements)) == elements


@pytest.mark.parametrize(
    ("compressed", "text"),
    [
        (b"\x02abc", b"abc"),
        (b"\x00a\x20\x00", b"aaaa"),  # a look back that overlaps what it writes
        (b"\x02abc\x20\x02", b"abcabc"),
        (b"\x00a\xe0\x01\x00", b"a" * 11),  # a length of more than eight
        (b"\x02abc\xe0\xff\x01", b"abc" + b"bc" * 132),
        (b"", b""),
    ],
)
def test_compressed_text(compressed: bytes, text: bytes) -> None:
    assert lzf.decompress(compressed, len(text)) == text


def test_streams_are_cut_into_nodes_as_redis_cuts_them() -> None:
    many = Stream()
    for offset in range(1, 251):
        many.append((offset, 0), (b"d", b"x"))
    large = Stream()
    for offset in range(1, 6):
        large.append((offset, 0), (b"d", b"x" * 5000))
    assert all(before[0] < after[0] for before, after in pairwise(large.entries))
    for value, nodes in ((many, 3), (large, 5)):
        data = dumped([(b"s", value, None)])
        assert data.count((1).to_bytes(8, "big") + bytes(8)) == 1
        assert data[data.index(b"\x13\x01s") + 3] == nodes

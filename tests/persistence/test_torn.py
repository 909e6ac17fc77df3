"""The end of the last increment: what a crash may leave is cut, what it cannot is refused."""

from __future__ import annotations

import io
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.effects import Effect
from engine.persistence import journal, tail, window
from engine.persistence.commands import encode, encode_all
from engine.persistence.errors import JournalDamaged
from engine.persistence.journal import Batch, Increment, Raw, Torn, seal
from tests.persistence.journals import batches

NAME = "appendonly.aof.1.incr.aof"

EFFECTS: list[list[Effect]] = [
    [(b"SET", b"k", b"1"), (b"HSET", b"h", b"f", b"v" * 70)],
    [(b"ZADD", b"z", b"1.5", b"ada")],
    [(b"SET", b"k", bytes(40)), (b"PEXPIREAT", b"k", b"1700000000000"), (b"DEL", b"h")],
    [(b"XADD", b"c", b"MAXLEN", b"10", b"1-0", b"d", b"\r\n#RT:1:2:3:00000000\r\n")],
    [(b"DEL", b"z")],
]
SEALED = batches(*EFFECTS)
WHOLE = b"".join(SEALED)
ENDS = [0, *accumulate(map(len, SEALED))]


def read(data: bytes, *, last: bool = True, sequence: int | None = 0) -> tuple[int, Torn | None]:
    """How many records are whole, and what is torn. Raises JournalDamaged."""
    increment = Increment(io.BytesIO(data), NAME, sequence=sequence, last=last)
    offsets = [record.offset for record in increment]
    assert len(offsets) < 2 or offsets == sorted(set(offsets))
    if increment.torn is not None:
        assert increment.torn.offset == increment.good
        assert increment.torn.dropped == len(data) - increment.good > 0
        assert increment.torn.file == NAME
    return len(offsets), increment.torn


def test_batches_come_as_they_were_written() -> None:
    increment = Increment(io.BytesIO(WHOLE), NAME, sequence=0)
    assert list(increment) == [
        Batch(offset, number, number - 1, encode_all(effects))
        for number, (offset, effects) in enumerate(zip(ENDS, EFFECTS, strict=False), 1)
    ]
    assert (increment.sequence, increment.good, increment.torn) == (5, len(WHOLE), None)


def test_cut_at_any_byte_the_whole_batches_before_it_are_left() -> None:
    for size in range(len(WHOLE) + 1):
        count, torn = read(WHOLE[:size])
        assert ENDS[count] == max(end for end in ENDS if end <= size)
        assert (torn is None) == (size in ENDS)


def test_only_the_last_file_may_be_cut() -> None:
    for size in set(range(len(WHOLE))) - set(ENDS):
        with pytest.raises(JournalDamaged) as raised:
            read(WHOLE[:size], last=False)
        assert raised.value.offset == max(end for end in ENDS if end <= size)
        assert raised.value.file == NAME


@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_is_taken_for_a_crash(bit: int) -> None:
    for at in range(len(WHOLE)):
        data = bytearray(WHOLE)
        data[at] ^= 1 << bit
        # Batch 3 has zeros in a row, but no sector of them; of batch 5 nobody says it was safe.
        with pytest.raises(JournalDamaged) as raised:
            read(bytes(data))
        assert raised.value.offset == max(end for end in ENDS if end <= at)


@pytest.mark.parametrize("byte", [0, 1, 0x23, 0xFF])
def test_a_byte_that_is_overwritten_is_refused_as_well(byte: int) -> None:
    for at in range(len(WHOLE)):
        if WHOLE[at] != byte:
            with pytest.raises(JournalDamaged):
                read(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])


# Power cuts. The padding makes a batch of several sectors.

LARGE = batches(*[[(b"SET", b"k%d" % n, b"x" * 1000)] for n in range(6)], lag=3)
LARGE_ENDS = [0, *accumulate(map(len, LARGE))]


def zeroed(data: bytes, start: int, stop: int) -> bytes:
    return data[:start] + bytes(stop - start) + data[stop:]


@pytest.mark.parametrize("sector", range(1, sum(map(len, LARGE)) // 512))
def test_a_sector_of_zeros_is_a_power_cut_unless_it_was_safe(sector: int) -> None:
    data = zeroed(b"".join(LARGE), sector * 512, (sector + 1) * 512)
    lost = next(n for n, end in enumerate(LARGE_ENDS[1:], 1) if end > sector * 512)
    if lost <= 3:  # batch 6 says that 3 was on disk
        with pytest.raises(JournalDamaged, match=f"batch {lost} was on disk already"):
            read(data)
    else:
        count, torn = read(data)
        assert count == lost - 1
        assert torn is not None
        assert "zeros" in torn.why


@pytest.mark.parametrize("size", [1, 15, 16, 100, 511, 512, 5000])
def test_a_file_that_grew_and_has_only_zeros_there_is_torn(size: int) -> None:
    count, torn = read(WHOLE + bytes(size))
    assert count == len(SEALED)
    assert torn == Torn(NAME, len(WHOLE), size, torn.why if torn else "")


def test_zeros_from_within_the_last_batch_to_the_end_are_torn() -> None:
    start = ENDS[-1] - 100
    assert start > ENDS[-3]
    data = zeroed(WHOLE, start, len(WHOLE)) + bytes(600)
    count, torn = read(data)
    assert ENDS[count] <= start
    assert torn is not None


def test_zeros_that_are_no_whole_sector_prove_nothing() -> None:
    data = b"".join(LARGE)
    start = LARGE_ENDS[5] + 100
    assert start % 512 > 20
    with pytest.raises(JournalDamaged, match="checksum of batch 6"):
        read(zeroed(data, start, start + 200))


@pytest.mark.parametrize("short", [1, 2, 15, 16, 300])
def test_a_last_sector_of_zeros_counts_however_short_it_is(short: int) -> None:
    sizes = {len(both): both for n in range(900) for both in [_two_batches(n)]}
    data = sizes[512 + short]
    assert read(data) == (2, None)
    _, torn = read(zeroed(data, 512, len(data)))
    assert torn is not None
    if short > 1:
        with pytest.raises(JournalDamaged):
            read(zeroed(data, 513, len(data)))


@pytest.mark.parametrize("short", [1, 15, 100])
def test_the_rest_of_the_sector_in_which_a_batch_begins_counts_too(short: int) -> None:
    begins = 1024 - short
    first = next(both for n in range(900) for both in [_two_batches(n)] if len(both) == begins)
    data = first + seal(3, 0, encode((b"SET", b"k", b"x" * 300)))
    assert read(data) == (3, None)
    assert read(zeroed(data, begins, 1024))[1] is not None


def _two_batches(padding: int) -> bytes:
    return b"".join(batches([(b"SET", b"pad", b"y" * padding)], [(b"SET", b"k", b"x" * 200)]))


def test_a_batch_that_is_whole_but_for_its_length_is_no_torn_tail() -> None:
    data = seal(1, 0, encode((b"SET", b"k", b"v" * 20)))
    assert read(data[:-1])[1] is not None
    with pytest.raises(JournalDamaged):
        read(data.replace(b":47:", b":97:", 1))


def test_a_length_that_runs_over_later_batches_is_no_torn_tail() -> None:
    data = WHOLE.replace(b"#RT:2:", b"#RT:2:9", 1)
    with pytest.raises(JournalDamaged):
        read(data)


@pytest.mark.parametrize("order", [[1, 3], [2, 1], [1, 1], [1, 2, 2]])
def test_sequences_have_no_gap_and_no_repetition(order: list[int]) -> None:
    data = b"".join(seal(n, 0, encode((b"DEL", b"k"))) for n in order)
    with pytest.raises(JournalDamaged, match="follows"):
        read(data, sequence=None)


def test_the_first_batch_of_a_file_follows_the_last_of_the_one_before() -> None:
    data = seal(7, 5, encode((b"DEL", b"k")))
    assert read(data, sequence=6) == (1, None)
    assert read(data, sequence=None) == (1, None)
    with pytest.raises(JournalDamaged, match="batch 7 follows batch 5"):
        read(data, sequence=5)


def test_no_batch_can_know_of_itself_that_it_is_safe() -> None:
    with pytest.raises(JournalDamaged, match="on disk already"):
        read(seal(1, 1, encode((b"DEL", b"k"))))


def test_where_no_batch_came_before_the_lost_one_is_known_by_its_line() -> None:
    later = b"".join(batches(*EFFECTS, first=41, lag=3))
    hole = zeroed(b"".join(batches([(b"SET", b"k", b"x" * 2000)], first=40)), 512, 1024)
    assert read(hole + later[: len(later) // 3], sequence=None)[0] == 0
    with pytest.raises(JournalDamaged, match="batch 40 was on disk"):
        read(hole + later, sequence=None)


# Without a seal: what a redis-server has appended.

COMMAND = encode((b"SET", b"k", b"v"))
TRANSACTION = encode_all([(b"SET", b"k", b"1"), (b"DEL", b"l")])


def test_commands_timestamps_and_batches_may_alternate() -> None:
    stamp = b"#TS:1700000000\r\n"
    data = SEALED[0] + stamp + COMMAND + TRANSACTION + SEALED[1] + stamp + stamp + COMMAND + stamp
    increment = Increment(io.BytesIO(data), NAME, sequence=0)
    first, raw, both, second, last = increment
    assert isinstance(first, Batch)
    assert isinstance(second, Batch)
    assert raw == Raw(len(SEALED[0] + stamp), [[b"SET", b"k", b"v"]])
    assert isinstance(both, Raw)
    assert both.commands == [[b"SET", b"k", b"1"], [b"DEL", b"l"]]
    assert isinstance(last, Raw)
    assert increment.good == len(data)


def test_a_cut_within_commands_of_redis_leaves_the_whole_ones() -> None:
    records = [COMMAND, TRANSACTION, b"#TS:1700000000\r\n", COMMAND]
    data = b"".join(records)
    ends = [0, *accumulate(map(len, records))]
    for size in range(len(data) + 1):
        increment = Increment(io.BytesIO(data[:size]), NAME, last=True)
        list(increment)
        assert increment.good == max(end for end in ends if end <= size)
        assert (increment.torn is None) == (size in ends)


@pytest.mark.parametrize(
    "junk",
    [
        b"#\r\n", b"#RT:01:2:3:00000000\r\n", b"#RT:1:2:3:0000000G\r\n", b"#TS:\r\n", b"#TS:x\r\n",
        b"#RT:1:2:3:00000000\n*1\r\n", b"#" * 200, b"#RT:" + b"1" * 150, b"SET k v\r\n", b"\r\n",
        b"*2\r\n$1\r\na\r\n#TS:1\r\n", b"*1\r\n$5\r\nMULTI\r\n" + SEALED[0], b"\0x",
    ],
)  # fmt: skip
def test_everything_else_is_damage(junk: bytes) -> None:
    with pytest.raises(JournalDamaged) as raised:
        read(SEALED[0] + junk + COMMAND)
    assert raised.value.offset == len(SEALED[0])


@given(st.binary(max_size=300), st.integers(0, len(WHOLE)))
def test_arbitrary_bytes_never_add_a_batch_that_nobody_wrote(junk: bytes, at: int) -> None:
    for data in (WHOLE[:at] + junk, WHOLE[:at] + junk + WHOLE[at:]):
        increment = Increment(io.BytesIO(data), NAME, sequence=0, last=True)
        try:
            found = [record.body for record in increment if isinstance(record, Batch)]
        except JournalDamaged:
            continue
        assert found == [encode_all(effects) for effects in EFFECTS][: len(found)]


def test_many_lines_that_promise_long_batches_are_not_searched_for_ever() -> None:
    body = b"".join(b"#RT:9:%d:8:00000000\r\n" % (n * 3000) for n in range(1000, 1, -1))
    data = SEALED[0] + b"\0" + body + bytes(3_000_000)
    with pytest.raises(JournalDamaged, match="too intricate"):
        read(data)


# Pieces and bounds, shrunk until a few batches meet them


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_records_may_lie_across_any_number_of_pieces(
    monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    stamp = b"#TS:1700000000\r\n"
    long = encode((b"SET", b"k", b"x" * 300))
    within = encode((b"MULTI",)) + stamp + long + stamp + encode((b"EXEC",))
    data = SEALED[0] + stamp + TRANSACTION + within + stamp + b"".join(SEALED[1:]) + long
    expected = list(Increment(io.BytesIO(data), NAME, sequence=0))
    monkeypatch.setattr(window, "PIECE", piece)
    assert list(Increment(io.BytesIO(data), NAME, sequence=0)) == expected
    for size in range(len(data)):
        increment = Increment(io.BytesIO(data[:size]), NAME, last=True)
        found = list(increment)
        assert found == expected[: len(found)]
        assert increment.good <= size
        assert (increment.torn is None) == (increment.good == size)


def test_the_search_for_later_batches_crosses_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(LARGE)
    hole = zeroed(data, 512, 1024)
    monkeypatch.setattr(tail, "PIECE", 512)
    for shift in range(64):  # so that every byte of a line is once the first of a piece
        padding = seal(1, 0, encode((b"SET", b"pad", b"y" * shift)))
        later = b"".join(batches(*EFFECTS, first=2, lag=1))
        broken = padding[:-4] + b"zz\r\n"
        with pytest.raises(JournalDamaged, match="batch 1 was on disk already"):
            read(broken + bytes(600) + later)
    with pytest.raises(JournalDamaged, match="on disk already"):
        read(hole)


@pytest.mark.parametrize(
    "data",
    [
        seal(1, 0, encode((b"SET", b"k", b"x" * 200))),
        encode((b"MULTI",)) + COMMAND * 10,
        encode((b"SET", b"k", b"x" * 200)),
    ],
    ids=["batch", "transaction", "command"],
)
def test_nothing_may_be_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(window, "PIECE", 16)
    monkeypatch.setattr(journal, "MAX_BATCH", 100)
    monkeypatch.setattr(journal, "MAX_COMMAND", 100)
    with pytest.raises(JournalDamaged):
        read(data)


def test_a_file_that_shrinks_while_it_is_read_is_cut_there() -> None:
    file = io.BytesIO(WHOLE)
    increment = Increment(file, NAME, sequence=0, last=True)
    file.truncate(ENDS[2] + 5)
    assert len(list(increment)) == 2
    assert increment.torn is not None


def test_what_a_batch_was_appended_to_was_on_disk_before() -> None:
    """A redis-server's commands, read and synced before we went on, and lost since."""
    with pytest.raises(JournalDamaged, match="batch 2 stands only behind it"):
        read(SEALED[0] + bytes(600) + b"".join(batches(*EFFECTS, first=2, lag=9)))

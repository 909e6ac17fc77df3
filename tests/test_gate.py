"""The gate: what is held, in which order it leaves, and what becomes of it if it may not."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from realtime.gate import HIGH_WATER, Gate, Gated, past_the_gate, release
from tests.journal.transport import Transport


@pytest.fixture
def gate() -> Gate:
    gate = Gate()
    gate.refusal = b"refused"
    return gate


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def gated(gate: Gate, transport: Transport) -> Gated:
    return cast(Gated, gate.wrap(cast(Any, transport)))


def test_open_it_holds_nothing(gated: Gated, transport: Transport) -> None:
    gated.write(b"1")
    gated.write_answer(b"2")
    gated.writelines([b"3", b"4"])
    gated.write_eof()
    gated.close()
    assert transport.left == [b"1", b"2", b"34", "eof", "close"]


def test_what_does_not_write_passes_through(gated: Gated) -> None:
    assert gated.get_extra_info("peername") == "info about peername"


def test_what_is_held_leaves_in_order(gate: Gate, gated: Gated, transport: Transport) -> None:
    gate.closed = True
    gated.write_answer(b"1")
    gated.write(b"2")
    assert transport.left == []
    gate.closed = False
    gated.write(b"3")  # the gate is open, but this connection still has something to say
    assert transport.left == []
    release(gate.take())
    assert transport.left == [b"1", b"2", b"3"]
    gated.write(b"4")
    assert transport.left[-1] == b"4"


def test_connections_that_hold_nothing_are_not_held_up(gate: Gate, gated: Gated) -> None:
    gate.closed = True
    gated.write(b"held")
    gate.closed = False
    other = Transport()
    gate.wrap(cast(Any, other)).write(b"free")
    assert other.left == [b"free"]


def test_two_parts_are_released_one_after_the_other(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.closed = True
    gated.write(b"first")
    first = gate.take()
    gated.write(b"second")
    release(first)
    assert transport.left == [b"first"]
    release(gate.take())
    assert transport.left == [b"first", b"second"]


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_an_end_waits_for_what_is_held(
    gate: Gate, gated: Gated, transport: Transport, end: str
) -> None:
    gate.closed = True
    gated.write(b"1")
    getattr(gated, end)()
    assert transport.left == []
    release(gate.take())
    assert transport.left == [b"1", end.removeprefix("write_")]


def test_closing_is_told_at_once_and_ends_all_writing(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.closed = True
    gated.write(b"1")
    gated.close()
    assert gated.is_closing()
    gated.write(b"too late")
    gated.write_eof()  # a close is more than that
    release(gate.take())
    assert transport.left == [b"1", "close"]


def test_a_half_close_goes_on_to_a_close(gate: Gate, gated: Gated, transport: Transport) -> None:
    gate.closed = True
    gated.write(b"1")
    gated.write_eof()
    assert not gated.is_closing()
    gated.close()
    release(gate.take())
    assert transport.left == [b"1", "close"]


def test_an_end_comes_after_the_last_of_several_parts(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.closed = True
    gated.write(b"1")
    first = gate.take()
    gated.write(b"2")
    gated.close()
    release(first)
    assert transport.left == [b"1"]
    release(gate.take())
    assert transport.left == [b"1", b"2", "close"]


def test_abort_does_not_wait(gate: Gate, gated: Gated, transport: Transport) -> None:
    gate.closed = True
    gated.write(b"1")
    gated.abort()
    release(gate.take())
    assert transport.left == ["abort"]


def test_an_answer_that_must_not_leave_is_replaced_and_is_the_last(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    """What else was asked on this connection may have seen what is not written down."""
    gate.closed = True
    gated.write_answer(b"done")
    gated.write_answer(b"done, too")
    gated.write(b"a push")
    gate.fail(gate.take())
    assert transport.left == [b"refused", "close"]


def test_what_left_before_is_not_taken_back(gate: Gate, gated: Gated, transport: Transport) -> None:
    gate.closed = True
    gated.write_answer(b"safe")
    release(gate.take())
    gated.write_answer(b"done")
    gate.fail(gate.take())
    assert transport.left == [b"safe", b"refused", "close"]


def test_what_is_no_answer_breaks_the_connection_off(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.closed = True
    gated.write(b"a push")
    gated.write_answer(b"done")
    gate.fail(gate.take())
    assert transport.left == ["abort"]


def test_without_a_refusal_all_is_broken_off(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.refusal = b""
    gate.closed = True
    gated.write_answer(b"done")
    gate.fail(gate.take())
    assert transport.left == ["abort"]


def test_the_peer_may_be_gone_by_then(gate: Gate, gated: Gated, transport: Transport) -> None:
    gate.closed = True
    gated.write_answer(b"1")
    gated.write_answer(b"2")
    transport.closing = True
    held = gate.take()
    release(held[:1])
    gate.fail(held[1:])
    assert transport.left == []


def test_a_connection_that_holds_much_is_told_to_pause_and_to_go_on(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.closed = True
    gated.write(bytes(HIGH_WATER))
    assert transport.protocol.told == []
    gated.write(b"1")
    gated.write(b"2")
    assert transport.protocol.told == ["pause"]
    assert gated.get_write_buffer_size() == HIGH_WATER + 2
    release(gate.take())
    assert transport.protocol.told == ["pause", "resume"]
    assert gated.get_write_buffer_size() == 0


@pytest.mark.parametrize("mark", [None, 0, 2 * HIGH_WATER])
def test_who_is_paused_by_the_transport_is_not_told_to_go_on_by_us(
    gate: Gate, gated: Gated, transport: Transport, mark: int | None
) -> None:
    """The peer does not read: the transport itself will say when it does again."""
    if mark is not None:
        gated.set_write_buffer_limits(mark)
    gate.closed = True
    gated.write(bytes(HIGH_WATER + 1))
    transport.buffered = transport.high + 1
    release(gate.take())
    assert transport.protocol.told == ["pause"]


def test_a_connection_that_breaks_does_not_hold_up_others(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    class Broken(Transport):
        def write(self, data: bytes) -> None:
            raise RuntimeError("broken")

    broken = Broken()
    gate.closed = True
    gate.wrap(cast(Any, broken)).write(b"1")
    gated.write(b"2")
    release(gate.take())
    assert (broken.left, transport.left) == (["abort"], [b"2"])


def test_who_only_asks_need_not_wait_for_a_slow_disk(gate: Gate) -> None:
    writer, reader, both = Transport(), Transport(), Transport()
    clients = [gate.wrap(cast(Any, one)) for one in (writer, reader, both)]
    gate.closed = True
    for client, changes in zip([*clients, clients[2]], (True, False, True, False), strict=True):
        gate.changed = changes
        cast(Gated, client).write_answer(b"an answer")
    gate.open_for_reads([])
    assert (writer.left, reader.left) == ([], [b"an answer"])
    assert both.left == [], "answers leave in the order of the questions"
    release(gate.take())
    assert writer.left == [b"an answer"]
    assert both.left == [b"an answer"] * 2


def test_what_was_taken_before_is_looked_at_first(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.closed = True
    gate.changed = True
    gated.write_answer(b"a write")
    earlier = gate.take()
    gated.write_answer(b"a read behind it")
    gate.wrap(cast(Any, other := Transport())).write(b"a push")
    gate.open_for_reads(earlier)
    assert transport.left == other.left == [], "and a push may tell of anything"
    release(earlier)
    release(gate.take())
    assert transport.left == [b"a write", b"a read behind it"]
    assert other.left == [b"a push"]


def test_bytes_are_kept_as_they_were_when_they_were_written(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    """Protocols write from buffers that they use again."""
    gate.closed = True
    buffer = bytearray(b"before")
    gated.write(cast(bytes, memoryview(buffer)))
    buffer[:] = b"after!"
    release(gate.take())
    assert transport.left == [b"before"]


async def test_answers_of_one_turn_leave_together_at_its_end(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.gathers = True
    gated.write_answer(b"1")
    gated.write_answer(b"2")
    gated.write(b"3")  # whatever it is: it comes behind
    gated.close()
    assert transport.left == []
    await asyncio.sleep(0)
    assert transport.left == [b"1", b"2", b"3", "close"]


async def test_what_is_gathered_waits_if_the_gate_is_closed_by_then(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.gathers = True
    gated.write_answer(b"1")
    gate.closed = True
    await asyncio.sleep(0)
    assert transport.left == []
    gate.closed = False
    release(gate.take())
    assert transport.left == [b"1"]


async def test_nothing_else_is_gathered(gate: Gate, gated: Gated, transport: Transport) -> None:
    gate.gathers = True
    gated.write(b"a frame")
    assert transport.left == [b"a frame"]


def test_it_passes_unless_it_is_closed_or_holds_what_is_no_answer(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    assert gate.passes
    gate.closed = True
    assert not gate.passes
    gated.write_answer(b"1")
    gated.write(b"2")
    gate.closed = False
    held = gate.take()
    assert not gate.passes  # whoever took it has not let it go yet
    release(held)
    assert gate.passes
    past_the_gate(cast(Any, gated))(b"3")
    assert transport.left == [b"1", b"2", b"3"]


def test_what_was_not_written_down_does_not_keep_it_from_passing(
    gate: Gate, gated: Gated, transport: Transport
) -> None:
    gate.closed = True
    gated.write(b"lost")
    gate.fail(gate.take())
    gate.closed = False
    assert gate.passes
    gate.closed = True
    gated.write(b"late")
    transport.is_closing = lambda: True  # type: ignore[method-assign]
    gate.closed = False
    release(gate.take())
    assert gate.passes

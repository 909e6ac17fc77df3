"""Commands to bytes and back: everything round-trips, and nothing else is taken for a command."""

from __future__ import annotations

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.effects import Effect
from engine.persistence.commands import (
    MAX_COMMAND,
    Incomplete,
    encode,
    encode_all,
    parse,
    split,
    transaction,
)
from engine.persistence.errors import Malformed

EFFECT = st.lists(st.binary(max_size=1100), min_size=1, max_size=5).map(tuple)


@given(st.lists(EFFECT, min_size=1, max_size=5))
def test_what_is_written_is_read_again(effects: list[Effect]) -> None:
    body = encode_all(effects)
    assert transaction(split(body)) == [list(effect) for effect in effects]
    assert b"".join(map(encode, effects)) in body


@given(st.lists(EFFECT, min_size=1, max_size=5))
def test_a_parser_of_redis_reads_the_same(effects: list[Effect]) -> None:
    body = encode_all(effects)
    reader = hiredis.Reader()
    reader.feed(body)
    assert list(iter(reader.gets, False)) == split(body)


def test_one_effect_is_no_transaction_and_several_are_one() -> None:
    assert encode_all([(b"DEL", b"k")]) == b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n"
    several = encode_all([(b"DEL", b"k"), (b"DEL", b"l")])
    assert split(several)[0] == [b"MULTI"]
    assert split(several)[-1] == [b"EXEC"]


@given(EFFECT)
def test_every_beginning_of_a_command_is_incomplete(effect: Effect) -> None:
    data = encode(effect)
    for size in range(min(len(data), 300)):
        with pytest.raises(Incomplete) as raised:
            parse(data[:size])
        assert 1 <= raised.value.missing <= len(data) - size


@pytest.mark.parametrize(
    "data",
    [
        b"$3\r\nSET\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*+1\r\n$1\r\na\r\n",
        b"* 1\r\n$1\r\na\r\n",
        b"*1_0\r\n$1\r\na\r\n",
        b"*1\n$1\na\n",
        b"*1\r\n*1\r\n$1\r\na\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n$1\r\nab\r\n",
        b"*1\r\n$2\r\nab\rx",
        b"*1\r\n$2\r\nab\n",
        b"*12345678901\r\n",
        b"*1\r\n$%d\r\n" % (MAX_COMMAND + 1),
        b"SET k v\r\n",
        b"\0",
    ],
)
def test_what_is_no_command_is_told_from_what_is_cut(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse(data)
    with pytest.raises(Malformed):
        split(encode((b"DEL", b"k")) + data)


def test_a_body_must_end_with_its_last_command() -> None:
    with pytest.raises(Malformed, match="cut short"):
        split(encode((b"DEL", b"k"))[:-1])


def test_a_length_is_not_believed_before_the_bytes_are_there() -> None:
    with pytest.raises(Incomplete) as raised:
        parse(b"*1000000000\r\n$1000000000\r\nab")
    assert raised.value.missing == 1_000_000_000


@pytest.mark.parametrize(
    "commands",
    [
        [[b"DEL", b"k"], [b"DEL", b"l"]],
        [[b"MULTI"], [b"DEL", b"k"]],
        [[b"DEL", b"k"], [b"EXEC"]],
    ],
)
def test_several_commands_that_redis_could_take_in_part_are_refused(
    commands: list[list[bytes]],
) -> None:
    with pytest.raises(Malformed):
        transaction(commands)

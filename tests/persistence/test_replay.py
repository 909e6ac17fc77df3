"""Commands done again: each means to us what it means to Redis, and nonsense is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import redis

from engine.keyspace import Keyspace
from engine.persistence.errors import Foreign, Malformed
from engine.persistence.rdb import crc64
from engine.persistence.replay import Replay
from engine.sortedset import SortedSet
from engine.stream import Stream
from tests.persistence.foreign import commands
from tests.persistence.redis_process import redis_server
from tests.persistence.samples import NOW, loaded, plain

RELATIVE = {"*", "EX", "SETEX", "PSETEX", "EXPIRE", "PEXPIRE", "~"}
"""Words of commands that Redis logs otherwise than they were asked for, since they are relative."""

OTHERS = {"GEOADD", "ZMPOP", "EVAL"}


def encoded(command: tuple[object, ...]) -> list[bytes]:
    return [str(part).encode() for part in command]


def after(*written: str) -> Keyspace:
    """The keyspace after these commands, in words."""
    keyspace = Keyspace()
    Replay(keyspace, now=NOW).apply([command.encode().split() for command in written])
    keyspace._check()
    return keyspace


@pytest.mark.parametrize("seed", range(4))
def test_every_command_does_what_it_does_in_redis(tmp_path: Path, seed: int) -> None:
    draw, keyspace = random.Random(seed), Keyspace()
    replay = Replay(keyspace, now=NOW)
    accepted: set[object] = set()
    with redis_server(tmp_path) as client:
        for number in range(1500):
            for command in commands(draw):
                if RELATIVE.union(OTHERS).isdisjoint(command):
                    accepted |= _done_by_both(client, replay, command)
            if number % 10 == 0:
                entry = ("XADD", f"c{draw.randrange(3)}", f"{number + 1}-1", "a", number)
                accepted |= _done_by_both(client, replay, entry)
        client.save()
        expected = plain(loaded((tmp_path / "dump.rdb").read_bytes()))
    assert plain(keyspace.items(0)) == expected
    assert len(expected) > 10
    assert len(accepted) > 40


def _done_by_both(client: object, replay: Replay, command: tuple[object, ...]) -> set[object]:
    """Done by the server, and if it did not refuse, by us."""
    try:
        client.execute_command(*command)  # type: ignore[attr-defined]
    except redis.ResponseError:
        return set()
    replay.apply([encoded(command)])
    return {command[0]}


def test_relative_deadlines_count_from_the_instant_of_replay() -> None:
    keyspace = after(
        "SETEX a 5 v", "PSETEX b 7 v", "SET c v EX 9", "SET d v", "EXPIRE d 3", "SET e v PX 11",
        "SET f v", "PEXPIRE f 13", "SET g v", "GETEX g EX 1",
    )  # fmt: skip
    relative = {key: at - NOW for key, at in keyspace.deadlines.items()}
    assert relative == {
        b"a": 5_000_000, b"b": 7_000, b"c": 9_000_000, b"d": 3_000_000, b"e": 11_000, b"f": 13_000,
        b"g": 1_000_000,
    }  # fmt: skip


def test_nothing_is_absent_because_its_deadline_has_passed() -> None:
    keyspace = after("SET k 1 PXAT 5", "INCR k", "HSET h a 1", "PEXPIREAT h 5", "HSET h b 2")
    assert keyspace.values == {b"k": 2, b"h": {b"a": b"1", b"b": b"2"}}
    assert keyspace.deadlines == {b"k": 5000, b"h": 5000}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("7", 7), ("0", 0), ("-7", -7), ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)), ("9223372036854775808", b"9223372036854775808"),
        ("07", b"07"), ("-0", b"-0"), ("+7", b"+7"), ("1_0", b"1_0"), ("7.0", b"7.0"), ("-", b"-"),
        ("28333333,17", b"28333333,17"), ("١", "١".encode()),
    ],
)  # fmt: skip
def test_a_string_is_held_as_an_integer_if_it_is_the_text_of_one(
    written: str, value: bytes | int
) -> None:
    held = after(f"SET k {written}").values[b"k"]
    assert held == value
    assert type(held) is type(value)


@pytest.mark.parametrize(
    ("number", "by", "total"),
    [
        ("10.50", "0.1", b"10.6"), ("5.0e3", "2.0e2", b"5200"), ("-3", "3", b"0"),
        ("0.1", "0.2", b"0.3"), ("1", "-1.5", b"-0.5"), ("1e17", "0.25", b"100000000000000000.25"),
    ],
)  # fmt: skip
def test_fractions_are_added_exactly(number: str, by: str, total: bytes) -> None:
    assert after(f"SET k {number}", f"INCRBYFLOAT k {by}", "APPEND k x").values == {
        b"k": total + b"x"
    }
    assert after(f"HSET h f {number}", f"HINCRBYFLOAT h f {by}").values == {b"h": {b"f": total}}


def test_what_is_emptied_is_gone_but_for_streams() -> None:
    keyspace = after(
        "HSET h a 1", "PEXPIREAT h 5", "HDEL h a", "ZADD z 1 a", "ZREM z a", "ZADD y 1 a",
        "ZPOPMAX y 9", "ZADD x XX 1 a", "XADD c 1-1 a b", "XDEL c 1-1", "XADD d MAXLEN 0 1-1 a b",
    )  # fmt: skip
    assert keyspace.values.keys() == {b"c", b"d"}
    assert not keyspace.deadlines


def test_a_copy_shares_nothing() -> None:
    lines = ["HSET h a 1", "ZADD z 1 a", "XADD c 1-1 a b", "SET s 1"]
    copies = [f"COPY {key} {key}2" for key in "hzcs"]
    changes = ["HSET h a 2", "ZADD z 2 a", "XADD c 2-1 a b", "APPEND s 1"]
    both = after(*lines, *copies, *changes)
    assert plain(both.items(0)) == {
        **plain(after(*lines, *changes).items(0)),
        **{key + b"2": value for key, value in plain(after(*lines).items(0)).items()},
    }


def test_streams_are_trimmed_by_length_and_by_id() -> None:
    entries = [f"XADD c {number}-0 a {number}" for number in range(1, 9)]
    assert after("XADD c NOMKSTREAM 1-0 a b").values == {}
    for written, first in (
        ("XTRIM c MINID 3", 3), ("XTRIM c MINID = 4-1", 5), ("XTRIM c MAXLEN = 2 LIMIT 9", 7),
        ("XADD c NOMKSTREAM MINID = 6 9-0 a b", 6), ("XADD c MAXLEN 3 9 a b", 7),
    ):  # fmt: skip
        held = after(*entries, written).values[b"c"]
        assert isinstance(held, Stream)
        assert held.entries[0][0] == (first, 0)
        assert held.max_deleted_id == (0, 0)


def test_nothing_put_into_a_string_changes_nothing() -> None:
    keyspace = Keyspace()
    Replay(keyspace, now=NOW).apply([[b"SETRANGE", b"k", b"5", b""]])
    assert not len(keyspace)


def test_renaming_takes_the_deadline_along() -> None:
    keyspace = after("SET a 1 PXAT 5", "SET b 2 PXAT 7", "SET c 3", "RENAME a b", "RENAMENX c b")
    assert keyspace.values == {b"b": 1, b"c": 3}
    assert keyspace.deadlines == {b"b": 5000}


def test_flushing_takes_everything() -> None:
    assert not len(after("SET a 1 PXAT 5", "FLUSHALL ASYNC"))
    assert not len(after("SET a 1 PXAT 5", "FLUSHDB"))


def test_scores_are_what_redis_takes_for_numbers() -> None:
    board = after("ZADD z inf a -Infinity b 1.5e2 c .5 d 0x10 e -0 f 3. g").values[b"z"]
    assert isinstance(board, SortedSet)
    assert dict(board) == {
        b"a": float("inf"), b"b": float("-inf"), b"c": 150.0, b"d": 0.5, b"e": 16.0, b"f": 0.0,
        b"g": 3.0,
    }  # fmt: skip


NONSENSE = [
    "SET k", "SET k v WHAT", "SET k v PXAT", "SET k v PXAT soon", "SET k v EX 1.5", "SETNX k",
    "MSET", "MSET a", "GETEX k PX", "GETEX k PX 1 2", "GETEX k XX 1", "APPEND k", "SETRANGE k -1 x",
    "SETRANGE k 600000000 x", "INCR word", "INCRBY k x", "INCRBYFLOAT word 1", "INCRBYFLOAT k nan",
    "INCRBYFLOAT k inf", "DECRBY k -9223372036854775808", "PEXPIREAT k", "PEXPIREAT k 1_0",
    "PEXPIREAT k 1 YY", "PEXPIREAT k 99999999999999999999", "PERSIST", "RENAME none k",
    "COPY k", "RESTORE k 0 short", "HSET h", "HSET h a", "HSET h a 1 b", "HSETNX h a", "HSET k a 1",
    "HINCRBY h word 1", "HINCRBY h big 1", "ZADD z", "ZADD z nan a", "ZADD z 1_0 a", "ZADD z 1",
    "ZADD z GT", "ZADD k 1 a", "ZINCRBY z 1", "ZINCRBY z -inf top", "ZREM k a",
    "ZREMRANGEBYRANK z 0", "ZREMRANGEBYRANK z a b", "ZREMRANGEBYSCORE z [1 2",
    "ZREMRANGEBYLEX z a b", "ZPOPMIN z x", "ZUNIONSTORE d 0 z", "ZUNIONSTORE d 2 z",
    "ZUNIONSTORE d 1 z WEIGHTS", "ZINTERSTORE d 1 k", "ZDIFFSTORE d 1 z AGGREGATE",
    "ZINTERSTORE d 1 z AGGREGATE AVG", "ZRANGESTORE d z 0", "ZRANGESTORE d z 0 1 WHAT",
    "ZRANGESTORE d z 0 1 BYLEX", "ZRANGESTORE d z 0 1 LIMIT 1",
    "XADD c", "XADD c * a b", "XADD c 0-0 a b",
    "XADD c 1-1 a b", "XADD c 9-9 a", "XADD c 9-9", "XADD c 9-9-9 a b", "XADD c -1 a b",
    "XADD c MAXLEN ~ 5 9-9 a b", "XADD c MAXLEN x 9-9 a b", "XADD c 18446744073709551616-0 a b",
    "XTRIM c", "XTRIM c WHAT 1", "XTRIM c MAXLEN", "XDEL c x", "XDEL k 1-1", "XSETID none 1-1",
    "XSETID c 1-0", "XSETID c 9-9 WHAT 1", "XSETID c 9-9 ENTRIESADDED", "SELECT", "SELECT x",
    "GET k", "nonsense",
]  # fmt: skip


@pytest.mark.parametrize("written", NONSENSE)
def test_what_redis_would_not_have_logged_is_refused_by_name(written: str) -> None:
    lead = [
        "SET k 1", "SET word w", "HSET h word w big 9223372036854775807", "ZADD z inf top",
        "XADD c 1-1 a b",
    ]  # fmt: skip
    with pytest.raises(Malformed, match=rf"(?i)^{written.split()[0]}[: ]") as raised:
        after(*lead, written)
    assert not isinstance(raised.value, Foreign)


def test_a_dumped_value_is_held_to_its_checksum() -> None:
    body = b"\x00\x05hello\x0a\x00"
    payload = body + crc64(body).to_bytes(8, "little")
    keyspace = Keyspace()
    Replay(keyspace, now=NOW).apply([[b"RESTORE", b"k", b"5", payload, b"ABSTTL"]])
    assert (keyspace.values, keyspace.deadlines) == ({b"k": b"hello"}, {b"k": 5000})
    for at in range(len(payload)):
        damaged = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
        with pytest.raises(Malformed):
            Replay(Keyspace(), now=NOW).apply([[b"RESTORE", b"k", b"0", damaged]])
    for body, kind in ((b"\x00\x05hel\x0a\0", Malformed), (b"\x00\x01hello\x0a\0", Malformed),
                       (b"\x01\x00\x0a\0", Foreign)):  # fmt: skip
        with pytest.raises(kind):
            Replay(Keyspace(), now=NOW).apply(
                [[b"RESTORE", b"k", b"0", body + crc64(body).to_bytes(8, "little")]]
            )


def test_commands_before_the_refused_one_are_done_and_counted() -> None:
    keyspace = Keyspace()
    replay = Replay(keyspace, now=NOW)
    replay.apply([[b"SET", b"a", b"1"], [b"set", b"b", b"2"]])
    with pytest.raises(Malformed):
        replay.apply([[b"SET", b"c", b"3"], [b"SET", b"d"]])
    assert keyspace.values.keys() == {b"a", b"b", b"c"}
    assert replay.commands == 2

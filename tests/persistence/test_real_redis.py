"""The other side of the format: a real Redis loads what we write, and we load what it wrote."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from engine.persistence.rdb import Item, RdbError, Unsupported
from engine.sortedset import SortedSet
from engine.stream import Stream
from tests.persistence.redis_process import redis_server
from tests.persistence.samples import ITEMS, NOW, dumped, every_type, loaded, plain, stream
from tests.support import require

FAR = 4_000_000_000_000_000
"""A deadline that the server's wall clock will not reach: the year 2096."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    with redis_server(tmp_path) as client:
        yield client


def saved(client: Any) -> bytes:
    client.save()
    return (Path(client.config_get("dir")["dir"]) / "dump.rdb").read_bytes()


def board(size: int, seed: int = 1) -> SortedSet:
    draw = random.Random(seed)
    return SortedSet((b"member:%d" % i, draw.choice([i / 7, -i, i % 10])) for i in range(size))


@given(ITEMS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_redis_check_rdb_accepts_every_snapshot(tmp_path: Path, items: list[Item]) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(dumped(items))
    check = [require("redis-check-rdb"), str(path)]
    result = subprocess.run(check, capture_output=True, text=True, check=False)
    assert "RDB looks OK" in result.stdout, result.stdout


def test_redis_answers_as_we_do(tmp_path: Path) -> None:
    large, small = board(30_000), board(20, seed=2)
    history = stream(*(((n, 0), (b"d", b"%d" % n)) for n in range(1, 251)))
    history.trim(230)
    wide = stream(
        ((5, 2**64 - 1), (b"a", b"x" * 16_378, b"b", b"")), ((2**64 - 1, 3), (b"c", b"y"))
    )
    fields = {b"field:%d" % n: b"value" * (n % 30) for n in range(2_000)}
    items: list[Item] = [
        (b"large", large, None),
        (b"small", small, None),
        (b"history", history, None),
        (b"wide", wide, None),
        (b"emptied", Stream(), None),
        (b"record", fields, FAR),
        (b"text", b"x" * 70_000, None),
        (b"counter", 2**62, FAR + 1),
        (b"window", (3, 1_700_000_000), None),
        (b"expired", b"gone", NOW),
    ]
    (tmp_path / "dump.rdb").write_bytes(dumped(items))
    with redis_server(tmp_path) as client:
        assert set(client.keys()) == {key for key, _, _ in items} - {b"expired"}
        for key, ours in ((b"large", large), (b"small", small)):
            _same_board(client, key, ours)
        for key, made in ((b"history", history), (b"wide", wide)):
            entries = [(b"%d-%d" % entry_id, _mapping(fields)) for entry_id, fields in made.entries]
            assert client.xrange(key) == entries
            info = client.xinfo_stream(key)
            assert info["last-generated-id"] == b"%d-%d" % made.last_id
            assert (info["length"], info["entries-added"]) == (len(made), made.added)
        assert client.hgetall(b"record") == fields
        assert client.pexpiretime(b"record") == FAR // 1000
        assert client.pexpiretime(b"counter") == FAR // 1000 + 1
        assert client.incr(b"counter") == 2**62 + 1
        assert (client.get(b"text"), client.get(b"window")) == (b"x" * 70_000, b"3 1700000000")
        assert client.xadd(b"history", {"d": "next"}, id="251-0") == b"251-0"
        assert client.xlen(b"emptied") == 0


def test_we_answer_as_redis_does(server: Any) -> None:
    draw = random.Random(3)
    server.set("text", "hello")
    server.set("7", "-42")
    server.set("number", 2**40)
    server.set("compressed", "abc" * 5_000)
    server.set("noise", draw.randbytes(5_000))
    server.set("session", "x", px=3_600_000)
    server.hset("small", mapping={"a": "1", "-5": "70000", "text": "y" * 60, "": ""})
    server.hset("large", mapping={f"f{n}": "z" * (n % 100) for n in range(1_000)})
    server.zadd("few", {"a": 1.5, "b": "-inf", "12": 3, "c": 1e300, "d": 2**53})
    server.zadd("many", {f"{'m' * (n % 90)}{n}": draw.uniform(-1e6, 1e6) for n in range(5_000)})
    items = loaded(saved(server))
    values = {key: value for key, value, _ in items}
    everything = plain(items)
    for key in (b"text", b"7", b"number", b"compressed", b"noise", b"session"):
        assert everything[key][0] == server.get(key)
    for key in (b"small", b"large"):
        assert everything[key][0] == server.hgetall(key)
    for key in (b"few", b"many"):
        ours = values[key]
        assert isinstance(ours, SortedSet)
        _same_board(server, key, ours)
    assert everything[b"session"][1] == server.pexpiretime("session")


def test_we_load_the_streams_that_redis_wrote(server: Any) -> None:
    ids = [server.xadd("s", {"d": f"{n}", "kind": "a" if n % 3 else "b" * 99}) for n in range(300)]
    server.xadd("s", {"other": "fields"})
    server.xdel("s", *ids[50:80], ids[120])
    server.xtrim("s", maxlen=200, approximate=False)
    server.xadd("gone", {"d": "1"}, id="9-9")
    server.xdel("gone", "9-9")
    values = {key: value for key, value, _ in loaded(saved(server))}
    for key in (b"s", b"gone"):
        ours = values[key]
        assert isinstance(ours, Stream)
        entries = [(b"%d-%d" % entry_id, _mapping(fields)) for entry_id, fields in ours.entries]
        assert entries == server.xrange(key)
        info = server.xinfo_stream(key)
        assert info["last-generated-id"] == b"%d-%d" % ours.last_id
        assert info["max-deleted-entry-id"] == b"%d-%d" % ours.max_deleted_id
        assert info["entries-added"] == ours.added


def test_what_redis_wrote_goes_back_to_redis_unchanged(server: Any, tmp_path: Path) -> None:
    server.zadd("z", {f"m{n}": n / 3 for n in range(1_000)})
    server.hset("h", mapping={"a": "1"})
    server.xadd("s", {"d": "1"})
    server.set("k", 5, ex=1000)
    first = loaded(saved(server))
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "dump.rdb").write_bytes(dumped(first))
    with redis_server(tmp_path / "again") as client:
        assert plain(loaded(saved(client))) == plain(first)


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("RPUSH todo a b", "a list .*b'todo'"),
        ("SADD tags a b", "a set .*b'tags'"),
        ("SADD numbers 1 2", "a set .*b'numbers'"),
        ("XGROUP CREATE jobs workers $ MKSTREAM", "a stream with consumer groups .*b'jobs'"),
    ],
)
def test_what_we_lack_is_named(server: Any, command: str, what: str) -> None:
    server.set("fine", "x")
    server.execute_command(*command.split())
    with pytest.raises(Unsupported, match=what):
        loaded(saved(server))


def test_functions_and_second_databases_are_named(server: Any) -> None:
    server.set("here", "x")
    server.execute_command("SELECT", 3)
    server.swapdb(0, 3)
    assert plain(loaded(saved(server)))[b"here"] == (b"x", None)
    server.function_load("#!lua name=f\nredis.register_function('g', function() return 1 end)")
    with pytest.raises(Unsupported, match="a function library"):
        loaded(saved(server))
    server.function_flush()
    server.mset({"a": 1})
    server.execute_command("COPY", "here", "there", "DB", 7)
    with pytest.raises(Unsupported, match=r"databases . and 7"):
        loaded(saved(server))


def test_what_was_written_without_checksum_and_compression(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--rdbchecksum", "no", "--rdbcompression", "no") as client:
        client.set("k", "abc" * 100)
        data = saved(client)
    assert data.endswith(b"\xff" + bytes(8))
    assert plain(loaded(data))[b"k"] == (b"abc" * 100, None)


def test_damage_in_a_file_of_redis_is_noticed(server: Any) -> None:
    for item in every_type():
        server.set(item[0], "x" * 30)
    data = saved(server)
    for at in range(9, len(data)):
        with pytest.raises(RdbError):
            loaded(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])


def _same_board(client: Any, key: bytes, ours: SortedSet) -> None:
    assert client.zrange(key, 0, -1, withscores=True) == list(ours)
    members = [member for member, _ in ours][:: max(1, len(ours) // 200)]
    pipeline = client.pipeline()
    for member in members:
        pipeline.zrevrank(key, member)
    assert pipeline.execute() == [ours.index(member, reverse=True) for member in members]


def _mapping(fields: tuple[bytes, ...]) -> dict[bytes, bytes]:
    return dict(zip(fields[::2], fields[1::2], strict=True))

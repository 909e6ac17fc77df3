"""A journal between two programs: Redis serves what we wrote, and we recover what it wrote."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from engine.clock import SECOND, ManualClock
from engine.engine import Engine
from engine.errors import EngineError
from engine.persistence.commands import encode_all
from engine.persistence.journal import seal
from engine.persistence.manifest import MANIFEST
from tests.engine.test_effects import act
from tests.persistence.foreign import FAR, commands
from tests.persistence.journals import Journal, recovered
from tests.persistence.redis_process import redis_server
from tests.persistence.samples import loaded, plain
from tests.support import eventually, require

State = dict[bytes, Any]


@contextmanager
def appending(data: Path, *options: str) -> Iterator[Any]:
    """A server that keeps its journal in the data directory, as a user would start it."""
    with redis_server(data, "--appendonly", "yes", "--appendfsync", "always", *options) as client:
        yield client


def state_of(client: Any) -> State:
    """Everything a server holds."""
    client.save()
    return plain(loaded((Path(client.config_get("dir")["dir"]) / "dump.rdb").read_bytes()))


def state_in(folder: Path) -> State:
    """Everything that a journal holds, whatever the time."""
    return plain(recovered(folder)[0].items(0))


def journal_in(data: Path) -> Journal:
    folder = data / "appendonlydir"
    folder.mkdir()
    journal = Journal(folder)
    journal.engine.clock.advance(FAR - journal.engine.clock())  # type: ignore[attr-defined]
    return journal


def live(journal: Journal, seed: int, steps: int = 150) -> None:
    """Some history: every verb, in batches of several effects."""
    draw, clock = random.Random(seed), journal.engine.clock
    assert isinstance(clock, ManualClock)
    for _ in range(steps):
        clock.advance(draw.randrange(2 * SECOND))
        try:
            act(journal.engine, draw.randrange(28), draw.randrange(3), draw.randrange(7))
        except EngineError:
            continue
        if draw.random() < 0.5:
            journal.commit()
    journal.commit()


# What we write


@pytest.mark.parametrize("seed", range(3))
def test_redis_serves_what_we_wrote(tmp_path: Path, seed: int) -> None:
    journal = journal_in(tmp_path)
    live(journal, seed)
    if seed:
        journal.compact()
        live(journal, seed + 10)
    journal.grow()
    live(journal, seed + 20)
    expected = state_in(journal.folder)
    assert expected
    check = [require("redis-check-aof"), str(journal.folder / MANIFEST)]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    with appending(tmp_path) as client:
        assert state_of(client) == expected


def test_redis_goes_on_and_we_take_over_again(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    live(journal, 1)
    with appending(tmp_path) as client:
        client.set("theirs", "1")
        client.incr("theirs")
        client.pipeline(transaction=True).hset("h", "a", "b").zadd("z", {"m": 1.5}).execute()
        expected = state_of(client)
    assert state_in(journal.folder) == expected
    _, found = recovered(journal.folder)
    assert found.unsealed > 0
    assert found.sequence == journal.sequence
    path = journal.folder / (found.last or "")
    assert found.size == path.stat().st_size
    batch = seal(found.sequence + 1, found.sequence, encode_all([(b"SET", b"ours", b"3")]))
    path.write_bytes(path.read_bytes() + batch)
    expected[b"ours"] = (b"3", None)
    assert state_in(journal.folder) == expected
    with appending(tmp_path) as client:
        assert state_of(client) == expected


def test_redis_takes_a_batch_whole_or_not_at_all(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    live(journal, 2)
    whole = state_in(journal.folder)
    journal.engine.strings.set(b"one", b"1")
    journal.engine.strings.set(b"two", b"2")
    journal.commit()
    data = journal.path.read_bytes()
    for cut in (1, 16, 30, 60):
        journal.path.write_bytes(data[:-cut])
        with appending(tmp_path) as client:
            assert state_of(client) == whole
        (tmp_path / "dump.rdb").unlink()
        assert state_in(journal.folder) == whole


# What Redis writes


def serve(client: Any, seed: int, count: int) -> None:
    """Ask for a few hundred things, alone and in transactions."""
    draw = random.Random(seed)
    for _ in range(count):
        if draw.random() < 0.1:
            pipeline = client.pipeline(transaction=True)
            for _ in range(3):
                for command in commands(draw):
                    pipeline.execute_command(*command)
            pipeline.execute(raise_on_error=False)
            continue
        for command in commands(draw):
            _ask(client, command)
    for key in (key for key in client.scan_iter() if client.type(key) == b"stream"):
        entries = client.xrange(key, count=2)
        _ask(client, ("XDEL", key, "1-1", *(entry_id for entry_id, _ in entries)))
    for key in client.keys("[a-z][0-9]"):
        _ask(client, ("RESTORE", b"restored:" + key, 0, client.dump(key)))


def _ask(client: Any, command: tuple[object, ...]) -> None:
    try:
        client.execute_command(*command)
    except redis.ResponseError:
        return  # and so it is not logged, either


def rewrite(client: Any) -> None:
    client.bgrewriteaof()
    eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options",
    [(), ("--aof-use-rdb-preamble", "no"), ("--aof-timestamp-enabled", "yes")],
    ids=["usual", "all commands", "timestamps"],
)
def test_we_recover_what_redis_wrote(tmp_path: Path, options: tuple[str, ...], seed: int) -> None:
    with appending(tmp_path, *options) as client:
        serve(client, seed, 300)
        if seed % 2:
            rewrite(client)
            serve(client, seed + 100, 100)
        expected = state_of(client)
    assert len(expected) > 5
    assert state_in(tmp_path / "appendonlydir") == expected


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (lambda client: client.rpush("l", 1), "RPUSH needs a list"),
        (lambda client: client.sadd("s", 1), "SADD needs a set"),
        (lambda client: client.setbit("b", 1, 1), "SETBIT needs a bitmap"),
        (lambda client: client.xgroup_create("c", "g", mkstream=True), "XGROUP needs a consumer"),
        (lambda client: client.execute_command("SWAPDB", 0, 1), "SWAPDB needs a second database"),
        (lambda client: client.function_load("#!lua name=f\nredis.register_function('f',"
                                             "function() end)"), "FUNCTION needs a script"),
    ],
)  # fmt: skip
def test_what_we_have_no_type_for_is_named(
    tmp_path: Path, act: Callable[[Any], object], what: str
) -> None:
    with appending(tmp_path) as client:
        act(client)
    with pytest.raises(ValueError, match=what):
        recovered(tmp_path / "appendonlydir")


def test_what_we_have_no_type_for_is_named_in_a_base_as_well(tmp_path: Path) -> None:
    with appending(tmp_path) as client:
        client.rpush("l", 1)
        rewrite(client)
    with pytest.raises(ValueError, match=r"base\.rdb: a list .* cannot be loaded"):
        recovered(tmp_path / "appendonlydir")


def test_a_journal_of_ours_that_redis_compacted_is_read_again(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    live(journal, 5)
    with appending(tmp_path) as client:
        serve(client, 5, 50)
        rewrite(client)
        client.set("k", "v")
        expected = state_of(client)
    keyspace, found = recovered(journal.folder)
    assert plain(keyspace.items(0)) == expected
    assert (found.sequence, found.batches) == (0, 0)


def test_an_engine_goes_on_from_what_redis_wrote(tmp_path: Path) -> None:
    with appending(tmp_path) as client:
        client.zadd("lb:{b}", {"ada": 3})
        client.set("cnt:{c}", 41)
    engine = Engine(ManualClock(FAR))
    for key, value, deadline in recovered(tmp_path / "appendonlydir")[0].items(0):
        engine.keyspace.put(key, value, deadline)
    assert engine.counters.add(b"cnt:{c}", 1) == 42
    assert engine.boards.size(b"lb:{b}") == 1

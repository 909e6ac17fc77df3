"""What is refused, what is left alone, and what is said about it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.persistence.rdb import Item
from engine.sortedset import SortedSet
from realtime.datadir import DataDirectory
from tests.cli.conftest import Run
from tests.redis.servers import RedisServer
from tests.transfer.conftest import Into
from tests.transfer.samples import content, every_type, put_snapshot

ONE: list[Item] = [(b"cnt:{one}", 1, None)]
TWO: list[Item] = [(b"cnt:{two}", 2, None)]

IN_USE = (
    "realtime: data is in use by a running service (process {}): stop it first; SIGTERM lets it "
    "write a snapshot of all it holds\n"
)


def test_a_directory_in_use_is_neither_read_nor_written(
    run: Run, server: RedisServer, client: Any
) -> None:
    client.set("cnt:{one}", "1")
    put_snapshot(Path("data"), ONE)
    before = Path("data/dump.rdb").read_bytes()
    running = DataDirectory("data")
    running.acquire()
    try:
        sentence = IN_USE.format(os.getpid())
        for words in (
            ("migrate", "--from", "data", "--to", server.url),
            ("migrate", "--from", server.url, "--to", "data", "--replace"),
            ("export", "a.rdb", "--data", "data"),
        ):
            assert run(*words) == (2, "", sentence)
    finally:
        running.release()
    assert Path("data/dump.rdb").read_bytes() == before
    assert run("migrate", "--from", "data", "--to", server.url).code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("migrate", "--from", "URL", "--to", "data"), "data has a snapshot already; --replace"),
        (("export", "a.rdb", "--store", "URL"), "a.rdb exists already; --replace writes over it"),
        (("import", "a.rdb", "--data", "data"), "data has a snapshot already; --replace"),
    ],
)
def test_a_snapshot_is_written_over_only_if_asked_to(
    run: Run, server: RedisServer, into: Into, words: tuple[str, ...], sentence: str
) -> None:
    into(TWO)
    put_snapshot(Path("data"), ONE)
    Path("a.rdb").write_bytes(Path("data/dump.rdb").read_bytes())
    words = tuple(server.url if word == "URL" else word for word in words)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"realtime: {sentence}")
    assert list(content(Path("data"))) == list(content(Path("a.rdb"))) == [b"cnt:{one}"]
    assert run(*words, "--replace").code == 0


def test_keys_of_others_are_left_alone_on_either_side(
    run: Run, tmp_path: Path, server: RedisServer, client: Any
) -> None:
    """Two of them look a little like ours; what is alive in the target stays, too."""
    client.rpush("queue", "job")
    client.set("user:42", "theirs")
    client.sadd("lb:mine", "a")
    client.hset("pres:{news}", "client", "ada")
    client.set("node:{1}", "alive")
    client.set("cnt:{ours}", "1")
    code, _, err = run("migrate", "--from", server.url, "--to", "back")
    assert code == 0
    assert err == "realtime: keys that were left out, being none of ours: 3\n"
    assert list(content(Path("back"))) == [b"cnt:{ours}"]
    before = sorted(client.keys())
    assert run("migrate", "--from", "back", "--to", server.url, "--replace").code == 0
    assert sorted(client.keys()) == before


def test_a_value_of_a_type_that_we_never_write_is_not_ours(
    run: Run, server: RedisServer, client: Any
) -> None:
    client.set("cnt:{ours}", "1")
    client.rpush("cnt:{queue}", "job")
    code, _, err = run("migrate", "--from", server.url, "--to", "back")
    assert (code, err) == (0, "realtime: keys that were left out, being none of ours: 1\n")


def test_what_the_target_has_besides_is_counted_and_removed_only_if_asked_to(
    run: Run, server: RedisServer, client: Any, into: Into, now: int
) -> None:
    into(every_type(now))
    put_snapshot(Path("data"), every_type(now)[:3])
    surplus = len(every_type(now)) - 3
    words = ("migrate", "--from", "data", "--to", server.url)
    only = "realtime: keys of ours that only the target had, and that"
    assert run(*words).err == f"{only} stay: {surplus}; --replace removes them\n"
    assert client.dbsize() == surplus + 3
    assert run(*words, "--replace").err == f"{only} were removed: {surplus}\n"
    assert client.dbsize() == 3
    assert run(*words, "--replace").err == ""


def test_a_damaged_snapshot_changes_nothing(run: Run, server: RedisServer, client: Any) -> None:
    put_snapshot(Path("data"), [*ONE, *TWO])
    text = Path("data/dump.rdb").read_bytes()
    Path("data/dump.rdb").write_bytes(text[:-1] + bytes([text[-1] ^ 1]))
    code, out, err = run("migrate", "--from", "data", "--to", server.url)
    assert (code, out) == (2, "")
    assert err.startswith("realtime: data/dump.rdb cannot be used: the checksum does not match")
    assert client.dbsize() == 0


def test_a_snapshot_with_a_key_twice_changes_nothing(
    run: Run, server: RedisServer, client: Any
) -> None:
    put_snapshot(Path("data"), [*ONE, *ONE])
    code, _, err = run("migrate", "--from", "data", "--to", server.url)
    assert (code, client.dbsize()) == (2, 0)
    assert err == "realtime: data/dump.rdb cannot be used: a key stands there twice\n"


@pytest.mark.parametrize("empty", ["a store", "a directory"])
def test_a_source_without_anything_is_likely_a_wrong_name(
    run: Run, server: RedisServer, client: Any, empty: str
) -> None:
    """With --replace it would take everything away."""
    put_snapshot(Path("data"), [])
    put_snapshot(Path("good"), ONE)
    client.set("cnt:{good}", "1")
    if empty == "a store":
        words = ("--from", f"{server.url}/5", "--to", "good")
    else:
        words = ("--from", "data", "--to", server.url)
    code, _, err = run("migrate", *words, "--replace")
    assert code == 2
    assert err.endswith(" has none of our keys: nothing was changed\n")
    assert client.get("cnt:{good}") == b"1"
    assert list(content(Path("good"))) == [b"cnt:{one}"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("migrate --from no --to redis://localhost", "there is no snapshot and no journal in no"),
        ("migrate --from a.txt --to d", "a.txt is a file, not a data directory"),
        ("migrate --from d --to d", "the source and the target are the same"),
        ("migrate --from d --to http://x", "a store is memory:// or begins with redis://"),
        ("migrate --from d --to memory://", "memory:// is gone with its process; name its data"),
        ("migrate --from d --to redis://x/y", "'y' is no number of a database"),
        ("migrate --from d", "the following arguments are required: --to; see `realtime migrate"),
        ("import no.rdb", "there is no file no.rdb"),
        ("import a.txt --data e", "a.txt cannot be used: this is not a Redis snapshot"),
        ("export d", "d is a directory, and a file is to be written"),
        ("export no/a.rdb --data d", "no/a.rdb cannot be written: No such file or directory"),
        ("export", "the following arguments are required: FILE; see `realtime export --help`"),
        ("export a.rdb --data d --store redis://x", "say either --data or --store"),
        ("export a.rdb --store http://x", "--store: a store is memory:// or begins with redis://"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(run: Run, words: str, sentence: str) -> None:
    Path("a.txt").write_text("hello, this is not a snapshot of anything")
    put_snapshot(Path("d"), ONE)
    put_snapshot(Path("realtime-data"), ONE)
    code, out, err = run(*words.split())
    assert (code, out) == (2, "")
    assert err.startswith(f"realtime: {sentence}"), err
    assert err.count("\n") == 1
    assert not Path("no").exists()


def test_without_a_data_directory_something_must_be_named(run: Run) -> None:
    code, _, err = run("export", "a.rdb", "--data", "")
    assert (code, err) == (
        2,
        "realtime: there is no data directory: --data DIR, or --store URL\n",
    )


def test_a_full_store_says_so_and_keeps_what_it_has(
    run: Run, server: RedisServer, client: Any
) -> None:
    client.set("cnt:{one}", "old")
    client.config_set("maxmemory", 1)
    put_snapshot(Path("data"), [*ONE, (b"lb:{b}", SortedSet([(b"a", 1)]), None)])
    code, _, err = run("migrate", "--from", "data", "--to", server.url)
    assert code == 2
    assert err.startswith(f"realtime: {server.url}: OOM command not allowed"), err
    client.config_set("maxmemory", 0)
    assert client.get("cnt:{one}") == b"old"

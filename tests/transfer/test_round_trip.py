"""From a data directory to a store and back: everything is there, and the tools of Redis agree."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from engine.clock import HOUR, SECOND
from engine.persistence.rdb import Item
from engine.sortedset import SortedSet
from tests.cli.conftest import Run
from tests.redis.servers import RedisServer, running_redis
from tests.support import eventually, require
from tests.transfer.conftest import Into
from tests.transfer.samples import LARGE, content, every_type, large, put_snapshot


def there_and_back(run: Run, tmp_path: Path, server: RedisServer, items: list[Item]) -> Path:
    source, back = put_snapshot(tmp_path / "data", items), tmp_path / "back"
    assert run("migrate", "--from", str(source), "--to", server.url).code == 0
    assert run("migrate", "--from", server.url, "--to", str(back)).code == 0
    return back


def test_every_type_comes_back_as_it_was(
    run: Run, tmp_path: Path, server: RedisServer, now: int
) -> None:
    back = there_and_back(run, tmp_path, server, every_type(now))
    assert content(back) == content(tmp_path / "data")


def test_what_is_larger_than_a_piece_comes_back_as_it_was(
    run: Run, tmp_path: Path, server: RedisServer, now: int
) -> None:
    back = there_and_back(run, tmp_path, server, large(now))
    assert content(back) == content(tmp_path / "data")


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1024])
def test_no_row_is_lost_where_a_piece_ends(
    run: Run, tmp_path: Path, server: RedisServer, size: int
) -> None:
    rows = [(b"%d" % number + b"x" * 200, number) for number in range(size)]
    items: list[Item] = [
        (b"lb:{b}", SortedSet(rows), None),
        (b"lb:{b}:meta", {member: b"1" for member, _ in rows}, None),
    ]
    back = there_and_back(run, tmp_path, server, items)
    assert content(back) == content(tmp_path / "data")


def test_redis_shows_what_the_engine_held(client: Any, into: Into, now: int) -> None:
    into(every_type(now))
    assert client.zrange("lb:{arcade}", 0, -1, withscores=True) == [
        (b"c", -5),
        (b"a", -1e-300),
        (b"", 0.1),
        (b"b", 1.7e308),
        (b"\xff\x00\n", float("inf")),
    ]
    assert client.hgetall("lb:{arcade}:meta") == {b"ada": b'{"a":1}', b"": b"", b"bob": b""}
    assert client.incr("lb:{arcade}:version") == 42
    assert client.get("rl:window:{ada}") == b"28333333 40 17"
    about = client.xinfo_stream("chan:{news}")
    assert (about["last-generated-id"], about["entries-added"]) == (b"9-0", 9)
    assert client.xrange("chan:{news}", count=1)[0][0] == b"3-0"
    about = client.xinfo_stream("chan:{odd}")
    assert about["max-deleted-entry-id"] == b"7-1"
    assert (about["last-generated-id"], about["entries-added"]) == (b"9-9", 12)
    assert client.xlen("chan:{emptied}") == 0
    assert client.exists("chan:{emptied}")


def test_deadlines_are_kept_to_the_millisecond_and_rounded_up(
    client: Any, into: Into, now: int
) -> None:
    whole = (now + HOUR) // 1000 * 1000
    items: list[Item] = [
        (b"cnt:{whole}", 1, whole),
        (b"cnt:{more}", 1, whole + 1),
        (b"sess:{0000}:x", {b"a": b"b"}, whole + 999),
        (b"lb:{large}", SortedSet((b"%d" % n, n) for n in range(LARGE)), whole + 1001),
    ]
    into(items)
    at = whole // 1000
    assert [client.pexpiretime(key) - at for key, _, _ in items] == [0, 1, 1, 2]


def test_what_has_expired_is_left_behind(
    run: Run, tmp_path: Path, server: RedisServer, client: Any, now: int
) -> None:
    items: list[Item] = [
        (b"cnt:{live}", 1, None),
        (b"cnt:{dead}", 1, now - SECOND),
        (b"sess:{0000}:dead", {b"a": b"b"}, now - 1),
    ]
    source = put_snapshot(tmp_path / "data", items)
    code, out, err = run("migrate", "--from", str(source), "--to", server.url)
    assert (code, err) == (0, "")
    assert out.startswith("copied 1 keys, 1 rows in ")
    assert client.keys() == [b"cnt:{live}"]


def test_what_expires_on_the_way_is_no_difference(
    run: Run, tmp_path: Path, server: RedisServer, client: Any
) -> None:
    """It was live when it was read, and has expired when the server comes to it."""
    soon = time.time_ns() // 1000 + 300_000
    items: list[Item] = [
        (b"cnt:{kept}", 1, None),
        (b"cnt:{string}", 1, soon),
        (b"lb:{small}", SortedSet([(b"a", 1)]), soon),
        (b"lb:{large}", SortedSet((b"%d" % n, n) for n in range(LARGE)), soon),
    ]
    source = put_snapshot(tmp_path / "data", items)
    client.client_pause(600, all=False)  # writes wait until all of them are over
    code, out, err = run("migrate", "--from", str(source), "--to", server.url)
    assert (code, err) == (0, "")
    assert out.startswith("copied 4 keys")
    assert client.keys() == [b"cnt:{kept}"]


def test_the_file_it_writes_is_a_snapshot_to_redis_and_to_us(
    run: Run, tmp_path: Path, server: RedisServer, now: int
) -> None:
    items = every_type(now) + large(now)
    there_and_back(run, tmp_path, server, items)
    assert run("export", "dump.rdb", "--store", server.url).code == 0
    for path in ("back/dump.rdb", "dump.rdb"):
        check = subprocess.run([require("redis-check-rdb"), path], capture_output=True, check=False)
        assert b"RDB looks OK" in check.stdout, check.stdout
        assert f" {len(items)}\n" in run("check", path).out
    assert Path("dump.rdb").stat().st_mode & 0o777 == 0o600


def test_a_redis_that_starts_with_the_file_has_it_all(run: Run, tmp_path: Path, now: int) -> None:
    put_snapshot(tmp_path / "data", every_type(now) + large(now))
    (tmp_path / "server").mkdir()
    assert run("export", "server/dump.rdb", "--data", "data").code == 0
    with running_redis(tmp_path / "server") as server:
        assert run("export", "again.rdb", "--store", server.url).code == 0
    assert content(tmp_path / "again.rdb") == content(tmp_path / "data")


def test_export_and_import_are_the_same_by_way_of_a_file(
    run: Run, tmp_path: Path, server: RedisServer, now: int
) -> None:
    put_snapshot(tmp_path / "data", every_type(now) + large(now))
    assert run("export", "a.rdb", "--data", "data").code == 0
    assert run("import", "a.rdb", "--store", server.url).code == 0
    assert run("export", "b.rdb", "--store", server.url).code == 0
    assert run("import", "b.rdb", "--data", "other").code == 0
    assert content(tmp_path / "other") == content(tmp_path / "data")


def test_without_a_flag_the_settings_say_where_the_data_is(
    run: Run, server: RedisServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_snapshot(Path("realtime-data"), [(b"cnt:{default}", 1, None)])
    assert run("export", "a.rdb").code == 0
    monkeypatch.setenv("REALTIME_STORE", server.url)
    assert run("import", "a.rdb").code == 0
    assert client.keys() == [b"cnt:{default}"]
    assert run("import", "a.rdb", "--data", "d").code == 0, "a flag wins over a variable"
    assert list(content(Path("d"))) == [b"cnt:{default}"]


def test_one_store_to_another(run: Run, tmp_path: Path, into: Into, client: Any, now: int) -> None:
    """Two databases of one server are two stores."""
    into(every_type(now))
    where = client.connection_pool.connection_kwargs["path"]
    url = f"redis+unix://{where}"
    assert run("migrate", "--from", url, "--to", f"{url}?db=3").code == 0
    client.select(3)
    assert client.dbsize() == len(every_type(now))


def test_two_values_of_one_key_at_once_are_never_seen(
    run: Run, tmp_path: Path, server: RedisServer, client: Any, into: Into
) -> None:
    """A large value takes the place of another in one step: whoever looks sees one, whole."""
    into([(b"lb:{b}", SortedSet((b"old%d" % n, n) for n in range(LARGE)), None)])
    client.config_resetstat()
    into([(b"lb:{b}", SortedSet((b"new%d" % n, n) for n in range(2 * LARGE)), None)])
    calls = {name: about["calls"] for name, about in client.info("commandstats").items()}
    assert calls["cmdstat_zadd"] == 6, "512 members a command"
    assert calls["cmdstat_rename"] == 1
    assert "cmdstat_del" not in calls, "a large value is freed in the background"
    eventually(lambda: client.keys() == [b"lb:{b}"])

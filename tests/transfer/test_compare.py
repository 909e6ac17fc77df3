"""The comparison believes nobody: whatever is not as it was in the source, is named."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from engine.clock import HOUR
from engine.persistence.rdb import Item
from engine.sortedset import SortedSet
from realtime.backends.redis.address import parse
from realtime.backends.redis.dial import Options
from realtime.transfer.moving import Outcome, move
from realtime.transfer.places import Directory, Place, opened
from realtime.transfer.progress import Progress
from realtime.transfer.redis import Redis
from realtime.transfer.snapshot import Snapshot
from tests.cli.conftest import Run
from tests.redis.servers import RedisServer
from tests.transfer.conftest import Into
from tests.transfer.samples import LARGE, board, every_type, history, put_snapshot

Step = Callable[[], object]


class Interfering:
    """A place in which something else happens right after all was written."""

    def __init__(self, place: Redis | Snapshot, step: Step) -> None:
        self._place = place
        self._step = step
        self.clock, self.read_back, self.surplus = place.clock, place.read_back, place.surplus

    def write(self, items: Iterable[Item], keys: int) -> None:
        self._place.write(items, keys)
        self._step()


def moved(source: Place, target: Place, step: Step) -> Outcome:
    progress = Progress(io.StringIO())
    with (
        opened(source, Options(), progress.beat) as here,
        opened(target, Options(), progress.beat, to_be=True) as there,
    ):
        return move(here, Interfering(there, step), progress, replace=True)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("ZADD", "lb:{arcade}", "-5.000000000000001", "c"), b"lb:{arcade}"),
        (("ZADD", "lb:{arcade}", "1", "somebody"), b"lb:{arcade}"),
        (("ZREM", "lb:{large}", b"member:700:" + b"x" * 40), b"lb:{large}"),
        (("HSET", "lb:{arcade}:meta", "bob", "1"), b"lb:{arcade}:meta"),
        (("HDEL", "lb:{arcade}:meta", ""), b"lb:{arcade}:meta"),
        (("SET", "lb:{arcade}:version", "42"), b"lb:{arcade}:version"),
        (("PERSIST", "sess:{a3f9}:0123"), b"sess:{a3f9}:0123"),
        (("XDEL", "chan:{news}", "5-0"), b"chan:{news}"),
        (("XTRIM", "chan:{large}", "MAXLEN", "1499"), b"chan:{large}"),
        (("XSETID", "chan:{news}", "10-0"), b"chan:{news}"),
        (("DEL", "idem:{0123}"), b"idem:{0123}"),
        (("RENAME", "cnt:{visits}", "idem:{0123}"), b"cnt:{visits}"),
    ],
)
def test_what_changed_in_the_target_is_named_and_nothing_is_removed(
    tmp_path: Path, server: RedisServer, client: Any, now: int, words: tuple[str, ...], key: bytes
) -> None:
    larger: list[Item] = [
        (b"lb:{large}", board(LARGE), None),
        (b"chan:{large}", history(1, LARGE, 60), None),
    ]
    source = put_snapshot(tmp_path / "data", every_type(now) + larger)
    client.set("cnt:{surplus}", "1")
    outcome = moved(Directory(source), parse(server.url), lambda: client.execute_command(*words))
    compared = outcome.compared
    assert key in compared.named
    assert compared.different == len(compared.named) == (2 if words[0] == "RENAME" else 1)
    assert compared.source != compared.target
    assert (outcome.equal, outcome.removed, outcome.surplus) == (False, False, 1)
    assert client.exists("cnt:{surplus}")


def test_a_deadline_that_moved_by_a_millisecond_is_a_difference(
    tmp_path: Path, server: RedisServer, client: Any, now: int
) -> None:
    source = put_snapshot(tmp_path / "data", [(b"cnt:{a}", 1, now + HOUR)])

    def later() -> None:
        client.pexpireat("cnt:{a}", client.pexpiretime("cnt:{a}") + 1)

    outcome = moved(Directory(source), parse(server.url), later)
    assert outcome.compared.named == (b"cnt:{a}",)


def test_what_changed_in_the_source_is_named_and_what_vanished_is_not(
    tmp_path: Path, server: RedisServer, client: Any, into: Into, now: int
) -> None:
    into([*every_type(now), (b"cnt:{gone}", 1, None)])

    def live_on() -> None:
        client.incr("lb:{arcade}:version")
        client.set("cnt:{new}", "1")
        client.delete("cnt:{gone}")

    outcome = moved(parse(server.url), Directory(tmp_path / "back"), live_on)
    assert set(outcome.compared.named) == {b"lb:{arcade}:version", b"cnt:{new}"}


def test_the_command_names_the_first_ten_and_ends_with_1(
    run: Run, server: RedisServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_snapshot(Path("data"), [(b"cnt:{%02d\x1b}" % n, n, None) for n in range(12)])
    write = Redis.write

    def write_then_forget(place: Redis, items: Iterable[Item], keys: int) -> None:
        write(place, items, keys)
        client.flushdb()

    monkeypatch.setattr(Redis, "write", write_then_forget)
    code, out, err = run("migrate", "--from", "data", "--to", server.url)
    first, *digests = out.splitlines()
    assert code == 1
    assert first.startswith("copied 12 keys, 12 rows in ")
    assert [line[:14] for line in digests] == ["source digest ", "target digest "]
    assert digests[1] == f"target digest {0:032x}"
    names = ", ".join(rf"cnt:{{{n:02}\x1b}}" for n in range(10))
    assert err == (
        f"realtime: keys that differ: 12: {names}, …\n"
        "realtime: is a service still writing to one side? stop it, and run this again\n"
    )


def test_the_command_shows_the_digests_of_both_sides(
    run: Run, server: RedisServer, now: int
) -> None:
    put_snapshot(Path("data"), every_type(now))
    code, out, err = run("migrate", "--from", "data", "--to", server.url)
    copied, source, target, equal = out.splitlines()
    assert (code, err) == (0, "")
    assert copied.startswith(f"copied {len(every_type(now))} keys, ")
    assert source.removeprefix("source digest ") == target.removeprefix("target digest ")
    assert len(source.split()[-1]) == 32
    assert equal.startswith("equal, read anew in ")


def test_one_more_member_is_another_digest(run: Run, server: RedisServer) -> None:
    digests = set()
    for size in (5, 6):
        put_snapshot(
            Path("data"), [(b"lb:{b}", SortedSet((b"%d" % n, n) for n in range(size)), None)]
        )
        digests.add(run("migrate", "--from", "data", "--to", server.url).out.splitlines()[1])
    assert len(digests) == 2

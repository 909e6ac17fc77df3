"""What a data directory holds: the journal if it has one, otherwise the snapshot."""

from __future__ import annotations

import gc
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.engine import Engine
from engine.persistence.commands import encode, encode_all, split
from engine.persistence.errors import Malformed
from engine.persistence.journal import seal
from engine.persistence.manifest import MANIFEST
from realtime.app import Application
from realtime.datadir import JOURNAL
from realtime.keeping import SnapshotError
from realtime.recovery import SNAPSHOT, Percent, fast_split, load_directory
from realtime.settings import Settings
from tests.persistence.journals import batches, folder_of
from tests.persistence.samples import NOW, dumped


@pytest.fixture
def engine() -> Engine:
    return Engine(ManualClock(NOW))


def snapshot(data: Path) -> None:
    (data / SNAPSHOT).write_bytes(dumped([(b"from", b"snapshot", None)]))


def test_nothing_is_an_empty_start(tmp_path: Path, engine: Engine) -> None:
    assert "starting empty" in load_directory(engine, tmp_path).line
    (tmp_path / JOURNAL).mkdir()
    (tmp_path / JOURNAL / "appendonly.aof.1.incr.aof").touch()
    assert load_directory(engine, tmp_path).recovered is None
    assert not len(engine.keyspace)


def test_a_snapshot_is_loaded_where_there_is_no_journal(tmp_path: Path, engine: Engine) -> None:
    snapshot(tmp_path)
    loaded = load_directory(engine, tmp_path)
    assert loaded.recovered is None
    assert loaded.line.startswith(f"{tmp_path / SNAPSHOT}: 1 keys loaded in ")
    assert engine.strings.get(b"from") == b"snapshot"


def test_a_journal_is_the_truth_and_the_snapshot_beside_it_is_not_read(
    tmp_path: Path, engine: Engine
) -> None:
    (tmp_path / SNAPSHOT).write_bytes(b"not even a snapshot")
    folder_of(tmp_path / JOURNAL, *batches([(b"SET", b"from", b"journal")]))
    told: list[tuple[int, int]] = []
    loaded = load_directory(engine, tmp_path, lambda *pair: told.append(pair))
    assert loaded.recovered is not None
    assert loaded.recovered.sequence == 1
    assert told[-1] == (loaded.recovered.bytes, loaded.recovered.bytes)
    assert engine.strings.get(b"from") == b"journal"
    assert gc.isenabled()


def test_relative_deadlines_count_from_the_engines_clock(tmp_path: Path, engine: Engine) -> None:
    folder_of(tmp_path / JOURNAL, encode((b"SETEX", b"k", b"5", b"v")))
    load_directory(engine, tmp_path)
    assert engine.keyspace.deadline(b"k") == NOW + 5_000_000


def test_changes_without_a_manifest_are_never_passed_over(tmp_path: Path, engine: Engine) -> None:
    snapshot(tmp_path)
    folder_of(tmp_path / JOURNAL, *batches([(b"SET", b"k", b"v")]))
    (tmp_path / JOURNAL / MANIFEST).unlink()
    with pytest.raises(SnapshotError, match=r"manifest .* is gone") as raised:
        load_directory(engine, tmp_path)
    assert f"`realtime check {tmp_path}`" in str(raised.value)
    assert not len(engine.keyspace)


@pytest.mark.parametrize("where", ["base", "increment", "manifest", "missing"])
def test_damage_names_file_offset_and_what_to_do(
    tmp_path: Path, engine: Engine, where: str
) -> None:
    batch = seal(1, 0, encode((b"SET", b"k", b"v")))
    folder = folder_of(tmp_path / JOURNAL, batch, batch, base=dumped([(b"a", b"b", None)]))
    name = {
        "base": "appendonly.aof.1.base.rdb",
        "manifest": MANIFEST,
    }.get(where, "appendonly.aof.2.incr.aof")
    if where == "missing":
        (folder / name).unlink()
    elif where != "increment":  # that one repeats a batch
        (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    with pytest.raises(SnapshotError) as raised:
        load_directory(engine, tmp_path)
    text = str(raised.value)
    assert f"{name}: " in text
    assert "(at byte " in text
    assert f"`realtime check {tmp_path}` shows what is whole" in text
    assert f"`realtime check {tmp_path} --repair`" in text
    assert not len(engine.keyspace)


# The parser in C, held to what ours takes


@given(st.lists(st.lists(st.binary(max_size=50), min_size=1).map(tuple), min_size=1, max_size=5))
def test_both_parsers_read_the_same(effects: list[tuple[bytes, ...]]) -> None:
    body = encode_all(effects)
    assert fast_split()(body) == split(body)


def test_nothing_is_no_command() -> None:
    assert fast_split()(b"") == split(b"") == []


@pytest.mark.parametrize(
    "body",
    [
        b"*1\r\n$4\r\nPING\r\n*1", b"+OK\r\n", b"*1\r\n:5\r\n", b"*0\r\n", b"*-1\r\n",
        b"$0\r\n\r\n", b"*2\r\n$1\r\na\r\n", b"*1\r\n$14\r\n", b"+", b"*1\r\n$14\r\n*1\r\n$1\r\na",
        b"*1\r\n$-1\r\n", b"*1\r\n*1\r\n$1\r\na\r\n", b"*2147483647\r\n", b"-ERR x\r\n",
        b"PING\r\n", b"*1\r\n$1\r\nab\r\n", b"*100000000000\r\n", b"\xff" * 40, b"*1\r\n#t\r\n",
        b"*1\r\n_\r\n",
    ],
)  # fmt: skip
def test_what_is_no_command_is_refused_and_not_remembered(body: bytes) -> None:
    both, good = fast_split(), encode((b"DEL", b"k"))
    assert both(good) == [[b"DEL", b"k"]]
    for damaged in (body, good + body):
        with pytest.raises(Malformed):
            both(damaged)
        assert both(good) == [[b"DEL", b"k"]]


@pytest.mark.parametrize(("every", "said"), [(0.0, ["loading: 25 % of 4,000 bytes"]), (3600.0, [])])
def test_progress_is_said_in_words_but_not_all_the_time(every: float, said: list[str]) -> None:
    words: list[str] = []
    Percent(words.append, every)(1000, 4000)
    assert words == said


async def test_who_asks_meanwhile_is_told_how_far_loading_is(tmp_path: Path) -> None:
    application = Application(Settings(data=tmp_path))
    application.hear("loading: 25 % of 4,000 bytes")
    transport = httpx.ASGITransport(application.http)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the service is loading: 25 % of 4,000 bytes"

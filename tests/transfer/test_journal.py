"""A data directory with a journal: it is what is moved, and what a snapshot takes the place of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.ranking import Ranking, Submit
from realtime.datadir import JOURNAL
from tests.cli.conftest import Run
from tests.persistence.journals import Journal, recovered
from tests.persistence.samples import plain
from tests.redis.servers import RedisServer
from tests.transfer.conftest import Into
from tests.transfer.samples import content, put_snapshot

DATA = Path("data")
ONE: list[tuple[bytes, Any, int | None]] = [(b"cnt:{one}", 1, None)]


@pytest.fixture
def journal(run: Run, now: int) -> Journal:
    """What a service has written since its last snapshot, and a little before."""
    put_snapshot(DATA, ONE)
    (DATA / JOURNAL).mkdir()
    journal = Journal(DATA / JOURNAL)
    engine = journal.engine
    engine.clock.advance(now - engine.clock())  # type: ignore[attr-defined]
    engine.counters.set(b"cnt:{visits}", 41)
    engine.strings.set(b"idem:{1}", b"gone", ttl=1)
    engine.strings.set(b"idem:{2}", b"{}", ttl=3_600_000_000)
    engine.boards.submit(b"lb:{arcade}", Ranking(), Submit(b"ada", 1200.0))
    journal.commit()
    journal.compact()
    engine.counters.add(b"cnt:{visits}", 1)
    engine.channels.publish(b"news", b"chan:{news}", b"{}", size=2, ttl=3_600_000_000)
    journal.commit()
    return journal


def state(journal: Journal, now: int) -> dict[bytes, Any]:
    return plain(recovered(journal.folder)[0].items(now + 1_000_000))


def test_an_export_has_what_the_journal_has(run: Run, journal: Journal, now: int) -> None:
    before = {path: path.read_bytes() for path in journal.folder.iterdir()}
    code, out, err = run("export", "a.rdb", "--data", "data")
    assert (code, err) == (0, "")
    assert "copied 5 keys" in out
    assert content(Path("a.rdb")) == state(journal, now)
    assert {path: path.read_bytes() for path in journal.folder.iterdir()} == before


def test_a_torn_tail_is_left_out_and_left_alone(run: Run, journal: Journal, now: int) -> None:
    whole = state(journal, now)
    journal.path.write_bytes(journal.path.read_bytes() + b"#RT:3:")
    assert run("export", "a.rdb", "--data", "data").code == 0
    assert content(Path("a.rdb")) == whole
    assert journal.path.read_bytes().endswith(b"#RT:3:")


def test_a_migration_there_and_back(
    run: Run, journal: Journal, now: int, server: RedisServer
) -> None:
    expected = state(journal, now)
    assert run("migrate", "--from", "data", "--to", server.url).code == 0
    assert run("migrate", "--from", server.url, "--to", "back").code == 0
    assert content(Path("back")) == expected


def test_a_damaged_journal_changes_nothing(
    run: Run, journal: Journal, server: RedisServer, client: Any
) -> None:
    data = bytearray(journal.path.read_bytes())
    data[50] ^= 1
    journal.path.write_bytes(bytes(data))
    code, out, err = run("migrate", "--from", "data", "--to", server.url)
    assert (code, out) == (2, "")
    assert err.startswith("realtime: data/appendonlydir cannot be loaded: appendonly.aof.2.incr")
    assert "`realtime check data` shows" in err
    assert client.dbsize() == 0


def test_a_journal_is_written_over_only_if_asked_to(
    run: Run, journal: Journal, server: RedisServer, into: Into
) -> None:
    into(ONE)
    put_snapshot(Path("other"), ONE)
    Path("other/dump.rdb").rename("a.rdb")
    before = {path: path.read_bytes() for path in journal.folder.iterdir()}
    (DATA / "dump.rdb").unlink()
    for words in (
        ("import", "a.rdb", "--data", "data"),
        ("migrate", "--from", server.url, "--to", "data"),
    ):
        code, _, err = run(*words)
        assert code == 2
        assert err == "realtime: data has a journal already; --replace writes over it\n"
        assert {path: path.read_bytes() for path in journal.folder.iterdir()} == before
        assert not (DATA / "dump.rdb").exists()


def test_what_is_brought_takes_the_place_of_the_journal(run: Run, journal: Journal) -> None:
    put_snapshot(Path("other"), [(b"cnt:{two}", 2, None)])
    Path("other/dump.rdb").rename("a.rdb")
    assert run("import", "a.rdb", "--data", "data", "--replace").code == 0
    assert list(content(DATA)) == [b"cnt:{two}"]
    assert not list(DATA.glob("appendonlydir*"))
    assert run("export", "b.rdb", "--data", "data").code == 0
    assert content(Path("b.rdb")) == content(Path("a.rdb"))


def test_until_the_journal_is_retired_it_counts(
    run: Run, journal: Journal, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_snapshot(Path("other"), [(b"cnt:{two}", 2, None)])
    Path("other/dump.rdb").rename("a.rdb")
    whole = state(journal, now)
    with monkeypatch.context() as patch:
        patch.setattr("realtime.transfer.snapshot.retire_journal", _fail)
        code, _, err = run("import", "a.rdb", "--data", "data", "--replace")
    assert code == 2
    assert err == "realtime: data/dump.rdb cannot be written: No space left on device\n"
    assert run("export", "b.rdb", "--data", "data").code == 0
    assert content(Path("b.rdb")) == whole
    assert run("import", "a.rdb", "--data", "data", "--replace").code == 0
    assert list(content(DATA)) == [b"cnt:{two}"]


def _fail(folder: Path) -> None:
    raise OSError(28, "No space left on device")


def test_half_a_journal_is_neither_read_nor_taken_for_nothing(run: Run, journal: Journal) -> None:
    (journal.folder / "appendonly.aof.manifest").unlink()
    for words in (
        ("export", "b.rdb", "--data", "data"),
        ("import", "data/dump.rdb", "--data", "data"),
    ):
        code, _, err = run(*words)
        assert code == 2
        assert "the manifest that says what they follow is gone" in err
    Path("data/dump.rdb").rename("a.rdb")
    assert run("import", "a.rdb", "--data", "data", "--replace").code == 0
    assert not journal.folder.exists()


def test_a_folder_that_is_named_so_and_is_empty_is_no_journal(run: Run) -> None:
    put_snapshot(DATA, ONE)
    (DATA / JOURNAL).mkdir()
    assert run("export", "a.rdb", "--data", "data").code == 0
    assert content(Path("a.rdb")) == content(DATA)


def test_nothing_to_bring_is_said(run: Run) -> None:
    DATA.mkdir()
    assert run("export", "a.rdb", "--data", "data").err == (
        "realtime: there is no snapshot and no journal in data: nothing to bring from there\n"
    )

"""``realtime backups``: of a data directory whose service is stopped, or only looked at."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

import realtime.commands.backups
from engine.clock import HOUR
from engine.engine import Engine
from engine.persistence.commands import encode_all
from engine.persistence.journal import seal
from engine.ranking import Ranking, Submit
from realtime.backup_files import BackupFiles
from realtime.datadir import DataDirectory
from realtime.recovery import load_directory
from realtime.snapshot_file import dump
from tests.cli.conftest import Run
from tests.persistence.conftest import fail

DATA = Path("realtime-data")
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z\.rdb")


def now() -> int:
    return time.time_ns() // 1000


def engine(visits: int, published: Iterable[int] = ()) -> Engine:
    made = Engine(now)
    made.counters.set(b"cnt:{visits}", visits)
    made.boards.submit(b"lb:{arcade}", Ranking(), Submit(b"ada", visits))
    for number in published:
        made.channels.publish(b"news", b"chan:{news}", b"%d" % number, size=9, ttl=HOUR)
    return made


def put(content: Engine) -> None:
    """As the snapshot of a service that was stopped."""
    DATA.mkdir(exist_ok=True)
    with DataDirectory(DATA).create() as new:
        dump(content, new.descriptor)
        new.commit("dump.rdb")


def put_journal(visits: int) -> Path:
    """As the journal of a service; it hides the snapshot."""
    folder = DATA / "appendonlydir"
    folder.mkdir(parents=True)
    body = encode_all([(b"SET", b"cnt:{visits}", b"%d" % visits)])
    (folder / "appendonly.aof.1.incr.aof").write_bytes(seal(1, 0, body))
    (folder / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    return folder


def held() -> Engine:
    """What a service would start with."""
    found = Engine(now)
    load_directory(found, DATA)
    return found


def visits() -> int | None:
    return held().counters.get(b"cnt:{visits}")


def create(run: Run) -> str:
    ran = run("backups", "create")
    assert (ran.code, ran.err) == (0, "")
    assert NAME.fullmatch(ran.out.strip())
    return ran.out.strip()


def test_there_and_back(run: Run) -> None:
    put(engine(3))
    first = create(run)
    put(engine(7))
    code, out, err = run("backups", "restore", first)
    assert (code, err) == (0, "")
    assert visits() == 3
    kept = NAME.findall(out)[0]
    assert out == f"what was there is kept as {kept}\nrestored {first}, 2 keys\n"
    assert run("backups", "restore", kept).code == 0
    assert visits() == 7


def test_after_a_crash_going_back_is_a_new_beginning_and_looking_is_not(run: Run) -> None:
    put(engine(3))
    name = create(run)
    crashed = DataDirectory(DATA)
    crashed.acquire()
    crashed.release(clean=False)
    for words, expected in ((("create",), "crash"), (("restore", name), "clean")):
        assert run("backups", *words).code == 0
        directory = DataDirectory(DATA)
        directory.acquire()
        directory.release()
        assert directory.last_stop in (expected, "power" if expected == "crash" else expected)


def test_the_list_is_a_table_newest_first(run: Run) -> None:
    DATA.mkdir()
    assert run("backups", "list") == (0, "", "no backups in realtime-data/backups\n")
    put(engine(3))
    names = [create(run), create(run)]
    size = BackupFiles(DATA / "backups").kept()[0].bytes
    code, out, err = run("backups", "list")
    assert (code, err) == (0, "")
    head, *rows = [line.split() for line in out.splitlines()]
    assert head == ["NAME", "BYTES", "INSTANT"]
    assert [row[:2] for row in rows] == [[name, str(size)] for name in reversed(names)]
    assert rows[1][2] == f"{names[0][:10]}T{names[0][11:19].replace('-', ':')}Z"


def test_a_journal_is_what_counts_and_what_is_retired(run: Run) -> None:
    put(engine(3))
    first = create(run)
    journal = put_journal(7)
    second = create(run)
    assert run("backups", "restore", first).code == 0
    assert not journal.exists()
    assert visits() == 3
    assert run("backups", "restore", second).code == 0
    assert visits() == 7


def test_looking_is_possible_beside_a_service_and_nothing_else(run: Run) -> None:
    put(engine(3))
    name = create(run)
    service = DataDirectory(DATA)
    service.acquire()
    assert name in run("backups", "list").out
    assert run("backups", "verify").code == 0
    for words, instead in (
        (("create",), "POST /v1/admin/backups"),
        (("restore", name), "POST /v1/admin/backups/{name}/restore"),
    ):
        assert run("backups", *words) == (
            2,
            "",
            f"realtime: realtime-data is in use by a running service (process {os.getpid()}): "
            f"ask it, with {instead}\n",
        )
    service.release()


def test_sound_and_damaged_ones_are_told_apart(run: Run) -> None:
    put(engine(3))
    sound, damaged = create(run), create(run)
    path = DATA / "backups" / damaged
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    code, out, err = run("backups", "verify")
    assert (code, out) == (1, f"{sound}: sound, 2 keys\n")
    assert err.startswith(f"{damaged}: the checksum does not match (at byte ")
    assert run("backups", "verify", sound).code == 0
    before = (DATA / "dump.rdb").read_bytes()
    code, out, err = run("backups", "restore", damaged)
    assert (code, out) == (1, "")
    assert err.endswith("; nothing was changed\n")
    assert (DATA / "dump.rdb").read_bytes() == before
    assert len(BackupFiles(DATA / "backups").kept()) == 2


@pytest.mark.parametrize("journaled", [False, True])
def test_what_is_damaged_is_no_hindrance_and_stays_as_it_is(run: Run, journaled: bool) -> None:
    """Going back is what heals it."""
    put(engine(3))
    name = create(run)
    (DATA / "dump.rdb").write_bytes(b"REDIS0011 and no more")
    if journaled:
        (put_journal(7) / "appendonly.aof.manifest").write_text("nonsense\n")
    code, out, err = run("backups", "restore", name)
    assert (code, out) == (0, f"restored {name}, 2 keys\n")
    assert visits() == 3
    (aside,) = DATA.glob("before-restore-*")
    assert err.splitlines()[-1] == f"realtime: it is kept as it is in {aside}"
    assert (aside / "dump.rdb").read_bytes() == b"REDIS0011 and no more"
    manifest = aside / "appendonlydir" / "appendonly.aof.manifest"
    assert manifest.exists() == journaled
    assert not (DATA / "appendonlydir").exists()
    assert run("backups", "create").code == 0


def test_a_backup_of_what_is_damaged_is_refused(run: Run) -> None:
    DATA.mkdir()
    (DATA / "dump.rdb").write_bytes(b"REDIS0011 and no more")
    code, out, err = run("backups", "create")
    assert (code, out) == (2, "")
    assert "realtime-data/dump.rdb cannot be loaded" in err
    assert not list(DATA.glob("backups/*"))


def test_an_interruption_leaves_the_old_or_the_new(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two steps the journal is what counts still, and a second run ends it."""
    put(engine(3))
    name = create(run)
    put_journal(7)
    for step in ("dump", "retire_journal"):
        with monkeypatch.context() as patch:
            patch.setattr(realtime.commands.backups, step, lambda *_: fail(errno.ENOSPC))
            code, _, err = run("backups", "restore", name)
        assert (code, err) == (2, "realtime: realtime-data: No space left on device\n")
        assert visits() == 7
    assert run("backups", "restore", name).code == 0
    assert visits() == 3


def test_who_saw_more_than_the_backup_holds_is_told_so(run: Run) -> None:
    put(engine(3, range(3)))
    before = held().channels.history(b"chan:{news}").position
    name = create(run)
    put(engine(3, range(5)))
    assert run("backups", "restore", name).code == 0
    found = held().channels.history(b"chan:{news}", limit=-1)
    assert found.past == before
    assert found.position.epoch != before.epoch
    assert found.position.offset == 3


def test_versions_of_live_boards_do_not_go_back(run: Run) -> None:
    put(engine(3))
    name = create(run)
    later = engine(7)
    later.counters.set(b"lb:{arcade}:version", 41)
    put(later)
    assert run("backups", "restore", name).code == 0
    assert held().counters.get(b"lb:{arcade}:version") == 41


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["create"], "there is no data directory realtime-data"),
        (["restore", "x.rdb"], "there is no data directory realtime-data"),
        (["verify", "../x.rdb"], "there is no backup '../x.rdb' in realtime-data/backups"),
        (["list", "--data", ""], "there is no data directory: --data DIR"),
    ],
)
def test_a_mistake_is_one_sentence(run: Run, words: list[str], sentence: str) -> None:
    assert run("backups", *words) == (2, "", f"realtime: {sentence}\n")


def test_a_backup_that_is_not_there_changes_nothing(run: Run) -> None:
    put(engine(3))
    assert run("backups", "restore", "../dump.rdb").code == 2
    assert sorted(os.listdir(DATA)) == ["dump.rdb", "lock"]

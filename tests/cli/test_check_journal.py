"""``realtime check`` and journals: what is whole, what is torn, what is damaged; and repair."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from engine.clock import HOUR
from engine.persistence.commands import encode
from engine.persistence.journal import seal
from engine.persistence.manifest import MANIFEST
from engine.persistence.rdb import About, Item, write
from realtime.datadir import DataDirectory
from tests.cli.conftest import Run
from tests.persistence.journals import batches, folder_of, recovered
from tests.persistence.samples import dumped, plain

DATA = Path("data")
FOLDER = DATA / "appendonlydir"
FIRST, SECOND = (FOLDER / f"appendonly.aof.{number}.incr.aof" for number in (1, 2))
BASE = FOLDER / "appendonly.aof.1.base.rdb"
SEALED = batches(
    [(b"SET", b"cnt:{visits}", b"7"), (b"DEL", b"old")],
    [(b"ZADD", b"lb:{arcade}", b"1200", b"ada")],
    [(b"HSET", b"sess:{x}", b"name", b'"Ada"')],
    [(b"SET", b"cnt:{visits}", b"8")],
)
LENGTHS = [len(batch) for batch in SEALED]


@pytest.fixture
def journal(run: Run) -> Path:
    """A base and two increments of two batches each, in a data directory."""
    now = time.time_ns() // 1000
    items: list[Item] = [(b"old", b"gone", now - HOUR), (b"b", b"1", None)]
    base = b"".join(write(items, About(now)))
    DATA.mkdir()
    return folder_of(FOLDER, b"".join(SEALED[:2]), b"".join(SEALED[2:]), base=base)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def state() -> dict[bytes, object]:
    return plain(recovered(FOLDER)[0].items(0))


def copies() -> list[Path]:
    return sorted(DATA.glob("appendonlydir.before-repair-*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def unchanged() -> Iterator[None]:
    before = contents(FOLDER)
    yield
    assert contents(FOLDER) == before
    assert not copies()


def test_a_sound_journal_is_told_file_by_file_and_then_by_type(run: Run, journal: Path) -> None:
    base = BASE.stat().st_size
    expected = (
        f"data/appendonlydir: sound, {base + sum(LENGTHS)} bytes\n"
        f"  appendonly.aof.1.base.rdb: {base} bytes, 2 keys\n"
        f"  appendonly.aof.1.incr.aof: {sum(LENGTHS[:2])} bytes, 2 batches, 3 commands\n"
        f"  appendonly.aof.2.incr.aof: {sum(LENGTHS[2:])} bytes, 2 batches, 2 commands\n"
        "  last batch              4\n"
        "  strings                 2\n"
        "  hashes                  1\n"
        "  sorted sets             1\n"
        "  streams                 0\n"
        "  keys                    4\n"
    )
    with unchanged():
        for path in (DATA, FOLDER, FOLDER / MANIFEST):
            assert run("check", str(path)) == (0, expected, "")


def test_everything_in_a_data_directory_is_looked_at(run: Run, journal: Path) -> None:
    (DATA / "backups").mkdir()
    for path in (DATA / "dump.rdb", DATA / "backups" / "a.rdb", DATA / "backups" / "b.rdb"):
        path.write_bytes(dumped([(b"k", b"v", None)]))
    code, out, err = run("check", "data")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if ": sound" in line] == [
        f"data/appendonlydir: sound, {BASE.stat().st_size + sum(LENGTHS)} bytes",
        f"data/dump.rdb: sound, {len(dumped([(b'k', b'v', None)]))} bytes, and not loaded: "
        "the journal is",
        f"data/backups/a.rdb: sound, {len(dumped([(b'k', b'v', None)]))} bytes",
        f"data/backups/b.rdb: sound, {len(dumped([(b'k', b'v', None)]))} bytes",
    ]
    flip(DATA / "backups" / "a.rdb", 30)
    code, out, err = run("check", "data")
    assert code == 1
    assert err.startswith("data/backups/a.rdb: ")
    assert "data/backups/b.rdb: sound" in out


def test_commands_that_a_redis_appended_are_counted_apart(run: Run, journal: Path) -> None:
    SECOND.write_bytes(SECOND.read_bytes() + encode((b"SET", b"k", b"v")))
    assert "2 batches, 3 commands, 1 of them without a seal\n" in run("check", "data").out


def test_a_torn_tail_is_told_and_is_no_damage(run: Run, journal: Path) -> None:
    SECOND.write_bytes(SECOND.read_bytes()[:-5])
    with unchanged():
        code, out, err = run("check", "data")
    assert (code, err) == (0, "")
    assert (
        "    a torn tail: the file ends within a batch or a command; the next start cuts off "
        f"{LENGTHS[3] - 5} bytes from byte {LENGTHS[2]} on\n"
    ) in out
    assert "  last batch              3\n" in out


def test_damage_is_exit_code_1_and_says_where_and_what_comes_before(
    run: Run, journal: Path
) -> None:
    flip(FIRST, LENGTHS[0] + 40)
    with unchanged():
        code, out, err = run("check", "data")
    assert code == 1
    assert err == (
        "data/appendonlydir: appendonly.aof.1.incr.aof: the checksum of batch 2 does not match "
        f"(at byte {LENGTHS[0]}). `realtime check data/appendonlydir --repair` keeps what comes "
        "before\n"
    )
    assert out == (
        "data/appendonlydir: damaged, up to there\n"
        f"  appendonly.aof.1.base.rdb: {BASE.stat().st_size} bytes, 2 keys\n"
        f"  appendonly.aof.1.incr.aof: {sum(LENGTHS[:2])} bytes, 1 batch, 2 commands\n"
    )


@pytest.mark.parametrize(
    ("path", "text", "what"),
    [
        (FOLDER / MANIFEST, b"file a\n", "appendonly.aof.manifest: 2 words are not"),
        (BASE, b"REDIS0010", "appendonly.aof.1.base.rdb: the file is cut short"),
        (SECOND, encode((b"RPUSH", b"l", b"1")), "RPUSH needs a list"),
    ],
)
def test_what_cutting_cannot_repair_is_not_offered_to_be_cut(
    run: Run, journal: Path, path: Path, text: bytes, what: str
) -> None:
    path.write_bytes(text)
    with unchanged():
        code, _, err = run("check", "data")
        assert code == 1
        assert what in err
        assert "--repair" not in err
        code, _, err = run("check", "data", "--repair")
    assert code == 2
    assert what in err
    assert "nothing was changed" in err


def test_increments_without_a_manifest_are_not_taken_for_an_empty_journal(
    run: Run, journal: Path
) -> None:
    (FOLDER / MANIFEST).unlink()
    code, _, err = run("check", "data")
    assert code == 1
    assert "the manifest that says what they follow is gone" in err


def test_a_file_of_commands_by_itself(run: Run, journal: Path) -> None:
    size = SECOND.stat().st_size
    assert run("check", str(SECOND)) == (
        0,
        f"{SECOND}: sound by itself, {size} bytes\n"
        f"  appendonly.aof.2.incr.aof: {size} bytes, 2 batches, 2 commands\n"
        "  last batch              4\n",
        "",
    )
    FIRST.write_bytes(encode((b"SET", b"k", b"v")) + encode((b"INCR", b"k")))
    out = run("check", str(FIRST)).out
    assert out.endswith("2 commands, 2 of them without a seal\n")


@pytest.mark.parametrize("body", [b"nothing at all", encode((b"DEL", b"k")) * 2])
def test_a_file_of_commands_that_makes_no_sense(run: Run, body: bytes) -> None:
    path = Path("some.aof")
    for data in (seal(1, 0, body), SEALED[0][:-9] + b"x" + SEALED[0][-8:]):
        path.write_bytes(data)
        code, out, err = run("check", "some.aof")
        assert (code, out) == (1, "")
        assert err.startswith("some.aof: ")
        assert err.endswith(" (at byte 0)\n")


def test_what_a_running_service_writes_may_look_torn(run: Run, journal: Path) -> None:
    running = DataDirectory(DATA)
    running.acquire()
    try:
        for path in (DATA, FOLDER, FOLDER / MANIFEST):
            assert run("check", str(path)).err == (
                "data is in use: what is written meanwhile may look torn\n"
            )
        with unchanged():
            code, _, err = run("check", "data", "--repair")
        assert code == 2
        assert "data is in use by another realtime process" in err
    finally:
        running.release()
    assert run("check", "data").err == ""


# Repair


def test_a_sound_journal_needs_no_repair(run: Run, journal: Path) -> None:
    with unchanged():
        code, out, err = run("check", "data", "--repair")
    assert (code, err) == (0, "")
    assert out.startswith("data/appendonlydir: nothing to repair\ndata/appendonlydir: sound")


def test_repair_keeps_a_copy_and_what_comes_before_the_damage(run: Run, journal: Path) -> None:
    stopped = DataDirectory(DATA)
    stopped.acquire()
    stopped.release(clean=True)
    flip(FIRST, LENGTHS[0] + 40)
    before = contents(FOLDER)
    code, out, err = run("check", "data", "--repair")
    (copy,) = copies()
    running = DataDirectory(DATA)
    running.acquire()
    assert running.last_stop == "clean"
    running.release()
    assert (code, err) == (0, "")
    assert out.splitlines()[:4] == [
        "data/appendonlydir: appendonly.aof.1.incr.aof: the checksum of batch 2 does not match "
        f"(at byte {LENGTHS[0]})",
        f"  copied to {copy}",
        f"  lost: {LENGTHS[1]} bytes of appendonly.aof.1.incr.aof from byte {LENGTHS[0]} on, with "
        "no whole batch",
        f"  lost: {sum(LENGTHS[2:])} bytes of appendonly.aof.2.incr.aof from byte 0 on, with 2 "
        "whole batches (3 to 4)",
    ]
    assert "data/appendonlydir: sound" in out
    assert contents(copy) == before
    assert contents(FOLDER).keys() == {MANIFEST, BASE.name, FIRST.name}
    assert state() == {b"b": (b"1", None), b"cnt:{visits}": (b"7", None)}


def test_whole_batches_behind_the_damage_are_counted(run: Run, journal: Path) -> None:
    flip(SECOND, 40)
    out = run("check", str(FOLDER / MANIFEST), "--repair").out
    assert (
        f"  lost: {sum(LENGTHS[2:])} bytes of appendonly.aof.2.incr.aof from byte 0 on, with one "
        "whole batch (4)\n"
    ) in out
    assert SECOND.read_bytes() == b""


def test_a_torn_tail_can_be_cut_by_hand(run: Run, journal: Path) -> None:
    SECOND.write_bytes(SECOND.read_bytes()[:-5])
    code, out, _ = run("check", "data", "--repair")
    assert code == 0
    assert "has a torn tail" in out
    assert SECOND.read_bytes() == SEALED[2]
    assert len(copies()) == 1


def test_what_follows_a_missing_file_is_lost_with_it(run: Run, journal: Path) -> None:
    FIRST.unlink()
    code, out, _ = run("check", "data", "--repair")
    assert code == 0
    assert "  lost: appendonly.aof.1.incr.aof, which was missing\n" in out
    assert contents(FOLDER).keys() == {MANIFEST, BASE.name}
    assert state().keys() == {b"b", b"old"}


def test_repair_may_be_interrupted_anywhere_and_run_again(
    run: Run, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(FIRST, LENGTHS[0] + 40)
    whole = contents(FOLDER)
    for steps in count():
        for name, text in whole.items():
            (FOLDER / name).write_bytes(text)
        with monkeypatch.context() as patch:
            left = iter(range(steps))
            for name in ("write", "truncate", "fsync", "rename", "unlink"):
                patch.setattr(os, name, _failing(getattr(os, name), left))
            code = run("check", "data", "--repair").code
        if code == 0:
            break
        assert code == 2
        # Until the manifest was replaced nothing is, and from then on only cutting is left to do.
        assert run("check", "data").code == (FIRST.stat().st_size > LENGTHS[0])
        for copy in copies():
            shutil.rmtree(copy)
        assert run("check", "data", "--repair").code == 0
        assert state() == {b"b": (b"1", None), b"cnt:{visits}": (b"7", None)}
        for copy in copies():
            shutil.rmtree(copy)
    assert steps > 10


def _failing(call: Callable[..., object], left: Iterator[int]) -> Callable[..., object]:
    """The same, until nothing is left."""

    def wrapped(*arguments: object, **named: object) -> object:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        return call(*arguments, **named)

    return wrapped


@pytest.mark.parametrize("path", ["dump.rdb", "."])
def test_only_a_journal_can_be_repaired(run: Run, path: str) -> None:
    Path("dump.rdb").write_bytes(dumped([]))
    code, _, err = run("check", path, "--repair")
    assert code == 2
    assert "has no journal" in err


def test_a_folder_without_anything_is_a_mistake(run: Run) -> None:
    DATA.mkdir()
    assert run("check", "data") == (2, "", "realtime: data has no snapshot and no journal\n")

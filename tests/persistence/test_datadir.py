"""One process owns a data directory, and its files are whole or absent."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import realtime.datadir
from realtime.datadir import (
    JOURNAL,
    RETIRED,
    DataDirectory,
    DirectoryInUse,
    LastStop,
    retire_journal,
)


def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    owner, other = DataDirectory(tmp_path / "data"), DataDirectory(tmp_path / "data")
    owner.acquire()
    with pytest.raises(DirectoryInUse) as raised:
        other.acquire()
    assert str(raised.value) == (
        f"{tmp_path}/data is in use by another realtime process (pid {os.getpid()}). "
        "One data directory serves one process; to run several, use --store redis://…"
    )
    owner.release()
    other.acquire()
    other.release()
    other.release()


def test_the_owner_without_a_pid_is_another_process(tmp_path: Path) -> None:
    owner = DataDirectory(tmp_path)
    owner.acquire()
    (tmp_path / "lock").write_bytes(b"")
    with pytest.raises(DirectoryInUse, match="in use by another process"):
        DataDirectory(tmp_path).acquire()
    owner.release()


def test_a_new_owner_removes_what_a_crash_left_and_nothing_else(tmp_path: Path) -> None:
    for name in ("temp-123.part", "dump.rdb", "keys.json", "temp-notes.txt"):
        (tmp_path / name).write_text(name)
    directory = DataDirectory(tmp_path)
    directory.acquire()
    assert {path.name for path in tmp_path.iterdir()} == {
        "dump.rdb",
        "keys.json",
        "lock",
        "temp-notes.txt",
    }
    directory.release()


def test_a_refused_start_leaves_the_owners_unfinished_file_alone(tmp_path: Path) -> None:
    owner = DataDirectory(tmp_path)
    owner.acquire()
    with owner.create():
        with pytest.raises(DirectoryInUse):
            DataDirectory(tmp_path).acquire()
        assert list(tmp_path.glob("temp-*"))
    owner.release()


def test_a_file_appears_whole_when_it_is_committed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    directory = DataDirectory(tmp_path)
    with directory.create() as new:
        os.write(new.descriptor, b"new")
        assert (tmp_path / "file").read_text() == "old"
        new.commit("file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_committed_leaves_no_trace(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    with pytest.raises(ZeroDivisionError), directory.create() as new:
        os.write(new.descriptor, b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        DataDirectory(tmp_path / "file" / "data").acquire()


def acquired(folder: Path) -> DataDirectory:
    directory = DataDirectory(folder)
    directory.acquire()
    return directory


def killed(directory: DataDirectory) -> None:
    """What the kernel does to the lock of a process that is gone."""
    assert directory._lock is not None
    os.close(directory._lock)


def last_stop(folder: Path) -> LastStop:
    """What the next owner would be told; it looks, and changes nothing."""
    directory = acquired(folder)
    directory.release()
    return directory.last_stop


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the machine says which of its lives this is."""
    file = tmp_path / "boot_id"
    file.write_text("first\n")
    monkeypatch.setattr(realtime.datadir, "BOOT_ID", file)
    return file


def test_a_folder_that_is_new_and_one_that_was_given_up_in_order_are_clean(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert last_stop(data) == "clean"
    acquired(data).release(clean=True)
    assert (data / "lock").read_bytes() == b""
    assert last_stop(data) == "clean"


def test_a_process_that_is_killed_leaves_a_crash(tmp_path: Path, boot: Path) -> None:
    killed(acquired(tmp_path / "data"))
    assert (tmp_path / "data" / "lock").read_text() == f"{os.getpid()}\nfirst\n"
    assert last_stop(tmp_path / "data") == "crash"


def test_a_machine_that_was_started_meanwhile_lost_its_power(tmp_path: Path, boot: Path) -> None:
    killed(acquired(tmp_path / "data"))
    boot.write_text("second\n")
    assert last_stop(tmp_path / "data") == "power"


@pytest.mark.parametrize("known", ["before", "after", "neither"])
def test_who_cannot_know_expects_the_worst(tmp_path: Path, boot: Path, known: str) -> None:
    if known != "before":
        boot.unlink()
    killed(acquired(tmp_path / "data"))
    boot.unlink(missing_ok=True)
    if known == "after":
        boot.write_text("first\n")
    assert last_stop(tmp_path / "data") == "power"


@pytest.mark.parametrize("text", [b"4711\n", b"\n", b"\0" * 512, b"\xff\n\xff\n\xff" * 999])
def test_a_lock_of_another_make_is_no_clean_stop(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "lock").write_bytes(text)
    assert last_stop(tmp_path) == "power"
    assert last_stop(tmp_path) == "power"


def test_what_was_found_stays_until_it_is_dealt_with(tmp_path: Path, boot: Path) -> None:
    """A power cut, then a start that is killed as it loads: publications are missing still."""
    data = tmp_path / "data"
    killed(acquired(data))
    boot.write_text("second\n")
    again = acquired(data)
    assert again.last_stop == "power"
    killed(again)
    assert last_stop(data) == "power"
    settled = acquired(data)
    settled.settle()
    killed(settled)
    assert last_stop(data) == "crash"
    acquired(data).release(clean=True)
    assert last_stop(data) == "clean"


def test_an_owner_who_settles_and_does_not_end_in_order_is_a_crash(
    tmp_path: Path, boot: Path
) -> None:
    for clean in (None, False):
        owner = acquired(tmp_path / "data")
        owner.settle()
        owner.release(clean=clean)
        assert last_stop(tmp_path / "data") == "crash"


def test_the_lock_says_so_on_disk_before_anything_else_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut brings back what was synced last: it must never be too good."""
    synced: list[bytes] = []

    def fsync(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            synced.append(os.pread(descriptor, 100, 0))

    monkeypatch.setattr(os, "fsync", fsync)
    owner = acquired(tmp_path)
    assert synced[-1].startswith(b"%d\n" % os.getpid())
    owner.release(clean=True)
    assert synced[-1] == b""


def test_of_a_journal_that_is_retired_nothing_is_left(tmp_path: Path) -> None:
    """Also of one that was retired before, and of which a crash left something."""
    for name in (JOURNAL, RETIRED):
        (tmp_path / name).mkdir()
        (tmp_path / name / "appendonly.aof.1.incr.aof").touch()
    retire_journal(tmp_path)
    assert not list(tmp_path.iterdir())
    retire_journal(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_name_is_on_disk_when_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut must not bring back what had the name before."""
    owner = acquired(tmp_path)
    synced: list[list[str]] = []

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synced.append(os.listdir(descriptor))

    monkeypatch.setattr(os, "fsync", fsync)
    with owner.create() as new:
        assert not synced
        new.commit("dump.rdb")
        assert ["dump.rdb" in names for names in synced] == [True]
    owner.release()

"""One process owns a data directory, and its files are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from realtime.datadir import DataDirectory, DirectoryInUse


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

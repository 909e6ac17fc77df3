"""An increment: all or nothing of each write, and no trust after an fsync that failed."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime import faults
from realtime.journal.disk import Increment, Undecided, create, write_new


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "appendonly.aof.1.incr.aof"


@pytest.fixture
def increment(path: Path) -> Iterator[Increment]:
    increment = create(path)
    yield increment
    increment.close()


def test_writes_are_appended(increment: Increment, path: Path) -> None:
    increment.write(b"one")
    increment.write(b"two")
    assert path.read_bytes() == b"onetwo"
    assert increment.size == 6


def test_it_is_readable_by_its_owner_only(increment: Increment, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_lies_beyond_the_end_is_cut_off_when_it_is_opened(path: Path) -> None:
    path.write_bytes(b"whole, and half")
    increment = Increment(path, 5)
    assert path.read_bytes() == b"whole"
    increment.write(b"!")
    increment.close()
    assert path.read_bytes() == b"whole!"


def test_a_cut_that_fails_leaves_nothing_open(path: Path) -> None:
    path.write_bytes(b"whole, and half")
    faults.arm("journal.cut=EIO")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Input/output error"):
        Increment(path, 5)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert path.read_bytes() == b"whole, and half"


def test_a_write_that_fails_leaves_nothing_behind(increment: Increment, path: Path) -> None:
    """The file system has room for a part of it: a real limit, and a real short write."""
    increment.write(b"12345678")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            increment.write(b"abcdefgh")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"12345678abcd"
    assert increment.size == 8
    increment.write(b"ABCD")
    assert path.read_bytes() == b"12345678ABCD"
    assert not increment.distrusted


def test_nothing_is_written_while_what_is_left_behind_cannot_be_cut(
    increment: Increment, path: Path
) -> None:
    increment.write(b"1234")
    with path.open("ab") as file:
        file.write(b"half")
    faults.arm("journal.write=ENOSPC,journal.cut=EIO")
    for message in ("No space", "Input/output"):
        with pytest.raises(OSError, match=message):
            increment.write(b"5678")
    increment.write(b"5678")
    assert path.read_bytes() == b"12345678"


def test_an_fsync_that_failed_is_never_forgiven(increment: Increment) -> None:
    increment.write(b"1234")
    faults.arm("journal.sync=EIO")
    with pytest.raises(OSError, match="Input/output error"):
        increment.sync()
    assert increment.distrusted
    increment.sync()
    assert increment.distrusted


def test_an_increment_is_never_written_over(path: Path) -> None:
    path.write_bytes(b"somebody's")
    with pytest.raises(FileExistsError, match="is in the way"):
        create(path)
    assert path.read_bytes() == b"somebody's"


@pytest.mark.parametrize("point", ["manifest.write", "manifest.sync", "manifest.rename"])
def test_a_small_file_is_replaced_whole_or_not_at_all(tmp_path: Path, point: str) -> None:
    path = tmp_path / "manifest"
    write_new(path, b"old")
    faults.arm(f"{point}=ENOSPC")
    with pytest.raises(OSError, match="No space") as failure:
        write_new(path, b"new")
    assert not isinstance(failure.value, Undecided)
    assert path.read_bytes() == b"old"
    write_new(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_rename_that_may_not_be_on_disk_is_neither_done_nor_undone(tmp_path: Path) -> None:
    path = tmp_path / "manifest"
    write_new(path, b"old")
    faults.arm("folder.sync=EIO")
    with pytest.raises(Undecided, match="Input/output"):
        write_new(path, b"new")
    assert path.read_bytes() == b"new"

"""The folder of a journal: what is on disk, and in which order it gets there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.persistence.commands import encode
from engine.persistence.crc64 import crc64
from engine.persistence.journal import seal
from engine.persistence.manifest import MANIFEST, Manifest, Part
from engine.persistence.rdb import About, write
from realtime import faults
from realtime.journal.disk import Undecided
from realtime.journal.files import Files, begin, go_on
from tests.journal.support import recovered_from

BASE = b"".join(write([], About(0, 0, 0), crc64))
"""A snapshot of nothing."""
BATCH = seal(1, 0, encode((b"SET", b"k", b"1")))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What changes a disk, in order: (call, name of the file)."""
    seen: list[tuple[str, str]] = []

    def watch(name: str, *, by_descriptor: bool) -> None:
        real = getattr(os, name)

        def call(what: int | Path, *others: object) -> object:
            path = os.readlink(f"/proc/self/fd/{what}") if by_descriptor else str(what)
            seen.append((name, Path(path).name))
            return real(what, *others)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "fdatasync", "ftruncate"):
        watch(name, by_descriptor=True)
    for name in ("rename", "unlink"):
        watch(name, by_descriptor=False)
    return seen


def begun(folder: Path) -> Files:
    files, increment = begin(folder, None)
    increment.close()
    return files


def names(files: Files) -> list[str]:
    return [part.name for part in files.manifest.parts]


def on_disk(folder: Path) -> Manifest:
    return Manifest.parse((folder / MANIFEST).read_bytes())


def new_base(files: Files, content: bytes = BASE) -> None:
    with files.new_base() as new:
        os.write(new.descriptor, content)
        os.fsync(new.descriptor)
        files.adopt(new)


def test_a_journal_begins_with_an_empty_increment(folder: Path) -> None:
    files = begun(folder)
    assert names(files) == ["appendonly.aof.1.incr.aof"]
    assert on_disk(folder) == files.manifest
    assert (folder / "appendonly.aof.1.incr.aof").read_bytes() == b""


def test_a_snapshot_becomes_the_first_base(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "dump.rdb"
    snapshot.write_bytes(b"snapshot")
    files, increment = begin(folder, snapshot)
    increment.close()
    assert names(files) == ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"]
    assert (folder / "appendonly.aof.1.base.rdb").read_bytes() == b"snapshot"
    assert files.base_bytes == len(b"snapshot")
    assert snapshot.exists()


def test_where_there_are_no_links_the_snapshot_is_copied_and_synced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, str]]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    snapshot = tmp_path / "dump.rdb"
    snapshot.write_bytes(b"snapshot")
    begin(folder, snapshot)[1].close()
    assert (folder / "appendonly.aof.1.base.rdb").read_bytes() == b"snapshot"
    assert calls.index(("fsync", "appendonly.aof.1.base.rdb")) < calls.index(
        ("rename", f"temp-{MANIFEST}")
    )


def test_a_file_is_on_disk_before_the_manifest_lists_it(
    folder: Path, calls: list[tuple[str, str]]
) -> None:
    files = begun(folder)
    calls.clear()
    files.prepare().close()
    assert calls == [
        ("fsync", "appendonlydir"),  # the name of the new increment
        ("fsync", f"temp-{MANIFEST}"),
        ("rename", f"temp-{MANIFEST}"),
        ("fsync", "appendonlydir"),
    ]


def test_old_files_go_after_the_manifest_that_does_not_need_them_is_on_disk(
    folder: Path, calls: list[tuple[str, str]]
) -> None:
    files = begun(folder)
    new_base(files)
    files.prepare().close()
    calls.clear()
    new_base(files)
    base = calls.index(("unlink", "appendonly.aof.1.base.rdb"))
    listed = calls.index(("rename", f"temp-{MANIFEST}"))
    assert calls[listed + 1] == ("fsync", "appendonlydir")
    assert listed + 1 < base
    assert names(files) == ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof"]
    assert sorted(os.listdir(folder)) == sorted([*names(files), MANIFEST])
    assert not on_disk(folder).history


def test_what_was_read_is_on_disk_before_anything_builds_on_it(
    folder: Path, calls: list[tuple[str, str]]
) -> None:
    """The process before may have been killed between a write and its fsync, or between a rename
    and that of the folder."""
    files = begun(folder)
    (folder / "appendonly.aof.1.incr.aof").write_bytes(BATCH)
    files.prepare().close()
    calls.clear()
    go_on(folder, recovered_from(folder))[1].close()
    synced = [name for call, name in calls if call in ("fsync", "fdatasync")]
    assert set(synced) == {
        "appendonly.aof.1.incr.aof",
        "appendonly.aof.2.incr.aof",
        "appendonlydir",
    }


def test_the_names_are_on_disk_before_the_history_is_removed(
    folder: Path, calls: list[tuple[str, str]]
) -> None:
    files = begun(folder)
    new_base(files)
    files.prepare().close()
    faults.arm("history.remove=EIO")
    new_base(files)
    assert on_disk(folder).history
    calls.clear()
    go_on(folder, recovered_from(folder))[1].close()
    removed = next(at for at, (call, name) in enumerate(calls) if name.endswith("1.base.rdb"))
    assert ("fsync", "appendonlydir") in calls[:removed]
    assert not on_disk(folder).history
    assert not (folder / "appendonly.aof.1.base.rdb").exists()


def test_a_torn_tail_is_cut_and_the_cut_is_on_disk(
    folder: Path, calls: list[tuple[str, str]]
) -> None:
    begun(folder)
    path = folder / "appendonly.aof.1.incr.aof"
    path.write_bytes(BATCH + BATCH[:30])
    _, increment = go_on(folder, recovered_from(folder))
    assert path.read_bytes() == BATCH
    assert increment.size == len(BATCH)
    cut = calls.index(("ftruncate", path.name))
    assert ("fdatasync", path.name) in calls[cut:]
    increment.close()


def test_temporary_files_of_a_killed_process_are_removed(folder: Path) -> None:
    begun(folder)
    stale = [folder / "temp-4711.part", folder / f"temp-{MANIFEST}"]
    for path in stale:
        path.write_bytes(b"half")
    go_on(folder, recovered_from(folder))[1].close()
    assert not any(path.exists() for path in stale)


def test_a_journal_of_a_base_alone_gets_an_increment(folder: Path) -> None:
    files = begun(folder)
    manifest = Manifest(base=Part("appendonly.aof.1.base.rdb", 1))
    (folder / "appendonly.aof.1.base.rdb").write_bytes(BASE)
    (folder / MANIFEST).write_bytes(manifest.text())
    (folder / "appendonly.aof.1.incr.aof").unlink()
    files, increment = go_on(folder, recovered_from(folder))
    increment.close()
    assert names(files) == ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"]


@pytest.mark.parametrize(
    "point",
    ["increment.create", "folder.sync", "manifest.write", "manifest.sync", "manifest.rename"],
)
def test_a_failure_before_the_rename_changes_nothing(folder: Path, point: str) -> None:
    files = begun(folder)
    before = files.manifest
    faults.arm(f"{point}=ENOSPC")
    with pytest.raises(OSError, match="No space left") as failure:
        files.prepare()
    assert not isinstance(failure.value, Undecided)
    assert files.manifest == on_disk(folder) == before
    files.prepare().close()
    assert names(files) == ["appendonly.aof.1.incr.aof", "appendonly.aof.2.incr.aof"]


def test_after_the_rename_nobody_knows_and_trying_again_helps(folder: Path) -> None:
    files = begun(folder)
    faults.arm("folder.sync@2=EIO")
    with pytest.raises(Undecided):
        files.prepare()
    files.prepare().close()
    assert files.manifest == on_disk(folder)
    assert names(files) == ["appendonly.aof.1.incr.aof", "appendonly.aof.2.incr.aof"]


@pytest.mark.parametrize("point", ["base.rename", "base.renamed", "manifest.write"])
def test_a_base_that_was_not_adopted_is_no_part_of_the_journal(folder: Path, point: str) -> None:
    files = begun(folder)
    faults.arm(f"{point}=ENOSPC")
    with pytest.raises(OSError, match="No space left"):
        new_base(files, b"first")
    assert names(files) == ["appendonly.aof.1.incr.aof"]
    new_base(files, b"second")
    assert names(files) == ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"]
    assert (folder / "appendonly.aof.1.base.rdb").read_bytes() == b"second"


def test_history_that_cannot_be_removed_is_removed_next_time(folder: Path) -> None:
    files = begun(folder)
    new_base(files)
    faults.arm("history.remove=EROFS")
    new_base(files)
    assert names(files)[0] == "appendonly.aof.2.base.rdb"
    assert (folder / "appendonly.aof.1.base.rdb").exists()
    new_base(files)
    assert sorted(os.listdir(folder)) == sorted([*names(files), MANIFEST])


def test_a_file_in_the_way_is_never_written_over(folder: Path) -> None:
    files = begun(folder)
    (folder / "appendonly.aof.2.incr.aof").write_bytes(b"somebody's")
    with pytest.raises(FileExistsError, match=r"appendonly\.aof\.2\.incr\.aof is in the way"):
        files.prepare()
    assert (folder / "appendonly.aof.2.incr.aof").read_bytes() == b"somebody's"


def test_sizes_are_known(folder: Path) -> None:
    files = begun(folder)
    (folder / "appendonly.aof.1.incr.aof").write_bytes(BATCH)
    files.prepare().close()
    assert (files.base_bytes, files.closed_bytes) == (0, len(BATCH))
    new_base(files, b"12345")
    assert (files.base_bytes, files.closed_bytes) == (5, 0)

"""The folder of backups: which files count, how they are named, which make room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import realtime.backup_files
from engine.clock import DAY, MILLISECOND
from engine.engine import Engine
from realtime.backup_files import BackupFiles, instant_of, name_of, write_verified
from realtime.errors import NotFound
from realtime.keeping import SnapshotError
from realtime.snapshot_file import Content, Written, dump

NAME = "2026-11-25T21-40-09.123Z.rdb"
INSTANT = 1_795_642_809_123_000

instants = st.integers(0, 4_000_000_000_000).map(lambda at: at * MILLISECOND)


@pytest.fixture
def files(tmp_path: Path) -> BackupFiles:
    (tmp_path / "backups").mkdir()
    return BackupFiles(tmp_path / "backups")


def put(files: BackupFiles, *names: str) -> None:
    for name in names:
        (files.path / name).write_bytes(name.encode())


def names(files: BackupFiles) -> list[str]:
    return [backup.name for backup in files.kept()]


def test_a_name_says_the_instant() -> None:
    assert name_of(INSTANT + 999) == NAME
    assert instant_of(NAME) == INSTANT


@given(instants, instants)
def test_names_sort_as_time_does(one: int, other: int) -> None:
    assert instant_of(name_of(one)) == one
    assert (name_of(one) < name_of(other)) == (one < other)


@pytest.mark.parametrize(
    "name",
    [
        "2026-02-31T21-40-09.123Z.rdb",
        "2026-11-25T25-40-09.123Z.rdb",
        "2026-11-25T21-40-09.12Z.rdb",
        "٢٠٢٦-11-25T21-40-09.123Z.rdb",
        "before-upgrade.rdb",
        NAME + "\n",
    ],
)
def test_other_names_say_none(name: str) -> None:
    assert instant_of(name) is None


def test_two_in_one_instant_do_not_meet(files: BackupFiles) -> None:
    made = []
    for _ in range(3):
        made.append(files.free_name(INSTANT))
        put(files, made[-1])
    assert made == sorted(set(made))
    assert made[0] == NAME


def test_what_is_no_backup_is_not_listed(files: BackupFiles) -> None:
    put(files, NAME, "mine.rdb", "temp-7.part", ".hidden.rdb", "notes.txt", "-x.rdb", "a b.rdb")
    (files.path / "folder.rdb").mkdir()
    (files.path / "link.rdb").symlink_to(files.path / NAME)
    os.mkfifo(files.path / "pipe.rdb")
    assert set(names(files)) == {NAME, "mine.rdb"}
    (backup,) = [backup for backup in files.kept() if backup.name == NAME]
    assert (backup.bytes, backup.created_at, backup.verified) == (len(NAME), INSTANT, False)


def test_of_a_foreign_file_the_age_counts(files: BackupFiles) -> None:
    put(files, "mine.rdb", NAME, name_of(INSTANT + 2 * DAY))
    os.utime(files.path / "mine.rdb", ns=(0, (INSTANT + DAY) * 1000))
    assert names(files) == [name_of(INSTANT + 2 * DAY), "mine.rdb", NAME]


def test_where_there_is_no_folder_there_are_no_backups(tmp_path: Path) -> None:
    files = BackupFiles(tmp_path / "none")
    assert files.kept() == []
    files.tidy()
    with pytest.raises(NotFound):
        files.find(NAME)


@pytest.mark.parametrize(
    "name",
    [
        "../dump.rdb",
        "..",
        "",
        "/etc/passwd",
        "/tmp/x.rdb",
        "x/../mine.rdb",
        "./mine.rdb",
        "mine.rdb/",
        "mine.rdb\0",
        "mine.rdb\n",
        "folder.rdb",
        "link.rdb",
        ".mine.rdb",
        "mine",
        "x" * 300 + ".rdb",
        "mïne.rdb",
        NAME,
    ],
)
def test_a_name_leads_nowhere_else(files: BackupFiles, name: str) -> None:
    put(files, "mine.rdb")
    (files.path.parent / "dump.rdb").write_bytes(b"")
    (files.path / "folder.rdb").mkdir()
    (files.path / "link.rdb").symlink_to(files.path.parent / "dump.rdb")
    with pytest.raises(NotFound, match="there is no backup of this name"):
        files.find(name)
    with pytest.raises(NotFound):
        files.remove(name)
    assert files.find("mine.rdb").read_bytes() == b"mine.rdb"
    assert (files.path.parent / "dump.rdb").exists()


def test_only_what_a_crash_left_half_written_is_tidied_away(files: BackupFiles) -> None:
    put(files, "temp-7.part", "temp-notes.txt", NAME)
    files.tidy()
    assert sorted(os.listdir(files.path)) == [NAME, "temp-notes.txt"]


def days(*ages: int) -> list[str]:
    return [name_of(INSTANT - age * DAY) for age in ages]


def test_the_oldest_make_room(files: BackupFiles) -> None:
    put(files, *days(0, 1, 2, 3), "mine.rdb")
    os.utime(files.path / "mine.rdb", ns=(0, 0))
    left = files.make_room(2, 0, ())
    assert [backup.name for backup in left] == [*days(0, 1), "mine.rdb"]
    assert names(files) == [*days(0, 1), "mine.rdb"]


def test_the_too_old_make_room_but_for_the_newest(files: BackupFiles) -> None:
    put(files, *days(4, 5, 6))
    files.make_room(7, INSTANT - 5 * DAY, ())
    assert names(files) == days(4, 5)
    files.make_room(7, INSTANT, ())
    assert names(files) == days(4)


def test_one_that_is_needed_makes_no_room(files: BackupFiles) -> None:
    put(files, *days(0, 1, 2, 3))
    files.make_room(1, INSTANT, set(days(2)))
    assert names(files) == days(0, 2)


@given(
    ages=st.sets(st.integers(0, 40), max_size=12),
    keep=st.integers(1, 8),
    oldest=st.integers(0, 40),
)
def test_making_room_keeps_what_the_settings_say(
    tmp_path_factory: pytest.TempPathFactory, ages: set[int], keep: int, oldest: int
) -> None:
    files = BackupFiles(tmp_path_factory.mktemp("backups"))
    put(files, *days(*ages))
    files.make_room(keep, INSTANT - oldest * DAY, ())
    newest_first = sorted(ages)
    expected = [age for age in newest_first[:keep] if age <= oldest] or newest_first[:1]
    assert names(files) == days(*expected)


def test_what_was_not_written_as_it_is_read_is_no_backup(
    files: BackupFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that answers with other bytes than it was given."""
    engine = Engine(lambda: INSTANT)
    engine.counters.set(b"cnt:{a}", 1)
    with files.create() as new:
        assert write_verified(engine, new).keys == 1
        path = new.path
    assert not path.exists()

    synced = os.fsync

    def spoil(descriptor: int) -> None:
        os.pwrite(descriptor, b"\xff", 20)
        synced(descriptor)

    with files.create() as new, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", spoil)
        with pytest.raises(SnapshotError, match="is not sound"):
            write_verified(engine, new)
    assert os.listdir(files.path) == []


def test_fewer_keys_than_were_written_are_no_backup(
    files: BackupFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(lambda: INSTANT)
    engine.counters.set(b"cnt:{a}", 1)
    empty = Engine(lambda: INSTANT)

    def write_less(content: Content, output: int) -> Written:
        return dump(empty, output)._replace(keys=len(content.keyspace))

    monkeypatch.setattr(realtime.backup_files, "dump", write_less)
    with files.create() as new, pytest.raises(SnapshotError, match="1 keys were written, and 0"):
        write_verified(engine, new)


def test_the_folder_and_the_name_in_it_outlive_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    files = BackupFiles(tmp_path / "backups")
    with files.create() as new:
        assert synced == [str(tmp_path)]
        written = str(new.path)
        write_verified(Engine(lambda: INSTANT), new)
        new.commit(NAME)
    assert synced == [str(tmp_path), written, str(files.path)]
    with files.create():
        assert len(synced) == 3
    files.remove(NAME)
    assert synced[3:] == [str(files.path)]

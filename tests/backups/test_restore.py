"""Going back to a backup is going back to all of it, or to nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

import realtime.backups
from engine.clock import DAY, HOUR, MINUTE, SECOND
from engine.engine import Engine
from engine.sessions import StoredSession
from realtime.errors import Conflict, NotFound
from realtime.keeping import BackupError, SnapshotError
from realtime.snapshot_file import load
from tests.backups.conftest import BOARD, COUNTER, Open, after
from tests.persistence.conftest import fail


async def test_everything_is_as_it_was(start: Open) -> None:
    keeper = await start()
    keeper.visit(3)
    keeper.submit("ada", 7)
    before = keeper.content()
    made = await keeper.backups.create()
    keeper.visit(4)
    keeper.submit("bob", 9)
    keeper.engine.boards.remove(BOARD, b"ada")
    keeper.engine.strings.set(b"idem:{x}", b"v", ttl=HOUR)
    lost = keeper.content()
    keeper.clock.advance(SECOND)
    restored = await keeper.backups.restore(made.name)
    assert (restored.name, restored.keys) == (made.name, 2)
    assert keeper.content() == before
    keeper.engine.keyspace._check()
    back = await keeper.backups.restore(restored.kept.name)
    assert keeper.content() == lost
    assert keeper.visits == 7
    assert len({made.name, restored.kept.name, back.kept.name}) == 3


async def test_what_was_restored_is_what_a_crash_brings_back(start: Open) -> None:
    keeper = await start()
    keeper.visit(3)
    made = await keeper.backups.create()
    keeper.visit(4)
    await keeper.snapshots.save()
    await keeper.backups.restore(made.name)
    copy = Engine(keeper.clock)
    load(copy, keeper.folder / "dump.rdb")
    assert copy.counters.get(COUNTER) == 3
    assert (await start()).visits == 3


async def test_verbs_go_on_with_what_was_restored(start: Open) -> None:
    """Some hold on to the dicts of the keyspace."""
    keeper = await start()
    keeper.submit("ada", 7)
    made = await keeper.backups.create()
    keeper.submit("bob", 9)
    await keeper.backups.restore(made.name)
    keeper.submit("cleo", 8)
    assert keeper.engine.boards.size(BOARD) == 2
    assert keeper.visit() == 1


async def test_what_expired_meanwhile_does_not_come_back_and_the_rest_still_expires(
    start: Open,
) -> None:
    keeper = await start()
    keeper.engine.strings.set(b"short", b"", ttl=MINUTE)
    keeper.engine.strings.set(b"long", b"", ttl=HOUR)
    made = await keeper.backups.create()
    keeper.clock.advance(2 * MINUTE)
    assert (await keeper.backups.restore(made.name)).keys == 1
    assert keeper.engine.strings.get(b"short") is None
    assert keeper.engine.strings.get(b"long") == b""
    keeper.clock.advance(HOUR)
    assert keeper.engine.sweep(SECOND) == 1
    assert len(keeper.engine.keyspace) == 0
    keeper.engine.keyspace._check()


def flipped(text: bytes) -> bytes:
    middle = len(text) // 2
    return text[:middle] + bytes([text[middle] ^ 1]) + text[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flipped,
    "cut": lambda text: text[:-3],
    "empty": lambda text: b"",
    "foreign": lambda text: b"PK\x03\x04" + text,
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_one_is_refused_and_changes_nothing(start: Open, damage: str) -> None:
    keeper = await start()
    keeper.submit("ada", 7)
    made = await keeper.backups.create()
    path = keeper.folder / "backups" / made.name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    keeper.submit("bob", 9)
    before, changes = keeper.content(), keeper.engine.effects.changes
    with pytest.raises(Conflict, match=f"{made.name} cannot be loaded, and nothing was changed"):
        await keeper.backups.restore(made.name)
    assert (keeper.content(), keeper.engine.effects.changes) == (before, changes)
    assert keeper.names == [made.name], "nothing had to be kept"


async def test_one_that_cannot_be_read_is_not_called_damaged(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = await start()
    made = await keeper.backups.create()

    def unreadable(*_: object) -> Engine:
        raise SnapshotError from OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(realtime.backups, "loaded", unreadable)
    with pytest.raises(BackupError, match=r"nothing was changed: .*Input/output error"):
        await keeper.backups.restore(made.name)


async def test_if_what_is_live_cannot_be_kept_nothing_is_restored(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = await start()
    made = await keeper.backups.create()
    keeper.visit()
    monkeypatch.setattr(realtime.backups, "write_verified", after(lambda: fail(errno.ENOSPC)))
    with pytest.raises(BackupError, match="No space left"):
        await keeper.backups.restore(made.name)
    assert keeper.visits == 1


async def test_keeping_what_is_live_does_not_push_out_what_is_restored(start: Open) -> None:
    keeper = await start(keep=1)
    keeper.visit()
    made = await keeper.backups.create()
    keeper.clock.advance(DAY)
    keeper.visit()
    restored = await keeper.backups.restore(made.name)
    assert keeper.visits == 1
    assert keeper.names == [made.name, restored.kept.name]
    keeper.clock.advance(DAY)
    newest = await keeper.backups.create()
    assert keeper.names == [newest.name]


async def test_one_that_is_live_but_not_on_disk_is_told_as_such(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = await start()
    made = await keeper.backups.create()
    keeper.visit()
    with monkeypatch.context() as patch:
        patch.setattr(realtime.snapshots, "dump", lambda *_: fail(errno.ENOSPC))
        with pytest.raises(BackupError, match=r"is live, but not yet on disk: .*No space left"):
            await keeper.backups.restore(made.name)
    assert keeper.visits is None


async def test_no_effect_announces_it_but_it_is_a_change(start: Open) -> None:
    keeper = await start()
    keeper.visit()
    made = await keeper.backups.create()
    heard: list[object] = []
    keeper.engine.effects.listen(heard.append)
    changes = keeper.engine.effects.changes
    await keeper.backups.restore(made.name)
    assert heard == []
    assert keeper.engine.effects.changes == changes + 1


async def test_a_session_that_was_ended_lives_again(start: Open) -> None:
    """That is what going back means; the documents say so."""
    keeper = await start()
    sessions = keeper.engine.sessions
    session = (b"sess:{x}:1", b"user:{x}:ada")
    sessions.create(*session, {}, user=b"ada", idle_timeout=HOUR, absolute_timeout=DAY)
    made = await keeper.backups.create()
    sessions.delete(*session)
    await keeper.backups.restore(made.name)
    assert isinstance(sessions.read(session[0], touch=False), StoredSession)


async def test_a_name_that_there_is_not_is_not_found(start: Open) -> None:
    keeper = await start()
    for name in ("2026-11-25T21-40-09.123Z.rdb", "../dump.rdb"):
        with pytest.raises(NotFound):
            await keeper.backups.restore(name)


async def test_one_that_was_copied_there_can_be_restored_and_makes_no_room(start: Open) -> None:
    keeper = await start(keep=1)
    keeper.visit(3)
    made = await keeper.backups.create()
    folder = keeper.folder / "backups"
    (folder / made.name).rename(folder / "before-upgrade.rdb")
    keeper.visit(4)
    for _ in range(3):
        keeper.clock.advance(DAY)
        kept = await keeper.backups.create()
    assert keeper.names == [kept.name, "before-upgrade.rdb"]
    await keeper.backups.restore("before-upgrade.rdb")
    assert keeper.visits == 3

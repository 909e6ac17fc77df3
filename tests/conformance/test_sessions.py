"""Sessions, on every backend."""

from __future__ import annotations

import pytest

from realtime.backends.base import Backend, OutOfBounds, Session, SessionKeys
from realtime.backends.keys import session_key, shard_of, user_key

from .conftest import LAG, Store

MINUTE = 60_000_000


def key(name: bytes, user: bytes | None = b"ada") -> bytes:
    """Where a session lies: near its user's others, or anywhere if it has no user."""
    return session_key(b"0000" if user is None else shard_of(user), name)


async def create(backend: Backend, name: bytes, *, user: bytes | None = b"ada") -> Session:
    keys = SessionKeys(key(name, user), None if user is None else user_key(user))
    session = await backend.sessions.create(
        keys, {b"cart": b"[]"}, user=user, idle_timeout=30 * MINUTE, absolute_timeout=480 * MINUTE
    )
    assert session is not None
    return session


async def test_a_session_is_what_was_stored(backend: Backend) -> None:
    created = await create(backend, b"s")
    assert (created.fields, created.user, created.version) == ({b"cart": b"[]"}, b"ada", 1)
    assert created.expires_at - created.created_at == 30 * MINUTE
    assert await backend.sessions.read(key(b"s"), touch=False) == created


async def test_an_id_is_given_once(backend: Backend) -> None:
    await create(backend, b"s")
    again = await backend.sessions.create(
        SessionKeys(key(b"s"), None), {}, user=None, idle_timeout=1, absolute_timeout=1
    )
    assert again is None


async def test_touching_moves_the_idle_deadline_only(store: Store) -> None:
    await create(store.backend, b"s")
    record = key(b"s")
    for _ in range(16):
        await store.advance(29 * MINUTE)
        assert await store.backend.sessions.read(record, touch=True) is not None
    session = await store.backend.sessions.read(record, touch=True)
    assert session is not None
    assert session.expires_at == session.absolute_deadline
    await store.advance(16 * MINUTE + LAG)
    assert await store.backend.sessions.read(record, touch=True) is None


async def test_looking_does_not_touch(store: Store) -> None:
    await create(store.backend, b"s")
    await store.advance(20 * MINUTE)
    assert await store.backend.sessions.read(key(b"s"), touch=False) is not None
    await store.advance(10 * MINUTE + LAG)
    assert await store.backend.sessions.read(key(b"s"), touch=False) is None


async def test_a_patch_sets_and_removes_in_one_step(backend: Backend) -> None:
    await create(backend, b"s")
    patched = await backend.sessions.patch(key(b"s"), {b"theme": b'"dark"'}, [b"cart"])
    assert patched is not None and patched.applied
    assert patched.session.fields == {b"theme": b'"dark"'}
    assert patched.session.version == 2


async def test_a_patch_on_another_version_changes_nothing(backend: Backend) -> None:
    await create(backend, b"s")
    record = key(b"s")
    await backend.sessions.patch(record, {b"a": b"1"}, [])
    for expected in (1, 3):
        lost = await backend.sessions.patch(record, {b"a": b"9"}, [], expected_version=expected)
        assert lost is not None
        assert (lost.applied, lost.session.version, lost.session.fields[b"a"]) == (False, 2, b"1")
    won = await backend.sessions.patch(record, {b"a": b"2"}, [], expected_version=2)
    assert won is not None and won.applied


async def test_a_session_does_not_outgrow_its_bound(backend: Backend) -> None:
    await create(backend, b"s")
    with pytest.raises(OutOfBounds):
        await backend.sessions.patch(key(b"s"), {b"a": b"x" * 100}, [], max_size=100)
    session = await backend.sessions.read(key(b"s"), touch=False)
    assert session is not None and session.version == 1


async def test_what_was_never_created_cannot_be_patched_into_being(backend: Backend) -> None:
    assert await backend.sessions.patch(key(b"no"), {b"a": b"1"}, []) is None
    assert await backend.sessions.read(key(b"no"), touch=True) is None


async def test_the_index_lists_live_sessions_and_ends_them_all(store: Store) -> None:
    for name in (b"1", b"2", b"3"):
        await create(store.backend, name)
        await store.advance(MINUTE)
    await create(store.backend, b"other", user=b"bob")
    assert await store.backend.sessions.delete(key(b"2"))
    found = await store.backend.sessions.of_user(user_key(b"ada"))
    assert [record for record, _ in found] == [key(b"1"), key(b"3")]
    assert await store.backend.sessions.end_all(user_key(b"ada")) == 2
    assert await store.backend.sessions.of_user(user_key(b"ada")) == []
    assert await store.backend.sessions.read(key(b"1"), touch=True) is None
    assert len(await store.backend.sessions.of_user(user_key(b"bob"))) == 1


async def test_the_index_does_not_leak(store: Store) -> None:
    for name in (b"1", b"2"):
        await create(store.backend, name)
    await store.advance(31 * MINUTE)
    assert await store.backend.sessions.of_user(user_key(b"ada")) == []
    assert await store.backend.values.delete(user_key(b"ada")) == 0
    await create(store.backend, b"3")
    await store.advance(480 * MINUTE + LAG)
    assert await store.backend.values.delete(user_key(b"ada")) == 0


async def test_a_session_may_have_no_user(backend: Backend) -> None:
    assert (await create(backend, b"s", user=None)).user is None
    record = key(b"s", None)
    assert await backend.sessions.delete(record)
    assert not await backend.sessions.delete(record)


async def test_time_is_counted_in_whole_milliseconds(store: Store) -> None:
    """No store keeps finer deadlines than Redis does; and none may end a session too early."""
    create, read = store.backend.sessions.create, store.backend.sessions.read
    for name in (b"1", b"2"):
        await store.advance(1_300)
        session = await create(
            SessionKeys(key(name), None), {}, user=None, idle_timeout=2_100, absolute_timeout=9_100
        )
        assert session is not None
        assert session.created_at % 1_000 == session.expires_at % 1_000 == 0
        # Created within a millisecond, the deadlines are counted from that very instant.
        assert session.expires_at - session.created_at == 3_000
        assert session.absolute_deadline - session.created_at == 10_000
        assert session == await read(key(name), touch=False)


async def test_a_touch_moves_the_deadline_to_a_whole_millisecond(store: Store) -> None:
    await create(store.backend, b"s")
    await store.advance(MINUTE + 1)
    session = await store.backend.sessions.read(key(b"s"), touch=True)
    assert session is not None
    assert session.expires_at - session.created_at == 31 * MINUTE + 1_000


async def test_sessions_of_one_instant_are_listed_in_one_order(backend: Backend) -> None:
    for name in (b"b", b"c", b"a"):
        await create(backend, name)
    found = await backend.sessions.of_user(user_key(b"ada"))
    assert [record for record, _ in found] == [key(b"a"), key(b"b"), key(b"c")]

"""Presence, by connection and by user, on every backend."""

from __future__ import annotations

from realtime.backends.base import Backend, ClientInfo, PresenceStats

CHANNEL = b"room"


async def test_presence_is_who_joined_and_has_not_left(backend: Backend) -> None:
    ada, bob = ClientInfo("c1", "ada", b"{}"), ClientInfo("c2", "bob", None, b'{"seat":1}')
    await backend.presence.add(CHANNEL, ada)
    await backend.presence.add(CHANNEL, bob)
    await backend.presence.add(CHANNEL, bob)
    assert sorted(await backend.presence.members(CHANNEL)) == [ada, bob]
    assert await backend.presence.channels() == {CHANNEL: 2}
    await backend.presence.remove(CHANNEL, "c1")
    await backend.presence.remove(CHANNEL, "c1")
    await backend.presence.remove(CHANNEL, "c2")
    assert await backend.presence.members(CHANNEL) == []
    assert await backend.presence.channels() == {}


async def test_the_first_connection_of_a_user_and_the_last_are_told_apart(
    backend: Backend,
) -> None:
    add, remove = backend.presence.add, backend.presence.remove
    assert await add(CHANNEL, ClientInfo("c1", "ada")) is True
    assert await add(CHANNEL, ClientInfo("c2", "ada")) is False
    assert await add(CHANNEL, ClientInfo("c3", "bob")) is True
    assert await add(b"another", ClientInfo("c1", "ada")) is True
    assert await remove(CHANNEL, "c1") is False
    assert await remove(CHANNEL, "c1") is False
    assert await remove(CHANNEL, "nobody") is False
    assert await remove(CHANNEL, "c2") is True
    assert await add(CHANNEL, ClientInfo("c2", "ada")) is True


async def test_who_comes_twice_with_one_connection_comes_once(backend: Backend) -> None:
    add = backend.presence.add
    assert await add(CHANNEL, ClientInfo("c1", "ada")) is True
    assert await add(CHANNEL, ClientInfo("c1", "ada", b'{"new":1}')) is False
    assert await backend.presence.stats(CHANNEL) == PresenceStats(1, 1)
    assert await backend.presence.remove(CHANNEL, "c1") is True


async def test_a_connection_that_is_another_user_now_has_left_the_first_one(
    backend: Backend,
) -> None:
    add, stats = backend.presence.add, backend.presence.stats
    await add(CHANNEL, ClientInfo("c1", "ada"))
    assert await add(CHANNEL, ClientInfo("c1", "bob")) is True
    assert await stats(CHANNEL) == PresenceStats(1, 1)
    assert await add(CHANNEL, ClientInfo("c2", "ada")) is True


async def test_nobody_is_not_a_user(backend: Backend) -> None:
    add, remove, stats = backend.presence.add, backend.presence.remove, backend.presence.stats
    assert await add(CHANNEL, ClientInfo("c1", "")) is False
    assert await add(CHANNEL, ClientInfo("c2", "")) is False
    assert await add(CHANNEL, ClientInfo("c3", "ada")) is True
    assert await stats(CHANNEL) == PresenceStats(clients=3, users=1, nameless=2)
    assert await remove(CHANNEL, "c1") is False
    assert await remove(CHANNEL, "c2") is False
    assert await stats(CHANNEL) == PresenceStats(clients=1, users=1)


async def test_a_channel_without_anybody_counts_nobody(backend: Backend) -> None:
    assert await backend.presence.stats(CHANNEL) == PresenceStats(0, 0)
    await backend.presence.add(CHANNEL, ClientInfo("c1", "ada:1,é"))
    assert await backend.presence.stats(CHANNEL) == PresenceStats(1, 1)
    await backend.presence.remove(CHANNEL, "c1")
    assert await backend.presence.stats(CHANNEL) == PresenceStats(0, 0)

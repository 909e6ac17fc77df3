"""Publications made once and in order: idempotency keys, versions, tags, on every backend."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from realtime.backends.base import Backend, Guard, Publication, Published, WrongType
from realtime.backends.keys import META, channel_key, result_key

from .conftest import Store

SECOND = 1_000_000
CHANNEL = b"news"
KEPT: dict[str, Any] = {"size": 10, "ttl": 60 * SECOND}

Heard = list[tuple[bytes, Publication, str]]


async def listening(backend: Backend, *channels: bytes) -> Heard:
    """What is published on the channels from now on."""
    heard: Heard = []
    backend.channels.listen(lambda *publication: heard.append(publication))
    for channel in channels or (CHANNEL,):
        await backend.channels.subscribe(channel)
    return heard


async def test_all_that_belongs_to_a_publication_is_delivered_and_kept(store: Store) -> None:
    publish = store.backend.channels.publish
    heard = await listening(store.backend)
    info, tags = b'{"user":"a:b,c"}', b'{"k":"v:1,2"}'
    made = [
        await publish(CHANNEL, b"1:,", info=info, tags=tags, **KEPT),
        await publish(CHANNEL, b"2", tags=tags, **KEPT),
        await publish(CHANNEL, b"3", info=info, **KEPT),
        await publish(CHANNEL, b"4", tags=tags),
    ]
    kept = [
        Publication(1, b"1:,", info, tags),
        Publication(2, b"2", None, tags),
        Publication(3, b"3", info, None),
    ]
    await store.until(lambda: len(heard) == 4)
    assert [item for _, item, _ in heard] == [*kept, Publication(0, b"4", None, tags)]
    assert [(item.offset, epoch) for _, item, epoch in heard] == [one[:2] for one in made]
    assert (await store.backend.channels.history(CHANNEL, limit=-1)).publications == kept


async def test_a_key_is_answered_with_the_first_position(store: Store) -> None:
    publish = store.backend.channels.publish
    heard = await listening(store.backend)
    await publish(CHANNEL, b"0", **KEPT)
    first = await publish(CHANNEL, b"1", guard=Guard(b"k"), **KEPT)
    await publish(CHANNEL, b"2", **KEPT)
    again = await publish(CHANNEL, b"3", guard=Guard(b"k"), **KEPT)
    other = await publish(CHANNEL, b"4", guard=Guard(b"l"), **KEPT)
    assert first.delivered and first.offset == 2
    assert again == Published(2, first.epoch, delivered=False)
    assert other == Published(4, first.epoch)
    await store.until(lambda: len(heard) == 4)
    assert [item.data for _, item, _ in heard] == [b"0", b"1", b"2", b"4"]
    found = await store.backend.channels.history(CHANNEL, limit=-1)
    assert [item.data for item in found.publications] == [b"0", b"1", b"2", b"4"]


async def test_a_key_belongs_to_one_channel(backend: Backend) -> None:
    publish = backend.channels.publish
    for channel in (b"a", b"b", b"a:idem", b"{a}:idem"):
        assert (await publish(channel, b"1", guard=Guard(b"k"), **KEPT)).delivered
    assert not (await publish(b"a", b"1", guard=Guard(b"k"), **KEPT)).delivered


async def test_a_key_is_forgotten_after_five_minutes(store: Store) -> None:
    """The reference caches results for 300 s."""
    publish = store.backend.channels.publish
    await publish(CHANNEL, b"1", guard=Guard(b"k"), **KEPT)
    await store.advance(299 * SECOND)
    assert not (await publish(CHANNEL, b"1", guard=Guard(b"k"), **KEPT)).delivered
    await store.advance(2 * SECOND)
    assert await publish(CHANNEL, b"1", guard=Guard(b"k"), **KEPT) == Published(
        2, (await store.backend.channels.history(CHANNEL)).position.epoch
    )


async def test_a_key_holds_where_nothing_is_kept(store: Store) -> None:
    publish = store.backend.channels.publish
    heard = await listening(store.backend)
    assert await publish(CHANNEL, b"1", guard=Guard(b"k")) == Published(0, "")
    assert await publish(CHANNEL, b"1", guard=Guard(b"k")) == Published(0, "", delivered=False)
    # The first answer stands, whatever the second one would have kept.
    assert await publish(CHANNEL, b"1", guard=Guard(b"k"), **KEPT) == Published(0, "", False)
    await publish(CHANNEL, b"2")
    await store.until(lambda: len(heard) == 2)
    assert [item.data for _, item, _ in heard] == [b"1", b"2"]


async def test_of_many_who_try_at_once_one_publishes(backend: Backend) -> None:
    publish = backend.channels.publish
    tries = [publish(CHANNEL, b"1", guard=Guard(b"k"), **KEPT) for _ in range(20)]
    made = await asyncio.gather(*tries)
    assert sum(one.delivered for one in made) == 1
    assert len({one.position for one in made}) == 1


# (version, version epoch) in order -> whether each is delivered
VERSIONS: list[tuple[list[tuple[int, bytes]], list[bool]]] = [
    ([(1, b""), (2, b""), (2, b""), (1, b""), (5, b"")], [True, True, False, False, True]),
    ([(5, b"a"), (3, b"b"), (4, b"b"), (4, b"b"), (9, b"a")], [True, True, True, False, True]),
    ([(5, b"a"), (3, b""), (6, b""), (6, b"a")], [True, False, True, True]),
    ([(5, b""), (0, b""), (5, b""), (0, b"x")], [True, True, False, True]),
    ([(2**53 - 2, b""), (2**53 - 1, b""), (2**53 - 2, b"")], [True, True, False]),
]  # fmt: skip


@pytest.mark.parametrize(("versions", "delivered"), VERSIONS, ids=str)
async def test_what_is_not_newer_is_held_back(
    store: Store, versions: list[tuple[int, bytes]], delivered: list[bool]
) -> None:
    heard = await listening(store.backend)
    made = [
        await store.backend.channels.publish(
            CHANNEL, b"%d" % number, guard=Guard(None, *version), **KEPT
        )
        for number, version in enumerate(versions)
    ]
    assert [one.delivered for one in made] == delivered
    # Who is held back is told where the channel is.
    assert [one.offset for one in made] == [sum(delivered[: n + 1]) for n in range(len(made))]
    assert len({one.epoch for one in made}) == 1
    expected = [b"%d" % number for number, passed in enumerate(delivered) if passed]
    await store.until(lambda: len(heard) == len(expected))
    assert [item.data for _, item, _ in heard] == expected


async def test_a_version_outlives_the_publications(store: Store) -> None:
    publish, guard = store.backend.channels.publish, Guard(None, 3)
    await publish(CHANNEL, b"1", guard=guard, size=10, ttl=SECOND)
    await store.advance(2 * SECOND)
    assert not (await publish(CHANNEL, b"1", guard=guard, **KEPT)).delivered
    await store.advance(40 * 86_400 * SECOND)
    assert (await publish(CHANNEL, b"1", guard=guard, **KEPT)).delivered


async def test_who_is_held_back_keeps_the_version_known(store: Store) -> None:
    """Or a publisher that repeats itself would get through once a month."""
    publish, guard = store.backend.channels.publish, Guard(None, 3)
    await publish(CHANNEL, b"1", guard=guard, **KEPT)
    for _ in range(3):
        await store.advance(29 * 86_400 * SECOND)
        assert not (await publish(CHANNEL, b"1", guard=guard, **KEPT)).delivered


async def test_versions_are_those_of_what_is_kept(backend: Backend) -> None:
    publish = backend.channels.publish
    nothing: dict[str, Any] = {}
    for kept in (nothing, KEPT, nothing):
        assert (await publish(CHANNEL, b"1", guard=Guard(None, 1), **kept)).delivered
    assert not (await publish(CHANNEL, b"1", guard=Guard(None, 1), **KEPT)).delivered


async def test_a_key_is_compared_before_a_version(backend: Backend) -> None:
    """And what a version holds back leaves no trace under the key."""
    publish = backend.channels.publish
    first = await publish(CHANNEL, b"1", guard=Guard(b"k", 5), **KEPT)
    await publish(CHANNEL, b"2", **KEPT)
    assert await publish(CHANNEL, b"3", guard=Guard(b"k", 9), **KEPT) == (*first[:2], False)
    assert not (await publish(CHANNEL, b"4", guard=Guard(b"l", 5), **KEPT)).delivered
    assert (await publish(CHANNEL, b"5", guard=Guard(b"l", 6), **KEPT)).delivered


async def test_a_key_that_holds_something_else_is_refused(backend: Backend) -> None:
    key = result_key(channel_key(CHANNEL), b"k")
    await backend.hashes.put(key, {b"a": b"b"})
    with pytest.raises(WrongType):
        await backend.channels.publish(CHANNEL, b"1", guard=Guard(b"k"), **KEPT)
    assert await backend.values.delete(channel_key(CHANNEL) + META) == 0

"""Wildcards: one stream for all channels of a prefix, on every backend."""

from __future__ import annotations

from typing import Any

import pytest

from realtime.backends.base import (
    Backend,
    Guard,
    History,
    Position,
    Publication,
    Published,
    Wildcard,
    WrongType,
    recover,
)
from realtime.backends.keys import channel_key

from .conftest import Store
from .test_publishing import Heard, listening

SECOND = 1_000_000
ALL = b"orders.*"
WILDCARD = Wildcard(ALL, 5, 60 * SECOND)
KEPT: dict[str, Any] = {"size": 10, "ttl": 60 * SECOND, "wildcard": WILDCARD}


def items(heard: Heard, channel: bytes) -> list[Publication]:
    return [item for name, item, _ in heard if name == channel]


async def history(backend: Backend, channel: bytes, since: int | None = None) -> History:
    """As those read it who know where it lies."""
    at = None if since is None else Position(since, "")
    wildcard = None if channel == ALL else WILDCARD
    return await backend.channels.history(channel, since=at, limit=-1, wildcard=wildcard)


async def test_what_is_published_is_in_both_streams_at_the_positions_of_each(
    store: Store,
) -> None:
    publish = store.backend.channels.publish
    heard = await listening(store.backend, ALL)
    for number, channel in enumerate((b"orders.1", b"orders.2", b"orders.1")):
        await publish(channel, b"%d" % number, info=b"{}", tags=b'{"a":""}', **KEPT)
    one = await history(store.backend, b"orders.1")
    assert [(item.offset, item.data, item.channel) for item in one.publications] == [
        (1, b"0", None),
        (2, b"2", None),
    ]
    both = await history(store.backend, ALL)
    expected = [
        Publication(1, b"0", b"{}", b'{"a":""}', b"orders.1"),
        Publication(2, b"1", b"{}", b'{"a":""}', b"orders.2"),
        Publication(3, b"2", b"{}", b'{"a":""}', b"orders.1"),
    ]
    assert both.publications == expected
    assert both.position.offset == 3
    assert both.position.epoch != one.position.epoch
    await store.until(lambda: len(items(heard, ALL)) == 3)
    assert items(heard, ALL) == expected
    assert {epoch for channel, _, epoch in heard if channel == ALL} == {both.position.epoch}


async def test_a_channel_of_a_wildcard_is_heard_by_its_own_name(store: Store) -> None:
    channels = store.backend.channels
    heard: Heard = []
    channels.listen(lambda *publication: heard.append(publication))
    await channels.subscribe(b"orders.1", wildcard=WILDCARD)
    made = await channels.publish(b"orders.1", b"1", **KEPT)
    await store.until(lambda: len(items(heard, b"orders.1")) == 1)
    assert (b"orders.1", Publication(1, b"1"), made.epoch) in heard


async def test_a_subscriber_of_the_wildcard_recovers_like_any_other(backend: Backend) -> None:
    for number in range(8):
        await backend.channels.publish(b"orders.%d" % number, b"%d" % number, **KEPT)
    epoch = (await history(backend, ALL)).position.epoch
    for since, recovered in ((8, True), (5, True), (3, True), (2, False), (9, False)):
        at = Position(since, epoch)
        answer = recover(at, await history(backend, ALL, since), 100)
        assert answer.recovered is recovered
        expected = [b"orders.%d" % number for number in range(since, 8)] if recovered else []
        assert [item.channel for item in answer.publications] == expected


async def test_the_wildcard_keeps_what_it_is_told_to_whatever_its_channels_keep(
    store: Store,
) -> None:
    publish = store.backend.channels.publish
    assert await publish(b"orders.1", b"1", wildcard=WILDCARD) == Published(0, "")
    for number in range(2, 8):
        await publish(b"orders.1", b"%d" % number, size=1, ttl=SECOND, wildcard=WILDCARD)
    await store.advance(2 * SECOND)
    assert (await history(store.backend, b"orders.1")).publications == []
    left = (await history(store.backend, ALL)).publications
    assert [item.offset for item in left] == [3, 4, 5, 6, 7]


async def test_a_wildcard_that_keeps_nothing_still_shows(store: Store) -> None:
    heard = await listening(store.backend, ALL)
    fleeting = Wildcard(ALL, 0, 0)
    made = await store.backend.channels.publish(
        b"orders.1", b"1", size=5, ttl=SECOND, wildcard=fleeting
    )
    assert made.offset == 1
    await store.until(lambda: any(channel == ALL for channel, _, _ in heard))
    shown = [(item, epoch) for channel, item, epoch in heard if channel == ALL]
    assert shown == [(Publication(0, b"1", channel=b"orders.1"), "")]


@pytest.mark.parametrize("guard", [Guard(b"k"), Guard(None, 1)], ids=["key", "version"])
async def test_what_is_held_back_is_not_shown_either(store: Store, guard: Guard) -> None:
    publish = store.backend.channels.publish
    heard = await listening(store.backend, ALL)
    first = await publish(b"orders.1", b"1", guard=guard, **KEPT)
    again = await publish(b"orders.1", b"2", guard=guard, **KEPT)
    assert again == (*first[:2], False)
    await publish(b"orders.1", b"3", **KEPT)
    await store.until(lambda: len(items(heard, ALL)) == 2)
    assert [item.data for item in items(heard, ALL)] == [b"1", b"3"]
    assert (await history(store.backend, ALL)).position.offset == 2


async def test_the_history_of_a_channel_is_removed_alone(backend: Backend) -> None:
    await backend.channels.publish(b"orders.1", b"1", **KEPT)
    await backend.channels.remove_history(b"orders.1", wildcard=WILDCARD)
    assert (await history(backend, b"orders.1")).publications == []
    assert len((await history(backend, ALL)).publications) == 1
    await backend.channels.remove_history(ALL)
    assert (await history(backend, ALL)).publications == []


async def test_into_both_streams_or_into_neither(backend: Backend) -> None:
    """A key of another type is in the way of the second one."""
    await backend.hashes.put(channel_key(ALL), {b"a": b"b"})
    with pytest.raises(WrongType):
        await backend.channels.publish(b"orders.1", b"1", **KEPT)
    assert (await history(backend, b"orders.1")).position.offset == 0


NAMES = [b"a", b"orders.1", b"orders:1", b"orders.{x}", b"{x}orders", b"orders%3A1", b"orders=1"]
WILDCARDS = [None, b"orders.*", b"orders:*", b"*", b"{x}orders*", b"{x}:*"]


def test_no_two_channels_meet_in_one_key() -> None:
    places: dict[bytes, bytes] = {}
    for name in [*NAMES, *[one for one in WILDCARDS if one]]:
        for wildcard in WILDCARDS:
            assert places.setdefault(channel_key(name, wildcard), name) == name


@pytest.mark.parametrize("wildcard", [one for one in WILDCARDS if one], ids=str)
def test_all_channels_of_a_wildcard_lie_in_its_slot(wildcard: bytes) -> None:
    def tag(key: bytes) -> bytes:
        return key[key.index(b"{") + 1 : key.index(b"}")]

    assert {tag(channel_key(name, wildcard)) for name in NAMES} == {tag(channel_key(wildcard))}

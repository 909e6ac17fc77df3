"""Namespaces as publishers and readers of channels meet them: patterns, bounds, strictness."""

from __future__ import annotations

import pytest

from engine.clock import ManualClock
from realtime.backends.base import History, Position
from realtime.backends.keys import channel_key
from realtime.embedded import Embedded
from realtime.errors import Forbidden, InvalidInput, NotFound, TooLarge, TooManyRequests
from realtime.services.channels import Channels
from realtime.services.namespaces import Namespace, Namespaces, Rate, Recovery
from realtime.services.patterns import View

NAMESPACES = Namespaces(
    Namespace(),
    [
        Namespace(name="orders", prefix="orders.", wildcards=True, history_size=5),
        Namespace(name="inner", prefix="orders.inner."),
        Namespace(name="prices", prefix="prices:", wildcards=True, recovery=Recovery.CACHE),
        Namespace(name="rated", prefix="rated:", publish_rate=Rate(2, 60.0)),
        Namespace(name="users", prefix="users:", user_publish_rate=Rate(1, 60.0)),
        Namespace(name="short", prefix="short:", message_bytes=4),
        Namespace(name="fleeting", prefix="fleeting.", wildcards=True, history_size=0),
    ],
)


@pytest.fixture
def channels() -> Channels:
    return Embedded(ManualClock(), namespaces=NAMESPACES).channels


async def publish(channels: Channels, *names: str) -> None:
    for number, name in enumerate(names):
        await channels.publish(name, b"%d" % number)


@pytest.mark.parametrize(
    ("channel", "view"),
    [
        ("orders.*", View("orders.*", b"orders.")),
        ("orders.eu.*", View("orders.*", b"orders.eu.")),
        ("orders.eu:*", View("orders.*", b"orders.eu:")),
        ("prices:*", View("prices:*", b"prices:")),
        ("orders.17", None),
        ("orders.inner.*", None),  # a namespace without wildcards: a name like any other
        ("news.*", None),
        ("*", None),
    ],
)
def test_what_a_channel_shows_of_others(
    channels: Channels, channel: str, view: View | None
) -> None:
    assert channels.view_of(channel) == view


@pytest.mark.parametrize("channel", ["orders.*.1", "orders.a*", "orders.**", "orders.*.*"])
async def test_a_star_stands_at_the_end_of_a_part(channels: Channels, channel: str) -> None:
    with pytest.raises(InvalidInput, match="stands at the end"):
        channels.view_of(channel)
    with pytest.raises(InvalidInput):
        await channels.publish(channel, b"1")
    with pytest.raises(InvalidInput):
        await channels.subscribe(channel)


@pytest.mark.parametrize("channel", ["orders.*", "orders.eu.*"])
async def test_nobody_publishes_on_a_pattern(channels: Channels, channel: str) -> None:
    with pytest.raises(InvalidInput, match="pattern"):
        await channels.publish(channel, b"1")
    with pytest.raises(InvalidInput, match="pattern"):
        await channels.broadcast(["orders.1", channel], b"1")
    assert (await channels.history("orders.*")).position.offset == 0


async def test_a_pattern_shows_the_channels_of_its_namespace_only(channels: Channels) -> None:
    await publish(channels, "orders.1", "orders.inner.2", "news", "orders.eu.3")
    found = await channels.history("orders.*", limit=-1)
    assert [item.channel for item in found.publications] == [b"orders.1", b"orders.eu.3"]
    assert (await channels.history("orders.1", limit=-1)).publications[0].channel is None


async def test_a_part_of_a_stream_has_the_positions_of_the_whole(channels: Channels) -> None:
    await publish(channels, "orders.eu.1", "orders.us.1", "orders.eu.2", "orders.eux")
    whole = await channels.history("orders.*")
    part = await channels.history("orders.eu.*", limit=-1)
    assert part.position == whole.position
    assert [item.offset for item in part.publications] == [1, 3]
    assert [item.offset for item in (await read(channels, limit=1)).publications] == [1]
    assert [item.offset for item in (await read(channels, since=1)).publications] == [3]
    newest = await channels.history("orders.eu.*", limit=1, reverse=True)
    assert [item.offset for item in newest.publications] == [3]
    assert (await channels.history("orders.eu.*", limit=0)).publications == []


async def read(channels: Channels, *, since: int = 0, limit: int = -1) -> History:
    return await channels.history("orders.eu.*", since=Position(since, ""), limit=limit)


async def test_a_part_of_a_stream_is_recovered_if_all_of_the_stream_is_there(
    channels: Channels,
) -> None:
    await publish(channels, *["orders.eu.1", "orders.us.1"] * 4)  # the last five are kept
    epoch = (await channels.history("orders.*")).position.epoch

    async def missed(since: int, limit: int = 10) -> tuple[bool, list[int]]:
        found = await channels.recover("orders.eu.*", Position(since, epoch), limit)
        assert found.position == Position(8, epoch)
        return found.recovered, [item.offset for item in found.publications]

    assert await missed(3) == (True, [5, 7])
    assert await missed(7) == (True, [])
    assert await missed(8) == (True, [])
    assert await missed(2) == (False, [])  # what came third is gone, whoever it was for
    assert await missed(3, limit=2) == (True, [5, 7])
    assert await missed(3, limit=1) == (False, [])


async def test_in_cache_mode_the_newest_is_recovered(channels: Channels) -> None:
    assert (await channels.recover("prices:a", Position(0, ""), 10)).recovered is False
    await publish(channels, "prices:a", "prices:b", "prices:a")
    position, recovered, newest = await channels.recover("prices:a", Position(0, ""), 10)
    assert (position.offset, recovered, [item.data for item in newest]) == (2, True, [b"2"])
    assert (await channels.recover("prices:a", position, 10)).publications == []
    whole = await channels.recover("prices:*", Position(1, "another"), 10)
    assert [(item.offset, item.channel) for item in whole.publications] == [(3, b"prices:a")]


async def test_a_pattern_where_nothing_is_kept_keeps_nothing(channels: Channels) -> None:
    assert (await channels.publish("fleeting.1", b"1")).offset == 0
    assert (await channels.history("fleeting.*", limit=-1)).publications == []


async def test_a_publisher_who_keeps_less_takes_nothing_from_the_pattern(
    channels: Channels,
) -> None:
    await publish(channels, "orders.1", "orders.2")
    await channels.publish("orders.3", b"3", history=(1, 1))
    assert len((await channels.history("orders.*", limit=-1)).publications) == 3


async def test_the_history_of_a_part_cannot_be_removed(channels: Channels) -> None:
    await publish(channels, "orders.eu.1")
    with pytest.raises(InvalidInput, match="remove all of it"):
        await channels.remove_history("orders.eu.*")
    await channels.remove_history("orders.eu.1")
    assert len((await channels.history("orders.*", limit=-1)).publications) == 1
    await channels.remove_history("orders.*")
    assert (await channels.history("orders.*", limit=-1)).publications == []


async def test_live_boards_are_shown_on_no_pattern() -> None:
    """Not even where all channels are: their names may hold a star, and nobody publishes there."""
    everything = Namespaces(Namespace(wildcards=True))
    embedded = Embedded(ManualClock(), namespaces=everything)
    assert embedded.channels.view_of("*") == View("*", b"")
    assert embedded.channels.view_of("leaderboard:*") is None
    with pytest.raises(Forbidden):
        await embedded.channels.publish("leaderboard:a", b"1")
    await embedded.channels.publish("a", b"1")
    assert len((await embedded.channels.history("*", limit=-1)).publications) == 1
    keys = [key for key, _, _ in embedded.engine.keyspace.items(embedded.engine.clock())]
    assert channel_key(b"a", b"*") in keys


async def test_rates_are_those_of_the_namespace(channels: Channels) -> None:
    await publish(channels, "rated:a", "rated:a", "rated:b", "news", "news", "news")
    with pytest.raises(TooManyRequests):
        await channels.publish("rated:a", b"1")
    with pytest.raises(TooManyRequests):
        await channels.broadcast(["news", "rated:a"], b"1")
    assert (await channels.history("news")).position.offset == 3
    await channels.publish("users:a", b"1", user="ada")
    with pytest.raises(TooManyRequests):
        await channels.publish("users:b", b"1", user="ada")
    await channels.publish("users:b", b"1", user="bob")


async def test_a_namespace_says_how_long_a_publication_may_be(channels: Channels) -> None:
    await channels.publish("short:a", b"1234")
    with pytest.raises(TooLarge, match="at most 4 bytes, not 5"):
        await channels.publish("short:a", b"12345")
    with pytest.raises(TooLarge):
        await channels.broadcast(["news", "short:a"], b"12345")
    assert (await channels.history("news")).position.offset == 0


async def test_where_namespaces_are_strict_there_are_no_other_channels() -> None:
    strict = Namespaces(Namespace(), [Namespace(name="a", prefix="a:")], strict=True)
    channels = Embedded(ManualClock(), namespaces=strict).channels
    await channels.publish("a:1", b"1")
    for ask in (channels.publish("b:1", b"1"), channels.history("b:1"), channels.subscribe("b")):
        with pytest.raises(NotFound):
            await ask

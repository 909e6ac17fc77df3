"""The rates of publications, the same on every store."""

from __future__ import annotations

import pytest

from realtime.errors import TooManyRequests
from realtime.rate import Rate
from realtime.services.namespaces import Namespace
from realtime.services.rates import PublishRates
from tests.conformance.conftest import Store

SECOND = 1_000_000

BY_CHANNEL = Namespace(name="orders", publish_rate=Rate(2, 1.0))
BY_USER = Namespace(name="chat", user_publish_rate=Rate(2, 60.0))


async def admitted(rates: PublishRates, namespace: Namespace, channel: bytes, user: str) -> bool:
    try:
        await rates.admit(namespace, channel, user)
    except TooManyRequests:
        return False
    return True


async def test_each_channel_has_a_rate_whoever_publishes(store: Store) -> None:
    rates = PublishRates(store.backend.buckets)
    asked = [(b"orders:1", "ada"), (b"orders:1", ""), (b"orders:1", "eve"), (b"orders:2", "eve")]
    found = [await admitted(rates, BY_CHANNEL, channel, user) for channel, user in asked]
    assert found == [True, True, False, True]
    assert rates.refusals == {"channel_publish": 1, "user_publish": 0}


async def test_each_user_has_a_rate_over_the_channels_of_a_namespace(store: Store) -> None:
    rates = PublishRates(store.backend.buckets)
    asked = [(b"chat:1", "ada"), (b"chat:2", "ada"), (b"chat:3", "ada"), (b"chat:3", "eve")]
    found = [await admitted(rates, BY_USER, channel, user) for channel, user in asked]
    assert found == [True, True, False, True]
    other = Namespace(name="news", user_publish_rate=Rate(1, 60.0))
    assert await admitted(rates, other, b"news:1", "ada"), "another namespace, another rate"
    assert rates.refusals == {"channel_publish": 0, "user_publish": 1}


async def test_who_has_no_name_has_no_rate_of_their_own(store: Store) -> None:
    rates = PublishRates(store.backend.buckets)
    assert all([await admitted(rates, BY_USER, b"chat:1", "") for _ in range(5)])


async def test_it_says_how_long_to_wait_and_that_is_long_enough(store: Store) -> None:
    rates = PublishRates(store.backend.buckets)
    slow = Namespace(name="slow", publish_rate=Rate(1, 90.0))
    await rates.admit(slow, b"slow:1")
    with pytest.raises(TooManyRequests, match="at most 1/90s publications on a channel") as error:
        await rates.admit(slow, b"slow:1")
    assert error.value.retry_after == 90
    await store.advance(error.value.retry_after * SECOND)
    await rates.admit(slow, b"slow:1")


async def test_all_nodes_count_together(store: Store) -> None:
    here, there = PublishRates(store.backend.buckets), PublishRates(store.backend.buckets)
    assert await admitted(here, BY_CHANNEL, b"orders:1", "")
    assert await admitted(there, BY_CHANNEL, b"orders:1", "")
    assert not await admitted(here, BY_CHANNEL, b"orders:1", "")


async def test_no_rule_of_a_user_can_be_met(store: Store) -> None:
    """They lie beside the rules that people define, whose names hold no control characters."""
    rates = PublishRates(store.backend.buckets)
    await rates.admit(BY_CHANNEL, b"orders:1")
    assert await store.backend.values.get(b"rl:\0publish:{orders:1}") is not None

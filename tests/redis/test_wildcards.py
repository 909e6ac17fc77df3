"""Wildcards across what befalls a link, and over the masters of a cluster."""

from __future__ import annotations

from pathlib import Path

from realtime.backends.base import Guard, Wildcard
from tests.redis.cluster import running_cluster
from tests.redis.network import Proxy
from tests.redis.servers import RedisServer
from tests.redis.test_addresses import opened
from tests.redis.test_outage import Heard, is_up, store_at
from tests.redis.waiting import until

MINUTE = 60_000_000
ALL = b"orders.*"
WILDCARD = Wildcard(ALL, 1000, MINUTE)


async def test_what_was_missed_is_brought_to_the_wildcard_and_to_its_channel(
    server: RedisServer, proxy: Proxy
) -> None:
    async with store_at(proxy.url) as far, store_at(server.url) as near:
        heard = Heard(far.backend)
        await far.backend.channels.subscribe(ALL)
        await far.backend.channels.subscribe(b"orders.1", wildcard=WILDCARD)

        async def publish(number: int) -> None:
            await near.backend.channels.publish(
                b"orders.%d" % (number % 2), b"%d" % number, size=100, ttl=MINUTE,
                wildcard=WILDCARD,
            )  # fmt: skip

        def shown(where: bytes | None) -> list[int]:
            return [int(one.data) for one in heard.publications if one.channel == where]

        for number in (0, 1):
            await publish(number)
        await until(lambda: len(heard.publications) == 3)
        proxy.target = 1  # nobody listens there
        proxy.cut()
        for number in range(2, 6):
            await publish(number)
        proxy.target = server.port
        await until(lambda: is_up(far.backend))
        await publish(7)
        await until(lambda: len(heard.publications) == 3 + 4 + 2 + 2)
        assert shown(None) == [1, 3, 5, 7]
        assert shown(b"orders.0") == [0, 2, 4]
        assert shown(b"orders.1") == [1, 3, 5, 7]
        assert heard.lost == []


async def test_in_a_cluster_it_is_one_step(tmp_path: Path) -> None:
    """Whichever slot a channel would have by itself; also with a tag of its own."""
    with running_cluster(tmp_path) as cluster:
        async with opened(cluster.url) as store:
            channels = store.backend.channels
            heard = Heard(store.backend)
            names = [b"orders.%d" % number for number in range(20)] + [b"orders.{x}"]
            await channels.subscribe(ALL)
            for name in names:
                await channels.subscribe(name, wildcard=WILDCARD)
            for number, name in enumerate(names):
                made = await channels.publish(
                    name, b"%d" % number, size=5, ttl=MINUTE,
                    guard=Guard(b"k", 1), wildcard=WILDCARD,
                )  # fmt: skip
                assert made.delivered and made.offset == 1
            await until(lambda: len(heard.publications) == 2 * len(names))
            kept = (await channels.history(ALL, limit=-1)).publications
            assert [one.channel for one in kept] == names
            assert heard.lost == []

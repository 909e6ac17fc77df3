"""Feeds across what befalls a link and a server: handed over once, and nothing left out."""

from __future__ import annotations

from pathlib import Path

from realtime.services.feed import Feed
from tests.redis.network import Proxy
from tests.redis.servers import RedisServer, running_redis
from tests.redis.test_epochs import clients
from tests.redis.test_outage import is_up, store_at
from tests.redis.waiting import until


async def test_what_was_published_while_the_link_was_down_is_handed_over(
    server: RedisServer, proxy: Proxy
) -> None:
    heard: list[bytes] = []
    async with store_at(proxy.url) as far, store_at(server.url) as near:
        feed, publisher = (Feed(one.backend, "f", 100, 60.0) for one in (far, near))
        feed.listen(heard.append)
        await feed.start()
        await publisher.publish(b"1")
        await until(lambda: heard == [b"1"])
        proxy.target = 1  # nobody listens there
        proxy.cut()
        for data in (b"2", b"3"):
            await publisher.publish(data)
        proxy.target = server.port
        await until(lambda: is_up(far.backend))
        await publisher.publish(b"4")
        await until(lambda: heard == [b"1", b"2", b"3", b"4"])


async def test_a_feed_that_starts_while_the_store_is_away_catches_up(
    server: RedisServer, proxy: Proxy
) -> None:
    heard: list[bytes] = []
    async with store_at(proxy.url) as far, store_at(server.url) as near:
        await Feed(near.backend, "f", 100, 60.0).publish(b"1")
        proxy.target = 1
        proxy.cut()
        feed = Feed(far.backend, "f", 100, 60.0)
        feed.listen(heard.append)
        await feed.start()
        assert not feed.current
        proxy.target = server.port
        await until(lambda: feed.current and heard == [b"1"])
        await feed.close()


async def test_a_server_that_has_lost_the_newest_repeats_nothing(
    server: RedisServer, proxy: Proxy, tmp_path: Path
) -> None:
    heard: list[bytes] = []
    async with store_at(proxy.url) as store:
        feed = Feed(store.backend, "f", 100, 60.0)
        feed.listen(heard.append)
        await feed.start()
        with running_redis(tmp_path / "replica") as replica:
            replica.ask("REPLICAOF", "127.0.0.1", server.port)
            await feed.publish(b"1")
            await until(lambda: replica.ask("HGET", "chan:{\x00f}:meta", "s") == "1")
            replica.ask("REPLICAOF", "NO", "ONE")
            await feed.publish(b"lost there")
            await until(lambda: heard == [b"1", b"lost there"])
            proxy.target = replica.port
            proxy.cut()
            await until(lambda: clients(replica) == 2)
            await until(lambda: is_up(store.backend))
            for data in (b"2", b"3"):
                await feed.publish(data)
            await until(lambda: heard == [b"1", b"lost there", b"2", b"3"])

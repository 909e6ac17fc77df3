"""A server that goes on with less than the last one had: positions stay honest.

The second server is a replica that is detached before the end: what was published after that
is lost when it takes over, and its offsets are given out again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from realtime.backends.base import Backend, Position
from realtime.services import DEFAULT_NAMESPACES
from realtime.services.channels import Channels, Recovered
from tests.redis.network import Proxy
from tests.redis.servers import RedisServer, running_redis
from tests.redis.test_outage import Heard, is_up, store_at
from tests.redis.waiting import until

MINUTE = 60_000_000
KEPT, LOST = 5, 3
LIMIT = 100


async def publish(backend: Backend, *numbers: int) -> Position:
    position = Position(0, "")
    for number in numbers:
        made = await backend.channels.publish(b"news", b"%d" % number, size=100, ttl=MINUTE)
        position = made.position
    return position


def clients(server: RedisServer) -> int:
    """How many links lead there: one for questions, one for what is published."""
    return str(server.ask("CLIENT", "LIST")).count("name=realtime ")


@dataclass
class Takeover:
    """A store whose server has been replaced, and the positions that clients had before."""

    backend: Backend
    kept: Position
    """The newest position that the new server knows."""
    beyond: Position
    """The newest that clients have seen."""
    heard: Heard

    async def recover(self, since: Position) -> Recovered:
        return await Channels(self.backend, DEFAULT_NAMESPACES).recover("news", since, LIMIT)


@asynccontextmanager
async def takeover(server: RedisServer, proxy: Proxy, folder: Path) -> AsyncIterator[Takeover]:
    async with store_at(proxy.url) as store:
        backend = store.backend
        heard = Heard(backend)
        await backend.channels.subscribe(b"news")
        with running_redis(folder / "replica") as replica:
            replica.ask("REPLICAOF", "127.0.0.1", server.port)
            kept = await publish(backend, *range(1, KEPT + 1))
            await until(
                lambda: replica.ask("HGET", "chan:{news}:meta", "s") == str(KEPT)  # it has them
            )
            replica.ask("REPLICAOF", "NO", "ONE")
            beyond = await publish(backend, *range(KEPT + 1, KEPT + LOST + 1))
            await until(lambda: len(heard.data) == KEPT + LOST)
            proxy.target = replica.port
            proxy.cut()
            await until(lambda: clients(replica) == 2)
            await until(lambda: is_up(backend))
            yield Takeover(backend, kept, beyond, heard)


@pytest.fixture
async def taken(server: RedisServer, proxy: Proxy, tmp_path: Path) -> AsyncIterator[Takeover]:
    async with takeover(server, proxy, tmp_path) as taken:
        yield taken


async def test_who_saw_more_than_is_left_is_told_so_at_once(taken: Takeover) -> None:
    await until(lambda: taken.heard.lost == [b"news"])
    assert (await taken.recover(taken.beyond)).recovered is False
    assert (await taken.recover(taken.kept)).recovered is True


async def test_offsets_that_are_given_out_again_are_not_taken_for_the_old_ones(
    taken: Takeover,
) -> None:
    """Without a new epoch, who had seen 8 would be given 9 and told that nothing is missing."""
    again = await publish(taken.backend, *range(101, 101 + LOST + 2))
    assert again.offset > taken.beyond.offset
    assert again.epoch != taken.beyond.epoch
    assert (await taken.recover(taken.beyond)).recovered is False
    assert (await taken.recover(Position(KEPT + 1, taken.beyond.epoch))).recovered is False


async def test_who_saw_no_more_than_is_left_misses_nothing(taken: Takeover) -> None:
    new = await publish(taken.backend, 101, 102)
    for offset in range(KEPT + 1):
        position, recovered, missed = await taken.recover(Position(offset, taken.kept.epoch))
        assert recovered
        assert position == new
        assert [int(item.data) for item in missed] == [*range(offset + 1, KEPT + 1), 101, 102]
    assert (await taken.recover(new)).recovered


async def test_subscribers_who_stayed_are_told_to_come_back(taken: Takeover) -> None:
    """And are then brought what is new, once."""
    await until(lambda: len(taken.heard.lost) > 0)
    del taken.heard.publications[:]
    await publish(taken.backend, 101)
    await until(lambda: len(taken.heard.lost) == 2)  # the epoch is new
    await publish(taken.backend, 102, 103)
    await until(lambda: taken.heard.data == [102, 103])


async def test_a_restart_that_loses_nothing_costs_no_recovery(server: RedisServer) -> None:
    async with store_at(server.url) as store:
        channels = Channels(store.backend, DEFAULT_NAMESPACES)
        before = await publish(store.backend, 1, 2, 3)
        server.ask("SAVE")
        server.kill()
        server.start()
        await until(lambda: is_up(store.backend))
        after = await publish(store.backend, 4)
        assert after.epoch != before.epoch
        position, recovered, missed = await channels.recover("news", before, LIMIT)
        assert (position, recovered) == (after, True)
        assert [int(item.data) for item in missed] == [4]

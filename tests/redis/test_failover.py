"""A master dies under load, and the services find the next one by themselves.

Two services, twenty writers, fifty subscribers; ``kill -9``. Writes are answered once a replica
has them (``--store-wait 1``), so none that was answered may be missing afterwards. What the
window of errors was is printed (``pytest -s``); it is the servers' own failover, mostly.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.redis.cluster import Cluster
from tests.redis.followers import Follower, Row, all_live, check, following
from tests.redis.sentinel import Sentinels
from tests.redis.waiting import until
from tests.service import Service, running_service

WRITERS = 20
SUBSCRIBERS = 50
BOARD, CHANNEL = "arcade", "news"

WINDOW = 20.0
"""Seconds within which errors are forgiven after a death; servers need two to four."""

AFTERWARDS = 1.0
"""Seconds of work without an error that end the test."""


@dataclass
class Load:
    """Writers, what they were answered, and when they were not."""

    nodes: Sequence[Service]
    http: httpx.AsyncClient
    answered: dict[str, int] = field(default_factory=dict)
    """Member -> score, of every submit that was answered 200."""
    published: list[int] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    successes: int = 0
    last_success: dict[str, float] = field(default_factory=dict)
    """By what was asked."""
    _stop: bool = False

    def __post_init__(self) -> None:
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        await asyncio.gather(*[self._submit(number) for number in range(WRITERS)], self._publish())

    async def finish(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        self._stop = True
        await self.task

    async def _submit(self, writer: int) -> None:
        for number in range(10_000_000):
            if self._stop:
                return
            member, score = f"w{writer}:{number}", number + 1
            body = {"member": member, "score": score}
            if await self._post(writer, f"/v1/leaderboards/{BOARD}/scores", body):
                self.answered[member] = score

    async def _publish(self) -> None:
        number = 0
        while not self._stop:
            number += 1
            if await self._post(number, f"/v1/channels/{CHANNEL}/messages", {"data": number}):
                self.published.append(number)
            await asyncio.sleep(0.005)

    async def _post(self, number: int, path: str, body: dict[str, Any]) -> bool:
        """Whether it was answered. Everything but 200 and 503 fails the test."""
        node = self.nodes[number % len(self.nodes)]
        response = await self.http.post(node.url + path, json=body)
        assert response.status_code in (200, 503), response.text
        if response.status_code == 503:
            assert "retry-after" in response.headers
            self.errors.append(time.monotonic())
            await asyncio.sleep(0.02)
            return False
        self.successes += 1
        self.last_success[path] = time.monotonic()
        return True


@contextlib.asynccontextmanager
async def loaded(nodes: Sequence[Service]) -> AsyncIterator[Load]:
    """Under load from the beginning to the end."""
    limits = httpx.Limits(max_connections=WRITERS + 4, max_keepalive_connections=WRITERS + 4)
    async with httpx.AsyncClient(limits=limits, timeout=30) as http:
        load = Load(nodes, http)
        try:
            await until(lambda: load.successes > 200 or load.task.done())
            yield load
        finally:
            load.task.cancel()
            await asyncio.gather(load.task, return_exceptions=True)


async def entries(http: httpx.AsyncClient, node: Service) -> dict[str, int]:
    """The whole board."""
    found: dict[str, int] = {}
    while True:
        url = f"{node.url}/v1/leaderboards/{BOARD}/entries?limit=1000&offset={len(found)}"
        response = await http.get(url)
        assert response.status_code == 200, response.text
        page = response.json()
        found.update({entry["member"]: entry["score"] for entry in page["entries"]})
        if len(found) >= page["total"] or not page["entries"]:
            return found


async def history(http: httpx.AsyncClient, node: Service) -> list[Row]:
    """What the channel holds: all that was ever published, as far as it has survived."""
    rows: list[Row] = []
    while True:
        since = rows[-1][0] if rows else 0
        url = f"{node.url}/v1/channels/{CHANNEL}/messages?limit=1000&since={since}"
        page = (await http.get(url)).json()["publications"]
        if not page:
            return rows
        rows += [(one["offset"], one["data"]) for one in page]


@contextlib.contextmanager
def services(store: str) -> Iterator[list[Service]]:
    options = ("--store", store, "--store-wait", "1", "--channel-history-size", "10000")
    with running_service(None, *options) as one, running_service(None, *options) as other:
        yield [one, other]


async def survive(nodes: list[Service], kill: Callable[[], object]) -> None:
    """Kill, under load; then compare what was answered with what is there."""
    followers = [
        Follower(CHANNEL, lambda port=nodes[number % 2].port: [port])  # type: ignore[misc]
        for number in range(SUBSCRIBERS)
    ]
    async with following(followers), loaded(nodes) as load:
        killed = time.monotonic()
        await asyncio.to_thread(kill)

        def calm() -> bool:
            last = max([killed, *load.errors])
            return bool(load.errors) and min(load.last_success.values()) - last > AFTERWARDS

        await until(calm, WINDOW + 10)
        await load.finish()
        assert min(load.errors) >= killed, "errors before anything was wrong"
        window = max(load.errors) - killed
        print(f"\nerrors for {window:.2f} s, {len(load.answered):,} scores answered")  # noqa: T201
        assert window < WINDOW
        await compare(load, followers)


async def compare(load: Load, followers: Sequence[Follower]) -> None:
    node = load.nodes[0]
    there = await entries(load.http, node)
    missing = {m: score for m, score in load.answered.items() if there.get(m) != score}
    assert not missing, f"{len(missing)} of {len(load.answered)} answered writes are lost"
    truth = await history(load.http, node)
    assert set(load.published) <= {data for _, data in truth}
    await all_live(followers)
    await until(lambda: all(one.rows and one.rows[-1] == truth[-1] for one in followers))
    for follower in followers:
        check(follower, truth)


@pytest.mark.timeout(180)
async def test_a_master_behind_sentinels_dies(sentinels: Sentinels) -> None:
    with services(sentinels.url) as nodes:
        await survive(nodes, sentinels.kill_master)


def replace(cluster: Cluster, key: str) -> None:
    """Kill; and bring it back, since the one replica it had is a master now: until there is
    another one, no write can be confirmed."""
    dead = cluster.kill_master_of(key)
    cluster.wait_for_failover(key, dead)
    cluster.restart(dead)


@pytest.mark.timeout(180)
async def test_the_master_of_a_shard_dies(cluster: Cluster) -> None:
    """Half of the work goes to other shards, and goes on."""
    with services(cluster.url) as nodes:
        await survive(nodes, lambda: replace(cluster, f"lb:{{{BOARD}}}"))


@pytest.mark.timeout(180)
async def test_the_master_of_a_channel_dies(cluster: Cluster) -> None:
    with services(cluster.url) as nodes:
        await survive(nodes, lambda: replace(cluster, f"chan:{{{CHANNEL}}}"))

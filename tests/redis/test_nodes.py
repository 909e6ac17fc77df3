"""Two services on one Redis, and clients that do not care which one they are connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.redis.followers import Follower, all_live, check, following
from tests.redis.servers import RedisServer, running_redis
from tests.redis.waiting import until
from tests.service import Service, running_service
from tests.ws.peer import Peer

CLIENTS = 100
PUBLICATIONS = 300


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def nodes(redis: RedisServer) -> Iterator[list[Service]]:
    options = ("--store", redis.url, "--presence-ttl", "3", "--channel-history-size", "1000")
    with running_service(None, *options) as one, running_service(None, *options) as other:
        yield [one, other]


async def publish(http: httpx.AsyncClient, node: Service, channel: str, data: int) -> int:
    url = f"{node.url}/v1/channels/{channel}/messages"
    response = await http.post(url, json={"data": data})
    assert response.status_code == 200, response.text
    offset: int = response.json()["offset"]
    return offset


async def test_everybody_gets_everything_once_in_order_also_when_a_node_dies(
    nodes: list[Service],
) -> None:
    alive = list(nodes)
    followers = [Follower("news", lambda: [node.port for node in alive]) for _ in range(CLIENTS)]
    truth: list[tuple[int, int]] = []
    async with following(followers), httpx.AsyncClient() as http:
        for number in range(PUBLICATIONS):
            if number == PUBLICATIONS // 2:
                alive.remove(nodes[1])
                nodes[1].process.kill()
            node = alive[number % len(alive)]
            truth.append((await publish(http, node, "news", number), number))
        await all_live(followers)
        await until(lambda: all(len(one.rows) >= PUBLICATIONS for one in followers))
        for follower in followers:
            check(follower, truth)
            assert all(follower.recovered)
        assert sum(len(follower.recovered) for follower in followers) >= CLIENTS // 4


async def test_a_node_that_dies_leaves_no_ghost_beyond_its_presence_ttl(
    nodes: list[Service],
) -> None:
    followers = [Follower("lobby", lambda port=node.port: [port]) for node in nodes]  # type: ignore[misc]
    async with following(followers), httpx.AsyncClient() as http:
        presence = f"{nodes[0].url}/v1/channels/lobby/presence"

        async def present() -> tuple[int, int]:
            """By the list of the channel's clients, and by the list of channels."""
            clients = (await http.get(presence)).json()["clients"]
            (lobby,) = (await http.get(f"{nodes[0].url}/v1/channels")).json()["channels"]
            return len(clients), lobby["clients"]

        async def alone() -> bool:
            return await present() == (1, 1)

        assert await present() == (2, 2)
        nodes[1].process.kill()
        assert await present() == (2, 2)  # nobody can know yet
        assert await until(alone) < 3 + 1


async def test_rules_that_one_node_changes_hold_on_the_other_at_once(nodes: list[Service]) -> None:
    one, other = nodes
    async with httpx.AsyncClient() as http:
        rule = {"limit": 5, "per": 3600}
        assert (await http.put(f"{one.url}/v1/limits/login", json=rule)).status_code == 200
        take = f"{other.url}/v1/limits/login/take"
        assert (await http.post(take, json={"key": "ada"})).json()["limit"] == 5

        async def limit_is(limit: int) -> bool:
            answer: int = (await http.post(take, json={"key": "ada"})).json()["limit"]
            return answer == limit

        for limit in range(6, 26):
            rule["limit"] = limit
            await http.put(f"{one.url}/v1/limits/login", json=rule)
            # A round trip, not the seconds of the safety net.
            assert await until(lambda limit=limit: limit_is(limit)) < 1  # type: ignore[misc]

        board = "/v1/leaderboards/arcade"

        async def order_at(node: Service) -> object:
            return (await http.get(node.url + board)).json()["order"]

        async def ascends() -> bool:
            return await order_at(one) == "asc"

        assert [await order_at(node) for node in nodes] == ["desc", "desc"]
        await http.put(other.url + board, json={"order": "asc"})
        assert await until(ascends) < 1


async def watch(port: int, tops: list[dict[str, Any]], live: asyncio.Event) -> None:
    """Collect the tops of a live board, until cancelled."""
    peer = await Peer.dial(port)
    try:
        await peer.connect()
        await peer.subscribe("leaderboard:arcade")
        live.set()
        while True:
            item = await peer.receive()
            if "pub" in item.get("push", {}):
                tops.append(item["push"]["pub"]["data"])
    finally:
        await peer.end()


def best(tops: list[dict[str, Any]]) -> float | None:
    """The score that was shown first last."""
    entries = tops[-1]["entries"] if tops else []
    return entries[0]["score"] if entries else None


async def test_a_live_board_is_published_once_for_all_nodes(nodes: list[Service]) -> None:
    """Scores arrive at both nodes; watchers of both see the same tops, at the pace of one."""
    loop = asyncio.get_running_loop()
    seen: list[list[dict[str, Any]]] = [[], []]
    live = [asyncio.Event(), asyncio.Event()]
    watchers = [
        asyncio.create_task(watch(node.port, tops, event))
        for node, tops, event in zip(nodes, seen, live, strict=True)
    ]
    async with httpx.AsyncClient() as http:
        await asyncio.gather(*[event.wait() for event in live])
        started = loop.time()
        for number in range(400):
            url = f"{nodes[number % 2].url}/v1/leaderboards/arcade/scores"
            await http.post(url, json={"member": f"p{number % 20}", "score": number + 1})
        await until(lambda: all(best(tops) == 400 for tops in seen))
        elapsed = loop.time() - started
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    one, other = ([top for top in tops if top["version"]] for tops in seen)
    versions = [top["version"] for top in one]
    assert versions == sorted(set(versions))
    assert one[-3:] == other[-3:]
    assert len(one) <= versions[-1] <= elapsed / 0.1 + 2


async def test_a_member_may_be_followed_from_node_to_node(nodes: list[Service]) -> None:
    """A client that moves sees the latest, and tells it by the version; both nodes hear of all."""
    channel = "leaderboard:arcade:ada"
    seen: list[dict[str, Any]] = []
    async with httpx.AsyncClient() as http:
        for number in range(6):
            here, there = nodes[number % 2], nodes[1 - number % 2]
            scores = f"{there.url}/v1/leaderboards/arcade/scores"
            peer = await Peer.dial(here.port)
            try:
                await peer.connect()
                await peer.subscribe(channel)
                seen.append(await peer.published())
                if number:  # the rank of before, by a look that is later
                    assert seen[-1]["rank"] == seen[-2]["rank"]
                member = "ada" if number % 2 == 0 else f"p{number}"
                await http.post(scores, json={"member": member, "score": number + 1})
                seen.append(await peer.published())
                assert seen[-1]["previous_rank"] == seen[-2]["rank"]
            finally:
                await peer.end()
    assert [one["rank"] for one in seen[1::2]] == [1, 2, 1, 2, 1, 2]
    versions = [one["version"] for one in seen]
    assert versions == sorted(set(versions))

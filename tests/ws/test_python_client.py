"""The stock Python client against a running service.

Nothing here knows the protocol: every promise is one that the client makes to its users.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import centrifuge
import httpx
import pytest

from realtime import keyfile
from tests.redis.stores import STORES, store_options
from tests.service import Service, running_service
from tests.ws.sdk import PATIENCE, Client, Events, connecting, subscribed


@pytest.fixture(scope="module", params=STORES)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with (
        store_options(request.param, tmp_path_factory.mktemp("store")) as options,
        running_service(None, *options) as running,
    ):
        yield running


@pytest.fixture
async def connect(service: Service) -> AsyncIterator[Client]:
    """``await connect(**options)`` answers a connected client; all are gone after the test."""
    async with connecting() as connect:

        async def connected(url: str = service.websocket_url, **options: Any) -> Any:
            client = await connect(url, **options)
            await client.ready(PATIENCE)
            return client

        yield connected


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url) as client:
        yield client


async def publish(http: httpx.AsyncClient, channel: str, data: object) -> Any:
    response = await http.post(f"/v1/channels/{channel}/messages", json={"data": data})
    assert response.status_code == 200
    return response.json()


async def test_it_connects(connect: Client) -> None:
    client = await connect()
    event = await client.events.next("connected")
    assert len(event.client) == 36


async def test_it_receives_what_is_published(connect: Client, http: httpx.AsyncClient) -> None:
    reader, writer = await connect(), await connect()
    sub, events = await subscribed(reader, "py:news")
    position = await publish(http, "py:news", {"über": None})
    pub = (await events.next("publication")).pub
    assert (pub.data, pub.offset, pub.info) == ({"über": None}, position["offset"], None)
    await writer.publish("py:news", [1, 2])
    pub = (await events.next("publication")).pub
    assert (pub.data, pub.info.user) == ([1, 2], "")
    await sub.publish("mine")
    assert (await events.next("publication")).pub.data == "mine"


async def test_it_reads_history(connect: Client, http: httpx.AsyncClient) -> None:
    for number in range(1, 6):
        await publish(http, "py:history", number)
    client = await connect()
    page = await client.history("py:history", limit=10)
    assert ([pub.data for pub in page.publications], page.offset) == ([1, 2, 3, 4, 5], 5)
    since = centrifuge.StreamPosition(offset=3, epoch=page.epoch)
    rest = await client.history("py:history", limit=10, since=since)
    assert [pub.data for pub in rest.publications] == [4, 5]
    back = await client.history("py:history", limit=2, reverse=True)
    assert [pub.data for pub in back.publications] == [5, 4]


async def test_it_sees_who_is_present(connect: Client) -> None:
    one, two = await connect(), await connect()
    assert (await one.presence_stats("py:room")).num_clients == 0
    await subscribed(one, "py:room")
    sub, _ = await subscribed(two, "py:room")
    ids = {(await client.events.next("connected")).client for client in (one, two)}
    assert set((await one.presence("py:room")).clients) == ids
    await sub.unsubscribe()
    stats = await two.presence_stats("py:room")
    assert (stats.num_clients, stats.num_users) == (1, 1)


async def test_it_sees_joins_and_leaves(connect: Client) -> None:
    watcher, other = await connect(), await connect()
    _, events = await subscribed(watcher, "py:lobby", join_leave=True)
    own = (await watcher.events.next("connected")).client
    assert (await events.next("join")).info.client == own
    sub, _ = await subscribed(other, "py:lobby")
    who = (await other.events.next("connected")).client
    assert (await events.next("join")).info.client == who
    await sub.unsubscribe()
    assert (await events.next("leave")).info.client == who


async def test_it_comes_back_to_what_it_unsubscribed_from(
    connect: Client, http: httpx.AsyncClient
) -> None:
    client = await connect()
    sub, events = await subscribed(client, "py:quiet")
    await sub.unsubscribe()
    await events.next("unsubscribed")
    await publish(http, "py:quiet", "meanwhile")
    await sub.subscribe()
    assert (await events.next("publication")).pub.data == "meanwhile"


async def test_it_recovers_after_a_dropped_socket(connect: Client, http: httpx.AsyncClient) -> None:
    client = await connect()
    _, events = await subscribed(client, "py:recover")
    await events.next("subscribed")
    await publish(http, "py:recover", 0)
    assert (await events.next("publication")).pub.data == 0
    client._conn.transport.abort()
    for number in range(1, 21):
        await publish(http, "py:recover", number)
    again = await events.next("subscribed")
    assert (again.was_recovering, again.recovered) == (True, True)
    seen = [(await events.next("publication")).pub.data for _ in range(20)]
    assert seen == list(range(1, 21))


async def test_it_is_told_when_it_cannot_recover(connect: Client, http: httpx.AsyncClient) -> None:
    client = await connect()
    _, events = await subscribed(client, "py:lost")
    await events.next("subscribed")
    await client.disconnect()
    for number in range(120):  # 100 are kept
        await publish(http, "py:lost", number)
    await client.connect()
    again = await events.next("subscribed")
    assert (again.was_recovering, again.recovered) == (True, False)
    assert again.stream_position.offset == 120


async def test_it_watches_a_leaderboard(connect: Client, http: httpx.AsyncClient) -> None:
    client = await connect()
    _, events = await subscribed(client, "leaderboard:py")
    assert (await events.next("publication")).pub.data["entries"] == []
    response = await http.post("/v1/leaderboards/py/scores", json={"member": "ada", "score": 3})
    assert response.status_code == 200
    shown = (await events.next("publication")).pub.data
    assert shown["entries"] == [{"rank": 1, "member": "ada", "score": 3}]


async def test_it_is_refused_with_the_numbers_of_the_protocol(connect: Client) -> None:
    client = await connect()

    async def refusal(request: Awaitable[object]) -> int:
        with pytest.raises(centrifuge.ReplyError) as refused:
            await request
        code: int = refused.value.code
        return code

    assert await refusal(client.rpc("anything", {})) == 104
    assert await refusal(client.publish("leaderboard:py", 1)) == 103
    assert await refusal(client.publish("x" * 256, 1)) == 107
    since = centrifuge.StreamPosition(offset=1, epoch="another")
    assert await refusal(client.history("py:history", since=since)) == 112


async def test_a_wrong_token_is_final(tmp_path: Path, connect: Client) -> None:
    with running_service(tmp_path, env={"REALTIME_KEYS_FILE": str(_keys(tmp_path))}) as guarded:
        client = centrifuge.Client(
            guarded.websocket_url, events=Events(), token="rt_wrong", proxy=None
        )
        await client.connect()
        gone = await client.events.next("disconnected")
        assert (gone.code, gone.reason) == (3500, "invalid token")


async def test_a_restart_is_survived(tmp_path: Path, connect: Client) -> None:
    with running_service(tmp_path) as stopping:
        client = await connect(stopping.websocket_url, max_reconnect_delay=20.0)
        await client.events.next("connecting")
        stopped = asyncio.create_task(asyncio.to_thread(stopping.stop))
        event = await client.events.next("connecting")
        assert (event.code, event.reason) == (3001, "shutdown")
        assert await stopped == 0
        await client.disconnect()


def _keys(folder: Path) -> Path:
    path = folder / "some-keys.json"
    keyfile.add(path, keyfile.issue("app", ("*",), datetime.now(UTC)).record)
    return path

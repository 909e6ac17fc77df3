"""Real services that are killed, with real clients: who left is told, who came back is not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import jwt
import pytest

from tests.redis.servers import RedisServer, running_redis
from tests.redis.waiting import until
from tests.service import Service, running_service
from tests.webhooks.receiver import HANG, Receiver
from tests.ws.peer import Peer

TOKEN_SECRET = "a secret of thirty-two bytes, or more"
DEBOUNCE = 1.0
"""Seconds: longer than the machine stalls."""
TTL = 3.0

ENVIRONMENT = {
    "REALTIME_TOKEN_HMAC_SECRET": TOKEN_SECRET,
    "REALTIME_TOKEN_ADMIN": "true",
    "REALTIME_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "REALTIME_WEBHOOK_DEBOUNCE": str(DEBOUNCE),
    "REALTIME_WEBHOOK_TIMEOUT": "1",
    "REALTIME_PRESENCE_TTL": str(TTL),
    "REALTIME_SHUTDOWN_SPREAD": "0",
}

Start = Callable[[], Awaitable[Service]]


@pytest.fixture
async def start(
    receiver: Receiver, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Start]:
    """Starts a service that tells the receiver; the store is what the test's parameter says."""
    environment = ENVIRONMENT | {"REALTIME_WEBHOOK_URL": receiver.url}
    running: list[AbstractContextManager[Service]] = []
    with contextlib.ExitStack() as stores:
        redis = request.param == "redis"
        server = stores.enter_context(running_redis(tmp_path / "redis")) if redis else None
        options = () if server is None else ("--store", server.url)
        data = tmp_path / "data" if server is None else None

        async def start_one() -> Service:
            """From another thread: the receiver is of this loop."""
            running.append(running_service(data, *options, env=environment))
            return await asyncio.to_thread(running[-1].__enter__)

        try:
            yield start_one
        finally:
            for one in running:
                await asyncio.to_thread(one.__exit__, None, None, None)


both = pytest.mark.parametrize("start", ["embedded", "redis"], indirect=True)
on_redis = pytest.mark.parametrize("start", ["redis"], indirect=True)
embedded = pytest.mark.parametrize("start", ["embedded"], indirect=True)


def token(user: str, *scopes: str) -> str:
    claims = {"sub": user, "scopes": list(scopes)} if scopes else {"sub": user}
    return jwt.encode(claims, TOKEN_SECRET, algorithm="HS256")


def operator(service: Service) -> httpx.AsyncClient:
    """Somebody who may do everything over HTTP."""
    headers = {"authorization": f"Bearer {token('operator', '*')}"}
    return httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30)


async def come(service: Service, *users: str) -> list[Peer]:
    """A client of each user."""
    peers = []
    for user in users:
        peers.append(await Peer.dial(service.port))
        await peers[-1].connect(token(user))
    return peers


async def go(peers: list[Peer]) -> None:
    for peer in peers:
        await peer.end()


async def figure(service: Service, name: str) -> float:
    async with operator(service) as http:
        text = (await http.get("/metrics")).text
    (value,) = [line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(value)


async def passed(seconds: float) -> None:
    """Real time, for what must not happen meanwhile."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    await until(lambda: loop.time() >= end)


@both
async def test_who_leaves_is_told_and_who_comes_back_is_not(
    start: Start, receiver: Receiver
) -> None:
    service = await start()
    names = [f"user {number}" for number in range(20)]
    peers = await come(service, *names)
    second = await come(service, names[0], names[1])
    await go(peers)
    await asyncio.sleep(0)
    back = await come(service, *names[2:5])
    await until(lambda: len(set(receiver.users)) == 15)
    await passed(2 * DEBOUNCE)
    assert sorted(set(receiver.users)) == sorted(names[5:]), "0 and 1 were connected twice"
    assert await figure(service, "realtime_webhook_sent_total") == 15
    assert await figure(service, "realtime_webhook_pending") == 0
    await go(second + back)
    await until(lambda: set(receiver.users) == set(names))
    assert all(one.headers["webhook-signature"].startswith("v1,") for one in receiver.requests)
    assert not any("sesame" in line or "whsec" in line for line in service.log)


@embedded
async def test_after_a_kill_those_who_stay_away_are_told(start: Start, receiver: Receiver) -> None:
    service = await start()
    peers = await come(service, "stays away", "comes back", "has just left")
    await go(peers[2:])
    service.process.kill()
    service.process.wait()
    await passed(2 * DEBOUNCE)
    await go(peers)
    service = await start()
    back = await come(service, "comes back")
    await until(lambda: len(set(receiver.users)) == 2)
    await passed(2 * DEBOUNCE)
    assert set(receiver.users) == {"stays away", "has just left"}
    await go(back)
    await until(lambda: "comes back" in receiver.users)


@both
async def test_what_was_being_told_at_a_kill_is_told_again(
    start: Start, receiver: Receiver
) -> None:
    service = await start()
    receiver.otherwise = HANG
    names = [f"user {number}" for number in range(30)]
    await go(await come(service, *names))
    await until(lambda: len(receiver.requests) >= 16)
    service.process.kill()
    service.process.wait()
    before = {one.user: one.event["id"] for one in receiver.requests}
    receiver.requests.clear()
    receiver.otherwise = 200
    receiver.release()
    await start()
    await until(lambda: set(receiver.users) == set(names))
    after = {one.user: one.event["id"] for one in receiver.requests}
    assert {user: after[user] for user in before} == before


@on_redis
async def test_other_nodes_tell_of_the_users_of_a_dead_one(
    start: Start, receiver: Receiver
) -> None:
    dead, alive = await start(), await start()
    names = [f"user {number}" for number in range(20)]
    peers = await come(dead, *names)
    elsewhere = await come(alive, names[0])
    dead.process.kill()
    dead.process.wait()
    back = await come(alive, *names[1:4])
    await until(lambda: len(set(receiver.users)) == 16)
    await passed(TTL)
    assert sorted(set(receiver.users)) == sorted(names[4:])
    await go(peers + elsewhere + back)
    await until(lambda: set(receiver.users) == set(names))


@embedded
async def test_the_end_of_a_service_is_nobodys_departure(start: Start, receiver: Receiver) -> None:
    """Whoever it sends away has the debounce from the next start on to come back."""
    service = await start()
    peers = await come(service, "comes back", "stays away")
    assert await asyncio.to_thread(service.stop) == 0
    await go(peers)
    await passed(2 * DEBOUNCE)
    service = await start()
    back = await come(service, "comes back")
    await until(lambda: "stays away" in receiver.users)
    await passed(2 * DEBOUNCE)
    assert set(receiver.users) == {"stays away"}
    await go(back)


@both
async def test_a_receiver_that_hangs_slows_nothing_down(start: Start, receiver: Receiver) -> None:
    service = await start()
    receiver.otherwise = HANG
    await go(await come(service, *[f"user {number}" for number in range(50)]))
    await until(lambda: receiver.under_way > 0)
    async with operator(service) as http:
        for _ in range(200):
            answer = await http.post("/v1/counters/visits/add")
            assert answer.status_code == 200
        assert (await http.get("/readyz")).status_code == 200
    receiver.otherwise = 200
    receiver.release()
    await until(lambda: len(set(receiver.users)) == 50, within=60)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path / "redis") as server:
        yield server


async def test_where_nobody_is_to_be_told_nothing_is_written(
    redis: RedisServer, tmp_path: Path
) -> None:
    environment = {
        "REALTIME_TOKEN_HMAC_SECRET": TOKEN_SECRET,
        "REALTIME_TOKEN_ADMIN": "true",
    }
    with running_service(None, "--store", redis.url, env=environment) as service:
        await go(await come(service, "ada"))
        await until(lambda: redis.ask("EXISTS", "nodes") == 1)
        assert redis.ask("KEYS", "left:*") == []
        async with operator(service) as http:
            metrics = await http.get("/metrics")
        assert metrics.status_code == 200
        assert "webhook" not in metrics.text

"""A whole service on a store that comes and goes: what its doors say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from realtime.middleware import RateLimitMiddleware, RemoteLimiter, Rule
from tests.redis.network import Proxy
from tests.redis.servers import RedisServer
from tests.redis.waiting import until
from tests.service import Service, running_service
from tests.ws.peer import Peer

COUNTER = "/v1/counters/visits/add"
TIMEOUT = 0.5
GRACE = 2.0
"""Seconds that a busy machine, and fifty new connections, may add."""
ATTEMPTS = 4
"""What makes callers wait does so every time; a machine that stalls does not."""


@contextlib.asynccontextmanager
async def served(proxy: Proxy, timeout: float) -> AsyncIterator[Service]:
    """On a wire that can break. It is started from another thread: the wire is of this loop."""
    starting = running_service(None, "--store", proxy.url, "--store-timeout", str(timeout))
    service = await asyncio.to_thread(starting.__enter__)
    try:
        yield service
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)


@pytest.fixture
async def service(proxy: Proxy) -> AsyncIterator[Service]:
    async with served(proxy, TIMEOUT) as service:
        yield service


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as http:
        yield http


async def status(http: httpx.AsyncClient, path: str) -> int:
    return (await http.get(path)).status_code


async def longest_refusal(http: httpx.AsyncClient) -> float:
    """Of 50 writes at once into an outage; in seconds."""
    loop = asyncio.get_running_loop()

    async def refused() -> float:
        started = loop.time()
        answer = await http.post(COUNTER)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["type"] == "/docs/errors#unavailable"
        return loop.time() - started

    return max(await asyncio.gather(*[refused() for _ in range(50)]))


async def test_an_outage_is_told_at_once_everywhere_and_ends_by_itself(
    http: httpx.AsyncClient, proxy: Proxy
) -> None:
    async def ready() -> bool:
        return await status(http, "/readyz") == 200

    assert (await http.post(COUNTER)).json()["value"] == 1
    waited: list[float] = []
    for _ in range(ATTEMPTS):
        assert await ready()
        proxy.hold()
        waited.append(await longest_refusal(http))
        readiness = await http.get("/readyz")
        assert readiness.status_code == 503
        assert "store" in readiness.json()["detail"]
        assert await status(http, "/healthz") == 200, "to restart this process would not help"
        assert "realtime_store_up 0.0" in (await http.get("/metrics")).text
        proxy.carry()
        assert await until(ready) < 5
        assert (await http.post(COUNTER)).status_code == 200
        assert "realtime_store_up 1.0" in (await http.get("/metrics")).text
        if waited[-1] < TIMEOUT + GRACE:
            return
    pytest.fail(f"callers waited {waited} s")


async def test_websockets_outlive_an_outage(
    service: Service, http: httpx.AsyncClient, proxy: Proxy
) -> None:
    peer = await Peer.dial(service.port)
    try:
        await peer.connect()
        await peer.subscribe("news")
        proxy.hold()
        reply = await peer.ask(publish={"channel": "news", "data": 1})
        assert reply["error"] == {
            "code": 100,
            "message": "internal server error",
            "temporary": True,
        }
        proxy.carry()

        async def published() -> bool:
            answer = await http.post("/v1/channels/news/messages", json={"data": "again"})
            return answer.status_code == 200

        await until(published)
        while (await peer.pushed())["pub"]["data"] != "again":
            pass  # what was refused for lack of an answer may have been published nevertheless
    finally:
        await peer.end()


async def test_the_middleware_does_what_it_was_told_to_do_in_an_outage(
    service: Service, proxy: Proxy
) -> None:
    login = {"/": Rule("login", limit=2, per=60)}
    passes = RemoteLimiter(service.url, timeout=5, on_outage="allow")
    denies = RemoteLimiter(service.url, timeout=5, on_outage="deny")
    page = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])

    async def asked(limiter: RemoteLimiter) -> httpx.Response:
        app = RateLimitMiddleware(page, rules=login, limiter=limiter)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
            return await http.get("/")

    try:
        answer = await asked(passes)
        assert answer.headers["ratelimit"].startswith('"login";r=1')
        proxy.hold()
        undecided = await asked(passes)
        assert (undecided.status_code, "ratelimit" in undecided.headers) == (200, False)
        assert (await asked(denies)).status_code == 503
    finally:
        await passes.close()
        await denies.close()


async def test_a_request_that_waits_for_the_store_is_finished_on_sigterm(
    server: RedisServer, proxy: Proxy
) -> None:
    async with (
        served(proxy, timeout=30) as service,
        httpx.AsyncClient(base_url=service.url, timeout=30) as http,
    ):
        assert (await http.post("/v1/counters/c/add")).status_code == 200  # connected by now
        proxy.hold(requests=False)
        asked = asyncio.create_task(http.post("/v1/counters/c/add"))
        await until(lambda: server.ask("GET", "cnt:{c}") == "2")  # it waits for the answer
        service.process.terminate()
        await until(lambda: refuses(service.port))
        proxy.carry()
        answer = await asked
        assert (answer.status_code, answer.json()["value"]) == (200, 2)
        assert answer.headers["connection"] == "close"
        assert await asyncio.to_thread(service.process.wait, 30) == 0


async def refuses(port: int) -> bool:
    """Whether nobody listens there any more."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return True
    writer.close()
    return False


def test_a_service_starts_without_its_store_and_says_so(
    server: RedisServer, tmp_path: Path
) -> None:
    server.kill()
    with running_service(tmp_path, "--store", server.url, "--store-timeout", "0.2") as service:
        assert httpx.get(f"{service.url}/readyz").status_code == 503
        assert httpx.get(f"{service.url}/v1/counters/c").status_code == 503
        server.start()
        asyncio.run(_until_ready(service))
        assert httpx.get(f"{service.url}/v1/counters/c").status_code == 404
        assert service.stop() == 0


async def _until_ready(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url) as http:

        async def ready() -> bool:
            return await status(http, "/readyz") == 200

        await until(ready)


def test_no_line_holds_the_password(acl_server: RedisServer, tmp_path: Path) -> None:
    url = f"redis://app:not-the-password@127.0.0.1:{acl_server.port}"
    environ = {"REALTIME_STORE": url}
    with running_service(tmp_path, "--store-timeout", "0.2", env=environ) as service:
        assert httpx.get(f"{service.url}/v1/counters/c").status_code == 503
        assert "not-the-password" not in httpx.get(f"{service.url}/readyz").text
        assert service.stop() == 0
        assert service.process.stdout is not None
        said = service.process.stdout.read() + "".join(service.log)
    assert "invalid username-password pair" in said
    assert "not-the-password" not in said

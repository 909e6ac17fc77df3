"""A limiter at the other end of HTTP: its answers, its silence, and what the app notices."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from realtime.middleware import RateLimitMiddleware, RemoteLimiter, Rule
from tests.middleware.conftest import Ask, lifespan, shop
from tests.middleware.remote import ITEMS, Policy, guarded, limiter
from tests.redis.network import Silent, silent
from tests.redis.waiting import until


class Fake:
    """A service that answers what a test wants, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[dict[str, object]] = []
        self.broken: httpx.Response | Exception | None = None
        self.knows_rules = True
        self.allowed = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.method, request.url.raw_path.decode()))
        self.bodies.append(json.loads(request.content))
        if isinstance(self.broken, Exception):
            raise self.broken
        if self.broken is not None:
            return self.broken
        if request.method == "PUT":
            self.knows_rules = True
            return httpx.Response(200, json={})
        if not self.knows_rules:
            return httpx.Response(404, json={})
        left = {"allowed": self.allowed, "limit": 3, "remaining": 2, "reset_after": 100.0}
        return httpx.Response(200, json=left | {"retry_after": 0.0 if self.allowed else 1.5})

    def takes(self) -> int:
        return sum(method == "POST" for method, _ in self.asked)


@pytest.fixture
def fake() -> Fake:
    return Fake()


class TestConversation:
    async def test_a_rule_is_defined_once_and_then_used(self, fake: Fake) -> None:
        async with limiter(fake) as remote:
            assert await guarded(remote).statuses(3) == [200] * 3
        definitions = [ask for ask in fake.asked if ask[0] == "PUT"]
        assert definitions == [
            ("PUT", f"/v1/limits/{name}") for name in ("items", "burst", "daily")
        ]
        assert fake.asked[3:] == [("POST", "/v1/limits/items/take")] * 3
        assert fake.bodies[0] == {
            "algorithm": "token_bucket",
            "limit": 3,
            "per": 300,
            "shadow": False,
        }
        assert fake.bodies[-1] == {"key": "ip:203.0.113.7", "cost": 1}

    async def test_a_service_that_forgot_its_rules_is_told_again(self, fake: Fake) -> None:
        async with limiter(fake) as remote:
            ask = guarded(remote)
            await ask()
            fake.knows_rules = False
            assert (await ask()).headers["ratelimit"] == '"items";r=2;t=100'
        assert [method for method, _ in fake.asked[-3:]] == ["POST", "PUT", "POST"]

    async def test_a_name_is_one_segment_of_the_path(self, fake: Fake) -> None:
        rule = Rule("a/b?c #1", limit=1, per=1)
        async with limiter(fake) as remote:
            app = RateLimitMiddleware(shop(), rules={"*": rule}, limiter=remote)
            await Ask(app)()
        assert fake.asked[-1] == ("POST", "/v1/limits/a%2Fb%3Fc%20%231/take")

    async def test_a_refusal_is_handed_on(self, fake: Fake) -> None:
        fake.allowed = False
        async with limiter(fake) as remote:
            answer = await guarded(remote)()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")

    async def test_the_connection_is_closed_with_the_app_and_opened_again(self, fake: Fake) -> None:
        remote = RemoteLimiter("http://limits", transport=httpx.MockTransport(fake))
        app = Starlette()
        app.add_middleware(RateLimitMiddleware, rules={"*": ITEMS}, limiter=remote)
        for _ in range(2):
            async with lifespan(app):
                assert fake.asked[-1][0] == "PUT", "defined before the first request"
                assert (await Ask(app)()).headers["ratelimit"] == '"items";r=2;t=100'
            assert vars(remote)["_client"] is None

    @pytest.mark.parametrize("url", ["", "limits:8080", "ftp://limits", "//limits"])
    def test_what_is_no_url_is_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match="no URL of a service"):
            RemoteLimiter(url)


NONSENSE = [
    httpx.ConnectError("Connection refused"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("not HTTP"),
    RuntimeError("Event loop is closed"),
    httpx.Response(500, text="x" * 10_000),
    httpx.Response(401, json={"title": "Unauthorized"}),
    httpx.Response(302, headers={"location": "http://elsewhere"}),
    httpx.Response(200, content=b""),
    httpx.Response(200, content=b"<html>"),
    httpx.Response(200, content=b"[]"),
    httpx.Response(200, json={}),
    httpx.Response(200, json={"allowed": True, "limit": None}),
]


class TestOutage:
    @pytest.mark.parametrize("broken", NONSENSE, ids=repr)
    async def test_requests_pass_without_headers_if_that_is_the_policy(
        self, fake: Fake, broken: httpx.Response | Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        fake.broken = broken
        async with limiter(fake) as remote:
            answers = [await guarded(remote)() for _ in range(3)]
        for answer in answers:
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
        assert all(len(record.getMessage()) < 400 for record in caplog.records)

    @pytest.mark.parametrize("broken", NONSENSE, ids=repr)
    async def test_or_are_turned_away_with_a_503(
        self, fake: Fake, broken: httpx.Response | Exception
    ) -> None:
        fake.broken = broken
        async with limiter(fake, on_outage="deny") as remote:
            for path in ("/items/1", "/login"):
                answer = await guarded(remote)(path)
                assert answer.status_code == 503
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["retry-after"] == "1"
                assert answer.json()["type"].endswith("#temporary-reduced-capacity")

    async def test_an_outage_is_logged_at_a_bounded_rate_and_without_the_key(
        self, fake: Fake, caplog: pytest.LogCaptureFixture
    ) -> None:
        fake.broken = httpx.ConnectError("Connection refused")
        async with limiter(fake) as remote:
            with caplog.at_level(logging.DEBUG, "realtime"):
                await guarded(remote).statuses(100)
        lines = [record for record in caplog.records if record.name.startswith("realtime")]
        assert len(lines) == 1
        assert "Connection refused" in caplog.text
        assert "rt_key" not in caplog.text

    async def test_a_dead_service_is_left_alone_for_a_moment_and_tried_again(
        self, fake: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = [1_000.0]
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock[0])
        async with limiter(fake) as remote:
            ask = guarded(remote)
            await ask()
            fake.broken = httpx.ConnectError("Connection refused")
            asked = fake.takes()
            await ask.statuses(50)
            assert fake.takes() == asked + 5
            clock[0] += 1.1
            await ask.statuses(50)
            assert fake.takes() == asked + 6
            clock[0] += 1.1
            fake.broken = None
            assert "ratelimit" in (await ask()).headers
            fake.broken = httpx.ConnectError("Connection refused")
            asked = fake.takes()
            await ask.statuses(50)
            assert fake.takes() == asked + 5


class TestSilence:
    """A server that accepts connections, and never says a word."""

    @pytest.fixture
    async def mute(self) -> AsyncIterator[Silent]:
        async with silent() as server:
            yield server

    @pytest.fixture
    def url(self, mute: Silent) -> str:
        return f"http://127.0.0.1:{mute.port}"

    @pytest.mark.parametrize(("policy", "status"), [("allow", 200), ("deny", 503)])
    async def test_it_costs_a_request_the_deadline_and_no_more(
        self, url: str, policy: Policy, status: int
    ) -> None:
        async with limiter(url=url, on_outage=policy, timeout=0.05) as remote:
            ask = guarded(remote)
            started = time.monotonic()
            answers = await asyncio.gather(*(ask() for _ in range(20)))
            took = time.monotonic() - started
        assert {answer.status_code for answer in answers} == {status}
        # The rules (three), then all requests at once: four deadlines, and a slow machine's share.
        assert took < 2.0

    async def test_the_loop_is_never_blocked(self, url: str) -> None:
        loop = asyncio.get_running_loop()
        turns = 0
        waiting = True

        def turn() -> None:
            nonlocal turns
            turns += 1
            if waiting:
                loop.call_soon(turn)

        async with limiter(url=url, timeout=0.05) as remote:
            turn()
            await guarded(remote)()
            waiting = False
        assert turns > 100

    async def test_a_request_that_is_cancelled_meanwhile_is_cancelled(
        self, mute: Silent, url: str
    ) -> None:
        async with limiter(url=url, timeout=60) as remote:
            asking = asyncio.create_task(guarded(remote)())
            await until(lambda: bool(mute.heard))
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking


async def test_nobody_listening_at_the_start_does_not_stop_the_app(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    remote = RemoteLimiter("http://limits", transport=httpx.MockTransport(refused))
    app = Starlette()
    app.add_middleware(RateLimitMiddleware, rules={"*": ITEMS}, limiter=remote)
    async with lifespan(app):
        assert (await Ask(app)()).status_code == 404
    assert "the rules are not defined yet: Connection refused" in caplog.text

"""What holds wherever it is counted: in this process, in a Redis, behind a service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from realtime.embedded import Embedded
from realtime.middleware import EmbeddedLimiter, Penalty, RemoteLimiter, Rule, StoreLimiter, Tier
from realtime.services.limits import Limits, Override
from realtime.stored import Stored
from tests.middleware.conftest import Ask
from tests.middleware.fields import parse
from tests.middleware.limiters import Place
from tests.redis.servers import RedisServer, running_redis
from tests.service import Service, running_service

PATIENT = 30.0
"""The deadline here: a slow machine is no outage."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("data")) as service:
        yield service


@pytest.fixture(params=["embedded", "store", "remote"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    if request.param == "embedded":
        features = Embedded()
        yield Place(EmbeddedLimiter(features), _override(features.limits))
    elif request.param == "store":
        url = request.getfixturevalue("redis").url
        async with Stored(url) as stored:
            limiter = StoreLimiter(url, timeout=PATIENT, remember=0)
            yield Place(limiter, _override(stored.limits))
            await limiter.close()
    else:
        url = request.getfixturevalue("service").url
        remote = RemoteLimiter(url, timeout=PATIENT, remember=0)
        yield Place(remote, _override_at(url))
        await remote.close()


def _override(limits: Limits) -> Callable[[str, str, dict[str, Any]], Any]:
    async def override(rule: str, key: str, rate: dict[str, Any]) -> None:
        await limits.override(rule, key, Override(rate=Tier(**rate)))

    return override


def _override_at(url: str) -> Callable[[str, str, dict[str, Any]], Any]:
    async def override(rule: str, key: str, rate: dict[str, Any]) -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            path = f"/v1/limits/{rule}/keys/{quote(key, safe='')}"
            assert (await client.put(path, json=rate)).status_code == 200

    return override


def by_header(name: str) -> Callable[[Scope], str | None]:
    def key(scope: Scope) -> str | None:
        found = (value for header, value in scope["headers"] if header == name.encode())
        return next((value.decode() for value in found), None)

    return key


class TestSeveralRules:
    async def test_all_are_charged_or_none_and_exactly_the_violated_are_named(
        self, place: Place
    ) -> None:
        one, two, wide = (
            place.rule(name, limit) for name, limit in zip("abc", (2, 2, 9), strict=True)
        )
        ask = place.client(rules={"*": (one, wide, two)})
        assert await ask.statuses(4) == [200, 200, 429, 429]
        refused = await ask()
        assert refused.json()["violated-policies"] == [one.name, two.name]
        assert [item.name for item in parse(refused.headers["ratelimit"])] == [one.name, two.name]
        assert await place.left(wide) == 7

    async def test_an_organisation_a_user_and_a_key_are_consumed_together(
        self, place: Place
    ) -> None:
        org = place.rule("org", 3, key=by_header("x-org"))
        user = place.rule("user", 2, key=by_header("x-user"))
        ask = place.client(rules={"*": (org, user)}, key=lambda scope: "{acme}:nobody")
        ada, bob = ({"x-org": "{acme}", "x-user": f"{{acme}}:{name}"} for name in ("ada", "bob"))
        assert await ask.statuses(3, headers=ada) == [200, 200, 429]
        assert await ask.statuses(2, headers=bob) == [200, 429]
        assert (await ask(headers=bob)).json()["violated-policies"] == [org.name]
        assert await place.left(user, "{acme}:bob") == 1

    async def test_a_rule_of_everybody_counts_everybody(self, place: Place) -> None:
        fleet = place.rule("fleet", 2, key="everybody", status=503)
        ask = place.client(rules={"*": fleet})
        statuses = [(await ask(address=f"198.51.100.{n}")).status_code for n in range(3)]
        assert statuses == [200, 200, 503]
        refused = await ask()
        assert refused.json()["type"].endswith("#temporary-reduced-capacity")
        assert refused.json()["violated-policies"] == [fleet.name]
        assert int(refused.headers["retry-after"]) > 1


class TestWhoIsTreatedDifferently:
    async def test_a_tier_has_its_own_rate_and_says_so(self, place: Place) -> None:
        rule = place.rule("tiers", 1, tiers={"gold": Tier(3)})
        ask = place.client(rules={"*": rule}, key=by_header("x-user"), tier=by_header("x-tier"))
        gold = {"x-user": "ada", "x-tier": "gold"}
        first = await ask(headers=gold)
        assert parse(first.headers["ratelimit-policy"])[0].parameters == {"q": 3, "w": 3600}
        assert await ask.statuses(3, headers=gold) == [200, 200, 429]
        assert "allows 3 in 3600 s" in (await ask(headers=gold)).json()["detail"]
        for tier in ({}, {"x-tier": "tin"}):
            assert await ask.statuses(2, headers={"x-user": f"bob{tier}", **tier}) == [200, 429]

    async def test_what_is_said_of_one_caller_by_the_name_of_the_rule_holds(
        self, place: Place
    ) -> None:
        rule = place.rule("overrides", 1)
        ask = place.client(rules={"*": rule}, key=by_header("x-user"))
        assert await ask.statuses(2, headers={"x-user": "bob"}) == [200, 429]
        await place.override(rule.name, "ada", {"limit": 4})
        answer = await ask(headers={"x-user": "ada"})
        assert answer.status_code == 200
        assert parse(answer.headers["ratelimit-policy"])[0].parameters["q"] == 4
        assert parse(answer.headers["ratelimit"])[0].parameters["r"] == 3
        assert await ask.statuses(1, headers={"x-user": "bob"}) == [429]

    async def test_lists_are_obeyed(self, place: Place) -> None:
        rule = place.rule("lists", 1, allow=("root",), deny=("eve",))
        ask = place.client(rules={"*": rule}, key=by_header("x-user"))
        assert await ask.statuses(3, headers={"x-user": "root"}) == [200] * 3
        assert "ratelimit" not in (await ask(headers={"x-user": "root"})).headers
        refused = await ask(headers={"x-user": "eve"})
        assert (refused.status_code, "retry-after" in refused.headers) == (429, False)
        assert refused.json()["detail"] == f"The rule {rule.name} does not admit this caller."

    async def test_who_hammers_goes_to_the_penalty_box(self, place: Place) -> None:
        rule = place.rule("box", 1, penalty=Penalty(after=2, within=600, duration=7200))
        ask = place.client(rules={"*": rule})
        assert await ask.statuses(3) == [200, 429, 429]
        boxed = await ask()
        assert boxed.json()["type"].endswith("#abnormal-usage-detected")
        assert int(boxed.headers["retry-after"]) > 3600

    async def test_what_a_caller_may_choose_is_no_way_around_a_limit(self, place: Place) -> None:
        """A peer that a server took from a header; a cost that no rule ever gives."""
        cost = by_header("cost")
        rule = place.rule("a", 2)
        ask = place.client(rules={"*": rule}, cost=lambda scope: int(cost(scope) or 1))
        assert await ask.statuses(7, address="x" * 300) == [200] * 2 + [429] * 5
        for _ in range(7):
            answer = await ask(headers={"cost": str(2**40)})
            assert (answer.status_code, "retry-after" in answer.headers) == (429, False)
        assert await ask.statuses(3) == [200, 200, 429]

    async def test_a_calendar_is_a_rule_like_others(self, place: Place) -> None:
        rule = place.rule("monthly", 1, algorithm="calendar", unit="month", timezone="Asia/Tokyo")
        ask = place.client(rules={"*": rule})
        assert await ask.statuses(2) == [200, 429]
        answer = await ask()
        (policy,) = parse(answer.headers["ratelimit-policy"])
        assert 28 * 86_400 <= int(policy.parameters["w"]) <= 31 * 86_400
        assert answer.json()["detail"] == f"The rule {rule.name} allows 1 in a month."


class Waiting:
    """An app whose requests run until they are told to end."""

    def __init__(self) -> None:
        self.running = 0
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.running += 1
        self.began.set()
        try:
            await self.go_on.wait()
            if self.error is not None:
                raise self.error
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.running -= 1

    async def start(self, ask: Ask) -> asyncio.Task[httpx.Response]:
        self.began.clear()
        task = asyncio.create_task(ask())
        await self.began.wait()
        return task


class TestLeases:
    async def test_so_many_run_at_once_and_one_that_ends_makes_room(self, place: Place) -> None:
        rule = place.rule("exports", 2, algorithm="concurrency")
        app = Waiting()
        ask = place.client(app, rules={"*": rule})
        running = [await app.start(ask) for _ in range(2)]
        refused = await ask()
        assert refused.status_code == 429
        (policy,) = parse(refused.headers["ratelimit-policy"])
        assert policy.parameters == {"q": 2, "qu": "concurrent-requests"}
        assert parse(refused.headers["ratelimit"])[0].parameters["r"] == 0
        assert refused.json()["violated-policies"] == [rule.name]
        assert refused.json()["detail"] == f"The rule {rule.name} allows 2 at once."
        assert 3500 < int(refused.headers["retry-after"]) <= 3600
        app.go_on.set()
        answers = [await task for task in running]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert sorted(parse(a.headers["ratelimit"])[0].parameters["r"] for a in answers) == [0, 1]
        assert await ask.statuses(3) == [200] * 3

    @pytest.mark.parametrize("how", ["error", "cancelled"])
    async def test_it_comes_back_whatever_becomes_of_the_request(
        self, place: Place, how: str
    ) -> None:
        app = Waiting()
        ask = place.client(app, rules={"*": place.rule("one", 1, algorithm="concurrency")})
        task = await app.start(ask)
        if how == "error":
            app.error = ZeroDivisionError()
            app.go_on.set()
            with pytest.raises(ZeroDivisionError):
                await task
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        app.error = None
        app.go_on.set()
        assert await ask.statuses(2) == [200, 200]

    async def test_who_is_refused_by_another_rule_holds_nothing(self, place: Place) -> None:
        app = Waiting()
        app.go_on.set()
        lease, spent = place.rule("lease", 1, algorithm="concurrency"), place.rule("spent", 1)
        ask = place.client(app, rules={"POST /a": (lease, spent), "/b": lease})
        assert await ask.statuses(3, "/a", method="POST") == [200, 429, 429]
        answer = await ask("/a", method="POST")
        assert answer.json()["violated-policies"] == [spent.name]
        assert await ask.statuses(1, "/b") == [200]

    async def test_who_gets_no_lease_is_charged_nothing(self, place: Place) -> None:
        lease, spent = place.rule("lease", 1, algorithm="concurrency"), place.rule("spent", 5)
        app = Waiting()
        ask = place.client(app, rules={"*": (spent, lease)})
        task = await app.start(ask)
        refused = await ask()
        assert refused.json()["violated-policies"] == [lease.name]
        assert await place.left(spent) == 4
        app.go_on.set()
        assert (await task).status_code == 200

    async def test_our_own_capacity_is_a_503(self, place: Place) -> None:
        rule = place.rule("fleet", 1, algorithm="concurrency", key="all", status=503)
        app = Waiting()
        ask = place.client(app, rules={"*": rule})
        task = await app.start(ask)
        refused = await ask(address="198.51.100.9")
        assert refused.status_code == 503
        assert refused.json()["type"].endswith("#temporary-reduced-capacity")
        assert refused.json()["violated-policies"] == [rule.name]
        app.go_on.set()
        await task

    async def test_a_shadow_lets_everybody_run(
        self, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        rule = place.rule("shy", 1, algorithm="concurrency", shadow=True)
        app = Waiting()
        ask = place.client(app, rules={"*": rule})
        tasks = [await app.start(ask) for _ in range(3)]
        app.go_on.set()
        answers = [await task for task in tasks]
        assert {answer.status_code for answer in answers} == {200}
        assert not any("ratelimit" in answer.headers for answer in answers)
        assert rule.name in caplog.text


class TestRealCosts:
    @staticmethod
    def app(cost: str | None) -> Any:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            headers = [] if cost is None else [(b"X-Cost", cost.encode())]
            scope["state"] = {"tokens": None if cost is None else int(cost)}
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

        return app

    @pytest.mark.parametrize(
        ("cost", "left"), [("2", 18), ("0", 20), ("5", 15), ("11", 9), ("500", 0), (None, 15)]
    )
    async def test_an_estimate_is_corrected_by_a_header(
        self, place: Place, cost: str | None, left: int
    ) -> None:
        one, two = place.rule("tokens", 20), place.rule("more", 40)
        ask = place.client(self.app(cost), rules={"*": (one, two)}, cost=5, cost_after="x-cost")
        assert parse((await ask()).headers["ratelimit"])[0].parameters["r"] == 15
        assert await place.left(one) == left
        assert await place.left(two) == (0 if cost == "500" else left + 20)

    async def test_or_by_a_function_of_the_scope(self, place: Place) -> None:
        rule = place.rule("tokens", 20)
        ask = place.client(
            self.app("3"),
            rules={"*": rule},
            cost=10,
            cost_after=lambda scope: scope["state"]["tokens"],
        )
        await ask()
        assert await place.left(rule) == 17

    async def test_a_request_that_is_refused_settles_nothing(self, place: Place) -> None:
        rule = place.rule("tokens", 20)
        ask = place.client(self.app("0"), rules={"*": rule}, cost=21, cost_after="x-cost")
        assert (await ask()).status_code == 429
        assert await place.left(rule) == 20


@pytest.mark.parametrize("cost", ["-1", "1.5", "many", "99999999999", ""])
async def test_a_cost_that_is_none_leaves_the_estimate(cost: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"x-cost", cost.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    place = Place(EmbeddedLimiter(), lambda *_: None)
    rule = Rule("tokens", 20, per=3600)
    await place.client(app, rules={"*": rule}, cost=5, cost_after="X-Cost")()
    assert await place.left(rule) == 15


async def test_a_cost_function_that_fails_is_no_error_of_the_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = Place(EmbeddedLimiter(), lambda *_: None)
    rule = Rule("tokens", 20, per=3600)
    ask = place.client(rules={"*": rule}, cost=5, cost_after=lambda scope: scope["no such thing"])
    assert (await ask()).status_code == 200
    assert await place.left(rule) == 15
    assert "what was estimated stays spent" in caplog.text

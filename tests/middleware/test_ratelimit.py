"""What an app gets that puts the middleware in front: decisions, headers, refusals."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from realtime.middleware import EmbeddedLimiter, RateLimitMiddleware, Rule
from tests.middleware.conftest import Ask, House, lifespan, shop
from tests.middleware.fields import Item, parse

ITEMS = Rule("items", limit=3, per=30)
Clients = Callable[..., Ask]


async def test_a_caller_gets_so_many_and_then_has_to_wait(house: House) -> None:
    client = house.client(rules={"/items/{id}": ITEMS})
    assert await client.statuses(5) == [200, 200, 200, 429, 429]
    house.advance(10)  # one in ten seconds
    assert await client.statuses(2) == [200, 429]


async def test_other_callers_and_other_routes_are_not_concerned(client: Clients) -> None:
    ask = client(rules={"/items/{id}": ITEMS})
    await ask.statuses(4)
    assert await ask.statuses(2, address="203.0.113.8") == [200, 200]
    assert await ask.statuses(9, path="/login") == [200] * 9


async def test_a_route_is_counted_as_one_whatever_its_parameters(client: Clients) -> None:
    ask = client(rules={"/items/{id}": ITEMS})
    assert [(await ask(f"/items/{n}")).status_code for n in range(4)] == [200, 200, 200, 429]


async def test_routes_may_share_a_rule(client: Clients) -> None:
    ask = client(rules={"/items/{id}": ITEMS, "POST /login": ITEMS})
    assert await ask.statuses(2) == [200, 200]
    assert await ask.statuses(2, path="/login", method="POST") == [200, 429]
    assert await ask.statuses(1, path="/login") == [200]


async def test_a_star_is_for_whatever_no_other_route_knows(client: Clients) -> None:
    rest = Rule("rest", limit=1, per=60)
    ask = client(rules={"/items/{id}": ITEMS, "/login": (), "*": rest})
    assert await ask.statuses(2, path="/") == [200, 429]
    assert await ask.statuses(2, path="/nowhere") == [429, 429]
    assert await ask.statuses(3, path="/login") == [200] * 3
    assert await ask.statuses(2) == [200, 200]


async def test_a_mounted_app_knows_its_own_paths(client: Clients) -> None:
    ask = client(rules={"/items/{id}": ITEMS})
    assert await ask.statuses(4, path="/shop/items/1", root_path="/shop") == [200, 200, 200, 429]
    assert await ask.statuses(1, path="/items/1", root_path="/shop") == [429]
    assert await ask.statuses(1, path="/shopping/items/1", root_path="/shop") == [404]


@pytest.mark.parametrize(
    ("rule", "policy"),
    [
        (Rule("items", limit=100, per=60), {"q": 100, "w": 60}),
        (Rule("items", limit=100, per=60, burst=20), {"q": 20, "w": 12}),
        (Rule("items", limit=100, per=60, burst=1), {"q": 1, "w": 1}),
        (Rule("items", limit=5, per=0.5), {"q": 5, "w": 1}),
        (Rule("items", limit=7, per=60, algorithm="sliding_window"), {"q": 7, "w": 60}),
        (Rule("items", limit=7, per=60, algorithm="fixed_window"), {"q": 7, "w": 60}),
    ],
)
async def test_every_answer_says_what_the_policy_is_and_what_is_left(
    client: Clients, rule: Rule, policy: dict[str, int]
) -> None:
    answer = await client(rules={"/items/{id}": rule})()
    assert parse(answer.headers["ratelimit-policy"]) == [Item("items", dict(policy))]
    (item,) = parse(answer.headers["ratelimit"])
    assert item.name == "items"
    assert item.parameters["r"] == policy["q"] - 1
    assert isinstance(item.parameters["t"], int)
    # What a sliding window has spent leaves view in the next one.
    windows = 2 if rule.algorithm == "sliding_window" else 1
    assert 1 <= item.parameters["t"] <= windows * policy["w"]
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "100%", "per cent %d", "~ ;,="])
async def test_any_name_survives_the_header(client: Clients, name: str) -> None:
    answer = await client(rules={"*": Rule(name, limit=3, per=30)})()
    for field in ("ratelimit", "ratelimit-policy"):
        assert [item.name for item in parse(answer.headers[field])] == [name]


async def test_a_caller_who_waits_as_long_as_t_says_finds_more(house: House) -> None:
    client = house.client(rules={"*": Rule("items", limit=7, per=30, burst=4)})
    for _ in range(3):
        (before,) = parse((await client()).headers["ratelimit"])
        house.advance(float(before.parameters["t"]))
        (after,) = parse((await client()).headers["ratelimit"])
        assert int(after.parameters["r"]) >= int(before.parameters["r"])  # one more, one spent


async def test_a_full_bucket_has_no_t(client: Clients) -> None:
    answer = await client(rules={"*": ITEMS}, cost=0)()
    assert parse(answer.headers["ratelimit"]) == [Item("items", {"r": 3})]


async def test_a_refusal_is_a_problem_document_that_nobody_may_keep(house: House) -> None:
    client = house.client(rules={"/items/{id}": Rule("items", limit=100, per=60, burst=2)})
    await client.statuses(2)
    house.advance(0.1)
    answer = await client()
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["retry-after"] == "1"
    assert parse(answer.headers["ratelimit"]) == [Item("items", {"r": 0, "t": 1})]
    assert answer.json() == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Quota exceeded",
        "status": 429,
        "detail": "The rule items allows 100 in 60 s, 2 at once.",
        "violated-policies": ["items"],
        "retry_after": 0.5,
    }


@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window", "fixed_window"])
async def test_whoever_waits_as_long_as_retry_after_says_is_let_in(
    house: House, algorithm: str
) -> None:
    rule = Rule("items", limit=3, per=10, algorithm=algorithm)  # type: ignore[arg-type]
    client = house.client(rules={"*": rule})
    house.advance(0.123456)
    while (answer := await client()).status_code == 200:
        house.advance(0.3)
    (item,) = parse(answer.headers["ratelimit"])
    assert int(answer.headers["retry-after"]) >= int(item.parameters["t"])
    house.advance(float(answer.headers["retry-after"]))
    assert (await client()).status_code == 200


async def test_the_app_does_not_see_what_is_refused(house: House) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await PlainTextResponse("ok")(scope, receive, send)

    assert await house.client(app, rules={"*": ITEMS}).statuses(9) == [200] * 3 + [429] * 6
    assert len(seen) == 3


async def test_a_refused_head_request_has_no_body(house: House) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("a refusal reads no body")

    app = house.guarded(shop(), rules={"*": Rule("none", limit=1, per=60)}, cost=2)
    scope = {"type": "http", "method": "HEAD", "path": "/", "headers": [], "client": ("x", 1)}
    await app(scope, receive, send)
    assert [message.get("body") for message in sent] == [None, b""]
    assert sent[0]["status"] == 429


async def test_headers_can_be_off_but_a_refusal_still_says_when_to_come_back(
    client: Clients,
) -> None:
    ask = client(rules={"*": ITEMS}, headers="off")
    answers = [await ask() for _ in range(4)]
    for answer in answers:
        assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)
    assert answers[-1].headers["retry-after"] == "10"


async def test_an_app_that_reuses_a_response_does_not_collect_headers(house: House) -> None:
    response = PlainTextResponse("the same every time")
    client = house.client(response, rules={"*": ITEMS})
    for _ in range(3):
        answer = await client()
        assert len(answer.headers.get_list("ratelimit")) == 1


async def test_a_streamed_answer_and_an_error_of_the_app_carry_the_headers_too(
    house: House,
) -> None:
    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]))

    async def teapot(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("short and stout", 418)

    async def fail(request: Request) -> PlainTextResponse:
        raise ZeroDivisionError

    app = Starlette(
        routes=[Route("/stream", stream), Route("/fail", fail)],
        middleware=[
            Middleware(
                RateLimitMiddleware, rules={"*": ITEMS}, limiter=EmbeddedLimiter(house.features)
            )
        ],
        exception_handlers={ZeroDivisionError: teapot},
    )
    for path, status in (("/stream", 200), ("/fail", 418), ("/none", 404)):
        answer = await Ask(app)(path)
        assert answer.status_code == status
        assert "ratelimit" in answer.headers


class TestSeveralRules:
    RULES = (Rule("burst", limit=2, per=1), Rule("daily", limit=3, per=86_400))

    async def test_a_request_must_pass_all_of_them(self, house: House) -> None:
        client = house.client(rules={"*": self.RULES})
        assert await client.statuses(3) == [200, 200, 429]
        house.advance(1)
        assert await client.statuses(2) == [200, 429]

    async def test_who_is_refused_by_one_is_charged_by_none(self, house: House) -> None:
        client = house.client(rules={"*": self.RULES})
        await client.statuses(50)
        peeked = await house.features.limits.peek("daily", "ip:203.0.113.7")
        assert peeked.decision.remaining == 1

    async def test_all_of_them_are_announced_and_a_refusal_names_the_guilty(
        self, house: House
    ) -> None:
        client = house.client(rules={"*": self.RULES})
        answer = await client()
        assert [item.name for item in parse(answer.headers["ratelimit-policy"])] == [
            "burst",
            "daily",
        ]
        assert [item.parameters["r"] for item in parse(answer.headers["ratelimit"])] == [1, 2]
        await client()
        refused = await client()
        assert refused.json()["violated-policies"] == ["burst"]
        assert [item.name for item in parse(refused.headers["ratelimit"])] == ["burst"]
        house.advance(1)
        await client()
        refused = await client()
        house.advance(1)
        refused = await client()
        assert refused.json()["violated-policies"] == ["daily"]
        assert int(refused.headers["retry-after"]) > 20_000

    async def test_the_longest_wait_is_the_one_that_is_told(self, house: House) -> None:
        rules = (Rule("second", limit=1, per=1), Rule("minute", limit=1, per=60))
        client = house.client(rules={"*": rules})
        await client()
        refused = await client()
        assert refused.json()["violated-policies"] == ["second", "minute"]
        assert refused.headers["retry-after"] == "60"
        assert refused.json()["retry_after"] == 60


class TestKey:
    async def test_callers_may_be_known_by_something_else(self, client: Clients) -> None:
        ask = client(rules={"*": ITEMS}, key=by_header)
        assert await ask.statuses(4, headers={"x-user": "ada"}) == [200, 200, 200, 429]
        assert await ask.statuses(1, headers={"x-user": "bob"}) == [200]
        assert await ask.statuses(1, headers={"x-user": "ada"}, address="198.51.100.1") == [429]

    @pytest.mark.parametrize("headers", [{}, {"x-user": ""}])
    async def test_whoever_is_not_known_is_limited_by_address(
        self, client: Clients, headers: dict[str, str]
    ) -> None:
        ask = client(rules={"*": ITEMS}, key=by_header)
        assert await ask.statuses(4, headers=headers) == [200, 200, 200, 429]
        assert await ask.statuses(1, headers=headers, address="198.51.100.1") == [200]

    async def test_a_long_or_odd_key_is_hashed_and_still_one_caller(self, house: House) -> None:
        client = house.client(rules={"*": ITEMS}, key=by_header)
        long = "k" * 10_000
        assert await client.statuses(4, headers={"x-user": long}) == [200, 200, 200, 429]
        assert await client.statuses(1, headers={"x-user": long + "k"}) == [200]
        assert await client.statuses(1, headers={"x-user": "a\tb"}) == [200]
        assert max(len(key) for key in house.features.engine.keyspace.values) < 100

    async def test_ipv6_neighbours_are_one_caller(self, client: Clients) -> None:
        ask = client(rules={"*": ITEMS})
        statuses = [
            (await ask(address=f"2001:db8:1:2::{n:x}")).status_code for n in (1, 2, 0xFFFF, 3)
        ]
        assert statuses == [200, 200, 200, 429]
        assert await ask.statuses(1, address="2001:db8:1:3::1") == [200]

    async def test_what_is_kept_can_be_looked_at_and_given_back_by_name(self, house: House) -> None:
        client = house.client(rules={"*": ITEMS})
        await client.statuses(4)
        limits = house.features.limits
        assert (await limits.peek("items", "ip:203.0.113.7")).decision.remaining == 0
        assert await limits.reset("items", "ip:203.0.113.7")
        assert await client.statuses(4) == [200, 200, 200, 429]


def by_header(scope: Scope) -> str | None:
    return next((value.decode() for name, value in scope["headers"] if name == b"x-user"), None)


class TestCostAndExemption:
    async def test_a_request_may_cost_more_than_one(self, client: Clients) -> None:
        ask = client(rules={"*": ITEMS}, cost=lambda scope: 2 if scope["method"] == "POST" else 1)
        assert await ask.statuses(2, path="/login", method="POST") == [200, 429]
        assert await ask.statuses(2) == [200, 429]

    async def test_what_can_never_pass_is_not_told_to_wait(self, client: Clients) -> None:
        answer = await client(rules={"*": ITEMS}, cost=4)()
        assert answer.status_code == 429
        assert "retry-after" not in answer.headers
        assert "retry_after" not in answer.json()
        assert answer.json()["detail"] == "This costs 4; the rule items never allows more than 3."

    async def test_a_cost_of_nothing_is_always_allowed_while_something_is_left(
        self, client: Clients
    ) -> None:
        assert await client(rules={"*": ITEMS}, cost=0).statuses(9) == [200] * 9

    async def test_who_is_exempt_passes_unseen(self, house: House) -> None:
        client = house.client(
            rules={"*": ITEMS}, exempt=lambda scope: scope["client"][0] == "10.0.0.1"
        )
        answers = [await client(address="10.0.0.1") for _ in range(9)]
        assert {answer.status_code for answer in answers} == {200}
        assert "ratelimit" not in answers[0].headers
        assert await client.statuses(4) == [200, 200, 200, 429]


class TestShadow:
    RULE = Rule("careful", limit=1, per=60, shadow=True)

    async def test_a_shadow_rule_refuses_nothing_and_tells_no_client(self, client: Clients) -> None:
        ask = client(rules={"*": self.RULE})
        answers = [await ask() for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert not any("ratelimit" in answer.headers for answer in answers)

    async def test_it_counts_and_its_refusals_are_logged_at_a_bounded_rate(
        self, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = house.client(rules={"*": self.RULE})
        with caplog.at_level(logging.WARNING):
            await client.statuses(50)
        assert len(caplog.records) == 1
        assert "careful" in caplog.text
        peeked = await house.features.limits.peek("careful", "ip:203.0.113.7")
        assert peeked.decision.remaining == 0

    async def test_beside_other_rules_it_is_silent_too(
        self, client: Clients, caplog: pytest.LogCaptureFixture
    ) -> None:
        ask = client(rules={"*": (self.RULE, ITEMS)})
        answers = [await ask() for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["violated-policies"] == ["items"]
        for answer in answers:
            assert [item.name for item in parse(answer.headers["ratelimit"])] == ["items"]
        assert "careful" in caplog.text


class TestConfiguration:
    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ({"name": "", "limit": 1, "per": 1}, "cannot name a rule"),
            ({"name": "naïve", "limit": 1, "per": 1}, "visible ASCII"),
            ({"name": "a\nb", "limit": 1, "per": 1}, "visible ASCII"),
            ({"name": "a", "limit": 0, "per": 1}, "the rule 'a': limit must be"),
            ({"name": "a", "limit": 1, "per": 0}, "the rule 'a': per must be above 0"),
            ({"name": "a", "limit": 1, "per": 1, "burst": 0}, "the rule 'a'"),
            ({"name": "a", "limit": 1, "per": 1, "algorithm": "bucket"}, "algorithm is one of"),
            ({"name": "a", "limit": 1, "per": 1, "on_outage": "closed"}, "on_outage is one of"),
            ({"name": "a", "limit": 1, "per": 1, "on_change": "keep"}, "on_change is one of"),
            ({"name": "a", "limit": 1, "algorithm": "calendar", "unit": "year"}, "unit is one of"),
            ({"name": "a", "limit": 1, "per": 1, "key": ""}, "its key has no letters"),
            (
                {"name": "a", "limit": 1, "per": 1, "burst": 2, "algorithm": "fixed_window"},
                "a fixed_window has no burst",
            ),
        ],
    )
    def test_a_rule_that_makes_no_sense_is_refused_when_it_is_written(
        self, given: dict[str, object], reason: str
    ) -> None:
        with pytest.raises(ValueError, match=reason):
            Rule(**given)  # type: ignore[arg-type]

    def test_one_name_is_one_rule(self, house: House) -> None:
        rules = {"/a": Rule("x", limit=1, per=1), "/b": Rule("x", limit=2, per=1)}
        with pytest.raises(ValueError, match="two different rules are named 'x'"):
            house.guarded(shop(), rules=rules)
        house.guarded(shop(), rules={"/a": Rule("x", limit=1, per=1), "/b": rules["/a"]})


async def test_it_is_added_to_a_fastapi_app_in_one_line() -> None:
    app = FastAPI()
    app.add_middleware(RateLimitMiddleware, rules={"/items/{item_id}": Rule("i", limit=2, per=60)})

    @app.get("/items/{item_id}")
    async def read(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    client = Ask(app)
    answers = [await client(f"/items/{n}") for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[1].json() == {"item": 1}
    assert answers[1].headers["ratelimit"] == '"i";r=0;t=30'
    assert json.loads(answers[2].content)["status"] == 429


async def test_two_apps_do_not_share_what_they_count() -> None:
    for _ in range(2):
        app = RateLimitMiddleware(shop(), rules={"*": ITEMS})
        assert await Ask(app).statuses(4) == [200, 200, 200, 429]


async def test_the_lifespan_of_the_app_is_its_own(house: House) -> None:
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def around(app: Starlette) -> AsyncIterator[None]:
        events.append("up")
        yield
        events.append("down")

    app = house.guarded(Starlette(lifespan=around), rules={"*": ITEMS})
    async with lifespan(app):
        assert await Ask(app).statuses(4) == [404, 404, 404, 429]
    assert events == ["up", "down"]


async def test_what_is_neither_request_nor_handshake_nor_lifespan_passes_through(
    house: House,
) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def receive() -> Message:
        raise AssertionError("nothing is received")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent")

    await house.guarded(app, rules={"*": ITEMS})({"type": "future"}, receive, send)
    assert seen == ["future"]

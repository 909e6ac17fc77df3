"""Limits written at single endpoints of Starlette and FastAPI apps."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Scope
from starlette.websockets import WebSocket

from realtime.middleware import EmbeddedLimiter, EndpointLimits, Rule
from tests.middleware.conftest import Ask, House
from tests.middleware.fields import parse

if TYPE_CHECKING:
    from starlette.requests import Request as OnlyForTypeCheckers

TWO = Rule("two", 2, per=60)


class Order(BaseModel):
    """Must be known where annotations are resolved: the module of the endpoint."""

    name: str
    count: int = 1


def agent(user_agent: Annotated[str, Header()] = "") -> str:
    return user_agent


@pytest.fixture
def limits(house: House) -> EndpointLimits:
    return EndpointLimits(limiter=EmbeddedLimiter(house.features))


def starlette(endpoint: Callable[..., Any]) -> Ask:
    return Ask(Starlette(routes=[Route("/items/{id}", endpoint, methods=["GET", "POST"])]))


class TestStarlette:
    async def test_an_async_function_is_limited(self, limits: EndpointLimits) -> None:
        @limits.limited(TWO)
        async def read(request: Request) -> PlainTextResponse:
            """The docstring of the endpoint."""
            return PlainTextResponse(request.path_params["id"])

        ask = starlette(read)
        answers = [await ask(f"/items/{n}") for n in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [answer.text for answer in answers[:2]] == ["0", "1"]
        assert answers[0].headers["ratelimit-policy"] == '"two";q=2;w=60'
        assert [item.parameters["r"] for item in parse(answers[1].headers["ratelimit"])] == [0]
        assert answers[2].headers["content-type"] == "application/problem+json"
        assert answers[2].headers["retry-after"] == "30"
        assert answers[2].headers["cache-control"] == "no-store"
        assert answers[2].json()["violated-policies"] == ["two"]
        assert read.__name__ == "read" and read.__doc__ == "The docstring of the endpoint."

    async def test_a_function_that_is_not_async_runs_in_a_thread(
        self, limits: EndpointLimits
    ) -> None:
        threads: list[int] = []

        @limits.limited(TWO)
        def read(request: Request) -> PlainTextResponse:
            threads.append(threading.get_ident())
            return PlainTextResponse("ok")

        assert await starlette(read).statuses(3) == [200, 200, 429]
        assert threading.get_ident() not in threads

    async def test_a_response_that_is_used_again_does_not_collect_headers(
        self, limits: EndpointLimits
    ) -> None:
        response = PlainTextResponse("the same every time")

        @limits.limited(TWO)
        async def read(request: Request) -> Response:
            return response

        ask = starlette(read)
        for _ in range(2):
            assert len((await ask()).headers.get_list("ratelimit")) == 1

    async def test_annotations_that_only_type_checkers_know_do_not_matter(
        self, limits: EndpointLimits
    ) -> None:
        @limits.limited(TWO)
        async def read(request: OnlyForTypeCheckers) -> Response:
            return Response()

        assert await starlette(read).statuses(3) == [200, 200, 429]

    async def test_without_a_request_there_is_nobody_to_limit(self, limits: EndpointLimits) -> None:
        @limits.limited(TWO)
        async def read() -> None: ...

        with pytest.raises(TypeError, match="called with the request"):
            await read()


def fastapi() -> FastAPI:
    return FastAPI()


class TestFastAPI:
    async def test_parameters_bodies_and_dependencies_are_those_of_the_function(
        self, limits: EndpointLimits
    ) -> None:
        app = fastapi()

        @app.post("/items/{item_id}")
        @limits.limited(TWO)
        async def order(
            item_id: int, order: Order, who: Annotated[str, Depends(agent)], q: str = "none"
        ) -> dict[str, object]:
            return {"item": item_id, "name": order.name, "q": q, "who": bool(who)}

        ask = Ask(app)
        assert (await ask("/items/x", method="POST")).status_code == 422
        answer = await _post(app, "/items/7?q=yes", {"name": "tea"})
        assert answer.json() == {"item": 7, "name": "tea", "q": "yes", "who": True}
        assert parse(answer.headers["ratelimit"])[0].parameters["r"] == 1
        await _post(app, "/items/7", {"name": "tea"})
        refused = await _post(app, "/items/7", {"name": "tea"})
        assert refused.status_code == 429
        assert refused.json()["violated-policies"] == ["two"]

    async def test_a_function_that_asks_for_request_and_response_gets_them(
        self, limits: EndpointLimits
    ) -> None:
        app = fastapi()

        @app.get("/items/{item_id}")
        @limits.limited(TWO)
        async def read(item_id: int, request: Request, response: Response) -> str:
            response.headers["x-own"] = "1"
            return request.url.path

        answer = await Ask(app)()
        assert (answer.json(), answer.headers["x-own"]) == ("/items/1", "1")
        assert parse(answer.headers["ratelimit"])[0].parameters["r"] == 1

    async def test_what_is_not_valid_costs_nothing(self, limits: EndpointLimits) -> None:
        app = fastapi()

        @app.get("/items/{item_id}")
        @limits.limited(TWO)
        def read(item_id: int) -> int:
            return item_id

        ask = Ask(app)
        assert await ask.statuses(5, "/items/x") == [422] * 5
        assert await ask.statuses(3) == [200, 200, 429]

    async def test_the_schema_shows_only_what_the_function_asks_for(
        self, limits: EndpointLimits
    ) -> None:
        app, bare = fastapi(), fastapi()

        async def read(item_id: int, request: Request, q: str = "") -> int:
            return item_id

        bare.get("/items/{item_id}")(read)
        app.get("/items/{item_id}")(limits.limited(TWO)(read))
        assert app.openapi() == bare.openapi()

    async def test_a_response_of_the_functions_own_carries_the_headers(
        self, limits: EndpointLimits
    ) -> None:
        app = fastapi()

        @app.get("/items/{item_id}")
        @limits.limited(TWO)
        async def read(item_id: int) -> JSONResponse:
            return JSONResponse({"item": item_id}, 201)

        answer = await Ask(app)()
        assert (answer.status_code, "ratelimit" in answer.headers) == (201, True)


async def _post(app: Any, path: str, body: dict[str, object]) -> Any:
    transport = httpx.ASGITransport(app, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return await client.post(path, json=body)


class TestOptions:
    async def test_endpoints_of_one_object_share_their_limiter(
        self, limits: EndpointLimits
    ) -> None:
        @limits.limited(TWO)
        async def one(request: Request) -> Response:
            return Response()

        @limits.limited(TWO, Rule("more", 9, per=60))
        async def other(request: Request) -> Response:
            return Response()

        assert await starlette(one).statuses(1) == [200]
        assert await starlette(other).statuses(2) == [200, 429]
        assert await starlette(one).statuses(1) == [429]

    async def test_an_endpoint_may_have_its_own_cost_and_key(self, limits: EndpointLimits) -> None:
        def user(scope: Scope) -> str | None:
            return next((v.decode() for n, v in scope["headers"] if n == b"x-user"), None)

        @limits.limited(TWO, cost=2, key=user, headers="off")
        async def read(request: Request) -> Response:
            return Response()

        ask = starlette(read)
        answers = [await ask(headers={"x-user": name}) for name in ("ada", "ada", "bob")]
        assert [answer.status_code for answer in answers] == [200, 429, 200]
        assert "ratelimit" not in answers[0].headers

    async def test_what_it_has_cost_is_known_at_its_end(
        self, house: House, limits: EndpointLimits
    ) -> None:
        rule = Rule("tokens", 20, per=3600)

        @limits.limited(rule, cost=10, cost_after="x-cost")
        async def read(request: Request) -> Response:
            return Response(headers={"x-cost": "3"})

        @limits.limited(rule, cost=10, cost_after=lambda scope: scope["state"]["cost"])
        async def other(request: Request) -> Response:
            request.state.cost = 1
            return Response()

        await starlette(read)()
        await starlette(other)()
        left = await house.features.limits.peek("tokens", "ip:203.0.113.7")
        assert left.decision.remaining == 16

    async def test_a_lease_is_held_while_the_function_runs(
        self, house: House, limits: EndpointLimits
    ) -> None:
        active: list[int] = []

        @limits.limited(Rule("one", 1, per=60, algorithm="concurrency"))
        async def read(request: Request) -> Response:
            active.append(len(await house.features.limits.leases.of("one", "ip:203.0.113.7")))
            raise ZeroDivisionError

        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await starlette(read)()
        assert active == [1, 1]

    async def test_who_is_exempt_passes(self, house: House) -> None:
        limits = EndpointLimits(limiter=EmbeddedLimiter(house.features), exempt=lambda scope: True)

        @limits.limited(TWO)
        async def read(request: Request) -> Response:
            return Response()

        assert await starlette(read).statuses(4) == [200] * 4
        await limits.close()

    def test_one_name_is_one_rule(self, limits: EndpointLimits) -> None:
        limits.limited(TWO)
        with pytest.raises(ValueError, match="two different rules are named 'two'"):
            limits.limited(Rule("two", 3, per=60))


class TestErrors:
    async def test_what_frameworks_make_an_answer_of_carries_the_headers(
        self, limits: EndpointLimits
    ) -> None:
        app = FastAPI()

        @app.get("/items/{id}")
        @limits.limited(TWO)
        async def read(id: int) -> None:
            raise HTTPException(404, "there is none", headers={"x-own": "1"})

        answers = [await Ask(app)() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [404, 404, 429]
        assert answers[0].headers["ratelimit"] == '"two";r=1;t=30'
        assert answers[0].headers["x-own"] == "1"

    @pytest.mark.parametrize("headers", [None, {"x-cost": "2"}])
    async def test_what_it_has_cost_may_be_said_there_too(
        self, house: House, limits: EndpointLimits, headers: dict[str, str] | None
    ) -> None:
        @limits.limited(Rule("tokens", 20, per=3600), cost=10, cost_after="x-cost")
        async def read(request: Request) -> Response:
            raise HTTPException(404, headers=headers)

        assert (await starlette(read)()).headers["ratelimit"].startswith('"tokens";r=10')
        left = await house.features.limits.peek("tokens", "ip:203.0.113.7")
        assert left.decision.remaining == (10 if headers is None else 18)


class TestWebSockets:
    @pytest.fixture(params=[Starlette, FastAPI])
    def app(self, request: pytest.FixtureRequest, limits: EndpointLimits) -> ASGIApp:
        @limits.limited(Rule("one", 1, per=60))
        async def talk(websocket: WebSocket) -> None:
            await websocket.accept()

        if request.param is Starlette:
            return Starlette(routes=[WebSocketRoute("/talk", talk)])
        app = FastAPI()
        app.add_api_websocket_route("/talk", talk)
        return app

    @pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
    async def test_a_handshake_too_many_is_refused(
        self, app: ASGIApp, extensions: dict[str, object]
    ) -> None:
        scope = {
            "type": "websocket",
            "path": "/talk",
            "query_string": b"",
            "headers": [],
            "client": ("203.0.113.7", 1),
            "extensions": extensions,
        }

        async def connect() -> list[Message]:
            incoming: list[Message] = [{"type": "websocket.connect"}]
            sent: list[Message] = []

            async def receive() -> Message:
                return incoming.pop(0)

            async def send(message: Message) -> None:
                sent.append(message)

            await app(dict(scope), receive, send)
            return sent

        assert [message["type"] for message in await connect()] == ["websocket.accept"]
        first, *rest = await connect()
        if extensions:
            assert (first["type"], first["status"]) == ("websocket.http.response.start", 429)
            assert b"violated-policies" in rest[0]["body"]
        else:
            assert first == {"type": "websocket.close", "code": 1008, "reason": "Quota exceeded"}


async def test_an_object_that_is_called_is_an_endpoint(limits: EndpointLimits) -> None:
    class Read:
        async def __call__(self, request: Request) -> Response:
            return PlainTextResponse("read")

    assert (await starlette(limits.limited(TWO)(Read()))()).text == "read"
    with pytest.raises(TypeError, match="Read is a class: limit its methods"):
        limits.limited(TWO)(Read)


async def test_an_endpoint_that_yields_is_for_the_middleware(limits: EndpointLimits) -> None:
    async def stream(request: Request) -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(TypeError, match="use the middleware"):
        limits.limited(TWO)(stream)

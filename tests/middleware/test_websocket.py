"""The WebSocket handshake is a request too: limited before anybody accepts it."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import Message, Scope
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from realtime.middleware import Rule
from tests.middleware.conftest import Ask, House
from tests.middleware.fields import parse

CHAT = Rule("chat", limit=2, per=60)


def chat() -> Starlette:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept(headers=[(b"x-own", b"1")])
        await websocket.send_text("hello")
        await websocket.close()

    return Starlette(routes=[WebSocketRoute("/chat/{room}", talk)])


async def shake(
    house: House, app: object, *, extensions: dict[str, object] | None
) -> list[Message]:
    """One handshake as an ASGI server would make it; what was sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "websocket",
        "path": "/chat/lobby",
        "headers": [],
        "client": ("203.0.113.7", 1),
    }
    if extensions is not None:
        scope["extensions"] = extensions
    await app(scope, receive, send)  # type: ignore[operator]
    return sent


async def test_a_handshake_that_is_admitted_carries_the_headers(house: House) -> None:
    app = house.guarded(chat(), rules={"/chat/{room}": CHAT})
    accept, text, close = await shake(house, app, extensions=None)
    assert accept["type"] == "websocket.accept"
    headers = {name.decode(): value.decode() for name, value in accept["headers"]}
    assert headers["x-own"] == "1"
    assert parse(headers["ratelimit"])[0].parameters["r"] == 1
    assert (text["text"], close["type"]) == ("hello", "websocket.close")


async def test_one_too_many_gets_a_429_where_the_server_can_send_one(house: House) -> None:
    app = house.guarded(chat(), rules={"/chat/{room}": CHAT})
    for _ in range(2):
        await shake(house, app, extensions={})
    start, body = await shake(house, app, extensions={"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 429)
    assert dict(start["headers"])[b"retry-after"] == b"30"
    assert body["type"] == "websocket.http.response.body"
    assert json.loads(body["body"])["violated-policies"] == ["chat"]


@pytest.mark.parametrize("extensions", [None, {}, {"tls": {}}])
async def test_elsewhere_it_is_closed_before_it_was_accepted(
    house: House, extensions: dict[str, object] | None
) -> None:
    app = house.guarded(chat(), rules={"/chat/{room}": CHAT})
    for _ in range(2):
        await shake(house, app, extensions=None)
    sent = await shake(house, app, extensions=extensions)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "Quota exceeded"}]


async def test_handshakes_spend_what_requests_spend_and_a_get_rule_covers_them(
    house: House,
) -> None:
    app = house.guarded(chat(), rules={"GET /chat/{room}": CHAT, "POST /chat/{room}": ()})
    await shake(house, app, extensions=None)
    assert (await Ask(app)("/chat/attic")).status_code == 404
    (refused,) = await shake(house, app, extensions=None)
    assert refused["type"] == "websocket.close"


async def test_a_client_of_a_real_server_sees_the_429(house: House) -> None:
    config = uvicorn.Config(
        house.guarded(chat(), rules={"*": CHAT}),
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        serving = asyncio.create_task(server.serve([listener]))
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/chat/lobby"
        for left in (1, 0):
            async with connect(url) as websocket:
                assert await websocket.recv() == "hello"
                assert websocket.response is not None
                (item,) = parse(websocket.response.headers["ratelimit"])
                assert item.parameters["r"] == left
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
        server.should_exit = True
        await serving
    response = refused.value.response
    assert response.status_code == 429
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body or b"")["violated-policies"] == ["chat"]

"""What a WebSocket receives, counted and measured."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from realtime.errors import Unavailable
from realtime.middleware import EmbeddedLimiter, Messages, RateLimitMiddleware, Rule
from realtime.services.limits import Verdict, Wish
from tests.middleware.conftest import House

COUNT = Rule("lines", 2, per=60)
SIZE = Rule("bytes", 10, per=60)


def echo() -> Starlette:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text")
                if text is not None:
                    await websocket.send_text(text)
                else:
                    await websocket.send_bytes(message["bytes"])
        except WebSocketDisconnect:
            return  # who leaves says no more

    return Starlette(routes=[WebSocketRoute("/chat/{room}", talk)])


async def talk(app: ASGIApp, *said: str | bytes) -> list[Message]:
    """One connection that says all of this, and leaves."""
    incoming: list[Message] = [
        {"type": "websocket.connect"},
        *(
            {"type": "websocket.receive", "text" if isinstance(one, str) else "bytes": one}
            for one in said
        ),
        {"type": "websocket.disconnect", "code": 1000},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/chat/x", "headers": [], "client": ("203.0.113.7", 1)}
    await app(scope, receive, send)
    assert sent.pop(0)["type"] == "websocket.accept"
    return sent


def guarded(house: House, messages: Messages, **options: object) -> RateLimitMiddleware:
    return house.guarded(echo(), rules={}, messages={"/chat/{room}": messages}, **options)


async def test_what_is_too_much_is_dropped_and_the_client_is_told(house: House) -> None:
    sent = await talk(guarded(house, Messages(COUNT)), "a", "b", "c", "d")
    assert [message.get("text") for message in sent[:2]] == ["a", "b"]
    for message in sent[2:]:
        problem = json.loads(message["text"])
        assert problem["type"].endswith("#quota-exceeded")
        assert problem["violated-policies"] == ["lines"]
        assert problem["retry_after"] == 30.0
    assert len(sent) == 4


async def test_it_counts_for_the_caller_and_not_for_the_connection(house: House) -> None:
    app = guarded(house, Messages(COUNT))
    await talk(app, "a", "b")
    (answer,) = await talk(app, "c")
    assert "violated-policies" in answer["text"]
    house.advance(30)
    assert await talk(app, "d") == [{"type": "websocket.send", "text": "d"}]


async def test_bytes_are_those_of_the_contents(house: House) -> None:
    sent = await talk(guarded(house, Messages(size=SIZE)), "éé", b"12345", "ab", "c", "")
    assert [message.get("text") or message.get("bytes") for message in sent[:2]] == ["éé", b"12345"]
    problem = json.loads(sent[2]["text"])
    assert problem["violated-policies"] == ["bytes"]
    assert sent[3]["text"] == "c"


async def test_a_message_larger_than_all_there_ever_is_has_no_retry_after(house: House) -> None:
    (answer,) = await talk(guarded(house, Messages(size=SIZE)), "x" * 11)
    assert "retry_after" not in json.loads(answer["text"])
    assert "This costs 11" in answer["text"]


async def test_count_and_size_are_one_step(house: House) -> None:
    app = guarded(house, Messages(Rule("lines", 9, per=60), SIZE))
    await talk(app, "12345678", "123", "123", "123")
    left = await house.features.limits.peek("lines", "ip:203.0.113.7")
    assert left.decision.remaining == 8


@pytest.mark.parametrize("after", [1, 3])
async def test_after_so_many_the_connection_is_closed(house: House, after: int) -> None:
    said = [str(n) for n in range(9)]
    sent = await talk(guarded(house, Messages(COUNT, close_after=after)), *said)
    assert len(sent) == 2 + after
    assert sent[-1] == {"type": "websocket.close", "code": 1008, "reason": "Quota exceeded"}


async def test_who_still_sends_is_told_that_the_connection_is_closed(house: House) -> None:
    """As a server tells who sends to a client that has left: so no task sends for ever."""
    seen: list[str] = []

    async def app(scope: object, receive: object, send: object) -> None:
        await send({"type": "websocket.accept"})  # type: ignore[operator]
        while (message := await receive())["type"] != "websocket.disconnect":  # type: ignore[operator]
            seen.append(message["type"])
        seen.append(f"{message['code']}")
        await send({"type": "websocket.close", "code": 1000})  # type: ignore[operator]
        try:
            await send({"type": "websocket.send", "text": "too late"})  # type: ignore[operator]
        except OSError as error:
            seen.append(str(error))
            raise

    limited = house.guarded(app, rules={}, messages={"*": Messages(COUNT, close_after=1)})
    sent = await talk(limited, "a", "b", "c", "d")
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert seen == [
        "websocket.connect",
        "websocket.receive",
        "websocket.receive",
        "1008",
        "the connection is closed: too much was received",
    ]


class Slow(EmbeddedLimiter):
    """Its decisions wait until they are told."""

    immediate = False

    def __init__(self, house: House) -> None:
        super().__init__(house.features)
        self.go_on = asyncio.Event()

    async def take(self, wishes: Sequence[Wish]) -> Sequence[Verdict]:
        await self.go_on.wait()
        return await super().take(wishes)


async def test_a_message_survives_that_its_receiver_gives_up(house: House) -> None:
    """Which apps do, to send something else now and then; and it is charged once."""
    limiter = Slow(house)
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    heard: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            waiting = asyncio.ensure_future(receive())
            await asyncio.wait([waiting], timeout=0.001)
            assert waiting.cancel()
            await asyncio.wait([waiting])
        limiter.go_on.set()
        heard.extend([await receive(), await receive(), await receive()])

    async def send(message: Message) -> None:
        heard.append(message)

    for text in ("a", "b", "c"):
        incoming.put_nowait({"type": "websocket.receive", "text": text})
    incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    limited = RateLimitMiddleware(app, rules={}, messages={"*": Messages(COUNT)}, limiter=limiter)
    scope = {"type": "websocket", "path": "/", "headers": [], "client": ("203.0.113.7", 1)}
    async with asyncio.timeout(30):
        await limited(scope, incoming.get, send)
    complaint, *messages = heard
    assert complaint["type"] == "websocket.send"
    assert [message.get("text") for message in messages] == ["a", "b", None]


async def test_a_key_function_that_fails_does_not_come_back(house: House) -> None:
    """Neither where a decision is waited for nor where it is not."""
    keys = iter(["", "ada"] * 2)

    def key(scope: Scope) -> str:
        return str(1 // len(next(keys)))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(ZeroDivisionError):
            await receive()
        assert (await receive())["text"] == "b"

    slow = Slow(house)
    slow.go_on.set()
    for limiter in (slow, EmbeddedLimiter(house.features)):
        incoming: asyncio.Queue[Message] = asyncio.Queue()
        for text in ("a", "b"):
            incoming.put_nowait({"type": "websocket.receive", "text": text})
        limited = RateLimitMiddleware(
            app, rules={}, messages={"*": Messages(COUNT)}, limiter=limiter, key=key
        )
        scope = {"type": "websocket", "path": "/", "headers": [], "client": ("x", 1)}
        await limited(scope, incoming.get, incoming.put)


async def test_nothing_is_said_to_a_client_whom_the_app_has_left(house: House) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await send({"type": "websocket.accept"})  # type: ignore[operator]
        await send({"type": "websocket.close", "code": 1000})  # type: ignore[operator]
        while (await receive())["type"] != "websocket.disconnect":  # type: ignore[operator]
            pass

    limited = house.guarded(app, rules={}, messages={"*": Messages(COUNT)})
    assert await talk(limited, "a", "b", "c") == [{"type": "websocket.close", "code": 1000}]


@pytest.mark.parametrize("complaint", [None, "slower, please", b"\x00"])
async def test_the_complaint_may_be_another_or_none(
    house: House, complaint: str | bytes | None
) -> None:
    messages = Messages(COUNT, complaint=lambda refusal: complaint)
    sent = await talk(guarded(house, messages), "a", "b", "c")
    kind = "text" if isinstance(complaint, str) else "bytes"
    expected = [] if complaint is None else [{"type": "websocket.send", kind: complaint}]
    assert sent[2:] == expected


async def test_handshakes_and_messages_have_limits_of_their_own(house: House) -> None:
    app = house.guarded(
        echo(), rules={"*": Rule("doors", 1, per=60)}, messages={"*": Messages(COUNT)}
    )
    assert [message["text"] for message in await talk(app, "a")] == ["a"]
    with pytest.raises(AssertionError):
        await talk(app, "b")


async def test_who_is_exempt_says_what_he_likes(house: House) -> None:
    app = guarded(house, Messages(COUNT), exempt=lambda scope: True)
    assert len(await talk(app, *"abcdef")) == 6


class Away(EmbeddedLimiter):
    async def take(self, wishes: object) -> list[Verdict]:
        raise Unavailable("away")


@pytest.mark.parametrize(("policy", "passes"), [("allow", True), ("deny", False)])
async def test_an_outage_is_what_the_rule_says(policy: str, passes: bool) -> None:
    rule = Rule("lines", 1, per=60, tiers={}, shadow=False, on_outage=policy, allow=("x",))  # type: ignore[arg-type]
    messages = {"*": Messages(rule, close_after=1)}  # which no outage counts for
    app = RateLimitMiddleware(echo(), rules={}, messages=messages, limiter=Away())
    answers = await talk(app, "a", "a")
    for answer in answers:
        assert (answer["text"] == "a") is passes
        assert passes or json.loads(answer["text"])["status"] == 503
    assert len(answers) == 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "limited by a count, a size, or both"),
        ({"count": COUNT, "close_after": 0}, "closed after 1 or more"),
        ({"count": Rule("c", 1, per=1, algorithm="concurrency")}, "cannot hold a lease"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Messages(**given)  # type: ignore[arg-type]


async def test_a_client_of_a_real_server_is_told_and_then_closed(house: House) -> None:
    app = guarded(house, Messages(COUNT, close_after=2))
    server = uvicorn.Server(
        uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None)
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        serving = asyncio.create_task(server.serve([listener]))
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/chat/lobby"
        async with connect(url) as websocket:
            for text in ("a", "b", "c"):
                await websocket.send(text)
            assert [await websocket.recv(), await websocket.recv()] == ["a", "b"]
            assert json.loads(await websocket.recv())["violated-policies"] == ["lines"]
            await websocket.send("d")
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            assert websocket.close_code == 1008
        server.should_exit = True
        await serving

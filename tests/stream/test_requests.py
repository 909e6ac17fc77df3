"""What HTTP says of these requests: who may send them, and how."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import jwt
import pytest

from realtime.access import Access
from realtime.services.namespaces import Rate
from realtime.tokens import Tokens
from realtime.tokens.keys import secret_key
from realtime.tokens.tokens import Keys
from realtime.ws.door import Options
from realtime.ws.entrance import ConnectionLimits
from tests.stream.listener import (
    Answer,
    Listener,
    Speaker,
    asking,
    lines,
    opening,
    request,
    speaking,
)
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Closed

CONNECT = lines({"connect": {}})

STREAM = opening("http_stream", CONNECT)

OPENINGS = {
    "http_stream": ("POST", "/connection/http_stream", CONNECT.encode()),
    "sse": ("GET", "/connection/sse?cf_connect=%7B%22id%22:1,%22connect%22:%7B%7D%7D", b""),
    "sse-post": ("POST", "/connection/sse", CONNECT.encode()),
    "events": ("GET", "/v1/channels/c/events", b""),
}

Head = Callable[..., Awaitable[Answer]]


@pytest.fixture
async def head() -> AsyncIterator[Head]:
    """``await head(house, bytes)``: the head of the answer, which may go on."""
    async with AsyncExitStack() as stack:

        async def ask(house: House, data: bytes) -> Answer:
            listener = await Listener.dial(house.port)
            stack.push_async_callback(listener.end)
            listener.say(data)
            return await listener.respond()

        yield ask


@pytest.mark.parametrize("kind", OPENINGS)
@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("localhost", "http://localhost:3000", True),  # of this machine
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("localhost", "https://game.example", True),  # by name
        ("localhost", "https://evil.example", False),
        ("localhost", "null", False),
        ("game.example", "https://game.example", False),  # a name that may lead here by rebinding
    ],
)
async def test_pages_may_listen_that_may_connect(
    serving: Serve, head: Head, kind: str, host: str, origin: str, allowed: bool
) -> None:
    house = await serving(options=Options(allowed_origins=frozenset({"https://game.example"})))
    method, target, body = OPENINGS[kind]
    sent = request(method, target, body, f"Origin: {origin}", host=host)
    answer = await head(house, sent)
    assert answer.status == (200 if allowed else 403)
    shown = answer.headers.get("access-control-allow-origin")
    assert shown == (origin if allowed else None)
    if allowed:
        assert answer.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_program_has_no_origin(near_house: House, head: Head) -> None:
    answer = await head(near_house, STREAM)
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_may_read_what_went_wrong(near_house: House) -> None:
    origin = "Origin: http://localhost"
    for answer in (
        await speaking(near_house.port, {"session": "x", "node": "", "data": ""}, origin),
        await speaking(near_house.port, b"{", origin),
        await asking(near_house.port, request("GET", "/connection/sse", b"", origin)),
        await asking(near_house.port, request("PUT", "/emulation", b"{}", origin)),
        await asking(
            near_house.port, request("GET", f"/v1/channels/{'x' * 256}/events", b"", origin)
        ),
    ):
        assert answer.status >= 400
        assert answer.headers["access-control-allow-origin"] == "http://localhost"


@pytest.mark.parametrize(
    ("target", "methods"),
    [
        ("/connection/http_stream", "POST"),
        ("/connection/sse", "GET, POST"),
        ("/emulation", "POST"),
        ("/v1/channels/c/events", "GET"),
    ],
)
async def test_a_browser_may_ask_beforehand(near_house: House, target: str, methods: str) -> None:
    ours = request("OPTIONS", target, b"", "Origin: http://localhost")
    answer = await asking(near_house.port, ours)
    assert (answer.status, answer.body) == (204, b"")
    headers = answer.headers
    assert headers["access-control-allow-origin"] == "http://localhost"
    assert headers["access-control-allow-methods"] == methods.lower()
    assert "content-type" in headers["access-control-allow-headers"]
    theirs = request("OPTIONS", target, b"", "Origin: https://evil.example")
    answer = await asking(near_house.port, theirs)
    assert answer.status == 403
    assert "access-control-allow-methods" not in answer.headers


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("GET", "/connection/http_stream", "post, options"),
        ("HEAD", "/connection/sse", "get, post, options"),
        ("GET", "/emulation", "post, options"),
        ("POST", "/v1/channels/c/events", "get, options"),
    ],
)
async def test_other_methods_are_405(
    near_house: House, method: str, target: str, allowed: str
) -> None:
    answer = await asking(near_house.port, request(method, target))
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


async def test_paths_beside_these_are_not_ours(near_house: House) -> None:
    for target in (
        "/connection/http_stream/",
        "/connection/",
        "/emulation/x",
        "/v1/channels/a/b/events",
        "/v1/channels/events",
    ):
        assert (await asking(near_house.port, request("POST", target, b"{}"))).status in (404, 405)


async def test_a_connect_command_is_needed(near_house: House) -> None:
    for sent in (request("GET", "/connection/sse"), request("POST", "/connection/sse")):
        answer = await asking(near_house.port, sent)
        assert (answer.status, answer.problem["type"]) == (422, "/docs/errors#invalid-input")


async def test_commands_are_utf8(near_house: House) -> None:
    answer = await asking(near_house.port, request("POST", "/connection/http_stream", b"\xff"))
    assert answer.status == 400


@pytest.mark.parametrize(
    "media", ["application/json", "text/plain;charset=UTF-8", "application/x-ndjson", "x"]
)
async def test_the_media_type_does_not_matter(any_house: House, head: Head, media: str) -> None:
    """What is a form, to a browser, is let in by its origin as anything else."""
    header = f"Content-Type: {media}"
    assert (await head(any_house, opening("http_stream", CONNECT, header))).status == 200
    answer = await speaking(any_house.port, {"session": "x", "node": "", "data": ""}, header)
    assert answer.status == 404


async def test_a_connection_carries_message_after_message(any_house: House) -> None:
    speaker = await Speaker.open(any_house.port, "http_stream", CONNECT)
    await speaker.connected()
    line = await Listener.dial(any_house.port)
    for number in range(20):
        _, text = speaker.command(publish={"channel": "c", "data": number})
        message = {"session": speaker.session, "node": speaker.node, "data": text}
        line.say(request("POST", "/emulation", _json(message)))
        answer = await line.respond()
        assert (answer.status, answer.headers.get("connection")) == (204, None)
        line.say(request("GET", "/v1/channels/c/messages"))
        answer = await line.respond()
        assert answer.status == 200
    assert [(await speaker.receive())["id"] for _ in range(20)] == list(range(2, 22))
    await line.end()
    await speaker.end()


async def test_a_stream_opens_on_a_connection_that_was_used_before(any_house: House) -> None:
    speaker = Speaker(any_house.port, "http_stream", await Listener.dial(any_house.port))
    for _ in range(3):
        speaker.listener.say(request("GET", "/v1/channels"))
        assert (await speaker.listener.respond()).status == 200
    speaker.listener.say(STREAM)
    assert (await speaker.listener.respond()).status == 200
    await speaker.connected()
    await speaker.subscribe("c")
    await speaker.end()


async def test_a_stream_behind_a_request_under_way_is_refused(serving: Serve) -> None:
    house = await serving(suspending=True)
    listener = await Listener.dial(house.port)
    listener.say(request("GET", "/v1/channels/c/messages") + STREAM)
    answer = await listener.respond()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    await listener.end()


async def test_a_body_may_come_in_pieces(any_house: House) -> None:
    listener = await Listener.dial(any_house.port)
    head = request("POST", "/connection/http_stream", b"", "Transfer-Encoding: chunked")
    body = CONNECT.encode()
    for piece in (
        head,
        b"5\r\n",
        body[:5],
        b"\r\n%x\r\n" % len(body[5:]),
        body[5:],
        b"\r\n0\r\n\r\n",
    ):
        listener.say(piece)
        await listener.writer.drain()
    assert (await listener.respond()).status == 200
    speaker = Speaker(any_house.port, "http_stream", listener)
    await speaker.connected()
    await speaker.end()


async def test_a_body_in_pieces_has_the_same_bound(serve: Serve) -> None:
    house = await serve(options=Options(message_bytes=1000))
    listener = await Listener.dial(house.port)
    listener.say(request("POST", "/connection/sse", b"", "Transfer-Encoding: chunked"))
    listener.say(b"3e8\r\n" + b" " * 1000 + b"\r\n1\r\n \r\n")
    assert (await listener.respond()).status == 413
    await listener.end()


async def test_who_expects_to_be_told_to_go_on_is_told(any_house: House) -> None:
    listener = await Listener.dial(any_house.port)
    sent = opening("http_stream", CONNECT, "Expect: 100-continue")
    head, body = sent[: -len(CONNECT)], sent[-len(CONNECT) :]
    listener.say(head)
    assert (await listener.respond()).status == 100
    listener.say(body)
    assert (await listener.respond()).status == 200
    await listener.end()


async def test_another_protocol_is_not_taken_up(any_house: House, head: Head) -> None:
    """Some clients offer HTTP/2 with every request."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    assert (await head(any_house, opening("http_stream", CONNECT, *offer))).status == 200
    assert (await head(any_house, opening("sse", CONNECT, *offer))).status == 200


async def test_http_1_0_has_no_chunks(near_house: House) -> None:
    old = STREAM.replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = await asking(near_house.port, old)
    assert answer.status == 400
    assert "proxy_http_version" in answer.problem["detail"]
    body = _json({"session": "x", "node": "", "data": ""})
    old = request("POST", "/emulation", body).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert (await asking(near_house.port, old)).status == 404


# Who is let in


SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture
def access() -> Access:
    return Access(None, tokens=Tokens(Keys(secret=secret_key(SECRET.encode()))))


async def test_without_credentials_a_stream_says_so_and_ends(serve: Serve, access: Access) -> None:
    house = await serve(access=access)
    for transport in ("http_stream", "sse"):
        speaker = await Speaker.open(house.port, transport, CONNECT)
        assert speaker.listener.answer.status == 200
        assert await speaker.hang_up() == Closed(3501, "bad request: a token is needed")
        await speaker.listener.eof()
        await speaker.end()


async def test_credentials_travel_in_the_command_or_in_a_header(
    serve: Serve, access: Access
) -> None:
    house = await serve(access=access)
    token = jwt.encode({"sub": "ada"}, SECRET)
    for speaker in (
        await Speaker.open(house.port, "http_stream", lines({"connect": {"token": token}})),
        await Speaker.open(house.port, "sse", CONNECT, f"Authorization: Bearer {token}"),
    ):
        await speaker.connected()
        client = house.door.clients.get(speaker.client)
        assert client is not None
        assert client.user == "ada"
        await speaker.end()


async def test_an_expired_token_is_an_error_and_the_stream_ends_soon(
    serve: Serve, access: Access
) -> None:
    house = await serve(access=access)
    token = jwt.encode({"sub": "ada", "exp": 1}, SECRET)
    speaker = await Speaker.open(house.port, "sse", lines({"connect": {"token": token}}))
    assert (await speaker.receive())["error"]["code"] == 109
    house.pass_time(10.1)
    assert await speaker.hang_up() == Closed(3502, "stale")
    await speaker.end()


@pytest.mark.parametrize("kind", OPENINGS)
async def test_too_many_new_connections_are_turned_away(
    serving: Serve, head: Head, kind: str
) -> None:
    limits = ConnectionLimits(rate=Rate(2, 1.0))
    house = await serving(options=Options(connections=limits))
    method, target, body = OPENINGS[kind]
    answers = [await head(house, request(method, target, body)) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 503]
    assert "retry-after" in answers[2].headers


async def test_a_user_has_only_so_many(serve: Serve, access: Access, head: Head) -> None:
    limits = ConnectionLimits(per_user=1)
    house = await serve(access=access, options=Options(connections=limits))
    bearer = f"Authorization: Bearer {jwt.encode({'sub': 'ada', 'scopes': ['*']}, SECRET)}"
    for kind, expected in (("events", 200), ("events", 429), ("http_stream", 429)):
        method, target, body = OPENINGS[kind]
        assert (await head(house, request(method, target, body, bearer))).status == expected
        await house.until(lambda: len(house.door.clients) == 1)


@pytest.mark.parametrize("kind", OPENINGS)
async def test_no_token_reaches_a_log(
    serving: Serve, head: Head, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    house = await serving()
    method, target, body = OPENINGS[kind]
    target += "&" if "?" in target else "?"
    for sent in (
        request(method, f"{target}token=sec.ret.token", body + b"secret"),
        request("PUT", f"{target}token=sec.ret.token", body + b"secret"),
        request(method, f"{target}token=sec.ret.token", body, "Origin: https://evil.example"),
    ):
        await head(house, sent)
    assert "sec" not in caplog.text


def _json(message: dict[str, Any]) -> bytes:

    return json.dumps(message).encode()

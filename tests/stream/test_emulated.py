"""HTTP streams and Server-Sent Events with emulation: the same conversation as over WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from realtime import __version__
from realtime.ws.door import Options
from tests.stream.listener import Speaker, lines, request, speaking
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Closed

Open = Callable[..., Awaitable[Speaker]]

CONNECT = lines({"connect": {}})


@pytest.fixture(params=["http_stream", "sse"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def speak(transport: str) -> AsyncIterator[Open]:
    """``await speak(house, commands)``: a speaker whose stream is open."""
    async with AsyncExitStack() as stack:

        async def start(house: House, commands: str = CONNECT, *more: str, **how: Any) -> Speaker:
            speaker = await Speaker.open(house.port, transport, commands, *more, **how)
            stack.push_async_callback(speaker.end)
            return speaker

        yield start


async def connected(speak: Open, house: House) -> Speaker:
    speaker = await speak(house)
    await speaker.connected()
    return speaker


async def test_the_reply_to_connect_names_a_session_and_this_node(
    any_house: House, speak: Open
) -> None:
    speaker = await speak(any_house)
    result = await speaker.connected()
    assert (result["version"], result["ping"], result["pong"]) == (__version__, 25, True)
    assert speaker.node == any_house.door.node
    assert len(speaker.session) >= 24
    assert speaker.session != speaker.client
    assert any_house.hub.connections == 1


async def test_the_head_tells_proxies_to_pass_on_what_comes(
    near_house: House, speak: Open, transport: str
) -> None:
    headers = (await speak(near_house)).listener.answer.headers
    media = "application/x-ndjson" if transport == "http_stream" else "text/event-stream"
    assert headers["content-type"].partition(";")[0] == media
    assert headers["transfer-encoding"] == "chunked"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-content-type-options"] == "nosniff"


async def test_the_first_commands_are_answered_in_order(any_house: House, speak: Open) -> None:
    commands = lines(
        {"connect": {}},
        {"subscribe": {"channel": "c"}},
        {"publish": {"channel": "c", "data": "own"}},
        {"history": {"channel": "c", "limit": 1}},
    )
    speaker = await speak(any_house, commands)
    await speaker.connected()
    assert (await speaker.receive())["id"] == 2
    rest = [await speaker.receive() for _ in range(3)]
    assert [item["id"] for item in rest if "id" in item] == [3, 4]
    (push,) = [item["push"] for item in rest if "push" in item]
    assert push["pub"]["data"] == "own"


async def test_commands_come_in_requests_of_their_own(any_house: House, speak: Open) -> None:
    speaker = await connected(speak, any_house)
    await speaker.subscribe("c")
    await any_house.services.channels.publish("c", b'{"text":"\xc3\xbc"}')
    assert await speaker.published() == {"text": "ü"}
    stats = (await speaker.ask(presence_stats={"channel": "c"}))["presence_stats"]
    assert stats["num_clients"] == 1
    assert (await speaker.ask(unsubscribe={"channel": "c"}))["unsubscribe"] == {}
    assert (await speaker.ask(nonsense={}))["error"]["code"] == 104


async def test_many_commands_of_a_message_keep_their_order(any_house: House, speak: Open) -> None:
    speaker = await connected(speak, any_house)
    await speaker.subscribe("c")
    numbers = range(200)
    asked = [speaker.command(publish={"channel": "c", "data": number}) for number in numbers]
    assert (await speaker.say("\n".join(text for _, text in asked))).status == 204
    found = [await speaker.receive() for _ in range(400)]
    assert [item["push"]["pub"]["data"] for item in found if "push" in item] == list(numbers)
    assert [item["id"] for item in found if "id" in item] == [number for number, _ in asked]


async def test_messages_of_one_session_may_overtake_each_other(
    any_house: House, speak: Open
) -> None:
    """They are carried out as they arrive here, whatever their numbers."""
    speaker = await connected(speak, any_house)
    (first, early), (second, late) = (
        speaker.command(publish={"channel": "c", "data": data}) for data in ("early", "late")
    )
    await speaker.say(late)
    await speaker.say(early)
    assert [(await speaker.receive())["id"] for _ in range(2)] == [second, first]
    history = await speaker.ask(history={"channel": "c", "limit": 2})
    assert [one["data"] for one in history["history"]["publications"]] == ["late", "early"]


async def test_who_comes_back_recovers(any_house: House, speak: Open) -> None:
    speaker = await connected(speak, any_house)
    epoch = (await speaker.subscribe("c"))["epoch"]
    await any_house.services.channels.publish("c", b"1")
    assert await speaker.published() == 1
    await speaker.end()
    for number in (b"2", b"3"):
        await any_house.services.channels.publish("c", number)
    again = {"channel": "c", "recover": True, "offset": 1, "epoch": epoch}
    back = await speak(any_house, lines({"connect": {}}, {"subscribe": again}))
    await back.connected()
    result = (await back.receive())["subscribe"]
    assert (result["recovered"], [one["data"] for one in result["publications"]]) == (True, [2, 3])


async def test_one_who_vanishes_is_gone_for_others_as_well(any_house: House, speak: Open) -> None:
    speaker, watcher = await connected(speak, any_house), await connected(speak, any_house)
    await speaker.subscribe("c")
    await watcher.subscribe("c", join_leave=True)
    assert "join" in await watcher.pushed()
    await speaker.end()
    left = await watcher.pushed()
    assert left["leave"]["info"]["client"] == speaker.client
    assert (await speaker.say("{}")).status == 404


async def test_one_who_closes_half_of_the_connection_has_hung_up(
    any_house: House, speak: Open
) -> None:
    speaker = await connected(speak, any_house)
    speaker.listener.writer.write_eof()
    await any_house.until(lambda: any_house.hub.connections == 0)
    assert await speaker.listener.in_time(speaker.listener.reader.read()) == b""


@pytest.mark.parametrize(
    "more",
    [b"\r\n\r\n", request("GET", "/healthz"), request("GET", "/healthz") * 100, b"\0" * 100_000],
)
async def test_what_is_said_on_the_connection_of_a_stream_is_ignored(
    near_house: House, speak: Open, more: bytes
) -> None:
    speaker = await speak(near_house, behind=more)
    await speaker.connected()
    speaker.listener.say(more)
    assert (await speaker.ask(history={"channel": "c"}))["history"]["offset"] == 0


async def test_pings_are_answered_by_a_message(near_house: House, speak: Open) -> None:
    speaker = await connected(speak, near_house)
    for _ in range(3):
        near_house.pass_time(25)
        assert await speaker.receive() == {}
        assert (await speaker.say("{}")).status == 204
        near_house.pass_time(8)
    near_house.pass_time(25)
    assert await speaker.receive() == {}
    near_house.pass_time(8.1)
    assert await speaker.hang_up() == Closed(3012, "no pong")
    await speaker.listener.eof()


async def test_a_stream_ends_with_the_reason_and_the_last_chunk(
    any_house: House, speak: Open
) -> None:
    speaker = await connected(speak, any_house)
    await speaker.subscribe("c")
    await any_house.services.channels.publish("c", b'"last"')
    assert await speaker.published() == "last"
    any_house.shut_down()
    assert await speaker.hang_up() == Closed(3001, "shutdown")
    await speaker.listener.eof()
    assert (await speaker.say("{}")).status == 404
    assert any_house.hub.closes == {3001: 1}


async def test_a_client_may_be_sent_away(any_house: House, speak: Open) -> None:
    speaker = await connected(speak, any_house)
    any_house.send_away(speaker.client)
    assert await speaker.hang_up() == Closed(3503, "force disconnect")
    await speaker.listener.eof()


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ('{"id":1,"subscribe":{"channel":"c"}}', "bad request: connect comes first"),
        ('{"id":1}\n', "bad request: connect comes first"),
        ("\n", "bad request: an empty command"),
        ("[]", "bad request: Expected `object`, got `array`"),
        (CONNECT + "\n{", "bad request: Input data was truncated"),
        (CONNECT + "\n{}", "bad request: a pong without a ping"),
    ],
)
async def test_what_is_no_command_ends_the_stream(
    serving: Serve, speak: Open, commands: str, reason: str
) -> None:
    speaker = await speak(await serving(), commands)
    assert await speaker.hang_up() == Closed(3501, reason)
    await speaker.listener.eof()


async def test_so_it_does_in_a_message(near_house: House, speak: Open) -> None:
    speaker = await connected(speak, near_house)
    assert (await speaker.say('{"id":2')).status == 204
    assert (await speaker.hang_up()).code == 3501
    await speaker.listener.eof()


async def test_a_slow_reader_is_closed_and_costs_no_more_than_its_queue(
    serve: Serve, speak: Open
) -> None:
    house = await serve(options=Options(queue_bytes=100_000))
    slow = await speak(house, CONNECT, receive_buffer=4096)
    await slow.connected()
    await slow.subscribe("c")
    payload = json.dumps("x" * 10_000).encode()
    while 3008 not in house.hub.closes:
        await house.services.channels.publish("c", payload)
        await asyncio.sleep(0)
    assert (await slow.hang_up()) == Closed(3008, "slow")
    await slow.listener.eof()


async def test_one_that_never_reads_is_cut_off_in_the_end(serve: Serve, speak: Open) -> None:
    house = await serve(options=Options(queue_bytes=100_000))
    slow = await speak(house, CONNECT, receive_buffer=4096)
    await slow.connected()
    await slow.subscribe("c")
    payload = json.dumps("x" * 10_000).encode()
    while 3008 not in house.hub.closes:
        await house.services.channels.publish("c", payload)
        await asyncio.sleep(0)
    house.pass_time(2.1)
    await house.until(lambda: not house.state.connections)


async def test_events_may_be_asked_for_with_a_body_as_well(any_house: House) -> None:
    speaker = await Speaker.open(any_house.port, "sse-post", CONNECT)
    await speaker.connected()
    assert (await speaker.ask(history={"channel": "c"}))["history"]["offset"] == 0
    await speaker.end()


# Messages


@pytest.mark.parametrize("session", ["", "x", "é", "A" * 24])
async def test_a_session_that_is_none_of_ours_is_404(any_house: House, session: str) -> None:
    for node in ("", "x", any_house.door.node):
        answer = await speaking(any_house.port, {"session": session, "node": node, "data": "{}"})
        assert (answer.status, answer.problem["type"]) == (404, "/docs/errors#not-found")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 50_000, 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"session":1,"data":"","node":""}', 422),
        (b'{"session":"x","data":{},"node":""}', 422),
    ],
)
async def test_what_is_no_message_is_refused(near_house: House, body: bytes, status: int) -> None:
    assert (await speaking(near_house.port, body)).status == status


async def test_a_message_holds_as_much_as_a_frame(serve: Serve, speak: Open) -> None:
    house = await serve(options=Options(message_bytes=1000))
    speaker = await connected(speak, house)
    number, text = speaker.command(publish={"channel": "c", "data": '"' * 400})
    assert len(text) < 1000
    assert (await speaker.say(text)).status == 204
    assert (await speaker.receive())["id"] == number
    assert (await speaker.say(" " * 1001)).status == 413
    assert (await speaker.say("ü" * 501)).status == 413
    answer = await speaking(house.port, b" " * 4000)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert answer.problem["type"] == "/docs/errors#too-large"
    assert (await speaker.ask(history={"channel": "c"}))["history"]["offset"] == 1


async def test_the_first_commands_hold_as_much(serve: Serve) -> None:
    house = await serve(options=Options(message_bytes=1000))
    for transport in ("http_stream", "sse-post"):
        speaker = await Speaker.open(house.port, transport, CONNECT + " " * 1000)
        assert speaker.listener.answer.status == 413
        await speaker.end()


async def test_only_so_much_waits_while_the_store_is_slow(serving: Serve) -> None:
    house = await serving(suspending=True, options=Options(message_bytes=1000))
    speaker = await Speaker.open(house.port, "http_stream", CONNECT)
    await speaker.connected()
    asked = [speaker.command(publish={"channel": "c", "data": "x" * 800}) for _ in range(40)]
    said = await asyncio.gather(*[speaker.say(text) for _, text in asked])
    statuses = [answer.status for answer in said]
    assert set(statuses) == {204, 429}
    taken = {number for (number, _), status in zip(asked, statuses, strict=True) if status == 204}
    replied = {(await speaker.receive())["id"] for _ in taken}
    assert replied == taken, "what was answered with 204 is carried out"
    assert "publish" in await speaker.ask(publish={"channel": "c", "data": 1})
    await speaker.end()

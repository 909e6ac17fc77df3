"""Several processes on one store, and commands that arrive at another one than their stream."""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import uuid4

import pytest

from engine.clock import ManualClock
from realtime.backends.base import Backend
from realtime.embedded import Embedded
from realtime.errors import Unavailable
from realtime.services import mailbox
from realtime.services.mailbox import Mailbox
from realtime.ws.door import Options
from tests.stream.listener import Speaker, lines
from tests.ws.conftest import Serve
from tests.ws.house import House, _suspending

CONNECT = lines({"connect": {}})


@pytest.fixture
async def nodes(serving: Serve, request: pytest.FixtureRequest) -> tuple[House, House]:
    server = request.getfixturevalue("frozen_redis")
    small = Options(message_bytes=1000)
    return await serving(server=server, options=small), await serving(server=server, options=small)


async def open_at(house: House, ask_at: House) -> Speaker:
    """A speaker who listens at one node, and speaks at another."""
    speaker = await Speaker.open(house.port, "http_stream", CONNECT)
    await speaker.connected()
    speaker.port = ask_at.port
    return speaker


async def test_commands_reach_their_stream_from_any_node(nodes: tuple[House, House]) -> None:
    here, there = nodes
    speaker = await open_at(here, there)
    await speaker.subscribe("c")
    await there.services.channels.publish("c", b'"hello"')
    assert await speaker.published() == "hello"
    for number in range(20):
        assert "publish" in await speaker.ask(publish={"channel": "d", "data": number})
    kept = (await there.services.channels.history("d", limit=100)).publications
    assert [item.data for item in kept] == [b"%d" % number for number in range(20)]
    await speaker.ask(unsubscribe={"channel": "c"})
    await speaker.end()


async def test_a_node_knows_its_own_sessions_only(
    nodes: tuple[House, House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "PATIENCE", 0.2)
    here, there = nodes
    speaker = await open_at(here, there)
    assert (await speaker.say("{", session="x")).status == 404
    assert (await speaker.say("{", node=there.door.node)).status == 404
    assert (await speaker.say("{", node="")).status == 404
    assert (await speaker.say("{", node=uuid4().hex)).status == 404, "nobody answers"
    assert (await speaker.say("{", node="not a name")).status == 404
    assert "history" in await speaker.ask(history={"channel": "c"})
    await speaker.end()
    await here.until(lambda: not here.state.connections)
    assert (await speaker.say("{}")).status == 404


async def test_a_session_is_found_where_it_is_whatever_node_is_named(
    nodes: tuple[House, House],
) -> None:
    here, _ = nodes
    speaker = await open_at(here, here)
    number, text = speaker.command(history={"channel": "c"})
    assert (await speaker.say(text, node=uuid4().hex)).status == 204
    assert (await speaker.receive())["id"] == number
    await speaker.end()


async def test_too_much_is_too_much_from_afar_as_well(nodes: tuple[House, House]) -> None:
    here, there = nodes
    speaker = await open_at(here, there)
    asked = [speaker.command(publish={"channel": "c", "data": "x" * 900}) for _ in range(60)]
    said = await asyncio.gather(*[speaker.say(text) for _, text in asked])
    taken = [answer for answer in said if answer.status == 204]
    assert {answer.status for answer in said} <= {204, 429}
    for _ in taken:
        assert "publish" in await speaker.receive()
    assert (await speaker.say(" " * 1001)).status == 413
    await speaker.end()


# Mailboxes


@pytest.fixture
def backend() -> Backend:
    """A store that takes its time, so that there may be other nodes."""
    return _suspending(Embedded(ManualClock()).services.backend)


async def running(box: Mailbox) -> asyncio.Task[None]:
    task = asyncio.create_task(box.run())
    await asyncio.sleep(0)
    return task


def echo(name: str, text: str) -> str:
    return f"{name}: {text}"


async def test_a_question_is_answered_by_the_node_it_is_put_to(backend: Backend) -> None:
    names = [uuid4().hex for _ in range(3)]
    boxes = [Mailbox(backend, "try", name, partial(echo, name)) for name in names]
    tasks = [await running(box) for box in boxes]
    for box in boxes[1:]:
        while (answer := await box.ask(names[0], "who are you? ü\n")) is None:
            pass  # its mailbox is not open yet
        assert answer == f"{names[0]}: who are you? ü\n"
    asked = [boxes[0].ask(names[1], str(number)) for number in range(50)]
    assert await asyncio.gather(*asked) == [f"{names[1]}: {number}" for number in range(50)]
    await ended(tasks)


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_whoever_is_not_there_does_not_answer(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "PATIENCE", 0.01)
    box = Mailbox(backend, "try", uuid4().hex, str)
    task = await running(box)
    for name in (uuid4().hex, "", "x", "a" * 33, uuid4().hex.upper()):
        assert await box.ask(name, "?") is None
    assert not box._waiting
    await ended([task])


async def test_only_so_many_questions_wait(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "MOST", 3)
    box = Mailbox(backend, "try", uuid4().hex, str)
    asked = [asyncio.create_task(box.ask(uuid4().hex, "?")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await box.ask(uuid4().hex, "?")
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert not box._waiting


async def test_a_letter_that_makes_no_sense_is_skipped(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = uuid4().hex, uuid4().hex
    boxes = [Mailbox(backend, "try", name, partial(echo, name)) for name in (one, other)]
    tasks = [await running(box) for box in boxes]
    while await boxes[0].ask(other, "?") is None:
        pass
    address = b"\0try:" + other.encode()
    for letter in (b"{}", b"x", b'{"sender":"%b","number":7,"text":"","is_answer":true}'):
        await backend.channels.publish(address, letter)
    assert await boxes[0].ask(other, "!") == f"{other}: !"
    assert "makes no sense" in caplog.text
    await ended(tasks)


async def test_where_there_are_no_other_nodes_nobody_is_asked() -> None:
    backend = Embedded(ManualClock()).services.backend
    box = Mailbox(backend, "try", uuid4().hex, str)
    await box.run()  # at once
    assert await box.ask(uuid4().hex, "?") is None

"""Bodies and answers of any length, part by part."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from realtime.backends.base import BackendUnavailable
from realtime.errors import InvalidRequest
from realtime.http.stream import PACE, PROGRESSED, Stream


class Client:
    """Sends these parts, and then leaves if told to."""

    def __init__(self, *parts: bytes, leaves: bool = False) -> None:
        self._messages: list[Message] = [
            {"type": "http.request", "body": part, "more_body": True} for part in parts
        ]
        if leaves:
            self._messages.append({"type": "http.disconnect"})
        else:
            self._messages[-1]["more_body"] = False
        self.sent: list[Message] = []
        self.progress = 0

    async def receive(self) -> Message:
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def stream(self) -> Stream:
        def progressed() -> None:
            self.progress += 1

        return Stream({"type": "http", "state": {PROGRESSED: progressed}}, self.receive)


async def test_a_body_is_read_part_by_part() -> None:
    assert [part async for part in Client(b"a", b"", b"b").stream().parts()] == [b"a", b"", b"b"]


async def test_a_client_that_leaves_has_not_ended_its_body() -> None:
    seen = []
    with pytest.raises(InvalidRequest):
        async for part in Client(b"a", leaves=True).stream().parts():
            seen.append(part)  # noqa: PERF401  # the parts before count
    assert seen == [b"a"]


async def test_time_begins_anew_with_what_was_worked_off_and_not_with_every_byte() -> None:
    half = b"x" * (PACE // 2)
    client = Client(half, b"", half, b"y", half, half, b"")
    counts = [client.progress async for _ in client.stream().parts()]
    assert counts == [0, 0, 0, 1, 1, 1, 2]
    assert [part async for part in Client(b"1").stream().parts()] == [b"1"]


async def answered(client: Client, parts: AsyncGenerator[bytes, None], with_body: bool) -> None:
    stream = client.stream()
    stream.outgoing = parts
    await stream.answer(200, (), client.send, with_body=with_body)


@pytest.mark.parametrize("with_body", [True, False])
async def test_what_is_answered_is_closed_whether_or_not_it_is_sent(with_body: bool) -> None:
    client, closed = Client(b""), []

    async def parts() -> AsyncGenerator[bytes, None]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    generator = parts()
    await answered(client, generator, with_body)
    assert b"".join(one.get("body", b"") for one in client.sent) == (b"ab" if with_body else b"")
    assert not client.sent[-1].get("more_body", False)
    assert closed == [True] * with_body
    with pytest.raises(StopAsyncIteration):
        await anext(generator)


async def test_an_answer_that_fails_has_no_end() -> None:
    client = Client(b"")

    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"a"
        raise BackendUnavailable("gone")

    await answered(client, parts(), True)
    assert [one.get("more_body") for one in client.sent] == [None, True]

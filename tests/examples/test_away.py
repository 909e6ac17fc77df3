"""What becomes of the examples while the service is away."""

from __future__ import annotations

import asyncio
import runpy
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from tests.examples.conftest import EXAMPLES

Names = dict[str, Any]


def names(example: str) -> Names:
    return runpy.run_path(str(EXAMPLES / f"{example}.py"))


async def test_players_of_the_arcade_play_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[bytes] = []
    enough = asyncio.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(request.content)
        if len(tries) == 3:
            enough.set()
        raise httpx.ConnectError("nobody listens")

    arcade = names("arcade")
    monkeypatch.setattr("random.expovariate", lambda rate: 0.0)
    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as service:
        playing = asyncio.create_task(arcade["play"]("ada", service))
        await asyncio.wait(
            [playing, waiting := asyncio.create_task(enough.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert waiting.done() and not playing.done()
        playing.cancel()
        await asyncio.wait([playing])


async def test_who_says_something_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE", "http://127.0.0.1:1")
    chat = names("chat")

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b'{"name": "ada", "text": "hello"}'}

    answer = await chat["say"](Request({"type": "http", "method": "POST"}, receive))
    assert answer.status_code == 502
    await chat["service"].aclose()

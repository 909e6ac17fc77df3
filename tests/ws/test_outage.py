"""A store that is away: clients hear of it, and are let go of nevertheless."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from realtime.backends.base import Backend, BackendUnavailable
from realtime.ws.conversation import _drive
from tests.ws.conftest import Serve
from tests.ws.house import Suspending

AWAY = {"code": 100, "message": "internal server error", "temporary": True}


class Switch:
    """A store that can be away."""

    def __init__(self) -> None:
        self.away = False

    def around(self, backend: Backend) -> Backend:
        switch = self

        class Part(Suspending):
            def __getattr__(self, name: str) -> Any:
                method = super().__getattr__(name)

                def call(*args: Any, **options: Any) -> Any:
                    if switch.away:
                        raise BackendUnavailable
                    return method(*args, **options)

                return call

        return replace(
            backend,
            channels=Part(backend.channels),
            presence=Part(backend.presence),
            immediate=False,
        )


async def test_commands_fail_for_now_and_work_again(serve: Serve) -> None:
    switch = Switch()
    house = await serve(wrap=switch.around)
    peer = await house.peer()
    switch.away = True
    for method in ("subscribe", "publish", "history", "presence", "presence_stats"):
        reply = await peer.ask(**{method: {"channel": "c", "data": 1}})
        assert reply["error"] == AWAY, method
    switch.away = False
    await peer.subscribe("c")


async def test_who_leaves_meanwhile_is_forgotten_here(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    switch = Switch()
    house = await serve(wrap=switch.around)
    peer = await house.peer()
    await peer.subscribe("a")
    await peer.subscribe("b")
    switch.away = True
    peer.vanish()
    await house.until(lambda: len(house.door.clients) == 0 and not house.state.tasks)
    assert not house.hub.is_watched("a")
    assert not house.hub.is_watched("b")
    assert caplog.text.count("still takes") == 2
    switch.away = False
    for channel in ("a", "b"):
        await house.services.channels.leave(channel, peer.client)


async def test_a_store_that_suspends_against_its_word_is_found_out() -> None:
    async def suspends() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="suspended"):
        _drive(suspends())

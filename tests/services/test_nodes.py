"""What nodes that share a store know of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from realtime.backends.base import Backend
from realtime.embedded import Embedded
from realtime.services import nodes as module
from realtime.services.nodes import CHANNEL, KEPT_FOR, Node, Nodes


@pytest.fixture
def backend() -> Backend:
    """One that says of itself that others share it; what is published is heard at once."""
    return replace(Embedded().services.backend, immediate=False)


def described(uid: str, name: str = "") -> Node:
    return Node(uid, name or f"node-{uid}", "1.0", 3, 2, 5, 4, 60.5, {"commands": 7})


@asynccontextmanager
async def running(nodes: Nodes) -> AsyncIterator[None]:
    task = asyncio.create_task(nodes.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for sets no event
        await asyncio.sleep(0)


def names(nodes: Nodes) -> list[str]:
    return [node.name for node in nodes.all()]


async def test_nobody_is_alone_for_long(backend: Backend) -> None:
    """The older one answers at once: neither waits for a turn, which would be seconds."""
    older = Nodes(backend, lambda: described("b"), lambda: 0.0)
    younger = Nodes(backend, lambda: described("a"), lambda: 0.0)
    async with running(older):
        await asyncio.sleep(0)
        assert names(older) == ["node-b"]
        async with running(younger):
            await until(lambda: len(names(older)) == len(names(younger)) == 2)
    assert older.all() == younger.all() == [described("a"), described("b")]


async def test_one_that_is_not_heard_any_more_is_forgotten(backend: Backend) -> None:
    now = [0.0]
    here = Nodes(backend, lambda: described("a"), lambda: now[0])
    async with running(here):
        async with running(Nodes(backend, lambda: described("b"), lambda: 0.0)):
            await until(lambda: len(names(here)) == 2)
        now[0] = KEPT_FOR
        assert len(names(here)) == 2
        now[0] += 0.1
        assert names(here) == ["node-a"]


async def test_what_another_release_says_is_passed_over(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    here = Nodes(backend, lambda: described("a"), lambda: 0.0)
    async with running(here):
        await asyncio.sleep(0)
        await backend.channels.publish(CHANNEL, b'{"uid":1}')
        await backend.channels.publish(b"news", b'{"uid":"c"}')
        assert names(here) == ["node-a"]
    assert len(caplog.records) == 1


async def test_no_more_are_remembered_than_can_be(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    here = Nodes(backend, lambda: described("a"), lambda: 0.0)
    async with running(here):
        await asyncio.sleep(0)
        for uid in "bc":
            async with running(Nodes(backend, telling(uid), lambda: 0.0)):
                await asyncio.sleep(0)
        assert names(here) == ["node-a", "node-b"]


async def test_on_a_store_of_its_own_a_node_says_nothing() -> None:
    backend = Embedded().services.backend
    heard: list[bytes] = []
    backend.channels.listen(lambda channel, item, epoch: heard.append(channel))
    await backend.channels.subscribe(CHANNEL)
    here = Nodes(backend, lambda: described("a"), lambda: 0.0)
    await here.run()
    assert (heard, here.all()) == ([], [described("a")])


def telling(uid: str) -> Callable[[], Node]:
    return lambda: described(uid)

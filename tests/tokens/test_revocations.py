"""What is revoked is revoked on every node, and on those that start later; no longer than said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends.base import Backend
from realtime.embedded import Embedded
from realtime.errors import Conflict, InvalidInput
from realtime.services import revocations as module
from realtime.services.feed import Feed
from realtime.services.revocations import DEFAULT_TTL, MAX_TTL, Kind, Revocation, Revocations
from tests.journaled import journaled
from tests.redis.servers import RedisServer
from tests.redis.stores import opened
from tests.services.shared import SharedStore

NOW = 2_000_000_000.0


@dataclass
class Rig:
    """Nodes on one store, and their common wall clock."""

    stack: AsyncExitStack
    another: Callable[[], AbstractAsyncContextManager[Backend]]
    now: list[float] = field(default_factory=lambda: [NOW])
    heard: list[Revocation] = field(default_factory=list)

    async def node(self) -> Revocations:
        """One more, which has started."""
        backend = await self.stack.enter_async_context(self.another())
        found = Revocations(backend, lambda: self.now[0])
        found.on_revoked = self.heard.append
        await found.start()
        self.stack.push_async_callback(found.close)
        return found


@pytest.fixture(params=["embedded", "journal", "shared", "redis"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        if request.param == "redis":
            server: RedisServer = request.getfixturevalue("frozen_redis")

            @asynccontextmanager
            async def on_redis() -> AsyncIterator[Backend]:
                async with opened(server) as store:
                    yield store.backend

            yield Rig(stack, on_redis)
            return
        if request.param == "shared":
            store = SharedStore()
            yield Rig(stack, lambda: nullcontext(store.node()))
            return
        if request.param == "embedded":
            backend = Embedded(ManualClock()).services.backend
        else:
            backend, _ = await stack.enter_async_context(journaled(Engine(ManualClock()), tmp_path))
        yield Rig(stack, lambda: nullcontext(backend))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for sets no event
        await asyncio.sleep(0)


async def test_a_user_is_revoked_until_now_on_every_node(rig: Rig) -> None:
    one, two = await rig.node(), await rig.node()
    assert not one.covers("42", "j", NOW)
    found = await one.revoke_user("42")
    assert found == Revocation(Kind.USER, "42", NOW, NOW + DEFAULT_TTL)
    await until(lambda: len(two) == 1 == len(one))
    late = await rig.node()
    for node in (one, two, late):
        assert node.covers("42", "j", NOW)
        assert node.covers("42", "", 0.0), "a token that does not say how old it is"
        assert not node.covers("42", "j", NOW + 1)
        assert not node.covers("43", "j", NOW)
        assert not node.covers("", "", 0.0)


async def test_one_token_is_revoked_whoever_has_it(rig: Rig) -> None:
    one, two = await rig.node(), await rig.node()
    await one.revoke_token("j1", ttl=60)
    await until(lambda: len(two) == 1)
    for node in (one, two):
        assert node.covers("42", "j1", NOW + 5)
        assert node.covers("", "j1", 0.0)
        assert not node.covers("42", "j2", NOW)
        assert not node.covers("j1", "", NOW)


async def test_every_node_is_told_once(rig: Rig) -> None:
    one = await rig.node()
    await rig.node()
    told = [await one.revoke_user("42"), await one.revoke_token("j"), await one.close_client("c")]
    await until(lambda: len(rig.heard) == 6)
    assert sorted(rig.heard) == sorted(told * 2)
    assert len(one) == 2, "nothing is kept of a client"


async def test_it_ends_when_it_was_said_to(rig: Rig) -> None:
    node = await rig.node()
    await node.revoke_user("42", ttl=10)
    await node.revoke_token("j", ttl=20)
    await until(lambda: len(node) == 2)
    rig.now[0] += 9.999
    assert node.covers("42", "", NOW)
    rig.now[0] += 0.001
    assert (node.covers("42", "", NOW), node.covers("", "j", 0)) == (False, True)
    assert [one.name for one in node.in_force(0, 10)[1]] == ["j"]
    rig.now[0] += 10
    assert node.in_force(0, 10) == (0, [])
    assert len(await rig.node()) == 0, "who starts now does not learn of what has ended"


async def test_revoked_twice_is_the_wider_of_both(rig: Rig) -> None:
    node = await rig.node()
    await node.revoke_user("42", ttl=100)
    rig.now[0] += 10
    await node.revoke_user("42", ttl=20)
    await until(lambda: node.covers("42", "", NOW + 10))
    assert node.in_force(0, 10) == (1, [Revocation(Kind.USER, "42", NOW + 10, NOW + 100)])
    rig.now[0] = NOW + 99
    assert node.covers("42", "", NOW + 10)
    rig.now[0] = NOW + 100
    assert node.in_force(0, 10) == (0, [])


async def test_the_newest_comes_first_in_pages(rig: Rig) -> None:
    node = await rig.node()
    for name in ("a", "b", "c", "a"):
        await node.revoke_token(name)
    await until(lambda: [one.name for one in node.in_force(0, 9)[1]] == ["a", "c", "b"])
    total, page = node.in_force(1, 1)
    assert (total, [one.name for one in page]) == (3, ["c"])
    assert node.in_force(3, 1) == (3, [])


async def test_there_are_bounds(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 3)
    node = await rig.node()
    for name in ("", "a\x00", "n" * 256):
        for revoke in (node.revoke_user, node.revoke_token, node.close_client):
            with pytest.raises(InvalidInput):
                await revoke(name)
    for ttl in (0, -1, MAX_TTL + 1, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="ttl"):
            await node.revoke_user("42", ttl)
    for name in ("a", "b", "c"):
        await node.revoke_token(name, ttl=10)
    await until(lambda: len(node) == 3)
    with pytest.raises(Conflict, match="3 revocations are in force"):
        await node.revoke_user("42")
    await node.revoke_token("a")
    await node.close_client("c1")
    rig.now[0] += 10
    await node.revoke_user("42")
    await until(lambda: node.covers("42", "", NOW))


async def test_what_holds_is_said_again_before_it_would_be_trimmed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 8)
    monkeypatch.setattr(module, "HISTORY", 32)
    node = await rig.node()
    names = [f"long {number}" for number in range(7)]
    for name in names:
        await node.revoke_token(name, ttl=MAX_TTL)
    for number in range(200):
        await node.revoke_token(f"short {number}", ttl=1)
        rig.now[0] += 1
        await asyncio.sleep(0)
    await until(lambda: sorted(one.name for one in node.in_force(0, 99)[1]) == names)
    late = await rig.node()
    assert sorted(one.name for one in late.in_force(0, 99)[1]) == names


async def test_a_user_who_is_revoked_again_and_again_takes_no_more_room(rig: Rig) -> None:
    node = await rig.node()
    for _ in range(300):
        await node.revoke_user("42")
        rig.now[0] += 1
    await until(lambda: node.covers("42", "", rig.now[0] - 1))
    assert len(node) == 1
    assert len(node._ends) < 30
    rig.now[0] += DEFAULT_TTL
    assert node.in_force(0, 9) == (0, [])


async def test_words_of_a_later_version_are_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = Embedded(ManualClock()).services.backend
    feed = Feed(backend, module.FEED, 10, 60)
    for data in (b"[]", b"\xff", b'["tribe","x",1,2]', b'["user","42",9e9,9e9]'):
        await feed.publish(data)
    node = Revocations(backend, lambda: NOW)
    await node.start()
    assert node.covers("42", "", NOW)
    assert caplog.text.count("cannot read") == 3


async def test_an_older_word_that_comes_later_takes_nothing_back() -> None:
    backend = Embedded(ManualClock()).services.backend
    feed = Feed(backend, module.FEED, 10, 60)
    for before, until in ((NOW, NOW + 10), (NOW - 5, NOW + 5)):
        await feed.publish(f'["user","42",{before},{until}]'.encode())
    node = Revocations(backend, lambda: NOW)
    await node.start()
    assert node.in_force(0, 9) == (1, [Revocation(Kind.USER, "42", NOW, NOW + 10)])


async def test_whoever_revokes_nothing_writes_nothing() -> None:
    embedded = Embedded(ManualClock())
    node = Revocations(replace(embedded.services.backend), lambda: NOW)
    await node.close()
    assert not node.covers("42", "j", NOW)
    await node.revoke_user("42")
    assert node.covers("42", "j", NOW), "the first one starts it"

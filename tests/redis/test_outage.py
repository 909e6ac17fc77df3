"""A store that is silent, deaf, gone, full or a replica: what callers see, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from realtime.backends.base import Backend, BackendUnavailable, Publication
from realtime.backends.redis.address import parse
from realtime.backends.redis.dial import Options
from realtime.backends.redis.store import RedisStore
from tests.redis.network import Proxy, Silent, silent
from tests.redis.servers import RedisServer, running_redis
from tests.redis.waiting import until

TIMEOUT = 0.3
MINUTE = 60_000_000

GRACE = 0.25
"""Seconds that a busy machine may add to a deadline."""


@contextlib.asynccontextmanager
async def store_at(url: str, **options: Any) -> AsyncIterator[RedisStore]:
    store = RedisStore(parse(url), Options(**{"timeout": TIMEOUT, **options}))
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[RedisStore]:
    async with store_at(proxy.url) as store:
        yield store


async def failure(call: Awaitable[object]) -> float:
    """How long it took the call to fail as a call does whose store is away."""
    started = time.monotonic()
    with pytest.raises(BackendUnavailable):
        await call
    return time.monotonic() - started


async def is_up(backend: Backend) -> bool:
    try:
        await backend.ping()
    except BackendUnavailable:
        return False
    return True


ATTEMPTS = 3
"""What holds the loop up does so every time; a machine that stalls does not."""


class Lateness:
    """How late the event loop is in turning, but for the time that it waits for a core."""

    STEP = 0.005

    def __init__(self) -> None:
        self.excess = 0.0

    async def _watch_loop(self) -> None:
        while True:
            due, waited = time.monotonic() + self.STEP, waited_for_a_core()
            await asyncio.sleep(self.STEP)
            late = time.monotonic() - due - (waited_for_a_core() - waited)
            self.excess = max(self.excess, late)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        gc.collect()
        gc.freeze()  # as a service does: what tests have made is no part of what is measured
        task = asyncio.create_task(self._watch_loop())
        await asyncio.sleep(0)  # it begins
        try:
            yield
            await asyncio.sleep(self.STEP)  # it sees what the last turn took, too
        finally:
            task.cancel()
            gc.unfreeze()


def waited_for_a_core() -> float:
    """Seconds that this thread could have run and was not let; 0 if the kernel keeps no count."""
    counts = Path("/proc/thread-self/schedstat")
    return int(counts.read_text().split()[1]) / 1e9 if counts.exists() else 0.0


class TooLate(AssertionError):
    """Somebody waited longer than promised."""


def in_time(waited: float) -> None:
    if waited >= TIMEOUT + GRACE:
        raise TooLate(f"{waited} s")


async def never_late(scenario: Callable[[], Awaitable[None]]) -> None:
    """It holds the event loop up for less than 50 ms, whatever happens in it."""
    late: list[object] = []
    for _ in range(ATTEMPTS):
        lateness = Lateness()
        try:
            async with lateness.watching():
                await scenario()
        except TooLate as waited:
            late.append(waited)
            continue
        late.append(lateness.excess)
        if lateness.excess < 0.05:
            return
    raise AssertionError(f"late: {late}")


async def test_nobody_waits_longer_than_the_deadline_for_a_silent_server(
    proxy: Proxy, store: RedisStore
) -> None:
    backend = store.backend

    async def silence() -> None:
        proxy.hold()
        waited = await asyncio.gather(*[failure(backend.values.get(b"k")) for _ in range(200)])
        await until(lambda: not store.is_up)
        at_once = [await failure(backend.values.get(b"k")) for _ in range(200)]
        assert sum(at_once) < 100 * TIMEOUT, "a breaker that is open lets nobody wait"
        assert not await is_up(backend)
        proxy.carry()
        await until(lambda: is_up(backend), within=5)
        assert await backend.values.get(b"k") is None
        in_time(max(waited))

    await never_late(silence)


async def test_a_server_that_never_greets_is_away(silent_server: Silent) -> None:
    async def greet() -> None:
        async with store_at(silent_server.url) as store:
            in_time(await failure(store.backend.values.get(b"k")))
            assert not await is_up(store.backend)
            assert silent_server.accepted > 0

    await never_late(greet)


@pytest.fixture
async def silent_server() -> AsyncIterator[Silent]:
    async with silent() as server:
        yield server


async def test_what_may_have_been_done_is_not_done_twice(proxy: Proxy, store: RedisStore) -> None:
    proxy.hold(requests=False)  # the server hears, and nobody hears the server
    await failure(store.backend.counters.add(b"cnt:{c}", 1))
    proxy.carry()
    await until(lambda: is_up(store.backend))
    assert await store.backend.counters.get([b"cnt:{c}"]) == [1]


async def test_an_answer_that_comes_too_late_is_nobody_s(proxy: Proxy) -> None:
    """Whoever asks next must not get it."""
    async with store_at(proxy.url, timeout=0.05) as store:
        values = store.backend.values
        await until(lambda: is_up(store.backend))
        for number in range(50):
            await values.set(b"k%d" % number, b"%d" % number)
        answered = late = 0

        async def ask(number: int) -> None:
            nonlocal answered, late
            while answered < 2_000 or late < 500:
                try:
                    assert await values.get(b"k%d" % number) == b"%d" % number
                    answered += 1
                except BackendUnavailable:
                    late += 1
                    await asyncio.sleep(0.005)  # leave the loop to others

        asking = asyncio.gather(*[ask(number) for number in range(50)])
        draw = random.Random(1)
        while not asking.done():
            proxy.delay = draw.choice([0, 0, 0.01, 0.0225, 0.025, 0.0275])  # both ways: 50 ms
            await asyncio.sleep(0.03)  # less than the time-out: each is late for some
        await asking


async def test_a_server_that_restarts_is_found_again(
    server: RedisServer, store: RedisStore
) -> None:
    await store.backend.values.set(b"k", b"1")
    server.kill()
    await until(lambda: not store.is_up)
    await failure(store.backend.values.get(b"k"))
    server.start()
    await until(lambda: is_up(store.backend), within=5)
    assert await store.backend.values.get(b"k") is None  # it keeps nothing on disk


async def test_a_server_that_comes_up_late_is_waited_for(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "late")
    async with store_at(server.url) as store:
        assert not await is_up(store.backend)
        try:
            server.start()
            await until(lambda: is_up(store.backend), within=5)
        finally:
            server.kill()


class Heard:
    """What a store brings of a channel."""

    def __init__(self, backend: Backend) -> None:
        self.publications: list[Publication] = []
        self.lost: list[bytes] = []
        backend.channels.listen(
            lambda _, item, __: self.publications.append(item), self.lost.append
        )

    @property
    def data(self) -> list[int]:
        return [int(item.data) for item in self.publications]


async def publish(backend: Backend, number: int, size: int = 1000) -> None:
    await backend.channels.publish(b"news", b"%d" % number, size=size, ttl=MINUTE)


async def test_a_killed_subscription_loses_nothing(server: RedisServer, store: RedisStore) -> None:
    """Redis does that to readers that are too slow for it."""
    backend = store.backend
    heard = Heard(backend)
    await backend.channels.subscribe(b"news")
    await backend.channels.history(b"news")
    for number in range(500):
        await publish(backend, number)
        if number % 100 == 50:
            server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: len(heard.publications) >= 500)
    assert heard.data == list(range(500))
    assert heard.lost == []


async def test_a_listener_that_fails_once_ends_nothing(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    backend = store.backend
    faults = [ValueError("a fault of the listener")]

    def fail_once(*_: object) -> None:
        if faults:
            raise faults.pop()

    heard = Heard(backend)
    backend.channels.listen(fail_once)
    await backend.channels.subscribe(b"news")
    await backend.channels.history(b"news")
    for number in range(3):
        await publish(backend, number)
    await until(lambda: heard.data == [0, 1, 2])
    assert "a fault of the listener" in caplog.text


async def test_thousands_of_subscriptions_are_made_anew_and_nobody_is_held_up(
    server: RedisServer,
) -> None:
    count = 5_000
    names = [b"room:%d" % number for number in range(count)]
    async with store_at(server.url, timeout=5.0) as store:
        channels, heard = store.backend.channels, Heard(store.backend)

        async def publish_everywhere(number: int) -> None:
            for start in range(0, count, 100):
                some = names[start : start + 100]
                data = b"%d" % number
                await asyncio.gather(
                    *[channels.publish(name, data, size=10, ttl=MINUTE) for name in some]
                )

        for name in names:
            await channels.subscribe(name)
        await publish_everywhere(1)
        await until(lambda: len(heard.publications) == count)
        numbers = itertools.count(2)

        async def lose_all() -> None:
            number = next(numbers)
            await asyncio.to_thread(server.ask, "CLIENT", "KILL", "TYPE", "pubsub")
            await publish_everywhere(number)
            await until(lambda: len(heard.publications) >= number * count)
            assert sorted(heard.data) == sorted(list(range(1, number + 1)) * count)
            assert heard.lost == []

        await never_late(lose_all)


async def test_what_the_history_has_no_more_is_lost_and_said_so(
    server: RedisServer, proxy: Proxy, store: RedisStore
) -> None:
    backend = store.backend
    heard = Heard(backend)
    await backend.channels.subscribe(b"news")
    await publish(backend, 0)
    await until(lambda: heard.data == [0])
    await proxy.refuse()
    proxy.cut()
    async with store_at(server.url) as elsewhere:
        for number in range(1, 20):
            await publish(elsewhere.backend, number, size=5)
    await proxy.accept()
    await until(lambda: heard.lost == [b"news"])
    await until(lambda: is_up(backend))
    await publish(backend, 20)
    await until(lambda: heard.data == [0, 20])


async def test_a_connection_that_is_alive_and_deaf_is_found_out(
    tmp_path: Path, server: RedisServer, proxy: Proxy, store: RedisStore
) -> None:
    """Half of the network has been led elsewhere: subscriptions go to a server where nobody
    publishes. Every question is answered, every connection is up."""
    backend = store.backend
    heard = Heard(backend)
    await backend.channels.subscribe(b"news")
    await publish(backend, 0)
    await until(lambda: heard.data == [0])
    with running_redis(tmp_path / "elsewhere") as elsewhere:
        proxy.target = elsewhere.port
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: "news" in str(elsewhere.ask("PUBSUB", "CHANNELS")))
        await publish(backend, 1)
        assert not await is_up(backend), "green, and deaf"
        proxy.target = server.port
        took = await until(lambda: heard.data == [0, 1])
        assert took < 4, "a probe a second, and one more to be sure"
        await until(lambda: is_up(backend))
    assert heard.lost == []


async def test_a_write_waits_for_the_replicas_it_must_have(
    tmp_path: Path, server: RedisServer
) -> None:
    async with store_at(server.url, wait=1, timeout=0.5) as store:
        values = store.backend.values
        with pytest.raises(BackendUnavailable, match="0 of 1 replicas"):
            await values.set(b"k", b"1")
        assert await values.get(b"k") == b"1", "reads wait for nobody; and nobody took it back"
    with running_redis(tmp_path / "replica") as replica:
        replica.ask("REPLICAOF", "127.0.0.1", server.port)
        # The replica has its time to begin, on however busy a machine.
        async with store_at(server.url, wait=1, timeout=60.0) as store:
            values = store.backend.values
            writes = [values.set(b"k%d" % number, b"v") for number in range(100)]
            assert all(await asyncio.gather(*writes))
            assert replica.ask("DBSIZE") >= 101, "answered is replicated"


async def test_a_master_that_becomes_a_replica_is_no_store_any_more(
    tmp_path: Path, server: RedisServer, store: RedisStore
) -> None:
    with running_redis(tmp_path / "other") as other:
        server.ask("REPLICAOF", "127.0.0.1", other.port)
        await failure(store.backend.values.set(b"k", b"1"))
        await until(lambda: not store.is_up)
        server.ask("REPLICAOF", "NO", "ONE")
        await until(lambda: is_up(store.backend), within=5)


async def test_a_full_server_refuses_writes_and_answers_reads(
    server: RedisServer, store: RedisStore
) -> None:
    await store.backend.values.set(b"k", b"1")
    server.ask("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(BackendUnavailable, match="OOM"):
        await store.backend.values.set(b"k", b"2")
    with pytest.raises(BackendUnavailable, match="OOM"):
        await publish(store.backend, 1)
    assert await store.backend.values.get(b"k") == b"1"
    server.ask("CONFIG", "SET", "maxmemory", 0)
    assert await store.backend.values.set(b"k", b"2")


async def test_a_wrong_password_is_told_and_not_repeated(acl_server: RedisServer) -> None:
    async with store_at(f"redis://app:wrong@127.0.0.1:{acl_server.port}") as store:
        with pytest.raises(BackendUnavailable) as error:
            await store.backend.values.get(b"k")
    assert "invalid username-password pair" in str(error.value)
    assert "wrong" not in str(error.value)

"""How clients are sent away when the service ends: a few at a time, and with what was theirs."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from realtime import graceful
from realtime.app import Application
from realtime.graceful import GracefulServer
from realtime.settings import Settings
from realtime.ws import shutdown
from realtime.ws.shutdown import send_away
from tests.redis.stores import STORES, store_options
from tests.service import running_service
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Closed, Peer

SHUTDOWN = Closed(3001, "shutdown")


class Pauses:
    """In place of sleep: what was there to be seen whenever somebody would have slept."""

    def __init__(self, look: Callable[[], object]) -> None:
        self.seen: list[object] = []
        self.seconds = 0.0
        self._look = look

    async def __call__(self, seconds: float) -> None:
        self.seconds += seconds
        self.seen.append(self._look())


def left(house: House) -> int:
    return house.hub.connections


@pytest.mark.parametrize(
    ("peers", "spread", "left_after"),
    [
        (5, 60.0, [3, 1]),
        (4, 60.0, [2]),
        (6, 0.2, [3]),
        (6, 0.0, []),
        (0, 60.0, []),
    ],
    ids=["small batches", "none after the last", "larger ones in time", "all at once", "nobody"],
)
async def test_batches_are_as_small_as_the_time_allows(
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    peers: int,
    spread: float,
    left_after: list[int],
) -> None:
    monkeypatch.setattr(shutdown, "BATCH", 2)
    house = await serve()
    for _ in range(peers):
        await house.peer()
    pauses = Pauses(partial(left, house))
    await send_away(house.state.connections, spread, flush=house.hub.flush, sleep=pauses)
    assert pauses.seen == left_after
    assert pauses.seconds <= spread
    assert [await peer.hang_up() for peer in house.peers] == [SHUTDOWN] * peers


async def test_the_impatient_leave_the_rest_to_the_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "BATCH", 1)
    house = await serve()
    for _ in range(3):
        await house.peer()
    pauses = Pauses(partial(left, house))
    await send_away(
        house.state.connections,
        60.0,
        flush=house.hub.flush,
        hurry=lambda: len(pauses.seen) == 2,
        sleep=pauses,
    )
    assert left(house) == 1
    house.shut_down()
    assert [await peer.hang_up() for peer in house.peers] == [SHUTDOWN] * 3


async def test_what_was_published_comes_before_the_end(any_house: House) -> None:
    house = any_house
    peer = await house.peer()
    await peer.subscribe("room:1")
    await house.services.channels.publish("room:1", b'"last"')
    heard = house.hub.publications
    await house.until(lambda: house.hub.publications > heard or house.hub.publications > 0)
    await send_away(house.state.connections, 0.0, flush=house.hub.flush)
    assert await peer.published() == "last"
    assert await peer.hang_up() == SHUTDOWN


async def test_a_slow_reader_gets_all_that_waits_for_it(serve: Serve) -> None:
    house = await serve()
    peer = await house.peer(receive_buffer=4096)
    await peer.subscribe("room:1")
    text = "x" * 10_000
    for number in range(50):
        await house.services.channels.publish("room:1", b'"%d%b"' % (number, text.encode()))
    await house.until(lambda: house.hub.publications == 50)
    await send_away(house.state.connections, 0.0, flush=house.hub.flush)
    assert [await peer.published() for _ in range(50)] == [f"{n}{text}" for n in range(50)]
    assert await peer.hang_up() == SHUTDOWN


async def test_who_has_not_said_a_word_yet_is_sent_away_too(serve: Serve) -> None:
    house = await serve()
    peer = await house.dial()
    await send_away(house.state.connections, 0.0, flush=house.hub.flush)
    assert await peer.hang_up() == SHUTDOWN


# The whole service


class Service:
    """The service in this process, which ends when it is told to."""

    def __init__(self, settings: Settings) -> None:
        self.application = Application(settings)
        self.server: GracefulServer = self.application.server()
        listener = socket.create_server((settings.host, 0))
        self.port: int = listener.getsockname()[1]
        self.serving = asyncio.create_task(self.server.serve(sockets=[listener]))

    def terminate(self) -> None:
        """As on SIGTERM."""
        self.server.handle_exit(signal.SIGTERM, None)

    async def get(self, path: str) -> int:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as http:
            return (await http.get(path)).status_code


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[Service]:
    running = Service(settings)
    await running.application.load()
    tasks = [asyncio.create_task(w) for w in running.application.background(running.server)]
    try:
        yield running
    finally:
        running.server.should_exit = True
        await running.serving
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await running.application.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """The pause between two batches of one connection each lasts until this is set."""
    event = asyncio.Event()

    async def pause(seconds: float) -> None:
        await event.wait()

    patched: Callable[..., Awaitable[None]] = partial(send_away, sleep=pause)
    monkeypatch.setattr(shutdown, "BATCH", 1)
    monkeypatch.setattr(graceful, "send_away", patched)
    return event


async def test_while_clients_are_sent_away_nobody_new_is_let_in(held: asyncio.Event) -> None:
    async with service(Settings(data=None, shutdown_spread=5.0)) as running:
        peers = [await Peer.dial(running.port) for _ in range(2)]
        for peer in peers:
            await peer.connect()
        farewells = [asyncio.create_task(peer.hang_up()) for peer in peers]
        running.terminate()
        try:
            peers.append(await Peer.dial(running.port))
            assert peers[-1].status == 503
            assert "retry-after: 1" in peers[-1].head.lower()
            assert await running.get("/readyz") == 503
            assert await running.get("/healthz") == 200
            assert await running.get("/v1/channels") == 200, "requests are still answered"
            told, waiting = await asyncio.wait(farewells, return_when=asyncio.FIRST_COMPLETED)
            assert (len(told), len(waiting)) == (1, 1)
        finally:
            held.set()
        assert await asyncio.gather(*farewells) == [SHUTDOWN] * 2
        for peer in peers:
            await peer.end()
        await running.serving


async def test_all_of_it_is_within_the_time_out_of_the_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spreads: list[float] = []

    async def instead(connections: object, spread: float, **others: object) -> None:
        spreads.append(spread)

    monkeypatch.setattr(graceful, "send_away", instead)
    settings = Settings(data=None, shutdown_spread=60.0, shutdown_timeout=2)
    async with service(settings) as running:
        running.terminate()
        await running.serving
        assert spreads == [2]
        assert running.server.config.timeout_graceful_shutdown in (0, 1, 2)


@pytest.mark.parametrize("store", STORES)
async def test_a_signal_ends_the_process_in_good_order(store: str, tmp_path: Path) -> None:
    """Whoever is connected is told to come back, and nobody stays behind in the store."""
    with store_options(store, tmp_path) as options, running_service(None, *options) as running:
        peers = [await Peer.dial(running.port) for _ in range(3)]
        for peer in peers:
            await peer.connect()
            await peer.subscribe("room:1")
        running.process.send_signal(signal.SIGTERM)
        assert [await peer.hang_up() for peer in peers] == [SHUTDOWN] * 3
        for peer in peers:
            await peer.end()
        assert await asyncio.to_thread(running.process.wait, 60) == 0
        if store == "redis":
            with running_service(None, *options) as other:
                url = f"{other.url}/v1/channels/room:1/presence"
                async with httpx.AsyncClient() as http:
                    assert (await http.get(url)).json()["clients"] == []

"""Who may open a connection at all: path, origin, and a service that is ready."""

from __future__ import annotations

import gc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from websockets.http11 import Request

from realtime import keyfile
from realtime.access import Access
from realtime.rate import Rate
from realtime.settings import Settings
from realtime.ws.door import Options
from realtime.ws.entrance import ConnectionLimits
from realtime.ws.quotas import Rates
from tests.ws.conftest import Serve
from tests.ws.house import House


@pytest.mark.parametrize("path", ["/", "/connection", "/connection/websocket/", "/v1/channels"])
async def test_other_paths_are_not_found(serve: Serve, path: str) -> None:
    house = await serve()
    assert (await house.dial(path=path)).status == 404


async def test_a_query_is_ignored(serve: Serve) -> None:
    house = await serve()
    assert (await house.dial(path="/connection/websocket?cf_protocol=json")).status == 101


async def origin(house: House, value: str, **options: object) -> int:
    return (await house.dial(headers=(f"Origin: {value}",), **options)).status


@pytest.fixture
def guarded(tmp_path: Path) -> Access:
    """A service with a key: it may be public."""
    keyfile.add(tmp_path / "keys", keyfile.issue("app", ("*",), datetime.now(UTC)).record)
    return Access(tmp_path / "keys")


async def test_our_own_pages_may_connect(serve: Serve, guarded: Access) -> None:
    house = await serve(access=guarded)
    assert await origin(house, f"http://127.0.0.1:{house.port}") == 101
    assert await origin(house, f"https://127.0.0.1:{house.port}") == 101
    assert await origin(house, "https://Game.example", host="game.example") == 101


@pytest.mark.parametrize(
    "value",
    ["https://evil.example", "null", "http://127.0.0.1:1", "file://", "http://[", "several"],
)
async def test_foreign_pages_may_not(serve: Serve, guarded: Access, value: str) -> None:
    house = await serve(access=guarded)
    assert await origin(house, value) == 403


async def test_two_origins_are_none_of_ours(serve: Serve, guarded: Access) -> None:
    house = await serve(access=guarded)
    own = f"Origin: http://127.0.0.1:{house.port}"
    assert (await house.dial(headers=(own, own))).status == 403


async def test_without_keys_all_pages_of_this_machine_may_connect(serve: Serve) -> None:
    house = await serve()
    assert await origin(house, "http://localhost:3000") == 101
    assert await origin(house, "https://evil.example") == 403


async def test_without_keys_a_name_that_was_made_to_point_here_is_not_served(
    serve: Serve,
) -> None:
    house = await serve()
    assert await origin(house, "http://evil.example", host="evil.example") == 403
    assert (await house.dial(host="evil.example")).status == 403
    assert (await house.dial(host="localhost")).status == 101


async def test_named_origins_may_connect(serve: Serve) -> None:
    house = await serve(options=Options(allowed_origins=frozenset({"https://game.example"})))
    assert await origin(house, "https://game.example") == 101
    assert await origin(house, "https://game.example.evil.example") == 403


async def test_all_origins_may_connect_if_told_so(serve: Serve) -> None:
    house = await serve(options=Options(allowed_origins=frozenset({"*"})))
    assert await origin(house, "https://anywhere.example") == 101
    assert await origin(house, "null") == 101


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Sec-WebSocket-Protocol:", 101),  # what old stock clients send
        ("Sec-WebSocket-Protocol: centrifuge-protobuf", 101),
        ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", 101),
        ("Sec-WebSocket-Key: twice", 400),
        ("Sec-WebSocket-Version: 8", 400),
        ("Content-Length: 5", 400),
        ("X-Large: " + "x" * 9000, 431),
    ],
)
async def test_odd_handshakes(serve: Serve, header: str, status: int) -> None:
    house = await serve()
    peer = await house.dial(headers=(header,))
    assert peer.status == status
    if status == 101:
        assert "sec-websocket-extensions" not in peer.head.lower(), "compression stays off"
        await peer.connect()
    else:
        await peer.eof()
    await house.peer()


async def test_so_many_new_connections_and_no_more(serve: Serve) -> None:
    limits = ConnectionLimits(rate=Rate(2, 10.0))
    house = await serve(options=Options(connections=limits))
    assert await origin(house, "https://evil.example") == 403, "it does not count"
    statuses = [(await house.dial()).status for _ in range(4)]
    assert statuses == [101, 101, 503, 503]
    assert "retry-after: 1" in house.peers[-1].head.lower()
    assert house.door.entrance.refusals["connections"] == 2
    house.pass_time(5.0)
    assert (await house.dial()).status == 101


async def test_on_the_way_out_nobody_is_let_in(serve: Serve) -> None:
    house = await serve()
    before = await house.peer()
    house.door.entrance.closed = "the service is shutting down"
    late = await house.dial()
    assert (late.status, "retry-after: 1" in late.head.lower()) == (503, True)
    await before.subscribe("room:1")


def test_the_settings_say_what_a_door_may() -> None:
    settings = Settings(
        ws_max_channels=3,
        ws_ping_interval=20.0,
        ws_pong_timeout=4.0,
        ws_connect_timeout=5.0,
        ws_connection_rate=Rate(9, 1.0),
        ws_command_rate=None,
        ws_patience=7,
        personal_channels=True,
    )
    options = Options.of(settings)
    assert (options.max_channels, options.connect_timeout) == (3, 5.0)
    assert (options.ping_interval, options.pong_timeout) == (20.0, 4.0)
    assert options.connections == ConnectionLimits(rate=Rate(9, 1.0), per_user=None)
    assert options.rates == Rates(patience=7)
    assert options.personal_channels
    assert not options.counts_users


async def test_the_request_is_forgotten_once_it_is_answered(serve: Serve) -> None:
    """Its headers would cost a connection more than anything else does."""
    house = await serve()
    peer = await house.peer(headers=("X-Long: " + "x" * 4_000,))
    await peer.subscribe("c")
    gc.collect()
    assert not any(type(it) is Request for it in gc.get_objects())

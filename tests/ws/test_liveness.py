"""Pings, pongs and deadlines, on a clock that the test moves."""

from __future__ import annotations

from realtime.ws.door import Options
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Closed, Peer


async def pinged(peer: Peer) -> None:
    """The next object is a ping."""
    assert await peer.receive() == {}


async def test_a_client_that_answers_its_pings_stays(any_house: House) -> None:
    peer = await any_house.peer()
    for _ in range(4):
        any_house.pass_time(25.1)
        await pinged(peer)
        peer.send_text("{}")
        await peer.ask(presence_stats={"channel": "c"})


async def test_the_first_ping_comes_between_half_an_interval_and_a_whole_one(
    serve: Serve,
) -> None:
    house = await serve()
    peers = [await house.peer() for _ in range(20)]
    house.pass_time(12.3)
    for peer in peers:
        assert "error" not in await peer.ask(presence_stats={"channel": "c"})
    house.pass_time(12.8)
    for peer in peers:
        await pinged(peer)


async def test_no_pong_in_time_ends_the_connection(any_house: House) -> None:
    peer = await any_house.peer()
    any_house.pass_time(25.1)
    await pinged(peer)
    any_house.pass_time(7.8)
    assert "error" not in await peer.ask(presence_stats={"channel": "c"}), "commands are no pong"
    any_house.pass_time(0.3)
    assert await peer.hang_up() == Closed(3012, "no pong")


async def test_the_second_pong_to_one_ping_is_one_too_many(any_house: House) -> None:
    peer = await any_house.peer()
    any_house.pass_time(25.1)
    await pinged(peer)
    peer.send_text("{}\n{}")
    assert (await peer.hang_up()).code == 3501


async def test_who_never_connects_is_stale(any_house: House) -> None:
    idle = await any_house.dial()
    any_house.pass_time(9.9)
    assert any_house.hub.connections == 1
    any_house.pass_time(0.2)
    assert await idle.hang_up() == Closed(3502, "stale")


async def test_a_late_pong_does_not_move_the_next_ping(serve: Serve) -> None:
    house = await serve(options=Options(ping_interval=20, pong_timeout=8))
    peer = await house.peer()
    house.pass_time(20)
    await pinged(peer)
    house.pass_time(7)
    peer.send_text("{}")
    await peer.ask(presence_stats={"channel": "c"})
    house.pass_time(12.8)
    assert "error" not in await peer.ask(presence_stats={"channel": "c"})
    house.pass_time(0.3)
    await pinged(peer)

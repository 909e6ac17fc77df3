"""Live leaderboards over a socket: the board at once, then as it changes."""

from __future__ import annotations

from realtime.backends.base import Ranking, Submit
from tests.ws.house import House


async def score(house: House, member: bytes, points: float) -> None:
    await house.services.leaderboards.submit("weekly", [Submit(member, points)])


async def test_a_subscriber_sees_the_board_at_once_and_every_change(any_house: House) -> None:
    await score(any_house, b"ada", 10)
    peer = await any_house.peer()
    assert await peer.subscribe("leaderboard:weekly") == {}
    first = await peer.published()
    assert first["entries"] == [{"rank": 1, "member": "ada", "score": 10}]
    await score(any_house, b"bob", 20)
    second = await peer.published()
    assert [entry["member"] for entry in second["entries"]] == ["bob", "ada"]
    assert second["version"] > first["version"]


async def test_an_empty_board_is_shown_empty(any_house: House) -> None:
    peer = await any_house.peer()
    await peer.subscribe("leaderboard:nobody")
    assert (await peer.published())["entries"] == []


async def test_entries_that_leave_by_themselves_are_seen_to(any_house: House) -> None:
    """On the board and by a member, though nobody does anything."""
    await any_house.services.leaderboards.configure("weekly", Ranking(entry_ttl=200_000))
    board, member = await any_house.peer(), await any_house.peer()
    await score(any_house, b"ada", 10)
    any_house.engine_clock.advance(100_000)
    await score(any_house, b"bob", 5)
    await board.subscribe("leaderboard:weekly")
    await member.subscribe("leaderboard:weekly:bob")
    assert len((await board.published())["entries"]) == 2
    assert (await member.published())["rank"] == 2
    any_house.engine_clock.advance(100_000)
    assert [entry["member"] for entry in (await board.published())["entries"]] == ["bob"]
    assert (await member.published())["rank"] == 1
    any_house.engine_clock.advance(100_000)
    assert (await board.published())["entries"] == []
    assert (await member.published())["rank"] is None


async def test_a_live_board_has_no_history_to_recover(any_house: House) -> None:
    await score(any_house, b"ada", 10)
    peer = await any_house.peer()
    result = await peer.subscribe("leaderboard:weekly", recover=True, offset=3, epoch="x")
    assert result == {}
    push = await peer.pushed()
    assert "offset" not in push["pub"]


async def test_a_board_that_cannot_be_is_refused(any_house: House) -> None:
    peer = await any_house.peer()
    reply = await peer.ask(subscribe={"channel": "leaderboard:"})
    assert reply["error"]["code"] == 107
    assert not any_house.hub.is_watched("leaderboard:")

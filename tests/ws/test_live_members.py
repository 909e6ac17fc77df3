"""Where single members stand, over a socket."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from realtime.backends.base import Submit
from realtime.services.namespaces import Namespace, Namespaces
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.keys import Keys, guarded
from tests.ws.peer import Peer

ADA = "leaderboard:weekly:ada"


async def score(house: House, member: str, points: float, board: str = "weekly") -> None:
    await house.services.leaderboards.submit(board, [Submit(member.encode(), points)])


async def shown(peer: Peer) -> dict[str, Any]:
    """What was published, but for the version."""
    published: dict[str, Any] = await peer.published()
    assert published.pop("version") > 0
    return published


async def test_a_subscriber_sees_where_the_member_stands_and_every_change(
    any_house: House,
) -> None:
    await score(any_house, "ada", 10)
    peer = await any_house.peer()
    assert await peer.subscribe(ADA, recover=True, offset=3, epoch="x") == {}
    about = {"board": "weekly", "member": "ada"}
    assert await shown(peer) == {**about, "rank": 1, "score": 10}
    await score(any_house, "bob", 20)
    assert await shown(peer) == {**about, "rank": 2, "score": 10, "previous_rank": 1}
    await score(any_house, "ada", 30)
    assert await shown(peer) == {**about, "rank": 1, "score": 30, "previous_rank": 2}
    await any_house.services.leaderboards.drop("weekly")
    assert await shown(peer) == {**about, "rank": None, "score": None, "previous_rank": 1}


async def test_versions_grow_over_subscriptions_and_deleted_boards(any_house: House) -> None:
    peer = await any_house.peer()
    versions: list[int] = []
    for points in range(3):
        await peer.subscribe(ADA)
        versions.append((await peer.published())["version"])
        await score(any_house, "ada", points + 1)
        versions.append((await peer.published())["version"])
        await peer.ask(unsubscribe={"channel": ADA})
        assert not any_house.live.members._boards
        await any_house.services.leaderboards.drop("weekly")
    assert versions == sorted(set(versions))


async def test_all_subscribers_of_a_member_see_the_same(any_house: House) -> None:
    peers = [await any_house.peer() for _ in range(3)]
    for peer in peers:
        await peer.subscribe(ADA)
        await shown(peer)
    await peers[0].ask(unsubscribe={"channel": ADA})
    await score(any_house, "ada", 1)
    one, other = [await peer.published() for peer in peers[1:]]
    assert one == other
    assert one["rank"] == 1


async def test_a_board_and_its_members_are_told_apart(any_house: House) -> None:
    peer = await any_house.peer()
    for channel in ("leaderboard:a%3Ab", "leaderboard:a:b", "leaderboard:a%3Ab:c:%"):
        await peer.subscribe(channel)
        await peer.published()
    await score(any_house, "x", 1, board="a:b")
    push = await peer.pushed()
    assert push["channel"] == "leaderboard:a%3Ab"
    await score(any_house, "b", 1, board="a")
    push = await peer.pushed()
    assert (push["channel"], push["pub"]["data"]["rank"]) == ("leaderboard:a:b", 1)
    await score(any_house, "c:%", 2, board="a:b")
    pushes = [await peer.pushed() for _ in range(2)]
    by_channel = {push["channel"]: push["pub"]["data"] for push in pushes}
    assert by_channel["leaderboard:a%3Ab:c:%"]["member"] == "c:%"
    assert by_channel["leaderboard:a%3Ab"]["entries"][0]["member"] == "c:%"


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ("leaderboard:weekly:", "no member is named"),
        ("leaderboard::ada", "no board is named"),
        ("leaderboard:a%3ab:ada", "a colon %3A"),
        ("leaderboard:100%", "a % is written %25"),
    ],
)
async def test_a_name_that_says_nothing_is_refused_in_words(
    any_house: House, channel: str, words: str
) -> None:
    peer = await any_house.peer()
    for command in ("subscribe", "presence"):
        error = (await peer.ask(**{command: {"channel": channel}}))["error"]
        assert error["code"] == 107
        assert words in error["message"]
    assert not any_house.hub.is_watched(channel)
    assert not any_house.live.members._boards
    assert (await peer.ask(subscribe={"channel": ADA}))["subscribe"] == {}


async def test_a_member_is_never_shown_as_what_changes(any_house: House) -> None:
    peer = await any_house.peer()
    error = (await peer.ask(subscribe={"channel": ADA, "data": {"mode": "delta"}}))["error"]
    assert error["code"] == 107
    assert "a member is always shown whole" in error["message"]
    await peer.subscribe(ADA, data={"mode": "top"})


async def test_it_is_the_services_own_and_keeps_nothing(any_house: House) -> None:
    await score(any_house, "ada", 10)
    peer = await any_house.peer()
    assert (await peer.ask(publish={"channel": ADA, "data": 1}))["error"]["code"] == 103
    assert (await peer.ask(history={"channel": ADA}))["error"]["code"] == 108
    assert await peer.subscribe(ADA, positioned=True) == {}
    push = await peer.pushed()
    assert "offset" not in push["pub"]
    assert await any_house.services.channels.active() == [(ADA, 1)]
    any_house.hub.lost(ADA.encode())
    await score(any_house, "ada", 11)
    assert (await peer.published())["score"] == 11  # it stays subscribed


async def test_patterns_do_not_show_members(any_house: House) -> None:
    peer = await any_house.peer()
    await peer.subscribe("leaderboard:weekly:*")
    assert (await peer.published())["member"] == "*"


async def test_the_doors_over_http_say_the_same(any_house: House) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{any_house.port}") as http:
        body = {"data": 1}
        answer = await http.post(f"/v1/channels/{ADA}/messages", json=body)
        assert answer.status_code == 403
        bad = await http.post("/v1/channels/leaderboard:a:/messages", json=body)
        assert bad.status_code == 422
        assert "no member is named" in bad.json()["detail"]
        history = await http.post("/api/history", json={"channel": ADA})
        assert history.json()["error"]["code"] == 108
        peer = await any_house.peer()
        await peer.subscribe(ADA)
        listed = await http.post("/api/channels", json={"pattern": "leaderboard:*:ada"})
        assert listed.json()["result"]["channels"] == {ADA: {"num_clients": 1}}


def test_members_belong_to_leaderboards_whatever_namespaces_say() -> None:
    strict = Namespaces(Namespace(), [Namespace(name="n", prefix="n:")], strict=True)
    assert strict.find(ADA) is strict.default


async def test_who_may_read_leaderboards_may_subscribe(serve: Serve, keys: Keys) -> None:
    reader, other = keys.issue("reader", "leaderboards:read"), keys.issue("other", "channels:*")
    house = await guarded(serve, keys)
    assert await (await house.peer(reader)).subscribe(ADA) == {}
    peer = await house.peer(other)
    assert (await peer.ask(subscribe={"channel": ADA}))["error"]["code"] == 103

"""Keys and scopes at the WebSocket door."""

from __future__ import annotations

from realtime import keyfile
from realtime.access import Access
from tests.ws.conftest import Serve
from tests.ws.keys import Keys, guarded
from tests.ws.peer import Closed


async def test_a_token_lets_in(serve: Serve, keys: Keys) -> None:
    token = keys.issue("app", "channels:*")
    house = await guarded(serve, keys)
    peer = await house.peer(token)
    await peer.subscribe("c")
    presence = (await peer.ask(presence={"channel": "c"}))["presence"]["presence"]
    assert presence[peer.client]["user"] == "app"


async def test_so_does_the_header_of_the_handshake(serve: Serve, keys: Keys) -> None:
    token = keys.issue("app", "channels:*")
    house = await guarded(serve, keys)
    await (await house.peer(headers=(f"Authorization: Bearer {token}",))).subscribe("c")


async def test_without_any_credentials_there_is_no_way_in(serve: Serve, keys: Keys) -> None:
    keys.issue("app", "*")
    house = await guarded(serve, keys)
    peer = await house.dial(headers=("Authorization: Basic eDp5",))
    peer.send(connect={})
    assert (await peer.hang_up()).code == 3501


async def test_a_wrong_token_is_told_not_to_come_back(serve: Serve, keys: Keys) -> None:
    token = keys.issue("app", "*")
    house = await guarded(serve, keys)
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), "x", "é" * 40):
        peer = await house.dial()
        peer.send(connect={"token": wrong})
        assert await peer.hang_up() == Closed(3500, "invalid token")


async def test_scopes_decide_what_one_may_do(serve: Serve, keys: Keys) -> None:
    reader = keys.issue("reader", "channels:read")
    writer = keys.issue("writer", "channels:publish")
    boards = keys.issue("boards", "leaderboards:read")
    house = await guarded(serve, keys)

    async def allowed(token: str) -> set[str]:
        peer = await house.peer(token)
        tries = {
            "subscribe": {"channel": "c"},
            "history": {"channel": "c"},
            "presence": {"channel": "c"},
            "presence_stats": {"channel": "c"},
            "publish": {"channel": "c", "data": 1},
        }
        done = {
            name for name, body in tries.items() if "error" not in await peer.ask(**{name: body})
        }
        live = await peer.ask(subscribe={"channel": "leaderboard:b"})
        if "error" not in live:
            done.add("watch")
        else:
            assert live["error"]["code"] == 103
        return done

    assert await allowed(reader) == {"subscribe", "history", "presence", "presence_stats"}
    assert await allowed(writer) == {"publish"}
    assert await allowed(boards) == {"watch"}


async def test_a_revoked_key_ends_with_the_next_ping(serve: Serve, keys: Keys) -> None:
    token = keys.issue("app", "*")
    keys.issue("other", "*")
    access = Access(keys.path)
    house = await serve(access=access)
    peer = await house.peer(token)
    keyfile.revoke(keys.path, "app")
    assert access.refresh()
    house.pass_time(25.1)
    assert await peer.hang_up() == Closed(3500, "invalid token")

"""The stock Python client where things happen to it: wires break, services end, tokens expire.

What it does in channels is in `tests.ws.test_python_client`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import centrifuge
import pytest
import pytest_asyncio

from tests.redis.servers import running_redis
from tests.stage import Stage, staged
from tests.ws.sdk import PATIENCE, Client, Events, connecting, data, subscribed

pytestmark = pytest.mark.asyncio(loop_scope="module")

module_fixture = pytest_asyncio.fixture(scope="module", loop_scope="module")

SHORT = 4.0
"""Seconds that a token lives; whoever needs longer to show it has one that has expired."""

SECRET = "secret:py"


@module_fixture
async def near(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A stage whose services hold their data themselves."""
    async with staged(tmp_path_factory.mktemp("near")) as stage:
        yield stage


@module_fixture
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A stage whose services have their data in a store."""
    folder = tmp_path_factory.mktemp("far")
    with running_redis(folder / "redis") as redis:
        async with staged(folder, redis) as stage:
            yield stage


@pytest.fixture(params=["near", "far"])
def stage(request: pytest.FixtureRequest) -> Stage:
    found: Stage = request.getfixturevalue(request.param)
    return found


@pytest_asyncio.fixture(loop_scope="module")
async def connect() -> AsyncIterator[Client]:
    async with connecting() as connect:
        yield connect


async def connected(
    connect: Client, stage: Stage, *, service: str = "main", user: str = "ada", **options: Any
) -> tuple[Any, int]:
    """A client, and its wire."""
    wire = await stage.wire(service)
    if not options.keys() & {"token", "get_token"}:
        options["token"] = await stage.token({"sub": user})
    client = await connect(f"ws://127.0.0.1:{wire}/connection/websocket", **options)
    await client.ready(PATIENCE)
    return client, wire


def getting(stage: Stage, asked: list[str], **claims: Any) -> Callable[..., Awaitable[str]]:
    """Fetches short tokens, and notes each."""

    async def get_token(*_: object) -> str:
        asked.append(await stage.token(claims, ttl=SHORT))
        return asked[-1]

    return get_token


async def test_it_recovers_all_it_is_in_when_its_wire_is_cut(stage: Stage, connect: Client) -> None:
    token = await stage.token({"sub": "ada", "channels": ["news:all"]})
    client, wire = await connected(connect, stage, token=token)
    begun = {(await client.events.next("subscribed")).channel for _ in range(2)}
    assert begun == {"news:all", "#ada"}
    sub, events = await subscribed(client, "py:cut")
    await events.next("subscribed")
    await stage.publish("py:cut", [0])
    await stage.publish("news:all", [0])
    assert await data(events, 1) == await data(client.events, 1) == [0]
    await stage.cut(wire)
    await stage.publish("py:cut", list(range(1, 21)))
    await stage.publish("news:all", [1, 2, 3])
    again = await events.next("subscribed")
    assert (again.was_recovering, again.recovered) == (True, True)
    assert await data(events, 20) == list(range(1, 21))
    back = [await client.events.next("subscribed") for _ in range(2)]
    assert [(event.was_recovering, event.recovered) for event in back] == [(True, True)] * 2
    assert await data(client.events, 3) == [1, 2, 3]
    await sub.publish("and on")
    assert await data(events, 1) == ["and on"]


async def test_it_loses_nothing_when_a_service_is_killed_that_keeps_everything(
    stage: Stage, connect: Client
) -> None:
    await stage.serve("kept", keeps=True)
    client, _ = await connected(connect, stage, service="kept")
    sub, events = await subscribed(client, "py:kept")
    epoch = (await events.next("subscribed")).stream_position.epoch
    await stage.publish(sub.channel, [1, 2, 3], name="kept")
    assert await data(events, 3) == [1, 2, 3]
    await stage.end("kept", "KILL")
    await stage.serve("kept", keeps=True)
    await stage.publish(sub.channel, [4, 5], name="kept")
    again = await events.next("subscribed")
    assert (again.recovered, again.stream_position.epoch) == (True, epoch)
    assert await data(events, 2) == [4, 5]
    while client.events.left("connecting"):
        await client.events.next("connecting")
    assert await stage.end("kept", "TERM") == 0
    told = await client.events.next("connecting")
    assert (told.code, told.reason) == (3001, "shutdown")
    await stage.serve("kept", keeps=True)
    again = await events.next("subscribed")
    assert (again.recovered, again.stream_position.epoch) == (True, epoch)
    await stage.publish(sub.channel, [6], name="kept")
    assert await data(events, 1) == [6]
    assert events.left("publication") == 0


async def test_it_is_told_that_all_is_lost_when_a_service_without_a_journal_is_killed(
    near: Stage, connect: Client
) -> None:
    await near.serve("memory")
    client, _ = await connected(connect, near, service="memory")
    sub, events = await subscribed(client, "py:memory")
    epoch = (await events.next("subscribed")).stream_position.epoch
    await near.publish(sub.channel, [1, 2, 3], name="memory")
    assert await data(events, 3) == [1, 2, 3]
    await near.end("memory", "KILL")
    await near.serve("memory")
    again = await events.next("subscribed")
    assert (again.was_recovering, again.recovered) == (True, False)
    assert again.stream_position.epoch != epoch
    await near.publish(sub.channel, ["a new life"], name="memory")
    assert await data(events, 1) == ["a new life"]


async def test_it_replaces_its_tokens_before_they_expire(stage: Stage, connect: Client) -> None:
    mine: list[str] = []
    of_channel: list[str] = []
    client, _ = await connected(connect, stage, get_token=getting(stage, mine, sub="ada"))
    id = (await client.events.next("connected")).client
    get_token = getting(stage, of_channel, sub="ada", channel=SECRET)
    sub, events = await subscribed(client, SECRET, get_token=get_token)
    while min(len(mine), len(of_channel)) < 2:
        await stage.publish(SECRET, ["still here"])
        assert await data(events, 1) == ["still here"]
    assert set((await sub.presence()).clients) == {id}
    assert client.events.left("error") == events.left("error") == 0


async def test_it_fetches_new_tokens_when_its_own_have_expired(
    stage: Stage, connect: Client
) -> None:
    mine: list[str] = []
    of_channel: list[str] = []
    client, _ = await connected(
        connect,
        stage,
        token=await stage.token({"sub": "ada"}, ttl=-10),
        get_token=getting(stage, mine, sub="ada"),
    )
    token = await stage.token({"sub": "ada", "channel": SECRET}, ttl=-10)
    get_token = getting(stage, of_channel, sub="ada", channel=SECRET)
    await subscribed(client, SECRET, token=token, get_token=get_token)
    assert mine and of_channel


async def test_it_leaves_when_it_gets_no_new_token(near: Stage, connect: Client) -> None:
    tokens = [await near.token({"sub": "ada"}, ttl=SHORT)]

    async def get_token() -> str:
        if tokens:
            return tokens.pop()
        raise centrifuge.UnauthorizedError

    client, _ = await connected(connect, near, get_token=get_token)
    assert (await client.events.next("disconnected")).code == 1  # its own word: unauthorized


async def test_it_leaves_a_channel_when_it_gets_no_new_token_for_it(
    near: Stage, connect: Client
) -> None:
    tokens = [await near.token({"sub": "ada", "channel": SECRET}, ttl=SHORT)]

    async def get_token(_: str) -> str:
        if tokens:
            return tokens.pop()
        raise centrifuge.UnauthorizedError

    client, _ = await connected(connect, near)
    _, events = await subscribed(client, SECRET, get_token=get_token)
    assert (await events.next("unsubscribed")).code == 1
    events = Events()
    without = client.new_subscription("secret:other", events=events)
    await without.subscribe()
    assert (await events.next("unsubscribed")).code == 103
    assert (await client.presence_stats("py:any")).num_clients == 0


async def test_it_is_moved_about_by_the_service(stage: Stage, connect: Client) -> None:
    client, _ = await connected(connect, stage, user="bob")
    assert (await client.events.next("subscribed")).channel == "#bob"
    await stage.call("/api/subscribe", {"user": "bob", "channel": "news:py"})
    assert (await client.events.next("subscribed")).channel == "news:py"
    await stage.publish("news:py", [1])
    assert await data(client.events, 1) == [1]
    await stage.call("/api/unsubscribe", {"user": "bob", "channel": "news:py"})
    assert (await client.events.next("unsubscribed")).channel == "news:py"
    _, events = await subscribed(client, "py:mine")
    await stage.call("/api/unsubscribe", {"user": "bob", "channel": "py:mine"})
    assert (await events.next("unsubscribed")).code == 2000
    await stage.call("/v1/tokens/revoke", {"user": "bob"})
    assert (await client.events.next("disconnected")).code == 3500


async def test_it_takes_differences(stage: Stage, connect: Client) -> None:
    client, wire = await connected(connect, stage)
    sub, events = await subscribed(client, "delta:py", delta=centrifuge.DeltaType.FOSSIL)
    text = "Everything but a number stays as it was, and it is quite long. " * 8
    states = [{"n": n, "text": text, "ü": f"{n}€"} for n in range(12)]
    await stage.publish(sub.channel, states[:6])
    came = [(await events.next("publication")).pub for _ in range(6)]
    assert [pub.data for pub in came] == states[:6]
    assert [pub.delta for pub in came] == [False, True, True, True, True, True]
    await stage.cut(wire)
    await stage.publish(sub.channel, states[6:])
    assert await data(events, 6) == states[6:]


async def test_it_does_by_rpc_what_http_does(stage: Stage, connect: Client) -> None:
    token = await stage.token({"sub": "ada", "scopes": ["leaderboards:*"]})
    client, _ = await connected(connect, stage, token=token)
    path = "/v1/leaderboards/py/scores"
    done = (await client.rpc(f"POST {path}", {"member": "ada", "score": 3})).data
    assert (done["rank"], done["score"]) == (1, 3)
    top = (await client.rpc("GET /v1/leaderboards/py", None)).data
    assert top == await stage.call("/v1/leaderboards/py", method="GET")


async def test_it_subscribes_anew_where_everything_went_back_to_a_backup(
    near: Stage, connect: Client
) -> None:
    await near.serve("backed-up", keeps=True)
    client, _ = await connected(connect, near, service="backed-up")
    sub, events = await subscribed(client, "py:backup")
    await events.next("subscribed")
    await near.publish(sub.channel, [1, 2], name="backed-up")
    backup = await near.call("/v1/admin/backups", name="backed-up")
    await near.publish(sub.channel, ["taken back"], name="backed-up")
    assert await data(events, 3) == [1, 2, "taken back"]
    await client.events.next("connecting")
    await near.call(f"/v1/admin/backups/{backup['name']}/restore", name="backed-up")
    assert (await client.events.next("connecting")).code == 3010
    again = await events.next("subscribed")
    assert (again.recovered, again.stream_position.offset) == (False, 2)


async def test_it_reads_what_is_compressed(near: Stage, connect: Client) -> None:
    await near.serve("deflating", options=("--ws-deflate", "true", "--ws-deflate-bytes", "100"))
    client, wire = await connected(connect, near, service="deflating")
    assert [extension.name for extension in client._conn.protocol.extensions] == [
        "permessage-deflate"
    ]
    sub, events = await subscribed(client, "py:deflate")
    texts = [f"{n} ü " * n * n for n in range(40)]
    await near.publish(sub.channel, texts[:20], name="deflating")
    assert await data(events, 20) == texts[:20]
    await near.cut(wire)
    await near.publish(sub.channel, texts[20:], name="deflating")
    assert await data(events, 20) == texts[20:]


async def test_it_leaves_a_service_that_says_nothing_and_recovers(
    near: Stage, connect: Client
) -> None:
    await near.serve("pinging", options=("--ws-ping-interval", "1", "--ws-pong-timeout", "1"))
    client, wire = await connected(connect, near, service="pinging", max_server_ping_delay=1.0)
    sub, events = await subscribed(client, "py:silence")
    await client.events.next("connecting")
    await events.next("subscribed")
    await near.hold(wire)
    await near.publish(sub.channel, [1, 2, 3], name="pinging")
    assert (await client.events.next("connecting")).code == 2  # its own word: no ping
    await near.carry(wire)
    assert (await events.next("subscribed")).recovered is True
    assert await data(events, 3) == [1, 2, 3]

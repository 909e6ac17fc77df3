"""The stock Python client of Centrifugo's server API against a running service.

Nothing here knows that API: every promise is one that the client makes to its users.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import cent
import pytest

from realtime import keyfile
from realtime.tokens import sign
from tests.redis.stores import STORES, store_options
from tests.service import Service, running_service
from tests.ws.keys import SECRET
from tests.ws.peer import Closed, Peer

KEY = keyfile.issue("backend", ("*",), datetime.now(UTC))


@pytest.fixture(scope="module", params=STORES)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """With a key for the backend, and a secret for the tokens of users."""
    folder = tmp_path_factory.mktemp("cent")
    keyfile.add(folder / "keys.json", KEY.record)
    (folder / "secret").write_bytes(SECRET)
    said = [
        "--keys-file",
        str(folder / "keys.json"),
        "--token-hmac-secret-file",
        str(folder / "secret"),
    ]
    with (
        store_options(request.param, folder) as options,
        running_service(None, *said, *options) as running,
    ):
        yield running


@pytest.fixture
async def api(service: Service) -> AsyncIterator[cent.AsyncClient]:
    async with cent.AsyncClient(f"{service.url}/api", KEY.text) as client:
        yield client


@pytest.fixture
async def user(service: Service, request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    """A connection of the user named like the test."""
    peer = await Peer.dial(service.port)
    await peer.connect(sign({"sub": request.node.originalname}, SECRET))
    yield peer
    await peer.end()


async def closed(peer: Peer) -> Closed | None:
    with pytest.raises(ConnectionError):
        while True:
            await peer.receive()
    return peer.closed


def name(request: pytest.FixtureRequest) -> str:
    """Of the test: its user, and its channel."""
    found: str = request.node.originalname
    return found


async def test_publish_and_history(api: cent.AsyncClient, request: pytest.FixtureRequest) -> None:
    channel = name(request)
    publication = cent.PublishRequest(
        channel=channel, data={"n": 1}, tags={"kind": "note"}, idempotency_key="once"
    )
    made = await api.publish(publication)
    assert made.offset == 1
    assert await api.publish(publication) == made
    text = base64.b64encode(b'{"n": 2}').decode()
    await api.publish(cent.PublishRequest(channel=channel, data=None, b64data=text))
    unkept = cent.PublishRequest(channel=channel, data=3, skip_history=True)
    assert await api.publish(unkept) == cent.PublishResult()

    kept = await api.history(cent.HistoryRequest(channel=channel, limit=10))
    assert (kept.offset, kept.epoch) == (2, made.epoch)
    assert [(one.offset, one.data) for one in kept.publications] == [(1, {"n": 1}), (2, {"n": 2})]
    assert kept.publications[0].tags == {"kind": "note"}
    since = cent.StreamPosition(offset=2, epoch=made.epoch)
    back = cent.HistoryRequest(channel=channel, limit=10, since=since, reverse=True)
    assert [one.offset for one in (await api.history(back)).publications] == [1]
    assert (await api.history(cent.HistoryRequest(channel=channel))).publications == []

    await api.history_remove(cent.HistoryRemoveRequest(channel=channel))
    assert (await api.history(cent.HistoryRequest(channel=channel, limit=10))).publications == []


async def test_broadcast(api: cent.AsyncClient, request: pytest.FixtureRequest) -> None:
    channel = name(request)
    said = cent.BroadcastRequest(channels=[channel, "", "leaderboard:a"], data=1)
    made, wrong, forbidden = (await api.broadcast(said)).responses
    assert made.result is not None
    assert (made.result.offset, made.error) == (1, None)
    assert wrong.error is not None
    assert wrong.error.code == 107
    assert forbidden.error is not None
    assert forbidden.error.code == 103


async def test_subscribe_presence_and_unsubscribe(
    api: cent.AsyncClient, user: Peer, request: pytest.FixtureRequest
) -> None:
    channel = name(request)
    position = await api.publish(cent.PublishRequest(channel=channel, data=1))
    await api.publish(cent.PublishRequest(channel=channel, data=2))
    await api.subscribe(
        cent.SubscribeRequest(
            user=channel,
            channel=channel,
            client=user.client,
            info={"seat": 7},
            data={"hi": 1},
            recover_since=cent.StreamPosition(offset=position.offset, epoch=position.epoch),
            override=cent.ChannelOptionsOverride(presence=cent.BoolValue(value=True)),
        )
    )
    subscribed = (await user.pushed())["subscribe"]
    assert subscribed["data"] == {"hi": 1}
    assert [one["data"] for one in subscribed["publications"]] == [2]

    present = (await api.presence(cent.PresenceRequest(channel=channel))).presence
    info = present[user.client]
    assert (info.client, info.user, info.chan_info) == (user.client, channel, {"seat": 7})
    stats = await api.presence_stats(cent.PresenceStatsRequest(channel=channel))
    assert (stats.num_clients, stats.num_users) == (1, 1)
    pattern = "{" + channel + ",none}"
    listed = (await api.channels(cent.ChannelsRequest(pattern=pattern))).channels
    assert {channel: one.num_clients for channel, one in listed.items()} == {channel: 1}
    assert channel in (await api.channels(cent.ChannelsRequest())).channels

    await api.unsubscribe(cent.UnsubscribeRequest(user=channel, channel=channel))
    assert (await user.pushed())["unsubscribe"]["code"] == 2000
    await user.ask(presence_stats={"channel": channel})  # answered when that is done
    assert (await api.presence(cent.PresenceRequest(channel=channel))).presence == {}


async def test_disconnect(
    api: cent.AsyncClient, user: Peer, request: pytest.FixtureRequest
) -> None:
    spared = cent.DisconnectRequest(user=name(request), whitelist=[user.client])
    await api.disconnect(spared)
    why = cent.Disconnect(code=4000, reason="enough")
    await api.disconnect(cent.DisconnectRequest(user=name(request), disconnect=why))
    assert await closed(user) == Closed(4000, "enough")


async def test_refresh(api: cent.AsyncClient, user: Peer, request: pytest.FixtureRequest) -> None:
    later = cent.RefreshRequest(user=name(request), expire_at=int(time.time()) + 3_600)
    await api.refresh(later)
    await api.refresh(cent.RefreshRequest(user=name(request), expired=True))
    assert await closed(user) == Closed(3005, "connection expired")


async def test_info(api: cent.AsyncClient, user: Peer) -> None:
    (node,) = (await api.info(cent.InfoRequest())).nodes
    assert node.num_clients >= 1
    assert node.num_users >= 1
    assert node.uid
    assert node.name
    assert node.version
    assert node.metrics is not None
    assert node.metrics.items["commands"] >= 1


async def test_batch(api: cent.AsyncClient, request: pytest.FixtureRequest) -> None:
    channel = name(request)
    requests: list[Any] = [
        cent.PublishRequest(channel=channel, data=1),
        cent.BroadcastRequest(channels=[channel], data=2),
        cent.HistoryRequest(channel=channel, limit=10),
        cent.PresenceRequest(channel=channel),
        cent.PresenceStatsRequest(channel=channel),
        cent.ChannelsRequest(pattern="nobody"),
        cent.SubscribeRequest(user="nobody", channel=channel),
        cent.UnsubscribeRequest(user="nobody", channel=channel),
        cent.RefreshRequest(user="nobody"),
        cent.DisconnectRequest(user="nobody"),
        cent.HistoryRemoveRequest(channel=channel),
        cent.InfoRequest(),
    ]
    replies: list[Any] = (await api.batch(cent.BatchRequest(requests=requests))).replies
    assert [type(reply) for reply in replies] == [one.__returning__ for one in requests]
    assert [one.data for one in replies[2].publications] == [1, 2]
    together = cent.BatchRequest(requests=requests[:1] * 100, parallel=True)
    made: list[Any] = (await api.batch(together)).replies
    assert sorted(one.offset for one in made) == list(range(3, 103))


async def test_errors(api: cent.AsyncClient, service: Service) -> None:
    with pytest.raises(cent.CentApiResponseError) as refused:
        await api.publish(cent.PublishRequest(channel="", data=1))
    assert refused.value.code == 107
    async with cent.AsyncClient(f"{service.url}/api", "no key") as stranger:
        with pytest.raises(cent.CentUnauthorizedError):
            await stranger.info(cent.InfoRequest())


async def test_without_asyncio(service: Service, request: pytest.FixtureRequest) -> None:
    def publish() -> int:
        with cent.Client(f"{service.url}/api", KEY.text) as client:
            said = cent.PublishRequest(channel=name(request), data=1)
            return client.publish(said).offset

    assert await asyncio.to_thread(publish) == 1

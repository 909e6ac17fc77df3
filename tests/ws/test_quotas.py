"""How much a connection and a user may ask for, and what becomes of who asks for more."""

from __future__ import annotations

import httpx
import jwt
import pytest

from realtime.access import Access
from realtime.app import Application
from realtime.errors import TooManyRequests
from realtime.services.namespaces import Audience, Namespace, Namespaces, Rate
from realtime.services.rates import CHANNEL_PUBLISH, USER_PUBLISH
from realtime.settings import Settings
from realtime.settings.tokens import Secret
from realtime.tokens import Tokens
from realtime.ws.codes import CLOSE_TOO_MANY_REQUESTS, Disconnect
from realtime.ws.door import Options
from realtime.ws.entrance import CONNECTIONS, USER_CONNECTIONS, ConnectionLimits, Entrance
from realtime.ws.quotas import LIMITS, LocalBucket, Quota, Quotas, Rates
from tests.ws.conftest import Serve
from tests.ws.peer import CONT, PING, TEXT, Closed, Object, Peer, frame

TOO_MANY = 111


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class NoStore:
    """Where nothing may be asked for."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} of the store was asked for")


def quota(time: Time, **rates: object) -> Quota:
    return Quotas(Rates(**rates), NoStore(), time).of_connection()  # type: ignore[arg-type]


def passed(one: Quota, sizes: list[int]) -> list[bool]:
    """Which of some commands were admitted."""
    found = []
    for size in sizes:
        try:
            one.admit(size)
            found.append(True)
        except TooManyRequests:
            one.refused()
            found.append(False)
    return found


def test_so_many_at_once_and_then_evenly() -> None:
    time = Time()
    one = quota(time, commands=Rate(3, 1.5))
    assert passed(one, [0] * 5) == [True] * 3 + [False] * 2
    time.now += 0.5
    assert passed(one, [0, 0]) == [True, False]
    time.now += 3600
    assert passed(one, [0] * 4) == [True] * 3 + [False], "an idle bucket is full, never fuller"


@pytest.mark.parametrize("rate", [Rate(7, 3.0), Rate(1000, 1.0), Rate(30, 1.0), Rate(65_536, 0.7)])
def test_a_rate_of_any_ratio_is_exact(rate: Rate) -> None:
    one = quota(Time(), commands=rate, patience=10)
    assert passed(one, [0] * (rate.limit + 2)) == [True] * rate.limit + [False] * 2


def test_bytes_count_besides_commands_and_a_refusal_spends_nothing() -> None:
    one = quota(Time(), commands=Rate(3, 1.0), bytes=Rate(100, 1.0))
    assert passed(one, [90, 20, 20, 10, 0, 0]) == [True, False, False, True, True, False]


def test_a_connection_that_goes_on_regardless_is_closed() -> None:
    time = Time()
    one = quota(time, commands=Rate(1, 1.0), patience=3)
    assert passed(one, [0, 0, 0]) == [True, False, False]
    time.now += 1
    assert passed(one, [0, 0, 0]) == [True, False, False], "one that was admitted begins anew"
    with pytest.raises(Disconnect) as ending:
        passed(one, [0])
    assert ending.value.close is CLOSE_TOO_MANY_REQUESTS


def test_what_is_refused_later_counts_like_what_is_refused_at_once() -> None:
    """A command may pass the quota of its connection, and then fail that of its user."""
    one = quota(Time(), commands=Rate(100, 1.0), patience=3)
    for _ in range(2):
        one.admit(0)
        one.refused()
    one.admit(0)
    with pytest.raises(Disconnect):
        one.refused()


def test_a_frame_that_nobody_answers_is_only_counted() -> None:
    one = quota(Time(), commands=Rate(2, 1.0), patience=2)
    assert [one.note() for _ in range(4)] == [None, None, None, CLOSE_TOO_MANY_REQUESTS]


def test_subscribes_have_a_rate_of_their_own() -> None:
    one = quota(Time(), subscribes=Rate(1, 1.0))
    one.admit_subscribe()
    with pytest.raises(TooManyRequests, match="at most 1/1s subscribes of a connection"):
        one.admit_subscribe()
    assert passed(one, [0, 0]) == [True, True]


def test_refusals_are_counted_by_limit() -> None:
    quotas = Quotas(Rates(commands=Rate(1, 1.0), bytes=Rate(9, 1.0)), NoStore(), Time())  # type: ignore[arg-type]
    passed(quotas.of_connection(), [10, 1, 1])
    passed(quotas.of_connection(), [1, 1])
    assert quotas.refusals == {
        "connection_commands": 2,
        "connection_bytes": 1,
        "connection_subscribes": 0,
        "user_commands": 0,
        "user_bytes": 0,
    }


def test_a_bucket_of_this_process() -> None:
    time = Time()
    bucket = LocalBucket(Rate(2, 1.0), time)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    time.now += 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]


def test_the_entrance_counts_only_whom_it_lets_in() -> None:
    time = Time()
    limits = ConnectionLimits(rate=Rate(1, 1.0), per_user=1)
    entrance = Entrance(limits, time, {"ada": 1}.get)  # type: ignore[arg-type]
    full = entrance.turn_away("ada")
    assert full is not None and (full.status, full.retry_after) == (429, 1)
    assert entrance.turn_away() is None
    busy = entrance.turn_away()
    assert busy is not None and (busy.status, busy.retry_after) == (503, 1)
    entrance.closed = "gone"
    closed = entrance.turn_away("ada")
    assert closed is not None and (closed.status, closed.detail) == (503, "gone")
    assert entrance.refusals == {"connections": 1, "user_connections": 1}


# Over real sockets


async def code(peer: Peer, **method: object) -> int | None:
    """The error of a command, if that is its answer."""
    reply = await peer.ask(**method)
    return reply["error"]["code"] if "error" in reply else None


def publish(channel: str, data: object = 1) -> Object:
    return {"channel": channel, "data": data}


async def test_a_command_too_many_is_refused_and_not_done(serve: Serve) -> None:
    house = await serve(options=Options(rates=Rates(commands=Rate(3, 1.0))))
    watcher = await house.peer()
    await watcher.subscribe("room:1")
    peer = await house.peer()
    found = [await code(peer, publish=publish("room:1", number)) for number in range(4)]
    assert found == [None, None, TOO_MANY, TOO_MANY], "connecting was the first of three"
    house.pass_time(1.0)
    reply = await peer.ask(publish=publish("room:1", "later"))
    assert "error" not in reply
    assert [await watcher.published() for _ in range(3)] == [0, 1, "later"]
    assert house.door.quotas.refusals["connection_commands"] == 2


async def test_the_refusal_says_that_it_is_temporary(serve: Serve) -> None:
    house = await serve(options=Options(rates=Rates(commands=Rate(1, 1.0))))
    peer = await house.peer()
    error = (await peer.ask(presence={"channel": "a"}))["error"]
    assert (error["code"], error["temporary"]) == (TOO_MANY, True)
    assert error["message"] == "too many requests: at most 1/1s commands of a connection"


async def test_other_connections_are_not_hurt(serve: Serve) -> None:
    house = await serve(options=Options(rates=Rates(commands=Rate(3, 1.0), patience=5)))
    good, bad = await house.peer(), await house.peer()
    for _ in range(20):
        bad.send(publish=publish("room:1"))
    assert await bad.hang_up() == Closed(3013, "too many requests")
    assert await code(good, publish=publish("room:1")) is None


async def test_large_commands_are_refused_by_their_bytes(serve: Serve) -> None:
    house = await serve(options=Options(rates=Rates(bytes=Rate(1000, 1.0))))
    peer = await house.peer()
    assert await code(peer, publish=publish("room:1", "x" * 2000)) == TOO_MANY
    assert await code(peer, publish=publish("room:1", "ö" * 460)) == TOO_MANY, "bytes, not letters"
    assert await code(peer, publish=publish("room:1", "x" * 100)) is None


async def test_subscribes_may_be_rarer_than_commands(serve: Serve) -> None:
    house = await serve(options=Options(rates=Rates(subscribes=Rate(2, 1.0))))
    peer = await house.peer()
    found = [await code(peer, subscribe={"channel": f"room:{number}"}) for number in range(3)]
    assert found == [None, None, TOO_MANY]
    assert await code(peer, presence={"channel": "room:2"}) is None


async def test_a_flood_of_commands_without_an_answer_ends_the_connection(serve: Serve) -> None:
    house = await serve(options=Options(rates=Rates(commands=Rate(2, 1.0), patience=4)))
    peer = await house.peer()
    for _ in range(10):
        peer.send_text('{"send":{"data":1}}')
    closed = await peer.hang_up()
    assert closed.code in (3013, 3508), "3508 where nobody listens to what is sent"


@pytest.mark.parametrize(
    "flood",
    [frame(PING, b"x"), frame(TEXT, b"{", fin=False) + frame(CONT, b"", fin=False) * 10],
    ids=["pings", "fragments"],
)
async def test_a_flood_of_frames_ends_the_connection(serve: Serve, flood: bytes) -> None:
    house = await serve(options=Options(rates=Rates(commands=Rate(2, 1.0), patience=4)))
    peer = await house.peer()
    peer.send_bytes(flood * 10 if len(flood) < 20 else flood)
    assert await peer.hang_up() == Closed(3013, "too many requests")


async def test_pings_of_a_browser_are_answered(serve: Serve) -> None:
    house = await serve(options=Options(rates=Rates(commands=Rate(5, 1.0))))
    peer = await house.peer()
    peer.send_bytes(frame(PING, b"a") + frame(PING, b"b"))
    await peer.leave()
    assert peer.pongs == [b"a", b"b"]


async def test_the_rate_of_a_channel_holds_for_all_who_publish(serve: Serve) -> None:
    rated = Namespace(name="o", prefix="o:", publish_rate=Rate(2, 1.0))
    house = await serve(namespaces=Namespaces(Namespace(), [rated]))
    first, second = await house.peer(), await house.peer()
    assert await code(first, publish=publish("o:1")) is None
    assert await code(second, publish=publish("o:1")) is None
    assert await code(first, publish=publish("o:1")) == TOO_MANY
    assert await code(first, publish=publish("o:2")) is None
    with pytest.raises(TooManyRequests):
        await house.services.channels.publish("o:1", b"1")


async def test_refusals_stand_among_the_figures() -> None:
    application = Application(Settings(data=None))
    await application.load()
    application.door.quotas.refuse("user_bytes", None, "")
    transport = httpx.ASGITransport(application.http)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        figures = (await http.get("/v1/admin/stats")).json()["figures"]
        text = (await http.get("/metrics")).text
    refused = {name: figure for name, figure in figures.items() if name.startswith("refused_")}
    limits = (*LIMITS, CONNECTIONS, USER_CONNECTIONS, CHANNEL_PUBLISH, USER_PUBLISH)
    assert refused == {f"refused_{limit}": float(limit == "user_bytes") for limit in limits}
    assert "realtime_refused_user_bytes_total 1.0" in text
    await application.close()


# Users

SECRET = "a secret of at least thirty-two bytes"

EVERYBODY = Namespaces(Namespace(publish=Audience.ANYONE, user_publish_rate=Rate(3, 60.0)))


@pytest.fixture
def access() -> Access:
    """A service to which users come with tokens."""
    settings = Settings(token_hmac_secret=Secret(SECRET))
    return Access(None, tokens=Tokens.of(settings))


def token(user: str) -> str:
    return jwt.encode({"sub": user}, SECRET)


async def test_a_user_has_one_quota_over_all_connections(serve: Serve, access: Access) -> None:
    rates = Rates(user_commands=Rate(3, 60.0))
    house = await serve(access=access, options=Options(rates=rates), namespaces=EVERYBODY)
    phone, laptop = await house.peer(token("ada")), await house.peer(token("ada"))
    other = await house.peer(token("eve"))
    asked = [phone, laptop, phone, laptop, other]
    found = [await code(peer, publish=publish("a")) for peer in asked]
    assert found == [None, None, None, TOO_MANY, None]
    assert house.door.quotas.refusals["user_commands"] == 1
    house.pass_time(20.0)
    assert await code(laptop, publish=publish("b")) is None


async def test_commands_and_bytes_of_a_user_are_taken_together(
    serve: Serve, access: Access
) -> None:
    rates = Rates(user_commands=Rate(2, 60.0), user_bytes=Rate(500, 60.0))
    house = await serve(access=access, options=Options(rates=rates), namespaces=EVERYBODY)
    peer = await house.peer(token("ada"))
    assert await code(peer, publish=publish("a", "x" * 600)) == TOO_MANY
    assert house.door.quotas.refusals["user_bytes"] == 1
    found = [await code(peer, publish=publish("a")) for _ in range(3)]
    assert found == [None, None, TOO_MANY], "what was refused for its bytes has cost no command"


async def test_users_without_a_name_share_no_quota(serve: Serve, access: Access) -> None:
    rates = Rates(user_commands=Rate(1, 60.0))
    house = await serve(access=access, options=Options(rates=rates), namespaces=EVERYBODY)
    peer = await house.peer(token(""))
    assert [await code(peer, publish=publish("a")) for _ in range(3)] == [None] * 3


async def test_a_user_publishes_at_a_rate_over_all_channels(serve: Serve, access: Access) -> None:
    house = await serve(access=access, namespaces=EVERYBODY)
    phone, laptop = await house.peer(token("ada")), await house.peer(token("ada"))
    asked = [(phone, "a"), (laptop, "b"), (phone, "c"), (laptop, "d")]
    found = [await code(peer, publish=publish(channel)) for peer, channel in asked]
    assert found == [None, None, None, TOO_MANY]
    assert await code(await house.peer(token("eve")), publish=publish("a")) is None


async def test_a_user_has_so_many_connections(serve: Serve, access: Access) -> None:
    limits = ConnectionLimits(per_user=2)
    house = await serve(access=access, options=Options(connections=limits))
    first, _ = await house.peer(token("ada")), await house.peer(token("ada"))
    third = await house.dial()
    third.send(connect={"token": token("ada")})
    assert await third.hang_up() == Closed(3504, "connection limit")
    await house.peer(token("eve"))
    assert house.door.entrance.refusals["user_connections"] == 1

    await first.leave()
    await house.until(lambda: house.door.clients.count("ada") == 1)
    await house.peer(token("ada"))


async def test_who_says_so_at_the_door_is_turned_away_there(serve: Serve, access: Access) -> None:
    limits = ConnectionLimits(per_user=1)
    house = await serve(access=access, options=Options(connections=limits))
    bearer = f"Authorization: Bearer {token('ada')}"
    peer = await house.dial(headers=(bearer,))
    await peer.connect()
    turned_away = await house.dial(headers=(bearer,))
    assert turned_away.status == 429
    assert "retry-after: 1" in turned_away.head.lower()
    no_token = await house.dial(headers=("Authorization: Bearer a.b.c",))
    assert no_token.status == 101, "connecting will show it"

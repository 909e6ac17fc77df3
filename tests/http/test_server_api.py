"""The server API of Centrifugo: its shapes, its numbers, and who is let in."""

from __future__ import annotations

import asyncio
import base64
import fnmatch
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import keyfile
from realtime.access import Access
from realtime.backends.base import ClientInfo
from realtime.embedded import Embedded
from realtime.errors import InvalidInput
from realtime.http import api, turns
from realtime.http.server_api import batch, reading
from realtime.http.server_api.globs import MAX_ALTERNATIVES, matcher
from realtime.services import Services
from realtime.services.namespaces import Namespace, Namespaces
from realtime.state import ServiceState
from tests.http.conftest import House, housed

NAMESPACES = Namespaces(
    Namespace(),
    [
        Namespace(name="orders", prefix="orders.", wildcards=True),
        Namespace(name="quiet", prefix="quiet.", history_size=0, presence=False),
    ],
    strict=True,
)


def packed(text: bytes) -> str:
    return base64.b64encode(text).decode()


async def ask(house: House, method: str, /, **body: Any) -> Any:
    """The result of a method."""
    answer = await house.http.post(f"/api/{method}", json=body)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert set(said) == {"result"}, said
    return said["result"]


async def run(house: House, *commands: dict[str, Any], parallel: bool = False) -> list[Any]:
    """The replies of a batch."""
    body = {"commands": commands, "parallel": parallel}
    answer = await house.http.post("/api/batch", json=body)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert set(said) == {"replies"}
    replies: list[Any] = said["replies"]
    return replies


async def refused(house: House, method: str, /, **body: Any) -> tuple[int, str]:
    """The number and the words of an error."""
    answer = await house.http.post(f"/api/{method}", json=body)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert set(said) == {"error"}, said
    assert set(said["error"]) == {"code", "message"}
    return said["error"]["code"], said["error"]["message"]


@pytest.fixture(params=["embedded", "redis"])
async def classes(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """A house with namespaces, and no channels but theirs."""
    async with housed(request.param, request, NAMESPACES) as house:
        yield house


# publish


async def test_a_publication_is_told_where_it_lies(house: House) -> None:
    first = await ask(house, "publish", channel="news", data={"n": 1})
    second = await ask(house, "publish", channel="news", data={"n": 2}, tags={"kind": "note"})
    assert first == {"offset": 1, "epoch": first["epoch"]}
    assert second == {"offset": 2, "epoch": first["epoch"]}
    kept = await ask(house, "history", channel="news", limit=10)
    assert kept == {
        "publications": [
            {"data": {"n": 1}, "offset": 1},
            {"data": {"n": 2}, "offset": 2, "tags": {"kind": "note"}},
        ],
        "epoch": first["epoch"],
        "offset": 2,
    }


async def test_what_is_not_kept_has_no_position(house: House, classes: House) -> None:
    assert await ask(house, "publish", channel="news", data=1, skip_history=True) == {}
    assert await ask(classes, "publish", channel="quiet.1", data=1) == {}


async def test_the_same_key_publishes_once(house: House) -> None:
    said = {"channel": "news", "data": 1, "idempotency_key": "k"}
    first = await ask(house, "publish", **said)
    assert await ask(house, "publish", **said) == first
    assert (await ask(house, "history", channel="news"))["offset"] == 1


async def test_an_old_version_is_not_published(house: House) -> None:
    new = await ask(house, "publish", channel="news", data=2, version=2, version_epoch="e")
    assert await ask(house, "publish", channel="news", data=1, version=1, version_epoch="e") == new
    other = await ask(house, "publish", channel="news", data=1, version=1, version_epoch="f")
    assert other["offset"] == 2


async def test_data_may_come_in_base64(house: House) -> None:
    await ask(house, "publish", channel="news", b64data=packed(b'{"n": 1}'), data=None)
    (one,) = (await ask(house, "history", channel="news", limit=-1))["publications"]
    assert one["data"] == {"n": 1}


async def test_null_is_a_publication_like_any_other(house: House) -> None:
    await ask(house, "publish", channel="news", data=None)
    (one,) = (await ask(house, "history", channel="news", limit=1))["publications"]
    assert one["data"] is None


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"data": 1}, "channel"),
        ({"channel": "", "data": 1}, "channel"),
        ({"channel": "news"}, "data"),
        ({"channel": "news", "b64data": "%"}, "$.b64data"),
        ({"channel": "news", "b64data": packed(b"{")}, "$.b64data"),
        ({"channel": "news", "b64data": packed(b'"\xff"')}, "$.b64data"),
        ({"channel": "news", "b64data": packed(b"[" * 65 + b"]" * 65)}, "$.b64data"),
        ({"channel": "news", "data": 1, "b64data": packed(b"1")}, "not both"),
        ({"channel": "news", "data": 1, "meta": {}}, "meta"),
        ({"channel": "news", "data": 1, "version": -1}, "$.version"),
        ({"channel": "news", "data": 1, "version": 2**53}, "version"),
        ({"channel": "news", "data": 1, "tags": {"a": 1}}, "$.tags"),
        ({"channel": "news", "data": 1, "skip_history": "yes"}, "$.skip_history"),
        ({"channel": "news", "data": 1, "idempotency_key": "k" * 256}, "idempotency key"),
    ],
)
async def test_what_is_wrong_is_named(house: House, body: dict[str, Any], word: str) -> None:
    code, message = await refused(house, "publish", **body)
    assert code == 107
    assert message.startswith("bad request: ")
    assert word in message
    assert not await house.services.channels.active()
    assert (await ask(house, "history", channel="news"))["offset"] == 0


async def test_fields_that_are_null_are_left_out(house: House) -> None:
    names = (
        "b64data", "skip_history", "tags", "idempotency_key", "delta", "version", "version_epoch",
    )  # fmt: skip
    said = await ask(house, "publish", channel="news", data=1, **dict.fromkeys(names))
    assert said["offset"] == 1
    assert (await ask(house, "history", channel="news", limit=None, since=None))["offset"] == 1


async def test_nobody_publishes_on_live_boards_or_patterns(classes: House) -> None:
    assert (await refused(classes, "publish", channel="leaderboard:a", data=1))[0] == 103
    assert (await refused(classes, "publish", channel="orders.*", data=1))[0] == 107
    assert (await refused(classes, "publish", channel="news", data=1))[0] == 102
    too_much = await refused(classes, "publish", channel="orders.1", data="x" * 65_536)
    assert too_much[0] == 106


# broadcast


async def test_each_channel_of_a_broadcast_answers_for_itself(classes: House) -> None:
    channels = ["orders.1", "news", "quiet.1", "orders.2"]
    said = await ask(classes, "broadcast", channels=channels, data={"n": 1}, tags={"a": "b"})
    first, unknown, quiet, last = said["responses"]
    assert first["result"]["offset"] == last["result"]["offset"] == 1
    assert quiet == {"result": {}}
    assert unknown["error"]["code"] == 102
    (one,) = (await ask(classes, "history", channel="orders.2", limit=1))["publications"]
    assert one == {"data": {"n": 1}, "offset": 1, "tags": {"a": "b"}}


async def test_a_broadcast_has_channels_and_not_too_many(house: House) -> None:
    for channels in ([], ["a"] * 1_001):
        code, message = await refused(house, "broadcast", channels=channels, data=1)
        assert (code, "$.channels" in message) == (107, True)
    many = await ask(house, "broadcast", channels=[f"c{n}" for n in range(1_000)], data=1)
    assert [one["result"]["offset"] for one in many["responses"]] == [1] * 1_000


# history


async def test_pages_of_a_history(house: House) -> None:
    for n in range(1, 6):
        await ask(house, "publish", channel="news", data=n)
    epoch = (await ask(house, "history", channel="news"))["epoch"]

    async def page(**body: Any) -> list[int]:
        found = await ask(house, "history", channel="news", **body)
        assert (found["offset"], found["epoch"]) == (5, epoch)
        return [one["data"] for one in found["publications"]]

    assert await page() == []
    assert await page(limit=2) == [1, 2]
    assert await page(limit=-1) == [1, 2, 3, 4, 5]
    assert await page(limit=10, since={"offset": 3, "epoch": epoch}) == [4, 5]
    assert await page(limit=2, reverse=True) == [5, 4]
    assert await page(limit=2, reverse=True, since={"offset": 4, "epoch": epoch}) == [3, 2]
    lost = await refused(house, "history", channel="news", since={"offset": 1, "epoch": "gone"})
    assert lost[0] == 112
    senseless = {"since": {"offset": 0, "epoch": epoch}, "reverse": True}
    assert (await refused(house, "history", channel="news", **senseless))[0] == 107
    for limit in (-2, 1_001):
        assert (await refused(house, "history", channel="news", limit=limit))[0] == 107


async def test_a_channel_without_anything_says_so(house: House) -> None:
    empty = await ask(house, "history", channel="news", limit=10)
    assert empty == {"publications": [], "offset": 0, "epoch": empty["epoch"]}
    assert empty["epoch"]
    assert await ask(house, "presence", channel="news") == {"presence": {}}
    stats = await ask(house, "presence_stats", channel="news")
    assert stats == {"num_clients": 0, "num_users": 0}
    assert await ask(house, "channels") == {"channels": {}}


async def test_all_of_a_long_history_is_too_much(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_PAGE", 2)
    for n in range(3):
        await ask(house, "publish", channel="news", data=n)
    assert (await refused(house, "history", channel="news", limit=-1))[0] == 106
    assert len((await ask(house, "history", channel="news", limit=2))["publications"]) == 2


async def test_the_history_of_a_pattern_says_where(classes: House) -> None:
    await ask(classes, "publish", channel="orders.17", data=1)
    (one,) = (await ask(classes, "history", channel="orders.*", limit=1))["publications"]
    assert one == {"data": 1, "offset": 1, "channel": "orders.17"}


async def test_a_history_is_removed_and_its_position_stays(house: House) -> None:
    position = await ask(house, "publish", channel="news", data=1)
    assert await ask(house, "history_remove", channel="news") == {}
    kept = await ask(house, "history", channel="news", limit=1)
    assert kept == {"publications": [], **position}


@pytest.mark.parametrize("method", ["history", "history_remove", "presence", "presence_stats"])
async def test_what_a_channel_does_not_have(classes: House, method: str) -> None:
    assert (await refused(classes, method, channel="quiet.1"))[0] == 108
    assert (await refused(classes, method, channel="news"))[0] == 102
    assert (await refused(classes, method, channel="x" * 256))[0] in (102, 107)


# presence and channels


async def test_who_is_there(house: House) -> None:
    channels = house.services.channels
    await channels.join("news", ClientInfo("c1", "ada", b'{"name":"Ada"}', b'{"seat":1}'))
    await channels.join("news", ClientInfo("c2", "ada"))
    await channels.join("sport", ClientInfo("c3", ""))
    assert await ask(house, "presence", channel="news") == {
        "presence": {
            "c1": {
                "user": "ada",
                "client": "c1",
                "conn_info": {"name": "Ada"},
                "chan_info": {"seat": 1},
            },
            "c2": {"user": "ada", "client": "c2"},
        }
    }
    stats = await ask(house, "presence_stats", channel="news")
    assert stats == {"num_clients": 2, "num_users": 1}
    every = {"news": {"num_clients": 2}, "sport": {"num_clients": 1}}
    assert await ask(house, "channels") == {"channels": every}
    assert await ask(house, "channels", pattern="*") == {"channels": every}
    assert await ask(house, "channels", pattern="n?ws") == {"channels": {"news": every["news"]}}
    assert await ask(house, "channels", pattern="{a,b}*") == {"channels": {}}
    assert (await refused(house, "channels", pattern="{a"))[0] == 107


async def test_too_many_channels_want_a_pattern(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_LISTED", 1)
    for name in ("news", "sport"):
        await house.services.channels.join(name, ClientInfo("c1", "ada"))
    assert (await refused(house, "channels"))[0] == 106
    assert await ask(house, "channels", pattern="n*") == {"channels": {"news": {"num_clients": 1}}}


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("chat:*", ["chat:", "chat:1", "chat:1:2"], ["chat", "achat:1"]),
        ("chat:?", ["chat:1"], ["chat:", "chat:12"]),
        ("c[a-c][!0-9]", ["cax", "cc-"], ["ca1", "cdx"]),
        ("{chat,news:{a,b}}:*", ["chat:1", "news:b:2"], ["news:1", "news:c:1"]),
        ("a\\*b", ["a*b"], ["axb", "a\\*b"]),
        ("{a,}b", ["ab", "b"], ["bb"]),
        ("a,b}", ["a,b}"], ["a"]),
        ("**", ["", "x\ny"], []),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    matches = matcher(pattern)
    assert [name for name in matching if not matches(name)] == []
    assert [name for name in others if matches(name)] == []


@given(st.text("ab*?[]!-x", max_size=12), st.text("abx!-]", max_size=8))
def test_without_braces_a_pattern_is_one_of_the_shell(pattern: str, name: str) -> None:
    assert bool(matcher(pattern)(name)) is fnmatch.fnmatchcase(name, pattern)


@given(st.text("ab*?[]!{},\\", max_size=40))
def test_no_pattern_takes_us_by_surprise(pattern: str) -> None:
    try:
        matches = matcher(pattern)
    except InvalidInput:
        return
    matches("ab" * 100)


def test_braces_do_not_multiply_without_end() -> None:
    matcher("{a,b}" * 6)
    for pattern in ("{a,b}" * 7, "{" + "," * MAX_ALTERNATIVES + "}", "*" * 256):
        with pytest.raises(InvalidInput):
            matcher(pattern)


def test_a_pattern_of_many_stars_is_quick() -> None:
    """One that goes back at every star would take longer than the world has been there."""
    assert not matcher("*a" * 100 + "b")("a" * 255)


# batch


async def test_a_batch_answers_each_command_in_order(classes: House) -> None:
    commands: list[dict[str, Any]] = [
        {"publish": {"channel": "orders.1", "data": 1}},
        {"publish": {"channel": "news", "data": 1}},
        {"nothing": {}},
        {"batch": {"commands": []}},
        {},
        {"publish": {}, "history": {}},
        {"publish": {"data": 1}},
        {"history": {"channel": "orders.1", "limit": 1}},
        {"channels": {}},
    ]
    replies = await run(classes, *commands)
    codes = [reply["error"]["code"] if "error" in reply else None for reply in replies]
    assert codes == [None, 102, 104, 104, 107, 107, 107, None, None]
    assert replies[0]["publish"]["offset"] == 1
    assert replies[7]["history"]["publications"] == [{"data": 1, "offset": 1}]
    assert replies[8] == {"channels": {"channels": {}}}


async def test_a_batch_in_parallel_keeps_the_order_of_its_replies(house: House) -> None:
    commands = [{"publish": {"channel": f"c{n}", "data": n}} for n in range(100)]
    commands.append({"publish": {"data": 1}})
    replies = await run(house, *commands, parallel=True)
    assert [reply["publish"]["offset"] for reply in replies[:-1]] == [1] * 100
    assert replies[-1]["error"]["code"] == 107
    for n in (0, 99):
        (one,) = (await ask(house, "history", channel=f"c{n}", limit=1))["publications"]
        assert one["data"] == n


async def test_a_batch_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await run(house) == []
    monkeypatch.setattr(batch, "MAX_ANSWERS", 40)
    commands = [{"publish": {"channel": "news", "data": 1}}] * 4
    replies = await run(house, *commands)
    assert [next(iter(reply)) for reply in replies] == ["publish", "publish", "error", "error"]
    assert replies[3]["error"]["code"] == 106
    assert (await ask(house, "history", channel="news"))["offset"] == 2


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_long_batch_lets_others_have_their_turn(
    house: House, monkeypatch: pytest.MonkeyPatch, parallel: bool
) -> None:
    monkeypatch.setattr(turns, "TURN", 0)
    commands = [{"publish": {"channel": "news", "data": 1}}] * 1_000
    running = asyncio.create_task(run(house, *commands, parallel=parallel))
    seen = 0
    while not seen:
        await asyncio.sleep(0)
        seen = (await house.services.channels.history("news")).position.offset
    assert seen < 1_000
    assert len(await running) == 1_000


# Whoever has nobody connected


@pytest.mark.parametrize("method", ["subscribe", "unsubscribe"])
async def test_a_house_without_a_door_for_clients_refuses(house: House, method: str) -> None:
    assert (await refused(house, method, user="ada", channel="news"))[0] == 107
    assert (await house.http.get("/v1/admin/clients")).status_code == 409


# What is no request


async def test_what_is_no_json_is_no_request(house: House) -> None:
    for body in (b"", b"{", b'{"channel":"n\xff","data":1}', b"[" * 5_000 + b"]" * 5_000):
        answer = await house.http.post("/api/publish", content=body)
        assert answer.status_code == 400, (body[:10], answer.text)
        assert answer.json()["type"] == "/docs/errors#invalid-request"
    assert (await house.http.post("/api/channels", content=b"")).json() == {
        "result": {"channels": {}}
    }
    listed = await house.http.post("/api/publish", content=b"[]")
    assert listed.json()["error"]["code"] == 107


async def test_a_fault_inside_of_a_batch_is_one_of_its_command(house: House) -> None:
    body = b'{"commands":[{"publish":' + b"[" * 60 + b"]" * 60 + b"}]}"
    answer = await house.http.post("/api/batch", content=body)
    assert answer.json()["replies"][0]["error"]["code"] == 107


async def test_there_are_no_other_methods_and_paths(house: House) -> None:
    for path in ("/api/rpc", "/api/", "/api/publish/", "/api"):
        assert (await house.http.post(path, json={})).status_code == 404
    assert (await house.http.get("/api/publish")).status_code == 405
    assert (await refused(house, "publish?api_key=x", channel="news", data=1))[0] == 107


async def test_a_body_is_json_whatever_it_is_called(house: House) -> None:
    """`curl --data` calls it a form."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = json.dumps({"channel": "news", "data": 1})
    answer = await house.http.post("/api/publish", content=body, headers=headers)
    assert answer.json()["result"]["offset"] == 1


async def test_our_faults_are_in_the_log_and_not_in_the_answer(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(channel: str) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(type(house.services.channels), "presence", staticmethod(broken))
    code, message = await refused(house, "presence", channel="news")
    assert (code, "secret" in message) == (100, False)
    assert message.rpartition(" ")[2] in caplog.text
    assert "ZeroDivisionError" in caplog.text


# Who is let in


class Keys:
    """A keys file, and the keys in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def issue(self, *scopes: str) -> str:
        issued = keyfile.issue("k" + "".join(scopes), scopes, datetime.now(UTC))
        keyfile.add(self.path, issued.record)
        return issued.text


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys.json")


def client(access: Access, body_limit: int = 1 << 20) -> httpx.AsyncClient:
    door = api.build(
        Services.on(Embedded().services.backend),
        access,
        state=ServiceState(ready=True),
        options=api.Options(body_limit=body_limit),
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://localhost")


async def test_a_key_may_be_said_in_three_ways(keys: Keys) -> None:
    key, other = keys.issue("channels:publish"), keys.issue("counters:read")
    said = [
        {"x-api-key": key},
        {"authorization": f"apikey {key}"},
        {"authorization": f"APIKey {key}"},
        {"authorization": f"Bearer {key}"},
        {"x-api-key": key, "authorization": f"apikey {other}"},
    ]
    body = {"channel": "news", "data": 1}
    async with client(Access(keys.path)) as http:
        for headers in said:
            answer = await http.post("/api/publish", json=body, headers=headers)
            assert answer.status_code == 200, headers
        for headers in ({}, {"authorization": f"Basic {key}"}, {"x-api-key": key + "x"}):
            answer = await http.post("/api/publish", json=body, headers=headers)
            assert answer.status_code == 401, headers
        twice = [("x-api-key", key), ("x-api-key", other)]
        assert (await http.post("/api/publish", json=body, headers=twice)).status_code == 400
        refused = await http.post("/v1/messages", json=body, headers={"x-api-key": key})
        assert refused.status_code == 401


SCOPES = {
    "publish": "channels:publish",
    "broadcast": "channels:publish",
    "presence": "channels:read",
    "presence_stats": "channels:read",
    "history": "channels:read",
    "channels": "channels:read",
    "info": "channels:read",
    "history_remove": "channels:write",
    "subscribe": "admin:write",
    "unsubscribe": "admin:write",
    "disconnect": "admin:write",
    "refresh": "admin:write",
}


ACTING = ("subscribe", "unsubscribe", "disconnect", "refresh", "info")
"""Nobody can be connected to a house of these tests."""


@pytest.mark.parametrize("method", SCOPES)
async def test_each_method_has_its_scope(keys: Keys, method: str) -> None:
    may = {"x-api-key": keys.issue(SCOPES[method])}
    rest = sorted({"channels:publish", "channels:read", "channels:write", "admin:write"})
    may_not = {"x-api-key": keys.issue(*[scope for scope in rest if scope != SCOPES[method]])}
    async with client(Access(keys.path)) as http:
        assert (await http.post(f"/api/{method}", json={}, headers=may)).status_code == 200
        assert (await http.post(f"/api/{method}", json={}, headers=may_not)).status_code == 403
        batched: dict[str, Any] = {"commands": [{method: {}}]}
        answer = (await http.post("/api/batch", json=batched, headers=may_not)).json()
        assert answer["replies"][0]["error"]["code"] == 103


async def test_a_body_has_a_bound(keys: Keys) -> None:
    async with client(Access(None), body_limit=100) as http:
        answer = await http.post("/api/publish", json={"channel": "n", "data": "x" * 100})
        assert answer.status_code == 413


async def test_what_is_no_batch_has_no_replies() -> None:
    """Their list is all that this answer has room for, so the status has to say it."""
    bodies: list[Any] = [{}, {"commands": [{}] * 1_001}, {"commands": {}}, {"commands": [], "x": 1}]
    async with client(Access(None)) as http:
        for body in bodies:
            answer = await http.post("/api/batch", json=body)
            assert answer.status_code == 422
            assert answer.json()["type"] == "/docs/errors#invalid-input"


async def test_pages_of_strangers_cannot_publish_on_an_open_service() -> None:
    body = json.dumps({"channel": "news", "data": 1})
    headers = {"origin": "https://stranger.example", "content-type": "text/plain"}
    async with client(Access(None)) as http:
        assert (await http.post("/api/publish", content=body, headers=headers)).status_code == 403


# The documentation


COMMAND = re.compile(r"curl -H \"X-API-Key: \$KEY\" \S+/api/(\w+) \\\n  -d '(.*)'\n")


async def test_the_commands_of_the_documentation_work_as_they_stand(house: House) -> None:
    text = (Path(__file__).parents[2] / "docs" / "server-api.md").read_text()
    shown = COMMAND.findall(text)
    assert {method for method, _ in shown} == {*SCOPES, "batch"}
    for method, body in shown:
        answer = await house.http.post(f"/api/{method}", content=body)
        said = answer.json()
        if method in ACTING:
            assert said["error"]["message"] == "bad request: nobody can be connected here"
        else:
            assert "error" not in answer.text, said

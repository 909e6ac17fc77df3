"""Tokens as a running service takes them: at both doors, revoked, and after a restart."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.redis.stores import store_options
from tests.service import NotStarted, Service, running_service
from tests.support import eventually
from tests.tokens.signers import SECRET, Signer, signer
from tests.ws.peer import Peer

BOSS = {"sub": "boss", "scopes": ["*"]}
REVOKE = "/v1/tokens/revoke"
LISTING = "/v1/tokens/revocations"
COUNTER = "/v1/counters/visits/add"


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    (tmp_path / "secret").write_bytes(SECRET)
    return ["--token-hmac-secret-file", str(tmp_path / "secret"), "--token-admin", "true"]


def token(**claims: Any) -> str:
    return signer("HS256").sign({"iat": int(time.time()), **claims})


@asynccontextmanager
async def bearing(service: Service, text: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {text}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, verify=False) as http:
        yield http


async def status(service: Service, text: str) -> int:
    async with bearing(service, text) as http:
        return (await http.post(COUNTER)).status_code


@asynccontextmanager
async def connected(service: Service, text: str) -> AsyncIterator[Peer]:
    peer = await Peer.dial(service.port)
    try:
        await peer.connect(text)
        yield peer
    finally:
        await peer.end()


async def test_revoking_is_felt_at_both_doors_and_survives_a_crash(
    tmp_path: Path, options: list[str]
) -> None:
    ada, ben = (token(sub=user, jti=user, scopes=["counters:*"]) for user in ("ada", "ben"))
    boss = token(**BOSS)
    data = tmp_path / "data"
    with running_service(data, *options, "--durability", "always") as service:
        async with bearing(service, boss) as http, connected(service, ada) as of_ada:
            assert [await status(service, text) for text in (ada, ben)] == [200, 200]
            answer = await http.post(REVOKE, json={"user": "ada"})
            assert (answer.status_code, answer.json()["kind"]) == (200, "user")
            assert (await of_ada.hang_up()).code == 3500
            assert [await status(service, text) for text in (ada, ben)] == [401, 200]
            async with connected(service, ben) as of_ben:
                await http.post(REVOKE, json={"jti": "ben", "ttl": 1000})
                assert (await of_ben.hang_up()).code == 3500
            listed = (await http.get(LISTING, params={"limit": 1})).json()
            assert listed["total"] == 2
            assert [(one["kind"], one["name"]) for one in listed["revocations"]] == [
                ("token", "ben")
            ]
        service.stop(signal.SIGKILL)
    with running_service(data, *options, "--durability", "always") as service:
        later = token(sub="ada", iat=time.time() + 2, scopes=["counters:*"])
        assert [await status(service, text) for text in (ada, ben, later)] == [401, 401, 200]


async def test_a_connection_is_closed_and_may_come_back(tmp_path: Path, options: list[str]) -> None:
    with running_service(None, *options) as service:
        async with (
            connected(service, token(sub="ada")) as peer,
            connected(service, token(sub="ada")) as other,
        ):
            async with bearing(service, token(**BOSS)) as http:
                await http.post(REVOKE, json={"client": peer.client})
            assert (await peer.hang_up()).code == 3503
            assert other.closed is None
        async with connected(service, token(sub="ada")):
            pass


async def test_what_one_node_revokes_all_have_revoked(tmp_path: Path, options: list[str]) -> None:
    with (
        store_options("redis", tmp_path) as store,
        running_service(None, *options, *store) as one,
        running_service(None, *options, *store) as two,
    ):
        ada = token(sub="ada", scopes=["counters:*"])
        assert await status(two, ada) == 200
        async with connected(two, ada) as peer, bearing(one, token(**BOSS)) as http:
            await http.post(REVOKE, json={"user": "ada"})
            assert (await peer.hang_up()).code == 3500
        assert [await status(node, ada) for node in (one, two)] == [401, 401]


async def test_who_may_revoke(options: list[str]) -> None:
    with running_service(None, *options) as service:
        for scopes, code in ((["*:*"], 200), (["admin:read"], 403), (["sessions:*"], 403)):
            async with bearing(service, token(sub="x", scopes=scopes)) as http:
                answer = await http.post(REVOKE, json={"jti": "j"})
                assert answer.status_code == code
        async with bearing(service, token(**BOSS)) as http:
            for body in ({}, {"user": ""}, {"user": "a", "ttl": 0}, {"user": "a", "jti": "b"}):
                assert (await http.post(REVOKE, json=body)).status_code == 422, body


async def test_a_secret_is_rotated_while_it_runs(tmp_path: Path, options: list[str]) -> None:
    old = token(sub="ada", scopes=["counters:*"])
    other = Signer("HS256", SECRET[::-1])
    new = other.sign({"sub": "ada", "scopes": ["counters:*"]})
    with running_service(None, *options) as service:
        assert [await status(service, text) for text in (old, new)] == [200, 401]
        (tmp_path / "secret").write_bytes(other.private)
        async with asyncio.timeout(20):
            while await status(service, new) != 200:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)
        assert await status(service, old) == 401
        assert not any("secret that is long" in line for line in service.log)


def test_with_keys_of_tokens_it_may_listen_everywhere_and_a_bad_one_is_told(
    tmp_path: Path, options: list[str]
) -> None:
    with running_service(None, *options, "--host", "0.0.0.0") as service:
        eventually(lambda: httpx.get(f"{service.url}/readyz").status_code == 200)
        assert httpx.post(f"{service.url}{COUNTER}").status_code == 401
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": []}))
    with (
        pytest.raises(NotStarted, match="no key of this JWK Set"),
        running_service(None, "--token-jwks", str(tmp_path / "jwks.json")),
    ):
        pass

"""Every way to a store, from its URL to an answer."""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from realtime.backends.base import BackendUnavailable
from realtime.backends.redis.address import parse
from realtime.backends.redis.dial import Options
from realtime.backends.redis.store import RedisStore
from tests.redis.sentinel import running_sentinels
from tests.redis.servers import RedisServer, running_redis
from tests.redis.tls import Certificate
from tests.redis.waiting import until

SECRET = "p:s/w@rd"


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RedisStore]:
    store = RedisStore(parse(url), Options(**{"timeout": 5.0, **options}))
    try:
        assert await store.start() is None
        yield store
    finally:
        await store.close()


async def works(url: str, **options: Any) -> None:
    """Questions are answered, and what is published arrives: ``start`` waits for that."""
    async with opened(url, **options) as store:
        assert await store.backend.counters.add(b"cnt:{c}", 2) == 2
        await store.backend.values.delete(b"cnt:{c}")


async def refused(url: str, **options: Any) -> str:
    """What is said of a store that does not let us in."""
    store = RedisStore(parse(url), Options(**{"timeout": 0.3, **options}))
    try:
        amiss = await store.start()
        assert amiss is not None
        with pytest.raises(BackendUnavailable):
            await store.backend.values.get(b"k")
        return amiss
    finally:
        await store.close()


async def test_a_server_by_its_port_and_by_its_socket(server: RedisServer) -> None:
    await works(server.url)
    await works(server.socket_url)


async def test_a_database_of_its_own(server: RedisServer) -> None:
    async with opened(f"{server.url}/3") as store:
        await store.backend.values.set(b"k", b"v")
    with server.client(db=3) as client:
        assert client.get("k") == b"v"
    assert server.ask("DBSIZE") == 0


async def test_tls_to_whom_we_trust_only(tls_server: RedisServer, certificate: Certificate) -> None:
    await works(tls_server.url, ca_file=certificate.certificate)
    assert "certificate" in (await refused(tls_server.url)).lower()
    await refused(tls_server.url.replace("rediss", "redis"))


async def test_certificates_are_not_read_by_the_loop_at_every_connection(
    tls_server: RedisServer, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes tens of milliseconds, and during an outage there are many attempts."""
    readers: list[threading.Thread] = []
    read = ssl.create_default_context

    def reading(*args: Any, **options: Any) -> ssl.SSLContext:
        readers.append(threading.current_thread())
        return read(*args, **options)

    monkeypatch.setattr(ssl, "create_default_context", reading)
    async with opened(tls_server.url, ca_file=certificate.certificate) as store:
        before = len(readers)
        with tls_server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: store.figures.losses > 0 and store.is_up)
        assert 1 <= len(readers) == before <= 2, "once; or twice, if both links were first"
    assert threading.main_thread() not in readers


async def test_tls_that_asks_for_our_certificate(tmp_path: Path, certificate: Certificate) -> None:
    ours = Certificate.make(tmp_path, "client")
    options = certificate.options(trusted=ours)
    with running_redis(tmp_path / "mutual", *options, tls=True) as server:
        files = {"cert_file": ours.certificate, "key_file": ours.key}
        await works(server.url, ca_file=certificate.certificate, **files)
        await refused(server.url, ca_file=certificate.certificate)


async def test_a_user_with_a_password(acl_server: RedisServer) -> None:
    where = f"127.0.0.1:{acl_server.port}"
    await works(f"redis://app:{quote(SECRET, safe='')}@{where}")
    assert SECRET not in await refused(f"redis://app:{quote(SECRET + '!', safe='')}@{where}")
    await refused(f"redis://{where}")


async def test_credentials_are_asked_for_at_every_connection(acl_server: RedisServer) -> None:
    """Tokens expire: what was right an hour ago may be wrong now."""
    asked: list[int] = []

    def fresh() -> tuple[str, str]:
        asked.append(len(asked))
        return "app", SECRET

    async with opened(f"redis://127.0.0.1:{acl_server.port}", credentials=fresh) as store:
        before = len(asked)
        assert before >= 2, "one for each link"
        with acl_server.client(username="app", password=SECRET) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: len(asked) > before and store.is_up)
        await store.backend.values.set(b"k", b"v")


async def test_credentials_that_cannot_be_had_are_asked_for_again(acl_server: RedisServer) -> None:
    asked = 0

    def flaky() -> tuple[str, str]:
        nonlocal asked
        asked += 1
        if asked <= 2:
            raise LookupError("the token service is away")
        return "app", SECRET

    url = f"redis://127.0.0.1:{acl_server.port}"
    store = RedisStore(parse(url), Options(timeout=0.5, credentials=flaky))
    try:
        await store.start()
        await until(lambda: store.is_up)
        assert await store.backend.values.set(b"k", b"v")
    finally:
        await store.close()


async def test_the_acl_of_the_documents_is_enough(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("ACL SETUSER realtime")]
    rules = line.split()[3:]
    with running_redis(tmp_path / "acl") as server:
        server.ask("ACL", "SETUSER", "realtime", *rules)
        async with opened(f"redis://realtime:PASSWORD@127.0.0.1:{server.port}", wait=0) as store:
            backend = store.backend
            await backend.channels.subscribe(b"news")
            await backend.channels.publish(b"news", b"1", size=5, ttl=60_000_000)
            await backend.channels.history(b"news", limit=-1)
            await backend.watches.watch(b"lb:{b}:rules")
            await backend.values.set(b"idem:{k}", b"v")
            await backend.counters.add(b"cnt:{c}", 1)
        denied = server.ask("ACL", "LOG")
        assert denied == []


async def test_sentinels_with_passwords(tmp_path: Path) -> None:
    with running_sentinels(tmp_path, password="data", sentinel_password="watch") as sentinels:
        await works(sentinels.url)
        unnamed = sentinels.url.replace("/mymaster", "/nobody")
        assert "watch" not in await refused(unnamed)


async def test_a_server_without_users_refuses_one(server: RedisServer) -> None:
    assert "pass@" not in await refused(server.url.replace("//", "//wrong:pass@"))

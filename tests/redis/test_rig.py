"""What the other tests stand on: clocks that stand still, masters that die, wires that break."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from engine.clock import DAY, HOUR, MILLISECOND, SECOND
from tests.redis.clock import ServerClock
from tests.redis.cluster import Cluster
from tests.redis.network import Proxy, silent
from tests.redis.sentinel import Sentinels, running_sentinels
from tests.redis.servers import RedisServer, running_redis
from tests.redis.tls import Certificate
from tests.support import eventually

ROOT = Path(__file__).parents[2]

LOST = (redis.ConnectionError, OSError)


def stranger(url: str, **options: Any) -> Any:
    """A client that is given up at its first failure."""
    return redis.Redis.from_url(url, retry=None, **options)


def time_of(server: RedisServer) -> int:
    seconds, microseconds = server.ask("TIME")
    return int(seconds * SECOND + microseconds)


# The clock


@pytest.mark.parametrize(
    "by", [0, 1, 499_999, 500_000, 999_999, SECOND, 7 * DAY + 123_457, -1, -HOUR - 1]
)
def test_the_clock_shows_the_very_microsecond_that_was_set(
    frozen_redis: RedisServer, by: int
) -> None:
    assert frozen_redis.clock is not None
    frozen_redis.clock.advance(by)
    assert time_of(frozen_redis) == frozen_redis.clock.now == 1_700_000_000 * SECOND + by


def test_every_fraction_of_a_second_arrives_whole(frozen_redis: RedisServer) -> None:
    """libfaketime multiplies and truncates a float: one that is an ulp short would lose 1 µs."""
    clock = frozen_redis.clock
    assert clock is not None
    with frozen_redis.client() as client:
        for fraction in range(0, SECOND, 9_973):
            clock.now = 1_800_000_000 * SECOND + fraction
            assert client.time() == (1_800_000_000, fraction)


def test_the_clock_stands_while_the_server_works(frozen_redis: RedisServer) -> None:
    assert frozen_redis.clock is not None
    with frozen_redis.client() as client:
        for number in range(2_000):
            client.set("key", number)
        assert client.time() == (1_700_000_000, 0)


def test_scripts_go_by_the_same_clock(frozen_redis: RedisServer) -> None:
    assert frozen_redis.clock is not None
    frozen_redis.clock.advance(123_456)
    script = "local t = redis.call('TIME') return t[1] .. '.' .. t[2]"
    assert frozen_redis.ask("EVAL", script, 0) == "1700000000.123456"


def test_keys_expire_when_the_clock_says_so(frozen_redis: RedisServer) -> None:
    """A key lives through the millisecond of its deadline, and not beyond."""
    assert frozen_redis.clock is not None
    with frozen_redis.client() as client:
        client.set("key", "value", px=1_000)
        frozen_redis.clock.advance(SECOND + MILLISECOND - 1)
        assert client.get("key") == b"value"
        frozen_redis.clock.advance(1)
        assert client.get("key") is None


def test_a_wiped_server_knows_nothing_of_the_last_test(frozen_redis: RedisServer) -> None:
    assert frozen_redis.clock is not None
    with frozen_redis.client() as client, client.pubsub() as subscriber:
        client.set("key", "value")
        subscriber.subscribe("news")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"
        frozen_redis.clock.advance(HOUR)
        frozen_redis.wipe()
        assert time_of(frozen_redis) == 1_700_000_000 * SECOND
        assert frozen_redis.ask("DBSIZE") == 0
        assert frozen_redis.ask("PUBLISH", "news", "anyone?") == 0


def test_libfaketime_leaves_nothing_in_shared_memory(tmp_path: Path) -> None:
    with running_redis(tmp_path, clock=ServerClock(tmp_path)) as server:
        pid = server.pid
        assert list(Path("/dev/shm").glob(f"*_{pid}"))
    assert not list(Path("/dev/shm").glob(f"*_{pid}"))


# Processes


def test_a_server_comes_back_on_its_port(server: RedisServer) -> None:
    port = server.port
    server.kill()
    with pytest.raises(LOST):
        server.ask("PING")
    server.start()
    with stranger(f"redis://127.0.0.1:{port}") as client:
        assert client.ping()


def test_a_held_server_is_silent_and_keeps_its_connections(server: RedisServer) -> None:
    with server.client(socket_timeout=0.1) as client:
        client.set("key", "value")
        number = client.client_id()
        server.stop()
        with pytest.raises(redis.TimeoutError):
            client.get("key")
        server.go_on()
    assert server.ask("PING")
    assert server.ask("CLIENT", "ID") > number


def test_no_server_outlives_the_tests(tmp_path: Path) -> None:
    """Even if they are killed, and so clean up nothing."""
    code = f"""
import time
from pathlib import Path
from tests.redis.servers import RedisServer
server = RedisServer(Path({str(tmp_path / "server")!r}))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        assert _lives(pid)
        tests.send_signal(signal.SIGKILL)
    eventually(lambda: not _lives(pid))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A dead process whose parent is gone may wait for init to notice.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


# Who may come in


def test_tls_lets_in_who_trusts_the_certificate(
    tls_server: RedisServer, certificate: Certificate
) -> None:
    with stranger(tls_server.url, ssl_ca_certs=str(certificate.certificate)) as client:
        assert client.ping()


def test_tls_refuses_plain_words_and_is_refused_by_who_does_not_trust_it(
    tls_server: RedisServer, tmp_path: Path
) -> None:
    with stranger(f"redis://127.0.0.1:{tls_server.port}") as client, pytest.raises(LOST):
        client.ping()
    other = Certificate.make(tmp_path, "other")
    with (
        stranger(tls_server.url, ssl_ca_certs=str(other.certificate)) as client,
        pytest.raises(redis.ConnectionError, match="certificate verify failed"),
    ):
        client.ping()


def test_tls_may_ask_clients_for_a_certificate(tmp_path: Path, certificate: Certificate) -> None:
    theirs = Certificate.make(tmp_path, "client")
    with running_redis(tmp_path / "mutual", *certificate.options(theirs), tls=True) as server:
        trust = {"ssl_ca_certs": str(certificate.certificate)}
        with stranger(server.url, **trust) as client, pytest.raises(LOST):
            client.ping()
        mine = {"ssl_certfile": str(theirs.certificate), "ssl_keyfile": str(theirs.key)}
        with stranger(server.url, **trust, **mine) as client:
            assert client.ping()


def test_acl_lets_in_the_user_and_nobody_else(acl_server: RedisServer) -> None:
    with stranger(acl_server.url, username="app", password="p:s/w@rd") as client:
        assert client.ping()
    for who in ({}, {"username": "app", "password": "wrong"}, {"password": "p:s/w@rd"}):
        with (
            stranger(acl_server.url, **who) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_a_password_is_in_the_url(tmp_path: Path) -> None:
    with running_redis(tmp_path / "server", password="s/e c:r@t") as server:
        with stranger(server.url) as client:
            assert client.ping()
        with (
            stranger(f"redis://127.0.0.1:{server.port}") as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


# Failover


def test_sentinels_promote_a_replica_of_a_dead_master(sentinels: Sentinels) -> None:
    old = sentinels.master()
    assert len(sentinels.replicas()) == 2
    with old.client() as client:
        client.set("key", "value")
        assert client.wait(2, 5_000) == 2
    assert sentinels.kill_master() is old
    new = sentinels.wait_for_failover(old)
    assert new is sentinels.master() is not old
    assert new.ask("GET", "key") == "value"
    sentinels.restart(old)
    # Now and then they change their minds once more: then it is somebody else, and as good.
    assert [server.ask("GET", "key") for server in sentinels.servers] == ["value"] * 3
    assert len(sentinels.replicas()) == 2


def test_sentinels_and_their_servers_may_want_passwords(tmp_path: Path) -> None:
    with running_sentinels(tmp_path, password="one", sentinel_password="two") as sentinels:
        assert sentinels.url.startswith("redis+sentinel://:one@127.0.0.1:")
        assert sentinels.url.endswith("/mymaster?sentinel_password=two")
        for port in (sentinels.master().port, sentinels.sentinels[0].port):
            with (
                stranger(f"redis://127.0.0.1:{port}") as client,
                pytest.raises(redis.AuthenticationError),
            ):
                client.ping()


def test_a_cluster_promotes_the_replica_of_a_dead_master(cluster: Cluster) -> None:
    assert len(cluster.masters()) == 3
    old = cluster.master_of("key")
    with old.client() as client:
        client.set("key", "value")
        assert client.wait(1, 5_000) == 1
    others = [node for node in cluster.masters() if node is not old]
    assert cluster.kill_master_of("key") is old
    new = cluster.wait_for_failover("key", old)
    assert new.ask("GET", "key") == "value"
    assert [node for node in cluster.masters() if node is not new] == others
    cluster.restart(old)
    assert old.ask("INFO", "replication")["role"] == "slave"


def test_a_slot_of_a_cluster_can_be_caught_on_its_way(cluster: Cluster) -> None:
    old = cluster.master_of("key")
    old.ask("SET", "key", "value")
    with cluster.moving("key") as new:
        with pytest.raises(redis.exceptions.AskError):
            old.ask("GET", "key")
        with pytest.raises(redis.exceptions.MovedError):
            new.ask("GET", "key")
    with pytest.raises(redis.exceptions.MovedError):
        old.ask("GET", "key")
    assert (cluster.master_of("key"), new.ask("GET", "key")) == (new, "value")


# Broken wires


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Any]:
    """One connection, which is not made again if it breaks."""
    connection: Any = redis.asyncio.Connection(port=port, socket_timeout=None)
    await connection.connect()
    try:
        yield connection
    finally:
        await connection.disconnect(nowait=True)


async def ask(connection: Any, *words: str) -> Any:
    await connection.send_command(*words)
    return await connection.read_response()


async def turns(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for sets no event
        await asyncio.sleep(0)


async def test_a_silent_server_accepts_and_never_answers() -> None:
    async with silent() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"PING\r\n")
        await turns(lambda: server.heard == b"PING\r\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):  # what is there already would be read all the same
                await reader.read(1)
        writer.close()
        assert server.accepted == 1


async def test_a_wire_carries(proxy: Proxy) -> None:
    async with connected(proxy.port) as connection:
        assert await ask(connection, "ECHO", "x" * 300_000) == b"x" * 300_000
        assert (proxy.connections, proxy.accepted) == (1, 1)
    await turns(lambda: proxy.connections == 0)


async def test_a_held_wire_delivers_later(proxy: Proxy, server: RedisServer) -> None:
    async with connected(proxy.port) as connection:
        await ask(connection, "PING")
        proxy.hold()
        asked = asyncio.create_task(ask(connection, "INCR", "n"))
        await turns(lambda: any(b"INCR" in piece for piece in proxy.held))
        assert not asked.done()
        assert server.ask("EXISTS", "n") == 0
        proxy.carry()
        assert await asked == 1


async def test_a_held_answer_hides_what_was_done(proxy: Proxy, server: RedisServer) -> None:
    async with connected(proxy.port) as connection:
        await ask(connection, "PING")
        proxy.hold(requests=False)
        asked = asyncio.create_task(ask(connection, "INCR", "n"))
        while server.ask("GET", "n") != "1":  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert not asked.done()
        proxy.cut()
        with pytest.raises(LOST):
            await asked


async def test_a_cut_wire_can_be_laid_again(proxy: Proxy) -> None:
    async with connected(proxy.port) as connection:
        await ask(connection, "PING")
        proxy.cut()
        with pytest.raises(LOST):
            await ask(connection, "PING")
    await turns(lambda: proxy.connections == 0)
    async with connected(proxy.port) as connection:
        assert await ask(connection, "PING") == b"PONG"


async def test_a_wire_may_refuse_newcomers_and_accept_again(proxy: Proxy) -> None:
    async with connected(proxy.port) as connection:
        await ask(connection, "PING")
        await proxy.refuse()
        with pytest.raises(LOST):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await ask(connection, "PING") == b"PONG"
        await proxy.accept()
        async with connected(proxy.port) as other:
            assert await ask(other, "PING") == b"PONG"


async def test_a_slow_wire_takes_its_time(proxy: Proxy) -> None:
    loop = asyncio.get_running_loop()
    async with connected(proxy.port) as connection:
        await ask(connection, "PING")
        proxy.delay = 0.05
        began = loop.time()
        assert await ask(connection, "PING") == b"PONG"
        assert loop.time() - began >= 0.1


async def test_a_wire_to_nobody_breaks_at_once(proxy: Proxy, server: RedisServer) -> None:
    server.kill()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with contextlib.suppress(ConnectionError):
        assert await reader.read(1) == b""
    writer.close()

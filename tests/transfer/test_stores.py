"""Every kind of store that an address can name, and what is said when one cannot be used."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.clock import HOUR, MINUTE
from engine.persistence.rdb import Item
from tests.cli.conftest import Run
from tests.redis.clock import ServerClock
from tests.redis.cluster import Cluster, running_cluster
from tests.redis.sentinel import running_sentinels
from tests.redis.servers import RedisServer, running_redis
from tests.support import free_port, require
from tests.transfer.samples import content, every_type, large, put_snapshot

SECRET = "s3cret/@:%"


def there_and_back(run: Run, now: int, url: str, *more: str) -> None:
    put_snapshot(Path("data"), every_type(now) + large(now))
    for words in (("--from", "data", "--to", url), ("--from", url, "--to", "back")):
        ran = run("migrate", *words, *more)
        assert (ran.code, ran.err) == (0, "")
    assert content(Path("back")) == content(Path("data"))


def test_a_unix_socket_and_another_database(run: Run, server: RedisServer, now: int) -> None:
    there_and_back(run, now, f"{server.socket_url}?db=5")
    assert "db5" in server.ask("INFO", "keyspace")


def test_a_password_is_used_and_a_wrong_one_is_not_repeated(
    run: Run, tmp_path: Path, now: int
) -> None:
    with running_redis(tmp_path / "server", password=SECRET) as server:
        there_and_back(run, now, server.url)
        for wrong in ("wr0ng", ""):
            url = f"redis://:{wrong}@127.0.0.1:{server.port}"
            code, out, err = run("migrate", "--from", "data", "--to", url)
            assert (code, out) == (2, "")
            assert err.startswith(f"realtime: redis://:…@127.0.0.1:{server.port}: "), err
            assert err.count("\n") == 1
            assert "wr0ng" not in err


def test_a_server_that_repeats_what_it_was_sent_does_not_get_it_into_the_message(
    run: Run, tmp_path: Path
) -> None:
    """Where AUTH was renamed, Redis answers with the arguments of the unknown command."""
    put_snapshot(Path("data"), [(b"cnt:{a}", 1, None)])
    with running_redis(tmp_path / "server", "--rename-command", "AUTH", "") as server:
        url = f"redis://:tell-nobody@127.0.0.1:{server.port}"
        code, _, err = run("migrate", "--from", "data", "--to", url)
    assert code == 2
    assert "unknown command" in err
    assert "tell-nobody" not in err


def test_tokens_come_from_a_function(
    run: Run, tmp_path: Path, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("tokens.py").write_text(f"def fresh(): return 'default', {SECRET!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with running_redis(tmp_path / "server", password=SECRET) as server:
        url = f"redis://127.0.0.1:{server.port}"
        there_and_back(run, now, url, "--store-credentials", "tokens:fresh")


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_what_has_expired_by_the_clock_of_the_store_is_gone_and_no_difference(
    run: Run, tmp_path: Path, now: int, ahead: int
) -> None:
    """Two machines never agree on the time; from now on the store's counts."""
    clock = ServerClock(tmp_path)
    clock.now = now + ahead
    items: list[Item] = [(b"cnt:{%d}" % at, 1, now + at * MINUTE) for at in (30, 90)]
    put_snapshot(Path("data"), items)
    with running_redis(tmp_path / "server", clock=clock) as server:
        ran = run("migrate", "--from", "data", "--to", server.url)
        assert (ran.code, ran.err) == (0, "")
        assert server.ask("DBSIZE") == (1 if ahead > 0 else 2)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, signed by itself; the key lies beside it."""
    path = tmp_path / "cert.pem"
    command = [require("openssl"), "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=x"]
    command += ["-newkey", "rsa:2048", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", str(path), "-keyout", str(tmp_path / "key.pem")]
    subprocess.run(command, capture_output=True, check=True)
    return path


def test_tls_trusts_whom_it_is_told_to_and_nobody_else(
    run: Run, tmp_path: Path, now: int, certificate: Path
) -> None:
    key = certificate.with_name("key.pem")
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with running_redis(
        tmp_path / "server", *files, "--tls-ca-cert-file", str(certificate), tls=True
    ) as server:
        put_snapshot(Path("data"), every_type(now))
        trust = ("--store-ca-file", str(certificate))
        known = ("--store-cert-file", str(certificate), "--store-key-file", str(key))
        words = ("migrate", "--from", "data", "--to", server.url)
        code, _, err = run(*words)
        assert (code, "certificate verify failed" in err) == (2, True), err
        assert run(*words, *trust).code == 2, "the server wants to see a certificate, too"
        there_and_back(run, now, server.url, *trust, *known)


def test_sentinels_lead_to_the_master(run: Run, tmp_path: Path, now: int) -> None:
    with running_sentinels(tmp_path, sentinel_password=SECRET, password="other") as group:
        there_and_back(run, now, group.url)
        assert group.master().ask("DBSIZE") == len(every_type(now) + large(now))
        nobody = group.url.replace("/mymaster", "/nobody")
        code, _, err = run("migrate", "--from", "data", "--to", nobody)
        assert code == 2
        assert "No master found for 'nobody'" in err
        assert SECRET not in err


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_a_cluster_gets_each_key_where_it_belongs(run: Run, now: int, cluster: Cluster) -> None:
    there_and_back(run, now, cluster.url)
    sizes = [int(master.ask("DBSIZE")) for master in cluster.masters()]
    assert sum(sizes) == len(every_type(now) + large(now))
    assert all(sizes)
    put_snapshot(Path("few"), every_type(now)[:1])
    assert run("migrate", "--from", "few", "--to", cluster.url, "--replace").code == 0
    assert sum(int(master.ask("DBSIZE")) for master in cluster.masters()) == 1


def test_a_cluster_is_read_while_a_slot_moves(run: Run, now: int, cluster: Cluster) -> None:
    """One key of the slot has moved, one is on both nodes, one has not moved."""
    moving = [(b"lb:{arcade}:%d" % number, {b"a": b"%d" % number}, None) for number in range(3)]
    put_snapshot(Path("data"), [*every_type(now), *moving])
    assert run("migrate", "--from", "data", "--to", cluster.url, "--replace").code == 0
    slot, old = cluster.slot_of("lb:{arcade}"), cluster.master_of("lb:{arcade}")
    new = next(master for master in cluster.masters() if master is not old)
    new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", old.ask("CLUSTER", "MYID"))
    old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", new.ask("CLUSTER", "MYID"))
    try:
        for key, *how in (("lb:{arcade}:0",), ("lb:{arcade}:1", "COPY")):
            old.ask("MIGRATE", "127.0.0.1", new.port, key, 0, 5000, *how)
        assert run("migrate", "--from", cluster.url, "--to", "back").code == 0
        assert content(Path("back")) == content(Path("data"))
        code, _, err = run("migrate", "--from", "data", "--to", cluster.url)
        assert code == 2
        assert "the cluster is moving slots; let it finish and run this again" in err
    finally:
        rest = old.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        old.ask("MIGRATE", "127.0.0.1", new.port, "", 0, 5000, "REPLACE", "KEYS", *rest)
        for node in (new, old):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", new.ask("CLUSTER", "MYID"))


def test_a_server_that_is_not_there_is_named(run: Run) -> None:
    put_snapshot(Path("data"), [(b"cnt:{a}", 1, None)])
    url = f"redis://:{SECRET[:6]}@127.0.0.1:{free_port()}"
    code, _, err = run("migrate", "--from", "data", "--to", url)
    assert code == 2
    assert err.startswith("realtime: redis://:…@127.0.0.1:")
    assert "refused" in err
    assert SECRET[:6] not in err


def test_a_server_that_dies_meanwhile_is_one_sentence(
    run: Run, server: RedisServer, client: Any
) -> None:
    put_snapshot(Path("data"), [(b"cnt:{%d}" % n, n, None) for n in range(1_000)])
    client.client_pause(60_000, all=False)
    killer = threading.Timer(0.3, server.kill)
    killer.start()
    code, out, err = run("migrate", "--from", "data", "--to", server.url)
    killer.join()
    assert (code, out) == (2, "")
    assert err.startswith(f"realtime: {server.url}: ")
    assert err.count("\n") == 1


def test_a_replica_takes_no_writes_and_says_why(
    run: Run, tmp_path: Path, server: RedisServer
) -> None:
    put_snapshot(Path("data"), [(b"cnt:{a}", 1, None)])
    options = ("--replicaof", "127.0.0.1", str(server.port))
    with running_redis(tmp_path / "replica", *options) as replica:
        code, _, err = run("migrate", "--from", "data", "--to", replica.url)
    assert code == 2
    assert "READONLY" in err


def test_an_old_server_is_refused_before_anything_is_read(run: Run) -> None:
    put_snapshot(Path("data"), [(b"cnt:{a}", 1, None)])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        threading.Thread(target=play_old, args=(listening,), daemon=True).start()
        port = listening.getsockname()[1]
        code, _, err = run("migrate", "--from", "data", "--to", f"redis://127.0.0.1:{port}")
    assert (code, err) == (
        2,
        f"realtime: redis://127.0.0.1:{port}: 7.0 or newer is needed, it is 6.2\n",
    )


def play_old(listening: socket.socket) -> None:
    """Answers whatever redis-py asks at first, and INFO as an old Redis would."""
    peer, _ = listening.accept()
    with peer:
        while asked := peer.recv(4096):
            info = b"# Server\r\nredis_version:6.2.14\r\n"
            answer = b"$%d\r\n%b\r\n" % (len(info), info) if b"INFO" in asked else b"+OK\r\n"
            peer.sendall(answer * max(1, asked.count(b"CLIENT")))

"""A master, two replicas, and three Sentinels that watch over them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.redis.servers import RedisServer
from tests.support import eventually, free_ports

__all__ = ["Sentinels", "running_sentinels"]

NAME = "mymaster"
QUORUM = 2

DOWN_AFTER = 1_000
"""Milliseconds of silence after which a Sentinel takes a server for dead. With less, the
second that they take to dial a new master may end in yet another failover."""

FAILOVER = 2_000
"""Milliseconds that a step of a failover may take; after twice as many comes the next attempt."""

HASTE = ("INFO-PERIOD", 200, "PUBLISH-PERIOD", 200)
"""Milliseconds. Sentinels look at servers every ten seconds and greet each other every two,
which would be most of a test's time. How they find and replace a dead master stays as it is."""

FAILS_OVER_WITHIN = 20.0
"""Seconds; it takes two, but the machine may be busy."""


@dataclass(frozen=True)
class Sentinels:
    """Servers that agree on who is the master."""

    servers: list[RedisServer]
    sentinels: list[RedisServer]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        password = self.servers[0].password
        url = f"redis+sentinel://{f':{quote(password)}@' if password else ''}{hosts}/{NAME}"
        secret = self.sentinels[0].password
        return url + (f"?sentinel_password={quote(secret)}" if secret else "")

    def master(self) -> RedisServer:
        """Whom most Sentinels call the master."""
        ports = Counter(self._named_by(sentinel) for sentinel in self.sentinels if sentinel.runs)
        named, _ = ports.most_common(1)[0]
        return next(server for server in self.servers if server.port == named)

    def replicas(self) -> list[RedisServer]:
        """The others, as far as they run."""
        master = self.master()
        return [server for server in self.servers if server.runs and server is not master]

    def kill_master(self) -> RedisServer:
        """``kill -9``, now; who it was."""
        master = self.master()
        master.kill()
        return master

    def wait_for_failover(self, old: RedisServer) -> RedisServer:
        """The new master, when the Sentinels have agreed on it and it is one."""
        eventually(lambda: self._is_replaced(old), FAILS_OVER_WITHIN)
        return self.master()

    def wait_until_whole(self) -> None:
        """Until every server runs and follows, and every Sentinel knows all of them."""
        eventually(self._is_whole, 2 * FAILS_OVER_WITHIN)

    def restart(self, server: RedisServer) -> None:
        """Start a dead server again, and wait until it follows the master."""
        server.start()
        self.wait_until_whole()

    def start(self) -> None:
        """Start them all, and wait until they agree."""
        for server in self.servers:
            server.start()
        # A Sentinel asks a server for its replicas at once, and then not again for a while.
        eventually(lambda: all(map(self._follows, self.servers[1:])))
        for sentinel in self.sentinels:
            sentinel.start()
            sentinel.ask("SENTINEL", "DEBUG", *HASTE)
        self.wait_until_whole()

    def kill(self) -> None:
        """End them all."""
        for server in (*self.sentinels, *self.servers):
            server.kill()

    def _is_replaced(self, old: RedisServer) -> bool:
        master = self.master()
        return master is not old and master.ask("ROLE")[0] == "master"

    def _is_whole(self) -> bool:
        master = self.master()
        return all(
            self._follows(server) for server in self.servers if server is not master
        ) and all(map(self._knows_all, self.sentinels))

    def _follows(self, server: RedisServer) -> bool:
        info = server.ask("INFO", "replication")
        return bool(info["role"] == "slave" and info["master_link_status"] == "up")

    def _knows_all(self, sentinel: RedisServer) -> bool:
        about = sentinel.ask("SENTINEL", "MASTER", NAME)
        others = (int(about["num-slaves"]), int(about["num-other-sentinels"]))
        return others == (len(self.servers) - 1, len(self.sentinels) - 1) and (
            about["flags"] == "master" and about["port"] == str(self.master().port)
        )

    def _named_by(self, sentinel: RedisServer) -> int:
        _, port = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return int(port)


@contextlib.contextmanager
def running_sentinels(
    folder: Path, *options: str, password: str = "", sentinel_password: str = ""
) -> Iterator[Sentinels]:
    """Servers and Sentinels with their files in ``folder``; ``options`` are the servers'."""
    ports = free_ports(6)
    first, *others = (
        RedisServer(folder / f"server{port}", options, port=port, password=password)
        for port in ports[:3]
    )
    for server in others:
        server.options = (*options, "--replicaof", "127.0.0.1", str(first.port))
    sentinels = [
        RedisServer(
            folder / f"sentinel{port}", mode="redis-sentinel", port=port, password=sentinel_password
        )
        for port in ports[3:]
    ]
    for sentinel in sentinels:
        sentinel.folder.mkdir()
        configuration = sentinel.folder / "sentinel.conf"
        configuration.write_text(_configuration(first, sentinel_password))
    group = Sentinels([first, *others], sentinels)
    try:
        group.start()
        yield group
    finally:
        group.kill()


def _configuration(master: RedisServer, secret: str) -> str:
    lines = [
        f"monitor {NAME} 127.0.0.1 {master.port} {QUORUM}",
        f"down-after-milliseconds {NAME} {DOWN_AFTER}",
        f"failover-timeout {NAME} {FAILOVER}",
        f"parallel-syncs {NAME} 2",
    ]
    if master.password:
        lines.append(f'auth-pass {NAME} "{master.password}"')
    if secret:
        lines.append(f'sentinel-pass "{secret}"')
    return "".join(f"sentinel {line}\n" for line in lines)

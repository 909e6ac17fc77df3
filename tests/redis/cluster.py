"""Six nodes that share the slots of a cluster: three masters, and a replica of each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.redis.servers import RedisServer
from tests.support import eventually, free_ports

__all__ = ["Cluster", "running_cluster"]

MASTERS = 3
SLOTS = 16_384

NODE_TIMEOUT = 1_000
"""Milliseconds of silence after which a node takes another for dead."""

OPTIONS = (
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    str(NODE_TIMEOUT),
    "--repl-ping-replica-period",  # a replica is not told of before its first
    "1",
)

READY_WITHIN = 30.0
"""Seconds for a failover, or for a cluster to form: it takes three, but the machine may be busy."""


@dataclass(frozen=True)
class Cluster:
    """Nodes, dead ones among them. Their ports say who is who: all are on one machine."""

    nodes: list[RedisServer]

    @property
    def url(self) -> str:
        """Names three of the nodes, as a configuration would."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[::2])
        return f"redis+cluster://{hosts}"

    def running(self) -> list[RedisServer]:
        return [node for node in self.nodes if node.runs]

    def slot_of(self, key: bytes | str) -> int:
        return int(self.running()[0].ask("CLUSTER", "KEYSLOT", key))

    def master_of(self, key: bytes | str) -> RedisServer:
        """Who has the slot of the key, as the first that lives sees it."""
        return self._master(self.slot_of(key), self.running()[0])

    def masters(self) -> list[RedisServer]:
        """Those that have slots."""
        ports = {port for _, _, port, *_ in _ranges(self.running()[0])}
        return [node for node in self.nodes if node.port in ports]

    def kill_master_of(self, key: bytes | str) -> RedisServer:
        """``kill -9``, now; who it was."""
        master = self.master_of(key)
        master.kill()
        return master

    def wait_for_failover(self, key: bytes | str, old: RedisServer) -> RedisServer:
        """The new master of the key, when all that live know it and say that all is well."""
        slot = self.slot_of(key)
        eventually(
            lambda: all(self._master(slot, node) is not old for node in self.running()),
            READY_WITHIN,
        )
        self.wait_ok()
        return self.master_of(key)

    def wait_ok(self) -> None:
        """Until every living node sees every slot served."""
        eventually(lambda: all(map(_is_ok, self.running())), READY_WITHIN)

    def wait_until_whole(self) -> None:
        """Until, besides, every node runs, every replica follows, and all know it."""
        self.wait_ok()
        eventually(lambda: all(map(self._sees_all, self.nodes)), READY_WITHIN)

    def restart(self, node: RedisServer) -> None:
        """Start a dead node again, and wait until it is somebody's replica."""
        node.start()
        self.wait_until_whole()

    @contextlib.contextmanager
    def moving(self, key: bytes | str) -> Iterator[RedisServer]:
        """Within, the slot of ``key`` is on its way to another master, which is answered: for
        keys that are gone the old one answers ASK. Afterwards all of it is there: MOVED."""
        slot, old = self.slot_of(key), self.master_of(key)
        new = next(node for node in self.masters() if node is not old)
        ids = {node.port: node.ask("CLUSTER", "MYID") for node in (old, new)}
        new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[old.port])
        old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[new.port])
        self._migrate(slot, old, new)
        yield new
        self._migrate(slot, old, new)
        for node in (new, old):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[new.port])
        eventually(lambda: all(self._master(slot, node) is new for node in self.running()))

    def start(self) -> None:
        """Start all nodes, make a cluster of them, and wait until it serves."""
        for epoch, node in enumerate(self.nodes, start=1):
            node.start()
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        masters, replicas = self.nodes[:MASTERS], self.nodes[MASTERS:]
        for number, node in enumerate(masters):
            first, end = (SLOTS * part // MASTERS for part in (number, number + 1))
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, _bus_port(node))
        eventually(lambda: all(map(self._knows_all, self.nodes)), READY_WITHIN)
        for master, replica in zip(masters, replicas, strict=True):
            replica.ask("CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID"))
        self.wait_until_whole()

    def kill(self) -> None:
        """End them all."""
        for node in self.nodes:
            node.kill()

    def _master(self, slot: int, seen_by: RedisServer) -> RedisServer:
        ranges = _ranges(seen_by)
        port = next(port for first, last, port, *_ in ranges if first <= slot <= last)
        return next(node for node in self.nodes if node.port == port)

    def _migrate(self, slot: int, old: RedisServer, new: RedisServer) -> None:
        keys = old.ask("CLUSTER", "GETKEYSINSLOT", slot, 1_000)
        if keys:
            old.ask("MIGRATE", "127.0.0.1", new.port, "", 0, 5_000, "KEYS", *keys)

    def _knows_all(self, node: RedisServer) -> bool:
        known = node.ask("CLUSTER", "NODES")
        return known.count("\n") == len(self.nodes) and "handshake" not in known

    def _sees_all(self, node: RedisServer) -> bool:
        seen = [port for _, _, *ports in _ranges(node) for port in ports]
        info = node.ask("INFO", "replication")
        return set(seen) == {other.port for other in self.nodes} and (
            info["role"] == "master" or info["master_link_status"] == "up"
        )


def _ranges(node: RedisServer) -> list[tuple[int, ...]]:
    """(first slot, last slot, port of the master, ports of its replicas …)"""
    slots = node.ask("CLUSTER", "SLOTS")
    return [(first, last, *(port for _, port, *_ in nodes)) for first, last, *nodes in slots]


def _is_ok(node: RedisServer) -> bool:
    return "cluster_state:ok" in node.ask("CLUSTER", "INFO")


def _bus_port(node: RedisServer) -> int:
    options = list(node.options)
    return int(options[options.index("--cluster-port") + 1])


@contextlib.contextmanager
def running_cluster(folder: Path, *options: str) -> Iterator[Cluster]:
    """A cluster with its files in ``folder``; ``options`` are every node's."""
    ports = free_ports(4 * MASTERS)  # the default bus port is not always free
    nodes = [
        RedisServer(
            folder / f"node{port}", (*OPTIONS, "--cluster-port", str(bus), *options), port=port
        )
        for port, bus in zip(ports[::2], ports[1::2], strict=True)
    ]
    cluster = Cluster(nodes)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()

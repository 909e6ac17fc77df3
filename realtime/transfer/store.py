"""The masters behind an address, and which of them has a key.

redis-py opens the sockets, does TLS and authenticates. Who the masters are is found out once,
at the beginning: if they change meanwhile, the command ends and is run again.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from realtime.backends.redis.address import Address, Host
from realtime.backends.redis.dial import Options
from realtime.transfer.ends import TransferError
from realtime.transfer.server import Command, Refused, Server, reason

__all__ = ["Question", "Store", "connected"]

OLDEST = (7, 0)
"""PEXPIRETIME, and streams that count what they ever held."""

TIMEOUT = 60.0
"""Seconds of silence after which a server is taken for gone; some are busy for long."""
CONNECT_TIMEOUT = 5.0

SLOTS = 16_384
REDIRECTIONS = 8
"""Times that a question is sent on while its slot moves."""

BETWEEN = 0.02
"""Seconds before asking again for keys that are between two servers."""

_GONE = ("ERR no such key", "WRONGTYPE")


class Question(NamedTuple):
    """A command about one key, that changes nothing."""

    key: bytes
    words: Command


class Store:
    """All masters of one address, one connection each. Blocking; raises TransferError."""

    def __init__(self, address: Address, options: Options) -> None:
        self._address = address
        self._options = options
        self._secrets = [
            secret for secret in (address.password, address.sentinel_password) if secret
        ]
        self._opened: dict[Host | None, Server] = {}
        self._homes: list[Server] = []  # by slot; the only one if there are no slots

    def __str__(self) -> str:
        return str(self._address)

    def connect(self) -> None:
        """Find the masters and look whether they are new enough."""
        if self._address.kind == "cluster":
            self._homes = self._by_slot()
        else:
            self._homes = [self._server(self._only_host())]
        for server in self.servers:
            _check_version(server)

    @property
    def servers(self) -> list[Server]:
        """Every master, once."""
        return list(dict.fromkeys(self._homes))

    def home(self, key: bytes) -> Server:
        """Who has the key."""
        homes = self._homes
        return homes[key_slot(key)] if len(homes) > 1 else homes[0]

    def clock(self) -> int:
        """Microseconds since 1970 by the clock of a master."""
        (answer,) = self._homes[0].ask([(b"TIME",)])
        if isinstance(answer, Refused):
            raise self._homes[0].failed(answer)
        seconds, microseconds = answer
        return int(seconds) * 1_000_000 + int(microseconds)

    def ask(self, questions: Sequence[Question]) -> list[Any]:
        """The answers, in order; None if the key is gone, or another value has its place.

        All servers work at once; keys on the move are followed."""
        asked: dict[Server, list[int]] = {}
        for at, question in enumerate(questions):
            asked.setdefault(self.home(question.key), []).append(at)
        for server, places in asked.items():
            server.settle()
            server.tell([questions[at].words for at in places])
        answers: list[Any] = [None] * len(questions)
        for server, places in asked.items():
            for at, answer in zip(places, server.hear(len(places)), strict=True):
                answers[at] = answer
        for at, answer in enumerate(answers):
            if isinstance(answer, Refused):
                answers[at] = self._follow(questions[at], answer)
        return answers

    def close(self) -> None:
        for server in self._opened.values():
            server.close()

    def _follow(self, question: Question, error: Refused) -> Any:
        """Go after a key whose slot is on the move."""
        server = self.home(question.key)
        for _ in range(REDIRECTIONS):
            if str(error).startswith(_GONE):
                return None
            commands = [question.words]
            if error.code == "TRYAGAIN":
                time.sleep(BETWEEN)
            elif error.code in ("MOVED", "ASK"):
                server = self._server(_named(error))
                if error.code == "ASK":
                    commands.insert(0, (b"ASKING",))
            else:
                break
            *_, answer = server.ask(commands)
            if not isinstance(answer, Refused):
                return answer
            error = answer
        raise server.failed(error)

    def _by_slot(self) -> list[Server]:
        """The master of each slot, as the first of the given nodes that answers knows it."""
        failures: list[TransferError] = []
        for seed in self._address.hosts:
            try:
                (slots,) = self._server(seed).ask([(b"CLUSTER", b"SLOTS")])
            except TransferError as error:
                failures.append(error)
                continue
            if isinstance(slots, Refused):
                raise self._server(seed).failed(slots)
            return self._spread(slots, seed)
        raise failures[0]

    def _spread(self, slots: Any, asked: Host) -> list[Server]:
        homes: dict[int, Server] = {}
        for first, last, (name, port, *_), *_ in slots:
            # Without a name it means itself; what follows are replicas.
            host = Host(name.decode() if name else asked.name, port)
            homes |= dict.fromkeys(range(first, last + 1), self._server(host))
        if len(homes) < SLOTS:
            raise TransferError(f"{self._address}: {SLOTS - len(homes)} slots have no master")
        return [homes[slot] for slot in range(SLOTS)]

    def _only_host(self) -> Host | None:
        address = self._address
        if address.kind != "sentinel":
            return None if address.kind == "unix" else address.hosts[0]
        how = {
            "username": address.sentinel_user,
            "password": address.sentinel_password,
            "ssl": address.tls,
            "socket_timeout": CONNECT_TIMEOUT,
            "retry": Retry(NoBackoff(), 0),  # there are other Sentinels to ask
            **(self._options.certificates if address.tls else {}),
        }
        sentinel = Sentinel(address.hosts, sentinel_kwargs=how)
        try:
            with self._explained(str(address)):
                return Host(*sentinel.discover_master(address.master))
        finally:
            for client in sentinel.sentinels:
                client.close()

    def _server(self, host: Host | None) -> Server:
        """The server at a host, None for that of a Unix socket; connected once."""
        if host not in self._opened:
            connection = self._connection(host)
            name = self._name(host)
            with self._explained(name):
                connection.connect()
            self._opened[host] = Server(connection, name, self._secrets)
        return self._opened[host]

    def _connection(self, host: Host | None) -> Any:
        address = self._address
        user, password = address.user, address.password
        if self._options.credentials is not None:
            user, password = self._options.credentials()
            self._secrets.append(password)
        common = {
            "db": address.db,
            "username": user,
            "password": password,
            "protocol": 2,  # flat answers, and no opinion of redis-py on what they mean
            "socket_timeout": TIMEOUT,
            "client_name": "realtime-transfer",
        }
        if host is None:
            return UnixDomainSocketConnection(path=address.path, **common)
        common |= {"host": host.name, "port": host.port, "socket_connect_timeout": CONNECT_TIMEOUT}
        if address.tls:
            return SSLConnection(**common, **self._options.certificates)
        return Connection(**common)

    def _name(self, host: Host | None) -> str:
        """A server for people: the address, and which of its servers unless it is the only one."""
        single = self._address.kind in ("single", "unix")
        return str(self._address) if single else f"{self._address} ({host})"

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise TransferError(f"{name}: {reason(error, self._secrets)}") from None


@contextlib.contextmanager
def connected(address: Address, options: Options) -> Iterator[Store]:
    """The store at an address, connected meanwhile."""
    store = Store(address, options)
    try:
        store.connect()
        yield store
    finally:
        store.close()


def _check_version(server: Server) -> None:
    (info,) = server.ask([(b"INFO", b"server")])
    if isinstance(info, Refused):
        raise server.failed(info)
    found = re.search(r"^redis_version:(\d+)\.(\d+)", info.decode(), re.MULTILINE)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise server.failed(ValueError(f"{needed} or newer is needed, it is {found[1]}.{found[2]}"))


def _named(moved: Refused) -> Host:
    """Where the server says that a key is: ``MOVED slot host:port``."""
    name, _, port = str(moved).split()[2].rpartition(":")
    return Host(name, int(port))

"""From an address to a connection that can be worked with.

redis-py opens the socket, does TLS, authenticates and speaks RESP3; what is added here is
to look before we lean on it: is it new enough, is it a master, has it loaded its data?
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Sentinel
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    DefaultParser,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from realtime.backends.redis.address import Address, Host
from realtime.backends.redis.link import Greeted, Unusable

__all__ = ["Credentials", "Dialer", "Options"]

OLDEST = (7, 0)
"""Sharded pub/sub, PEXPIRETIME, scripts that replicate what they did."""

Credentials = Callable[[], tuple[str, str]]
"""Answers user and password at every connection: for tokens that expire, as IAM's do."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a store is used. Times are seconds."""

    timeout: float = 1.0
    """No question waits longer for its answer."""
    wait: int = 0
    """Replicas that must have a write before it is answered."""
    presence_ttl: float = 60.0
    """How long a client of a node that died is taken for present."""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    credentials: Credentials | None = None
    """Instead of the user and password of the address."""

    @property
    def certificates(self) -> dict[str, str | None]:
        """The files as redis-py's connections in TLS take them."""
        files = {
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.cert_file,
            "ssl_keyfile": self.key_file,
        }
        return {name: None if file is None else str(file) for name, file in files.items()}


class _Parser(DefaultParser):  # type: ignore[misc]
    """Hands over what the server says unasked, of whatever kind."""

    async def handle_push_response(self, response: Any, **_: Any) -> Any:
        return response


class _Provider(CredentialProvider):  # type: ignore[misc]
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def get_credentials(self) -> tuple[str, str]:
        return self._credentials()

    async def get_credentials_async(self) -> tuple[str, str]:
        try:
            # In a thread: it may ask somebody for a token. It is not ours, and may raise anything.
            user, password = await asyncio.to_thread(self._credentials)
        except Exception as fault:
            raise Unusable(f"there are no credentials: {type(fault).__name__}: {fault}") from None
        return user, password


class Dialer:
    """Opens connections to the servers of one address."""

    def __init__(self, address: Address, options: Options) -> None:
        self._address = address
        self._options = options
        self._sentinel: Any = None
        self._trusted: Any = None
        """The certificates, read."""

    async def dial_any(self) -> Greeted:
        """To the one server of the address: the master, as far as it has Sentinels."""
        if self._address.kind == "unix":
            connection = UnixDomainSocketConnection(path=self._address.path, **self._common())
            return await self._greet(connection)
        return await self.dial(await self._master())

    async def dial(self, host: Host, *, of_any_role: bool = False) -> Greeted:
        """To this server, a master unless it may be ``of_any_role``.

        Raises OSError, RedisError or Unusable."""
        where = {"host": host.name, "port": host.port}
        if not self._address.tls:
            return await self._greet(Connection(**where, **self._common()), of_any_role)
        connection = SSLConnection(**where, **self._common(), **self._tls())
        connection.ssl_context = await self._authorities(connection.ssl_context)
        try:
            return await self._greet(connection, of_any_role)
        except RedisError as fault:
            if "SSL" in str(fault):
                self._trusted = None  # the files may have been renewed
            raise

    async def close(self) -> None:
        """Let the Sentinels go."""
        if self._sentinel is not None:
            for client in self._sentinel.sentinels:
                await client.aclose()

    async def _master(self) -> Host:
        address = self._address
        if address.kind != "sentinel":
            return address.hosts[0]
        if self._sentinel is None:
            how = {
                "username": address.sentinel_user,
                "password": address.sentinel_password,
                "socket_timeout": self._options.timeout / 2,
                "ssl": address.tls,
                **self._tls(),
            }
            self._sentinel = Sentinel(address.hosts, sentinel_kwargs=how)
        name, port = await self._sentinel.discover_master(address.master)
        return Host(name, port)

    async def _authorities(self, unread: Any) -> Any:
        """Certificates that are read once: that takes tens of milliseconds, so a thread does it."""
        if self._trusted is None:
            await asyncio.to_thread(unread.get)
            self._trusted = unread
        return self._trusted

    async def _greet(self, connection: AbstractConnection, of_any_role: bool = False) -> Greeted:
        try:
            await connection.connect()
            for section in ("server", "replication"):
                await connection.send_command("INFO", section)
            about = {}
            for _ in range(2):
                about.update(_facts(await connection.read_response()))
            await connection.send_command("PING")
            await connection.read_response()  # an error while it is loading
            _check(about, of_any_role)
        except BaseException:
            with contextlib.suppress(OSError, RedisError):
                await connection.disconnect(nowait=True)
            raise
        return Greeted(connection, about.get(b"run_id", b"unnamed"))

    def _common(self) -> dict[str, Any]:
        address, options = self._address, self._options
        who: dict[str, Any] = {"username": address.user, "password": address.password}
        if options.credentials is not None:
            who = {"credential_provider": _Provider(options.credentials)}
        return {
            "db": address.db,
            "protocol": 3,
            "parser_class": _Parser,
            "socket_timeout": None,  # the link watches over time
            "socket_connect_timeout": options.timeout,
            "client_name": "realtime",
            **who,
        }

    def _tls(self) -> dict[str, Any]:
        return dict(self._options.certificates) if self._address.tls else {}


def _facts(info: bytes) -> dict[bytes, bytes]:
    return dict(re.findall(rb"^(\w+):([^\r]*)", info, re.MULTILINE))


def _check(about: dict[bytes, bytes], of_any_role: bool) -> None:
    version = about.get(b"redis_version", b"0.0").decode()
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise Unusable(f"it is version {version}; {'.'.join(map(str, OLDEST))} or newer is needed")
    if not of_any_role and about.get(b"role", b"master") != b"master":
        raise Unusable("it is a replica")

"""Where a store is and how to get in, read from a URL.

    redis://[user:password@]host[:port][/db]        one server
    rediss://…                                      the same in TLS
    redis+unix:///path/to/socket[?db=N]             the same over a Unix socket
    redis+sentinel://[user:password@]h1[:p],h2,h3/name[/db]   whatever the Sentinels call the master
    redis+cluster://[user:password@]h1[:p],h2       a cluster, found through any of its nodes

``rediss+sentinel`` and ``rediss+cluster`` are in TLS. A user or password is percent-encoded.
After ``?``: ``db=N``, ``sentinel_user=…``, ``sentinel_password=…``.

Pure: nothing here opens a connection. ``str(address)`` shows no secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["Address", "AddressError", "Host", "parse"]

Kind = Literal["single", "unix", "sentinel", "cluster"]

PORT = 6379
SENTINEL_PORT = 26379

SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "redis+unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}


class AddressError(ValueError):
    """One sentence about what is wrong with a URL; it never repeats a password."""


class Host(NamedTuple):
    """One server."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """A URL taken apart."""

    kind: Kind
    hosts: tuple[Host, ...] = ()
    """The server; or the Sentinels; or some nodes of the cluster."""
    path: str = ""
    """Of a Unix socket."""
    master: str = ""
    """What the Sentinels call it."""
    db: int = 0
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_user: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        scheme = next(name for name, meant in SCHEMES.items() if meant == (self.kind, self.tls))
        credentials = ""
        if self.user is not None or self.password is not None:
            credentials = f"{self.user or ''}:…@"
        where = self.path or ",".join(map(str, self.hosts))
        return f"{scheme}://{credentials}{where}" + (f"/{self.master}" if self.master else "")


def parse(url: str) -> Address:
    """The address of a URL. Raises AddressError."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise AddressError("the URL of the store cannot be read") from None
    if parts.scheme not in SCHEMES:
        raise AddressError(
            f"a store is memory:// or begins with {', '.join(f'{name}://' for name in SCHEMES)}"
        )
    kind, tls = SCHEMES[parts.scheme]
    if parts.fragment:
        raise AddressError("a # in a user or password is written %23")
    userinfo, _, netloc = parts.netloc.rpartition("@")
    user, password = _credentials(userinfo)
    more = _parameters(parts.query)
    segments = [unquote(segment) for segment in parts.path.split("/")[1:] if segment]
    address = Address(
        kind,
        tls=tls,
        user=user,
        password=password,
        sentinel_user=more.get("sentinel_user"),
        sentinel_password=more.get("sentinel_password"),
        hosts=_hosts(netloc, SENTINEL_PORT if kind == "sentinel" else PORT),
        path=unquote(parts.path) if kind == "unix" else "",
        master=segments.pop(0) if kind == "sentinel" and segments else "",
        db=_database(segments if kind != "unix" else [], more),
    )
    _check(address)
    return address


def _check(address: Address) -> None:
    if address.kind == "unix":
        if not address.path or address.hosts:
            raise AddressError("a Unix socket is written redis+unix:///path/to/socket")
    elif not address.hosts:
        raise AddressError("the URL of the store names no host")
    if address.kind == "sentinel" and not address.master:
        raise AddressError("after the Sentinels comes the name of the master: …/mymaster")
    if address.kind == "single" and len(address.hosts) > 1:
        raise AddressError(
            "several hosts are redis+sentinel:// (with a name) or redis+cluster://, not redis://"
        )
    if address.kind == "cluster" and address.db:
        raise AddressError("a cluster has no databases but 0")


def _credentials(userinfo: str) -> tuple[str | None, str | None]:
    if not userinfo:
        return None, None
    user, colon, password = userinfo.partition(":")
    return unquote(user) or None, unquote(password) if colon else None


def _hosts(netloc: str, default_port: int) -> tuple[Host, ...]:
    return tuple(_host(text, default_port) for text in netloc.split(",") if text)


def _host(text: str, default_port: int) -> Host:
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        port = port.removeprefix(":")
        if not bracket:
            raise AddressError("an IPv6 address stands in brackets")
    else:
        name, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise AddressError(f"{port!r} is no port")
    return Host(unquote(name) or "localhost", int(port) if port else default_port)


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise AddressError("after the ? of a store come name=value pairs") from None
    known = ("db", "sentinel_user", "sentinel_password")
    for name, _ in pairs:
        if name not in known:
            raise AddressError(f"{name} is no parameter of a store; there are {', '.join(known)}")
    return dict(pairs)


def _database(segments: list[str], more: dict[str, str]) -> int:
    if len(segments) > 1 or (segments and "db" in more):
        raise AddressError("the URL of the store names more than one database")
    text = segments[0] if segments else more.get("db", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise AddressError(f"{text!r} is no number of a database")
    return int(text)

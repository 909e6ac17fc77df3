"""Where a store is and how to get in, read from a URL.

    redis://[user:password@]host[:port][/db]        one server
    rediss://…                                      the same in TLS
    redis+unix:///path/to/socket[?db=N]             the same over a Unix socket
    redis+sentinel://[user:password@]h1[:p],h2,h3/name[/db]   whatever the Sentinels call the master
    redis+cluster://[user:password@]h1[:p],h2       a cluster, found through any of its nodes

``rediss+sentinel`` and ``rediss+cluster`` are in TLS. A user or password is percent-encoded.
After ``?``: ``db=N``, and for Sentinels ``sentinel_user=…``, ``sentinel_password=…``.

Pure: nothing here opens a connection. ``str(address)`` shows no secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import unquote

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


PARAMETERS = ("db", "sentinel_user", "sentinel_password")

ENCODE = "a /, ?, # or @ in a user or password is percent-encoded, as %2F, %3F, %23 or %40"


class AddressError(ValueError):
    """One sentence about what is wrong with a URL; it never repeats a password.

    Nor what may be a piece of one that was not encoded: a ``:``, ``/`` or ``@`` within it
    makes it look like something else.
    """


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
        master = f"/{self.master}" if self.master else ""
        db = f"{'?db=' if self.path else '/'}{self.db}" if self.db else ""
        return f"{scheme}://{credentials}{where}{master}{db}"


def parse(url: str) -> Address:
    """The address of a URL. Raises AddressError."""
    kind, tls, rest = _scheme(url.strip())
    rest, _, query = rest.partition("?")
    netloc, slash, path = rest.partition("/")
    if "#" in url or "@" in query or ("@" in path and kind != "unix"):
        raise AddressError(ENCODE)
    userinfo, _, netloc = netloc.rpartition("@")
    if kind == "unix" and (netloc or not path):
        raise AddressError("a Unix socket is written redis+unix:///path/to/socket")
    user, password = _credentials(userinfo)
    more = _parameters(query, kind)
    segments = [_decoded(segment) for segment in path.split("/") if segment and kind != "unix"]
    address = Address(
        kind,
        tls=tls,
        user=user,
        password=password,
        sentinel_user=more.get("sentinel_user"),
        sentinel_password=more.get("sentinel_password"),
        hosts=_hosts(netloc, SENTINEL_PORT if kind == "sentinel" else PORT),
        path=_decoded(slash + path) if kind == "unix" else "",
        master=segments.pop(0) if kind == "sentinel" and segments else "",
        db=_database(segments, more),
    )
    _check(address)
    return address


def _check(address: Address) -> None:
    if address.kind != "unix" and not address.hosts:
        raise AddressError("the URL of the store names no host")
    if address.kind == "sentinel" and not address.master:
        raise AddressError("after the Sentinels comes the name of the master: …/mymaster")
    if address.kind == "single" and len(address.hosts) > 1:
        raise AddressError(
            "several hosts are redis+sentinel:// (with a name) or redis+cluster://, not redis://"
        )
    if address.kind == "cluster" and address.db:
        raise AddressError("a cluster has no databases but 0")


def _scheme(url: str) -> tuple[Kind, bool, str]:
    """What it says, and the rest. ``urlsplit`` knows no netloc of several hosts."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in SCHEMES:
        raise AddressError(
            f"a store is memory:// or begins with {', '.join(f'{name}://' for name in SCHEMES)}"
        )
    return *SCHEMES[scheme.lower()], rest


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise AddressError("what is percent-encoded in the URL of the store is UTF-8") from None


def _credentials(userinfo: str) -> tuple[str | None, str | None]:
    if not userinfo:
        return None, None
    user, colon, password = userinfo.partition(":")
    return _decoded(user) or None, _decoded(password) if colon else None


def _hosts(netloc: str, default_port: int) -> tuple[Host, ...]:
    texts = [text.strip() for text in netloc.split(",")]
    return tuple(_host(text, default_port) for text in texts if text)


def _host(text: str, default_port: int) -> Host:
    name, colon, port = text.partition(":")
    if text.startswith("["):
        name, bracket, after = text[1:].partition("]")
        colon, port = after[:1], after[1:]
        if not bracket or not name:
            raise AddressError("an IPv6 address stands in brackets")
    elif ":" in port:
        raise AddressError("an IPv6 address stands in brackets")
    if colon not in ("", ":") or not _is_port(port):
        raise AddressError("after a host and a colon comes its port, 1 to 65535")
    return Host(_decoded(name) or "localhost", int(port) if port else default_port)


def _is_port(text: str) -> bool:
    """An empty one is the usual one."""
    return not text or (_is_number(text) and 1 <= int(text) <= 65_535)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6


def _parameters(query: str, kind: Kind) -> dict[str, str]:
    known = PARAMETERS if kind == "sentinel" else PARAMETERS[:1]
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise AddressError("after the ? of a store come name=value pairs")
        if name not in known:
            raise AddressError(f"such a store has no {name}, but {' and '.join(known)}")
        if name in found:
            raise AddressError(f"the URL of the store says {name} twice")
        found[name] = _decoded(value)
    return found


def _database(segments: list[str], more: dict[str, str]) -> int:
    if len(segments) > 1 or (segments and "db" in more):
        raise AddressError("the URL of the store names more than one database")
    text = segments[0] if segments else more.get("db", "0")
    if not _is_number(text):
        raise AddressError(f"{text!r} is no number of a database")
    return int(text)

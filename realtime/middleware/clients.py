"""Who is asking: the address a request comes from, as a key to count under.

An IPv6 customer is given at least a /64, so all its addresses count as one. An IPv4 address
written as IPv6 is that IPv4 address. ``X-Forwarded-For`` is whatever the client liked to
write, except for what proxies of ours appended on the right: it is read from right to left,
and only as long as whoever wrote an entry is a proxy that was named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from starlette.types import Scope

__all__ = ["MAX_KEY", "REMEMBERED", "UNIX", "clean", "client_address"]

UNIX = "unix"
"""The name of a proxy that connects through a Unix socket, where peers have no address."""

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

REMEMBERED = 4096
"""Addresses whose key is kept: parsing one takes ten times as long as the rest of the look-up."""

MAX_KEY = 128
"""Bytes; longer keys are hashed: callers may choose their key, but not how much we remember."""

MAX_ADDRESS = 64
"""Characters: 45, and the name of a network interface. Proxies and servers hand on what clients
wrote, and what is longer is neither read nor kept."""

MAX_HOPS = 16
"""Entries of X-Forwarded-For that are looked at: nobody has more proxies in a row."""


def client_address(
    trusted_proxies: Iterable[str] = (), ipv6_prefix: int = 64
) -> Callable[[Scope], str]:
    """A key function: the client's address. Raises ValueError for a network that is none.

    ``trusted_proxies`` are networks like ``10.0.0.0/8``, and ``unix``; a text is one of them.
    """
    if not 1 <= ipv6_prefix <= 128:
        raise ValueError(f"an IPv6 prefix has 1 to 128 bits, not {ipv6_prefix}")
    names = [trusted_proxies] if isinstance(trusted_proxies, str) else list(trusted_proxies)
    networks = tuple(ip_network(name) for name in names if name != UNIX)
    trusts_unix = UNIX in names

    @lru_cache(maxsize=REMEMBERED)
    def key_of(host: str) -> str:
        return _key(host, ipv6_prefix)

    @lru_cache(maxsize=REMEMBERED)
    def is_proxy(host: str) -> bool:
        return _is_within(host, networks)

    def direct(scope: Scope) -> str:
        client = scope.get("client")
        if not client:
            return f"ip:{UNIX}"
        host = client[0]
        return key_of(host) if len(host) <= MAX_ADDRESS else clean(f"ip:{host}")

    def forwarded(scope: Scope) -> str:
        client = scope.get("client")
        peer = client[0] if client else UNIX
        is_ours = len(peer) <= MAX_ADDRESS and is_proxy(peer) if client else trusts_unix
        if not is_ours:
            return direct(scope)
        return key_of(_origin(_hops(scope), peer, is_proxy))

    return forwarded if names else direct


def clean(key: str) -> str:
    """A key as it is stored: itself, or its SHA-256 if it is long, or has control characters."""
    encoded = key.encode("utf-8", "surrogatepass")
    if len(encoded) <= MAX_KEY and key.isprintable():
        return key
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def _origin(hops: Sequence[str], peer: str, is_proxy: Callable[[str], bool]) -> str:
    """Whoever the first proxy of ours was asked by; ``hops`` are ordered nearest first.

    What is no address was not written by a proxy that works: there the trail ends, and the
    proxy before it answers for the request.
    """
    for hop in hops:
        if _parsed(hop) is None:
            return peer
        if not is_proxy(hop):
            return hop
        peer = hop
    return peer


def _hops(scope: Scope) -> list[str]:
    """The entries of every X-Forwarded-For, nearest first, without ports."""
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    if not values:
        return []
    entries = b",".join(values).decode("latin-1").rsplit(",", MAX_HOPS)[-MAX_HOPS:]
    return [_without_port(entry.strip()) for entry in reversed(entries)]


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _parsed(host: str) -> Address | None:
    if len(host) > MAX_ADDRESS:
        return None
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _is_within(host: str, networks: Sequence[Network]) -> bool:
    address = _parsed(host)
    return address is not None and any(address in network for network in networks)


def _key(host: str, ipv6_prefix: int) -> str:
    """The key of an address. It starts with ``ip:``, so that no other name can be taken for it."""
    address = _parsed(host)
    if address is None:
        return clean(f"ip:{host}")  # a server's or a test client's own word
    if isinstance(address, IPv4Address):
        return f"ip:{address}"
    return f"ip:{IPv6Network((int(address), ipv6_prefix), strict=False)}"

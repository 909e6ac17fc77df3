"""Which web pages may use a service that has no keys.

A browser reaches loopback on behalf of any page it shows. While no API key exists, whoever
reaches the service may do everything, so it must be certain that the page belongs to this
machine. Two headers tell, and a page can forge neither: Origin says whose page it is, and
Host says by which name it found us. A name that an attacker owns may resolve to 127.0.0.1
(DNS rebinding), and then both say that name.

Programs other than browsers send no Origin, and call us by a name of this machine.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["is_local_host", "is_local_origin"]


@lru_cache(maxsize=256)
def is_local_host(host: str) -> bool:
    """Whether a Host header (name or address, perhaps with a port) names this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=256)
def is_local_origin(origin: str) -> bool:
    """Whether an Origin header names a page of this machine, whatever its port."""
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and is_local_host(host)

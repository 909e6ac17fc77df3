"""Where channels lie, and what is kept there: what a name means, worked out once.

Asked for every publication, so the answers for the names in use are remembered: a publication
on one of them costs one look-up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from realtime.backends.base import Wildcard
from realtime.errors import NotFound
from realtime.services.durations import microseconds
from realtime.services.names import channel_bytes, live_of
from realtime.services.namespaces import Namespace, Namespaces
from realtime.services.patterns import View, is_shown, view_of

__all__ = ["Place", "places"]

REMEMBERED = 4_096
"""Names, as many as `name_bytes` remembers: a few hundred bytes each."""


class Place(NamedTuple):
    """The stream that a channel shows, and what it keeps unless a publisher says otherwise."""

    name: bytes
    """Of the stream: of a pattern, the one that it is a view of."""
    namespace: Namespace
    wildcard: Wildcard | None
    view: View | None
    size: int
    ttl: int
    """Microseconds; 0 if nothing is kept."""
    is_local: bool = False
    """Every process publishes for its own subscribers; there is nothing to hear from others."""


def places(namespaces: Namespaces) -> Callable[[str], Place]:
    """What answers the place of a channel, or raises InvalidInput or NotFound. O(1)."""
    wildcards = {one.prefix: _wildcard(one) for one in namespaces if one.wildcards}

    @lru_cache(maxsize=REMEMBERED)
    def place(channel: str) -> Place:
        name = channel_bytes(channel)
        namespace = namespaces.find(channel)
        if namespace is None:
            raise NotFound(f"no namespace has a channel {channel}")
        kept = _kept(namespace)
        view = view_of(channel, namespace)
        if view is not None:
            return Place(view.stream.encode(), namespace, None, view, *kept)
        wildcard = wildcards[namespace.prefix] if is_shown(channel, namespace) else None
        live = live_of(channel)
        is_local = live is not None and live.member is not None
        return Place(name, namespace, wildcard, None, *kept, is_local)

    return place


def _kept(namespace: Namespace) -> tuple[int, int]:
    if not namespace.keeps_history:
        return 0, 0
    return namespace.history_size, microseconds("history ttl", namespace.history_ttl)


def _wildcard(namespace: Namespace) -> Wildcard:
    return Wildcard((namespace.prefix + "*").encode(), *_kept(namespace))

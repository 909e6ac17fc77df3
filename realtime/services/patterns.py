"""Patterns: channels that show what is published on others.

In a namespace with wildcards and the prefix ``orders.``, the channel ``orders.*`` shows every
publication of the namespace: it is a stream of its own, with positions of its own, to which
each publication is appended in the step that makes it. ``orders.eu.*`` has no stream. It is a
*view* of that one: the same positions, and of the publications those whose channel begins with
``orders.eu.``. A ``*`` stands at the end, after the prefix, a dot or a colon; names of such a
namespace hold none anywhere else.

Channels of a namespace within the namespace are of that other one, and are not shown.
"""

from __future__ import annotations

from typing import NamedTuple

from realtime.backends.base import Publication
from realtime.backends.keys import LIVE_PREFIX
from realtime.errors import InvalidInput
from realtime.services.namespaces import Namespace

__all__ = ["View", "is_shown", "view_of"]


class View(NamedTuple):
    """What a pattern shows: of the channel ``stream``, what came from channels of a ``prefix``."""

    stream: str
    prefix: bytes

    @property
    def is_whole(self) -> bool:
        """Whether it shows all of the stream."""
        return self.stream.encode() == self.prefix + b"*"

    def shows(self, item: Publication) -> bool:
        return item.channel is not None and item.channel.startswith(self.prefix)

    def of(self, publications: list[Publication]) -> list[Publication]:
        """Those that it shows. O(publications), unless it shows all."""
        if self.is_whole:
            return publications
        return [item for item in publications if self.shows(item)]


def is_shown(channel: str, namespace: Namespace) -> bool:
    """Whether what is published there is shown on a pattern, too: not what live boards show."""
    return namespace.wildcards and not channel.startswith(LIVE_PREFIX)


def view_of(channel: str, namespace: Namespace) -> View | None:
    """What a channel of the namespace shows of others; None if it is a channel like any other.

    Raises InvalidInput for a ``*`` that is in the wrong place.
    """
    if "*" not in channel or not is_shown(channel, namespace):
        return None
    stem = channel[:-1]
    if channel[-1] != "*" or "*" in stem or not (stem == namespace.prefix or stem[-1] in ".:"):
        raise InvalidInput(
            f"in the namespace {namespace.name or 'of all others'} a * stands at the end of a"
            " channel's name only, after a dot or a colon"
        )
    return View(namespace.prefix + "*", stem.encode())

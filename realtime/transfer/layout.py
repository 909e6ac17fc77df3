"""Which keys travel. See `realtime.backends.keys` and docs/keys.md.

A Redis may be shared with others, so a key is ours only if its braces are where ours are:
``user:42`` is somebody else's. Who is present, and which nodes live, belongs to processes
that live now, and never travels.
"""

from __future__ import annotations

import re

__all__ = ["TEMPORARY", "is_ours", "shown", "stays", "temporary"]

_OURS = re.compile(
    rb"(?:lb|cnt|chan|idem):\{|rl:[^{}]*\{|(?:sess|user):\{[0-9a-f]{4}\}:"
    rb"|left:\{[0-9a-f]\}:(?:here|gone|events|next|tries)\Z"
    rb"|seasons:\{all\}\Z"
)

TEMPORARY = b"transfer:"
"""What the names of half-written values begin with; nothing else reads or lists them."""

_NODES = b"nodes"
_STAY = (b"pres:{", b"node:{", TEMPORARY)
_STAYS = re.compile(rb"left:\{[0-9a-f]\}:(?:here:|watch\Z)")
"""Of users who come and go: what one node says, and whether anybody looks."""


def is_ours(key: bytes) -> bool:
    """Whether the key is of our layout, and travels."""
    return _OURS.match(key) is not None


def stays(key: bytes) -> bool:
    """Whether the key is of the service too, but worth nothing elsewhere."""
    return key == _NODES or key.startswith(_STAY) or _STAYS.match(key) is not None


def temporary(key: bytes) -> bytes:
    """Where the value of ``key`` is built: in the same slot, as all our keys have a tag."""
    return TEMPORARY + key


def shown(key: bytes) -> str:
    """A key for people: whatever is in it cannot do anything to a terminal."""
    text = key.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)

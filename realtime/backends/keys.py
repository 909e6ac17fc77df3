"""Where everything lies, the same in every backend; documented for users in docs/keys.md.

The braces are Redis Cluster hash tags: all that one atomic step touches lies in one slot.
A name may hold any character; ``%``, ``{`` and ``}`` are percent-encoded in keys, so that a
tag always ends where the name does and no two names ever meet in one key.
"""

from __future__ import annotations

__all__ = [
    "META",
    "RULES",
    "VERSION",
    "board_key",
    "bucket_key",
    "channel_key",
    "counter_key",
    "idempotency_key",
    "rule_key",
    "session_key",
    "user_key",
]

META = b":meta"
RULES = b":rules"
VERSION = b":version"

_SPECIAL = (b"%", b"{", b"}")


def _tag(name: bytes) -> bytes:
    if b"%" in name or b"{" in name or b"}" in name:
        for special in _SPECIAL:
            name = name.replace(special, b"%%%02X" % special[0])
    return name


def board_key(board: bytes) -> bytes:
    """Sorted set member -> score; ``+ RULES``, ``+ META`` hashes; ``+ VERSION`` a counter."""
    return b"lb:{%b}" % _tag(board)


def counter_key(name: bytes) -> bytes:
    """String, a decimal integer."""
    return b"cnt:{%b}" % _tag(name)


def rule_key(rule: bytes) -> bytes:
    """Hash, the fields of a rate-limit rule."""
    return b"rl:{%b}" % _tag(rule)


def bucket_key(rule: bytes, caller: bytes) -> bytes:
    """String, the state of one caller under one rule: see `engine.limits`."""
    return b"rl:{%b}:{%b}" % (_tag(rule), _tag(caller))


def session_key(id_hash: bytes) -> bytes:
    """Hash, the fields of a session and its bookkeeping, which starts with ``_``."""
    return b"sess:{%b}" % id_hash


def user_key(user: bytes) -> bytes:
    """Sorted set, the keys of a user's sessions -> their absolute deadlines."""
    return b"user:{%b}" % _tag(user)


def channel_key(channel: bytes) -> bytes:
    """Stream, the offset is the id; ``+ META`` a hash with epoch ``e`` and newest offset ``s``."""
    return b"chan:{%b}" % _tag(channel)


def idempotency_key(fingerprint: bytes) -> bytes:
    """String, the first answer to a write that carried an Idempotency-Key."""
    return b"idem:{%b}" % fingerprint

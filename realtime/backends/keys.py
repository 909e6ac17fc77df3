"""Where everything lies, the same in every backend; documented for users in docs/keys.md.

The braces are Redis Cluster hash tags: all that one atomic step touches lies in one slot.
A name may hold any character; ``%``, ``{`` and ``}`` are percent-encoded in keys, so that a
tag always ends where the name does and no two names ever meet in one key.

A name may carry a tag of its own, as Redis' own keys may: ``{arcade}:daily`` and
``{arcade}:all-time`` lie in the slot of ``arcade``, and so one step may touch both.

    lb:{arcade}                         the board arcade
    lb:{arcade}=%7Barcade%7D%3Adaily    the board {arcade}:daily
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from engine.departures import DepartureKeys
from realtime.backends.livenames import LIVE_PREFIX, live_name

__all__ = [
    "BESIDE_BOARD",
    "BUCKETS_PREFIX",
    "DEPARTURE_SHARDS",
    "LIMIT_RULES",
    "LIVE_PREFIX",
    "LOOKS",
    "META",
    "RULES",
    "SEASON",
    "SEASONS",
    "SEASON_INDEX",
    "TTL",
    "UNTIL",
    "USERS",
    "VERSION",
    "archive_key",
    "board_key",
    "board_of",
    "bucket_key",
    "channel_key",
    "counter_key",
    "departure_keys",
    "departure_shard",
    "hold_key",
    "idempotency_key",
    "leases_key",
    "penalty_key",
    "presence_key",
    "result_key",
    "rule_key",
    "session_key",
    "shadow_key",
    "shard_of",
    "topic_key",
    "user_key",
]

BESIDE_BOARD = (
    b":meta", b":rules", b":version", b":ttl", b":ids", b":places", b":scores", b":season",
)  # fmt: skip
"""What a board's key is followed by where the rest of a board lies; all of it goes with it."""

LOOKS = b":looks"
META = b":meta"
RULES = b":rules"
SEASON = b":season"
SEASONS = b":seasons"
TTL = b":ttl"
UNTIL = b":until"
USERS = b":users"
VERSION = b":version"

SEASON_INDEX = b"seasons:{all}"
"""Sorted set, board -> when its season needs attention next, microseconds since 1970."""

LIVE = b":live"
"""What the top of a board is published on."""

_LIVE_PREFIX = LIVE_PREFIX.encode()

SHARD_DIGITS = 4
"""65,536 shards of users over the 16,384 slots of a cluster."""

DEPARTURE_SHARDS = 16
"""Where users may be, each of which is looked at every second; one hexadecimal digit names it."""


def _escaped(name: bytes) -> bytes:
    if b"%" in name or b"{" in name or b"}" in name:
        name = name.replace(b"%", b"%25").replace(b"{", b"%7B").replace(b"}", b"%7D")
    return name


def _tag(name: bytes) -> bytes | None:
    """The tag of its own that a name has."""
    start = name.find(b"{")
    end = name.find(b"}", start + 2) if start >= 0 else -1
    return None if end < 0 or name[start + 1 : start + 2] == b"}" else name[start + 1 : end]


def _tagged(name: bytes) -> bytes:
    """The name as a hash tag; after a tag of its own it stands once more, whole."""
    tag = _tag(name)
    return b"{%b}" % _escaped(name) if tag is None else _in_slot_of(tag, name)


def _in_slot_of(tag: bytes, name: bytes) -> bytes:
    # Suffixes begin with a colon, so the name must not hold one here.
    return b"{%b}=%b" % (_escaped(tag), _escaped(name).replace(b":", b"%3A"))


def board_key(board: bytes) -> bytes:
    """Sorted set member -> score; ``+ RULES``, ``+ META`` hashes; ``+ VERSION`` a counter; and
    what some rules need: see `engine.entries`."""
    return b"lb:" + _tagged(board)


def board_of(key: bytes) -> bytes | None:
    """The board whose entries or rules lie under a key; None if it is another kind of key."""
    if not key.startswith(b"lb:{"):
        return None
    tagged = key[3:].removesuffix(RULES)
    if tagged.endswith(b"}"):
        return unquote_to_bytes(tagged[1:-1])
    whole = tagged.partition(b"}=")[2]
    return unquote_to_bytes(whole) if whole and b":" not in whole else None


def archive_key(board: bytes, number: int) -> bytes:
    """As the key of a board, ``board``: the entries of its season with this number, which is over.

    ``board + SEASON`` is a hash, the season it is in; ``board + SEASONS`` one, season -> what it
    was, and what became of its entries: see `engine.seasons`. They outlive the board.
    """
    return board + b":s:%d" % number


def counter_key(name: bytes) -> bytes:
    """String, a decimal integer."""
    return b"cnt:" + _tagged(name)


def rule_key(rule: bytes) -> bytes:
    """Hash, the fields of a rate-limit rule."""
    return b"rl:" + _tagged(rule)


LIMIT_RULES = b"rl:{}"
"""Hash, the names of all rules -> when each was defined first. No rule has an empty name."""

BUCKETS_PREFIX = b"rl:"
"""Of all that limits keep for their callers; the rules themselves never expire."""


def shadow_key(rule: bytes) -> bytes:
    """String, how often a shadow rule would have refused."""
    return rule_key(rule) + b":shadow"


def penalty_key(bucket: bytes) -> bytes:
    """String, the violations of a caller under a rule: see `engine.limits.penalty`."""
    return bucket + b":penalty"


def hold_key(bucket: bytes, reservation: bytes) -> bytes:
    """String, there as long as a reservation may be settled."""
    return bucket + b":hold:" + reservation


def leases_key(bucket: bytes) -> bytes:
    """Sorted set, active leases -> the instants at which they expire."""
    return bucket + b":leases"


def bucket_key(rule: bytes, caller: bytes) -> bytes:
    """String, the state of one caller under one rule: see `engine.limits`.

    Tagged by the caller, so that the callers of a rule spread over a cluster, and several
    rules for one caller are one step.
    """
    return b"rl:%b:%b" % (_escaped(rule), _tagged(caller))


def shard_of(user: bytes) -> bytes:
    """Where a user's sessions lie together: some hexadecimal digits, which their ids hold too."""
    return hashlib.sha256(user).hexdigest()[:SHARD_DIGITS].encode()


def session_key(shard: bytes, id_hash: bytes) -> bytes:
    """Hash, the fields of a session and its bookkeeping, which starts with ``_``."""
    return b"sess:{%b}:%b" % (shard, id_hash)


def user_key(user: bytes) -> bytes:
    """Sorted set, the keys of a user's sessions -> their absolute deadlines."""
    return b"user:{%b}:%b" % (shard_of(user), user)


@lru_cache(maxsize=4_096)  # asked for every publication
def channel_key(channel: bytes, wildcard: bytes | None = None) -> bytes:
    """Stream, the offset is the id; ``+ META`` a hash with epoch ``e`` and newest offset ``s``.

    A channel that is also shown on the channel ``wildcard`` lies in the slot of that one.
    """
    if wildcard is None:
        return b"chan:" + _tagged(channel)
    return b"chan:" + _in_slot_of(_tag(wildcard) or wildcard, channel)


def result_key(stream: bytes, key: bytes) -> bytes:
    """String, where the publication with an idempotency key came to lie: offset and epoch.

    ``stream`` is the key of the channel; a name in it is followed by a colon nowhere else.
    """
    return b"%b:idem:%b" % (stream, key)


def topic_key(channel: bytes, wildcard: bytes | None = None) -> bytes:
    """What a store's own pub/sub calls the channel: in the slot of what is published with it."""
    board = _live_board(channel) if channel.startswith(_LIVE_PREFIX) else None
    return channel_key(channel, wildcard) if board is None else board_key(board) + LIVE


def _live_board(channel: bytes) -> bytes | None:
    """The board whose top a channel shows. Of members nothing is published by the store."""
    try:
        name = live_name(channel.decode(errors="surrogateescape"))
    except ValueError:
        return None
    if name is None or name.member is not None:
        return None
    return name.board.encode(errors="surrogateescape")


def presence_key(channel: bytes) -> bytes:
    """Hash, client -> who it is; ``+ UNTIL`` a sorted set, client -> when it is taken for gone;
    ``+ USERS`` a hash, user -> number of connections."""
    return b"pres:" + _tagged(channel)


def idempotency_key(fingerprint: bytes) -> bytes:
    """String, the first answer to a write that carried an Idempotency-Key."""
    return b"idem:{%b}" % fingerprint


def departure_shard(user: bytes) -> int:
    """Which of DEPARTURE_SHARDS a user is in."""
    return hashlib.sha256(user).digest()[0] % DEPARTURE_SHARDS


def departure_keys(shard: int) -> DepartureKeys:
    """Sorted sets, a hash and a string, of the users of one shard: see `engine.departures`."""
    return _DEPARTURES[shard]


_DEPARTURES = [
    DepartureKeys(*(b"left:{%x}:%b" % (shard, name.encode()) for name in DepartureKeys._fields))
    for shard in range(DEPARTURE_SHARDS)
]

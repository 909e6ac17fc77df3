"""Who may do what: API keys and their scopes.

A key is ``rt_<id>_<secret>``. The id is public and finds the record in one look-up; the
secret is 32 random bytes. The service keeps the SHA-256 of the whole key and compares in
constant time. A slow password hash would add nothing: it defends guessable secrets, and
nobody guesses 256 bits.

A scope is ``<feature>:<action>``, either of which may be ``*``; ``*`` alone is everything.
The feature ``admin`` is never part of ``*:<action>``, so that a key made to read all
boards cannot list clients or write snapshots. What no scope grants is refused, and no
action implies another: who may write may not therefore read.

`Access` starts open if there is no keys file and no key of tokens: everybody may do everything,
which is why the service then listens on loopback only. It is closed for good by the first keys
file it sees. A file that disappears later, or lists no keys, lets nobody in.

Users come with a token instead of a key (see `realtime.tokens`): three texts parted by dots, so
that the two are never taken for each other. What such a user may do is in the claim ``scopes``,
in the same words; without it, a user may do nothing but what namespaces of channels let users
do. It grants the feature ``admin`` only if the settings say that it may.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from realtime import keyfile
from realtime.keyfile import ID_SLICE, KEY_LENGTH, ApiKey, KeyFileError, Stamp

if TYPE_CHECKING:
    from realtime.tokens import ConnectionToken, Tokens

__all__ = ["ACTIONS", "ANONYMOUS", "FEATURES", "Access", "Principal", "parse_scope"]

log = logging.getLogger(__name__)

FEATURES = ("leaderboards", "counters", "sessions", "limits", "channels", "admin")
ACTIONS = ("read", "write", "publish", "admin")

Grant = tuple[str, str]


def parse_scope(scope: str) -> frozenset[Grant]:
    """Every (feature, action) that a scope grants. Raises ValueError."""
    feature, _, action = ("*:*" if scope == "*" else scope).partition(":")
    if feature not in ("*", *FEATURES) or action not in ("*", *ACTIONS):
        raise ValueError(
            f"{scope!r} is no scope: write <feature>:<action> or *, with a feature of "
            f"{', '.join(FEATURES)} or *, and an action of {', '.join(ACTIONS)} or *"
        )
    features: Iterable[str] = (feature,)
    if feature == "*":
        features = FEATURES if action == "*" else set(FEATURES) - {"admin"}
    actions = ACTIONS if action == "*" else (action,)
    return frozenset((one, other) for one in features for other in actions)


@lru_cache(maxsize=1024)
def _granted(scopes: frozenset[str]) -> frozenset[Grant]:
    """What all of the scopes grant. The cache is for tokens, which come with every request."""
    return frozenset[Grant]().union(*map(parse_scope, scopes))


def _without_admin(scopes: frozenset[str]) -> frozenset[str]:
    """The scopes, but for the feature admin."""
    rest = {scope for scope in scopes if scope.partition(":")[0] != "admin"}
    if everything := rest & {"*", "*:*"}:
        rest = (rest - everything) | {f"{name}:*" for name in FEATURES if name != "admin"}
    return frozenset(rest)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was let in, and what they may do there."""

    name: str
    scopes: frozenset[str]
    key: str = ""
    """The public id of their key; empty for somebody without one."""
    user: str = ""
    """Whose token it is; empty for keys, and for tokens that name no user."""
    is_user: bool = False
    """Let in by a token, whether or not that says who they are."""
    expires: float = math.inf
    """Seconds since 1970, of a token. When keys end is looked up."""
    jti: str = ""
    issued_at: float = 0.0
    """Likewise; with the user and the jti it says whether the token was revoked."""
    _grants: frozenset[Grant] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_grants", _granted(self.scopes))

    def may(self, feature: str, action: str) -> bool:
        """Whether a scope grants this. O(1)."""
        return (feature, action) in self._grants


ANONYMOUS = Principal("anonymous", frozenset({"*"}))
"""Everybody, while the service is open."""

NOBODY = Principal("nobody", frozenset())


class _Known(NamedTuple):
    """A key as it is checked: the digest of its text, and when it ends (seconds since 1970)."""

    digest: bytes
    expires: float
    principal: Principal


_UNKNOWN = _Known(bytes(32), 0.0, NOBODY)
"""Compared with when no key has the id: an unknown id takes as long as a wrong secret."""


class Access:
    """The keys of a file, as of the last ``refresh``; and the tokens of users."""

    def __init__(
        self,
        path: Path | None,
        now: Callable[[], float] = time.time,
        tokens: Tokens | None = None,
    ) -> None:
        """``path`` None means that there will never be a key. Raises KeyFileError.

        Expiry dates are wall time, which ``now`` answers in seconds since 1970.
        """
        from realtime.tokens import NO_TOKENS  # cryptography takes 0.1 s, and most commands none

        self.tokens = tokens or NO_TOKENS
        self.open = not self.tokens.configured
        self._path = path
        self._now = now
        self._known: dict[bytes, _Known] = {}
        self._stamp: Stamp | None = None
        if path is not None:
            self._load(path)

    @property
    def empty(self) -> bool:
        """Whether there is no key at all, so that nobody or everybody can come in."""
        return not self._known and not self.tokens.configured

    @property
    def anonymous(self) -> Principal:
        """Who somebody without a key is."""
        return ANONYMOUS if self.open else NOBODY

    def principal(self, token: str | bytes) -> Principal | None:
        """Whose key or token this is; None for an unknown, revoked or expired key. O(1).

        For a token that is not taken it raises TokenError, which says why.
        """
        if isinstance(token, str):
            token = token.encode("utf-8", "replace")
        if token.count(b".") == 2 and self.tokens.configured:
            return self.principal_of(self.tokens.connection(token.decode("utf-8", "replace")))
        if len(token) != KEY_LENGTH:
            return None
        known = self._known.get(token[ID_SLICE], _UNKNOWN)
        if not hmac.compare_digest(hashlib.sha256(token).digest(), known.digest):
            return None
        return known.principal if self._now() < known.expires else None

    def principal_of(self, token: ConnectionToken) -> Principal:
        """What the bearer of a verified token may do. Raises TokenInvalid for a scope that is
        none."""
        from realtime.tokens import TokenInvalid

        scopes = token.scopes or frozenset()
        try:
            _granted(scopes)
        except ValueError as error:
            raise TokenInvalid(f"the claim scopes: {error}") from None
        return Principal(
            token.user,
            scopes if self.tokens.admin else _without_admin(scopes),
            user=token.user,
            is_user=True,
            expires=token.expires,
            jti=token.jti,
            issued_at=token.issued_at,
        )

    def stands(self, principal: Principal) -> bool:
        """Whether somebody let in earlier would be let in now, with the same scopes. O(1)."""
        if principal.is_user:
            revoked = self.tokens.revoked(principal.user, principal.jti, principal.issued_at)
            return not revoked and self._now() < principal.expires
        if not principal.key:
            return principal == self.anonymous
        known = self._known.get(principal.key.encode(), _UNKNOWN)
        return known.principal == principal and self._now() < known.expires

    def refresh(self) -> bool:
        """Read the file again if it changed; whether the keys did. One system call if not.

        A file that makes no sense is logged once, and the keys stay as they were: the
        administrator's slip of the pen must not lock everybody out. Likewise the keys of tokens.
        """
        self.tokens.refresh()
        if self._path is None:
            return False
        stamp = keyfile.stamp(self._path)
        if stamp == self._stamp:
            return False
        try:
            self._load(self._path)
        except KeyFileError as error:
            self._stamp = stamp
            log.error("the keys stay as they were: %s", error)
            return False
        log.info("%d API keys after a change of %s", len(self._known), self._path)
        return True

    def _load(self, path: Path) -> None:
        found = keyfile.read(path)
        if found is None:
            self._stamp, self._known = None, {}
            return
        known = {key.id.encode(): _known(path, key) for key in found.keys}
        self._stamp, self._known, self.open = found.stamp, known, False


def _known(path: Path, key: ApiKey) -> _Known:
    try:
        principal = Principal(key.name, frozenset(key.scopes), key.id)
    except ValueError as error:
        raise KeyFileError(path, f"key {key.name!r}: {error}") from None
    expires = float("inf") if key.expires is None else key.expires.timestamp()
    return _Known(bytes.fromhex(key.sha256), expires, principal)

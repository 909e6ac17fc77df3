"""JSON Web Tokens of users: verification, keys, claims. See `realtime.tokens.tokens`."""

from __future__ import annotations

from realtime.tokens.claims import ChannelOptions, ConnectionToken, SubscriptionToken
from realtime.tokens.errors import TokenError, TokenExpired, TokenInvalid, TokenKeysUnavailable
from realtime.tokens.signed import sign
from realtime.tokens.tokens import NO_TOKENS, Tokens

__all__ = [
    "NO_TOKENS",
    "ChannelOptions",
    "ConnectionToken",
    "SubscriptionToken",
    "TokenError",
    "TokenExpired",
    "TokenInvalid",
    "TokenKeysUnavailable",
    "Tokens",
    "sign",
]

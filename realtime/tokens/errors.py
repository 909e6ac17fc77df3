"""Why a token is not taken. The texts are for clients: none holds a token or a key.

TokenError
├── TokenInvalid            never will be: not ours, not well formed, revoked, …
├── TokenExpired            was, until a moment ago: fetch another
└── TokenKeysUnavailable    nobody can say yet: the keys are still on their way
"""

from __future__ import annotations

__all__ = ["TokenError", "TokenExpired", "TokenInvalid", "TokenKeysUnavailable"]


class TokenError(Exception):
    """The text says what is wrong."""


class TokenInvalid(TokenError):
    """Trying again with the same token is of no use."""


class TokenExpired(TokenError):
    """It was signed by one of our keys; the claim ``exp`` has passed."""


class TokenKeysUnavailable(TokenError):
    """The same token may be taken a little later."""

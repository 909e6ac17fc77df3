"""Who comes in: the credentials of a connect command, and of a refresh.

They are an API key or, where keys of tokens are configured, a token of a user; `Admitted` says
which. A token that has expired is refused with 109, upon which clients fetch another one. What
is no credential at all ends the connection.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from realtime.access import Access, Principal
from realtime.tokens import (
    ConnectionToken,
    SubscriptionToken,
    TokenExpired,
    TokenInvalid,
    TokenKeysUnavailable,
)
from realtime.ws import codes
from realtime.ws.codes import Disconnect, Refused

__all__ = ["Admitted", "admitted", "check_owner", "of_headers", "subscription"]


class Admitted(NamedTuple):
    """Somebody who may come in. ``token`` is None for a key and in an open service."""

    principal: Principal
    """It does not expire: when a connection ends is kept elsewhere, as it has a term of grace."""
    token: ConnectionToken | None = None

    @property
    def user(self) -> str:
        """As others see it. A key is the user that it is named after."""
        principal = self.principal
        return principal.name if principal.key else principal.user

    @property
    def expires(self) -> float:
        """Seconds since 1970. Keys that expire are noticed with the next ping instead."""
        return math.inf if self.token is None else self.token.expires


def admitted(access: Access, credentials: str) -> Admitted:
    """Whose credentials these are. Raises Refused and Disconnect."""
    if access.open:
        return Admitted(access.anonymous)
    if not credentials:
        raise Disconnect(codes.CLOSE_BAD_REQUEST.because("a token is needed"))
    if access.tokens.configured and credentials.count(".") == 2:
        token = _verified(access, credentials)
        return Admitted(replace(access.principal_of(token), expires=math.inf), token)
    principal = access.principal(credentials)
    if principal is None:
        raise Disconnect(codes.CLOSE_INVALID_TOKEN)
    return Admitted(principal)


def subscription(access: Access, text: str) -> SubscriptionToken:
    """What a subscription token says. Raises Refused; also for one that nobody here signed."""
    try:
        return access.tokens.subscription(text)
    except TokenExpired:
        raise Refused(codes.TOKEN_EXPIRED) from None
    except TokenInvalid as error:
        raise Refused(codes.PERMISSION_DENIED.because(str(error))) from None
    except TokenKeysUnavailable as error:
        raise Refused(codes.INTERNAL.because(str(error))) from None


def check_owner(token: SubscriptionToken, user: str, client: str, channel: str) -> None:
    """A token for somebody else, or for another channel, is no mistake. Raises Disconnect."""
    is_theirs = token.client == client if token.client else token.user == user
    if not is_theirs or token.channel != channel:
        raise Disconnect(codes.CLOSE_INVALID_TOKEN)


def of_headers(headers: dict[str, str]) -> str:
    """The credentials among headers that came with the connect command; empty if there are none."""
    for name, value in headers.items():
        if name.lower() == "authorization" and value[:7].lower() == "bearer ":
            return value[7:].strip()
    return ""


def _verified(access: Access, credentials: str) -> ConnectionToken:
    try:
        return access.tokens.connection(credentials)
    except TokenExpired:
        raise Refused(codes.TOKEN_EXPIRED) from None
    except TokenInvalid:
        raise Disconnect(codes.CLOSE_INVALID_TOKEN) from None
    except TokenKeysUnavailable as error:
        raise Refused(codes.INTERNAL.because(str(error))) from None

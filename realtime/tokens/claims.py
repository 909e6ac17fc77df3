"""What tokens say: the claims of connection and subscription tokens, as frozen values.

Names and meanings are those of the Centrifuge protocol, so that tokens made for other servers
of it are taken here:

    both           sub exp nbf iat iss aud jti info b64info expire_at
    connection     channels subs meta scopes
    subscription   channel client override

Two tokens must not be taken for each other: one with ``channel`` is no connection token, and
one without it no subscription token.

JSON within claims stays text, without white space: it is put into frames as it is.
"""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from realtime.errors import InvalidInput
from realtime.services.names import channel_bytes, name_bytes
from realtime.tokens.errors import TokenInvalid

__all__ = [
    "ChannelOptions",
    "Claims",
    "ConnectionToken",
    "SubscriptionToken",
    "connection_token",
    "decode",
    "subscription_token",
]

MAX_JTI = 255
"""Characters; it is kept when the token is revoked."""

_ABSENT = Raw(b"null")


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How somebody is subscribed by a token. None leaves it to the namespace."""

    info: bytes | None = None
    """JSON text; shown to others in presence, joins and publications."""
    data: bytes | None = None
    """JSON text; given to the subscriber with the subscription."""
    presence: bool | None = None
    join_leave: bool | None = None
    force_push_join_leave: bool | None = None
    recover: bool | None = None
    positioned: bool | None = None


@dataclass(frozen=True, slots=True)
class ConnectionToken:
    """Who connects. Times are seconds since 1970; infinity is never."""

    user: str
    """Empty for somebody without a name."""
    expires: float
    """When the connection ends, unless it is refreshed."""
    info: bytes | None
    channels: tuple[str, ...]
    """Subscribed by the service, without options."""
    subs: Mapping[str, ChannelOptions]
    """Likewise, with options."""
    meta: bytes | None
    """JSON text of an object, for the service alone."""
    jti: str
    issued_at: float
    """0 if the token does not say."""
    scopes: frozenset[str] | None
    """None if the token does not say, which is not the same as none."""


@dataclass(frozen=True, slots=True)
class SubscriptionToken:
    """Who may subscribe to what. Times are seconds since 1970; infinity is never."""

    user: str
    channel: str
    expires: float
    """When the subscription ends, unless it is refreshed."""
    options: ChannelOptions
    jti: str
    issued_at: float
    client: str
    """The only client that may use it; empty for any."""


class _Flag(msgspec.Struct, frozen=True):
    value: bool


class _Override(msgspec.Struct, frozen=True):
    presence: _Flag | None = None
    join_leave: _Flag | None = None
    force_push_join_leave: _Flag | None = None
    force_recovery: _Flag | None = None
    force_positioning: _Flag | None = None


class _Options(msgspec.Struct, frozen=True):
    """Of one subscription: the fields of a subscription token, and the values of ``subs``."""

    info: Raw = _ABSENT
    b64info: str | None = None
    data: Raw = _ABSENT
    b64data: str | None = None
    override: _Override | None = None


Instant = Annotated[float, Meta(ge=0, le=1e12)]
"""Seconds since 1970: a NumericDate of RFC 7519. Milliseconds by mistake are still an instant,
of a far future; beyond 30,000 years it is nonsense."""


class Claims(_Options, frozen=True):
    """Everything that we look at in a payload; what else is in it is not our business."""

    sub: str | None = None
    exp: Instant | None = None
    nbf: Instant | None = None
    iat: Instant | None = None
    iss: str | None = None
    aud: str | tuple[str, ...] | None = None
    jti: Annotated[str, Meta(max_length=MAX_JTI)] | None = None
    expire_at: Instant | None = None
    channel: str | None = None
    client: str | None = None
    channels: tuple[str, ...] | None = None
    subs: dict[str, _Options] | None = None
    meta: Raw = _ABSENT
    scopes: frozenset[str] | None = None

    @property
    def audiences(self) -> tuple[str, ...]:
        if self.aud is None:
            return ()
        return (self.aud,) if isinstance(self.aud, str) else self.aud

    @property
    def ends(self) -> float:
        """When what the token opened ends; the token itself may end earlier, or later."""
        if self.expire_at is not None:
            return self.expire_at or math.inf
        return math.inf if self.exp is None else self.exp


_decode = msgspec.json.Decoder(Claims).decode


def decode(payload: str) -> Claims:
    """The claims in a payload whose signature holds. Raises TokenInvalid."""
    try:
        claims = _decode(payload)
        if claims.sub:
            name_bytes("claim sub", claims.sub)
        return claims
    except (msgspec.MsgspecError, RecursionError, InvalidInput) as error:
        raise TokenInvalid(f"the claims of this token make no sense: {error}") from None


def connection_token(claims: Claims) -> ConnectionToken:
    """Raises TokenInvalid."""
    if claims.channel is not None:
        raise TokenInvalid("this is a token for a channel, not for a connection")
    subs = {_channel(name): _options(given) for name, given in (claims.subs or {}).items()}
    meta = _json("meta", claims.meta)
    if meta is not None and not meta.startswith(b"{"):
        raise TokenInvalid("the claim meta must be an object")
    return ConnectionToken(
        user=claims.sub or "",
        expires=claims.ends,
        info=_json("info", claims.info, claims.b64info),
        channels=tuple(dict.fromkeys(map(_channel, claims.channels or ()))),
        subs=MappingProxyType(subs),
        meta=meta,
        jti=claims.jti or "",
        issued_at=claims.iat or 0.0,
        scopes=claims.scopes,
    )


def subscription_token(claims: Claims) -> SubscriptionToken:
    """Raises TokenInvalid."""
    if claims.channel is None:
        raise TokenInvalid("this is a token for a connection, not for a channel")
    return SubscriptionToken(
        user=claims.sub or "",
        channel=_channel(claims.channel),
        expires=claims.ends,
        options=_options(claims),
        jti=claims.jti or "",
        issued_at=claims.iat or 0.0,
        client=claims.client or "",
    )


def _options(given: _Options) -> ChannelOptions:
    override = given.override or _Override()
    return ChannelOptions(
        info=_json("info", given.info, given.b64info),
        data=_json("data", given.data, given.b64data),
        presence=_value(override.presence),
        join_leave=_value(override.join_leave),
        force_push_join_leave=_value(override.force_push_join_leave),
        recover=_value(override.force_recovery),
        positioned=_value(override.force_positioning),
    )


def _value(flag: _Flag | None) -> bool | None:
    return None if flag is None else flag.value


def _channel(name: str) -> str:
    try:
        channel_bytes(name)
    except InvalidInput as error:
        raise TokenInvalid(f"this token names a channel that cannot be: {error}") from None
    return name


def _json(claim: str, raw: Raw, packed: str | None = None) -> bytes | None:
    """A JSON text without white space; None for null. Raises TokenInvalid.

    It is read whole: a frame must not break because of what a token carries. The packed form is
    base64, and wins.
    """
    try:
        text = bytes(raw) if packed is None else b64decode(packed, validate=True)
        if msgspec.json.decode(text) is None:
            return None
        return msgspec.json.format(text, indent=-1)
    except (ValueError, RecursionError):
        raise TokenInvalid(f"the claim {claim} must hold JSON") from None

"""``realtime token``: make a token for development, and see what is in one.

The token goes to stdout alone, so that ``TOKEN=$(realtime token …)`` works; what is said about
it goes to stderr. A production system makes its tokens where it knows its users.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from realtime.access import Access, parse_scope
from realtime.commands import CommandError, expiry, settings_of
from realtime.settings.tokens import TokenSettings
from realtime.tokens import ConnectionToken, SubscriptionToken, TokenError, TokenInvalid, Tokens
from realtime.tokens.signed import MAX_TOKEN, sign, take_apart

__all__ = ["create", "inspect"]

REFUSED = 1


def create(parsed: argparse.Namespace) -> int:
    """Sign a token and print it."""
    settings = settings_of(parsed)
    if parsed.user is None:
        raise CommandError("name the user: --user 42, or --user '' for somebody without a name")
    key = Tokens.of(settings).secret
    if key is None or not isinstance(key.material, bytes):
        raise CommandError(
            "this signs with a secret: name one with --token-hmac-secret-file, or in the settings"
        )
    claims = _claims(parsed, settings)
    token = sign(claims, key.material)
    _check(token, settings)
    print(token)
    if len(key.material) < 32:
        print("This secret is short: outside of development use 32 random bytes.", file=sys.stderr)
    return 0


def inspect(parsed: argparse.Namespace) -> int:
    """Show the token on stdin, and whether a service with these settings would take it."""
    text = sys.stdin.read(MAX_TOKEN + 1024).strip()
    try:
        token = take_apart(text)
    except TokenInvalid as error:
        print(f"not taken: {error}")
        return REFUSED
    named = ascii(token.kid) if token.kid else "not named"
    print(f"algorithm  {token.algorithm!a}")
    print(f"key        {named}")
    print(f"claims     {_shown(token.payload)}")
    tokens = Tokens.of(settings_of(parsed))
    if not tokens.configured:
        print("not taken: no key of tokens is configured")
        return REFUSED
    try:
        print(f"taken      {asyncio.run(_taken(tokens, text))}")
    except TokenError as error:
        print(f"not taken: {error}")
        return REFUSED
    print("Whether it was revoked, the service alone knows.", file=sys.stderr)
    return 0


def _claims(parsed: argparse.Namespace, settings: TokenSettings) -> dict[str, object]:
    now = datetime.now(UTC)
    claims: dict[str, object] = {
        "sub": parsed.user,
        "iat": int(now.timestamp()),
        "jti": str(uuid4()),
    }
    if parsed.expires != "never":
        claims["exp"] = math.ceil(expiry(parsed.expires, now).timestamp())
    given = {
        "aud": settings.token_audience,
        "iss": settings.token_issuer,
        "channel": parsed.channel,
        "channels": _listed(parsed.channels),
        "scopes": _scopes(parsed.scopes),
        "info": _json("--info", parsed.info),
        "meta": _json("--meta", parsed.meta),
    }
    return claims | {name: value for name, value in given.items() if value is not None}


def _listed(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def _scopes(scopes: list[str] | None) -> list[str] | None:
    try:
        for scope in scopes or ():
            parse_scope(scope)
    except ValueError as error:
        raise CommandError(str(error)) from None
    return scopes


def _json(flag: str, text: str | None) -> object:
    if text is None:
        return None
    try:
        return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(text)))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CommandError(f'{flag} takes JSON, like \'{{"name": "Ada"}}\': {error}') from None


def _check(token: str, settings: TokenSettings) -> None:
    """Nothing is printed that the service would refuse."""
    try:
        _read(Tokens.of(settings), token)
    except TokenError as error:
        raise CommandError(str(error)) from None


async def _taken(tokens: Tokens, text: str) -> str:
    """What it is taken for. Raises TokenError."""
    await tokens.load()
    token = _read(tokens, text)
    who = f"user {token.user!a}" if token.user else "somebody without a name"
    what = f" to channel {token.channel!a}" if isinstance(token, SubscriptionToken) else ""
    return f"for {who}{what}, {_until(token.expires)}"


def _read(tokens: Tokens, text: str) -> ConnectionToken | SubscriptionToken:
    if tokens.claims(text).channel is not None:
        return tokens.subscription(text)
    token = tokens.connection(text)
    Access(None, tokens=tokens).principal_of(token)  # there the scopes are read
    return token


def _until(expires: float) -> str:
    if math.isinf(expires):
        return "for ever"
    try:
        return f"until {datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError):
        return f"until {expires:.0f} s after 1970"


def _shown(payload: str) -> str:
    """As JSON on several lines, and nothing in it that a terminal would obey."""
    try:
        return json.dumps(json.loads(payload), indent=2)
    except (ValueError, RecursionError):
        return ascii(payload)

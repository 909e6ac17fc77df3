"""Tokens: who somebody is, by the word of whoever signed it.

The application that knows its users signs a JSON Web Token for each; we verify it and keep no
record of it. That is pure computation, 20 to 150 µs, and nothing in it waits: files and URLs
of keys are read elsewhere (`files`, `jwks`).

The checks, in this order: form and bounds; the signature, by a key whose own kind decides the
algorithm; issuer and audience; ``nbf`` and ``exp``, without any leeway; revocation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from realtime.options import SettingsError
from realtime.settings.tokens import TokenSettings
from realtime.tokens.claims import (
    Claims,
    ConnectionToken,
    SubscriptionToken,
    connection_token,
    decode,
    subscription_token,
)
from realtime.tokens.errors import TokenExpired, TokenInvalid
from realtime.tokens.files import KeysInFile
from realtime.tokens.jwks import WebKeys, web_keys
from realtime.tokens.keys import Key, KeyFault, public_key, secret_key
from realtime.tokens.signed import Signed, take_apart

__all__ = ["NO_TOKENS", "Expected", "Keys", "Revoked", "Tokens"]

Revoked = Callable[[str, str, float], bool]
"""Called as (user, jti, issued at); whether such a token is revoked."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What every token must say; None: it may say anything."""

    audience: str | None = None
    issuer: str | None = None


class Keys:
    """Everything that signatures are verified with."""

    def __init__(
        self,
        *,
        secret: Key | KeysInFile[Key] | None = None,
        public: KeysInFile[Key] | None = None,
        web: WebKeys | None = None,
    ) -> None:
        self._secret = secret
        self._public = public
        self.web = web
        self.files = [file for file in (secret, public) if isinstance(file, KeysInFile)]

    def __bool__(self) -> bool:
        """Whether there can be any key at all."""
        return not (self._secret is None and self._public is None and self.web is None)

    @property
    def secret(self) -> Key | None:
        """What HMACs are made with."""
        return self._secret.value if isinstance(self._secret, KeysInFile) else self._secret

    def verify(self, token: Signed) -> bool:
        """Whether one of the keys signed it. Raises TokenKeysUnavailable."""
        for key in (self.secret, None if self._public is None else self._public.value):
            if key is not None and _verifies(key, token):
                return True
        if self.web is None or token.algorithm.startswith("HS"):
            return False
        found = self.web.find(token.kid, token.algorithm)
        return found is not None and _verifies(found, token)


class Tokens:
    """Verifies tokens; configured once, and told of changes by ``refresh`` and ``run``."""

    def __init__(
        self,
        keys: Keys,
        expected: Expected = Expected(),
        *,
        admin: bool = False,
        now: Callable[[], float] = time.time,
        revoked: Revoked = lambda user, jti, issued_at: False,
    ) -> None:
        """``now`` answers seconds since 1970; ``admin``: scopes may reach the feature admin."""
        self.configured = bool(keys)
        self.admin = admin
        self.revoked = revoked
        self._keys = keys
        self._expected = expected
        self._now = now

    @classmethod
    def of(
        cls, settings: TokenSettings, revoked: Revoked = lambda user, jti, issued_at: False
    ) -> Tokens:
        """As the settings say. Raises SettingsError for a file that holds no such key."""
        return cls(
            _keys(settings),
            Expected(settings.token_audience, settings.token_issuer),
            admin=settings.token_admin,
            revoked=revoked,
        )

    @property
    def secret(self) -> Key | None:
        """The key that `sign` may use, too."""
        return self._keys.secret

    def connection(self, text: str) -> ConnectionToken:
        """Who connects with this token. Raises TokenError."""
        return connection_token(self.claims(text))

    def subscription(self, text: str) -> SubscriptionToken:
        """What this token lets its holder subscribe to. Raises TokenError."""
        return subscription_token(self.claims(text))

    def claims(self, text: str) -> Claims:
        """What a token of either kind says, every check passed. Raises TokenError."""
        token = take_apart(text)
        if not self._keys.verify(token):
            raise TokenInvalid("this token was not signed by a key that is known here")
        claims = decode(token.payload)
        self._check(claims)
        return claims

    def refresh(self) -> None:
        """Look whether files of keys changed; one system call for each."""
        for file in self._keys.files:
            file.refresh()
        if self._keys.web is not None:
            self._keys.web.refresh()

    async def load(self) -> None:
        """Fetch what is behind a URL, once; for programs that do not wait for ``run``."""
        if self._keys.web is not None:
            await self._keys.web.load()

    async def run(self) -> None:
        """Fetch what is behind a URL, until cancelled."""
        if self._keys.web is not None:
            await self._keys.web.run()

    def _check(self, claims: Claims) -> None:
        expected, now = self._expected, self._now()
        if expected.issuer is not None and claims.iss != expected.issuer:
            raise TokenInvalid("this token is from another issuer (iss)")
        if expected.audience is not None and expected.audience not in claims.audiences:
            raise TokenInvalid("this token is for another audience (aud)")
        if claims.nbf is not None and now < claims.nbf:
            raise TokenInvalid("this token is not valid yet (nbf)")
        if claims.exp is not None and now >= claims.exp:
            raise TokenExpired("this token has expired (exp)")
        if self.revoked(claims.sub or "", claims.jti or "", claims.iat or 0.0):
            raise TokenInvalid("this token was revoked")


NO_TOKENS = Tokens(Keys())
"""Takes none."""


def _verifies(key: Key, token: Signed) -> bool:
    return key.verifies(token.algorithm, token.signed, token.signature)


def _secret_text(content: bytes) -> Key:
    return secret_key(content.strip())


def _keys(settings: TokenSettings) -> Keys:
    secret: Key | KeysInFile[Key] | None = None
    public: KeysInFile[Key] | None = None
    try:
        if settings.token_hmac_secret is not None:
            secret = secret_key(settings.token_hmac_secret.text.encode())
        elif settings.token_hmac_secret_file is not None:
            secret = KeysInFile(settings.token_hmac_secret_file, _secret_text)
        if settings.token_public_key_file is not None:
            public = KeysInFile(settings.token_public_key_file, public_key)
        source = settings.token_jwks
        web = None if source is None else web_keys(source, settings.token_jwks_refresh)
    except KeyFault as fault:
        raise SettingsError(f"keys of tokens: {fault}") from None
    return Keys(secret=secret, public=public, web=web)

"""Whoever signs tokens: keys of every family, and JWT texts made with PyJWT or by hand."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from realtime.settings.tokens import Secret
from realtime.tokens import Tokens
from realtime.tokens.keys import secret_key
from realtime.tokens.tokens import Expected, Keys, Revoked

__all__ = [
    "ALGORITHMS",
    "NOW",
    "SECRET",
    "Signer",
    "by_hand",
    "configured",
    "packed",
    "signer",
    "taking",
    "token",
]

NOW = 2_000_000_000.0
"""When the tests are, in seconds since 1970."""

SECRET = b"a secret that is long enough for the longest of the three hashes: 64 bytes"

ALGORITHMS = (
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip

ANYTHING = Expected()

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


@dataclass(frozen=True)
class Signer:
    """A private key, and the algorithm that it is used with."""

    algorithm: str
    private: Any
    kid: str = ""

    def sign(self, claims: dict[str, Any], **header: str) -> str:
        named = {"kid": self.kid} if self.kid else {}
        payload = json.dumps(claims).encode()
        return jwt.api_jws.encode(
            payload, self.private, self.algorithm, headers={**named, **header}
        )

    @property
    def pem(self) -> bytes:
        public = self.private.public_key()
        pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    @property
    def jwk(self) -> dict[str, Any]:
        algorithm: Any = get_default_algorithms()[self.algorithm]
        members: dict[str, Any] = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**members, "kid": self.kid, "use": "sig"}


@cache
def signer(algorithm: str, kid: str = "", nth: int = 0) -> Signer:
    """The ``nth`` key of its kind; RSA keys take long to make, so each is made once."""
    if algorithm.startswith("HS"):
        return Signer(algorithm, SECRET, kid)
    if algorithm.startswith(("RS", "PS")):
        return Signer(algorithm, _rsa(nth), kid)
    if algorithm == "EdDSA":
        return Signer(algorithm, ed25519.Ed25519PrivateKey.generate(), kid)
    return Signer(algorithm, ec.generate_private_key(CURVES[algorithm]), kid)


@cache
def _rsa(nth: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2048)


def taking(
    *,
    expected: Expected = ANYTHING,
    admin: bool = False,
    now: list[float] | None = None,
    revoked: Revoked = lambda user, jti, issued_at: False,
) -> Tokens:
    """What takes tokens of ``SECRET``, at the instant that ``now`` holds."""
    clock = [NOW] if now is None else now
    keys = Keys(secret=secret_key(SECRET))
    return Tokens(keys, expected, admin=admin, now=lambda: clock[0], revoked=revoked)


def configured(folder: Path, **settings: Any) -> Tokens:
    """As `Tokens.of`; bytes become files."""
    from realtime.settings import Settings

    given: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, bytes):
            (folder / name).write_bytes(value)
            value = folder / name
        given[name] = Secret(value) if name == "token_hmac_secret" else value
    return Tokens.of(Settings(**given))


def token(**claims: Any) -> str:
    """Signed with ``SECRET``."""
    return signer("HS256").sign(claims)


def by_hand(header: object, payload: object, signature: bytes = b"x") -> str:
    return ".".join(
        packed(part if isinstance(part, bytes) else json.dumps(part).encode())
        for part in (header, payload, signature)
    )


def packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

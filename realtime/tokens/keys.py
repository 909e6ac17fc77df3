"""Keys that verify signatures, and which algorithms each of them is for.

A token names its algorithm itself, and believing it is the classic mistake: whoever is asked
to check an HMAC with the text of a *public* key can be told anything. So here it is the key
that decides. Each belongs to one family, by what it is made of,

    secret        HS256 HS384 HS512
    RSA           RS256 RS384 RS512 PS256 PS384 PS512     2048 to 8192 bits
    EC            ES256 (P-256), ES384 (P-384), ES512 (P-521)
    Ed25519       EdDSA, and Ed25519, its name by RFC 9864

and a token that names another algorithm is refused before anything is computed. ``none`` is
in no family. A key of a set may be narrowed further, by its own ``alg``.

A `KeySet` is a JWK Set (RFC 7517), indexed by (kid, algorithm): finding a key is O(1),
however many there are. Keys that cannot verify, or are none of these, are left out, secrets
too: a set is made to be published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import Algorithm, get_default_algorithms

__all__ = ["MAX_SET", "Key", "KeyFault", "KeySet", "public_key", "secret_key"]

MAX_SET = 256 * 1024
"""Bytes of a JWK Set. Those of large providers hold a dozen keys in less than 10 KiB."""
MAX_KEYS = 100
MAX_KID = 256
"""Characters."""

RSA_BITS = range(2048, 8193)
"""Shorter ones can be factored soon, by NIST SP 800-131A; longer ones take long to check."""

_ALGORITHMS: Final = get_default_algorithms()
_HMAC = ("HS256", "HS384", "HS512")
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: tuple[tuple[type, str], ...] = (
    (SECP256R1, "ES256"),
    (SECP384R1, "ES384"),
    (SECP521R1, "ES512"),
)
_PUBLIC_MEMBERS = ("kty", "crv", "n", "e", "x", "y")
"""Of a JWK; a private key that was put into a set by mistake is read as its public half."""
_BY_TYPE = {"RSA": "RS256", "OKP": "EdDSA"}
_BY_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class KeyFault(ValueError):
    """This is no key, or none that tokens can be verified with; says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """Something to verify signatures with."""

    algorithms: Mapping[str, Algorithm]
    """Those it may be used with, by their names in a token."""
    material: PublicKey | bytes = field(repr=False)
    kid: str = ""

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether it has signed this. False for an algorithm that is not its own."""
        known = self.algorithms.get(algorithm)
        return known is not None and known.verify(signed, self.material, signature)


def secret_key(secret: bytes) -> Key:
    """A key for HMAC. Raises KeyFault for an empty text, and for one that is a public key."""
    try:
        material = _ALGORITHMS["HS256"].prepare_key(secret)
    except jwt.PyJWTError as error:
        raise KeyFault(str(error)) from None
    return Key({name: _ALGORITHMS[name] for name in _HMAC}, material)


def public_key(pem: bytes) -> Key:
    """The public key in a PEM text. Raises KeyFault."""
    try:
        return _public(load_pem_public_key(pem))
    except (ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, KeyFault):
            raise
        raise KeyFault("is no public key in PEM (-----BEGIN PUBLIC KEY-----)") from None


def _public(material: object, kid: str = "", only: str | None = None) -> Key:
    if isinstance(material, RSAPublicKey):
        if material.key_size not in RSA_BITS:
            raise KeyFault(f"an RSA key here has {RSA_BITS[0]} to {RSA_BITS[-1]} bits")
        return _narrowed(_RSA, material, kid, only)
    if isinstance(material, EllipticCurvePublicKey):
        names = [name for curve, name in _CURVES if isinstance(material.curve, curve)]
        if not names:
            raise KeyFault("an elliptic curve here is P-256, P-384 or P-521")
        return _narrowed(names, material, kid, only)
    if isinstance(material, Ed25519PublicKey):
        return _narrowed(("EdDSA", "Ed25519"), material, kid, only)
    raise KeyFault("a public key here is RSA, EC or Ed25519")


def _narrowed(names: Iterable[str], material: PublicKey, kid: str, only: str | None) -> Key:
    algorithms = {
        name: _ALGORITHMS["EdDSA" if name == "Ed25519" else name]
        for name in names
        if only is None or name == only
    }
    if not algorithms:
        raise KeyFault("this key says that it is for another algorithm")
    return Key(algorithms, material, kid)


class _Document(msgspec.Struct):
    keys: list[msgspec.Raw]


class _Jwk(msgspec.Struct):
    """What we look at of a JSON Web Key."""

    kty: str
    kid: str = ""
    use: str = "sig"
    alg: str | None = None
    key_ops: tuple[str, ...] = ("verify",)
    crv: str | None = None
    n: str | None = None
    e: str | None = None
    x: str | None = None
    y: str | None = None


_decode_document = msgspec.json.Decoder(_Document).decode
_decode_jwk = msgspec.json.Decoder(_Jwk).decode


class KeySet:
    """The keys of a JWK Set, as it was read."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._by_kid: dict[tuple[str, str], Key] = {}
        self._kids: set[str] = set()
        self._by_algorithm: dict[str, list[Key]] = {}
        for key in keys:
            self._kids.add(key.kid)
            for name in key.algorithms:
                self._by_kid.setdefault((key.kid, name), key)
                self._by_algorithm.setdefault(name, []).append(key)

    @classmethod
    def parse(cls, text: bytes) -> KeySet:
        """Read a JWK Set. Raises KeyFault if it is none, or has no key for tokens."""
        if len(text) > MAX_SET:
            raise KeyFault(f"a JWK Set here has at most {MAX_SET} bytes")
        try:
            found = _decode_document(text).keys
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise KeyFault(f"is no JWK Set: {error}") from None
        if len(found) > MAX_KEYS:
            raise KeyFault(f"a JWK Set here has at most {MAX_KEYS} keys, not {len(found)}")
        keys = [key for raw in found if (key := _usable(raw)) is not None]
        if not keys:
            raise KeyFault("no key of this JWK Set is one to verify tokens with")
        return cls(keys)

    def __len__(self) -> int:
        """How many key ids there are."""
        return len(self._kids)

    def __contains__(self, kid: str) -> bool:
        return kid in self._kids

    def find(self, kid: str, algorithm: str) -> Key | None:
        """The key of that id, for that algorithm. O(1).

        A token that names no key is verified with the only key for its algorithm; where there
        are several, trying them all would let a stranger make us work for each.
        """
        if kid:
            return self._by_kid.get((kid, algorithm))
        only = self._by_algorithm.get(algorithm, [])
        return only[0] if len(only) == 1 else None


def _usable(raw: msgspec.Raw) -> Key | None:
    """The key in a member of a set; None if it is not for us."""
    try:
        jwk = _decode_jwk(raw)
        if jwk.use != "sig" or "verify" not in jwk.key_ops or len(jwk.kid) > MAX_KID:
            return None
        name = _BY_CURVE.get(jwk.crv or "") if jwk.kty == "EC" else _BY_TYPE.get(jwk.kty)
        if name is None:
            return None
        given = {member: getattr(jwk, member) for member in _PUBLIC_MEMBERS}
        present = {member: text for member, text in given.items() if text is not None}
        return _public(_ALGORITHMS[name].from_jwk(present), jwk.kid, jwk.alg)
    except (ValueError, RecursionError, jwt.PyJWTError, UnsupportedAlgorithm):
        return None  # msgspec's errors and KeyFault are ValueErrors, too

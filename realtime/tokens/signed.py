"""JSON Web Signatures in the compact form (RFC 7515): three texts parted by dots.

    base64url(header) . base64url(payload) . base64url(signature)

Taking one apart says nothing of whether it is true; `Tokens` asks a key. What is strange is
refused here, before any key is looked at: white space and padding in the texts, headers that
are long, and the header ``crit``, which demands something that we do not do.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from realtime.tokens.errors import TokenInvalid
from realtime.tokens.keys import MAX_KID, secret_key

__all__ = ["MAX_TOKEN", "Signed", "sign", "take_apart"]

MAX_TOKEN = 8 * 1024
"""Characters. It travels in a header, whose bound is a few times that."""
MAX_HEADER = 1024
"""Characters of base64; it holds a few short texts."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_header = msgspec.json.Decoder(_Header).decode


class Signed(NamedTuple):
    """A token taken apart. Nothing of it is proved."""

    algorithm: str
    kid: str
    signed: bytes
    """What the signature is over."""
    signature: bytes
    payload: str


def take_apart(text: str) -> Signed:
    """O(length). Raises TokenInvalid."""
    if len(text) > MAX_TOKEN:
        raise TokenInvalid(f"a token has at most {MAX_TOKEN} characters")
    if _COMPACT.fullmatch(text) is None:
        raise TokenInvalid("this is no token: three texts of base64url, parted by dots")
    head, payload, signature = text.split(".")
    header = _header(head)
    try:
        return Signed(
            header.alg,
            header.kid,
            text[: len(head) + 1 + len(payload)].encode(),
            _unpacked(signature),
            _unpacked(payload).decode(),
        )
    except ValueError:
        raise TokenInvalid("the payload or the signature of this token is garbage") from None


def sign(claims: Mapping[str, object] | bytes, secret: bytes, algorithm: str = "HS256") -> str:
    """A token with these claims, for development and tests. Raises KeyFault."""
    key = secret_key(secret)
    payload = claims if isinstance(claims, bytes) else msgspec.json.encode(claims)
    header = msgspec.json.encode({"alg": algorithm, "typ": "JWT"})
    signed = _packed(header) + b"." + _packed(payload)
    signature = key.algorithms[algorithm].sign(signed, key.material)
    return (signed + b"." + _packed(signature)).decode()


def _header(text: str) -> _Header:
    if len(text) > MAX_HEADER:
        raise TokenInvalid(f"the header of a token has at most {MAX_HEADER} characters")
    try:
        header = _decode_header(_unpacked(text).decode())
    except (ValueError, RecursionError):
        raise TokenInvalid("the header of this token is garbage") from None
    if header.crit is not msgspec.UNSET:
        raise TokenInvalid("this token demands an extension (crit) that is not known here")
    if len(header.kid) > MAX_KID:
        raise TokenInvalid(f"the name of a key (kid) has at most {MAX_KID} characters")
    return header


def _unpacked(text: str) -> bytes:
    """Raises ValueError for a length that base64 cannot have."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _packed(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")

"""Signatures of webhooks, as the Standard Webhooks specification has them (version 1.0.0).

A secret is shared by both sides and written ``whsec_`` and base64. What is signed is the id of
the message, the second in which it was sent and its body, so that nobody can send an old one
again much later, or another one under its name:

    webhook-id: left_5f6e…
    webhook-timestamp: 1700000000
    webhook-signature: v1,base64(HMAC-SHA256(secret, id "." timestamp "." body))

While a secret is being replaced there are two, and a signature for each, parted by a space.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

__all__ = ["PREFIX", "parse_secrets", "signed"]

PREFIX = "whsec_"

SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, by the specification."""


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets of a text that has them parted by white space, or commas.

    Raises ValueError; what it says never holds any of the text.
    """
    words = text.replace(",", " ").split()
    if not words:
        raise ValueError("there is no secret")
    return tuple(_secret(word) for word in words)


def _secret(word: str) -> bytes:
    try:
        secret = base64.b64decode(word.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not (word.startswith(PREFIX) and SHORTEST <= len(secret) <= LONGEST):
        raise ValueError(
            f"a secret is {PREFIX} and {SHORTEST} to {LONGEST} random bytes in base64: "
            f'echo "{PREFIX}$(openssl rand -base64 32)"'
        )
    return secret


def signed(secrets: Sequence[bytes], message: str, now: int, body: bytes) -> dict[str, str]:
    """The header fields for a message that is sent in the second ``now``; O(body) per secret."""
    fields = {"webhook-id": message, "webhook-timestamp": str(now)}
    if secrets:
        content = f"{message}.{now}.".encode() + body
        fields["webhook-signature"] = " ".join(_signature(secret, content) for secret in secrets)
    return fields


def _signature(secret: bytes, content: bytes) -> str:
    digest = hmac.new(secret, content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()

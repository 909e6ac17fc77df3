"""The settings of tokens: whose signatures are believed, and what they may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from realtime.options import Kind, SettingsError, number, option, path, switch, text
from realtime.origins import is_local_host
from realtime.settings.groups import DAY, TOKENS

__all__ = ["Secret", "TokenSettings", "check_tokens"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that is never shown: not in a repr, not in a log, not in an error."""

    text: str = field(repr=False)


def _secret() -> Kind:
    def read(given: object) -> Secret:
        if not isinstance(given, str) or not given:
            # Not a ValueError: its sentence would quote what was given.
            raise SettingsError("it must be a text that is not empty")
        return Secret(given)

    return Kind("TEXT", "a text that is not empty", read)


def _check_source(source: str) -> None:
    """Raises SettingsError for a URL at which anybody could put keys."""
    if "://" not in source:
        return
    try:
        parts = urlsplit(source)
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        raise SettingsError("write a path, or a URL like https://login.example.com/jwks.json")
    if parts.scheme == "http" and not is_local_host(parts.netloc):
        raise SettingsError("keys that come over http:// could be anybody's: use https://")


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """See `realtime.settings.service.Settings`. Without slots: only one of its bases has any."""

    token_hmac_secret: Secret | None = option(
        None,
        _secret(),
        TOKENS,
        "The secret of tokens signed by HS256, HS384 or HS512. Everybody on the machine can read a "
        "flag: better name a file.",
    )
    token_hmac_secret_file: Path | None = option(
        None, path(), TOKENS, "Where that secret is; white space around it does not count."
    )
    token_public_key_file: Path | None = option(
        None,
        path(),
        TOKENS,
        "The public key, in PEM, of tokens signed by RS…, PS… (RSA), ES… (EC) or EdDSA (Ed25519).",
    )
    token_jwks: str | None = option(
        None,
        text("PATH|URL", _check_source),
        TOKENS,
        "A JWK Set of such public keys: a file, or an https:// URL.",
    )
    token_jwks_refresh: float = option(
        300.0,
        number(1, DAY),
        TOKENS,
        "The time between two fetches of that URL; a token with an unknown key causes one, too.",
    )
    token_audience: str | None = option(
        None, text("NAME"), TOKENS, "What the claim aud must be, or hold."
    )
    token_issuer: str | None = option(None, text("NAME"), TOKENS, "What the claim iss must be.")
    token_grace: float = option(
        25.0,
        number(0, 3600),
        TOKENS,
        "How long after its end a token may still be replaced, before a connection is closed.",
    )
    token_admin: bool = option(
        False, switch(), TOKENS, "Whether the claim scopes may grant the feature admin."
    )


def check_tokens(settings: TokenSettings) -> None:
    """Refuse settings that contradict each other. Raises SettingsError."""
    if settings.token_hmac_secret is not None and settings.token_hmac_secret_file is not None:
        raise SettingsError("give the secret by token_hmac_secret or in a file, not both")

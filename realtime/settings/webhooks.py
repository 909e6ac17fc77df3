"""The settings of webhooks: who is told what has happened, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from realtime.options import Kind, SettingsError, number, option, path, text
from realtime.settings.groups import DAY, WEBHOOKS, YEARS
from realtime.settings.tokens import Secret
from realtime.webhooks.signature import parse_secrets

__all__ = ["WebhookSettings", "check_webhooks"]


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_whole = is_whole and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise SettingsError("write it as https://host/path")  # the URL may hold a secret


def _secrets() -> Kind:
    def read(given: object) -> Secret:
        try:
            parse_secrets(given if isinstance(given, str) else "")
        except ValueError as error:
            raise SettingsError(str(error)) from None
        return Secret(str(given))

    return Kind("SECRET", "a secret", read)


@dataclass(frozen=True, kw_only=True)
class WebhookSettings:
    """See `realtime.settings.service.Settings`. Without slots: only one of its bases has any."""

    webhook_url: str | None = option(
        None,
        text("URL", _check_url),
        WEBHOOKS,
        "Where it is said that a user has left, or a season has ended: see docs/webhooks.md.",
    )
    webhook_secret: Secret | None = option(
        None,
        _secrets(),
        WEBHOOKS,
        "What webhooks are signed with: whsec_ and base64; two while one replaces the other. "
        "Better given by the variable or a file than by a flag, which everybody can read.",
    )
    webhook_secret_file: Path | None = option(
        None, path(), WEBHOOKS, "A file that holds it, instead; read at the start."
    )
    webhook_debounce: float = option(
        10.0,
        number(0, DAY),
        WEBHOOKS,
        "A user who is back within this time has not left.",
    )
    webhook_timeout: float = option(
        10.0, number(0.1, 300), WEBHOOKS, "How long the receiver may take to answer."
    )
    webhook_max_age: float = option(
        DAY,
        number(1, YEARS),
        WEBHOOKS,
        "For how long it is tried to tell; what is older is given up, and the log says so.",
    )

    @property
    def webhook_secrets(self) -> tuple[bytes, ...]:
        """What webhooks are signed with; nothing if no secret is given. Raises SettingsError."""
        if self.webhook_secret_file is None:
            return () if self.webhook_secret is None else parse_secrets(self.webhook_secret.text)
        try:
            return parse_secrets(self.webhook_secret_file.read_text())
        except OSError as error:
            raise SettingsError(f"webhook_secret_file: {error.strerror}") from None
        except ValueError as error:
            raise SettingsError(f"webhook_secret_file: {error}") from None


def check_webhooks(settings: WebhookSettings) -> None:
    """Refuse settings of webhooks that contradict each other. Raises SettingsError."""
    if settings.webhook_secret is not None and settings.webhook_secret_file is not None:
        raise SettingsError("webhook_secret and webhook_secret_file: give one of them")

"""Every setting of the service, declared once; see `realtime.options` for what follows from that.

Times are seconds, sizes are bytes. The defaults suit a developer's machine: loopback only,
and data in a folder beside the program.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from realtime.backends.redis.address import AddressError, parse
from realtime.journal.durability import DEFAULT as DEFAULT_DURABILITY
from realtime.journal.durability import SNAPSHOT, Durability
from realtime.journal.durability import parse as parse_durability
from realtime.options import (
    Option,
    SettingsError,
    number,
    one_of,
    option,
    options_of,
    path,
    read_file,
    refuse_unknown,
    resolve,
    text,
    variable,
    whole,
)
from realtime.settings.channels import ChannelSettings, check_channels
from realtime.settings.groups import (
    ACCESS,
    BOUNDS,
    DATA,
    DAY,
    FEATURES,
    GROUPS,
    KIB,
    MIB,
    RUNNING,
    STORE,
    WHERE,
    YEARS,
)
from realtime.settings.tokens import TokenSettings, check_tokens
from realtime.settings.webhooks import WebhookSettings, check_webhooks

__all__ = ["CONFIG", "CONFIG_FILE", "MEMORY", "OPTIONS", "Settings", "SettingsError", "load"]

CONFIG = "config"
"""Not a setting but the way to some: `--config PATH` or REALTIME_CONFIG."""
CONFIG_FILE = "realtime.toml"

MEMORY: Final = "memory://"


def _check_store(store: str) -> None:
    if store != MEMORY:
        try:
            parse(store)
        except AddressError as error:
            raise SettingsError(str(error)) from None


def _check_durability(level: str) -> None:
    try:
        parse_durability(level)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _check_credentials(name: str) -> None:
    module, colon, function = name.partition(":")
    if not (colon and module and function.isidentifier()):
        raise SettingsError("write it as package.module:function")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ChannelSettings, TokenSettings, WebhookSettings):
    """What the service was told. Built by `load`; a test may name only what it cares about."""

    host: str = option(
        "127.0.0.1",
        text("ADDRESS"),
        WHERE,
        "The address. Any but loopback needs an API key first: `realtime keys create`.",
    )
    port: int = option(8080, whole(0, 65_535), WHERE, "The TCP port; 0 takes a free one.")

    data: Path | None = option(
        Path("realtime-data"),
        path("DIR"),
        DATA,
        "Where snapshots and API keys are kept; an empty text keeps everything in memory only.",
    )
    store: str = option(
        MEMORY,
        text("URL", _check_store),
        DATA,
        "What holds the data: this process, or a Redis or Valkey that several share: redis://…, "
        "rediss://…, redis+unix://…, redis+sentinel://…/name, redis+cluster://…",
    )
    durability: str | None = option(
        None,
        text("LEVEL", _check_durability),
        DATA,
        "What an answer promises: always (it is on disk), bounded:<ms> (it is written, and on "
        "disk within that time) or snapshot (it is in the next snapshot); with a data directory "
        f"{DEFAULT_DURABILITY}, if not said otherwise.",
    )
    snapshot_interval: float = option(
        60.0,
        number(0, DAY),
        DATA,
        "With --durability snapshot, the time between two if anything changed; 0: only at exit.",
    )
    compaction_ratio: float = option(
        1.0,
        number(0, 1000, "RATIO"),
        DATA,
        "The journal is written anew when what it has grown by is this many times what it began "
        "with; 0: never.",
    )
    compaction_floor: int = option(
        64 * MIB,
        whole(0, 1024 * 1024 * MIB, "BYTES"),
        DATA,
        "But not while it has grown by less than this.",
    )
    backup_interval: float = option(
        0.0,
        number(0, YEARS),
        DATA,
        "Time between two backups in the data directory; 0: only when asked for.",
    )
    backup_keep: int = option(
        7, whole(1, 10_000), DATA, "Backups that are kept; the oldest make room for a new one."
    )
    backup_max_age: float = option(
        30 * DAY,
        number(0, YEARS),
        DATA,
        "How long a backup is kept, but for the newest; 0: for ever.",
    )

    store_timeout: float = option(
        1.0, number(0.01, 60), STORE, "The longest that anything waits for an answer of the store."
    )
    store_wait: int = option(
        0,
        whole(0, 100),
        STORE,
        "Replicas that must have a write before it is answered; 0: the master's word is enough.",
    )
    store_ca_file: Path | None = option(
        None, path(), STORE, "Who may sign the store's certificate; by default, as the system says."
    )
    store_cert_file: Path | None = option(
        None, path(), STORE, "Our own certificate, if the store wants to see one."
    )
    store_key_file: Path | None = option(None, path(), STORE, "The key to that certificate.")
    store_credentials: str | None = option(
        None,
        text("MODULE:FUNCTION", _check_credentials),
        STORE,
        "A Python function that answers user and password at every connection, for tokens that "
        "expire; instead of those in the URL.",
    )
    presence_ttl: float = option(
        60.0,
        number(1, 3600),
        STORE,
        "How long the clients of a process that died are shown as present.",
    )

    keys_file: Path | None = option(
        None, path(), ACCESS, "Where the API keys are; by default keys.json in the data directory."
    )
    max_body: int = option(
        MIB, whole(1, 1024 * MIB, "BYTES"), BOUNDS, "The largest body of a request."
    )
    max_header_bytes: int = option(
        32 * KIB, whole(KIB, MIB, "BYTES"), BOUNDS, "The largest head of a request."
    )
    header_timeout: float = option(
        10.0, number(0.1, 3600), BOUNDS, "How long the head of a request may take to arrive."
    )
    request_timeout: float = option(
        30.0, number(0.1, 3600), BOUNDS, "How long a whole request may take to arrive."
    )
    max_connections: int = option(
        50_000, whole(1, 10_000_000), BOUNDS, "Connections at once; one more is turned away."
    )
    leaderboard_live_interval: float = option(
        0.1, number(0.01, 60), FEATURES, "The least time between two updates of a live leaderboard."
    )
    session_idle_timeout: float = option(
        1800.0,
        number(1, YEARS),
        FEATURES,
        "How long a session lives unused, if not said otherwise.",
    )
    session_absolute_timeout: float = option(
        28_800.0, number(1, YEARS), FEATURES, "How long a session lives at most, likewise."
    )
    idempotency_ttl: float = option(
        DAY, number(1, YEARS), FEATURES, "How long the answer under an Idempotency-Key is kept."
    )
    limit_max_keys: int = option(
        10_000_000,
        whole(1, 1_000_000_000),
        FEATURES,
        "Callers that rate limits of an embedded store remember at once. Nobody is forgotten "
        "before everything is given back to him, so one more is refused until then.",
    )

    log_level: str = option(
        "info", one_of("debug", "info", "warning", "error"), RUNNING, "What is worth a line."
    )
    log_format: str = option(
        "text", one_of("text", "json"), RUNNING, "Lines for people, or JSON for machines."
    )
    shutdown_timeout: int = option(
        30, whole(0, 3600, "SECONDS"), RUNNING, "How long SIGTERM lets open requests finish."
    )
    shutdown_spread: float = option(
        5.0,
        number(0, 3600),
        RUNNING,
        "Over how much of that WebSocket clients are sent away, so that they do not all come back "
        "at once.",
    )

    @property
    def is_embedded(self) -> bool:
        """Whether this process holds the data itself."""
        return self.store == MEMORY

    @property
    def promise(self) -> Durability:
        """What an answer promises, where this process holds the data."""
        if self.data is None:
            return SNAPSHOT
        return parse_durability(self.durability or DEFAULT_DURABILITY)

    @property
    def keys_path(self) -> Path | None:
        """The file of API keys; None if there can be none."""
        if self.keys_file is not None or self.data is None:
            return self.keys_file
        return self.data / "keys.json"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service. A name we do not know may be public."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


OPTIONS: Final[Mapping[str, Option]] = dict(
    sorted(options_of(Settings).items(), key=lambda item: GROUPS.index(item[1].group))
)


TABLES: Final = {
    "channels": "channels_table",
    "namespaces": "namespace_tables",
}
"""Tables of realtime.toml that are no options, and the fields they go to."""


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], folder: Path = Path()
) -> Settings:
    """The settings, from flags, variables and a file. Raises SettingsError.

    ``flags`` and ``environ`` may hold ``config``; without it, the file is realtime.toml in
    ``folder``, if that exists.
    """
    flags, environ = dict(flags), dict(environ)
    from_environ = environ.pop(variable(CONFIG), None)
    file = flags.pop(CONFIG, None) or from_environ
    in_folder = folder / CONFIG_FILE
    if file is None and in_folder.exists():
        file = in_folder
    keys = {} if file is None else read_file(Path(str(file)))
    refuse_unknown(f"setting, but {file} names it", keys, (*OPTIONS, *TABLES))
    tables = {field: keys.pop(table, {}) for table, field in TABLES.items()}
    values = resolve(OPTIONS, flags, environ, keys, str(file)) | tables
    settings = Settings(**values)  # type: ignore[arg-type]
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """Refuse settings that contradict each other."""
    check_channels(settings)
    if settings.store_key_file is not None and settings.store_cert_file is None:
        raise SettingsError("store_key_file is the key to a certificate: name store_cert_file, too")
    if settings.durability is not None and (settings.data is None or not settings.is_embedded):
        raise SettingsError(
            "durability is about the data directory of memory://: name one with data, or let the "
            "store promise what it can (store_wait)"
        )
    check_tokens(settings)
    check_webhooks(settings)
    for shorter, longer in (
        ("header_timeout", "request_timeout"),
        ("session_idle_timeout", "session_absolute_timeout"),
    ):
        if getattr(settings, shorter) > getattr(settings, longer):
            raise SettingsError(f"{shorter} must not be longer than {longer}")

"""The settings of channels, and of the connections that subscribe to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realtime.options import NAMES, SettingsError, number, option, switch, whole
from realtime.rate import Rate
from realtime.settings.groups import CHANNELS, KIB, MIB, YEARS
from realtime.settings.kinds import rate

if TYPE_CHECKING:
    from realtime.services.namespaces import Namespaces

__all__ = ["ChannelSettings", "check_channels"]


@dataclass(frozen=True, kw_only=True)
class ChannelSettings:
    """See `realtime.settings.service.Settings`."""

    allowed_origins: tuple[str, ...] = option(
        (),
        NAMES,
        CHANNELS,
        "Web origins that may open a WebSocket, like https://example.com; * allows all. "
        "Its own pages, and programs that send no Origin, always may.",
    )
    ws_message_bytes: int = option(
        64 * KIB,
        whole(KIB, 64 * MIB, "BYTES"),
        CHANNELS,
        "The largest WebSocket message of a client.",
    )
    ws_queue_bytes: int = option(
        MIB,
        whole(16 * KIB, 1024 * MIB, "BYTES"),
        CHANNELS,
        "What may wait for a slow WebSocket client before it is disconnected.",
    )
    ws_deflate: bool = option(
        False,
        switch(),
        CHANNELS,
        "Compress what is sent to WebSocket clients that offer it, once for all of them.",
    )
    ws_deflate_bytes: int = option(
        512,
        whole(0, MIB, "BYTES"),
        CHANNELS,
        "Frames shorter than this are sent as they are.",
    )
    ws_max_channels: int = option(
        128, whole(1, 100_000), CHANNELS, "Channels that one connection may be subscribed to."
    )
    ws_connect_timeout: float = option(
        10.0,
        number(0.1, 3600),
        CHANNELS,
        "How long a connection may take to say who it is, before it is closed.",
    )
    ws_ping_interval: float = option(
        25.0,
        number(0, 3600),
        CHANNELS,
        "Time between two pings of a connection; 0: no pings, and dead connections stay.",
    )
    ws_pong_timeout: float = option(
        8.0, number(0.1, 3600), CHANNELS, "How long a client may take to answer a ping."
    )
    ws_connection_rate: Rate | None = option(
        None,
        rate(),
        CHANNELS,
        "New connections that this process takes, like 500/1s; one more is answered 503. Without "
        "it, any number.",
    )
    ws_connections_per_user: int = option(
        0,
        whole(0, 1_000_000),
        CHANNELS,
        "Connections of one user at once, to this process; 0: any number.",
    )
    ws_command_rate: Rate | None = option(
        Rate(1000, 1.0),
        rate(),
        CHANNELS,
        "Commands of one connection: so many at once, and so many in that time. An empty text: any "
        "number.",
    )
    ws_byte_rate: Rate | None = option(
        None, rate(), CHANNELS, "Bytes of the commands of one connection, likewise."
    )
    ws_subscribe_rate: Rate | None = option(
        None,
        rate(),
        CHANNELS,
        "Subscribe commands of one connection, likewise; leave room for what it had when it comes "
        "back.",
    )
    ws_user_command_rate: Rate | None = option(
        None,
        rate(),
        CHANNELS,
        "Commands of one user, over all connections and processes. Each costs a step in the store.",
    )
    ws_user_byte_rate: Rate | None = option(
        None, rate(), CHANNELS, "Bytes of the commands of one user, likewise."
    )
    ws_patience: int = option(
        100,
        whole(1, 1_000_000),
        CHANNELS,
        "Commands in a row that are refused as too many before the connection is closed.",
    )
    channel_history_size: int = option(
        100, whole(0, 10_000), CHANNELS, "Messages a channel keeps; 0 keeps none."
    )
    channel_history_ttl: float = option(
        300.0, number(0, YEARS), CHANNELS, "How long a channel keeps a message; 0 keeps none."
    )
    rehearse: bool = option(
        True,
        switch(),
        CHANNELS,
        "Whether publishing is rehearsed between publications, so that the next one finds its way "
        "warm. Not on a shared store.",
    )
    personal_channels: bool = option(
        False,
        switch(),
        CHANNELS,
        "Whether every user is subscribed to a channel of their own, #user.",
    )
    strict_namespaces: bool = option(
        False,
        switch(),
        CHANNELS,
        "Whether there are only channels of the namespaces in realtime.toml, and no others.",
    )

    channels_table: Mapping[str, object] = field(default_factory=dict, hash=False)
    """The table ``[channels]`` of realtime.toml, as it was read."""
    namespace_tables: Mapping[str, object] = field(default_factory=dict, hash=False)
    """The tables ``[namespaces.NAME]``, likewise."""

    def namespaces(self) -> Namespaces:
        """What channels may do, by their names. Raises SettingsError."""
        from realtime.settings.namespaces import build  # it loads the engine

        return build(
            self.channels_table,
            self.namespace_tables,
            history_size=self.channel_history_size,
            history_ttl=self.channel_history_ttl,
            queue_bytes=self.ws_queue_bytes,
            strict=self.strict_namespaces,
        )


def check_channels(settings: ChannelSettings) -> None:
    """Refuse what contradicts itself. Raises SettingsError."""
    if (settings.channels_table, settings.namespace_tables) != ({}, {}):
        settings.namespaces()
    if 0 < settings.ws_ping_interval < settings.ws_pong_timeout:
        raise SettingsError("ws_pong_timeout must not be longer than ws_ping_interval")
    for name in ("ws_byte_rate", "ws_user_byte_rate"):
        of_bytes: Rate | None = getattr(settings, name)
        if of_bytes is not None and of_bytes.limit < settings.ws_message_bytes:
            raise SettingsError(f"{name} must let a message of ws_message_bytes pass at once")

"""The settings of channels, and of the connections that subscribe to them."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.options import NAMES, number, option, whole
from realtime.settings.groups import CHANNELS, KIB, MIB, YEARS

__all__ = ["ChannelSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
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
    channel_history_size: int = option(
        100, whole(0, 10_000), CHANNELS, "Messages a channel keeps; 0 keeps none."
    )
    channel_history_ttl: float = option(
        300.0, number(0, YEARS), CHANNELS, "How long a channel keeps a message; 0 keeps none."
    )

"""The headings under which `realtime serve --help` lists the settings, and the units of bounds."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACCESS",
    "BOUNDS",
    "CHANNELS",
    "DATA",
    "DAY",
    "FEATURES",
    "GROUPS",
    "KIB",
    "MIB",
    "RUNNING",
    "STORE",
    "TOKENS",
    "WEBHOOKS",
    "WHERE",
    "YEARS",
]

KIB: Final = 1024
MIB: Final = 1024 * KIB
DAY: Final = 86_400.0
YEARS: Final = 10 * 366 * DAY
"""What counts as for ever: longer is a slip of the pen."""

WHERE = "Where it listens"
DATA = "What it keeps"
STORE = "How it uses a store (not memory://)"
ACCESS = "Who may come in"
BOUNDS = "Bounds"
CHANNELS = "Channels and WebSocket"
TOKENS = "Tokens of users"
WEBHOOKS = "Webhooks"
FEATURES = "Features"
RUNNING = "Running"

GROUPS = (WHERE, DATA, STORE, ACCESS, TOKENS, BOUNDS, CHANNELS, WEBHOOKS, FEATURES, RUNNING)
"""In this order."""

"""Every setting of the service, declared once, by what it is about."""

from __future__ import annotations

from realtime.settings.service import (
    CONFIG,
    CONFIG_FILE,
    MEMORY,
    OPTIONS,
    Settings,
    SettingsError,
    load,
)

__all__ = ["CONFIG", "CONFIG_FILE", "MEMORY", "OPTIONS", "Settings", "SettingsError", "load"]

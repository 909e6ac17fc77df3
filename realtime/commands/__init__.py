"""What the command line can do, one module each, loaded only when it is asked for."""

from __future__ import annotations

import argparse
import os

from realtime.settings import CONFIG, OPTIONS, Settings, load

__all__ = ["CommandError", "settings_of"]


class CommandError(Exception):
    """One sentence for the person at the terminal; the command ends with exit code 2."""


def settings_of(parsed: argparse.Namespace) -> Settings:
    """The settings of a command whose flags are settings. Raises SettingsError."""
    flags = {
        name: ",".join(value) if isinstance(value, list) else value
        for name in (CONFIG, *OPTIONS)
        if (value := getattr(parsed, name, None)) is not None
    }
    return load(flags, os.environ)

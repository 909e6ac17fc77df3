"""``realtime import``: all that a snapshot holds into a data directory, or a store."""

from __future__ import annotations

import argparse

from realtime.commands.migrate import carry, of_settings
from realtime.transfer.places import File

__all__ = ["run"]


def run(parsed: argparse.Namespace) -> int:
    """Read the file, and compare."""
    settings, target = of_settings(parsed)
    return carry(File(parsed.file), target, settings, replace=parsed.replace)

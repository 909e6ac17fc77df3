"""``realtime export``: all that a stopped service, or a store, holds into one file."""

from __future__ import annotations

import argparse

from realtime.commands.migrate import carry, of_settings
from realtime.transfer.places import File

__all__ = ["run"]


def run(parsed: argparse.Namespace) -> int:
    """Write the file, and compare."""
    settings, source = of_settings(parsed)
    return carry(source, File(parsed.file), settings, replace=parsed.replace)

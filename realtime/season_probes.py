"""The figures of seasons and their archives, for metrics."""

from __future__ import annotations

from realtime.metrics import Probe
from realtime.services.season_care import SeasonFigures

__all__ = ["season_probes"]


def season_probes(figures: SeasonFigures) -> list[Probe]:
    """Those of this process; over all processes they add up, but for the one of lateness."""
    return [
        Probe("seasons_closed", "Seasons closed here.", lambda: figures.closed, counts=True),
        Probe("archives_packed", "Archives packed here.", lambda: figures.packed, counts=True),
        Probe("archives_deleted", "Archives deleted here.", lambda: figures.deleted, counts=True),
        Probe(
            "season_failures",
            "Times that a board could not be looked after; it is tried again.",
            lambda: figures.failures,
            counts=True,
        ),
        Probe(
            "archives_waiting",
            "Archives of boards that are looked after here, and wait to be packed.",
            lambda: sum(figures.unpacked.values()),
        ),
        Probe(
            "seasons_late_seconds",
            "For how long the board that is due longest has been waiting to be looked after.",
            lambda: figures.late,
        ),
    ]

"""A rate as people state it, in a setting or a namespace: so many within such a time."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Rate"]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` within ``per`` seconds, all of them at once if need be."""

    limit: int
    per: float

    def __str__(self) -> str:
        """As it is written in realtime.toml: ``50/1s``."""
        return f"{self.limit}/{self.per:.12g}s"

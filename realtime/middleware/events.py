"""What an app may be told about decisions, for its metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

__all__ = ["Observer", "Outcome"]

Outcome = Literal["allowed", "refused", "blocked", "would-refuse", "outage", "local"]
"""``blocked`` is a refusal that nobody had to be asked for, ``would-refuse`` what a shadow rule
would have done. An ``outage`` comes before what its rules make of it; ``local`` says that this
process decides alone, and comes before its decision."""

Observer = Callable[[Outcome, Sequence[str]], None]
"""``(outcome, rules)``, called once per decision: it must be quick, and must not raise."""

"""What was measured, as a table for people and as JSON for machines.

A row is one piece of work. Its first line is ours, the others are who else did the same
work in the same rounds. "3.0x" on another's line means that we were three times as good:
three times its rate, or a third of its time. Medians are compared, never the best rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

__all__ = ["Line", "Row", "Verdict", "document", "table"]

Better = Literal["higher", "lower"]
Verdict = Literal["met", "MISSED"]


@dataclass(frozen=True, slots=True)
class Line:
    """One contender: its figure of every round."""

    name: str
    figures: tuple[float, ...]
    note: str = ""
    target: float | None = None
    """On another's line: how many times as good we are to be, at least."""

    @property
    def median(self) -> float:
        return median(self.figures)


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of work; ``lines[0]`` is ours, unless we could not be measured."""

    name: str
    unit: str
    better: Better
    lines: tuple[Line, ...] = ()
    missing: tuple[str, ...] = field(default=())
    """Who is not in the table, and why."""
    at_most: float | None = None
    """What our own figure must not exceed."""

    def ratio(self, line: Line) -> float:
        """How many times as good as this line ours is."""
        ours, theirs = self.lines[0].median, line.median
        better, worse = (ours, theirs) if self.better == "higher" else (theirs, ours)
        return better / worse if worse else float("inf")

    def verdict(self, line: Line) -> Verdict | None:
        """Whether the target on this line is met; None without one."""
        if line is self.lines[0]:
            return None if self.at_most is None else _verdict(line.median <= self.at_most)
        return None if line.target is None else _verdict(self.ratio(line) >= line.target)


def table(rows: Sequence[Row]) -> str:
    """The whole table."""
    width = max([len(line.name) for row in rows for line in row.lines], default=0)
    return "\n\n".join("\n".join(_row(row, width)) for row in rows)


def document(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The same for machines, with every round's figure."""
    return [
        asdict(row)
        | {
            "lines": [
                asdict(line)
                | {
                    "median": line.median,
                    "ratio": None if line is row.lines[0] else row.ratio(line),
                    "verdict": row.verdict(line),
                }
                for line in row.lines
            ]
        }
        for row in rows
    ]


def _row(row: Row, width: int) -> list[str]:
    text = [f"{row.name}  [{row.unit}, {row.better} is better]"]
    for line in row.lines:
        ratio = "" if line is row.lines[0] else f"{row.ratio(line):.2f}x"
        columns = f"  {line.name:<{width}} {_number(line.median):>10} {ratio:>9}"
        text.append(f"{columns}  {_aim(row, line):<18} {line.note}".rstrip())
    text += [f"  not measured: {reason}" for reason in row.missing]
    return text


def _aim(row: Row, line: Line) -> str:
    verdict = row.verdict(line)
    if verdict is None:
        return ""
    aim = f"<= {row.at_most:g}" if line is row.lines[0] else f">= {line.target:g}x"
    return f"{aim} {verdict}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _verdict(good: bool) -> Verdict:
    return "met" if good else "MISSED"

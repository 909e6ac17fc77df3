"""What a submit costs as a board grows, as a picture.

    python -m loadtest.growth [--quick] [--plot docs/growth.svg]

The measurement is that of ``python -m loadtest.compare growth``. Each curve is drawn in times of
what the smallest board takes, beside log n; at its end stands what the largest board takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from math import ceil, log10
from pathlib import Path
from statistics import median

from loadtest.compare.growth import SIZES, Curve, curves, log_growth
from loadtest.compare.rounds import FULL, QUICK

LEFT, TOP, WIDTH, HEIGHT = 60, 50, 520, 330
COLOURS = ("#1f6feb", "#1a7f37", "#8250df", "#bf3989")
Point = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.growth")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--plot", type=Path, default=Path("docs/growth.svg"), metavar="FILE")
    parsed = parser.parse_args()
    ours, redis = curves(QUICK if parsed.quick else FULL)
    shown = [*ours, redis] if isinstance(redis, Curve) else ours
    for curve in shown:
        for size, figures in curve.figures.items():
            times = f"{curve.growth(size):.2f} times {SIZES[0]:,}, log n {log_growth(size):.2f}"
            print(f"{curve.name:<30} {size:>10,} {median(figures):8.2f} µs  {times}")
    parsed.plot.write_text(drawing(shown))


def drawing(shown: list[Curve]) -> str:
    """An SVG: size of the board, by powers of ten, against growth."""
    highest = ceil(max(curve.growth(size) for curve in shown for size in curve.figures))
    highest = max(highest, ceil(log_growth(SIZES[-1])))
    parts = [*_axes(highest), _line([(n, log_growth(n)) for n in SIZES], "#57606a", highest, True)]
    ends = [(log_growth(SIZES[-1]), SIZES[-1], "log n", "#57606a")]
    for curve, colour in zip(shown, COLOURS, strict=False):
        points: list[Point] = [(size, curve.growth(size)) for size in curve.figures]
        size = max(curve.figures)
        parts.append(_line(points, colour, highest, False))
        ends.append(
            (
                curve.growth(size),
                size,
                f"{curve.name}: {median(curve.figures[size]):.3g} µs",
                colour,
            )
        )
    parts += _labels(ends, highest)
    box = f"0 0 860 {TOP + HEIGHT + 60}"
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif"'
    paper = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f'{begin} font-size="12">', paper, *parts, "</svg>\n"])


def _axes(highest: int) -> Iterable[str]:
    yield _text(LEFT, TOP - 25, "Submit and rank: times of what 1,000 members take", "#1f2328")
    yield _text(LEFT + WIDTH / 2 - 50, TOP + HEIGHT + 45, "members of the board", "#1f2328")
    for times in range(highest + 1):
        _, y = _place((SIZES[0], times), highest)
        yield f'<path d="M{LEFT} {y:.1f}h{WIDTH}" stroke="#d0d7de"/>'
        yield _text(LEFT - 22, y + 4, str(times), "#57606a")
    for size in SIZES:
        x, y = _place((size, 0), highest)
        yield _text(x - 18, y + 20, f"{size:,}", "#57606a")


def _labels(ends: list[tuple[float, int, str, str]], highest: int) -> Iterable[str]:
    """The names, beside the ends of their curves, but never on each other."""
    lowest = float("inf")
    for growth, size, name, colour in sorted(ends):
        x, y = _place((size, growth), highest)
        lowest = min(y + 4, lowest - 16)
        yield _text(x + 8, lowest, name, colour)


def _line(points: list[Point], colour: str, highest: int, dashed: bool) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(at, highest) for at in points))
    style = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"{style}/>'


def _place(point: Point, highest: int) -> Point:
    size, times = point
    width = log10(SIZES[-1] / SIZES[0])
    return LEFT + WIDTH * log10(size / SIZES[0]) / width, TOP + HEIGHT * (1 - times / highest)


def _text(x: float, y: float, words: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{words}</text>'


if __name__ == "__main__":
    main()

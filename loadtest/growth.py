"""What a submit costs as a board grows, as a picture.

    python -m loadtest.growth [--quick] [--plot docs/growth.svg]

The measurement is that of ``python -m loadtest.compare growth``. Sizes stand by powers of ten, so
what grows as log n is a straight line. What a curve may reach lies, dashed, over it, but for
the board that is alone. Redis' is the time that the server itself counts: a caller waits for many
times as much.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from math import ceil, log10
from pathlib import Path
from statistics import median

from loadtest.compare.growth import SIZES, Curve, curves
from loadtest.compare.rounds import FULL, QUICK

LEFT, TOP, WIDTH, HEIGHT = 60, 50, 520, 330
COLOURS = ("#1f6feb", "#1a7f37", "#8250df", "#57606a", "#bf3989")
STEP = 5
"""Microseconds between two lines of the grid."""
Point = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.growth")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--plot", type=Path, default=Path("docs/growth.svg"), metavar="FILE")
    parsed = parser.parse_args()
    ours, redis, _ = curves(QUICK if parsed.quick else FULL)
    for curve in [*ours, *redis]:
        for size, figures in curve.figures.items():
            times = f"{curve.growth(size):.2f} times {SIZES[0]:,}"
            print(f"{curve.name:<30} {size:>10,} {median(figures):8.2f} µs  {times}")
        print(f"{curve.name:<30} R² over log n {median(curve.straightness()):.3f}")
    alone = [curve for curve in ours if curve.alone]
    shared = [curve for curve in ours if not curve.alone]
    parsed.plot.write_text(drawing([*shared, *alone[:1], *redis[:1]]))


def drawing(shown: Sequence[Curve]) -> str:
    """An SVG: size of the board, by powers of ten, against microseconds."""
    highest = max(curve.bound(SIZES[-1]) for curve in shown if not curve.alone)
    highest = max(highest, *(median(it) for curve in shown for it in curve.figures.values()))
    top = ceil(highest / STEP) * STEP
    parts = [*_axes(top)]
    ends: list[tuple[float, str, str]] = []
    for curve, colour in zip(shown, COLOURS, strict=False):
        points = [(size, median(taken)) for size, taken in curve.figures.items()]
        if not curve.alone:
            parts.append(_line([(size, curve.bound(size)) for size in SIZES], colour, top, True))
        parts.append(_line(points, colour, top, False))
        last = points[-1][1]
        ends.append((last, f"{curve.name}: {last:.3g} µs", colour))
    parts += _labels(ends, top)
    box = f"0 0 860 {TOP + HEIGHT + 60}"
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif"'
    paper = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f'{begin} font-size="12">', paper, *parts, "</svg>\n"])


def _axes(top: int) -> Iterable[str]:
    yield _text(
        LEFT, TOP - 25, "Submit and rank, µs; dashed: as log n from 1,000 members on", "#1f2328"
    )
    yield _text(LEFT + WIDTH / 2 - 50, TOP + HEIGHT + 45, "members of the board", "#1f2328")
    for taken in range(0, top + 1, STEP):
        _, y = _place((SIZES[0], taken), top)
        yield f'<path d="M{LEFT} {y:.1f}h{WIDTH}" stroke="#d0d7de"/>'
        yield _text(LEFT - 22, y + 4, str(taken), "#57606a")
    for size in SIZES:
        x, y = _place((size, 0), top)
        yield _text(x - 18, y + 20, f"{size:,}", "#57606a")


def _labels(ends: list[tuple[float, str, str]], top: int) -> Iterable[str]:
    """The names, beside the ends of their curves, but never on each other."""
    lowest = float("inf")
    for taken, name, colour in sorted(ends):
        x, y = _place((SIZES[-1], taken), top)
        lowest = min(y + 4, lowest - 16)
        yield _text(x + 8, lowest, name, colour)


def _line(points: Sequence[Point], colour: str, top: int, dashed: bool) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(at, top) for at in points))
    style = ' stroke-dasharray="6 4" stroke-opacity="0.5"' if dashed else ""
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"{style}/>'


def _place(point: Point, top: int) -> Point:
    size, taken = point
    width = log10(SIZES[-1] / SIZES[0])
    return LEFT + WIDTH * log10(size / SIZES[0]) / width, TOP + HEIGHT * (1 - taken / top)


def _text(x: float, y: float, words: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{words}</text>'


if __name__ == "__main__":
    main()

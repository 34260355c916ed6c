"""Graphs of a preview as SVG: lines, stacked areas, states over time, histograms over time."""

import html
import math
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from deploy.dashboards.ask import Point, Series
from deploy.dashboards.units import on_axis, step_of

COLORS: Final = ("#1f78b4", "#e67e22", "#2e9e4f", "#c0392b", "#8e44ad", "#16a085", "#b7950b",
                 "#7f8c8d", "#d35490", "#34495e")  # fmt: skip
LEFT: Final = 62  # room for the numbers of the axis
FOOT: Final = 16


class Frame(NamedTuple):
    """Where a graph stands: pixels, and the time it covers."""

    width: int
    height: int
    start: float
    end: float

    def x(self, at: float) -> float:
        """Place a time."""
        return LEFT + (self.width - LEFT - 6) * (at - self.start) / (self.end - self.start)


def lines(
    frame: Frame, named: Sequence[tuple[str, Series]], unit: str, *, stacked: bool,
    bounds: tuple[float | None, float | None], limits: Sequence[tuple[float, str]],
) -> str:  # fmt: skip
    """Draw lines, or areas on top of each other. limits: levels and their colours."""
    drawn = [(name, _finite(series.points)) for name, series in named]
    if stacked:
        drawn = _stack(drawn)
    values = [value for _, points in drawn for _, value in points]
    low, high = _range(values, *bounds)
    bottom = frame.height - FOOT
    tall = bottom - 6

    def y(value: float) -> float:
        return bottom - tall * (min(max(value, low), high) - low) / (high - low)

    parts = [_axes(frame, [(y(v), on_axis(v, unit)) for v in _ticks(low, high, unit)])]
    for level, color in limits:
        if low < level < high:
            at = y(level)
            parts.append(
                f'<line x1="{LEFT}" x2="{frame.width - 6}" y1="{at:.1f}" y2="{at:.1f}"'
                f' stroke="{color}" stroke-dasharray="5 4"/>'
            )
    floor: dict[float, float] = {}
    for index, (_, points) in enumerate(drawn):
        color = COLORS[index % len(COLORS)]
        for piece in _pieces(points):
            path = " ".join(f"{frame.x(t):.1f},{y(v):.1f}" for t, v in piece)
            if stacked:
                back = [f"{frame.x(t):.1f},{y(floor.get(t, low)):.1f}" for t, _ in reversed(piece)]
                parts.append(
                    f'<polygon points="{path} {" ".join(back)}" fill="{color}" fill-opacity=".3"/>'
                )
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.6"/>'
            )
        floor |= dict(points)
    return _svg(frame, parts)


def states(frame: Frame, named: Sequence[tuple[str, Series]], color: str, step_s: float) -> str:
    """Draw a bar for each series, where it has a point."""
    parts = [_axes(frame, [])]
    tall = (frame.height - FOOT - 4) / max(1, len(named))
    for row, (name, series) in enumerate(named):
        top = 2 + row * tall
        for at, _ in series.points:
            left, right = frame.x(at), min(frame.x(at + step_s), frame.width - 6)
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(0.0, right - left) + 0.3:.1f}"'
                f' height="{tall - 2:.1f}" fill="{color}" fill-opacity=".7"/>'
            )
        parts.append(
            f'<text x="{LEFT + 4}" y="{top + tall / 2 + 4:.1f}">{html.escape(name)}</text>'
        )
    return _svg(frame, parts)


def heat(frame: Frame, found: Sequence[Series], unit: str, step_s: float) -> str:
    """Draw how many fell into each bucket at each time; the buckets come cumulative."""
    rows = sorted(found, key=lambda series: float(series.labels["le"]))
    counts, before = [], dict[float, float]()
    for series in rows:
        points = dict(_finite(series.points))
        counts.append({t: max(0.0, v - before.get(t, 0.0)) for t, v in points.items()})
        before = points
    used = [index for index, row in enumerate(counts) if any(row.values())]
    if not used:
        return _svg(frame, [_axes(frame, [])])
    shown_rows = range(used[0], used[-1] + 1)
    most = max(max(counts[index].values(), default=0.0) for index in shown_rows)
    tall = (frame.height - FOOT - 6) / len(shown_rows)
    parts, ticks = [], []
    for place, index in enumerate(shown_rows):
        top = frame.height - FOOT - (place + 1) * tall
        edge = float(rows[index].labels["le"])
        ticks.append((top, "more" if math.isinf(edge) else on_axis(edge, unit)))
        for at, count in counts[index].items():
            if count > 0:
                left, right = frame.x(at), min(frame.x(at + step_s), frame.width - 6)
                parts.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(0.5, right - left):.1f}"'
                    f' height="{tall - 1:.1f}" fill="#e67e22"'
                    f' fill-opacity="{0.12 + 0.88 * count / most:.2f}"/>'
                )
    return _svg(frame, [_axes(frame, ticks), *parts])


def _finite(points: Sequence[Point]) -> list[Point]:
    return [(t, v) for t, v in points if math.isfinite(v)]


def _pieces(points: list[Point]) -> list[list[Point]]:
    """Cut a line where it has no points: nothing was measured there."""
    if len(points) < 2:
        return [points] if points else []
    gap = 1.5 * min(b[0] - a[0] for a, b in pairwise(points))
    pieces = [[points[0]]]
    for before, point in pairwise(points):
        if point[0] - before[0] > gap:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _stack(drawn: Sequence[tuple[str, list[Point]]]) -> list[tuple[str, list[Point]]]:
    below: dict[float, float] = {}
    found = []
    for name, points in drawn:
        on_top = [(t, v + below.get(t, 0.0)) for t, v in points]
        below |= dict(on_top)
        found.append((name, on_top))
    return found


def _range(values: Sequence[float], low: float | None, high: float | None) -> tuple[float, float]:
    least = min(values, default=0.0) if low is None else low
    most = max(values, default=1.0) if high is None else high
    return least, most * 1.05 if most > least else least + 1.0


def _ticks(low: float, high: float, unit: str) -> list[float]:
    whole = step_of(high, unit)
    rough = (high - low) / 4
    size = whole * 10 ** math.floor(math.log10(rough / whole))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]


def _axes(frame: Frame, ticks: Sequence[tuple[float, str]]) -> str:
    parts = []
    for at, text in ticks:
        parts.append(
            f'<line x1="{LEFT}" x2="{frame.width - 6}" y1="{at:.1f}" y2="{at:.1f}" class="g"/>'
            f'<text x="{LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{html.escape(text)}</text>'
        )
    times = 5 if frame.width > 400 else 3 if frame.width > 300 else 1
    for number in range(times + 1):
        at = frame.start + (frame.end - frame.start) * number / times
        anchor = "end" if number == times else "middle" if number else "start"
        clock = time.strftime("%H:%M:%S", time.gmtime(at))
        parts.append(
            f'<text x="{frame.x(at):.1f}" y="{frame.height - 2}" text-anchor="{anchor}">'
            f"{clock}</text>"
        )
    return "".join(parts)


def _svg(frame: Frame, parts: Sequence[str]) -> str:
    return f'<svg width="{frame.width}" height="{frame.height}">{"".join(parts)}</svg>'

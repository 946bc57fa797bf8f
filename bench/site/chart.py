"""Scatter charts as SVG elements of a page: each point is a link to its row in the table.

Lengths are in units of the drawing, which is `WIDTH` wide and as wide on the page as there is room.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.base.html_document import escaped

WIDTH, HEIGHT = 480, 330
LEFT, RIGHT, TOP, BOTTOM = 44, 20, 14, 48  # of the frame of the axes
RADIUS = 4.0
LETTER = 5.6  # width of a letter of a point's name


@dataclass(frozen=True)
class Point:
    """A row's place: x (years, seconds, ...), mAP in percent. what: the sentence that a reader hears."""

    x: float
    y: float
    row: str
    name: str
    kind: str
    what: str


@dataclass(frozen=True)
class Axis:
    """The x axis: its name, and the values with a line and their words; `spread`: points of one x lie side by
    side. Without ticks they are chosen; logarithmic where the values differ much.
    """

    name: str
    ticks: Sequence[tuple[float, str]] = ()
    spread: bool = False


@dataclass
class _Frame:
    """From values to places in the drawing."""

    xs: tuple[float, float]
    ys: tuple[float, float]
    log: bool = False
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def across(self, x: float) -> float:
        low, high, x = (math.log(v) if self.log else v for v in (*self.xs, x))
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - low) / (high - low)

    def down(self, y: float) -> float:
        low, high = self.ys
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - low) / (high - low)


def scatter(points: Sequence[Point], axis: Axis, *, name: str, title: str) -> str:
    """The chart; name: of the element, unique in the page. There must be at least one point."""
    ys = _nice_ticks(min(p.y for p in points), max(p.y for p in points))
    ticks, log = (axis.ticks, False) if axis.ticks else _value_ticks([point.x for point in points])
    margin = 0.5 if axis.spread else 0.0
    low, high = ticks[0][0] - margin, ticks[-1][0] + margin
    frame = _Frame((low, high), (ys[0], ys[-1]), log)
    places = _places(
        points, frame, spread=axis.spread, width=frame.across(low + 1) - LEFT if axis.spread else 0
    )
    about = f"{len(points)} points; the highest is {max(points, key=lambda p: p.y).what}."
    parts = [
        f'<svg id="{name}" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escaped(title)}</title><desc id="{name}-d">{escaped(about)}</desc>',
        *_axes(frame, ys, ticks, axis.name),
        *(_mark(point, place) for point, place in places),
        *_names(places, frame),
        "</svg>",
    ]
    return "\n".join(parts)


def _axes(frame: _Frame, ys: Sequence[float], ticks: Sequence[tuple[float, str]], name: str) -> Iterator[str]:
    bottom = HEIGHT - BOTTOM
    for y in ys:
        at = frame.down(y)
        yield f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>'
    for x, words in ticks:
        at = frame.across(x)
        yield f'<line class="tick" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        yield f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{escaped(words)}</text>'
    yield f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escaped(name)}</text>'
    middle = (TOP + bottom) / 2
    yield (
        f'<text x="12" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 12 {middle:.0f})">'
        "mAP (%)</text>"
    )


def _places(
    points: Sequence[Point], frame: _Frame, *, spread: bool, width: float
) -> list[tuple[Point, tuple[float, float]]]:
    """Each point's place; spread: points that would cover each other lie side by side, within the width."""
    placed: list[tuple[Point, tuple[float, float]]] = []
    for point in sorted(points, key=lambda p: (-p.y, p.name, p.row)):
        x, y = frame.across(point.x), frame.down(point.y)
        steps = [0.0]
        if spread:
            most = int(width / 2 / (2 * RADIUS + 1))
            steps += [side * step * (2 * RADIUS + 1) for step in range(1, most + 1) for side in (1, -1)]
        free = (x + step for step in steps if not any(_covers((x + step, y), at) for _, at in placed))
        placed.append((point, (next(free, x), y)))
    return placed


def _covers(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return math.dist(a, b) < 2 * RADIUS


def _mark(point: Point, place: tuple[float, float]) -> str:
    x, y = place
    if point.kind in ("ours", "run"):
        r = RADIUS + 1.5
        shape = f'<path d="M{x:.1f} {y - r:.1f}l{r:.1f} {r:.1f}l{-r:.1f} {r:.1f}l{-r:.1f} {-r:.1f}z"/>'
    else:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS:g}"/>'
    what = escaped(point.what)
    return (
        f'<a href="#{point.row}" class="point {point.kind}" data-row="{point.row}" aria-label="{what}">'
        f"<title>{what}</title>{shape}</a>"
    )


def _names(places: Sequence[tuple[Point, tuple[float, float]]], frame: _Frame) -> Iterator[str]:
    """The names of the points that have room beside them, the highest first."""
    frame.taken = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for _, (x, y) in places]
    for point, (x, y) in places:
        text = point.name if len(point.name) <= 24 else f"{point.name[:23]}…"
        long = LETTER * len(text)
        for left, anchor in ((x + 8, "start"), (x - 8 - long, "end")):
            box = (left, y - 6, left + long, y + 6)
            inside = left >= LEFT and left + long <= WIDTH
            if inside and not any(_overlap(box, other) for other in frame.taken):
                frame.taken.append(box)
                at = left if anchor == "start" else left + long
                yield (
                    f'<text class="name" x="{at:.1f}" y="{y + 3.5:.1f}" text-anchor="{anchor}" '
                    f'data-row="{point.row}" aria-hidden="true">{escaped(text)}</text>'
                )
                break


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from at most `low` to at least `high`.

    >>> _nice_ticks(91.6, 97.1)
    [90.0, 92.0, 94.0, 96.0, 98.0]
    """
    span = max(high - low, 1e-9 + abs(high) * 1e-3)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) <= most - 1)
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    return [round(step * number, 10) for number in range(first, last + 1)]


def _value_ticks(values: Sequence[float]) -> tuple[list[tuple[float, str]], bool]:
    """Ticks with their words, and whether the axis is logarithmic."""
    low, high = min(values), max(values)
    if low > 0 and high / low > 20:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return [(10.0**power, _amount(10.0**power)) for power in powers], True
    return [(tick, _amount(tick)) for tick in _nice_ticks(low, high)], False


def _amount(value: float) -> str:
    """A tick's words.

    >>> _amount(1500000.0), _amount(200000.0), _amount(0.5)
    ('1.5 M', '0.2 M', '0.5')
    """
    if value >= 1e5:
        return f"{value / 1e6:g} M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"

# ruff: noqa: INP001
"""Draw the pictures of README.md and docs/: `python docs/make_pictures.py` writes docs/images/*.svg.

`demo-table` shows the demo's accepted records, `floors` the packages of the suite and what they import. Both
are drawn from the records and from the code, for GitHub's light and dark theme. Each file keeps what it shows
as JSON in its metadata; `tests/project/test_docs.py` compares that with the records and the code.
"""

import ast
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COLUMNS = ("mAP", "F1-C", "P-C", "R-C", "F1-O", "P-O", "R-O")
COMMANDS = "commands"
CONTENTS = {  # the line in each package's box
    "base": "errors, files, locks, paths, command-line options",
    "data": "cards, annotation formats, prepared stores",
    "scoring": "predictions, metrics, profiles, bootstrap",
    "results": "records, published numbers, tables, regressions",
    "training": "batches, trunks, stages, training loop, inference",
    "methods": "one method a file",
    "deploy": "load, predict, export",
    "perf": "speed measurements",
    "report": "the report page and its figures",
    "site": "the leaderboard's pages",
    COMMANDS: "run, prepare, table, check, score, compare, plot, predict, export, ...",
}
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.hashsalt": "multilabel-bench",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Theme:
    """Colours of a picture, for one of GitHub's themes."""

    name: str
    ground: str
    ink: str
    soft: str
    line: str
    accent: str
    boxes: tuple[str, str]  # packages without and with PyTorch


LIGHT = Theme("light", "#ffffff", "#1f2328", "#59636e", "#d1d9e0", "#0a5cad", ("#e3f4e8", "#e2ecfa"))
DARK = Theme("dark", "#0d1117", "#f0f6fc", "#9198a1", "#3d444d", "#6cb2f7", ("#183524", "#18304f"))


def table_facts() -> list[dict[str, Any]]:
    """For each accepted row: its name, mean and standard deviation of mAP, and its columns as printed."""
    with tempfile.TemporaryDirectory() as empty:  # no fresh records: the table then shows the accepted ones
        words = ["-m", "bench.table", "--dataset", "demo", "--format", "json", "--runs", empty]
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [row for row in json.loads(done.stdout)["rows"] if row["n"]]
    return [
        {
            "name": row["title"] + (f" [{row['variant']}]" if row["variant"] else ""),
            "n": row["n"],
            "mAP": round(row["all"]["mAP"], 2),
            "sd": round(row["std"]["all"].get("mAP", 0.0), 2),
            "columns": [f"{row['all'][name]:.1f}" for name in COLUMNS],
        }
        for row in rows
    ]


def floor_facts() -> dict[str, dict[str, Any]]:
    """Package -> the packages that it imports, and whether it imports PyTorch; read from the source text."""
    facts: dict[str, dict[str, Any]] = {}
    for path in sorted([*(ROOT / "bench").rglob("*.py"), *(ROOT / "methods").glob("*.py")]):
        if (own := _package(path.relative_to(ROOT).with_suffix("").parts)) is None:
            continue
        fact = facts.setdefault(own, {"imports": set(), "torch": False})
        for name in _imported(path):
            fact["torch"] |= name.partition(".")[0] == "torch"
            fact["imports"] |= {_package(tuple(name.split(".")))} - {own, None}
    return {name: {**fact, "imports": sorted(fact["imports"])} for name, fact in facts.items()}


def _package(parts: tuple[str, ...]) -> str | None:
    """The package of a module of the suite, `commands` for those that can be run; None: in no package."""
    if parts[0] == "methods":
        return "methods"
    if parts[0] != "bench" or len(parts) < 2 or parts[1:] == ("__init__",):
        return None
    if parts[-1] == "__main__" or (ROOT / "bench" / f"{parts[1]}.py").exists():
        return COMMANDS
    return parts[1] if (ROOT / "bench" / parts[1]).is_dir() else None


def _imported(path: Path) -> list[str]:
    """The modules that a file imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def levels(facts: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Package -> its floor: one above the highest that it imports. A cycle ends in RecursionError."""

    def level(name: str) -> int:
        return 1 + max(map(level, facts[name]["imports"]), default=-1)

    return {name: level(name) for name in facts}


def arrows(facts: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """(importer, imported), but no direct arrow where a longer way leads to the same package."""

    def below(name: str) -> set[str]:
        direct = facts[name]["imports"]
        return set(direct).union(*map(below, direct))

    return [
        (name, other)
        for name, fact in facts.items()
        for other in fact["imports"]
        if not any(other in below(between) for between in fact["imports"])
    ]


def draw_table(facts: list[dict[str, Any]], theme: Theme) -> Figure:
    """One line a method: its name, mAP as a point with its standard deviation, and the columns as numbers."""
    figure, axes = _canvas(10.0, 1.0 + 0.36 * len(facts), theme)
    low = min(fact["mAP"] - fact["sd"] for fact in facts) // 2 * 2
    high = -(max(fact["mAP"] + fact["sd"] for fact in facts) // -2) * 2
    left, width = 0.26, 0.28  # of the plot of mAP, in shares of the picture
    top, step = 1 - 0.92 / figure.get_figheight(), 0.36 / figure.get_figheight()
    places = [0.615 + 0.058 * number for number in range(len(COLUMNS))]

    def across(value: float) -> float:
        return left + width * (value - low) / (high - low)

    grid, heads = (top - (len(facts) - 0.5) * step, top + 0.5 * step), top + 0.95 * step
    for tick in range(int(low), int(high) + 1, 2):
        axes.plot([across(tick)] * 2, grid, color=theme.line, lw=0.7)
        axes.text(across(tick), heads, f"{tick}", ha="center", va="center", color=theme.soft)
    axes.text(0.012, heads, f"Demo, percent, n = {facts[0]['n']} seeds", va="center", color=theme.soft)
    for place, name in zip(places, COLUMNS, strict=True):
        axes.text(place, heads, name, ha="right", va="center", color=theme.soft)
    caption = "mAP: mean and standard deviation over the seeds"
    axes.text(left + width / 2, heads + 0.8 * step, caption, ha="center", va="center", color=theme.soft)
    for number, fact in enumerate(facts):
        y, ours = top - number * step, fact["name"].startswith("SRN")
        colour, weight = (theme.accent, "bold") if ours else (theme.ink, "normal")
        axes.text(0.012, y, fact["name"], va="center", color=colour, weight=weight)
        ends = [across(fact["mAP"] + sign * fact["sd"]) for sign in (-1, 1)]
        axes.plot(ends, [y, y], color=colour, lw=2.2, solid_capstyle="butt")
        axes.plot([across(fact["mAP"])], [y], "o", color=colour, ms=5.5)
        for place, text in zip(places, fact["columns"], strict=True):
            axes.text(place, y, text, ha="right", va="center", color=colour, weight=weight)
    return figure


def draw_floors(facts: dict[str, dict[str, Any]], theme: Theme) -> Figure:
    """One row a floor, the highest on top; an arrow leads from a package to one that it imports."""
    floors = levels(facts)
    count = max(floors.values()) + 1
    figure, axes = _canvas(8.0, 0.3 + 0.78 * count, theme)
    arrow = {"arrowstyle": "-|>", "color": theme.soft, "shrinkA": 0, "shrinkB": 0}
    step = 0.78 / figure.get_figheight()
    height, gap, boxes = 0.62 * step, 0.02, {}
    for level in range(count):
        members = [name for name in CONTENTS if floors.get(name) == level]
        width = (0.98 - gap * (len(members) - 1)) / len(members)
        for place, name in enumerate(members):
            boxes[name] = (0.01 + place * (width + gap), 0.01 + level * step, width)
            _box(axes, name, boxes[name], height, theme, fill=theme.boxes[facts[name]["torch"]])
    for upper, lower in arrows(facts):
        (left, bottom, width), (other_left, other_bottom, other_width) = boxes[upper], boxes[lower]
        narrow = min((width, left), (other_width, other_left))  # straight down the middle of the narrower box
        x = narrow[1] + narrow[0] / 2
        ends = {"xy": (x, other_bottom + height), "xytext": (x, bottom)}
        axes.annotate("", **ends, arrowprops=arrow)
    for place, (fill, text) in enumerate(zip(theme.boxes, ("without PyTorch", "with PyTorch"), strict=True)):
        x, y = 0.02 + 0.22 * place, 1 - 0.2 / figure.get_figheight()
        axes.plot([x], [y], "s", color=fill, ms=10, mec=theme.line)
        axes.text(x + 0.02, y, text, va="center", color=theme.soft)
    axes.text(0.99, y, "an arrow points to what a package imports", ha="right", va="center", color=theme.soft)
    return figure


def _box(
    axes: Axes, name: str, box: tuple[float, float, float], height: float, theme: Theme, *, fill: str
) -> None:
    """A package's box: its name and what it holds. box: left, bottom, width, in shares of the picture."""
    left, bottom, width = box
    patch = FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.008")
    patch.set(facecolor=fill, edgecolor=theme.line)
    axes.add_patch(patch)
    title = {COMMANDS: "bench/*.py: the commands", "methods": "methods/"}.get(name, f"bench/{name}/")
    centred = {"x": left + width / 2, "ha": "center", "va": "center"}
    axes.text(y=bottom + 0.66 * height, s=title, color=theme.ink, weight="bold", **centred)
    axes.text(y=bottom + 0.28 * height, s=CONTENTS[name], color=theme.soft, size=8, **centred)


def _canvas(width: float, height: float, theme: Theme) -> tuple[Figure, Axes]:
    """A figure of so many inches whose only axes reach from 0 to 1 on both sides."""
    figure = Figure(figsize=(width, height), facecolor=theme.ground)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    return figure, axes


def pictures() -> dict[str, tuple[Any, Any]]:
    """Name of a picture -> the facts that it shows, and the function that draws them."""
    return {"demo-table": (table_facts(), draw_table), "floors": (floor_facts(), draw_floors)}


def main() -> None:
    """Write every picture in both themes."""
    IMAGES.mkdir(exist_ok=True)
    for name, (facts, draw) in pictures().items():
        for theme in (LIGHT, DARK):
            path = IMAGES / f"{name}-{theme.name}.svg"
            with mpl.rc_context(STYLE):
                figure = draw(facts, theme)
                # No date and no version: equal facts give an equal file.
                about = {"Creator": "docs/make_pictures.py", "Description": json.dumps(facts)}
                figure.savefig(path, metadata={"Date": None, **about})
            print(f"written: {path.relative_to(ROOT)} ({path.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()

"""The report's first lines: does it help, where, and why, in sentences made of computed numbers."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from bench.report.evidence import Evidence, Pair, run_name
from bench.report.figure_style import share
from bench.report.gain import Gain
from bench.report.label_gains import rank_correlation
from bench.report.model_outputs import BY_BOXES

CHANCE = 0.05
SEEDS = 3  # of each, that tell without an interval: 3 and 3 lie apart by chance one time in ten


def does_it_help(evidence: Evidence, pair: Pair, found: Gain, control: Gain | None) -> str:
    """The gain in mAP with its interval, and the gain over the baseline that was trained for as long."""
    one, other = map(run_name, pair)
    mine, others = (evidence.mAPs(group, found.seeds) for group in pair)
    seeds = found.origin if found.seeds else f"{len(mine)} and {len(others)} seeds"
    text = (
        f"Does it help? {_verdict(mine, others, found)}: {one} has mAP {fmean(mine):.1f} %, "
        f"{other} {fmean(others):.1f} %: {found.mAP:+.2f} points{_interval(found)}, means of {seeds}"
    )
    if control:
        text += f"; over {other} trained for as many epochs it is {control.mAP:+.2f}{_interval(control)}"
        text += f", over {control.origin}" if control.seeds != found.seeds else ""
    return f"{text}."


def _verdict(mine: Sequence[float], others: Sequence[float], found: Gain) -> str:
    """Clear is an interval without 0 or, where there is none, that all seeds of one are above all others,
    if they are enough: of one seed each, one is always above the other.
    """
    if not found.ends and min(len(mine), len(others)) < SEEDS:
        return f"It cannot be told without predictions and with fewer than {SEEDS} seeds of each"
    apart = min(mine) > max(others) or max(mine) < min(others)
    if not (found.is_clear if found.ends else apart):
        return "Not clearly"
    return "Yes" if found.mAP > 0 else "No"


def _interval(found: Gain) -> str:
    return f" (95 % interval {found.ends[0]:+.2f} to {found.ends[1]:+.2f})" if found.ends else ""


def where_does_it_help(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many labels gain, which most and least, and whether company matters."""
    better = sum(row["gain"] > 0 for row in rows)
    first, last = (f"{row['label']} ({row['gain']:+.1f} points)" for row in (rows[0], rows[-1]))
    text = f"Where? {better} of {len(rows)} labels gain in AP, most {first}, least {last}"
    if (found := rank_correlation(rows)) is not None:
        text += "; labels in more company gain " + _more(found.r, found.p)
    return f"{text}."


def _more(r: float, p: float) -> str:
    """Whether a correlation is more than chance would make it one time in twenty."""
    words = ("more" if r > 0 else "less") if p < CHANCE else "neither more nor less, as far as can be told"
    return f"{words} (rank correlation {r:+.2f}, {share(p)})"


def why(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the weights of a run show, one sentence of those numbers that there are; none without any."""
    known = [name for name in TELLING if name in facts]
    parts = [part for name in known if (part := TELLING[name](facts[name]))]
    return [f"Why? In {facts[known[0]]['run']}: {'; '.join(parts)}."] if parts else []


def _of_maps(facts: Mapping[str, Any]) -> str:
    if "own" not in facts:
        return ""
    return (
        f"attention that nobody told where to look lies on the label in {facts['own']:.0f} % of all cases "
        f"({facts['own_by_chance']:.0f} % by chance), on a companion in {facts['companion']:.0f} % "
        f"({facts['companion_by_chance']:.0f} %)"
    )


def _of_places(facts: Mapping[str, Any]) -> str:
    verb = "follow" if facts["p"] < CHANCE else "are not shown to follow"
    what = "a label's place" if facts["places"] == BY_BOXES else "the middle of a label's attention"
    numbers = f"correlation {facts['unseen']:z.2f}; {facts['control']:z.2f} with places dealt out anew"
    return f"neurons {verb} {what} ({numbers}; {share(facts['p'])})"


def _of_relations(facts: Mapping[str, Any]) -> str:
    goes = "goes" if facts["p"] < CHANCE else "is not shown to go"
    numbers = f"correlation {facts['correlation']:+.2f}, {share(facts['p'])}"
    return f"what labels do to each other {goes} with how often they meet ({numbers})"


def _of_branches(facts: Mapping[str, Any]) -> str:
    *alone, prediction = (f"{name} {value:.1f} %" for name, value in facts["mAP"].items())
    return (
        f"by itself each branch would score {', '.join(alone)}, the prediction {prediction}" if alone else ""
    )


TELLING: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "fig3-attention": _of_maps,
    "fig5-places": _of_places,
    "relations": _of_relations,
    "branches": _of_branches,
}


def nobody(evidence: Evidence) -> str:
    """What is compared where there is nothing to compare."""
    there = ", ".join(run_name(group) for group in evidence.rivals)
    return f"Nothing is compared: there are records of {there} alone."

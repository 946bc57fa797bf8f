"""The sentences at the top of the report: does the method help, where, and why, in computed numbers."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from bench.report.evidence import Evidence, Pair, run_name
from bench.report.figure_style import p_value
from bench.report.gain import Gain
from bench.report.label_gains import rank_correlation
from bench.report.model_outputs import BY_BOXES

SIGNIFICANCE = 0.05  # an effect with a higher p-value is not stated as one
# Seeds of each method that are enough without an interval: all three of one method are above all three of the
# other by chance one time in ten (two-sided).
SEEDS = 3


def does_it_help(evidence: Evidence, pair: Pair, gain: Gain, control_gain: Gain | None) -> str:
    """The gain in mAP with its interval, and the gain over the baseline that was trained for as long."""
    subject, baseline = map(run_name, pair)
    subject_mAPs, baseline_mAPs = (evidence.mAPs(group, gain.seeds) for group in pair)
    seeds = gain.origin if gain.seeds else f"{len(subject_mAPs)} and {len(baseline_mAPs)} seeds"
    text = (
        f"Does it help? {_verdict(subject_mAPs, baseline_mAPs, gain)}: {subject} has "
        f"mAP {fmean(subject_mAPs):.1f} %, {baseline} {fmean(baseline_mAPs):.1f} %: "
        f"{gain.mAP:+.2f} points{_interval(gain)}, means of {seeds}"
    )
    if control_gain:
        text += f"; over {baseline} trained for as many epochs, the gain is {control_gain.mAP:+.2f} points"
        text += _interval(control_gain)
        text += f", means of {control_gain.origin}" if control_gain.seeds != gain.seeds else ""
    return f"{text}."


def _verdict(subject_mAPs: Sequence[float], baseline_mAPs: Sequence[float], gain: Gain) -> str:
    """Yes, no, or undecided.

    A gain is clear if its interval excludes 0. Without an interval it is clear if all seeds of one method are
    above all seeds of the other, and there are enough of them: of two single seeds, one is always higher.
    """
    if not gain.ends and min(len(subject_mAPs), len(baseline_mAPs)) < SEEDS:
        return f"This cannot be decided without predictions and with fewer than {SEEDS} seeds of each method"
    is_separated = min(subject_mAPs) > max(baseline_mAPs) or max(subject_mAPs) < min(baseline_mAPs)
    if not (gain.is_clear if gain.ends else is_separated):
        return "Not clearly"
    return "Yes" if gain.mAP > 0 else "No"


def _interval(gain: Gain) -> str:
    return f" (95 % interval {gain.ends[0]:+.2f} to {gain.ends[1]:+.2f})" if gain.ends else ""


def where_does_it_help(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many labels gain, which most and least, and whether labels with more companions gain more.

    rows: those of the gain figure, the largest gain first.
    """
    gaining = sum(row["gain"] > 0 for row in rows)
    most, least = (f"{row['label']} ({row['gain']:+.1f} points)" for row in (rows[0], rows[-1]))
    text = f"Where? {gaining} of {len(rows)} labels gain in AP: {most} most, {least} least"
    if (correlation := rank_correlation(rows)) is not None:
        text += f"; {_companions_effect(correlation.r, correlation.p)}"
    return f"{text}."


def _companions_effect(r: float, p: float) -> str:
    numbers = f"(rank correlation {r:+.2f}, {p_value(p)})"
    if p < SIGNIFICANCE:
        return f"labels that occur with more other labels gain {'more' if r > 0 else 'less'} {numbers}"
    return f"labels that occur with more other labels gain neither clearly more nor clearly less {numbers}"


def why(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the weights of a run show, in one sentence of the numbers that exist; an empty list without any.

    facts: those of the report's figures, by the figure's name.
    """
    available = [name for name in PARTS if name in facts]
    parts = [part for name in available if (part := PARTS[name](facts[name]))]
    return [f"Why? In {facts[available[0]]['run']}: {'; '.join(parts)}."] if parts else []


def _attention_part(facts: Mapping[str, Any]) -> str:
    if "own" not in facts:
        return ""
    return (
        "attention, which was trained without any boxes, is highest on its own label in "
        f"{facts['own']:.0f} % of all cases ({facts['own_by_chance']:.0f} % by chance) and on another label "
        f"in {facts['companion']:.0f} % ({facts['companion_by_chance']:.0f} % by chance)"
    )


def _places_part(facts: Mapping[str, Any]) -> str:
    verb = "follow" if facts["p"] < SIGNIFICANCE else "do not clearly follow"
    position = (
        "the position of a label" if facts["places"] == BY_BOXES else "the centre of a label's attention"
    )
    numbers = f"correlation {facts['unseen']:z.2f}; {facts['control']:z.2f} with shuffled positions"
    return f"neurons {verb} {position} ({numbers}; {p_value(facts['p'])})"


def _relations_part(facts: Mapping[str, Any]) -> str:
    verb = "grows" if facts["p"] < SIGNIFICANCE else "does not clearly grow"
    numbers = f"correlation {facts['correlation']:+.2f}, {p_value(facts['p'])}"
    return f"the influence of labels on each other {verb} with how often they occur together ({numbers})"


def _branches_part(facts: Mapping[str, Any]) -> str:
    *branches, prediction = (f"{name} {value:.1f} %" for name, value in facts["mAP"].items())
    if not branches:
        return ""
    return f"used alone, the branches have mAP {', '.join(branches)}, and the prediction {prediction}"


PARTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "fig3-attention": _attention_part,
    "fig5-places": _places_part,
    "relations": _relations_part,
    "branches": _branches_part,
}


def no_comparison(evidence: Evidence) -> str:
    """The sentence for a report that has no pair of methods to compare."""
    names = ", ".join(run_name(group) for group in evidence.rivals)
    return f"No methods are compared, because there are only records of {names}."

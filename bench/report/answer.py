"""The report's first lines: does it help, where, and why, in sentences made of computed numbers."""

from collections.abc import Mapping
from typing import Any

from bench.report.evidence import Evidence, title
from bench.report.gain import Gain
from bench.report.labels import Rows, rank_correlation


def does_it_help(evidence: Evidence, found: Gain, control: Gain | None) -> str:
    """The gain in mAP with its interval, and the gain over the baseline that was trained for as long."""
    assert evidence.subject
    assert evidence.baseline
    one, other = title(evidence.subject), title(evidence.baseline)
    values = evidence.mAP(evidence.subject), evidence.mAP(evidence.baseline)
    seeds = [len(evidence.members[group]) for group in (evidence.subject, evidence.baseline)]
    text = (
        f"Does it help? {_verdict(found)}: {one} has mAP {values[0]:.1f} %, {other} {values[1]:.1f} %: "
        f"{found.mAP:+.2f} points{_interval(found)}, means of {seeds[0]} and {seeds[1]} seeds"
    )
    if control:
        text += f"; over {other} trained for as many epochs it is {control.mAP:+.2f}{_interval(control)}"
    return f"{text}."


def _verdict(found: Gain) -> str:
    if found.ends is not None and not found.is_clear:
        return "Not clearly"
    return "Yes" if found.mAP > 0 else "No"


def _interval(found: Gain) -> str:
    return f" (95 % interval {found.ends[0]:+.2f} to {found.ends[1]:+.2f})" if found.ends else ""


def where_does_it_help(rows: Rows) -> str:
    """How many labels gain, which most and least, and whether company matters."""
    better = sum(row["gain"] > 0 for row in rows)
    ends = ", ".join(f"{what} {rows[place]['label']} ({rows[place]['gain']:+.1f})" for what, place in ENDS)
    text = f"Where? {better} of {len(rows)} labels gain in AP, {ends}"
    if (rho := rank_correlation(rows)) is not None:
        words = "more" if rho > 0 else "no more"
        text += f"; labels in more company gain {words} (rank correlation {rho:+.2f})"
    return f"{text}."


ENDS = (("most", 0), ("least", -1))


def nobody(evidence: Evidence) -> str:
    """What is compared where there is nothing to compare."""
    there = ", ".join(title(group) for group in evidence.rivals)
    return f"Nothing is compared: there are records of {there} alone."


def why(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the weights show, one sentence of those numbers that there are; none without any."""
    parts = []
    if "hits" in (maps := facts.get("fig3-attention", {})):
        parts.append(
            f"its attention is highest on the label in {maps['hits']:.0f} % of all cases "
            f"({maps['by_chance']:.0f} % by chance)"
        )
    if places := facts.get("fig5-places"):
        parts.append(
            f"neurons of conv4 follow a label's place with a correlation of {places['unseen']:.2f} "
            f"({places['control']:.2f} with places dealt out anew)"
        )
    if related := facts.get("relations"):
        parts.append(
            f"what labels do to each other goes with how often they meet, by a correlation of "
            f"{related['correlation']:+.2f} (p = {related['p']:.3f})"
        )
    if branches := facts.get("branches"):
        parts.append(
            f"of its branches {branches['best']} alone scores best, {branches['best_mAP']:.1f} % mAP"
        )
    return [f"Why? In {facts['branches']['run']}, {'; '.join(parts)}."] if parts else []

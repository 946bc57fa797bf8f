"""The report's first lines: does it help, where, and why, in sentences made of computed numbers."""

from collections.abc import Sequence

from bench.report.evidence import Evidence, title
from bench.report.gain import Gain
from bench.report.labels import Rows, rank_correlation


def does_it_help(evidence: Evidence, found: Gain, control: Gain | None) -> str:
    """The gain in mAP with its interval, and over the baseline that was trained on for as long."""
    assert evidence.subject
    assert evidence.baseline
    one, other = title(evidence.subject), title(evidence.baseline)
    values = f"{evidence.mAP(evidence.subject):.1f} % against {evidence.mAP(evidence.baseline):.1f} % mAP"
    verdict = "does" if found.mAP > 0 else "does not"
    if found.ends is not None and not found.is_clear:
        verdict = "makes no clear difference: it does" if found.mAP > 0 else "makes no clear difference: it does not"
    counts = [len(evidence.members[group]) for group in (evidence.subject, evidence.baseline)]
    seeds = f"mean of {counts[0]} and {counts[1]} seeds" if counts[0] != counts[1] else f"mean of {counts[0]} seeds"
    text = f"Does it help? {one} {verdict} better than {other}: {values}, {found.mAP:+.2f} points ({seeds}{_ends(found)})"
    if control:
        text += f"; over {other} trained for as many epochs, {control.mAP:+.2f}{_ends(control)}"
    return f"{text}."

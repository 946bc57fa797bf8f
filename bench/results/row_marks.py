"""Marks of reproduced rows that cannot be compared with published rows without a warning.

A mark is a word beside the row's name, such as "partial"; below the table stands its meaning. Some of these
marks prevent a verdict (`INCOMPARABLE` in `bench/results/agreement.py`).
"""

from bench.base.protocol import Evaluation
from bench.results.record import Record, record_name

PARTIAL = "the data set was incomplete; do not compare with published numbers"
MIN_SHARE = 0.95  # of the images of a data set: with fewer, a row gets no verdict


def marks_for_row(members: list[Record], evaluation: Evaluation) -> dict[str, str]:
    """Mark -> meaning, for the row that is the mean of these records (the seeds of one method)."""
    marks = {"partial": PARTIAL} if any(member["data"]["partial"] for member in members) else {}
    marks |= _image_count_mark(members)
    if differing := _differing(members):
        marks["mixed"] = (
            f"the seeds of {record_name(members[0], seed=False)} differ in {', '.join(differing)}"
        )
    expected = {"top3": evaluation.top3, "unspecified": evaluation.unspecified}
    if any(member["protocol"][name] != rule for member in members for name, rule in expected.items()):
        marks["other protocol"] = (
            "scored with another rule for top-3 or unspecified labels than stated above the table"
        )
    return marks


def _image_count_mark(members: list[Record]) -> dict[str, str]:
    """A mark with the number of images, where the copies of a data set differ in theirs; else nothing."""
    for member in members:
        if expected := member["data"].get("expected"):
            images = member["images"]
            actual = {"train": images["train"] + images["held_out"], "test": images["test"]}
            counts = [f"{actual[split]:,} of {expected[split]:,} for {split}" for split in actual]
            smallest_share = min(actual[split] / expected[split] for split in actual)
            mark = "fewer images" if smallest_share < MIN_SHARE else "other images"
            return {mark: f"images: {', '.join(counts)}"}
    return {}


def _differing(members: list[Record]) -> list[str]:
    """What should be the same for all seeds of a method but differs."""
    aspects = [
        {name: member[name] for name in ("recipe", "protocol")}
        | {"card": member["data"]["card"], "images": member["data"]["fingerprint"]}
        for member in members
    ]
    return [name for name in aspects[0] if any(aspect[name] != aspects[0][name] for aspect in aspects)]

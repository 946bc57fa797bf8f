"""Marks of reproduced rows that cannot be compared with published rows without a warning.

A mark is a word beside the row's name, such as "partial"; below the table stands its meaning. Some of these
marks prevent a verdict (`INCOMPARABLE` in `bench/results/agreement.py`).
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from bench.base.protocol import Column, Evaluation
from bench.results import same_data
from bench.results.record import Group, Record, is_edited, record_name, stored_size

PARTIAL = "the data set was incomplete; do not compare with published numbers"
CLASS_MEANS = ("F1-C", "P-C", "R-C")
EDITED = "edited by hand"
EDITED_MEANING = (
    "changed after being written, as the checksum does not fit; the numbers are not those of the run: make "
    "it again with python -m bench.run"
)
MIN_SHARE = 0.95  # of the images of a data set: with fewer, a row gets no verdict


def marks_for_row(members: list[Record], evaluation: Evaluation) -> dict[str, str]:
    """Mark -> meaning, for the row that is the mean of these records (the seeds of one method)."""
    marks = {"partial": PARTIAL} if any(member["data"]["partial"] for member in members) else {}
    if edited := [member for member in members if is_edited(member)]:
        names = ", ".join(map(record_name, edited))
        marks[EDITED] = f"{names} {EDITED_MEANING}"
    marks |= _image_count_mark(members) | _tie_mark(members)
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


def data_marks(groups: Mapping[Group, list[Record]]) -> dict[Group, dict[str, str]]:
    """Mark -> meaning for each row, where rows on images stored at one size were made with different data.

    Images of another size have another fingerprint, which says nothing.
    """
    by_size: dict[str, list[Record]] = defaultdict(list)
    for members in groups.values():
        for member in members:
            by_size[stored_size(member)].append(member)
    marks: dict[Group, dict[str, str]] = {}
    for group, members in groups.items():
        sizes = {stored_size(member) for member in members}
        others = [other for size in sizes for other in by_size[size]]
        fingerprints = {other["data"]["fingerprint"] for other in others}
        if len(fingerprints) > 1:
            prints = " and ".join(sorted({member["data"]["fingerprint"][:8] for member in members}))
            meaning = same_data.other_pixels_of_all(members, others) or (
                "rows of another have other images or labels, or were prepared with another version of Pillow"
            )
            marks[group] = {f"data {prints}": f"made with the data of fingerprint {prints}; {meaning}"}
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


def _tie_mark(members: list[Record]) -> dict[str, str]:
    """A mark where the order of equal logits decides which labels are an image's top 3; else nothing."""
    own = [member["metrics"][member["protocol"]["profile"]] for member in members]
    if not (ties := max(metrics.get("ties", {}).get("top3", 0) for metrics in own)):
        return {}
    images = f"{ties:,} of {members[0]['images']['test']:,} test images"
    return {"ties": f"in up to {images} equal logits, and so the order of labels, decide the top 3"}


def _differing(members: list[Record]) -> list[str]:
    """What should be the same for all seeds of a method but differs."""
    aspects = [
        {name: member[name] for name in ("recipe", "protocol")}
        | {"card": member["data"]["card"], "images": member["data"]["fingerprint"]}
        for member in members
    ]
    return [name for name in aspects[0] if any(aspect[name] != aspects[0][name] for aspect in aspects)]


def unknown_empty_classes(metrics: Mapping[str, Any]) -> str:
    """What to say of a record's means over classes if it does not say whether empty classes are in them.

    Records that were written before these were counted do not; "" where no class is without a positive.
    """
    without = sum(value is None for value in metrics.get("AP", {}).values())
    if "empty_classes" in metrics or not without:
        return ""
    return (
        f"{without} of {len(metrics['AP'])} classes have no positive; the record does not say how many of"
        " them count as 100 in this mean: make it again with python -m bench.run"
    )


def empty_class_remarks(counts: Mapping[str, float], classes: int) -> dict[Column, str]:
    """A remark on each mean over classes that empty classes are part of; counts: by group of columns."""
    return {
        (
            group,
            name,
        ): f"{count:g} of {classes} classes have no positive and are never predicted; they count as "
        f"100, which is {100 * count / classes:.1f} points of this mean"
        for group, count in counts.items()
        for name in CLASS_MEANS
    }

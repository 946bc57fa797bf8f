"""What a store holds, in lines for people: images, labels, what was left out, what the card has otherwise."""

from typing import Any

from bench.data.store import VIEWS


def describe_manifest(manifest: dict[str, Any]) -> list[str]:
    """Images and positive labels of each view, what was left out and why, and how far that is from the
    card.
    """
    lines = []
    for view in VIEWS:
        found = manifest["counts"][view]
        lines.append(f"{view:>9}: {found['images']:,} images, {found['positives']:,} positive labels")
    for split, reasons in manifest["left_out"].items():
        if reasons:
            counted = ", ".join(f"{number:,} {reason}" for reason, number in sorted(reasons.items()))
            lines.append(f"left out of {split}: {counted}")
    lines += [f"the card differs: {difference}" for difference in manifest["differences"]]
    if manifest["partial"]:
        lines.append(
            "partial: not the whole data set; once the rest is there, delete the store, prepare again"
        )
    return lines

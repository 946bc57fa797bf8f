"""Summarize a store's manifest in lines of text: images, labels, images left out, differences to the card."""

from typing import Any

from bench.data.store import VIEWS


def describe_manifest(manifest: dict[str, Any]) -> list[str]:
    """Images and positive labels of each view, images left out by reason, and differences to the card."""
    lines = []
    for view in VIEWS:
        counts = manifest["counts"][view]
        lines.append(f"{view:>9}: {counts['images']:,} images, {counts['positives']:,} positive labels")
    for split, reasons in manifest["left_out"].items():
        if reasons:
            numbers = ", ".join(f"{number:,} {reason}" for reason, number in sorted(reasons.items()))
            lines.append(f"left out of {split}: {numbers}")
    for split, number in manifest["repeated"].items():
        if number:
            lines.append(f"repeated in {split}: {number:,} images have the picture of another image")
    lines += [f"differs from the card: {difference}" for difference in manifest["differences"]]
    if manifest["partial"]:
        lines.append(
            "partial: the data set is incomplete; when you have the rest, delete the store and prepare again"
        )
    return lines

"""Whether two results were made on the same data: the same sources, and the same pixels made of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.results.record import Record


def other_pixels(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """If library versions explain the difference: "equal sources, other pixels: Pillow 12.0.0 and 13.0.0".

    Else "". a, b: `data` of two records; those written before the digest of sources existed have none.
    """
    if a.get("fingerprint") == b.get("fingerprint") or not a.get("sources"):
        return ""
    if a["sources"] != b.get("sources"):
        return ""
    versions = library_differences(*(_libraries(one) for one in (a, b)))
    return f"equal sources, other pixels: {versions}" if versions else ""


def other_pixels_of_all(old: Iterable[Record], new: Iterable[Record]) -> str:
    """What `other_pixels` says of two groups of records, if it explains every difference of their data."""
    pairs = [(before["data"], after["data"]) for before in old for after in new]
    different = [pair for pair in pairs if pair[0]["fingerprint"] != pair[1]["fingerprint"]]
    reasons = {other_pixels(before, after) for before, after in different}
    return "; ".join(sorted(reasons)) if "" not in reasons else ""


def _libraries(data: Mapping[str, Any]) -> dict[str, str]:
    versions = data.get("libraries")
    return {name: str(version) for name, version in versions.items()} if isinstance(versions, dict) else {}


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """In words how the data differ; "": they do not, or one of the two does not say what they are."""
    prints = a.get("fingerprint"), b.get("fingerprint")
    if None in prints or prints[0] == prints[1]:
        return ""
    return other_pixels(a, b) or f"other data: fingerprint {str(prints[0])[:12]} and {str(prints[1])[:12]}"


def library_differences(a: Mapping[str, str], b: Mapping[str, str]) -> str:
    """The libraries whose versions differ, in words.

    >>> library_differences({"Pillow": "12.0.0", "libtiff": "4"}, {"Pillow": "13.0.0", "libtiff": "4"})
    'Pillow 12.0.0 and 13.0.0'
    """
    names = [name for name in [*a, *(b.keys() - a.keys())] if a.get(name) != b.get(name)]
    return ", ".join(f"{name} {a.get(name, 'none')} and {b.get(name, 'none')}" for name in names)

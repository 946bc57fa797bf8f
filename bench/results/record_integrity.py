"""What bench.check says of records that were edited by hand, or have no checksum to tell."""

from collections.abc import Mapping

from bench.results.drift import Groups
from bench.results.record import Record, is_edited, lacks_checksum, record_name


def edited_records(sides: Mapping[str, Groups]) -> list[str]:
    """A line for each record that was changed after being written; sides: "accepted", "fresh" -> records."""
    reason = "record was edited by hand, as its checksum does not fit; make it again"
    return [
        f"{record_name(record)}: the {side} {reason}"
        for side, groups in sides.items()
        for record in _members(groups)
        if is_edited(record)
    ]


def without_checksum(sides: Mapping[str, Groups]) -> list[str]:
    """How many records of each side are of an older version, so that an edit of them would not be seen."""
    counts = {side: sum(map(lacks_checksum, _members(groups))) for side, groups in sides.items()}
    return [
        f"{count} of {len(_members(sides[side]))} {side} records are without checksum, so that an edit of "
        "them would not be seen; --accept gives them one"
        for side, count in counts.items()
        if count
    ]


def _members(groups: Groups) -> list[Record]:
    return [record for members in groups.values() for record in members]

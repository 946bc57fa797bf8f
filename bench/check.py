"""Compare fresh results with the accepted ones and report what moved; `--accept` accepts the fresh ones.

A result has moved if it differs by more than the spread between seeds explains (`bench/results/drift.py`).
The exit status is then 1, and 3 if nothing was compared. Only this command writes `results/reproduced`.
`--push` gives the fresh results to others instead, as a data set of the Hub.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from tabulate import tabulate

from bench.base import checksums, paths
from bench.base.atomic_files import check_writable
from bench.base.cli import Parser, add_dataset, add_runs, run_command
from bench.base.errors import InputError
from bench.base.protocol import column_name
from bench.base.run_folder import RunFolder
from bench.data import cards
from bench.results import published, record_integrity, same_data
from bench.results.drift import (
    CONFIDENCE,
    DEFAULT_TOLERANCE,
    MIN_TOLERANCE,
    Groups,
    MetricDrift,
    compare,
    redefined_profiles,
    seed_values,
)
from bench.results.hub_records import push_records, records_folder, require_sound
from bench.results.record import (
    VOLATILE,
    Group,
    Record,
    group_records,
    read_folder,
    record_name,
    shown,
    write_record,
)

NOTHING_COMPARED = 3  # exit status
SEEDS = "fresh seeds : accepted seeds"


def report(accepted: Groups, fresh: Groups, *, strict: bool) -> tuple[list[str], int]:
    """(the lines of the report, the exit status): 1 if something moved, 3 if nothing was compared, else 0.

    strict: the status is also 1 if accepted records have no fresh counterpart.
    """
    compared = list(compare(accepted, fresh))
    incomparable, remarks = list(_incomparable(accepted, fresh)), list(_remarks(accepted, fresh))
    missing = list(_missing(accepted, fresh))
    lines = [*incomparable, *remarks]
    lines += [f"{name}: accepted, but there is no fresh record" for name in missing]
    lines += [*_tolerances(compared), *_verdict(compared)]
    sides = {"accepted": accepted, "fresh": fresh}
    edited = record_integrity.edited_records(sides)
    lines = [*edited, *lines, *(record_integrity.without_checksum(sides) if strict else [])]
    moved = edited or incomparable or any(drift.share > 1 for drift in compared)
    if moved or (strict and missing):
        return lines, 1
    return lines, 0 if compared else NOTHING_COMPARED


def _incomparable(accepted: Groups, fresh: Groups) -> Iterator[str]:
    """Changes of data, protocol or metrics, which count as moved whatever the numbers are."""
    for group in [group for group in accepted if group in fresh]:
        old, new = accepted[group], fresh[group]
        if _fingerprints(old) != _fingerprints(new) and not same_data.other_pixels_of_all(old, new):
            before, after = (" and ".join(_fingerprints(members)) for members in (old, new))
            yield f"{_name(fresh, group)}: moved: the data, fingerprint {before} accepted, {after} fresh"
        if any(record["protocol"] != old[0]["protocol"] for record in new):
            yield f"{_name(fresh, group)}: moved: the evaluation protocol"
        if redefined := redefined_profiles(old, new):
            profiles = f"metrics of profile {', '.join(redefined)}"
            yield f"{_name(fresh, group)}: moved: {profiles}, while the main numbers are the same"
        if missing := [column_name(column) for column in seed_values(old) if column not in seed_values(new)]:
            yield f"{_name(fresh, group)}: moved: the fresh records have no {', '.join(missing)}"


def _missing(accepted: Groups, fresh: Groups) -> Iterator[str]:
    """Accepted methods and seeds without a fresh record."""
    for group, members in accepted.items():
        if group not in fresh:
            yield _name(accepted, group)
            continue
        fresh_seeds = {record["seed"] for record in fresh[group]}
        if seeds := [record["seed"] for record in members if record["seed"] not in fresh_seeds]:
            yield f"{_name(accepted, group)} seed {', '.join(map(str, sorted(seeds)))}"


def _fingerprints(members: list[Record]) -> list[str]:
    return sorted({record["data"]["fingerprint"][:12] for record in members})


def _remarks(accepted: Groups, fresh: Groups) -> Iterator[str]:
    """Notes on differences that do not count as moved."""
    for group, new in fresh.items():
        name = _name(fresh, group)
        if group not in accepted:
            yield f"{name}: fresh, but nothing is accepted to compare it with"
            continue
        pairs = [(record, old) for record in new for old in accepted[group]]
        if any(record["data"]["card"] != old["data"]["card"] for record, old in pairs):
            yield f"{name}: the data set's card has changed since the records were accepted"
        if any(
            record["recipe"].get(field) != value
            for record, old in pairs
            for field, value in old["recipe"].items()
        ):
            yield f"{name}: the recipe differs from the accepted one"
        if reason := same_data.other_pixels_of_all(accepted[group], new):
            yield f"{name}: {reason} (accepted and fresh)"
        if any(record["data"]["partial"] for record in new):
            yield f"{name}: made from partial data"


def _name(groups: Groups, group: Group) -> str:
    return record_name(groups[group][0], seed=False)


def _tolerances(compared: Sequence[MetricDrift]) -> list[str]:
    """A table with the tolerance of each metric of each method that was compared."""
    if not compared:
        return []
    reason = f"{DEFAULT_TOLERANCE} where no method has two accepted seeds to show a spread"
    if any(drift.tolerance != DEFAULT_TOLERANCE for drift in compared):
        basis = "each method's spread between accepted seeds, shrunk towards the pooled value (Smyth 2004)"
        reason = f"covers {CONFIDENCE:.1%} of chance differences, given {basis}; at least {MIN_TOLERANCE}"
    columns = list(dict.fromkeys(drift.column for drift in compared))
    rows = []
    for name, seeds in dict.fromkeys((drift.name, drift.seeds) for drift in compared):
        tolerances = {drift.column: f"{drift.tolerance:.2f}" for drift in compared if drift.name == name}
        rows.append([f"{name}, {seeds[0]}:{seeds[1]}", *(tolerances.get(column, "") for column in columns)])
    headings = [SEEDS, *map(column_name, columns)]
    return [f"tolerance in points: {reason}", *_table_lines(rows, headings)]


def _verdict(compared: Sequence[MetricDrift]) -> list[str]:
    """A table of the numbers that moved; if none did, the one that comes closest."""
    if not compared:
        return ["nothing compared: fresh and accepted records have no method in common"]
    moved = [drift for drift in compared if drift.share > 1]
    if moved:
        headings = ["moved", "metric", "accepted", "fresh", "difference", "tolerance"]
        return [
            f"{len(moved)} of {len(compared)} numbers moved:",
            *_table_lines([*map(_moved_row, moved)], headings),
        ]
    largest = max(compared, key=lambda drift: drift.share)
    values = f"{column_name(largest.column)} {largest.accepted:.2f} -> {largest.fresh:.2f}"
    closest = f"the largest move is {largest.share:.0%} of its tolerance ({largest.name}, {values})"
    return [f"no number moved: {len(compared)} compared, {closest}"]


def _moved_row(drift: MetricDrift) -> list[str]:
    means = [f"{drift.accepted:.2f}", f"{drift.fresh:.2f}"]
    points = [f"{drift.difference:+.2f}", f"{drift.tolerance:.2f}"]
    return [drift.name, column_name(drift.column), *means, *points]


def _table_lines(rows: list[list[str]], headings: list[str]) -> list[str]:
    align = ["left" if heading in (SEEDS, "moved", "metric") else "right" for heading in headings]
    return str(tabulate(rows, headings, "simple", colalign=align, disable_numparse=True)).splitlines()


def accept(fresh: Sequence[Record], folder: Path, *, allow_partial: bool) -> list[str]:
    """Write the fresh records into the folder of accepted ones; returns a line per record on what changed.

    Accepted records without a fresh counterpart stay. InputError, before anything is written, if a record was
    edited by hand, or is made from partial data and `allow_partial` is False.
    """
    require_sound(fresh, "accept", allow_partial=allow_partial)
    accepted = {record_name(record): record for record in read_folder(folder)}
    changes = {record_name(record): _change(accepted.get(record_name(record)), record) for record in fresh}
    for record in fresh:
        if changes[record_name(record)] != "unchanged":
            write_record(record, folder)
    kept = [f"{name}: kept, there is no fresh record" for name in accepted if name not in changes]
    return [*(f"{name}: {change}" for name, change in changes.items()), *kept]


def _change(old: Record | None, new: Record) -> str:
    """What accepting the new record changes; keys that differ between any two runs do not count."""
    if old is None:
        return f"new, mAP {_mean_ap(new):.2f}"
    keys = [key for key in new if key not in VOLATILE and new[key] != old.get(key)]
    if not keys:
        return "unchanged, with a checksum that fits now" if checksums.KEY in old else "unchanged"
    return f"mAP {_mean_ap(old):.2f} -> {_mean_ap(new):.2f}; changed: {', '.join(keys)}"


def _mean_ap(record: Record) -> float:
    return float(record["metrics"][record["protocol"]["profile"]]["mAP"])


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    dataset = published.full_dataset_name(args.dataset)
    if args.private and not args.push:
        raise InputError("--private belongs to --push ORG/NAME")
    source = records_folder(args.records or RunFolder.of(dataset, args.runs).path, dataset)
    folder = paths.accepted(dataset, to_write=args.accept)
    fresh, accepted = (read_folder(path, dataset=dataset) for path in (source, folder))
    if not fresh and (accepted or args.accept or args.records or args.push):
        command = f"python -m bench.run --dataset {dataset} --method all"
        if cards.base(dataset) in cards.names() and cards.load_card(dataset).evaluation.result_files:
            raise InputError(
                f"{dataset} has no records: submit runs/{dataset}/results to its evaluation server for scores"
            )
        raise InputError(f"no fresh records in {shown(source)}; make them with: {command}")
    if args.push:
        print(push_records(source, dataset, args.push, private=args.private, partial=args.allow_partial))
        return 0
    if args.accept:
        check_writable(folder)
        print("\n".join(accept(fresh, folder, allow_partial=args.allow_partial)))
        return 0
    if not accepted:
        remedy = "accept the fresh ones with --accept" if fresh else "make some with python -m bench.run"
        print(f"{dataset}: nothing compared: no accepted records in {shown(folder)}; {remedy}")
        return NOTHING_COMPARED
    lines, status = report(group_records(accepted), group_records(fresh), strict=args.strict)
    counts = f"{len(fresh)} fresh records of {shown(source)}, {len(accepted)} accepted of {shown(folder)}"
    print("\n".join([f"{dataset}: {counts}", *lines]))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.check", description=__doc__)
    add_dataset(parser, published.known_datasets())
    add_runs(parser)
    add = parser.add_argument
    text = "fresh records: a folder (default: the data set's runs), or hf:ORG/NAME[@REVISION]"
    add("--records", type=Path, metavar="DIR", help=text)
    add("--accept", action="store_true", help="make the fresh records the accepted ones")
    add("--push", metavar="ORG/NAME", help="push the fresh records to this data set of the Hub")
    add("--private", action="store_true", help="with --push: only into a private data set")
    text = "with --accept or --push: also take records made from partial data"
    add("--allow-partial", action="store_true", help=text)
    text = "exit status 1 also if something cannot be compared; counts records without checksum"
    add("--strict", action="store_true", help=text)
    return parser


if __name__ == "__main__":
    run_command(main)

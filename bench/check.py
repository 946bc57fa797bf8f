"""Compare fresh records with the accepted ones and say what moved; `--accept` makes the fresh ones accepted.

What counts as a move is defined in `bench/results/drift.py`. This command alone writes `results/reproduced`.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from tabulate import tabulate

from bench.base import paths
from bench.base.cli import Parser, add_dataset, add_runs, run_command
from bench.base.errors import InputError
from bench.base.protocol import Column
from bench.base.run_folder import RunFolder
from bench.data import cards
from bench.results import published
from bench.results.drift import (
    CONFIDENCE,
    DEFAULT_TOLERANCE,
    MIN_TOLERANCE,
    Groups,
    MetricDrift,
    compare,
    seed_values,
)
from bench.results.record import (
    VOLATILE,
    Record,
    group_records,
    read_folder,
    record_name,
    shown,
    write_record,
)

SEEDS = "fresh seeds : accepted seeds"


def report(accepted: Groups, fresh: Groups, *, strict: bool) -> tuple[list[str], int]:
    """(lines that say what was compared and what moved, exit status): 1 where something did, else 0.

    strict: what cannot be compared counts as moved.
    """
    compared = list(compare(accepted, fresh))
    alarms, remarks = list(_alarms(accepted, fresh)), list(_remarks(accepted, fresh))
    missing = list(_missing(accepted, fresh))
    lines = [*alarms, *remarks, *(f"{name}: accepted, but there is no fresh record" for name in missing)]
    lines += [*_tolerances(compared), *_verdict(compared)]
    moved = alarms or any(one.share > 1 for one in compared)
    return lines, int(bool(moved or (strict and (missing or not compared))))


def _alarms(accepted: Groups, fresh: Groups) -> Iterator[str]:
    """What makes numbers incomparable, whatever they are."""
    for group in [group for group in accepted if group in fresh]:
        old, new = accepted[group], fresh[group]
        if _fingerprints(old) != _fingerprints(new):
            were, are = (" and ".join(found) for found in (_fingerprints(old), _fingerprints(new)))
            yield f"{_name(fresh, group)}: moved: the data, fingerprint {were} accepted, {are} fresh"
        if any(one["protocol"] != old[0]["protocol"] for one in new):
            yield f"{_name(fresh, group)}: moved: the protocol of evaluation"
        if words := _redefined(old, new):
            yield f"{_name(fresh, group)}: moved: {words}"
        if gone := [_metric(column) for column in seed_values(old) if column not in seed_values(new)]:
            yield f"{_name(fresh, group)}: moved: there is no {', '.join(gone)} any more"


def _redefined(old: list[Record], new: list[Record]) -> str:
    """Which metrics differ where a seed's main numbers are the same to the last bit: computed otherwise."""
    known = {one["seed"]: one for one in old}
    for record in new:
        before = known.get(record["seed"])
        if before and seed_values([before]) == seed_values([record]):
            mine, theirs = record["metrics"], before["metrics"]
            if differ := [name for name in theirs if mine.get(name) != theirs[name]]:
                return f"metrics of profile {', '.join(differ)}, while the main numbers are the same"
    return ""


def _missing(accepted: Groups, fresh: Groups) -> Iterator[str]:
    """Accepted methods and seeds that were not made again."""
    for group, members in accepted.items():
        if group not in fresh:
            yield _name(accepted, group)
            continue
        made = {record["seed"] for record in fresh[group]}
        if seeds := [record["seed"] for record in members if record["seed"] not in made]:
            yield f"{_name(accepted, group)} seed {', '.join(map(str, sorted(seeds)))}"


def _fingerprints(members: list[Record]) -> list[str]:
    return sorted({one["data"]["fingerprint"][:12] for one in members})


def _remarks(accepted: Groups, fresh: Groups) -> Iterator[str]:
    """What a reader should know beside the numbers."""
    for group, new in fresh.items():
        name = _name(fresh, group)
        if group not in accepted:
            yield f"{name}: fresh, but nothing is accepted to compare it with"
            continue
        pairs = [(one, old) for one in new for old in accepted[group]]
        if any(one["data"]["card"] != old["data"]["card"] for one, old in pairs):
            yield f"{name}: the data set's card is another than when the records were accepted"
        if any(
            one["recipe"].get(field) != value for one, old in pairs for field, value in old["recipe"].items()
        ):
            yield f"{name}: the recipe is another than the accepted one"
        if any(one["data"]["partial"] for one in new):
            yield f"{name}: made from partial data"


def _name(found: Groups, group: tuple[str, str]) -> str:
    return record_name(found[group][0], seed=False)


def _tolerances(compared: Sequence[MetricDrift]) -> list[str]:
    """The tolerance of each metric of each method that was compared."""
    if not compared:
        return []
    reason = f"{DEFAULT_TOLERANCE} where no method has two accepted seeds to show a spread"
    if any(one.tolerance != DEFAULT_TOLERANCE for one in compared):
        basis = "by the spread between accepted seeds, each method's moderated by that of all (Smyth 2004)"
        reason = f"{CONFIDENCE:.1%} of chance differences {basis}, at least {MIN_TOLERANCE}"
    columns = list(dict.fromkeys(one.column for one in compared))
    rows = []
    for name, seeds in dict.fromkeys((one.name, one.seeds) for one in compared):
        known = {one.column: f"{one.tolerance:.2f}" for one in compared if one.name == name}
        rows.append([f"{name}, {seeds[0]}:{seeds[1]}", *(known.get(column, "") for column in columns)])
    heads = [SEEDS, *map(_metric, columns)]
    return [f"tolerance in points: {reason}", *_lines(rows, heads)]


def _verdict(compared: Sequence[MetricDrift]) -> list[str]:
    """What moved, or how near to it the nearest is."""
    if not compared:
        return ["nothing compared: fresh and accepted records have no method in common"]
    moved = [one for one in compared if one.share > 1]
    if moved:
        heads = ["moved", "metric", "accepted", "fresh", "difference", "tolerance"]
        return [f"{len(moved)} of {len(compared)} numbers moved:", *_lines([*map(_moved, moved)], heads)]
    top = max(compared, key=lambda one: one.share)
    where = f"{top.name}, {_metric(top.column)} {top.accepted:.2f} -> {top.fresh:.2f}"
    largest = f"the largest move is {top.share:.0%} of its tolerance ({where})"
    return [f"no number moved: {len(compared)} compared, {largest}"]


def _moved(one: MetricDrift) -> list[str]:
    means = [f"{one.accepted:.2f}", f"{one.fresh:.2f}"]
    return [one.name, _metric(one.column), *means, f"{one.difference:+.2f}", f"{one.tolerance:.2f}"]


def _metric(column: Column) -> str:
    return column[1] if column[0] == "all" else f"top-3 {column[1]}"


def _lines(rows: list[list[str]], heads: list[str]) -> list[str]:
    align = ["left" if head in (SEEDS, "moved", "metric") else "right" for head in heads]
    return str(tabulate(rows, heads, "simple", colalign=align, disable_numparse=True)).splitlines()


def accept(fresh: Sequence[Record], folder: Path, *, allow_partial: bool) -> list[str]:
    """Make the fresh records the accepted ones of the folder; returns a line for each that says what changed.

    Accepted records without a fresh counterpart stay. InputError, and nothing written, where a record comes
    from partial data and that is not allowed.
    """
    partial = [record_name(record) for record in fresh if record["data"]["partial"]]
    if partial and not allow_partial:
        raise InputError(
            f"made from partial data: {', '.join(partial)}; --allow-partial accepts them all the same"
        )
    known = {record_name(record): record for record in read_folder(folder)}
    changes = {record_name(record): _change(known.get(record_name(record)), record) for record in fresh}
    for record in fresh:
        if changes[record_name(record)] != "unchanged":
            write_record(record, folder)
    kept = [f"{name}: kept, there is no fresh record" for name in known if name not in changes]
    return [*(f"{name}: {change}" for name, change in changes.items()), *kept]


def _change(old: Record | None, new: Record) -> str:
    """What accepting changes, apart from what differs between any two runs."""
    if old is None:
        return f"new, mAP {_mean_ap(new):.2f}"
    keys = [key for key in new if key not in VOLATILE and new[key] != old.get(key)]
    if not keys:
        return "unchanged"
    return f"mAP {_mean_ap(old):.2f} -> {_mean_ap(new):.2f}; changed: {', '.join(keys)}"


def _mean_ap(record: Record) -> float:
    return float(record["metrics"][record["protocol"]["profile"]]["mAP"])


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    dataset = published.full_dataset_name(args.dataset)
    source = args.records or RunFolder.of(dataset, args.runs).path
    folder = paths.REPRODUCED / dataset
    fresh, accepted = (read_folder(place, dataset=dataset) for place in (source, folder))
    if not fresh and (accepted or args.accept or args.records):
        command = f"python -m bench.run --dataset {dataset} --method all"
        if cards.base(dataset) in cards.names() and cards.load_card(dataset).evaluation.result_files:
            raise InputError(f"{dataset} has no records: its owner's server scores runs/{dataset}/results")
        raise InputError(f"no fresh records in {shown(source)}; make them with: {command}")
    if args.accept:
        print("\n".join(accept(fresh, folder, allow_partial=args.allow_partial)))
        return 0
    if not accepted:
        print(f"{dataset}: no accepted records in {shown(folder)} to compare with; --accept makes them")
        return int(args.strict)
    lines, status = report(group_records(accepted), group_records(fresh), strict=args.strict)
    counts = f"{len(fresh)} fresh records of {shown(source)}, {len(accepted)} accepted of {shown(folder)}"
    print("\n".join([f"{dataset}: {counts}", *lines]))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.check", description=__doc__)
    add_dataset(parser, published.known_datasets())
    add_runs(parser)
    parser.add_argument(
        "--records", type=Path, metavar="DIR", help="records made elsewhere, to check instead"
    )
    parser.add_argument("--accept", action="store_true", help="make the fresh records the accepted ones")
    parser.add_argument("--allow-partial", action="store_true", help="accept records of partial data too")
    parser.add_argument("--strict", action="store_true", help="exit 1 too where something cannot be compared")
    return parser


if __name__ == "__main__":
    run_command(main)

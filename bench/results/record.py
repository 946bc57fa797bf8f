"""Read, write and check records: JSON files with the results of a run and all that determined them.

Records of two runs of the same command differ only in the keys `timing` and `provenance`, and so in the
`checksum` that the file has of all the others. In memory a record whose checksum fits has none; one of a file
without a checksum has None, and one that was changed after it was written keeps the one that does not fit.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base import checksums
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.base.paths import WORKPLACE
from bench.base.protocol import ALL, TOP3, Column, Values
from bench.base.structured_files import read_json
from bench.results.record_check import REQUIRED_TYPES, SCHEMA, check_record

__all__ = ["REQUIRED_TYPES", "SCHEMA", "check_record"]  # beside what is defined here

Record = dict[str, Any]
Group = tuple[str, str]  # method and variant: their records are averaged over seeds

VOLATILE = ("timing", "provenance", checksums.KEY)  # may differ between two runs of the same command


def file_name(record: Mapping[str, Any]) -> str:
    """`srn-seed0.json`, or with a variant `srn@budget=equal-seed0.json`; unusual characters become `_`.

    A variant of more than 120 characters is cut and gets the first eight digits of its SHA-256.
    """
    variant = record["variant"]
    variant_part = _safe_characters(variant)
    if len(variant_part) > 120:
        variant_part = f"{variant_part[:111]}+{hashlib.sha256(variant.encode()).hexdigest()[:8]}"
    method_part = _safe_characters(record["method"])
    return f"{method_part}{'@' if variant else ''}{variant_part}-seed{record['seed']}.json"


def _safe_characters(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=,+-]", "_", text)


def record_name(record: Mapping[str, Any], *, seed: bool = True) -> str:
    """The name of a record in messages: `srn [budget=equal] seed 0`."""
    variant = f" [{record['variant']}]" if record["variant"] else ""
    return f"{record['method']}{variant}" + (f" seed {record['seed']}" if seed else "")


def write_record(record: Record, folder: Path) -> Path:
    """Write the record's file into the folder, atomically; InputError if the record is not valid.

    A record that was changed by hand keeps the checksum that does not fit: no copy of it looks untouched.
    """
    check_record(record)
    standard_keys = [key for key in REQUIRED_TYPES if "." not in key]
    ordered = {key: record[key] for key in standard_keys} | with_checksum(record)
    text = json.dumps(ordered, indent=1, ensure_ascii=False, allow_nan=False)
    return write_atomically(folder / file_name(record), text + "\n")


def read_record(path: Path) -> Record:
    """The record in a file; InputError gives the file and what is wrong with it."""
    table = read_json(path)
    try:
        return verified(table)
    except InputError as error:
        raise InputError(f"{path}: not a record: {error}") from error


def with_checksum(record: Record) -> Record:
    """The record as files hold it: with its checksum as the last key."""
    content = {key: value for key, value in record.items() if key != checksums.KEY}
    return content | {checksums.KEY: record.get(checksums.KEY) or checksums.of_object(content)}


def verified(table: Any) -> Record:
    """The record in an object that a file holds, without the checksum if it fits; InputError as
    `check_record`.
    """
    check_record(table)
    record = dict(table)
    written = record.setdefault(checksums.KEY, None)
    if written is not None and written == checksums.of_object(record):
        del record[checksums.KEY]
    return record


def is_edited(record: Mapping[str, Any]) -> bool:
    """Whether the record was changed after it was written: its checksum does not fit."""
    return record.get(checksums.KEY) is not None


def lacks_checksum(record: Mapping[str, Any]) -> bool:
    """Whether the record comes from a file without a checksum, such as older versions wrote."""
    return checksums.KEY in record and record[checksums.KEY] is None


def read_folder(folder: Path, *, dataset: str = "") -> list[Record]:
    """The records in a folder, sorted by method, variant and seed; none if there is no such folder.

    Each `*.json` directly in the folder must be a record (of `dataset`, if given) and have the name that
    `file_name` gives it, so that no copy counts twice; InputError gives the file that does not.
    """
    records = [read_named(path, dataset=dataset) for path in record_files(folder)]
    return sorted(records, key=lambda record: (record["method"], record["variant"], record["seed"]))


def record_files(folder: Path) -> list[Path]:
    """The files directly in the folder that must be records."""
    return sorted(path for path in folder.glob("*.json") if path.is_file() and path.name[0] != ".")


def read_named(path: Path, *, dataset: str = "") -> Record:
    """The record in a file that has the name `file_name` gives it; InputErrors are those of `read_folder`."""
    record = read_record(path)
    if dataset and record["dataset"] != dataset:
        raise InputError(
            f"{path}: the record is of data set {record['dataset']!r}, not of {dataset!r}; move it elsewhere"
        )
    if path.name != file_name(record):
        raise InputError(
            f"{path}: the file name does not match the record; rename it to {file_name(record)} "
            "or move it elsewhere"
        )
    return record


def shown(path: Path) -> str:
    """A path for messages: relative to the repository's root or, with an installed suite, to the working
    folder, if it lies inside.
    """
    path = path.resolve()
    return str(path.relative_to(WORKPLACE) if path.is_relative_to(WORKPLACE) else path)


def group_records(records: Iterable[Record]) -> dict[Group, list[Record]]:
    """(method, variant) -> its records in the order given; within a group only the seed differs."""
    grouped: dict[Group, list[Record]] = defaultdict(list)
    for record in records:
        grouped[record["method"], record["variant"]].append(record)
    return dict(grouped)


def stored_size(record: Record) -> str:
    """What the sides of the stored images depend on besides the card: equal texts mean one store."""
    recipe = record["recipe"]
    return f"{recipe.get('input_size')}{'' if recipe.get('crops', True) else ' without crops'}"


def metric_values(record: Record, profile: str) -> dict[Column, float]:
    """The record's metrics by one profile, ("all", "mAP") to ("top3", "R-O"), in percent."""
    if profile not in record["metrics"]:
        raise InputError(
            f"the record of {record_name(record)} has no metrics of profile {profile!r}; run the method again"
        )
    metrics = record["metrics"][profile]
    top3 = metrics.get("top3", {})
    values = {("all", name): metrics[name] for name in ALL if name in metrics}
    return values | {("top3", name): top3[name] for name in TOP3 if name in top3}


def values_by_column(by_seed: Sequence[Values]) -> dict[Column, list[float]]:
    """For each column that all seeds have: its values, one per seed."""
    shared = [column for column in by_seed[0] if all(column in values for values in by_seed)]
    return {column: [values[column] for values in by_seed] for column in shared}

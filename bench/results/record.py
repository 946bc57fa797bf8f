"""Read, write and check records: JSON files with the results of a run and all that determined them.

Records of two runs of the same command differ only in the keys `timing` and `provenance`.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.base.protocol import ALL, TOP3, Column, Values
from bench.results.fields import NULL, check_percentage, check_type, require_key

Record = dict[str, Any]
Group = tuple[str, str]  # method and variant: their records are averaged over seeds

SCHEMA = "multilabel-bench/record/1"
VOLATILE = ("timing", "provenance")

# required keys, those of nested objects with a dot, and their types
KINDS: dict[str, tuple[type, ...]] = {
    "schema": (str,),
    "dataset": (str,),
    "method": (str,),
    "variant": (str,),
    "seed": (int,),
    "metrics": (dict,),
    "protocol": (dict,),
    "protocol.profile": (str,),
    "protocol.top3": (str, NULL),
    "protocol.unspecified": (str, NULL),
    "images": (dict,),
    "images.train": (int,),
    "images.held_out": (int,),
    "images.test": (int,),
    "parameters": (int,),
    "epochs": (int,),
    "recipe": (dict,),
    "stages": (list,),
    "data": (dict,),
    "data.card": (str,),
    "data.fingerprint": (str,),
    "data.partial": (bool,),
    "key": (str,),
    "timing": (dict,),
    "provenance": (dict,),
}
ROUNDING = 1e-9  # profile srn2017's recall, (tp + eps) / (gp + eps) + eps, may exceed 100 % by rounding


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
    """Write the record's file into the folder, atomically; InputError if the record is not valid."""
    check_record(record)
    standard_keys = [key for key in KINDS if "." not in key]
    ordered = {key: record[key] for key in standard_keys} | record
    text = json.dumps(ordered, indent=1, ensure_ascii=False, allow_nan=False)
    return write_atomically(folder / file_name(record), text + "\n")


def read_record(path: Path) -> Record:
    """The record in a file; InputError gives the file and what is wrong with it."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_reject_constant)
        check_record(record)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{path}: not a record: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a record: not JSON ({error})") from error
    return dict(record)


def read_folder(folder: Path, *, dataset: str = "") -> list[Record]:
    """The records in a folder, sorted by method, variant and seed; none if there is no such folder.

    Each `*.json` directly in the folder must be a record (of `dataset`, if given) and have the name that
    `file_name` gives it, so that no copy counts twice; InputError gives the file that does not.
    """
    paths = sorted(path for path in folder.glob("*.json") if path.is_file() and path.name[0] != ".")
    records = [read_record(path) for path in paths]
    for path, record in zip(paths, records, strict=True):
        if dataset and record["dataset"] != dataset:
            raise InputError(
                f"{path}: the record is of data set {record['dataset']!r}, not of {dataset!r}; "
                "move it elsewhere"
            )
        if path.name != file_name(record):
            raise InputError(
                f"{path}: the file name does not match the record; rename it to {file_name(record)} "
                "or move it elsewhere"
            )
    return sorted(records, key=lambda record: (record["method"], record["variant"], record["seed"]))


def shown(path: Path) -> str:
    """A path for messages: relative to the repository's root if it lies inside."""
    path = path.resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def group_records(records: Iterable[Record]) -> dict[Group, list[Record]]:
    """(method, variant) -> its records in the order given; within a group only the seed differs."""
    grouped: dict[Group, list[Record]] = defaultdict(list)
    for record in records:
        grouped[record["method"], record["variant"]].append(record)
    return dict(grouped)


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


def check_record(record: object) -> None:
    """InputError unless this is a record: all required keys, each of its type, and metrics from 0 to 100."""
    if not isinstance(record, dict):
        raise InputError("not an object")
    if record.get("schema") != SCHEMA:
        raise InputError(f"its schema is {record.get('schema')!r}, not {SCHEMA!r}")
    for key in KINDS:
        _check_key(record, key)
    if record["seed"] < 0:
        raise InputError(f"seed must not be negative: {record['seed']}")
    _check_metrics(record["metrics"], record["protocol"])


def _check_key(record: Mapping[str, Any], key: str) -> None:
    parent, _, name = key.rpartition(".")
    table = record[parent] if parent else record
    require_key(table, name, name=key)
    check_type(table[name], KINDS[key], name=key)


def _check_metrics(metrics: Mapping[str, Any], protocol: Mapping[str, Any]) -> None:
    own_profile = protocol["profile"]
    require_key(metrics, own_profile, name=f"metrics.{own_profile} (protocol.profile)")
    for profile, values in metrics.items():
        _check_numbers(values, where=f"metrics.{profile}")
    required = ["mAP", *(["top3"] if protocol["top3"] else [])]
    for name in required:
        require_key(metrics[own_profile], name, name=f"metrics.{own_profile}.{name}")


def _check_numbers(values: Any, *, where: str) -> None:
    check_type(values, (dict,), name=where)
    for name, value in values.items():
        key = f"{where}.{name}"
        if name in ("AP", "top3"):
            _check_numbers(value, where=key)
        elif value is not None or not where.endswith(".AP"):  # null: a class without positives has no AP
            check_percentage(value, name=key, rounding=ROUNDING)


def _reject_constant(constant: str) -> NoReturn:
    raise InputError(f"it holds {constant}, which is not a JSON number")

"""The record of a run, a JSON file: what was measured, and all that determined it.

Two runs of the same command differ in the keys `timing` and `provenance` only.
"""

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.base.protocol import ALL, TOP3

Record = dict[str, Any]
Group = tuple[str, str]  # method, variant: what is averaged over seeds

SCHEMA = "multilabel-bench/record/1"
VOLATILE = ("timing", "provenance")

NULL = type(None)
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
NAMES = {
    str: "text",
    int: "a whole number",
    dict: "an object",
    list: "a list",
    bool: "true or false",
    NULL: "null",
}
ROUNDING = 1e-9  # the contract's recall, (tp + eps) / (gp + eps) + eps, may pass 100 % by a rounding error


def file_name(record: Mapping[str, Any]) -> str:
    """`srn-seed0.json`, with a variant `srn@budget=equal-seed0.json`; what is not a plain character is `_`.

    A variant too long for a file's name is cut and carries eight digits of its SHA-256.
    """
    variant = record["variant"]
    plain = _plain(variant)
    if len(plain) > 120:
        plain = f"{plain[:111]}+{hashlib.sha256(variant.encode()).hexdigest()[:8]}"
    return f"{_plain(record['method'])}{'@' if variant else ''}{plain}-seed{record['seed']}.json"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=,+-]", "_", text)


def record_name(record: Mapping[str, Any], *, seed: bool = True) -> str:
    """The record in words: `srn [budget=equal] seed 0`."""
    variant = f" [{record['variant']}]" if record["variant"] else ""
    return f"{record['method']}{variant}" + (f" seed {record['seed']}" if seed else "")


def write_record(record: Record, folder: Path) -> Path:
    """The record's file in the folder, whole or not at all; what `read` would refuse is refused here too."""
    check_record(record)
    known = [key for key in KINDS if "." not in key]
    ordered = {key: record[key] for key in known} | record
    text = json.dumps(ordered, indent=1, ensure_ascii=False, allow_nan=False)
    return write_atomically(folder / file_name(record), text + "\n")


def read_record(path: Path) -> Record:
    """The record in a file; InputError names the file and what is wrong with it."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        check_record(record)
    except OSError as failure:
        raise InputError(f"{path}: cannot be read: {failure.strerror}") from failure
    except InputError as mistake:
        raise InputError(f"{path}: not a record: {mistake}") from mistake
    except (ValueError, RecursionError) as mistake:
        raise InputError(f"{path}: not a record: not JSON ({mistake})") from mistake
    return dict(record)


def read_folder(folder: Path, *, dataset: str = "") -> list[Record]:
    """The folder's records by method, variant and seed; none where there is no folder.

    Every `*.json` directly in the folder must be a record (of that data set, if one is named) under its own
    name, so that no copy counts twice; InputError names the file that is not.
    """
    paths = sorted(path for path in folder.glob("*.json") if path.is_file() and path.name[0] != ".")
    records = [read_record(path) for path in paths]
    for path, record in zip(paths, records, strict=True):
        if dataset and record["dataset"] != dataset:
            raise InputError(
                f"{path}: a record of data set {record['dataset']!r}, not of {dataset!r}; move it away"
            )
        if path.name != file_name(record):
            raise InputError(
                f"{path}: a record must carry its own name; call it {file_name(record)} or move it away"
            )
    return sorted(records, key=lambda record: (record["method"], record["variant"], record["seed"]))


def shown(path: Path) -> str:
    """A path as messages print it: from the checkout's root where it lies inside."""
    path = path.resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def group_records(records: Iterable[Record]) -> dict[Group, list[Record]]:
    """The records by method and variant, each group in the order given: what differs within is the seed."""
    found: dict[Group, list[Record]] = defaultdict(list)
    for record in records:
        found[record["method"], record["variant"]].append(record)
    return dict(found)


def metric_values(record: Record, profile: str) -> dict[tuple[str, str], float]:
    """The numbers of a profile by column, ("all", "mAP") to ("top3", "R-O"), in percent."""
    if profile not in record["metrics"]:
        raise InputError(
            f"the record of {record_name(record)} has no metrics of profile {profile!r}; run it again"
        )
    metrics = record["metrics"][profile]
    top3 = metrics.get("top3", {})
    found = {("all", name): metrics[name] for name in ALL if name in metrics}
    return found | {("top3", name): top3[name] for name in TOP3 if name in top3}


def check_record(record: object) -> None:
    """Raise InputError unless this is a record: every key there, of its kind, and metrics in 0..100."""
    if not isinstance(record, dict):
        raise InputError("not an object")
    if record.get("schema") != SCHEMA:
        raise InputError(f"its schema is {record.get('schema')!r}, not {SCHEMA!r}")
    for key in KINDS:
        _check_kind(record, key)
    if record["seed"] < 0:
        raise InputError(f"seed must not be negative: {record['seed']}")
    _check_metrics(record["metrics"], record["protocol"])


def _check_kind(record: Mapping[str, Any], key: str) -> None:
    holder, _, name = key.rpartition(".")
    table = record[holder] if holder else record
    if name not in table:
        raise InputError(f"no {key}")
    if type(table[name]) not in KINDS[key]:
        allowed = " or ".join(NAMES[kind] for kind in KINDS[key])
        raise InputError(f"{key} must be {allowed}, not {json.dumps(table[name])[:40]}")


def _check_metrics(metrics: Mapping[str, Any], protocol: Mapping[str, Any]) -> None:
    if protocol["profile"] not in metrics:
        raise InputError(f"no metrics of its profile {protocol['profile']!r}")
    for profile, values in metrics.items():
        _check_numbers(values, where=f"metrics.{profile}")
    mine = metrics[protocol["profile"]]
    wanted = ["mAP", *(["top3"] if protocol["top3"] else [])]
    for name in wanted:
        if name not in mine:
            raise InputError(f"no metrics.{protocol['profile']}.{name}")


def _check_numbers(values: Any, *, where: str) -> None:
    if not isinstance(values, dict):
        raise InputError(f"{where} must be an object")
    for name, value in values.items():
        here = f"{where}.{name}"
        if name in ("AP", "top3"):
            _check_numbers(value, where=here)
        elif value is None and where.endswith(".AP"):
            continue  # a class without positives has no AP
        elif not _is_percentage(value):
            raise InputError(f"{here} must be a number from 0 to 100, not {json.dumps(value)[:40]}")


def _is_percentage(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and -ROUNDING <= value <= 100 + ROUNDING


def _refuse(constant: str) -> NoReturn:
    raise InputError(f"it holds {constant}, which is no number in JSON")

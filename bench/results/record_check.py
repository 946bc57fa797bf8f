"""What a record must hold: its keys, their types, and metrics from 0 to 100."""

from collections.abc import Mapping
from typing import Any, get_args

from bench.base import checksums
from bench.base.errors import InputError, unknown
from bench.base.protocol import Top3, Unspecified
from bench.results.fields import NULL, check_percentage, check_type, require_key

SCHEMA = "multilabel-bench/record/1"

# required keys, those of nested objects with a dot, and their types
REQUIRED_TYPES: dict[str, tuple[type, ...]] = {
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
DOUBTS = ("empty_classes", "ties")  # beside a profile's metrics: counts, see bench/scoring/doubts.py
ROUNDING = 1e-9  # profile srn2017's recall, (tp + eps) / (gp + eps) + eps, may exceed 100 % by rounding


def check_record(record: object) -> None:
    """InputError unless this is a record: all required keys, each of its type, and metrics from 0 to 100."""
    if not isinstance(record, dict):
        raise InputError("not an object")
    if record.get("schema") != SCHEMA:
        raise InputError(f"its schema is {record.get('schema')!r}, not {SCHEMA!r}")
    for key in REQUIRED_TYPES:
        _check_key(record, key)
    _check_nested(record)
    if record["seed"] < 0:
        raise InputError(f"seed must not be negative: {record['seed']}")
    _check_metrics(record["metrics"], record["protocol"])
    if "thresholds" in record:
        labels = record["metrics"][record["protocol"]["profile"]].get("AP")
        _check_thresholds(record["thresholds"], labels)
    if "best_on_test" in record:
        _check_best_on_test(record["best_on_test"])


def _check_key(record: Mapping[str, Any], key: str) -> None:
    parent, _, name = key.rpartition(".")
    table = record[parent] if parent else record
    require_key(table, name, name=key)
    check_type(table[name], REQUIRED_TYPES[key], name=key)


def _check_nested(record: Mapping[str, Any]) -> None:
    """What other files take for granted of lists and of keys that may be absent."""
    protocol = record["protocol"]
    for name, choices in (("top3", get_args(Top3)), ("unspecified", get_args(Unspecified))):
        if protocol[name] is not None and protocol[name] not in choices:
            raise unknown(f"protocol.{name}", protocol[name], [*choices, "null"])
    for number, stage in enumerate(record["stages"]):
        where = f"stages[{number}]"
        check_type(stage, (dict,), name=where)
        for key, kind in (("name", str), ("key", str), ("epochs", list)):
            require_key(stage, key, name=f"{where}.{key}")
            check_type(stage[key], (kind,), name=f"{where}.{key}")
        for place, epoch in enumerate(stage["epochs"]):
            check_type(epoch, (dict,), name=f"{where}.epochs[{place}]")
    for key in ("commit", "written"):
        check_type(record["provenance"].get(key), (str, NULL), name=f"provenance.{key}")
    check_type(record.get(checksums.KEY), (str, NULL), name=checksums.KEY)
    if "expected" in record["data"]:
        _check_expected(record["data"]["expected"])


def _check_expected(expected: Any) -> None:
    check_type(expected, (dict,), name="data.expected")
    for split in ("train", "test"):
        name = f"data.expected.{split}"
        require_key(expected, split, name=name)
        check_type(expected[split], (int,), name=name)
        if expected[split] < 1:
            raise InputError(f"{name} must be at least 1, not {expected[split]}")


def _check_thresholds(thresholds: Any, labels: Mapping[str, Any] | None) -> None:
    """Of the labels, fitted on held-out images (`bench.scoring.thresholds`); labels: those with an AP."""
    check_type(thresholds, (dict,), name="thresholds")
    kinds = {"rule": str, "held_out_images": int, "least": int, "otherwise": dict, "logits": dict}
    for key, kind in kinds.items():
        require_key(thresholds, key, name=f"thresholds.{key}")
        check_type(thresholds[key], (kind,), name=f"thresholds.{key}")
    otherwise = thresholds["otherwise"]
    if otherwise.get("compare") not in (">", ">="):
        raise unknown("thresholds.otherwise.compare", str(otherwise.get("compare")), (">", ">="))
    check_type(otherwise.get("logit"), (float, int), name="thresholds.otherwise.logit")
    for label, logit in thresholds["logits"].items():
        check_type(logit, (float, int, NULL), name=f"thresholds.logits.{label}")
    if labels is not None and (differing := sorted(thresholds["logits"].keys() ^ labels.keys())):
        raise InputError(f"label {differing[0]!r} is not in both thresholds.logits and its AP")


def _check_best_on_test(best: Any) -> None:
    """The highest mAP of any epoch on the test set (`bench.training.best_on_test`)."""
    check_type(best, (dict,), name="best_on_test")
    kinds = {
        "stage": (str,),
        "epoch": (int,),
        "mAP": (float, int),
        "difference": (float, int),
        "epochs": (list,),
    }
    for key, kind in kinds.items():
        require_key(best, key, name=f"best_on_test.{key}")
        check_type(best[key], kind, name=f"best_on_test.{key}")
    check_percentage(best["mAP"], name="best_on_test.mAP", rounding=ROUNDING)
    for place, epoch in enumerate(best["epochs"]):
        check_type(epoch, (dict,), name=f"best_on_test.epochs[{place}]")
        check_type(epoch.get("epoch"), (int,), name=f"best_on_test.epochs[{place}].epoch")


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
        if name in DOUBTS and where.count(".") == 1:
            _check_counts(value, where=f"{where}.{name}")
            continue
        key = f"{where}.{name}"
        if name in ("AP", "top3") and not where.endswith((".AP", ".top3")):
            _check_numbers(value, where=key)
        elif value is not None or not where.endswith(".AP"):  # null: a class without positives has no AP
            check_percentage(value, name=key, rounding=ROUNDING)


def _check_counts(counts: Any, *, where: str) -> None:
    """Of classes or images, by group of columns."""
    check_type(counts, (dict,), name=where)
    for group, count in counts.items():
        check_type(count, (int,), name=f"{where}.{group}")

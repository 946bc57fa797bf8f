"""Made-up records for tests: valid, small, and different only where a test says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.base import cli
from bench.base.protocol import ALL, TOP3
from bench.results.record import SCHEMA, Record, write_record

LABELS = ("zero", "größer", "two")


def fake(method: str = "srn", seed: int = 0, *, shift: float = 0.0, **changes: Any) -> Record:
    """A record whose metrics are 80, 81, ... for all labels, 70, 71, ... for top-3, each plus the shift.

    changes: values of top-level keys; a mapping replaces the entries it names.
    """
    six = {name: 70.0 + place + shift for place, name in enumerate(TOP3)}
    scores = {name: 80.0 + place + shift for place, name in enumerate(ALL)}
    per_class = dict(zip(LABELS, (88.0 + shift, None, 92.0), strict=True))
    record: Record = {
        "schema": SCHEMA,
        "dataset": "demo",
        "method": method,
        "variant": "",
        "seed": seed,
        "metrics": {
            "srn2017": scores | {"AP": per_class, "top3": six, "empty_classes": {}},
            "voc2007": {"mAP": 79.0, "AP": per_class},
        },
        "protocol": {"profile": "srn2017", "top3": "thresholded", "unspecified": None},
        "images": {"train": 5700, "held_out": 300, "test": 2000},
        "parameters": 123456,
        "epochs": 34,
        "recipe": {"lr": 0.001, "budget": "paper"},
        "stages": [{"name": "main", "key": "1f", "epochs": [{"epoch": 1, "lr": 0.001, "loss": 2.5}]}],
        "data": {"card": "ca" * 32, "fingerprint": "f1" * 32, "partial": False},
        "key": "4b" * 32,
        "timing": {"seconds": {"main": 12.5}},
        "provenance": {"commit": None, "hardware": "a processor", "written": "2025-01-01T00:00:00+00:00"},
    }
    for key, value in changes.items():
        record[key] = record[key] | value if isinstance(value, dict) else value
    return record


def write_card(folder: Path, name: str, *, evaluation: str = "") -> None:
    """A card with no more than a table needs."""
    folder.mkdir(exist_ok=True)
    head = (
        f'title = "Title of {name}"\nsummary = "s"\nformat = "f"\nlabels = ["a"]\nsource = "s"\nlicence = "l"'
    )
    splits = "train.images = 1\ntest.images = 1"
    text = f"{head}\n{splits}\n[evaluation]\n{evaluation}\n"
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def write_all(folder: Path, *records: Record) -> None:
    for record in records:
        write_record(record, folder)


def refused(main: Callable[[list[str]], int], args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error of a command that must print nothing else and end with status 2."""
    with pytest.raises(SystemExit) as ended:
        cli.run_command(lambda: main(args))
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    return err

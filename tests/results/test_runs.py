"""`python -m bench.runs`: the list of runs, and which of their records were edited by hand."""

import json
from pathlib import Path

import pytest

from bench import runs
from bench.results import record
from tests import records


def test_a_record_that_was_edited_by_hand_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for seed in (0, 1):
        path = record.write_record(records.fake(seed=seed), tmp_path / "demo")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["metrics"]["srn2017"]["mAP"] = 99.0
    path.write_text(json.dumps(content), encoding="utf-8")
    assert runs.main(["--runs", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("edited by hand") for line in lines if "srn-seed" in line].count(True) == 1
    assert next(line for line in lines if "srn-seed1" in line).endswith("edited by hand")

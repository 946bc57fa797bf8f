"""Fused norms agree with float64, and fused models with plain ones: on the CPU in Triton's interpreter."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.training import device, run_options, stage_cache
from bench.training.distributed import Processes
from bench.training.stage_cache import StageContext
from tests.methods.test_contract import build


@pytest.mark.slow
def test_fused_norms_agree_with_float64_and_fused_trunks_with_plain_ones():
    pytest.importorskip("triton")
    command = [sys.executable, "-m", "tests.training.fused_norms"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_fused_norms_are_refused_where_they_cannot_be(monkeypatch: pytest.MonkeyPatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    with pytest.raises(InputError, match=r"^--fused-norms needs a GPU: leave it out$"):
        device.fused_norms(cpu, wanted=True)
    assert not device.fused_norms(cpu, None, usual=True)
    for has_triton in (True, False):
        monkeypatch.setattr(device, "_has_triton", lambda has_triton=has_triton: has_triton)
        assert device.fused_norms(gpu, None, usual=True) == has_triton
        assert not device.fused_norms(gpu, wanted=False, usual=True)
    with pytest.raises(InputError, match=r"not installed: pip install triton$"):
        device.fused_norms(gpu, wanted=True)
    words = ["--dataset", "demo", "--method", "srn", "--fused-norms", "--compile"]
    with pytest.raises(InputError, match=r"--fused-norms and --compile both fuse kernels: leave one out"):
        run_options.parse(words, description=None)


@pytest.mark.parametrize("kind", ["sync", "groups"])
def test_fused_norms_take_only_statistics_of_a_processs_images(
    kind: Any, context: StageContext, tmp_path: Path
):
    pytest.importorskip("triton")
    model, stages = build("resnet101", context, batch_norm=kind, batch_size=24)
    several = StageContext(
        context.store, torch.device("cuda"), tmp_path, processes=Processes(0, 2), fused_norms=True
    )
    with pytest.raises(
        InputError, match=r"^--fused-norms knows only batch_norm=local and frozen: use --no-f"
    ):
        next(stage_cache.run_stages(model, [(stages[0], "key")], several, seed=0, title="test"))

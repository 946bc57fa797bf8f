"""Fused norms agree with float64, and fused models with plain ones: on the CPU in Triton's interpreter."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
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


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "resnetv2_18",
        "seresnet18",
        "tf_efficientnet_lite0",
        "efficientnet_b0",
        "regnety_002",
        "densenet121",
    ],
)
def test_a_fused_network_computes_what_it_computed_before(name: str):
    """Norms with another activation than ReLU (ReLU6, SiLU) stay as they are; here in evaluation mode."""
    pytest.importorskip("triton")
    from bench.training import fused_blocks  # noqa: PLC0415 (needs Triton)

    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=5).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    images_BCHW = torch.randn(2, 3, 64, 64)
    expected = network(images_BCHW)
    fused_blocks.fuse(network)
    assert any(isinstance(module, fused_blocks.FusedBatchNorm) for module in network.modules())
    torch.testing.assert_close(network(images_BCHW), expected, rtol=1e-4, atol=1e-5)

"""`--compile`: torch's tracing of every stage, without its code generation, which needs a compiler."""

from typing import Any

import pytest
import torch
from torch import nn

from bench.training import stages
from bench.training.distributed import SINGLE_PROCESS, build_stage_loss
from bench.training.stage_cache import StageContext
from tests.methods.test_contract import METHODS, build, trainings


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What torch.compile has traced so far."""
    traced: list[Any] = []

    def keep(graph: Any, _examples: Any) -> Any:
        traced.append(graph)
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: real(module, backend=keep, fullgraph=True))
    return traced


def test_every_stage_is_compiled_as_one_graph_however_many_were_before_it(
    graphs: list[Any], context: StageContext
):
    """In one process, as `--method all` does; and its loss is what it is without."""
    compiled_stages = 0
    for name in METHODS:
        model, method_stages = build(name, context)
        before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        for stage in trainings(method_stages):
            compiled_stages += 1
            stages.prepare(model, stage)
            images, labels = torch.randn(8, 3, 64, 64), torch.ones(8, 10)
            losses = []
            for compiled in (False, True):
                model.load_state_dict(before)
                step: nn.Module = build_stage_loss(model, stage, SINGLE_PROCESS, compiled=compiled)
                losses.append(step(images, labels))
            torch.testing.assert_close(losses[1], losses[0], msg=f"{name} {stage.name}")
            assert len(graphs) == compiled_stages, f"{name} {stage.name}"
    assert not any(key.startswith("_orig_mod") for key in model.state_dict())

"""On a trunk of every kind a loss falls, and a training that is killed goes on to the same last bit."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.training import batches, loop, stage_cache, stage_checkpoint, stages
from bench.training.loop import StageRun
from bench.training.stage_cache import StageContext
from tests.methods.test_contract import METHODS, ON_TRUNKS, TRUNKS, build, state, trainings
from tests.training.test_loop import Killed, dying

NEW = TRUNKS[1:]  # the tests of all methods are on the first
TRAINED = [(name, trunk) for name, trunk in ON_TRUNKS if trunk in NEW and name in METHODS]


@pytest.mark.parametrize(("name", "trunk"), TRAINED)
def test_the_loss_of_every_stage_falls_in_a_few_steps(name: str, trunk: str, context: StageContext):
    model, method_stages = build(name, context, trunk=trunk)
    random = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 64, 64, generator=random)
    labels = torch.randint(0, 2, (4, 10), generator=random).float()
    for stage in trainings(method_stages):
        stages.prepare(model, stage)
        optimizer = torch.optim.SGD(stages.parameter_groups(model, stage), lr=0.0005, momentum=0.9)
        losses = []
        for _ in range(4):
            loss = stage.loss(model, images, labels)[0]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0], (stage.name, losses)


@pytest.mark.parametrize("trunk", NEW)
@pytest.mark.parametrize("name", ["resnet101", "srn"])
def test_killed_in_its_last_stage_it_goes_on_to_the_same_weights_bit_by_bit(
    name: str, trunk: str, context: StageContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "LOG_STEPS", 1)
    monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", math.inf)
    ended = {}
    for file, killed_after in (("whole", None), ("killed", 3), ("killed", None)):
        model, method_stages = build(name, context, trunk=trunk)
        stage = replace(trainings(method_stages)[-1], batch_size=24, epochs=1)
        pixels = stage_cache.input_transform(model, context)
        run = StageRun(stage, context.store, 0, pixels, tmp_path / file, "test")
        if killed_after:
            with pytest.raises(Killed):
                loop.train(model, replace(run, feed=dying(batches.training, killed_after)))
        else:
            ended[file] = loop.train(model, run), state(model)
    (history, whole), (again, resumed) = ended["whole"], ended["killed"]
    assert again == history
    assert all(torch.equal(resumed[key], tensor) for key, tensor in whole.items())

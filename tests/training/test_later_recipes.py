"""Recipes of later papers, written as settings alone, and a training with all of it that is killed."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.data.store import Store
from bench.training import loop, method, stage_checkpoint
from bench.training.batches import training
from bench.training.stages import Stage
from methods._recipe import Recipe
from tests.conftest import small_recipe
from tests.killing import stage_run
from tests.process_group import whole_recipe
from tests.training.test_loop import Killed, dying

RECIPES: dict[str, str] = {
    # Ridnik et al. 2021, and their code: Adam with a cycling first beta, laid out for 80 epochs.
    "ASL": "loss=asymmetric,gamma_neg=4,gamma_pos=0,margin=0.05,opt=adam,lr=1e-4,weight_decay=1e-4,"
    "decay_norms=false,sched=onecycle,rise=0.2,cycle_momentum=true,sched_epochs=80,epochs=40,batch_size=128,"
    "cutout=0.5,randaugment=2,mirror=false,crops=,ema=0.9997,weights=averaged,input_size=448,patience=none",
    # Zhu and Wu 2021: the mean over labels; the rate falls every 5 epochs after 2 of warm-up.
    "CSRA": "loss=bce,reduction=mean,opt=sgd,lr=0.01,new_layers_lr=10,momentum=0.9,weight_decay=1e-4,"
    "warmup_epochs=2,sched=step,decay_epochs=5,epochs=30,batch_size=16,scale=0.7:1,mirror=true,"
    "input_size=448,patience=none",
    # Chen et al. 2019: 20 epochs in which the rate never falls, gradients clipped, multi-scale crops.
    "ML-GCN": "loss=bce,reduction=mean,opt=sgd,lr=0.01,new_layers_lr=10,momentum=0.9,weight_decay=1e-4,"
    "clip_norm=10,sched=step,decay_epochs=30,epochs=20,batch_size=16,max_distort=2,input_size=448,"
    "patience=none",
}


def recipe(name: str, card: str = "coco") -> Recipe:
    """The recipe as `bench.run --set FIELD=VALUE` reads it."""
    pairs = (pair.partition("=") for pair in RECIPES[name].split(","))
    changes = {field: value.replace(":", ",") for field, _, value in pairs}
    config: Recipe = method.recipe(method.load_method("resnet101"), card, changes)
    return config


def stage_of(config: Recipe) -> Stage:
    (stage,) = method.load_method("resnet101").stages(config)
    assert isinstance(stage, Stage)
    return stage


def test_asls_recipe_ends_in_the_middle_of_its_cycle():
    stage = stage_of(recipe("ASL"))
    steps = 600
    rates = [stage.schedule.rate(0.0, epoch=epoch, step=0, steps=steps) for epoch in range(1, 41)]
    assert max(rates) == pytest.approx(1e-4, rel=1e-3)
    assert rates.index(max(rates)) == 16  # after 16 of 80 epochs
    assert rates[-1] > 0.5e-4
    assert (stage.opt, stage.ema, stage.weights, stage.decay_norms) == ("adam", 0.9997, "averaged", False)
    assert stage.settings["loss"] == "asymmetric"


def test_csras_recipe_warms_up_and_falls_every_five_epochs():
    stage = stage_of(recipe("CSRA"))
    rates = [stage.schedule.rate(0.0, epoch=epoch, step=9, steps=10) for epoch in (1, 2, 5, 6, 11, 30)]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 1e-3, 1e-4, 1e-7])
    assert stage.trains == {"trunk": 1.0, "classifier": 10.0}
    assert stage.augmentation.scale == (0.7, 1.0)


def test_ml_gcns_recipe_clips_and_never_lowers_its_rate():
    stage = stage_of(recipe("ML-GCN"))
    assert {stage.schedule.rate(0.0, epoch=epoch, step=0, steps=10) for epoch in range(1, 21)} == {0.01}
    assert stage.clip_norm == 10.0
    assert stage.settings["reduction"] == "mean"


@pytest.mark.parametrize("name", RECIPES)
def test_each_trains_without_a_change_of_the_loop(name: str, store: Store, tmp_path: Path):
    """Two steps on the small demo at its size, with its trunk."""
    own = stage_of(recipe(name, "demo"))
    model, settings = stage_run(store, tmp_path / "c")
    stage = replace(own, batch_size=64, input_size=64, epochs=1)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    (row,) = loop.train(model, replace(settings, stage=stage))
    assert math.isfinite(row["loss"])
    assert any(not torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert ("averaged_held_out_mAP" in row) == (name == "ASL")


@pytest.mark.parametrize("at", [2, 4, 7, 11])
def test_killed_at_any_step_it_goes_on_to_the_same_weights_and_history(
    at: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With AdamW, clipping, one-cycle, averaged weights, the best epoch and all augmentations."""
    monkeypatch.setattr(loop, "LOG_STEPS", 1)
    monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", math.inf)
    changes: dict[str, Any] = whole_recipe()
    model, settings = stage_run(store, tmp_path / "whole", **changes)
    history = loop.train(model, settings)
    assert len({row["lr"] for row in history} | {row["lr_first"] for row in history}) == 6
    killed, interrupted = stage_run(store, tmp_path / "interrupted", **changes)
    with pytest.raises(Killed):
        loop.train(killed, replace(interrupted, feed=dying(training, at)))
    again, _ = stage_run(store, tmp_path / "interrupted", **changes)
    assert loop.train(again, interrupted) == history
    assert all(torch.equal(again.state_dict()[key], tensor) for key, tensor in model.state_dict().items())


def test_the_demos_recipe_is_the_papers_optimizer_schedule_and_loss():
    stage = stage_of(small_recipe("resnet101"))
    assert (stage.opt, stage.clip_norm, stage.ema, stage.weights) == ("sgd", 0.0, 0.0, "raw")
    assert (stage.schedule.sched, stage.schedule.warmup_epochs) == ("plateau", 0)
    assert (stage.settings["loss"], stage.settings["reduction"]) == ("bce", "sum")

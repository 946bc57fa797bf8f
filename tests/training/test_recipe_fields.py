"""Recipe fields that change how stages are trained: each has an effect, and a record that says so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.base.errors import InputError
from bench.data.store import Store
from bench.training import learners, log, loop, method, stages
from bench.training.stage_cache import StageContext
from methods import srn
from tests.conftest import small_recipe
from tests.killing import stage_run
from tests.methods.test_contract import build, learn, trainings
from tests.training.test_run import command

__all__ = ["command"]  # a fixture
RATES = {"main_lr": 1.0, "attention_lr": 2.0, "regularization_lr": 3.0, "joint_lr": 4.0}


def starts(name: str, **changes: Any) -> dict[str, float]:
    method_stages = method.load_method(name).stages(small_recipe(name, **changes))
    return {stage.name: stage.schedule.lr for stage in trainings(method_stages)}


class TestRates:
    def test_each_stage_of_srn_starts_at_its_own(self):
        assert [*starts("srn", **RATES).values()] == [1.0, 2.0, 3.0, 4.0]
        for field in RATES:
            assert starts("srn", lr=0.5, **{field: 7.0}) == {
                stage: 7.0 if field.startswith(stage) else 0.5 for stage in starts("srn")
            }

    def test_a_baseline_has_that_of_the_first_stage_and_of_the_joint_one(self):
        rates = {"main_lr": 1.0, "joint_lr": 4.0}
        assert starts("resnet101", budget="equal", **rates) == {"main": 1.0, "further": 4.0}
        assert starts("resnet101_semantic", **rates) == {"main": 1.0, "joint": 4.0}
        assert starts("resnet101_semantic", start="imagenet", **rates) == {"main": 1.0}
        assert starts("mcar", **rates) == {"main": 1.0, "regions": 4.0}

    def test_a_stage_is_trained_at_it(self, context: StageContext):
        _, facts = learn("srn", context, main_lr=0.01, joint_lr=1e-4)
        assert [stage["epochs"][0]["lr"] for stage in facts] == [0.01, 0.05, 0.05, 1e-4]

    def test_a_rate_of_nothing_is_refused(self):
        with pytest.raises(InputError, match="main_lr=0.0: give a number above 0, or none"):
            small_recipe("srn", main_lr=0.0)


class TestDecay:
    def test_norms_and_biases_decay_only_if_asked_for(self, context: StageContext):
        model, method_stages = build("srn", context, decay_norms=False)
        joint = trainings(method_stages)[-1]
        decayed, undecayed = stages.parameter_groups(model, joint)
        assert undecayed["weight_decay"] == 0.0
        assert "weight_decay" not in decayed
        assert {parameter.ndim for parameter in undecayed["params"]} == {1}
        assert min(parameter.ndim for parameter in decayed["params"]) > 1
        assert len(decayed["params"] + undecayed["params"]) == len(list(model.parameters()))
        assert len(stages.parameter_groups(model, replace(joint, decay_norms=True))) == 1

    def test_the_parts_keep_their_factors(self, context: StageContext):
        model, method_stages = build("resnet101", context, decay_norms=False, new_layers_lr=10.0)
        groups = stages.parameter_groups(model, trainings(method_stages)[0])
        assert [(group["factor"], group.get("weight_decay")) for group in groups] == [
            (1.0, None),
            (10.0, None),
            (1.0, 0.0),
            (10.0, 0.0),
        ]

    def test_a_norm_without_decay_keeps_its_weight_where_there_is_no_gradient(
        self, store: Store, tmp_path: Path
    ):
        weights = []
        for decays in (True, False):
            model, settings = stage_run(store, tmp_path / str(decays))
            stage = replace(settings.stage, decay_norms=decays, weight_decay=0.1)
            loop.train(model, replace(settings, stage=stage))
            weights.append(model.get_parameter("trunk.middle.1.weight").detach())
        assert not torch.equal(*weights)


class TestGroups:
    def test_groups_change_what_is_learned_and_the_statistics_are_the_first_groups(
        self, store: Store, tmp_path: Path
    ):
        states = {}
        for name, changes in {"local": {}, "half": {"norm_group": 16}, "whole": {"norm_group": 32}}.items():
            model, settings = stage_run(store, tmp_path / name)
            kind = "local" if name == "local" else "groups"
            assert settings.stage.batch_size == 32
            stage = replace(settings.stage, batch_norm=kind, **changes)  # type: ignore[arg-type]
            loop.train(model, replace(settings, stage=stage))
            states[name] = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        assert all(torch.equal(states["whole"][key], tensor) for key, tensor in states["local"].items())
        name = "trunk.middle.1.running_mean"
        assert not torch.equal(states["half"][name], states["local"][name])
        counted = "trunk.middle.1.num_batches_tracked"
        assert torch.equal(states["half"][counted], states["local"][counted])

    def test_a_batch_without_whole_groups_is_refused_before_any_work(self):
        with pytest.raises(
            InputError, match="batch_norm=groups: a batch of 32 images cannot be .* of 24; cha"
        ):
            small_recipe("srn", batch_norm="groups")
        assert small_recipe("srn", batch_norm="groups", norm_group=8).norm_group == 8
        assert srn.Config(batch_norm="groups").norm_group == 24


class TestAllImages:
    WORDS = ("--held-out", "0", "--patience", "none", "--milestones", "0.5")

    def test_all_are_trained_on_and_the_record_says_so(self, command: Any):
        usual, on_all = (command("--method", "knn", *words)[-1] for words in ((), self.WORDS))
        images = usual["images"]
        assert on_all["images"] == {
            "train": images["train"] + images["held_out"],
            "held_out": 0,
            "test": images["test"],
        }
        assert images["held_out"] > 0
        assert on_all["recipe"]["held_out"] == 0
        assert on_all["data"]["resample"] == "antialiased"
        assert on_all["variant"] == ("batch_size=32,epochs=1,held_out=0,milestones=(0.5,),patience=None")
        main, collection = on_all["stages"]
        assert main["held_out"] is None
        assert [row["held_out_loss"] for row in main["epochs"]] == [None]
        assert collection["collected"] == {"images": 160, "held_out_mAP": None}

    def test_its_log_is_read_and_drawn(self, command: Any, tmp_path: Path):
        command("--method", "resnet101", *self.WORDS)
        (path,) = (tmp_path / "runs" / "demo").glob("*.jsonl")
        (row,) = log.rows(path)
        assert row["held_out_loss"] is row["held_out_mAP"] is None
        from bench.report import run_curves  # noqa: PLC0415 (matplotlib is slow to import)

        assert run_curves.draw({"a": [row]}, title="").axes

    def test_the_store_has_the_same_images_and_no_held_out_one(self, store: Store):
        whole = store.all_in_training
        assert np.array_equal(whole.fitted, np.arange(160))
        assert set(store.fitted) < set(whole.fitted)
        assert len(whole.held_out) == 0
        assert (len(whole.train), len(whole.test)) == (160, 48)

    def test_cooccurrence_is_counted_over_all(self, context: StageContext):
        every = (context.store.train.labels_NC == 1).sum(axis=0)
        recipe = small_recipe("msrn", held_out=0, patience=None)
        counts = np.diag(method.labels_of(context.of(recipe).store).cooccurrence_CC)
        assert np.array_equal(counts, every)

    @pytest.mark.parametrize("changes", [{"patience": 2}, {"select": "best", "patience": None}])
    def test_what_needs_held_out_images_is_refused(self, changes: dict[str, Any]):
        with pytest.raises(InputError, match="held_out=0 trains on all images, .* add --set select=last"):
            small_recipe("srn", held_out=0, **changes)

    def test_the_steps_are_those_of_the_milestones_and_nothing_else(self, context: StageContext):
        changes = {"held_out": 0, "patience": None, "milestones": (0.5,), "epochs": 4}
        model, (stage,) = build("resnet101", context, **changes)
        run = replace(stage_run(context.store, context.folder / "x")[1], stage=stage)  # type: ignore[arg-type]
        run = replace(run, store=context.store.all_in_training)
        facts = learners.TrainingLearner(model, run).learn()
        assert [round(row["lr"], 9) for row in facts["epochs"]] == [0.05, 0.05, 0.005, 0.005]
        assert facts["held_out"] is None

    def test_another_share_is_refused(self):
        with pytest.raises(InputError, match="held_out=10: choose from: 5, 0"):
            method.recipe(method.load_method("srn"), "coco", {"held_out": "10"})


def test_a_variant_is_one_change_in_the_records_name(command: Any):
    (facts,) = command("--method", "srn", "--variant", "released", "--max-distort", "none")
    few = "attention_epochs=1,batch_size=32,epochs=1,joint_epochs=1"
    assert facts["variant"] == f"{few},max_distort=None,regularization_epochs=1,variant=released"
    assert (facts["recipe"]["variant"], facts["recipe"]["joint_loss"]) == ("released", "separate")
    assert facts["images"]["held_out"] == 0
    assert facts["parameters"] > 0

"""Equal terms: one command gives every method SRN's values in all shared fields, and as many epochs."""

from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from bench.base import method_names
from bench.training import method, run_options
from bench.training.stages import Collection, Stage
from methods._recipe import Recipe

CARD = "voc2007-bus-car-cat-train"  # photographs
OPTIONS = "--terms equal --budget equal --trunk resnet10_narrow --from-scratch --input-size 64"
OF_ONE_STAGE = ("name", "owner", "trains", "loss", "epochs", "settings", "schedule")
SHARED = [field.name for field in fields(Recipe)]


def configs() -> dict[str, Any]:
    """The recipe of every method as `bench.run` makes it of the options."""
    args = run_options.parse(["--dataset", CARD, "--method", "all", *OPTIONS.split()], description="")
    return {
        name: method.recipe(method.load_method(name), CARD, run_options.changes(args) | own)
        for name, own in run_options.methods(args.method)
    }


class TestTheCommandForAllMethods:
    def test_all_agree_in_every_shared_field(self):
        """But for those that a method is about, which it names."""
        chosen = configs()
        assert list(chosen) == method_names.methods_in_order()
        expected = chosen["srn"]
        assert (expected.trunk, expected.input_size, expected.batch_size) == ("resnet10_narrow", 64, 32)
        for name, config in chosen.items():
            compared = [field for field in SHARED if field not in config.OWN]
            differing = [field for field in compared if getattr(config, field) != getattr(expected, field)]
            assert differing == [], name

    def test_every_stage_is_trained_with_them(self):
        """Input, augmentation, batches and optimizer; the schedule up to the stage's length."""
        chosen = configs()
        only = method.load_method("resnet101").stages(chosen["resnet101"])[0]
        assert isinstance(only, Stage)
        for name, config in chosen.items():
            for stage in method.load_method(name).stages(config):
                if isinstance(stage, Collection):
                    assert (stage.batch_size, stage.input_size) == (only.batch_size, only.input_size)
                    continue
                compared = [field.name for field in fields(Stage) if field.name not in OF_ONE_STAGE]
                assert [getattr(stage, field) for field in compared] == [
                    getattr(only, field) for field in compared
                ], (name, stage.name)
                length = {"milestones": (), "sched_epochs": 1.0}
                assert replace(stage.schedule, **length) == replace(only.schedule, **length), name
                assert set(stage.trains.values()) <= {1.0, config.new_layers_lr}, name

    def test_all_that_are_trained_take_as_many_epochs(self):
        totals = {}
        for name, config in configs().items():
            trained = [stage for stage in method.load_method(name).stages(config) if isinstance(stage, Stage)]
            totals[name] = sum(stage.epochs for stage in trained)
        assert {name for name, epochs in totals.items() if not epochs} <= {"knn", "linear_probe"}
        assert {epochs for epochs in totals.values() if epochs} == {20 + 10 + 10 + 10}


@dataclass(frozen=True, kw_only=True)
class Later(Recipe):
    """A later paper's recipe: all that a recipe can change, with a loss that is the method."""

    OWN = ("loss", "gamma_neg")
    loss: Any = "asymmetric"
    gamma_neg: float = 2.0
    reduction: Any = "mean"
    input_size: int = 448
    crops: tuple[int, ...] = ()
    scale: tuple[float, ...] = (0.7, 1.0)
    ratio: tuple[float, ...] = (1.0, 1.0)
    cutout: float = 0.5
    randaugment: int = 2
    magnitude: int = 5
    opt: Any = "adamw"
    betas: tuple[float, ...] = (0.9, 0.99)
    clip_norm: float = 10.0
    sched: Any = "onecycle"
    rise: float = 0.2
    cycle_momentum: bool = True
    sched_epochs: int | None = 80
    epochs: int = 40
    ema: float = 0.9997
    weights: Any = "averaged"


@pytest.mark.parametrize("card", ["coco", "demo", CARD])
def test_only_what_a_method_is_about_stays_of_a_later_papers_recipe(card: str):
    """Fields that its own defaults gave are taken back with those that they needed, without a complaint."""
    equal, srn = Later().on_equal_terms(card), method.recipe(method.load_method("srn"), card)
    assert (equal.loss, equal.gamma_neg, equal.terms) == ("asymmetric", 2.0, "equal")
    terms = [field for field in SHARED if field not in ("loss", "gamma_neg", "terms")]
    assert [getattr(equal, field) for field in terms] == [getattr(srn, field) for field in terms]
    assert equal.criterion.loss == "asymmetric"


def test_a_field_without_effect_is_still_refused_where_it_is_given():
    with pytest.raises(method.InputError, match="rise=0.4 counts only with sched=onecycle"):
        replace(Later().on_equal_terms("coco"), rise=0.4)

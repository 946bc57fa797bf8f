"""Tests that every method has to pass; they run for a new file in `methods/` without any change here."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import torch
from torch import nn

from bench.base import method_names, schema
from bench.training import method, stage_cache, stages
from bench.training.method import File
from bench.training.stage_cache import StageContext
from bench.training.stages import Collection, Stage
from methods._recipe_parts import NEEDED
from tests import method_files
from tests.conftest import SMALL, small_recipe

METHODS = method_files.working()
TRUNKS = ("resnet10_narrow", "convnext_narrow", "swin_narrow", "vit_narrow")  # a small one of each kind
ON_TRUNKS = [(name, trunk) for name in METHODS for trunk in TRUNKS if (name, trunk) != ("msrn", "vit_narrow")]
TELLING = [name for name in METHODS if hasattr(method.load_method(name).Model, "explain")]
PAIRS = {"betas": (0.25, 0.5), "scale": (0.25, 0.5), "ratio": (0.25, 0.5)}
OTHER: dict[type, Any] = {  # another value of each kind
    str: "resnet18",
    int: 3,
    float: 0.25,
    File: File(__file__),
}


def build(
    name: str, context: StageContext, seed: int = 0, **changes: Any
) -> tuple[nn.Module, tuple[Stage | Collection, ...]]:
    module, config = method.load_method(name), small_recipe(name, **changes)
    model = method.build(module, config, method.labels_of(context.store), seed)
    return model.to(memory_format=torch.channels_last), module.stages(config)


def learn(name: str, context: StageContext, **changes: Any) -> tuple[nn.Module, list[dict[str, Any]]]:
    model, method_stages = build(name, context, **changes)
    keys = stage_cache.stage_keys(method.load_method(name), small_recipe(name, **changes), context, 0)
    return model, list(
        stage_cache.run_stages(
            model, list(zip(method_stages, keys, strict=True)), context, seed=0, title=name
        )
    )


def needed(field: str) -> dict[str, Any]:
    """The changes with which a field counts."""
    on: dict[str, Any] = {"scale": (0.5, 1.0), "randaugment": 2, "ema": 0.9}
    name, values = NEEDED.get(field, ("", ()))
    return {name: values[0] if values else on[name]} if name else {}


def trainings(method_stages: tuple[Stage | Collection, ...]) -> list[Stage]:
    """The stages that the loop trains."""
    return [stage for stage in method_stages if isinstance(stage, Stage)]


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    """All that predictions depend on: what was collected is in buffers outside `state_dict`."""
    whole = {**model.state_dict(), **dict(model.named_buffers())}
    return {name: tensor.clone() for name, tensor in whole.items()}


@pytest.mark.parametrize("name", method_names.file_names())
def test_its_file_can_be_loaded(name: str):
    assert not method_files.fault(name)


def test_a_broken_file_is_named_and_the_others_are_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    texts = {"torn": "def stages(:", "lacking": "import no_such_package", "whole": ""}
    parts = "Config = Model = stages = RECIPES = None\n"
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(f"{parts}{text}\n", encoding="utf-8")
    monkeypatch.setattr(method_names, "METHODS", tmp_path)
    monkeypatch.setattr(method.search_path, "METHODS", tmp_path)
    monkeypatch.setattr("methods.__path__", [str(tmp_path)])  # as `load_method` sets it, and taken back after
    monkeypatch.setattr(method.code_digest, "digest", lambda _: "")
    assert method_files.working() == ["whole"]
    assert "torn.py: line 2: not Python" in method_files.fault("torn")
    assert method_files.fault("lacking").startswith("methods/lacking.py: ModuleNotFoundError: ")


@pytest.mark.parametrize(("name", "trunk"), ON_TRUNKS)
class TestEveryMethodOnEveryKindOfTrunk:
    def test_gives_a_logit_for_every_image_and_label(self, name: str, trunk: str, context: StageContext):
        model, method_stages = build(name, context, trunk=trunk)
        images, labels = torch.randn(2, 3, 64, 64), torch.zeros(2, 10)
        assert model.eval().logits(images).shape == (2, 10)  # type: ignore[operator]
        for stage in trainings(method_stages):
            loss, logits_BC = stage.loss(model, images, labels)
            assert (loss.shape, logits_BC.shape) == ((), (2, 10))
        if isinstance(method_stages[-1], Stage):
            assert torch.equal(logits_BC, model.logits(images)), "the last stage is not about the prediction"  # type: ignore[operator]

    def test_each_stage_trains_what_it_says_and_leaves_the_rest_as_it_is_to_the_last_bit(
        self, name: str, trunk: str, context: StageContext
    ):
        model, method_stages = build(name, context, budget="equal", trunk=trunk)
        for stage in trainings(method_stages):
            stages.prepare(model, stage)
            groups = stages.parameter_groups(model, stage)
            optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
            before = state(model)
            for _ in range(2):
                images, labels = torch.randn(4, 3, 64, 64), torch.randint(0, 2, (4, 10)).float()
                stage.loss(model, images, labels)[0].backward()
                optimizer.step()
                optimizer.zero_grad()
            changed = {
                key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])
            }
            may_change = {key for key, _ in stages.learned(model, stage)}
            assert changed <= may_change, stage.name
            for prefix in stage.trains:
                assert any(key.startswith(prefix) for key in changed), f"{stage.name} does not train {prefix}"
            frozen = [
                module for key, module in model.named_modules() if stages.trained_part(key, stage) is None
            ]
            assert not any(module.training for module in frozen)


@pytest.mark.parametrize("name", METHODS)
class TestEveryMethod:
    def test_its_loss_falls_in_every_stage(self, name: str, context: StageContext):
        _, facts = learn(name, context, epochs=3, attention_epochs=2, regularization_epochs=2, joint_epochs=2)
        for stage in (stage for stage in facts if stage["epochs"]):
            assert stage["epochs"][-1]["loss"] < stage["epochs"][0]["loss"], stage["name"]

    def test_training_again_gives_the_same_weights_bit_by_bit(
        self, name: str, context: StageContext, tmp_path: Path
    ):
        elsewhere = replace(context, folder=tmp_path / "elsewhere", learned_here=set())
        one, other = (state(learn(name, folder_context)[0]) for folder_context in (context, elsewhere))
        assert all(torch.equal(one[key], other[key]) for key in one)

    def test_what_is_stored_comes_back_bit_by_bit(self, name: str, context: StageContext):
        trained, facts = learn(name, context)
        again, reused = learn(name, context)
        assert [stage["reused"] for stage in facts] == [False] * len(facts)
        assert [stage["reused"] for stage in reused] == [True] * len(facts)
        assert all(torch.equal(state(trained)[key], tensor) for key, tensor in state(again).items())

    def test_another_seed_begins_otherwise(self, name: str, context: StageContext):
        one, other = (build(name, context, seed=seed)[0].state_dict() for seed in (0, 1))
        assert not torch.equal(one["trunk.middle.0.0.weight"], other["trunk.middle.0.0.weight"])
        assert not torch.equal(one["classifier.weight"], other["classifier.weight"])

    def test_every_field_of_its_recipe_counts(self, name: str, context: StageContext):
        """A field that moves no stage's key would let a result be taken for that of another recipe.

        Under the equal budget, where the epochs of SRN's further stages count for all; `budget` itself
        changes only a method that has not these stages; `terms` and `variant` say where other fields' values
        came from.
        """
        module, usual = method.load_method(name), small_recipe(name, budget="equal", patience=None)
        for field, kind in schema.field_types(module.Config).items():
            with_it = replace(usual, **needed(field))
            value = PAIRS.get(field) or other(kind, getattr(usual, field))
            changed = replace(with_it, **{field: value})
            moved = stage_cache.stage_keys(module, changed, context, 0) != stage_cache.stage_keys(
                module, with_it, context, 0
            )
            assert moved or field in ("budget", "terms", "variant"), field

    @pytest.mark.parametrize("card", ["coco", "demo", "of one's own"])
    def test_on_equal_terms_its_settings_are_those_of_resnet101(self, name: str, card: str):
        """Input, crops, loss, optimizer, schedule and epochs, but for those that the method is about; a field
        that is set beside still counts.
        """
        shared, own = (
            method.recipe(method.load_method("resnet101"), card),
            method.load_method(name).Config.OWN,
        )
        terms = [field.name for field in fields(shared) if field.name not in ("terms", *own)]
        equal, papers = (
            method.recipe(method.load_method(name), card, {"terms": terms}) for terms in ("equal", "paper")
        )
        assert [getattr(equal, field) for field in own] == [getattr(papers, field) for field in own]
        assert set(own) <= set(vars(shared))
        assert [getattr(equal, field) for field in terms] == [getattr(shared, field) for field in terms]
        assert equal.terms == "equal"
        changed = method.recipe(method.load_method(name), card, {"lr": "0.5", "terms": "equal"})
        assert changed == replace(equal, lr=0.5)

    def test_building_leaves_the_global_random_state_alone(self, name: str, context: StageContext):
        before = torch.get_rng_state()
        build(name, context)
        assert torch.equal(torch.get_rng_state(), before)


def test_a_method_that_needs_three_scales_refuses_a_plain_vit_in_a_line(context: StageContext):
    with pytest.raises(method.InputError, match="this method needs three strides 8, 16 and 32"):
        build("msrn", context, trunk="vit_narrow")


@pytest.mark.parametrize("name", TELLING)
@torch.no_grad()
def test_what_a_method_tells_of_itself_ends_in_its_prediction(name: str, context: StageContext):
    model: Any = build(name, context)[0].eval()
    images = torch.randn(3, 3, 64, 64)
    explanation = model.explain(images)
    assert torch.equal([*explanation.logits.values()][-1], model.logits(images))
    assert all(logits.shape == (3, 10) for logits in explanation.logits.values())
    assert explanation.attention_BCHW.shape == explanation.weighted_BCHW.shape
    assert torch.allclose(explanation.attention_BCHW.sum(dim=(2, 3)), torch.ones(3, 10))
    assert len(explanation.neurons_BK) == 3
    assert model.influence(explanation).shape == (3, 10, 10)


def test_the_baselines_that_methods_name_exist():
    named = {getattr(method.load_method(name), "BASELINE", None) for name in METHODS} - {None}
    assert named
    assert named <= set(METHODS)


def other(kind: Any, value: Any) -> Any:
    """Another value of a field's type, in its range."""
    if get_origin(kind) is Annotated:
        kind, limit = get_args(kind)
        if not isinstance(value, (tuple, float)) and OTHER[int] not in limit:
            return next(number for number in (96, 128) if number != value)
        if isinstance(value, tuple) and OTHER[get_args(kind)[0]] not in limit:
            return (128,)
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return next(choice for choice in parts if choice != value)
    if isinstance(value, bool):
        return not value
    return (OTHER[parts[0]],) if isinstance(value, tuple) else OTHER[parts[0] if parts else kind]


@pytest.mark.parametrize("name", ["srn", "srn_att", "resnet101_semantic"])
def test_the_first_stage_is_resnet101_trained_once_and_shared(name: str, context: StageContext):
    main = learn("resnet101", context)[0].state_dict()
    model, facts = learn(name, context)
    assert [stage["reused"] for stage in facts] == [True, *([False] * (len(facts) - 1))]
    elsewhere = replace(context, folder=context.folder / "elsewhere", learned_here=set())
    alone, _ = learn(name, elsewhere)
    assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in alone.state_dict().items())
    assert main.keys() <= model.state_dict().keys()


def test_srn_and_srn_att_share_main_and_attention_only(context: StageContext):
    one, other = (
        stage_cache.stage_keys(method.load_method(name), small_recipe(name), context, 0)
        for name in ("srn", "srn_att")
    )
    assert [a == b for a, b in zip(one, other, strict=True)] == [True, True, False, False]


@pytest.mark.parametrize("name", METHODS)
def test_the_equal_budget_gives_every_method_as_many_epochs_as_srn(name: str):
    method_stages = method.load_method(name).stages(small_recipe(name, budget="equal"))
    totals = {sum(stage.epochs for stage in trainings(method_stages))}
    assert totals == {sum(SMALL[field] for field in SMALL if field.endswith("epochs"))}


@pytest.mark.parametrize(
    ("start", "budget", "epochs"),
    [
        ("resnet101", "paper", {"main": 30, "joint": 10}),  # 10 more than ResNet-101, 20 fewer than SRN
        ("resnet101", "equal", {"main": 30, "joint": 30}),
        ("imagenet", "paper", {"main": 30}),
        ("imagenet", "equal", {"main": 30, "further": 30}),
    ],
)
def test_the_semantic_baseline_starts_from_resnet101_or_from_imagenet(
    start: str, budget: str, epochs: dict[str, int]
):
    module = method.load_method("resnet101_semantic")
    config = method.recipe(module, "coco", {"start": start, "budget": budget, "terms": "equal"})
    method_stages = trainings(module.stages(config))
    assert {stage.name: stage.epochs for stage in method_stages} == epochs
    assert method_stages[0].owner == ("methods.resnet101" if start == "resnet101" else module.__name__)
    assert method.recipe(module, "coco").start == "resnet101"


def test_the_semantic_baselines_first_logits_are_those_of_the_trained_resnet101(context: StageContext):
    """Before its own stage has changed them."""
    images = torch.randn(2, 3, 64, 64)
    trained: Any = learn("resnet101", context)[0].eval()
    semantic: Any = build("resnet101_semantic", context)[0].eval()
    semantic.load_state_dict(trained.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.equal(semantic.main_logits(images), trained.logits(images))
        assert not torch.equal(semantic.logits(images), trained.logits(images))


def test_the_equal_budget_shares_the_first_stage_with_the_papers(context: StageContext):
    module = method.load_method("resnet101")
    paper, equal = (
        stage_cache.stage_keys(module, small_recipe("resnet101", budget=b), context, 0)
        for b in ("paper", "equal")
    )
    assert equal[:1] == paper


class TestRecipes:
    def test_a_card_without_a_recipe_gets_the_papers(self):
        config = method.recipe(method.load_method("srn"), "coco")
        assert (config.lr, config.lr_min, config.batch_size, config.momentum) == (1e-3, 1e-5, 96, 0.9)
        assert (config.weight_decay, config.input_size, config.alpha) == (5e-4, 224, 0.5)

    def test_fields_are_set_from_text_in_their_own_type(self):
        changes = {
            "lr": "0.5",
            "epochs": "3",
            "mirror": "true",
            "crops": "256,128",
            "milestones": "0.5,0.75",
            "max_distort": "1",
            "trunk": "resnet18",
        }
        config = method.recipe(method.load_method("srn"), "demo", changes)
        values = {name: getattr(config, name) for name in changes}
        assert values == {
            "lr": 0.5,
            "epochs": 3,
            "mirror": True,
            "crops": (256, 128),
            "milestones": (0.5, 0.75),
            "max_distort": 1,
            "trunk": "resnet18",
        }

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"learning_rate": "1"}, "unknown recipe field 'learning_rate'; choose from: .*lr"),
            ({"lr": "fast"}, "^lr=fast: give a number, as in lr=0.05$"),
            ({"epochs": "2.5"}, r"^epochs=2.5: give a whole number, as in epochs=\d+$"),
            ({"mirror": "maybe"}, "^mirror=maybe: give true or false, as in mirror=false$"),
            ({"crops": "a"}, r"^crops=a: give whole numbers, with commas between them, as in crops=[\d,]+$"),
            ({"scale": "a"}, "^scale=a: give numbers, with commas between them, as in scale=0.5$"),
            ({"max_distort": "x"}, "^max_distort=x: give a whole number, or none, as in max_distort=3$"),
            ({"budget": "double"}, "budget=double: choose from: paper, equal"),
            ({"joint_loss": "both"}, "joint_loss=both: choose from: fused, separate"),
        ],
    )
    def test_a_wrong_field_or_value_is_named(self, change: dict[str, str], message: str):
        with pytest.raises(method.InputError, match=message):
            method.recipe(method.load_method("srn"), "demo", change)

"""The keys of stages: data, names of labels, recipe and code each change them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch

from bench.data.store import Store
from bench.training import device, method, stage_cache
from bench.training.distributed import process_group
from bench.training.stage_cache import StageContext
from methods import srn
from tests.conftest import small_recipe


def keys(model: type[Any], context: StageContext) -> list[str]:
    """Those of SRN's stages under another model."""
    as_method: Any = SimpleNamespace(Model=model, stages=srn.stages)
    return stage_cache.stage_keys(as_method, small_recipe("srn"), context, 0)


class Flat(srn.Model):
    """SRN that looks everywhere alike."""

    def maps(self, x_BDHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        attention_BCHW, confidence_BCHW = super().maps(x_BDHW)
        return torch.full_like(attention_BCHW, 1 / attention_BCHW[0, 0].numel()), confidence_BCHW


class Voting(srn.Model):
    """SRN that adds to what it extends, and predicts otherwise."""

    def more(self) -> int:
        return 1

    def logits(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        return self.main_logits(images_BCHW)


def test_a_model_that_replaces_a_part_of_another_methods_shares_no_stage_that_may_use_it(
    context: StageContext,
):
    """ResNet-101's stage, which knows nothing of maps, stays shared."""
    same = [one == other for one, other in zip(keys(srn.Model, context), keys(Flat, context), strict=True)]
    assert same == [True, False, False, False]


def test_one_that_only_adds_to_it_or_predicts_otherwise_shares_them_all(context: StageContext):
    assert keys(srn.Model, context) == keys(Voting, context)


def test_a_stage_of_an_owner_without_a_model_counts_the_methods_own_code(context: StageContext):
    as_method: Any = SimpleNamespace(
        Model=srn.Model, stages=lambda config: (replace(srn.stages(config)[0], owner="methods._recipe"),)
    )
    (key,) = stage_cache.stage_keys(as_method, small_recipe("srn"), context, 0)
    assert key not in keys(srn.Model, context)


def test_other_names_of_the_labels_are_other_data(context: StageContext):
    """The numbers by label, and what word vectors stand for, depend on them."""
    names = context.store.manifest["labels"]
    swapped = Store(context.store.folder, {**context.store.manifest, "labels": [*names[1::-1], *names[2:]]})
    module, config = method.load_method("resnet101"), small_recipe("resnet101")
    keys_before, keys_after = (
        stage_cache.stage_keys(module, config, replace(context, store=store), 0)
        for store in (context.store, swapped)
    )
    assert keys_before != keys_after


def test_what_a_killed_save_left_is_swept_up(context: StageContext):
    context.folder.mkdir(parents=True)
    finished = context.folder / "ab.safetensors"
    torn = [context.folder / f".ab{middle}.safetensors.x1" for middle in ("", ".unfinished")]
    other = context.folder / ".cd.safetensors.x1"
    for file in (*torn, other):
        file.touch()
    stage_cache._delete_temporary_files(finished)
    assert [file.exists() for file in (*torn, other)] == [False, False, True]


def test_another_number_of_threads_is_another_key_and_stands_in_the_record(context: StageContext):
    """On the CPU sums then have another order: a tiny SRN had mAP 53.34 with one thread, 53.12 with two."""
    one = keys(srn.Model, context)
    torch.set_num_threads(2)
    try:
        two = keys(srn.Model, context)
        assert device.execution(context.device) == {"device": "cpu", "precision": "float32", "threads": 2}
    finally:
        torch.set_num_threads(1)
    assert not set(one) & set(two)
    assert keys(srn.Model, context) == one


def test_a_run_has_the_threads_that_it_is_told_whatever_the_environment_says():
    torch.set_num_threads(2)
    try:
        with process_group("cpu", threads=1):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(1)

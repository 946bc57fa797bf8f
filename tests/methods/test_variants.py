"""SRN as the paper's text has it, and as its authors released it: `variant`."""

from typing import Any

import pytest
import torch

from bench.base.errors import InputError
from bench.training import method, trunk
from methods import srn
from tests.methods.test_methods import COCO, on_resnet101, parameters

# What is known of the release: Zhu et al.'s Caffe network and solvers, and the authors' answers to users.
RELEASED = {
    "attention_blocks": 2,  # two bottleneck blocks of 1024 channels before both maps
    "branch_norms": True,  # batch norm before each ReLU of the branches
    "confidence_hidden": 512,  # S = conv 1x1 C (ReLU (conv 1x1 512))
    "joint_loss": "separate",  # L(y, y_cls) + L(y, y_att) + L(y, y_sr)
    "max_distort": 1,  # Caffe's default: neighbours in the list of sizes
    "mirror": True,  # as Wang et al. 2015
    "patience": None,  # fixed steps
    "milestones": (0.7, 0.9),  # ours: their solvers' iterations are unknown
    "held_out": 0,  # the lists have all training images
    "trunk": "resnetv2_101.a1h_in1k",  # pre-activation
}
TEXT = {
    "attention_blocks": 0,  # Fig. 2 and 3
    "branch_norms": False,  # section 3.2 and 3.3 name convolutions and ReLU only
    "confidence_hidden": 0,  # "conv1" is one convolution
    "joint_loss": "fused",  # Eq. 10
    "max_distort": None,  # width and height "randomly" from the list
    "mirror": False,  # section 3.4 has crops only
    "patience": 2,  # "when the validation loss saturates"
    "milestones": (),
    "held_out": 5,
    "trunk": "resnet101.tv_in1k",
}


def recipe(name: str = "srn", card: str = "coco", **changes: str) -> Any:
    return method.recipe(method.load_method(name), card, changes)


@pytest.mark.parametrize("name", ["srn", "srn_att"])
@pytest.mark.parametrize(("variant", "fields"), [("released", RELEASED), ("text", TEXT)])
def test_a_variant_is_its_fields_and_nothing_else(name: str, variant: str, fields: dict[str, Any]):
    chosen = vars(recipe(name, variant=variant))
    assert chosen == {**vars(recipe(name)), **fields, "variant": variant}
    assert srn.VARIANTS.keys() == fields.keys()


def test_the_default_is_the_text_with_blocks_norms_and_mirroring_of_the_release():
    default = vars(recipe())
    assert default == {**vars(recipe(variant="text")), "variant": "default", **PARTS_OF_THE_RELEASE}
    assert {name: RELEASED[name] for name in PARTS_OF_THE_RELEASE} == PARTS_OF_THE_RELEASE
    assert recipe(variant="default") == recipe()


PARTS_OF_THE_RELEASE = {"attention_blocks": 2, "branch_norms": True, "mirror": True}


def test_single_fields_override_a_variant():
    changed = recipe(variant="released", max_distort="none", trunk="resnetv2_50.a1h_in1k", held_out="5")
    assert (changed.max_distort, changed.trunk, changed.held_out) == (None, "resnetv2_50.a1h_in1k", 5)
    assert changed.joint_loss == "separate"


def test_a_trunk_that_the_card_trains_from_scratch_stays():
    assert recipe(card="demo", variant="released").trunk == "resnet10_narrow"
    assert recipe(card="demo", variant="released").lr == recipe(card="demo").lr
    assert recipe(variant="released", from_scratch="true").trunk == RELEASED["trunk"]


def test_the_released_trunk_is_pre_activation_and_has_weights():
    assert trunk.timm.is_model_pretrained(RELEASED["trunk"])
    with torch.device("meta"):
        assert not trunk.load_trunk("resnetv2_101", from_scratch=True).rectified


def test_an_unknown_variant_lists_those_that_exist():
    with pytest.raises(InputError, match="variant=paper: choose from: default, text, released"):
        recipe(variant="paper")


def test_the_texts_network_has_no_norms_but_biases():
    """Without norms and blocks, but with a bias for each convolution: fewer than the default's 6.1 M."""
    baseline = parameters(on_resnet101("resnet101"))
    text = on_resnet101("srn", attention_blocks=0, branch_norms=False)
    without_norms = 512 + 512 + 512 + 512 + 2048  # a norm has two numbers for each channel, a bias one
    assert parameters(text) - baseline == 3_883_248 - without_norms
    norms = [name for name, module in text.named_modules() if hasattr(module, "running_mean")]
    assert all(name.startswith("trunk.") for name in norms)


@pytest.mark.parametrize("variant", ["text", "released"])
def test_a_variants_model_gives_logits_and_its_joint_loss(variant: str):
    config = recipe(card="demo", variant=variant)
    model: Any = method.build(method.load_method("srn"), config, COCO, 0)
    joint = srn.stages(config)[-1]
    loss, logits = joint.loss(model, torch.randn(3, 3, 64, 64), torch.zeros(3, 80))
    assert logits.shape == (3, 80)
    assert loss.isfinite()

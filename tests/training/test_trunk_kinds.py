"""Trunks that are not ResNets: maps at the strides they say, sizes they take, what they lack is said."""

from typing import Any

import pytest
import timm
import torch

from bench.base.errors import InputError
from bench.training import trunk as trunks

# Small networks of each family, at 64 pixels: name, input size, stride of X, whether it has three scales.
FAMILIES = [
    ("convnext_narrow", 64, 16, True),
    ("swin_narrow", 64, 16, True),
    ("vit_narrow", 64, 16, False),
    ("regnety_002", 64, 16, True),
    ("tf_efficientnet_lite0", 64, 16, True),
    ("vit_tiny_patch16_224", 96, 16, False),
    ("eva02_tiny_patch14_224", 56, 14, False),
]


def build(name: str, input_size: int) -> Any:
    torch.manual_seed(0)
    return trunks.load_trunk(name, input_size=input_size, from_scratch=True).eval()


@pytest.mark.parametrize(("name", "size", "stride", "has_pyramid"), FAMILIES)
def test_maps_have_the_channels_and_sides_that_the_trunk_says(
    name: str, size: int, stride: int, has_pyramid: bool
):
    trunk, images = build(name, size), torch.randn(2, 3, size, size)
    with torch.no_grad():
        x, features = trunk(images)
        assert torch.equal(trunk.x(images), x)
        assert torch.equal(trunk.features(images), features)
        assert x.shape == (2, trunk.x_channels, trunk.x_side(size), trunk.x_side(size))
        assert (trunk.x_side(size), features.shape[1]) == (size // stride, trunk.channels)
        if has_pyramid:
            maps = trunk.pyramid(images)
            assert tuple(level.shape[1] for level in maps) == trunk.widths
            assert torch.equal(maps[1], x)
            assert torch.equal(maps[2], features)


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, size, _, _ in FAMILIES])
def test_every_parameter_of_the_trunk_has_a_gradient(name: str, size: int):
    """A part that nothing uses would be trained by weight decay alone, and stop a run on several GPUs."""
    trunk = build(name, size).train()
    trunk.features(torch.randn(2, 3, size, size)).square().sum().backward()
    assert [key for key, value in trunk.named_parameters() if value.grad is None] == []


def test_the_features_are_those_that_timm_classifies():
    """Swin: after its last norm. ViT: all tokens of patches, in the order of the image, without the first."""
    images = torch.randn(2, 3, 64, 64)
    for name in ("swin_narrow", "vit_narrow"):
        trunk = build(name, 64)
        with torch.no_grad():
            features, output = trunk.features(images), trunk.network.forward_features(images)
        tokens = output[:, 1:].unflatten(1, (4, 4)) if name == "vit_narrow" else output
        torch.testing.assert_close(features, tokens.permute(0, 3, 1, 2))


def test_a_norm_that_follows_the_pooling_is_applied_at_each_position():
    network = timm.create_model("convnext_atto", num_classes=0, **trunks.SMALL["convnext_narrow"][1]).eval()
    trunk = build("convnext_narrow", 64)
    trunk.network.load_state_dict(network.state_dict(), strict=False)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = network.head.norm(network.forward_features(images))
        torch.testing.assert_close(trunk.features(images), expected)


def test_x_costs_no_later_stage():
    for name in ("convnext_narrow", "swin_narrow", "resnet18"):
        trunk = build(name, 64)
        parts = trunk.last if name == "resnet18" else [*trunk.network.children()][1][-1]
        parts.register_forward_hook(lambda *_: pytest.fail("the last stage was computed"))
        trunk.x(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("vit_narrow", 72, "trunk vit_narrow cannot take images of 72 pixels: it is not a multiple of 16"),
        ("swin_narrow", 66, "cannot take images of 66 pixels: it is not a multiple of 4, the side of its pa"),
        ("tresnet_m", 66, r"tresnet_m cannot take images of 66 pixels: .* its own size is 224; change --inp"),
    ],
)
def test_a_size_that_the_network_cannot_take_is_refused(name: str, size: int, message: str):
    with pytest.raises(InputError, match=message):
        trunks.load_trunk(name, input_size=size, from_scratch=True)


def test_a_scale_that_the_trunk_lacks_is_named():
    vit = build("vit_narrow", 64)
    for use in (lambda: vit.widths, lambda: vit.pyramid(torch.randn(1, 3, 64, 64))):
        with pytest.raises(InputError, match=r"vit_narrow has maps at stride 16; this method needs three"):
            use()
    coarse = build("levit_128s", 224)
    assert coarse.x_channels
    coarse.scales = {32: 4}
    with pytest.raises(InputError, match="at stride 32; this method needs stride 16: choose another"):
        _ = coarse.x_channels


@pytest.mark.parametrize("name", ["swin_narrow", "vit_narrow"])
def test_nothing_in_a_trunk_is_left_to_chance_while_it_trains(name: str):
    """timm's Swin has stochastic depth: drawn from the global state, it would be other after a resume."""
    trunk = trunks.load_trunk(name, input_size=64, from_scratch=True).train()
    images = torch.randn(4, 3, 64, 64)
    assert all(torch.equal(trunk.features(images), trunk.features(images)) for _ in range(3))
    assert not any(getattr(module, "drop_prob", 0.0) for module in trunk.modules())

"""The trunk: X is the rectified output of the third stage; missing weights are an error."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

import pytest
import safetensors.torch
import timm
import torch

from bench.base.errors import InputError
from bench.training import trunk as trunks
from bench.training import trunk_weights


@pytest.mark.parametrize("name", ["resnet18", "resnet10_narrow", "resnetv2_50"])
def test_x_and_features_have_the_sides_and_channels_they_say(name: str):
    trunk = trunks.load_trunk(name, from_scratch=True).eval()
    x, features = trunk(torch.randn(1, 3, 64, 64))
    assert x.shape == (1, trunk.x_channels, trunk.x_side(64), trunk.x_side(64))
    assert features.shape == (1, trunk.channels, 2, 2)
    assert (x.min() >= 0) == trunk.rectified
    assert features.min() >= 0


NAMES = ["resnet18", "resnet10_narrow", "resnetv2_50", "convnext_narrow", "swin_narrow"]


@pytest.mark.parametrize("name", NAMES)
def test_the_pyramid_is_three_stages_the_upper_two_x_and_features(name: str):
    trunk = trunks.load_trunk(name, input_size=64, from_scratch=True).eval()
    images = torch.randn(1, 3, 64, 64)
    outputs = trunk.pyramid(images)
    assert [tuple(output.shape) for output in outputs] == [
        (1, width, side, side) for width, side in zip(trunk.widths, (8, 4, 2), strict=True)
    ]
    for output, expected in zip(outputs[1:], trunk(images), strict=True):
        torch.testing.assert_close(output, expected)


@pytest.mark.parametrize("name", ["resnet18", "resnetv2_50"])
def test_the_parts_together_are_timms_network(name: str):
    """features() is timm's own forward_features, x() and pyramid() are its stages' outputs."""
    trunk = trunks.load_trunk(name, from_scratch=True).eval()
    resnet = timm.create_model(name, num_classes=0).eval()
    parts = [*trunk.middle.state_dict().values(), *trunk.last.state_dict().values()]
    resnet.load_state_dict(dict(zip(resnet.state_dict(), parts, strict=True)))
    images = torch.randn(2, 3, 96, 96)
    x, features = trunk(images)
    output, stages = resnet.forward_intermediates(images, indices=[2, 3])
    torch.testing.assert_close(features, output)
    torch.testing.assert_close(trunk.pyramid(images)[:2], tuple(stages))
    torch.testing.assert_close(trunk.features(images), features)
    torch.testing.assert_close(trunk.x(images), x)


def test_a_preactivation_trunk_takes_in_each_batchs_statistics_once():
    trunk = trunks.load_trunk("resnetv2_50", from_scratch=True).train()
    for number, forward in enumerate((trunk, trunk.pyramid), start=1):
        forward(torch.randn(2, 3, 64, 64))
        counts = {
            int(value) for name, value in trunk.state_dict().items() if name.endswith("num_batches_tracked")
        }
        assert counts == {number}


def test_weights_of_a_file_are_loaded_without_its_classifier(tmp_path: Path):
    other = timm.create_model("resnet18", num_classes=7)
    safetensors.torch.save_file(other.state_dict(), tmp_path / "w.safetensors")
    torch.save(other.state_dict(), tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        trunk = trunks.load_trunk("resnet18", weights=str(tmp_path / name))
        assert torch.equal(trunk.middle[0].weight, other.conv1.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"not tensors", b"hello world", b"\x80\x04cos\nsystem\n"])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_file_that_holds_no_tensors_is_refused(tmp_path: Path, content: bytes, name: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} does not hold this trunk's weights"):
        trunks.load_trunk("resnet18", weights=str(tmp_path / name))


def test_weights_of_another_network_and_a_missing_file_are_refused(tmp_path: Path):
    safetensors.torch.save_file(timm.create_model("resnet34").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"Unexpected key.*layer1\.2"):
        trunks.load_trunk("resnet18", weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(InputError, match="nowhere.pth does not hold"):
        trunks.load_trunk("resnet18", weights=str(tmp_path / "nowhere.pth"))


def test_without_network_the_remedy_is_said_and_no_random_weights_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def unreachable(*_: Any, **__: Any) -> NoReturn:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(trunk_weights.hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match=r"resnet101.tv_in1k cannot be .*--trunk-weights FILE, or --from-scratch"
    ):
        trunks.load_trunk("resnet101.tv_in1k")


def test_a_bare_name_does_not_silently_take_timms_newest_weights():
    with pytest.raises(
        InputError, match="does not say which weights; add timm's tag, as in resnet101.tv_in1k"
    ):
        trunks.load_trunk("resnet101")


def test_a_small_trunk_has_no_weights_to_load():
    with pytest.raises(InputError, match="resnet10_narrow has no pretrained weights: add --from-scratch"):
        trunks.load_trunk("resnet10_narrow")


@pytest.mark.parametrize("name", ["vit_base_patch17", "resnet1001", "resnet101.none_such"])
def test_what_timm_does_not_have_is_refused(name: str):
    with pytest.raises(InputError, match="unknown trunk"):
        trunks.load_trunk(name, from_scratch=True)


@pytest.mark.parametrize("name", ["resnet10_narrow", "resnet18"])
def test_weights_that_would_not_be_read_are_refused(name: str):
    with pytest.raises(
        InputError, match=r"trunk_weights=w.pth: the recipe trains from scratch; add --from-s"
    ):
        trunks.load_trunk(name, weights="w.pth", from_scratch=True)


def test_tensors_without_names_are_refused(tmp_path: Path):
    torch.save({1: torch.ones(2)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="it is not a dictionary of named tensors"):
        trunks.load_trunk("resnet18", weights=str(tmp_path / "w.pth"))


def test_weights_that_are_not_finite_name_their_file(tmp_path: Path):
    path = tmp_path / "w.pth"
    state = timm.create_model("resnet18", num_classes=0).state_dict()
    state["conv1.weight"][0] = float("nan")
    torch.save(state, path)
    with pytest.raises(
        InputError, match=r"w.pth does not hold this trunk's weights: conv1.weight holds values"
    ):
        trunks.load_trunk("resnet18", weights=str(path))

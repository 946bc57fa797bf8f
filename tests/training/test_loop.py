"""The training loop: resuming, values that are not finite, errors for the user, selection of the epoch."""

import doctest
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.base.errors import InputError
from bench.data.store import Store
from bench.training import batches, loop, stage_checkpoint, validation
from bench.training.stage_cache import StageContext
from tests.killing import stage_run
from tests.methods.test_contract import learn


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@pytest.mark.parametrize("at", [1, 3, 4, 7, 11])
def test_killed_at_any_step_it_goes_on_to_the_same_weights_and_history(
    at: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "LOG_STEPS", 1)
    monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", math.inf)
    model, settings = stage_run(store, tmp_path / "whole")
    history = loop.train(model, settings)

    killed, interrupted = stage_run(store, tmp_path / "interrupted")
    with pytest.raises(Killed):
        loop.train(killed, replace(interrupted, feed=dying(batches.training, at)))
    again, _ = stage_run(store, tmp_path / "interrupted")
    assert loop.train(again, interrupted) == history
    assert all(torch.equal(again.state_dict()[key], tensor) for key, tensor in model.state_dict().items())


def dying(real: Any, after: int) -> Any:
    """`real`, but the process dies after that many batches of all epochs."""
    left = [after]

    def training(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for batch in real(*args, **kwargs):
            if not left[0]:
                raise Killed
            left[0] -= 1
            yield batch

    return training


def test_a_stage_that_its_schedule_ended_is_not_trained_on(store: Store, tmp_path: Path):
    """A process that dies between the last checkpoint and the stage's result does not train it further."""
    ending = replace(stage_run(store, tmp_path)[1].stage.schedule, patience=1, threshold=1.0, lr_min=1.0)
    model, short = stage_run(store, tmp_path / "c", schedule=ending)
    history = loop.train(model, short)
    assert len(history) == 1  # of three: nothing improves by 100 %
    weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    assert loop.train(model, short) == history
    assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in weights.items())


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_what_is_not_finite_never_reaches_the_weights_and_names_its_step(
    kind: str, store: Store, tmp_path: Path
):
    steps = [0]
    model, settings = stage_run(store, tmp_path / "c")
    frozen: dict[str, torch.Tensor] = {}

    def bad(model: Any, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        steps[0] += 1
        loss, logits = settings.stage.loss(model, images, labels)
        if steps[0] == 3:
            frozen.update({key: value.detach().clone() for key, value in model.named_parameters()})
            zero = model.classifier.bias.sum() * 0
            # The slope of a root at 0 is infinite.
            loss = loss * math.nan if kind == "loss" else loss + zero.sqrt()
        return loss, logits

    with pytest.raises(
        InputError, match=r"not finite at stage main, epoch 1, step 3: lower the learning rate"
    ):
        loop.train(model, replace(settings, stage=replace(settings.stage, loss=bad)))
    assert (
        steps[0] == settings.steps
    )  # it is reported at the log line, without a wait for the device at each step
    assert all(torch.equal(value, frozen[key]) for key, value in model.named_parameters())
    assert not (tmp_path / "c").exists()


def test_a_batch_too_large_for_the_gpu_is_said_with_a_smaller_one(store: Store, tmp_path: Path):
    model, settings = stage_run(store, tmp_path / "c")

    def large(*_given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(InputError, match=r"stage main: batches of 32 do not fit .* use --set batch_size=16,"):
        loop.train(model, replace(settings, stage=replace(settings.stage, loss=large)))


def test_without_a_compiler_compiled_training_is_refused_in_a_line(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def none(_graph: Any, _examples: Any) -> Any:
        raise FileNotFoundError("no C++ compiler\nand much more")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: real(module, backend=none))
    model, settings = stage_run(store, tmp_path / "c")
    with pytest.raises(InputError, match=r"--compile does not work on this machine; leave it out") as refused:
        loop.train(model, replace(settings, compiled=True))
    assert "no C++ compiler" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_any_other_fault_of_torchs_is_not_dressed_up(store: Store, tmp_path: Path):
    model, settings = stage_run(store, tmp_path / "c")

    def broken(*_given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="^shapes do not match$") as seen:
        loop.train(model, replace(settings, stage=replace(settings.stage, loss=broken)))
    assert not isinstance(seen.value, InputError)


def test_fewer_images_than_a_batch_are_an_error_and_not_an_empty_training(store: Store, tmp_path: Path):
    model, large = stage_run(store, tmp_path / "c", batch_size=1000)
    few = len(store.fitted)
    message = (
        rf"too few images: {few} to train on in batches of 1000 \(\d+ more are held out\);"
        f" give --batch-size {few} or less$"
    )
    with pytest.raises(InputError, match=message):
        loop.train(model, large)


def test_history_states_rate_loss_and_what_the_held_out_images_say(store: Store, tmp_path: Path):
    history = loop.train(*stage_run(store, tmp_path / "c"))
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert set(history[0]) == {"epoch", "lr", "loss", "held_out_loss", "held_out_mAP"}
    assert all(0 < row["held_out_mAP"] <= 100 and row["loss"] > 0 for row in history)


def test_the_first_epochs_loss_is_the_mean_over_its_batches(store: Store, tmp_path: Path):
    losses: list[float] = []
    model, settings = stage_run(store, tmp_path / "c", epochs=1)

    def noted(model: Any, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        loss, logits = settings.stage.loss(model, images, labels)
        if torch.is_grad_enabled():
            losses.append(loss.item())
        return loss, logits

    (row,) = loop.train(model, replace(settings, stage=replace(settings.stage, loss=noted)))
    assert len(losses) == settings.steps
    assert row["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-6)


class TestSelection:
    """Held-out mAP that rises and falls: the second epoch of three is the best."""

    @pytest.fixture(autouse=True)
    def scores(self, monkeypatch: pytest.MonkeyPatch) -> dict[int, dict[str, torch.Tensor]]:
        seen: dict[int, dict[str, torch.Tensor]] = {}

        def validate(model: Any, *_given: Any) -> tuple[float, float | None]:
            epoch = len(seen) + 1
            seen[epoch] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            return 2.0, {1: 60.0, 2: 70.0, 3: 65.0}[epoch]

        monkeypatch.setattr(validation, "validate", validate)
        return seen

    @pytest.mark.parametrize(("select", "epoch"), [("last", 3), ("best", 2)])
    def test_a_stage_ends_with_the_weights_it_asks_for(
        self, select: Any, epoch: int, scores: dict[int, Any], store: Store, tmp_path: Path
    ):
        model, settings = stage_run(store, tmp_path / "c", select=select)
        history = loop.train(model, settings)
        assert stage_checkpoint.best_epoch(history) == 2
        assert all(torch.equal(scores[epoch][key], tensor) for key, tensor in model.state_dict().items())
        again, _ = stage_run(store, tmp_path / "c", select=select)
        assert loop.train(again, settings) == history  # from its checkpoint, which holds both
        assert all(torch.equal(scores[epoch][key], tensor) for key, tensor in again.state_dict().items())

    def test_killed_after_the_best_epoch_it_still_ends_with_it(
        self, scores: dict[int, Any], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", math.inf)
        model, settings = stage_run(store, tmp_path / "c", select="best")
        with pytest.raises(Killed):
            loop.train(model, replace(settings, feed=dying(batches.training, 9)))
        again, _ = stage_run(store, tmp_path / "c", select="best")
        loop.train(again, settings)
        assert all(torch.equal(scores[2][key], tensor) for key, tensor in again.state_dict().items())


def test_the_best_epoch_without_mean_average_precision_has_the_lowest_loss():
    rows = [{"epoch": n, "held_out_mAP": None, "held_out_loss": loss} for n, loss in ((1, 3.0), (2, 2.0))]
    assert stage_checkpoint.best_epoch(rows) == 2
    assert doctest.testmod(stage_checkpoint).failed == 0


@pytest.mark.parametrize("select", ["last", "best"])
def test_a_stages_facts_name_its_last_its_best_and_its_selected_epoch(select: str, context: StageContext):
    _, (facts,) = learn("resnet101", context, select=select)
    ends = {"last": 2, "best": stage_checkpoint.best_epoch(facts["epochs"])}
    assert facts["held_out"] == {**ends, "selected": ends[select]}


def test_validation_that_is_not_finite_names_stage_epoch_and_remedy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model, settings = stage_run(store, tmp_path / "stage")
    monkeypatch.setattr(validation, "validate", lambda *_: (math.nan, None))
    with pytest.raises(
        InputError, match=r"held-out images is not finite at stage main, epoch 1: lower the lear"
    ):
        loop.train(model, settings)


def test_logits_that_are_not_finite_make_the_held_out_loss_nan(store: Store, tmp_path: Path):
    model, settings = stage_run(store, tmp_path / "stage")
    torch.nn.init.constant_(model.classifier.bias, math.inf)
    assert math.isnan(validation.validate(model, settings)[0])

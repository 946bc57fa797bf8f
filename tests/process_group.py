"""The work that tests give to several processes under torchrun: training, collecting and predicting."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.base.protocol import Evaluation
from bench.data.store import Store, open_store
from bench.training import (
    best_on_test,
    captured_step,
    distributed,
    inference,
    loop,
    method,
    stage_cache,
    tensor_file,
    validation,
)
from bench.training.distributed import Processes
from bench.training.stage_cache import StageContext
from bench.training.weight_average import WeightAverage
from tests.conftest import small_recipe
from tests.killing import stage_run
from tests.training.test_captured_step import TapeRecorder

CPU = torch.device("cpu")


def loss64(model: Any, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    logits_BC = model.main_logits(images_BCHW.double())
    total = F.binary_cross_entropy_with_logits(logits_BC, labels_BC.double(), reduction="sum")
    return total / len(labels_BC), logits_BC


def steps_in_float64(store: Store, folder: Path, processes: Processes) -> None:
    """Train 20 steps with frozen norms; the last checkpoint stays in the folder."""
    model, settings = stage_run(store, folder / f"float64-{processes.size}.safetensors", epochs=5)
    stage = replace(settings.stage, loss=loss64, batch_norm="frozen")
    loop.train(model.double(), replace(settings, stage=stage, processes=processes))


def recipe_in_float64(store: Store, folder: Path, processes: Processes) -> None:
    """The same with AdamW, clipping, one-cycle, averaged weights and all augmentations."""
    model, settings = stage_run(store, folder / f"recipe-{processes.size}.safetensors", **whole_recipe())
    stage = replace(settings.stage, loss=loss64, batch_norm="frozen")
    loop.train(model.double(), replace(settings, stage=stage, processes=processes))


def whole_recipe() -> dict[str, Any]:
    """The fields of a stage under a recipe that has everything on; three epochs of a cycle of five."""
    fields = {"opt": "adamw", "clip_norm": 5.0, "ema": 0.9, "weights": "averaged", "select": "best"}
    fields |= {"sched": "onecycle", "sched_epochs": 5, "cycle_momentum": True, "lr": 1e-3, "crops": ()}
    fields |= {"scale": (0.5, 1.0), "mirror": True, "jitter": 0.2, "cutout": 0.5, "randaugment": 2}
    (stage,) = method.load_method("resnet101").stages(small_recipe("resnet101", epochs=3, **fields))
    return {name: value for name, value in vars(stage).items() if name != "loss"}


def all_stages(store: Store, folder: Path, processes: Processes) -> None:
    """Train SRN's stages and predict; every process writes the weights and logits that it ends with."""
    context = StageContext(
        store, torch.device("cpu"), folder / f"stages-{processes.size}", processes=processes
    )
    module, config = method.load_method("srn"), small_recipe("srn", crops=(256, 128))
    model = method.build(module, config, method.labels_of(store), 0).to(memory_format=torch.channels_last)
    plan = list(zip(module.stages(config), stage_cache.stage_keys(module, config, context, 0), strict=True))
    facts = list(stage_cache.run_stages(model, plan, context, seed=0, title="SRN"))
    logits_NC = inference.predict(
        model, store.test, stage_cache.input_transform(model, context), batch_size=20, processes=processes
    )
    epochs = [stage["epochs"] for stage in facts]
    tensors = {"logits": torch.from_numpy(logits_NC), **model.state_dict()}
    tensor_file.save(
        folder / f"view-{processes.size}-{processes.rank}.safetensors", tensors, {"epochs": epochs}
    )


def same_weights(store: Store, folder: Path, processes: Processes) -> None:
    """Validate an untrained model, and predict with it."""
    model, settings = stage_run(store, folder / "none", batch_size=3)
    watched = replace(settings, processes=processes, watched=Evaluation())
    loss_and_map = validation.validate(model, watched)
    on_test = best_on_test.watch(model, watched, WeightAverage(model, settings.stage))
    logits_NC = inference.predict(model, store.test, settings.pixels, batch_size=20, processes=processes)
    text = json.dumps([*loss_and_map, on_test, logits_NC.tolist()])
    (folder / f"same-{processes.size}-{processes.rank}.json").write_text(text, encoding="utf-8")


def collected(store: Store, folder: Path, processes: Processes) -> None:
    """Collect for KNN on an untrained trunk and predict, the second time with the stored collection."""
    context = StageContext(
        store, torch.device("cpu"), folder / f"collected-{processes.size}", processes=processes
    )
    module, config = method.load_method("knn"), small_recipe("knn", features="trunk", batch_size=20)
    plan = list(zip(module.stages(config), stage_cache.stage_keys(module, config, context, 0), strict=True))
    for _ in range(2):
        model = method.build(module, config, method.labels_of(store), 0).to(memory_format=torch.channels_last)
        list(stage_cache.run_stages(model, plan, context, seed=0, title="KNN"))
        logits_NC = inference.predict(
            model, store.test, stage_cache.input_transform(model, context), batch_size=20, processes=processes
        )
    tensors = {"logits": torch.from_numpy(logits_NC), "rows": model.get_buffer("features_ND")}
    tensor_file.save(folder / f"voters-{processes.size}-{processes.rank}.safetensors", tensors, {})


class Joined(Processes):
    """Exchanges as one of several processes does, even if it is the only one."""

    @property
    def exchange(self) -> bool:
        return True


def captured(store: Store, folder: Path, processes: Processes) -> None:
    """Train 24 steps as they are and 24 from a tape; both have to end with the same bits."""
    recorders: list[TapeRecorder] = []

    def recorder(*_: Any, **_how: Any) -> TapeRecorder:
        recorders.append(TapeRecorder())
        return recorders[-1]

    plain = _trained(store, folder / "plain", processes)
    with pytest.MonkeyPatch.context() as changes:
        changes.setattr(captured_step, "recorder", recorder)
        _check_equal(plain, _trained(store, folder / "captured", processes))
    assert recorders[0].replayed == 24 - captured_step.DISTRIBUTED_WARM_UP_CALLS
    assert recorders[0].released
    (folder / f"captured-equal-{processes.rank}").touch()


def captured_on_gpus(store: Store, folder: Path, processes: Processes) -> None:
    """The same with CUDA graphs that contain NCCL's exchange of gradients; of one process as well."""
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    replays: list[int] = []
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph: Any) -> None:
        replays.append(1)
        replay(graph)

    joined = Joined(processes.rank, processes.size)
    results = []
    for wanted in (False, False, True):
        with pytest.MonkeyPatch.context() as changes:
            changes.setattr(torch.cuda.CUDAGraph, "replay", counted)
            file = folder / f"gpus-{len(results)}"
            results.append(_trained(store, file, joined, captured=wanted, target=torch.device("cuda")))
        assert bool(replays) == wanted
    plain, again, from_graph = results
    _check_equal(plain, again)
    _check_equal(plain, from_graph)
    assert len(replays) >= 24 - captured_step.DISTRIBUTED_WARM_UP_CALLS


def _trained(
    store: Store, file: Path, processes: Processes, *, captured: bool = True, target: torch.device = CPU
) -> tuple[Any, dict[str, Tensor]]:
    """(history, weights) after 24 steps."""
    model, settings = stage_run(store, file, epochs=6)
    pixels = replace(settings.pixels, device=target)
    settings = replace(settings, processes=processes, captured=captured, pixels=pixels)
    return loop.train(model.to(target), settings), model.state_dict()


def _check_equal(one: tuple[Any, dict[str, Tensor]], other: tuple[Any, dict[str, Tensor]]) -> None:
    assert one[0] == other[0]
    assert all(torch.equal(other[1][name], tensor) for name, tensor in one[1].items())


def main(device: str, store: str, folder: str, *names: str) -> None:
    """Do the named work in each of torchrun's processes."""
    torch.set_num_threads(1)
    with distributed.process_group(device) as (processes, _):
        for name in names:
            WORK[name](open_store(Path(store)), Path(folder), processes)


WORK = {
    "steps": steps_in_float64,
    "recipe": recipe_in_float64,
    "stages": all_stages,
    "same": same_weights,
    "collected": collected,
    "captured": captured,
    "captured-on-gpus": captured_on_gpus,
}


if __name__ == "__main__":
    main(*sys.argv[1:])

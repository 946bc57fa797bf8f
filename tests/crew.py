"""What a test has several processes do under torchrun: train in float64, and predict."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.data.store import Store, open_store
from bench.training import distributed, inference, loop, method, stage_cache, tensor_file
from bench.training.distributed import Crew
from bench.training.stage_cache import Workshop
from tests.conftest import small_recipe
from tests.killing import course


def loss64(model: Any, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    logits_BC = model.main_logits(images_BCHW.double())
    total = F.binary_cross_entropy_with_logits(logits_BC, labels_BC.double(), reduction="sum")
    return total / len(labels_BC), logits_BC


def steps_in_float64(store: Store, folder: Path, crew: Crew) -> None:
    """20 steps with frozen norms; the last checkpoint stays in the folder."""
    model, usual = course(store, folder / f"float64-{crew.size}.safetensors", epochs=5)
    stage = replace(usual.stage, loss=loss64, batch_norm="frozen")
    loop.train(model.double(), replace(usual, stage=stage, crew=crew))


def all_stages(store: Store, folder: Path, crew: Crew) -> None:
    """SRN's stages, and what it then predicts; every process writes its own view of the result."""
    workshop = Workshop(store, torch.device("cpu"), folder / f"stages-{crew.size}", crew=crew)
    module, config = method.load("srn"), small_recipe("srn", crops=(256, 128))
    model = method.build(module, config, method.labels_of(store), 0).to(memory_format=torch.channels_last)
    plan = list(zip(module.stages(config), stage_cache.keys(module, config, workshop, 0), strict=True))
    facts = list(stage_cache.learn(model, plan, workshop, seed=0, title="SRN"))
    logits_NC = inference.predict(
        model, store.test, stage_cache.pixels(model, workshop), batch_size=20, crew=crew
    )
    epochs = [stage["epochs"] for stage in facts]
    tensors = {"logits": torch.from_numpy(logits_NC), **model.state_dict()}
    tensor_file.save(folder / f"view-{crew.size}-{crew.rank}.safetensors", tensors, {"epochs": epochs})


def same_weights(store: Store, folder: Path, crew: Crew) -> None:
    """Validation and prediction of an untrained model."""
    model, usual = course(store, folder / "none", batch_size=3)
    found = loop.validate(model, replace(usual, crew=crew))
    logits_NC = inference.predict(model, store.test, usual.pixels, batch_size=20, crew=crew)
    text = json.dumps([*found, logits_NC.tolist()])
    (folder / f"same-{crew.size}-{crew.rank}.json").write_text(text, encoding="utf-8")


def collected(store: Store, folder: Path, crew: Crew) -> None:
    """What KNN collects on an untrained trunk, taken once made and once stored, and what it then predicts."""
    workshop = Workshop(store, torch.device("cpu"), folder / f"collected-{crew.size}", crew=crew)
    module, config = method.load("knn"), small_recipe("knn", features="trunk", batch_size=20)
    plan = list(zip(module.stages(config), stage_cache.keys(module, config, workshop, 0), strict=True))
    for _ in range(2):
        model = method.build(module, config, method.labels_of(store), 0).to(memory_format=torch.channels_last)
        list(stage_cache.learn(model, plan, workshop, seed=0, title="KNN"))
        logits_NC = inference.predict(
            model, store.test, stage_cache.pixels(model, workshop), batch_size=20, crew=crew
        )
    tensors = {"logits": torch.from_numpy(logits_NC), "rows": model.get_buffer("features_ND")}
    tensor_file.save(folder / f"voters-{crew.size}-{crew.rank}.safetensors", tensors, {})


def main(prepared: str, folder: str, *todo: str) -> None:
    torch.set_num_threads(1)
    with distributed.joined("cpu") as (crew, _):
        for name in todo:
            DOES[name](open_store(Path(prepared)), Path(folder), crew)


DOES = {"steps": steps_in_float64, "stages": all_stages, "same": same_weights, "collected": collected}


if __name__ == "__main__":
    main(*sys.argv[1:])

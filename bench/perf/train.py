"""Measure training and evaluation of each method in images per second, by stage, and the cost of the input.

`python -m bench.perf train` uses random images in memory, with the sizes of a real store. "Pipeline" reads,
copies, crops and normalises each batch as a run does; "resident" is the same training step on one batch that
stays on the device. Their ratio shows what the input costs. On a CPU the network and the images are small:
these numbers say nothing about real training.
"""

import argparse
import datetime as dt
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser, add_device, run_command
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.base.provenance import provenance
from bench.perf.speed_record import Chain, chains, lines, recipe, record
from bench.perf.synthetic import FULL, LABELS, SMALL, AlternatingFeed, Size, SyntheticStore
from bench.training import device, method, run_options
from bench.training.batches import InputTransform
from bench.training.inference import predict
from bench.training.learners import CollectionLearner, collect
from bench.training.loop import StageRun, train
from bench.training.method import Labels
from bench.training.stages import Collection, Stage

if TYPE_CHECKING:
    from bench.data.store import Store

ROUNDS = 3  # of one epoch each
NO_LEARNING = 1e-9  # a learning rate at which no method diverges on random labels
Feed = Callable[..., Any]  # yields batches, as bench.training.batches.training does


def measured_recipe(name: str, size: Size) -> Any:
    """The method's recipe at the measured size, from scratch, with a learning rate that changes nothing."""
    config = replace(recipe(name), trunk=size.trunk, from_scratch=True, lr=NO_LEARNING, lr_min=0.0)
    return replace(config, input_size=size.side, batch_size=size.batch)


def build(name: str, size: Size, target: torch.device) -> tuple[nn.Module, tuple[Stage | Collection, ...]]:
    """A method's untrained model on the device, and its stages."""
    module, config = method.load_method(name), measured_recipe(name, size)
    labels = Labels(tuple(map(str, range(LABELS))), np.ones((LABELS, LABELS), np.int64))
    model = method.build(module, config, labels, seed=0)
    return model.to(target).to(memory_format=torch.channels_last), module.stages(config)


def measure_stage(
    model: nn.Module,
    stage: Stage | Collection,
    store: SyntheticStore,
    pixels: InputTransform,
    *,
    compiled: bool,
) -> dict[str, float]:
    """The rates of a stage: medians over rounds of one epoch from the pipeline and one of the resident batch.

    One epoch before them warms up. The two take turns, so that other load on the machine affects both.
    """
    if pixels.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(pixels.device)
    feed = AlternatingFeed()
    measure_epochs = _collect if isinstance(stage, Collection) else partial(_train, compiled=compiled)
    _, *rates = measure_epochs(model, cast("Any", stage), store, pixels, feed=feed)
    rounds = np.array(rates).reshape(ROUNDS, 2)
    resident, pipeline = np.median(rounds, axis=0)
    return {
        "pipeline": pipeline,
        "resident": resident,
        "ratio": float(np.median(rounds[:, 1] / rounds[:, 0])),
        "memory_bytes": device.peak_memory(pixels.device),
        "first_step_seconds": feed.first_step_seconds,
    }


def _train(
    model: nn.Module,
    stage: Stage,
    store: SyntheticStore,
    pixels: InputTransform,
    *,
    feed: Feed,
    compiled: bool,
) -> list[float]:
    """Train the stage; returns the images per second of each epoch."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        stage_run = StageRun(
            replace(stage, epochs=1 + 2 * ROUNDS, schedule=replace(stage.schedule, patience=None)),
            cast("Store", store),
            seed=0,
            pixels=pixels,
            file=Path(folder) / "unfinished",
            title=stage.name,
            compiled=compiled,
            feed=feed,
            note=rows.append,
        )
        train(model, stage_run)
    return [row["images_per_second"] for row in rows]


def _collect(
    model: nn.Module, stage: Collection, store: SyntheticStore, pixels: InputTransform, *, feed: Feed
) -> list[float]:
    """Run the collection; returns the images per second of each pass. The model can predict afterwards."""
    rates = []
    for number in range(1 + 2 * ROUNDS):
        began = time.monotonic()
        rows_ND = collect(model, stage, cast("Store", store), pixels, feed=partial(feed, number=number + 1))
        rates.append(len(rows_ND) / (time.monotonic() - began))
    CollectionLearner(model, stage, cast("Store", store), pixels, stage.name).hold(rows_ND)
    return rates


def measure_evaluation(model: nn.Module, store: SyntheticStore, pixels: InputTransform) -> float:
    """Images per second of prediction, from the store to logits in memory."""
    for _ in range(2):  # the first warms up
        began = time.monotonic()
        predict(model, cast("Any", store.test), pixels)
    return len(store.test) / (time.monotonic() - began)


def measure(
    name: str,
    store: SyntheticStore,
    size: Size,
    target: torch.device,
    *,
    compiled: bool,
    measured: dict[Chain, dict[str, float]],
) -> dict[str, Any]:
    """{stages: {name: rates}, evaluation} of a method; rates of stages in `measured` are taken from there."""
    model, stages = build(name, size, target)
    pixels = InputTransform(model.trunk.mean, model.trunk.std, target)  # type: ignore[arg-type]
    rates = {}
    for stage, chain in zip(stages, chains(stages), strict=True):
        if chain not in measured:
            measured[chain] = measure_stage(model, stage, store, pixels, compiled=compiled)
        rates[stage.name] = measured[chain]
    return {"stages": rates, "evaluation": measure_evaluation(model, store, pixels)}


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.steps is not None and args.steps < 2:
        raise InputError(f"--steps {args.steps}: give at least 2, because the first step is timed separately")
    methods = [name for name, _ in run_options.methods(args.method)]
    target = device.choose(args.device)
    size = FULL if target.type == "cuda" else SMALL
    size = replace(size, steps=args.steps or size.steps)
    file = args.output / f"train-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-{target.type}.json"
    modes = {"eager": False} | ({"compiled": True} if args.compile else {})
    store = SyntheticStore(size)
    origin = provenance(hardware=device.hardware(target), threads=torch.get_num_threads())
    rates: dict[str, dict[str, Any]] = {}
    for mode, compiled in modes.items():
        measured: dict[Chain, dict[str, float]] = {}
        rates[mode] = {}
        for name in methods:
            rates[mode][name] = measure(name, store, size, target, compiled=compiled, measured=measured)
            # Written after each method: an error in a later one does not lose the earlier results.
            write_atomically(file, json.dumps(record(rates, size, origin), indent=1) + "\n")
    print(*lines(record(rates, size, origin)), f"written to {file}", sep="\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.perf train", description=__doc__)
    add_device(parser)
    parser.add_argument(
        "--method", default="all", metavar="NAME", help="all, or a list: resnet101,srn (default: all)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="steps per epoch (default: 50; 6 on a CPU)")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile as well")
    folder = ROOT / "results" / "perf"
    parser.add_argument(
        "--output",
        type=Path,
        default=folder,
        metavar="DIR",
        help="folder for the results (default: results/perf)",
    )
    return parser


if __name__ == "__main__":
    run_command(main)

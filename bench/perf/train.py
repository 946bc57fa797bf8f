"""Images per second of every stage of every method: full and frozen training, evaluation, and the input.

`python -m bench.perf train` measures on the device there is, with made-up images of the store's shape in
memory. "Pipeline" reads, copies, crops and normalises every batch as a run does; "resident" is the same step
on one batch that is on the device already: their ratio is what the input costs. On the CPU the network and
the images are small ones, whose figures say nothing of the real ones.
"""

import argparse
import datetime as dt
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser, add_device, run_command
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.base.provenance import provenance
from bench.data import cards
from bench.data.store import HELD_OUT_SHARE, Store
from bench.perf.synthetic import FULL, LABELS, SMALL, InTurn, Made, Size
from bench.training import device, method, run_options
from bench.training.batches import InputTransform
from bench.training.inference import predict
from bench.training.learners import CollectionLearner, collect
from bench.training.loop import StageRun, train
from bench.training.method import Labels
from bench.training.stages import Collection, Stage

SCHEMA = "multilabel-bench/perf-train/1"
DATASETS = ("coco", "nuswide", "wider")
ROUNDS = 3  # of one epoch each
STILL = 1e-9  # a learning rate at which no method diverges, whatever the made-up labels ask of it
Feed = Callable[..., Any]  # gives batches, as bench.batches.training does
Chain = tuple[Any, ...]


def recipe(name: str) -> Any:
    """A method's recipe on the terms that all share: one input size, crops, batch size, SRN's epochs."""
    return method.recipe(method.load_method(name), DATASETS[0], {"terms": "equal"})


def measured(name: str, size: Size) -> Any:
    """The same at the size that is measured, from scratch; it learns nothing."""
    config = replace(recipe(name), trunk=size.trunk, from_scratch=True, lr=STILL, lr_min=0.0)
    return replace(config, input_size=size.side, batch_size=size.batch)


def build(name: str, size: Size, on: torch.device) -> tuple[nn.Module, tuple[Stage | Collection, ...]]:
    """A method's model from scratch on the device, and its stages, with the paper's crops."""
    module, config = method.load_method(name), measured(name, size)
    labels = Labels(tuple(map(str, range(LABELS))), np.ones((LABELS, LABELS), np.int64))
    model = method.build(module, config, labels, seed=0)
    return model.to(on).to(memory_format=torch.channels_last), module.stages(config)


def measure_stage(
    model: nn.Module, stage: Stage | Collection, made: Made, pixels: InputTransform, *, compiled: bool
) -> dict[str, float]:
    """A stage's figures: medians over rounds of one epoch from the pipeline and one of the resident batch.

    Before them one epoch warms up. The two take turns, so that what else the machine does falls on both.
    """
    if pixels.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(pixels.device)
    feed = InTurn()
    learn = _collected if isinstance(stage, Collection) else partial(_trained, compiled=compiled)
    _, *rates = learn(model, cast("Any", stage), made, pixels, feed=feed)
    rounds = np.array(rates).reshape(ROUNDS, 2)
    resident, pipeline = np.median(rounds, axis=0)
    return {
        "pipeline": pipeline,
        "resident": resident,
        "ratio": float(np.median(rounds[:, 1] / rounds[:, 0])),
        "memory_bytes": device.peak_memory(pixels.device),
        "first_step_seconds": feed.first,
    }


def _trained(
    model: nn.Module, stage: Stage, made: Made, pixels: InputTransform, *, feed: Feed, compiled: bool
) -> list[float]:
    """Images per second of every epoch."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        stage_run = StageRun(
            replace(stage, epochs=1 + 2 * ROUNDS, schedule=replace(stage.schedule, patience=None)),
            cast("Store", made),
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


def _collected(
    model: nn.Module, stage: Collection, made: Made, pixels: InputTransform, *, feed: Feed
) -> list[float]:
    """Images per second of every pass; the model then has what it predicts with."""
    rates = []
    for number in range(1 + 2 * ROUNDS):
        began = time.monotonic()
        rows_ND = collect(model, stage, cast("Store", made), pixels, feed=partial(feed, number=number + 1))
        rates.append(len(rows_ND) / (time.monotonic() - began))
    CollectionLearner(model, stage, cast("Store", made), pixels, stage.name).hold(rows_ND)
    return rates


def measure_evaluation(model: nn.Module, made: Made, pixels: InputTransform) -> float:
    """Images per second of prediction, from the store to the logits in memory."""
    for _ in range(2):  # the first warms up
        began = time.monotonic()
        predict(model, cast("Any", made.test), pixels)
    return len(made.test) / (time.monotonic() - began)


def measure(
    name: str,
    made: Made,
    size: Size,
    on: torch.device,
    *,
    compiled: bool,
    known: dict[Chain, dict[str, float]],
) -> dict[str, Any]:
    """{stages: {name: figures}, evaluation} of a method; a stage that is `known` is not measured again."""
    model, stages = build(name, size, on)
    pixels = InputTransform(model.trunk.mean, model.trunk.std, on)  # type: ignore[arg-type]
    found = {}
    for stage, chain in zip(stages, chains(stages), strict=True):
        if chain not in known:
            known[chain] = measure_stage(model, stage, made, pixels, compiled=compiled)
        found[stage.name] = known[chain]
    return {"stages": found, "evaluation": measure_evaluation(model, made, pixels)}


def chains(stages: Iterable[Stage | Collection]) -> Iterator[Chain]:
    """What is equal for stages of two methods that are trained once for both: each with all before it."""
    chain: Chain = ()
    for stage in stages:
        chain = (*chain, stage.name, stage.owner, tuple(stage.settings.items()))
        yield chain


def hours(found: dict[str, Any], images: int) -> dict[str, float]:
    """Hours of training by method on so many training images, and in `all` with equal stages trained once.

    Every stage's epochs at its own rate, and after each the held-out share once.
    """
    spent: dict[Chain, float] = {}
    total: dict[str, float] = {}
    for name, figures in found.items():
        stages = method.load_method(name).stages(recipe(name))
        total[name] = 0.0
        for stage, chain in zip(stages, chains(stages), strict=True):
            learn = images * (1 - HELD_OUT_SHARE) / figures["stages"][stage.name]["pipeline"]
            check = images * HELD_OUT_SHARE / figures["evaluation"]
            spent[chain] = stage.epochs * (learn + check) / 3600
            total[name] += spent[chain]
    return {**total, "all": sum(spent.values())}


def lines(record: dict[str, Any]) -> Iterator[str]:
    """The record as a table."""
    size = record["size"]
    yield f"{size['trunk']} on {record['provenance']['hardware']}, batches of {size['batch']}"
    yield f"{'images/s':<34}{'pipeline':>10}{'resident':>10}{'ratio':>7}{'memory':>10}{'first step':>12}"
    for way, found in record["images_per_second"].items():
        for name, figures in found.items():
            for stage, rate in figures["stages"].items():
                memory = rate["memory_bytes"] / 2**30
                yield (
                    f"{f'{name} {stage}, {way}':<34}{rate['pipeline']:>10,.0f}{rate['resident']:>10,.0f}"
                    f"{rate['ratio']:>7.2f}{memory:>6.1f} GiB{rate['first_step_seconds']:>10.1f} s"
                )
            yield f"{f'{name} evaluation, {way}':<34}{figures['evaluation']:>10,.0f}"
    for way, by_dataset in record["projected_hours"].items():
        for dataset, by_method in by_dataset.items():
            each = ", ".join(f"{name} {value:.2f}" for name, value in by_method.items())
            yield f"projected hours, {dataset}, {way}: {each}"


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.steps is not None and args.steps < 2:
        raise InputError(f"--steps {args.steps}: at least 2, as the first is timed on its own")
    methods = [name for name, _ in run_options.methods(args.method)]
    on = device.choose(args.device)
    size = FULL if on.type == "cuda" else SMALL
    size = replace(size, steps=args.steps or size.steps)
    file = args.output / f"train-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-{on.type}.json"
    ways = {"eager": False} | ({"compiled": True} if args.compile else {})
    made, where = Made(size), provenance(hardware=device.hardware(on), threads=torch.get_num_threads())
    found: dict[str, dict[str, Any]] = {}
    for way, compiled in ways.items():
        known: dict[Chain, dict[str, float]] = {}
        found[way] = {}
        for name in methods:
            found[way][name] = measure(name, made, size, on, compiled=compiled, known=known)
            # After each: what was measured is not lost with the rest.
            write_atomically(file, json.dumps(record(found, size, where), indent=1) + "\n")
    print(*lines(record(found, size, where)), f"written to {file}", sep="\n")
    return 0


def record(found: dict[str, dict[str, Any]], size: Size, where: dict[str, Any]) -> dict[str, Any]:
    """What is written: the figures by way and method, and what follows from them at full size."""
    full = size.trunk == FULL.trunk
    datasets = {name: cards.load_card(name).train.images for name in DATASETS} if full else {}
    return {
        "schema": SCHEMA,
        "size": asdict(size),
        "images_per_second": found,
        "projected_hours": {
            way: {name: hours(figures, images) for name, images in datasets.items()}
            for way, figures in found.items()
        },
        "provenance": where,
    }


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.perf train", description=__doc__)
    add_device(parser)
    parser.add_argument("--method", default="all", metavar="NAME", help="all, or some of them: resnet101,srn")
    parser.add_argument("--steps", type=int, metavar="N", help="of an epoch (default: 50, CPU: 6)")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile's step as well")
    folder = ROOT / "results" / "perf"
    parser.add_argument("--output", type=Path, default=folder, metavar="DIR", help="default: results/perf")
    return parser


if __name__ == "__main__":
    run_command(main)

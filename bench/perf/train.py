"""Measure training and evaluation of each method in images per second, and what reading the input costs.

`python -m bench.perf train` uses random images in memory, with the sizes of a real store. Each method is
measured in several modes: "eager" is PyTorch as it comes, "fused" what bench.run does on a GPU. On a CPU a
small network and small images are used: these numbers say nothing about real training.
"""

import argparse
import datetime as dt
import json
import math
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser, add_device, run_command
from bench.base.errors import InputError, unknown
from bench.base.paths import PERF
from bench.base.provenance import provenance
from bench.perf import step_profile, usual_loop
from bench.perf.speed_record import Chain, chains, lines, recipe, record
from bench.perf.stage_speed import MODES, ROUNDS, fuse_norms, measure_evaluation, measure_stage
from bench.perf.synthetic import FULL, LABELS, SMALL, Size, SyntheticStore
from bench.training import device, method, run_options
from bench.training.batches import InputTransform
from bench.training.method import Labels
from bench.training.stages import Collection, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

NO_LEARNING = 1e-9  # a learning rate at which no method diverges on random labels
ON_CPU = ("eager", "compiled")  # modes that need no GPU
QUICK_STEPS, QUICK_ROUNDS = 25, 2


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


@dataclass
class Measurement:
    """Measures methods in modes; a stage that two methods share is measured once in each mode."""

    size: Size
    target: torch.device
    store: SyntheticStore
    rounds: int = ROUNDS
    measured: dict[tuple[str, Chain], dict[str, float]] = field(default_factory=dict)

    def measure(self, name: str, mode_name: str) -> dict[str, Any]:
        """{stages: {name: rates}, evaluation, evaluation_resident} of a method in a mode."""
        mode = MODES[mode_name]
        model, stages = build(name, self.size, self.target)
        device.search_kernels(model, self.target)
        fuse_norms(model, self.target, mode)
        mean, std = model.trunk.mean, model.trunk.std
        precision = device.chosen_precision(mode.precision)
        pixels = InputTransform(mean, std, self.target, precision)  # type: ignore[arg-type]
        rates = {}
        for stage, chain in zip(stages, chains(stages), strict=True):
            if (key := (mode_name, chain)) not in self.measured:
                how: dict[str, Any] = {"mode": mode, "rounds": self.rounds}
                self.measured[key] = measure_stage(model, stage, self.store, pixels, **how)
            rates[stage.name] = self.measured[key]
        return {"stages": rates, **measure_evaluation(model, self.store, pixels, mode=mode)}


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.steps is not None and args.steps < 2:
        raise InputError(f"--steps {args.steps}: give at least 2, because the first step is timed separately")
    methods = _methods(args.method)
    target = device.choose(args.device)
    is_gpu = target.type == "cuda"
    modes = _modes(args.modes or ("eager,fused" if is_gpu else "eager"), is_gpu=is_gpu)
    size = FULL if is_gpu else SMALL
    steps = args.steps or (QUICK_STEPS if args.quick and is_gpu else size.steps)
    size, rounds = replace(size, steps=steps), QUICK_ROUNDS if args.quick else ROUNDS
    measurement = Measurement(size, target, SyntheticStore(size), rounds)
    file = args.output / f"train-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-{target.type}.json"
    content = _measure_all(args, measurement, methods, modes, file)
    print(*lines(content), f"written to {file}", sep="\n")
    return 0


def _measure_all(
    args: argparse.Namespace, measurement: Measurement, methods: list[str], modes: list[str], file: Path
) -> dict[str, Any]:
    """The record, which is written after each measurement; none begins after `--seconds`."""
    size, target = measurement.size, measurement.target
    origin = provenance(hardware=device.hardware(target), threads=torch.get_num_threads())
    rates: dict[str, dict[str, Any]] = {mode: {} for mode in modes}
    extra: dict[str, Any] = {}

    def measure(name: str, mode: str) -> None:
        rates[mode][name] = measurement.measure(name, mode)

    def profile() -> None:
        model, (stage, *_) = build(methods[0], size, target)
        extra["profile"] = step_profile.profile(model, stage, measurement.store, target, MODES[modes[-1]])

    def usual() -> None:
        extra["usual_loop"] = usual_loop.measure(size, target)

    works: dict[str, Callable[[], None]] = {
        f"{name} {mode}": partial(measure, name, mode) for name in methods for mode in modes
    }
    works |= {"profile": profile} if args.profile else {}
    works |= {"usual loop": usual} if args.against == "loader" else {}
    began = time.monotonic()
    for what, work in works.items():
        if time.monotonic() - began > args.seconds:
            extra.setdefault("left_out", []).append(what)
        else:
            work()
        content = record(rates, size, origin) | extra
        write_atomically(file, json.dumps(content, indent=1) + "\n")
    return content


def _methods(text: str) -> list[str]:
    """The methods of a list; InputError for changed recipe fields, which would not be measured."""
    for name, changes in run_options.methods(text):
        if changes:
            raise InputError(
                f"--method {text}: leave out the changes of {name}: recipes are measured as they are"
            )
    return list(dict.fromkeys(name for name, _ in run_options.methods(text)))


def _modes(text: str, *, is_gpu: bool) -> list[str]:
    """The modes of a list; InputError for an unknown one, and for one that a CPU would run as another."""
    names = text.split(",")
    for name in names:
        if name not in MODES:
            raise unknown("mode", name, MODES)
        if not is_gpu and name not in ON_CPU:
            raise InputError(f"--modes {text}: {name} needs a GPU; on a CPU give {' or '.join(ON_CPU)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.perf train", description=__doc__)
    add = parser.add_argument
    add_device(parser)
    add("--method", default="all", metavar="NAME", help="all, or a list: resnet101,srn (default: all)")
    add(
        "--modes",
        metavar="LIST",
        help=f"of {', '.join(MODES)} (default: eager,fused; on a CPU eager)",
    )
    add("--steps", type=int, metavar="N", help="steps per epoch (default: 50; 6 on a CPU)")
    add("--quick", action="store_true", help=f"{QUICK_STEPS} steps per epoch, {QUICK_ROUNDS} rounds")
    add(
        "--against",
        choices=("loader",),
        help="also measure the usual loop: JPEG files, DataLoader, all cores",
    )
    add("--profile", action="store_true", help="also list the kernels in which the first stage's time goes")
    text = "begin no measurement after so many seconds; what is left out is listed (default: any time)"
    add("--seconds", type=float, default=math.inf, metavar="N", help=text)
    text = "folder for the results (default: results/perf)"
    add("--output", type=Path, default=PERF, metavar="DIR", help=text)
    return parser


if __name__ == "__main__":
    run_command(main)

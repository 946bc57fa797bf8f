"""Measure what only a GPU can show, in two parts of at most five minutes each.

`python -m bench.perf gpu --part 1` measures training steps in each mode, evaluation and the usual loop beside
them, and lists the kernels of a step. `--part 2` runs the tests that need a GPU, rehearses MS-COCO at a
twentieth, and trains on the demo in each precision. All is written as soon as it is measured; what does not
fit into the time is left out and listed.
"""

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser, run_command
from bench.base.errors import InputError
from bench.base.paths import IS_INSTALLED, PERF, WORKPLACE
from bench.base.provenance import provenance
from bench.base.run_folder import RunFolder
from bench.base.structured_files import read_json
from bench.perf import train
from bench.training import device

SCHEMA = "multilabel-bench/perf-gpu/1"
LAST_BEGIN = 220.0  # seconds after which part 1 begins no measurement; the longest takes 40
SECONDS = 270.0  # of part 2; to stop what still runs takes up to half a minute
STEPS = (
    *("--method", "resnet101,srn", "--modes", "eager,fused,fp16,further", "--quick"),
    *("--against", "loader", "--profile", "--seconds", str(LAST_BEGIN)),
)
TESTS = ("-m", "pytest", "-q", "-n", "0", "tests/training/test_on_gpu.py")
REHEARSAL = ("-m", "bench.rehearse", "--dataset", "coco", "--share", "0.05", "--method", "resnet101,srn")
METHODS, SEEDS, PRECISIONS = "resnet101,srn", (0, 1, 2), ("fp32", "bf16", "fp16")
TIME_TO_STOP = 10.0  # seconds in which a process saves its checkpoint
Words = tuple[str, ...]
Work = tuple[str, Sequence[Words]]  # a name, and commands of Python that run at the same time


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if not torch.cuda.is_available():
        raise InputError("there is no GPU; python -m bench.perf train measures a small network on the CPU")
    if args.part == 1:
        return train.main([*STEPS, "--output", str(args.output)])
    file = args.output / f"gpu-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-cuda.json"
    with tempfile.TemporaryDirectory() as folder:
        return Checks(file, Path(folder), device.choose("cuda"), SECONDS).run(works(Path(folder)))


def works(folder: Path, *, on: str = "cuda", precisions: Sequence[str] = PRECISIONS) -> Iterator[Work]:
    """What part 2 does, in its order: tests, rehearsal, then each seed of the demo in each precision."""
    if not IS_INSTALLED:
        yield "tests", [TESTS]
    yield "rehearsal", [(*REHEARSAL, "--output", str(folder / "rehearsal"))]
    data = ("--dataset", "demo", "--data", str(folder / "data"))
    yield "demo, preparation", [("-m", "bench.prepare", *data)]
    for seed in SEEDS:
        how = ("--method", METHODS, "--seeds", str(seed), "--device", on)
        yield (
            f"demo, seed {seed}",
            [
                ("-m", "bench.run", *data, *how, "--precision", name, "--runs", str(folder / "runs" / name))
                for name in precisions
            ],
        )


class Checks:
    """Runs works one after the other, and writes after each how it ended and what is known by then."""

    def __init__(self, file: Path, folder: Path, target: torch.device, seconds: float) -> None:
        self.file, self.folder, self.end = file, folder, time.monotonic() + seconds
        origin = provenance(hardware=device.hardware(target), threads=torch.get_num_threads())
        self.content: dict[str, Any] = {"schema": SCHEMA, "works": {}, "left_out": [], "demo_mAP": {}}
        self.content["provenance"] = origin

    def run(self, works: Iterable[Work]) -> int:
        """The first status that is not 0 of a work that ended in time, negative for a signal; else 0."""
        statuses: list[int] = []
        for name, commands in works:
            began, ended = time.monotonic(), self._run_together(commands)
            statuses += [status for status in ended if status is not None]
            if None in ended:
                self.content["left_out"].append(name)
            if any(status is not None for status in ended):
                seconds = round(time.monotonic() - began, 1)
                self.content["works"][name] = {"seconds": seconds, "statuses": ended}
            self.content["demo_mAP"] = demo_map(self.folder / "runs")
            write_atomically(self.file, json.dumps(self.content, indent=1) + "\n")
        print(*lines(self.content), f"written to {self.file}", sep="\n")
        return next(filter(None, statuses), 0)

    def _run_together(self, commands: Sequence[Words]) -> list[int | None]:
        """The status of each command; None for one that is stopped, or not begun, as the time is over."""
        if time.monotonic() >= self.end:
            return [None] * len(commands)
        processes = [subprocess.Popen([sys.executable, *words], cwd=WORKPLACE) for words in commands]
        try:
            return [self._status(process) for process in processes]
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()

    def _status(self, process: subprocess.Popen[bytes]) -> int | None:
        try:
            return process.wait(max(0.0, self.end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(TIME_TO_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
            return None


def demo_map(runs: Path) -> dict[str, dict[str, list[float]]]:
    """{precision: {method: mAP in percent of each seed}} of the records in a folder for each precision."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in PRECISIONS:
        for file in sorted(RunFolder.of("demo", runs / name).path.glob("*-seed*.json")):
            record = read_json(file)
            of_method = found.setdefault(name, {}).setdefault(record["method"], [])
            of_method.append(record["metrics"]["srn2017"]["mAP"])
    return found


def lines(content: dict[str, Any]) -> Iterator[str]:
    """The results as text; each precision's mean beside float32's, and the spread of float32's seeds."""
    yield f"{content['provenance']['hardware']}"
    for name, work in content["works"].items():
        failed = [str(status) for status in work["statuses"] if status]
        yield f"{name}: {work['seconds']} s" + (f", FAILED with status {', '.join(failed)}" if failed else "")
    if content["left_out"]:
        yield f"not measured, as the time was over: {', '.join(content['left_out'])}"
    usual = content["demo_mAP"].get("fp32", {})
    for precision, by_method in content["demo_mAP"].items():
        for method, values in by_method.items():
            text = f"demo, {method}, {precision}: mAP {', '.join(f'{value:.2f}' for value in values)}"
            if precision != "fp32" and method in usual:
                seeds = usual[method]
                difference, spread = np.mean(values) - np.mean(seeds), max(seeds) - min(seeds)
                text += f"; on average {difference:+.2f} beside fp32, whose seeds differ by {spread:.2f}"
            yield text


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.perf gpu", description=__doc__)
    parser.add_argument("--part", type=int, choices=(1, 2), required=True, help="see above")
    text = "folder for the results (default: results/perf)"
    parser.add_argument("--output", type=Path, default=PERF, metavar="DIR", help=text)
    return parser


if __name__ == "__main__":
    run_command(main)

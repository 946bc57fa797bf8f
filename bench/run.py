"""Train methods on a data set, predict its test images, and record the scores.

`python -m bench.run --dataset demo --method srn --seeds 0,1`

Stages that are stored are not trained again, and a run whose record is up to date is skipped.
"""

import argparse
import dataclasses
import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base import cluster, progress, signals
from bench.base.atomic_files import check_writable
from bench.base.cli import run_command
from bench.base.errors import InputError
from bench.base.paths import DATA, RUNS
from bench.base.run_folder import RunFolder
from bench.data import cards, formats, preparation
from bench.data.manifest import MANIFEST
from bench.data.store import Store
from bench.deploy import find_run
from bench.results import comparison_table, published, record, typeset
from bench.training import run_options

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from bench.data.cards import Card
    from bench.training.reproduce import Run
    from bench.training.stage_cache import StageContext

# Options of a command for several runs, which the commands of its single runs do not have.
OF_SEVERAL = ("--method", "--seeds", "--jobs", "--slurm")
FLAGS = ("--table", "--list")


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    return run(run_options.parse(words, description=__doc__), words)


def run(args: argparse.Namespace, words: list[str]) -> int:
    """Run every method with every seed: here one after the other, or with `--jobs` in several processes."""
    card, changes = cards.load_card(args.dataset), run_options.changes(args)
    wanted, seeds = run_options.methods(args.method), run_options.seeds(args.seeds)
    _check_dataset(card, args)
    _check_name(args.name, len(wanted) * len(seeds))
    folder = _writable_folder(card.name, args.runs)
    from bench.training import device, distributed, jobs, reproduce, several_machines  # noqa: PLC0415 (--help needs no torch)
    from bench.training.stage_cache import StageContext  # noqa: PLC0415 (as above)

    runs = [
        reproduce.Run(card, name, changes | own_changes, seed)
        for name, own_changes in wanted
        for seed in seeds
    ]
    needed = {run.data.name: run.data for run in runs}  # raises for a wrong recipe field before any work
    _say_where_comparable(runs, quiet=args.is_job or os.environ.get("RANK", "0") != "0")
    prepare = _preparation(args)
    show_table = partial(_print_table, card.name, folder) if args.table else _print_nothing
    commands = [_command(name, own, seed, words) for name, own in wanted for seed in seeds]
    if args.list or args.slurm is not None:
        return _leave_to_others(commands, needed, folder, args)
    number = args.jobs or jobs.usual_number(args.device, threads=args.threads)
    if number > 1 and len(runs) > 1:
        stores = {name: prepare(data) for name, data in needed.items()}
        if not (status := jobs.run(commands, jobs=number, after_each=show_table)):
            target, store = device.choose(args.device), stores[runs[-1].data.name]
            last = StageContext(store, target, folder.stages, **_execution(args, runs, target))
            _say_what_next(runs[-1], last, folder, args)
        return status
    with distributed.process_group(args.device, threads=args.threads) as (processes, target):
        execution = _execution(args, runs, target) | {"fresh": args.fresh, "processes": processes}
        stores = several_machines.open_stores(needed, prepare, processes, data=args.data, runs=folder)
        contexts = {key: StageContext(one, target, folder.stages, **execution) for key, one in stores.items()}
        for line in reproduce.reproduce_all(runs, contexts, folder, track=args.track):
            print(line, flush=True)
            show_table()
        if processes.is_main and not args.is_job:
            _say_what_next(runs[-1], contexts[runs[-1].data.name], folder, args)
    return 0


def _say_where_comparable(runs: list["Run"], *, quiet: bool) -> None:
    """A line for each method whose published row is on other images than these.

    A recipe does not choose the images: `--dataset` does, as it names the folders of all results.
    quiet: say nothing, because another process of the same command does (torchrun gives each its RANK).
    """
    paper = published.load_published(runs[0].card.name)
    if paper is None or quiet:
        return
    lines = []
    for run in runs:
        recipe = run.recipe
        row = paper.row(run.name, trunk=recipe.trunk, input_size=recipe.input_size)
        lines.append(published.elsewhere(run.card.name, run.name, row))
    for line in filter(None, dict.fromkeys(lines)):
        progress.say(line)


def _preparation(args: argparse.Namespace) -> "Callable[[Card], Store]":
    """The function that prepares a data set as the options say."""
    return lambda card: preparation.prepare(
        card, source=args.source, data=args.data, allow_partial=args.allow_partial, overlap=args.overlap
    )


def _writable_folder(dataset: str, runs: Path) -> RunFolder:
    """The data set's folder of runs; InputError, before any work, if a run could not write into it."""
    folder = RunFolder.of(dataset, runs)
    for written in folder.written:
        check_writable(written, option="--runs")
    return folder


def _execution(args: argparse.Namespace, runs: list["Run"], target: "torch.device") -> dict[str, Any]:
    """The fields of a StageContext that the options on execution set.

    Norms are not fused by default where that is impossible: see bench.training.fused_blocks.
    """
    from bench.training import device, distributed  # noqa: PLC0415 (--help needs no torch)

    in_groups = any(run.recipe.batch_norm == "groups" for run in runs)
    usual = device.FUSED_NORMS and not (args.compile or in_groups or distributed.is_distributed())
    return {
        "compiled": args.compile,
        "precision": device.chosen_precision(args.precision),
        "fused_norms": device.fused_norms(target, args.fused_norms, usual=usual),
        "captured": not args.no_graph,
        "watched": runs[0].card.evaluation if args.watch_test else None,
    }


def _check_dataset(card: "Card", args: argparse.Namespace) -> None:
    """InputError for a wrong option of the data set, and where there are no test labels to watch."""
    formats.check_options(card)
    if args.watch_test and card.evaluation.result_files:
        raise InputError(f"--watch-test: the owner of {card.name} keeps the test labels; leave it out")


def _check_name(name: str | None, runs: int) -> None:
    """InputError where `--name` is no name, or there are several runs that it could mean."""
    if name is not None:
        find_run.check_name(name)
        if runs > 1:
            raise InputError(
                f"--name {name}: a name is for one run; give one method and one seed, not {runs} runs"
            )


def _say_what_next(run: "Run", context: "StageContext", folder: RunFolder, args: argparse.Namespace) -> None:
    """Give the run its name; print what its mAP means, and the command that labels images with it."""
    path = folder.record(run.record_name(context))
    if not path.exists():  # the data set's owner keeps the test labels, so there is no record
        return
    called = f"{run.card.name}/{path.stem}"
    if args.name is not None:
        find_run.give_name(args.name, called, args.runs)
        called = args.name
    print(_meaning(record.read_record(path), context.store))
    where = [] if args.runs == RUNS else ["--runs", str(args.runs)]
    words = ["python", "-m", "bench.predict", "--run", called, *where, "--images"]
    print(f"label your own images: {shlex.join(words)} PATH...", flush=True)


def _meaning(facts: record.Record, store: Store) -> str:
    """One sentence on the record's mAP."""
    import numpy as np  # noqa: PLC0415 (--help needs no numpy)

    labels_NC, protocol = store.test.labels_NC, facts["protocol"]
    known_NC = labels_NC != 0 if protocol["unspecified"] else np.ones_like(labels_NC, dtype=bool)
    positive_C, known_C = (labels_NC == 1).sum(axis=0), known_NC.sum(axis=0)
    chance = 100 * float((positive_C / known_C.clip(1))[positive_C > 0].mean())
    mean_ap = facts["metrics"][protocol["profile"]]["mAP"]
    return (
        f"mAP {mean_ap:.2f}: for each of {labels_NC.shape[1]} labels the {len(labels_NC):,} test images are"
        " ranked by confidence; 100 means that all images with the label come first, a random order gives"
        f" about {chance:.0f}"
    )


def _command(name: str, changes: dict[str, str], seed: int, words: list[str]) -> list[str]:
    """The command of a single run, after `python`."""
    method = (
        f"{name}@" + ",".join(f"{field}={value}" for field, value in changes.items()) if changes else name
    )
    single = cluster.without([word for word in words if word not in FLAGS], OF_SEVERAL)
    own = ["--method", method, "--seeds", str(seed), "--jobs", "1", "--is-job"]
    return ["-m", "bench.run", *single, *own]


def _leave_to_others(
    commands: list[list[str]], needed: dict[str, "Card"], folder: RunFolder, args: argparse.Namespace
) -> int:
    """Print the commands of the runs, or submit them to a cluster."""
    for name in needed:
        if not (args.data / name / MANIFEST).exists():
            place = [] if args.data == DATA else ["--data", str(args.data)]
            now = shlex.join(["python", "-m", "bench.prepare", "--dataset", name, *place])
            progress.say(
                f"{args.data / name} is not there: one run prepares it while the others wait; or first: {now}"
            )
    if args.list:
        print("\n".join(shlex.join([sys.executable, *command]) for command in commands))
        return 0
    name = f"multilabel-bench {folder.path.name}"
    job = cluster.submit(commands, args.slurm, folder=folder.cluster, name=name)
    print(f"submitted {len(commands)} runs as Slurm job {job}; what they print: {folder.cluster}")
    runs = [] if args.runs == RUNS else ["--runs", str(args.runs)]
    table = shlex.join(["python", "-m", "bench.table", "--dataset", folder.path.name, *runs])
    print(f"their results: {table}; the same command again does what failed, and passes over what is done")
    return 0


def _print_table(dataset: str, folder: RunFolder) -> None:
    """The rows that are recorded by now."""
    table = comparison_table.build_table(dataset, folder.path)
    rows = tuple(row for row in table.rows if row.source == "reproduced" and row.n)
    print(typeset.as_text(dataclasses.replace(table, about=table.about[:1], rows=rows, notes=())), flush=True)


def _print_nothing() -> None:
    pass


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run_command(main)

"""The record that `bench.perf train` writes: rates, the hours projected from them, and its text table."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from bench.data import cards
from bench.data.store import HELD_OUT_SHARE
from bench.perf.synthetic import FULL, Size
from bench.training import method
from bench.training.stages import Collection, Stage

SCHEMA = "multilabel-bench/perf-train/1"
DATASETS = ("coco", "nuswide", "wider")
Chain = tuple[Any, ...]  # a stage with all stages before it; equal chains are trained once


def recipe(name: str) -> Any:
    """A method's recipe on equal terms: with SRN's input size, crops, batch size and epochs."""
    return method.recipe(method.load_method(name), DATASETS[0], {"terms": "equal"})


def chains(stages: Iterable[Stage | Collection]) -> Iterator[Chain]:
    """A key of each stage and all stages before it; stages with equal keys are trained only once."""
    chain: Chain = ()
    for stage in stages:
        chain = (*chain, stage.name, stage.owner, tuple(stage.settings.items()))
        yield chain


def hours(rates_by_method: dict[str, Any], images: int) -> dict[str, float]:
    """Projected hours of training by method, and of `all` methods with equal stages trained once.

    images: training images. Each epoch of a stage counts at the stage's own rate, and after it one evaluation
    of the held-out share.
    """
    hours_of_chain: dict[Chain, float] = {}
    total: dict[str, float] = {}
    for name, rates in rates_by_method.items():
        stages = method.load_method(name).stages(recipe(name))
        total[name] = 0.0
        for stage, chain in zip(stages, chains(stages), strict=True):
            training = images * (1 - HELD_OUT_SHARE) / rates["stages"][stage.name]["pipeline"]
            evaluation = images * HELD_OUT_SHARE / rates["evaluation"]
            hours_of_chain[chain] = stage.epochs * (training + evaluation) / 3600
            total[name] += hours_of_chain[chain]
    return {**total, "all": sum(hours_of_chain.values())}


def record(rates: dict[str, dict[str, Any]], size: Size, origin: dict[str, Any]) -> dict[str, Any]:
    """The content of the file: the rates by mode and method and, at full size, the projected hours.

    origin: as `provenance` gives it.
    """
    full = size.trunk == FULL.trunk
    datasets = {name: cards.load_card(name).train.images for name in DATASETS} if full else {}
    return {
        "schema": SCHEMA,
        "size": asdict(size),
        "images_per_second": rates,
        "projected_hours": {
            mode: {name: hours(rates_by_method, images) for name, images in datasets.items()}
            for mode, rates_by_method in rates.items()
        },
        "provenance": origin,
    }


def lines(record: dict[str, Any]) -> Iterator[str]:
    """The record as a table; "x eager" compares the pipelines of one stage in two modes."""
    size, by_mode = record["size"], record["images_per_second"]
    yield f"{size['trunk']} on {record['provenance']['hardware']}, batches of {size['batch']}"
    yield (
        f"{'images/s':<34}{'pipeline':>10}{'x eager':>9}{'resident':>10}{'ratio':>7}{'memory':>10}"
        f"{'first step':>12}"
    )
    for mode, rates_by_method in by_mode.items():
        for name, rates in rates_by_method.items():
            control = by_mode.get("eager", {}).get(name, rates)
            for stage, rate in rates["stages"].items():
                times = rate["pipeline"] / control["stages"][stage]["pipeline"]
                yield (
                    f"{f'{name} {stage}, {mode}':<34}{rate['pipeline']:>10,.0f}{times:>9.2f}"
                    f"{rate['resident']:>10,.0f}{rate['ratio']:>7.2f}{rate['memory_bytes'] / 2**30:>6.1f} GiB"
                    f"{rate['first_step_seconds']:>10.1f} s"
                )
            times = rates["evaluation"] / control["evaluation"]
            resident = rates.get("evaluation_resident", float("nan"))
            yield (
                f"{f'{name} evaluation, {mode}':<34}{rates['evaluation']:>10,.0f}{times:>9.2f}"
                f"{resident:>10,.0f}{rates['evaluation'] / resident:>7.2f}"
            )
    for mode, by_dataset in record["projected_hours"].items():
        for dataset, by_method in by_dataset.items():
            text = ", ".join(f"{name} {value:.2f}" for name, value in by_method.items())
            yield f"projected hours, {dataset}, {mode}: {text}"
    if left_out := record.get("left_out"):
        yield f"not measured, as the time was over: {', '.join(left_out)}"
    if usual := record.get("usual_loop"):
        name = f"usual loop, {usual['workers']} workers"
        yield f"{name:<34}{usual['images_per_second']:>10,.0f}"
    if profile := record.get("profile"):
        yield f"{profile['milliseconds']:.1f} ms of a training step, by kernel:"
        for kernel in profile["kernels"]:
            yield (
                f"{kernel['share']:>7.1%}{kernel['milliseconds']:>9.3f} ms{kernel['calls']:>6.0f} x  "
                f"{kernel['name'][:80]}"
            )

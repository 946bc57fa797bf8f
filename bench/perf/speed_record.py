"""The record of a measurement of training: rates, the hours projected from them, and the text table."""

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
    """A method's recipe with the settings that all share: input size, crops, batch size and SRN's epochs."""
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
    spent: dict[Chain, float] = {}
    total: dict[str, float] = {}
    for name, rates in rates_by_method.items():
        stages = method.load_method(name).stages(recipe(name))
        total[name] = 0.0
        for stage, chain in zip(stages, chains(stages), strict=True):
            training = images * (1 - HELD_OUT_SHARE) / rates["stages"][stage.name]["pipeline"]
            evaluation = images * HELD_OUT_SHARE / rates["evaluation"]
            spent[chain] = stage.epochs * (training + evaluation) / 3600
            total[name] += spent[chain]
    return {**total, "all": sum(spent.values())}


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
    """The record as a table."""
    size = record["size"]
    yield f"{size['trunk']} on {record['provenance']['hardware']}, batches of {size['batch']}"
    yield f"{'images/s':<34}{'pipeline':>10}{'resident':>10}{'ratio':>7}{'memory':>10}{'first step':>12}"
    for mode, rates_by_method in record["images_per_second"].items():
        for name, rates in rates_by_method.items():
            for stage, rate in rates["stages"].items():
                memory = rate["memory_bytes"] / 2**30
                yield (
                    f"{f'{name} {stage}, {mode}':<34}{rate['pipeline']:>10,.0f}{rate['resident']:>10,.0f}"
                    f"{rate['ratio']:>7.2f}{memory:>6.1f} GiB{rate['first_step_seconds']:>10.1f} s"
                )
            yield f"{f'{name} evaluation, {mode}':<34}{rates['evaluation']:>10,.0f}"
    for mode, by_dataset in record["projected_hours"].items():
        for dataset, by_method in by_dataset.items():
            text = ", ".join(f"{name} {value:.2f}" for name, value in by_method.items())
            yield f"projected hours, {dataset}, {mode}: {text}"

"""Train methods on a data set, predict its test images, record the scores.

`python -m bench.run --dataset demo --method srn --seeds 0,1`

Stages that are stored already are not trained again, and what is unchanged altogether is left alone.
"""

import argparse
import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench import (
    cards,
    device,
    distribute,
    method,
    metrics,
    names,
    predict,
    prepare,
    profiles,
    record,
    reuse,
    signals,
    sources,
)
from bench.cards import Card
from bench.command import Parser, run
from bench.errors import InputError
from bench.paths import DATA, RUNS
from bench.provenance import provenance
from bench.reuse import Workshop


@dataclass(frozen=True)
class Run:
    """One method with one recipe and one seed on one data set."""

    card: Card
    name: str
    changes: dict[str, str | bool]
    seed: int

    @property
    def title(self) -> str:
        return f"{names.title(self.name)} seed {self.seed}"


def reproduce(wanted: Run, workshop: Workshop, folder: Path) -> tuple[dict[str, Any], bool]:
    """(the run's record, whether anything was done): trained, predicted, scored, written to the folder."""
    module = method.load(wanted.name)
    config = method.recipe(module, wanted.card.name, wanted.changes)
    keys = reuse.keys(module, config, workshop, wanted.seed)
    head = {
        "schema": record.SCHEMA,
        "dataset": wanted.card.name,
        "method": wanted.name,
        "variant": _variant(wanted, module, workshop),
        "seed": wanted.seed,
    }
    key = reuse.digest(keys[-1], sources.digest(*sources.SCORING), dataclasses.asdict(wanted.card.evaluation))
    path = folder / record.file_name(head)
    known = record.read(path) if path.exists() and not workshop.fresh else {"key": None}
    if (known := workshop.crew.lead(known))["key"] == key:
        return known, False
    model = method.build(module, config, method.labels_of(workshop.store), wanted.seed)
    model.to(workshop.device).to(memory_format=torch.channels_last)
    plan = list(zip(module.stages(config), keys, strict=True))
    done = list(reuse.learn(model, plan, workshop, seed=wanted.seed, title=wanted.title))
    scores, seconds = _score(model, wanted.card, workshop, folder / "predictions" / path.name)
    made = {**head, **_body(wanted.card, workshop, config), "metrics": scores, "key": key}
    stages = [{name: stage[name] for name in ("name", "key", "epochs")} for stage in done]
    made |= {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": sum(len(stage["epochs"]) for stage in stages),
        "stages": stages,
        "timing": {"seconds": {stage["name"]: stage["seconds"] for stage in done} | {"test": seconds}},
        "provenance": provenance(
            hardware=device.hardware(workshop.device, workshop.crew.size), threads=torch.get_num_threads()
        ),
    }
    if workshop.crew.leads:
        record.write(made, folder)
    return made, True


def _score(model: nn.Module, card: Card, workshop: Workshop, file: Path) -> tuple[dict[str, Any], float]:
    """(the metrics of every profile, seconds): test images predicted, the predictions kept in the file."""
    began = time.monotonic()
    logits_NC = predict.predict(model, workshop.store.test, reuse.pixels(model, workshop), crew=workshop.crew)
    labels_NC, protocol = workshop.store.test.labels_NC, card.evaluation
    facts = {
        "dataset": card.name,
        "label_names": card.labels,
        "ids": workshop.store.test.column("id").tolist(),
    }
    if workshop.crew.leads:
        predict.write(file.with_suffix(".safetensors"), predict.Predictions(logits_NC, labels_NC, facts))
    scores = {}
    for profile in profiles.PROFILES:
        found = metrics.evaluate(
            logits_NC, labels_NC, profile=profile, top3=protocol.top3, unspecified=protocol.unspecified
        )
        scores[profile] = _numbers({**found, "AP": dict(zip(card.labels, found["AP"].tolist(), strict=True))})
    return scores, time.monotonic() - began


def _numbers(found: dict[str, Any]) -> dict[str, Any]:
    """The metrics without those that the profile does not define; a class without positives has AP None."""
    known = {}
    for name, value in found.items():
        if name == "AP":
            known[name] = {label: None if math.isnan(ap) else ap for label, ap in value.items()}
        elif isinstance(value, dict):
            known |= {name: numbers} if (numbers := _numbers(value)) else {}
        elif not math.isnan(value):
            known[name] = value
    return known


def _body(card: Card, workshop: Workshop, config: Any) -> dict[str, Any]:
    """What a record says of the data and the recipe."""
    store, manifest = workshop.store, workshop.store.manifest
    return {
        "protocol": dataclasses.asdict(card.evaluation),
        "images": {"train": len(store.fitted), "held_out": len(store.held_out), "test": len(store.test)},
        "recipe": _recipe(config),
        "data": {
            "card": manifest["made_from"]["card"],
            "fingerprint": manifest["fingerprint"],
            "partial": manifest["partial"],
        },
    }


def _recipe(config: Any) -> dict[str, Any]:
    """The recipe as the record keeps it: a local file by its name only, as its content is in the stages'
    keys.
    """
    return {
        name: Path(value).name if name == "trunk_weights" else value for name, value in vars(config).items()
    }


def _variant(wanted: Run, module: method.Method, workshop: Workshop) -> str:
    """The changed fields that matter, as `epochs=8,lr=0.01`: those without which the keys would be others."""
    usual = method.recipe(module, wanted.card.name)
    config = method.recipe(module, wanted.card.name, wanted.changes)
    keys = reuse.keys(module, config, workshop, wanted.seed)
    recipe = _recipe(config)
    without = {name: dataclasses.replace(config, **{name: getattr(usual, name)}) for name in wanted.changes}
    matters = [name for name in without if reuse.keys(module, without[name], workshop, wanted.seed) != keys]
    return ",".join(f"{name}={recipe[name]}" for name in sorted(matters))


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    card = cards.load(args.dataset)
    wanted = [
        Run(card, name, _changes(args), seed) for name in _methods(args.method) for seed in _seeds(args.seeds)
    ]
    for one in wanted:
        method.recipe(method.load(one.name), card.name, one.changes)  # a wrong field is said before any work
    folder = args.runs / card.name
    with distribute.joined(args.device) as (crew, on):
        with crew.leader_first():
            store = prepare.prepare(card, source=args.source, data=args.data)
        workshop = Workshop(store, on, folder / "stages", fresh=args.fresh, crew=crew)
        for one in wanted:
            made, worked = reproduce(one, workshop, folder)
            if crew.leads:
                _report(one, made, worked, record.shown(folder / record.file_name(made)))
    return 0


def _report(one: Run, made: dict[str, Any], worked: bool, where: str) -> None:
    scores = made["metrics"][one.card.evaluation.profile]
    state = "recorded," if worked else "unchanged, nothing to train;"
    print(f"{one.title}: {state} mAP {scores['mAP']:.2f} in {where}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.run", description=__doc__)
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help=f"one of: {', '.join(cards.names())}"
    )
    parser.add_argument(
        "--method", required=True, metavar="NAME", help=f"all, or of: {', '.join(names.methods())}"
    )
    parser.add_argument("--seeds", default="0", metavar="LIST", help="as 0,1,2 (default: 0)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a recipe field"
    )
    parser.add_argument("--budget", choices=("paper", "equal"), help="equal: as many epochs in all as SRN")
    parser.add_argument(
        "--trunk", metavar="NAME.TAG", help="timm's name and tag (default: resnet101.tv_in1k)"
    )
    parser.add_argument("--trunk-weights", metavar="FILE", help="the trunk's weights, instead of timm's")
    parser.add_argument("--from-scratch", action="store_true", help="no pretrained weights for the trunk")
    parser.add_argument("--fresh", action="store_true", help="ignore what is stored: train everything again")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1")
    parser.add_argument(
        "--source", type=Path, metavar="DIR", help="the owner's files, if they are not prepared yet"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="DIR", help="where stores lie (default: data)"
    )
    parser.add_argument(
        "--runs", type=Path, default=RUNS, metavar="DIR", help="where runs write (default: runs)"
    )
    return parser


def _changes(args: argparse.Namespace) -> dict[str, str | bool]:
    changes: dict[str, str | bool] = {}
    for text in args.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: give it as field=value")
        changes[name.strip()] = value.strip()
    flags = {"budget": args.budget, "trunk": args.trunk, "trunk_weights": args.trunk_weights}
    changes |= {name: value for name, value in flags.items() if value is not None}
    return changes | ({"from_scratch": True} if args.from_scratch else {})


def _methods(name: str) -> list[str]:
    return names.in_order() if name == "all" else [names.find_method(part) for part in name.split(",")]


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
        if min(seeds) >= 0:
            return seeds
        raise ValueError(text)
    except ValueError as mistake:
        raise InputError(f"--seeds {text}: whole numbers expected, as in 0,1,2") from mistake


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run(main)

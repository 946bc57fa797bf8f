"""Train methods on a data set, predict its test images, record the scores.

`python -m bench.run --dataset demo --method srn --seeds 0,1`
`torchrun --nproc-per-node=4 -m bench.run --dataset coco --method srn`

Stages that are stored already are not trained again, and what is unchanged altogether is left alone.
"""

import dataclasses
import math
import sys
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
    jobs,
    method,
    metrics,
    names,
    options,
    predict,
    prepare,
    profiles,
    record,
    reuse,
    signals,
    sources,
)
from bench.cards import Card
from bench.command import run
from bench.log import Log
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


def reproduce(
    wanted: Run, workshop: Workshop, folder: Path, *, tensorboard: bool = False
) -> tuple[dict[str, Any], bool]:
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
    board = folder / "tensorboard" / path.stem if tensorboard else None
    log = Log(path.with_suffix(".jsonl"), tensorboard=board) if workshop.crew.leads else None
    done = list(reuse.learn(model, plan, workshop, seed=wanted.seed, title=wanted.title, log=log))
    scores, seconds = _score(model, wanted.card, workshop, folder / "predictions" / path.name)
    made = {**head, **_body(wanted.card, workshop, config), "metrics": scores, "key": key}
    stages = [{name: stage[name] for name in ("name", "key", "epochs", "held_out")} for stage in done]
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
    words = sys.argv[1:] if argv is None else argv
    args = options.parser(__doc__).parse_args(words)
    card = cards.load(args.dataset)
    wanted = [
        Run(card, name, options.changes(args), seed)
        for name in options.methods(args.method)
        for seed in options.seeds(args.seeds)
    ]
    for one in wanted:
        method.recipe(method.load(one.name), card.name, one.changes)  # a wrong field is said before any work
    if args.jobs > 1 and len(wanted) > 1:
        prepare.prepare(card, source=args.source, data=args.data)
        return jobs.run([_alone(one, words) for one in wanted], jobs=args.jobs)
    folder = args.runs / card.name
    with distribute.joined(args.device) as (crew, on):
        with crew.leader_first():
            store = prepare.prepare(card, source=args.source, data=args.data)
        workshop = Workshop(store, on, folder / "stages", fresh=args.fresh, crew=crew, compiled=args.compile)
        for one in wanted:
            made, worked = reproduce(one, workshop, folder, tensorboard=args.tensorboard)
            if crew.leads:
                _report(one, made, worked, record.shown(folder / record.file_name(made)))
    return 0


def _alone(one: Run, words: list[str]) -> list[str]:
    """The command line of one of several runs: of an option given twice the last counts."""
    return ["-m", "bench.run", *words, "--method", one.name, "--seeds", str(one.seed), "--jobs", "1"]


def _report(one: Run, made: dict[str, Any], worked: bool, where: str) -> None:
    scores = made["metrics"][one.card.evaluation.profile]
    state = "recorded," if worked else "unchanged, nothing to train;"
    print(f"{one.title}: {state} mAP {scores['mAP']:.2f} in {where}", flush=True)


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run(main)

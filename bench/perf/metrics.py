"""Seconds and memory of every metric profile at NUS-WIDE's size, beside scikit-learn in the same run."""

import json
import time
import tracemalloc
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from tabulate import tabulate

from bench.base.cli import Parser, run_command
from bench.base.errors import InputError
from bench.base.protocol import Evaluation
from bench.scoring import bootstrap, profiles
from bench.scoring.matrices import Array
from bench.scoring.metrics import evaluate

GOALS = "at most 0.5 s, at least 4 times scikit-learn's speed, at most 3 times the input's memory"
LIBRARY = "scikit-learn"
REPLICATES = 2 * bootstrap.BLOCK  # from which the time of 1,000 is projected


def sample(images: int, labels: int) -> tuple[Array, Array]:
    """Logits in float32 and labels with 2.2 % positives, rare labels and frequent ones, as in NUS-WIDE."""
    rng = np.random.default_rng(0)
    share_C = rng.lognormal(sigma=1.2, size=labels)
    share_C = np.minimum(0.022 * share_C / share_C.mean(), 0.5)
    labels_NC = (rng.random((images, labels)) < share_C).astype(np.int8)
    labels_NC[np.arange(labels) % images, np.arange(labels)] = 1
    logits_NC = rng.normal(size=(images, labels)) - 2 + 2.5 * labels_NC
    return logits_NC.astype(np.float32), labels_NC


def scikit_learn(logits_NC: Array, labels_NC: Array) -> None:
    """What profile sklearn computes, by scikit-learn."""
    from sklearn import metrics as sk  # noqa: PLC0415 (only what is measured against it waits for it)

    sk.average_precision_score(labels_NC, logits_NC, average=None)
    for average in ("macro", "micro"):
        sk.precision_recall_fscore_support(labels_NC, logits_NC >= 0, average=average, zero_division=0)


def seconds(contenders: Mapping[str, Callable[[], Any]], *, repeat: int) -> dict[str, float]:
    """The best of `repeat` rounds for each; they take turns, so that a busy moment meets all of them."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(repeat):
        for name, work in contenders.items():
            began = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def memory(work: Callable[[], Any]) -> int:
    """Bytes that the work allocates at its peak, beyond what was there."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def measure(images: int, labels: int, *, repeat: int) -> dict[str, Any]:
    """Of every profile its seconds, scikit-learn's over these, and its peak memory over the input's."""
    logits_NC, labels_NC = sample(images, labels)
    inputs = (logits_NC, labels_NC)
    work = {name: partial(evaluate, *inputs, profile=name) for name in profiles.PROFILES}
    taken = seconds({LIBRARY: partial(scikit_learn, *inputs), **work}, repeat=repeat)
    size = logits_NC.nbytes + labels_NC.nbytes
    rows = {
        name: {
            "seconds": taken[name],
            "speed": taken[LIBRARY] / taken[name],
            "memory": memory(work[name]) / size,
        }
        for name in work
    }
    drawn = seconds({"bootstrap": partial(_bootstrap, *inputs)}, repeat=1)["bootstrap"]
    return {
        "images": images,
        "labels": labels,
        "profiles": rows,
        "scikit_learn_seconds": taken[LIBRARY],
        "bootstrap_1000_seconds": drawn / REPLICATES * 1000,
        "missed": [name for name, row in rows.items() if not is_met(row)],
    }


def _bootstrap(logits_NC: Array, labels_NC: Array) -> None:
    weights = bootstrap.draw_weights(len(logits_NC), REPLICATES)
    rules = profiles.get_profile("srn2017")
    bootstrap.resample(logits_NC, labels_NC, weights, rules=rules, protocol=Evaluation())


def is_met(row: Mapping[str, float]) -> bool:
    return row["seconds"] <= 0.5 and row["speed"] >= 4 and row["memory"] <= 3


def as_text(found: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{row['seconds']:.3f}", f"{row['speed']:.1f} x", f"{row['memory']:.2f} x"]
        for name, row in found["profiles"].items()
    ]
    rows.append([f"{LIBRARY}, the same as profile sklearn", f"{found['scikit_learn_seconds']:.3f}", "1.0 x"])
    heads = [
        f"{found['images']:,} x {found['labels']}",
        "seconds",
        f"{LIBRARY} / this",
        "peak memory / input",
    ]
    sides = ("left", "right", "right", "right")
    missed = f"missed by {', '.join(found['missed'])}" if found["missed"] else "met by every profile"
    lines = [
        str(tabulate(rows, heads, "simple", colalign=sides, disable_numparse=True)),
        f"1,000 bootstrap replicates of every column of srn2017: {found['bootstrap_1000_seconds']:.0f} s",
        f"goal at 107,859 x 81, {GOALS}: {missed}",
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.perf metrics", description=__doc__)
    parser.add_argument(
        "--images", type=int, default=107_859, metavar="N", help="default: NUS-WIDE's test set"
    )
    parser.add_argument("--labels", type=int, default=81, metavar="C")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="rounds, of which the best counts")
    parser.add_argument("--json", action="store_true", help="every digit, for programs")
    args = parser.parse_args(argv)
    if min(args.images, args.labels, args.repeat) < 1:
        raise InputError("--images, --labels and --repeat must be at least 1")
    found = measure(args.images, args.labels, repeat=args.repeat)
    print(json.dumps(found, indent=1) if args.json else as_text(found))
    return 0


if __name__ == "__main__":
    run_command(main)

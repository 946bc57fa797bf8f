"""Measure time and memory of each metric profile at NUS-WIDE's size, beside scikit-learn in the same run."""

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
REPLICATES = 2 * bootstrap.BLOCK  # measured; the time of 1,000 is projected from it


def sample(images: int, labels: int) -> tuple[Array, Array]:
    """Random float32 logits, and labels as in NUS-WIDE: 2.2 % positives, some labels rare, some frequent."""
    rng = np.random.default_rng(0)
    share_C = rng.lognormal(sigma=1.2, size=labels)
    share_C = np.minimum(0.022 * share_C / share_C.mean(), 0.5)
    labels_NC = (rng.random((images, labels)) < share_C).astype(np.int8)
    labels_NC[np.arange(labels) % images, np.arange(labels)] = 1
    logits_NC = rng.normal(size=(images, labels)) - 2 + 2.5 * labels_NC
    return logits_NC.astype(np.float32), labels_NC


def scikit_learn(logits_NC: Array, labels_NC: Array) -> None:
    """Compute with scikit-learn what the profile `sklearn` computes."""
    from sklearn import metrics as sk  # noqa: PLC0415 (slow to import, and needed here only)

    sk.average_precision_score(labels_NC, logits_NC, average=None)
    for average in ("macro", "micro"):
        sk.precision_recall_fscore_support(labels_NC, logits_NC >= 0, average=average, zero_division=0)


def best_seconds(programs: Mapping[str, Callable[[], Any]], *, repeat: int) -> dict[str, float]:
    """The best of `repeat` rounds for each program; they take turns, so that other load hits all of them."""
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(repeat):
        for name, program in programs.items():
            began = time.perf_counter()
            program()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def peak_memory(program: Callable[[], Any]) -> int:
    """Bytes that the program has allocated at its peak, without those allocated before."""
    tracemalloc.start()
    program()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def measure(images: int, labels: int, *, repeat: int) -> dict[str, Any]:
    """For each profile: seconds, scikit-learn's seconds over these, and peak memory over the input's size."""
    logits_NC, labels_NC = sample(images, labels)
    inputs = (logits_NC, labels_NC)
    programs = {name: partial(evaluate, *inputs, profile=name) for name in profiles.PROFILES}
    spent = best_seconds({LIBRARY: partial(scikit_learn, *inputs), **programs}, repeat=repeat)
    size = logits_NC.nbytes + labels_NC.nbytes
    rows = {
        name: {
            "seconds": spent[name],
            "speed": spent[LIBRARY] / spent[name],
            "memory": peak_memory(programs[name]) / size,
        }
        for name in programs
    }
    bootstrap_seconds = best_seconds({"bootstrap": partial(_bootstrap, *inputs)}, repeat=1)["bootstrap"]
    return {
        "images": images,
        "labels": labels,
        "profiles": rows,
        "scikit_learn_seconds": spent[LIBRARY],
        "bootstrap_1000_seconds": bootstrap_seconds / REPLICATES * 1000,
        "missed": [name for name, row in rows.items() if not is_met(row)],
    }


def _bootstrap(logits_NC: Array, labels_NC: Array) -> None:
    weights = bootstrap.draw_weights(len(logits_NC), REPLICATES)
    rules = profiles.get_profile("srn2017")
    bootstrap.resample(logits_NC, labels_NC, weights, rules=rules, protocol=Evaluation())


def is_met(row: Mapping[str, float]) -> bool:
    return row["seconds"] <= 0.5 and row["speed"] >= 4 and row["memory"] <= 3


def as_text(results: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{row['seconds']:.3f}", f"{row['speed']:.1f} x", f"{row['memory']:.2f} x"]
        for name, row in results["profiles"].items()
    ]
    rows.append(
        [f"{LIBRARY}, the same as profile sklearn", f"{results['scikit_learn_seconds']:.3f}", "1.0 x"]
    )
    headers = [
        f"{results['images']:,} x {results['labels']}",
        "seconds",
        f"{LIBRARY} / this",
        "peak memory / input",
    ]
    alignment = ("left", "right", "right", "right")
    missed = f"missed by {', '.join(results['missed'])}" if results["missed"] else "met by every profile"
    lines = [
        str(tabulate(rows, headers, "simple", colalign=alignment, disable_numparse=True)),
        f"1,000 bootstrap replicates of every column of srn2017: {results['bootstrap_1000_seconds']:.0f} s",
        f"goal at 107,859 x 81, {GOALS}: {missed}",
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.perf metrics", description=__doc__)
    parser.add_argument(
        "--images", type=int, default=107_859, metavar="N", help="default: 107859, as NUS-WIDE's test set"
    )
    parser.add_argument("--labels", type=int, default=81, metavar="C", help="default: 81, as NUS-WIDE")
    parser.add_argument(
        "--repeat", type=int, default=3, metavar="N", help="rounds; the best one counts (default: 3)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON with every digit, for programs")
    args = parser.parse_args(argv)
    if min(args.images, args.labels, args.repeat) < 1:
        raise InputError("--images, --labels and --repeat must be at least 1")
    results = measure(args.images, args.labels, repeat=args.repeat)
    print(json.dumps(results, indent=1) if args.json else as_text(results))
    return 0


if __name__ == "__main__":
    run_command(main)

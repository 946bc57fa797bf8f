"""The metrics of predictions, with the further ones if asked for, and their bootstrap replicates."""

from collections.abc import Iterator
from typing import Any

from bench.base.protocol import FURTHER, Column, Evaluation
from bench.scoring import alignment, bootstrap, bootstrap_further, further
from bench.scoring.alignment import AlignedPredictions
from bench.scoring.bootstrap import Replicates
from bench.scoring.matrices import Array
from bench.scoring.profiles import Profile


def score(
    subject: AlignedPredictions, rules: Profile, evaluation: Evaluation, *, all_metrics: bool
) -> tuple[dict[Column, float], Array]:
    """The columns of a profile, with `bench.scoring.further` if `all_metrics`, and the AP of each label."""
    values, AP_C = alignment.score_predictions(subject, rules, evaluation)
    if not all_metrics:
        return values, AP_C
    data = subject.logits_NC, subject.labels_NC
    more = further.general(*data, evaluation) | further.of_decisions(*data, rules, evaluation)
    return values | {(FURTHER, name): value for name, value in more.items()}, AP_C


def replicate(
    subject: AlignedPredictions,
    rules: Profile,
    evaluation: Evaluation,
    replicates: int,
    *,
    title: str,
    all_metrics: bool,
) -> Replicates:
    """The same metrics of so many replicates, drawn alike for all predictions of the same images.

    title: of the progress bar.
    """
    data = subject.logits_NC, subject.labels_NC
    how: dict[str, Any] = {"rules": rules, "protocol": evaluation}

    def weights() -> Iterator[Array]:
        blocks = bootstrap.draw_weights(len(subject.logits_NC), replicates)
        return bootstrap.with_progress(blocks, title, replicates)

    found = bootstrap.resample(*data, weights(), **how)
    more = bootstrap_further.resample(*data, weights(), **how) if all_metrics else {}
    return Replicates(found.values | more, found.AP_LC)

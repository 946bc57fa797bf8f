"""The exponential moving average of the tensors that a stage trains, norms' statistics included."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from bench.training import stages
from bench.training.stages import Stage


class WeightAverage:
    """After every step a <- ema a + (1 - ema) w, by torch's own function; integers are copied.

    averages: by name, on the device; none where the stage averages nothing. The average begins at the weights
    with which the stage begins.
    """

    def __init__(self, model: nn.Module, stage: Stage) -> None:
        self.is_used, self.is_on = stage.weights == "averaged", stage.ema > 0
        self._weights = dict(stages.learned(model, stage)) if self.is_on else {}
        self.averages: dict[str, Tensor] = {name: tensor.clone() for name, tensor in self._weights.items()}
        self._average = get_ema_multi_avg_fn(stage.ema)

    @torch.no_grad()
    def update(self) -> None:
        """Add the current weights; reads no value, so that a GPU does not wait."""
        floating = [name for name, tensor in self._weights.items() if tensor.is_floating_point()]
        if floating:
            averages, weights = ([by[name] for name in floating] for by in (self.averages, self._weights))
            self._average(averages, weights, 0)
        for name in self._weights.keys() - set(floating):
            self.averages[name].copy_(self._weights[name])

    def of_both(self, evaluate: Callable[[], Any]) -> dict[str, Any]:
        """The result for the weights as they are, `raw`, and where there is an average, `averaged`."""
        results = {"raw": evaluate()}
        if self.is_on:
            with self.in_model():
                results["averaged"] = evaluate()
        return results

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """A context in which the model has the averages, at the places of its own weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, weights in self._weights.items():
            held = weights.clone()
            weights.copy_(self.averages[name])
            self.averages[name].copy_(held)

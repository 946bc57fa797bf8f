"""One step of training: forward pass, backward pass, update; what it changes are tensors on the device.

Legend: B images of a batch, C labels.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from bench.training import stages
from bench.training.distributed import Processes
from bench.training.loss_scaling import LossScaling
from bench.training.stages import Stage


def build_optimizer(model: nn.Module, stage: Stage, device: torch.device) -> torch.optim.SGD:
    """The stage's optimizer; its learning rates and momentum are tensors that stay where they are.

    Momentum that starts at 0 gives the same first update as torch's, which starts without any.
    """
    groups: list[dict[str, Any]] = stages.parameter_groups(model, stage)
    for group in groups:  # the type in which the fused update reads it
        group["lr"] = torch.zeros((), device=device, dtype=_rate_type(device))
    settings: dict[str, Any] = {"lr": 1.0, "momentum": stage.momentum, "weight_decay": stage.weight_decay}
    optimizer = torch.optim.SGD(groups, **settings, fused=True)
    for parameter in parameters(optimizer) if stage.momentum else ():
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _rate_type(device: torch.device) -> torch.dtype:
    return torch.float64 if device.type == "cpu" else torch.float32


def parameters(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    """The optimizer's parameters, in its order."""
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


class TrainingStep:
    """Trains on one batch; `autocast` gives the context of the forward pass."""

    def __init__(
        self,
        loss: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaling: LossScaling,
        processes: Processes,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.loss, self.optimizer, self.scaling = loss, optimizer, scaling
        self.processes, self.autocast = processes, autocast

    def __call__(self, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, ...]:
        with self.autocast():
            loss = self.loss(images_BCHW, labels_BC)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaling.scaled(loss).backward()
        gradients = [p.grad for p in parameters(self.optimizer) if p.grad is not None]
        # The device decides itself whether the optimizer skips its update: reading the value at every step
        # would make the GPU wait.
        optimizer: Any = self.optimizer
        optimizer.found_inf = self.scaling.add(self.processes.mean(loss.detach()), gradients)
        optimizer.grad_scale = self.scaling.grad_scale
        optimizer.step()
        self.scaling.adjust()
        return ()

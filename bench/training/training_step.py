"""One step of training: forward pass, backward pass, update; what it changes are tensors on the device.

Legend: B images of a batch, C labels.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_

from bench.training import stages
from bench.training.distributed import Processes
from bench.training.loss_scaling import LossScaling
from bench.training.schedule import Schedule
from bench.training.stage_checkpoint import StagePosition
from bench.training.stages import Stage


def build_optimizer(model: nn.Module, stage: Stage, device: torch.device) -> torch.optim.Optimizer:
    """The stage's optimizer; its learning rates and state are tensors that stay where they are.

    Momentum that starts at 0 gives the same first update as torch's, which starts without any.
    """
    groups: list[dict[str, Any]] = stages.parameter_groups(model, stage)
    for group in groups:  # the type in which the fused update reads it
        group["lr"] = torch.zeros((), device=device, dtype=_rate_type(device))
    settings: dict[str, Any] = {"lr": 1.0, "weight_decay": stage.weight_decay, "fused": True}
    if stage.opt == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(groups, momentum=stage.momentum, **settings)
        for parameter in parameters(optimizer) if stage.momentum else ():
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer
    kind: Any = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[stage.opt]
    # A CUDA graph can only be recorded of an optimizer that is said to be capturable.
    optimizer = kind(groups, betas=stage.betas, capturable=device.type == "cuda", **settings)
    for parameter in parameters(optimizer):
        moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": torch.zeros((), device=device), **moments}
    return optimizer


class Rates:
    """Gives the optimizer the learning rate of a step, outside of what a CUDA graph records.

    lr: the one that was set last, to which each part of the model has its factor.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: Schedule, steps: int) -> None:
        self.optimizer, self.schedule, self.steps = optimizer, schedule, steps
        self.lr = 0.0

    def set(self, plateau_lr: float, *, epoch: int, step: int) -> None:
        """Set the rate of a step, and under `cycle_momentum` its momentum; steps of the epoch are done."""
        when = {"epoch": epoch, "step": step, "steps": self.steps}
        if (lr := self.schedule.rate(plateau_lr, **when)) != self.lr:
            self.lr = lr
            for group in self.optimizer.param_groups:
                group["lr"].fill_(lr * group["factor"])
        for group in self.optimizer.param_groups if self.schedule.cycle_momentum else ():
            momentum = self.schedule.cycled_momentum(**when)
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            else:
                group["momentum"] = momentum

    def of_epoch(self, position: StagePosition) -> dict[str, float]:
        """The rate of an epoch's last step, `lr`, and where it differs, of its first step, `lr_first`."""
        when = {"epoch": position.epoch, "step": 0, "steps": self.steps}
        first = self.schedule.rate(position.plateau.lr, **when)
        return {"lr": self.lr} | ({"lr_first": first} if first != self.lr else {})


def _rate_type(device: torch.device) -> torch.dtype:
    return torch.float64 if device.type == "cpu" else torch.float32


def parameters(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    """The optimizer's parameters, in its order."""
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


class TrainingStep:
    """Trains on one batch; `autocast` gives the context of the forward pass.

    clip_norm: the norm of all gradients together is at most this; 0: any.
    """

    def __init__(
        self,
        loss: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaling: LossScaling,
        processes: Processes,
        autocast: Callable[[], AbstractContextManager[Any]],
        *,
        clip_norm: float = 0.0,
    ) -> None:
        self.loss, self.optimizer, self.scaling = loss, optimizer, scaling
        self.processes, self.autocast, self.clip_norm = processes, autocast, clip_norm

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
        if self.clip_norm:
            clip_grads_with_norm_(parameters(optimizer), self.clip_norm, self.scaling.norm)
        optimizer.step()
        self.scaling.adjust()
        return ()

"""Batch norm in groups: as four GPUs with a quarter of the batch each have it."""

import copy
from typing import Any

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.nn import functional as F

from bench.base.errors import InputError
from bench.training.batch_norm import use_groups


def network() -> nn.Sequential:
    """Torch's batch norm, and timm's of pre-activation trunks, which rectifies as well."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), BatchNormAct2d(4))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 4 * 4, 5)).double()


def loss(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(model(images), labels, reduction="sum") / len(images)


def step(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.1 * parameter.grad)
            parameter.grad = None


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(1)
    return [(3 * torch.randn(24, 3, 8, 8).double(), torch.randint(0, 2, (24, 5)).double()) for _ in range(3)]


def test_it_is_local_batch_norm_on_four_processes():
    """Four copies, each a quarter of each batch; the mean of the gradients, the first copy's statistics."""
    grouped, processes = network(), [network() for _ in range(4)]
    use_groups(grouped, 6, images=24)
    for images, labels in batches():
        loss(grouped, images, labels).backward()
        step(grouped)
        for model, x, y in zip(processes, images.split(6), labels.split(6), strict=True):
            loss(model, x, y).backward()
        for parameters in zip(*(model.parameters() for model in processes), strict=True):
            mean = torch.stack([parameter.grad for parameter in parameters]).mean(dim=0)
            for parameter in parameters:
                parameter.grad = mean.clone()
        for model in processes:
            step(model)
    expected = processes[0].state_dict()
    assert expected.keys() == grouped.state_dict().keys()
    for name, tensor in grouped.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-9)
    images = batches()[0][0]
    assert torch.allclose(grouped.eval()(images), processes[0].eval()(images))


def test_one_group_is_plain_batch_norm_bit_by_bit():
    plain, grouped = network(), network()
    use_groups(grouped, 24, images=24)
    for images, labels in batches():
        for model in (plain, grouped):
            loss(model, images, labels).backward()
            step(model)
    state = plain.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in grouped.state_dict().items())


def test_a_second_stage_and_a_copy_of_the_model_keep_the_groups():
    one, other = network(), network()
    use_groups(one, 6, images=24)
    use_groups(other, 12, images=24)
    use_groups(other, 6, images=24)
    images = batches()[0][0]
    assert torch.equal(one(images), other(images))
    copied: Any = copy.deepcopy(one)
    assert torch.equal(copied(images), one(images))
    copied[1].weight.data.zero_()
    assert not torch.equal(copied(images), one(images))


def test_frozen_layers_are_as_before():
    plain, grouped = network().eval(), network().eval()
    use_groups(grouped, 6, images=24)
    images = batches()[0][0]
    assert torch.equal(plain(images), grouped(images))


def test_a_share_without_whole_groups_is_refused():
    with pytest.raises(InputError, match="the 32 images of a batch on each process .* groups of 24; change"):
        use_groups(network(), 24, images=32)


def test_compiled_it_is_the_same():
    plain, grouped = network(), network()
    use_groups(plain, 6, images=24)
    use_groups(grouped, 6, images=24)
    images = batches()[0][0]
    compiled: Any = torch.compile(grouped, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(images), plain(images))
    state = plain.state_dict()
    assert all(torch.allclose(tensor, state[name]) for name, tensor in grouped.state_dict().items())

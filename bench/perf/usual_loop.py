"""Measure the usual training loop: JPEG files, a DataLoader with all cores, transforms on PIL images.

It trains the same network on batches of the same size as `bench.perf train`, in bfloat16 on a GPU.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms  # type: ignore[import-untyped]

from bench.base.processes import cores, map_unordered
from bench.perf.made_up_images import Picture, draw_all
from bench.perf.synthetic import LABELS, Size, wait
from bench.training import device
from bench.training.trunk import SMALL as SMALL_TRUNKS

PHOTOGRAPH = (640, 480)  # pixels, as most of MS-COCO
FILES = 2048  # on a GPU
EPOCHS = 3  # the first one warms up


class _Photographs(Dataset[tuple[Tensor, Tensor]]):
    """JPEG files, each resized, cropped at random, mirrored and normalised; labels are zeros."""

    def __init__(self, files: list[Path], size: Size) -> None:
        self.files = files
        resize = transforms.Resize((size.stored, size.stored))
        augment = (transforms.RandomCrop(size.side), transforms.RandomHorizontalFlip())
        self.transform = transforms.Compose(
            [resize, *augment, transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.files[index]) as image:
            return self.transform(image.convert("RGB")), torch.zeros(LABELS)


def measure(size: Size, target: torch.device) -> dict[str, float]:
    """{images_per_second, workers}: the median of the epochs after the first one."""
    number = FILES if target.type == "cuda" else 4 * size.batch
    workers = cores() if target.type == "cuda" else 0
    with tempfile.TemporaryDirectory() as folder:
        pictures = [Picture(Path(folder) / f"{index}.jpg", PHOTOGRAPH) for index in range(number)]
        chunks = [pictures[start : start + 64] for start in range(0, number, 64)]
        for _ in map_unordered(draw_all, chunks, processes=max(1, workers)):
            pass
        loader = DataLoader(
            _Photographs([picture.path for picture in pictures], size),
            batch_size=size.batch,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            pin_memory=target.type == "cuda",
            persistent_workers=workers > 0,
        )
        rates = _train(loader, size, target)
    return {"images_per_second": float(np.median(rates[1:])), "workers": workers}


def _train(loader: DataLoader[tuple[Tensor, Tensor]], size: Size, target: torch.device) -> list[float]:
    """Train with the loader; images a second of each epoch."""
    step = _step(size, target)
    rates = []
    for _ in range(EPOCHS):
        began = time.monotonic()
        for images_BCHW, labels_BC in loader:
            images = images_BCHW.to(target, non_blocking=True, memory_format=torch.channels_last)
            step(images, labels_BC.to(target, non_blocking=True))
        wait(target)
        rates.append(len(loader) * size.batch / (time.monotonic() - began))
    return rates


def _step(size: Size, target: torch.device) -> Callable[[Tensor, Tensor], None]:
    """A training step of the network as PyTorch comes."""
    name, arguments = SMALL_TRUNKS.get(size.trunk, (size.trunk, {}))
    network: Any = timm.create_model(name, num_classes=LABELS, **arguments)
    network.to(target, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-9, momentum=0.9, fused=True)

    def step(images_BCHW: Tensor, labels_BC: Tensor) -> None:
        with device.autocast(target):
            logits_BC = network(images_BCHW)
        loss = F.binary_cross_entropy_with_logits(logits_BC.float(), labels_BC)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step

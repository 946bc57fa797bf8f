"""A model in ONNX: pixels as they are decoded -> logits; written only if onnxruntime finds the same logits.

Legend: B images of any number, H = W = the side that the model takes, C labels.
"""

import importlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.base import method_names
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.deploy.load_model import LoadedModel
from bench.training.batches import generator

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-4  # on logits, absolute and relative: sums are taken in another order


class Whole(nn.Module):
    """The model with what comes before it: images_BHWC, uint8, -> logits (B, C)."""

    def __init__(self, found: LoadedModel) -> None:
        super().__init__()
        self.model = found.model
        self.pixels = found.pixels
        # What it keeps is made now: made while it is traced it would be no real tensor.
        self.pixels.normalise(torch.zeros(1, 3, 1, 1))

    def forward(self, images_BHWC: Tensor) -> Tensor:
        images_BCHW = self.pixels.normalise(images_BHWC.permute(0, 3, 1, 2).float())
        return self.model.logits(images_BCHW)  # type: ignore[operator, no-any-return]


def write(found: LoadedModel, path: Path) -> Path:
    """Write the model; InputError where a package is missing, the exporter cannot express the model, or the
    logits of drawn images differ.
    """
    _require()
    side = found.input_size
    draw = generator("onnx", side)
    images_BHWC = draw.integers(256, size=(3, side, side, 3), dtype=np.uint8)
    with _quiet():
        try:
            content = _exported(Whole(found).eval(), torch.from_numpy(images_BHWC[:2]))
        except RuntimeError as fault:  # the exporter's own errors are all of this kind
            raise _inexpressible(found, _reason(fault)) from fault
    _check(content, found, images_BHWC)
    return write_atomically(path, content)


def _require() -> None:
    try:
        for package in PACKAGES:
            importlib.import_module(package)
    except ImportError as missing:
        command = f"pip install {' '.join(PACKAGES)}"
        raise InputError(f"--onnx needs a package that is not there ({missing}): {command}") from missing


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter warns and logs of itself; what it cannot do, it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _inexpressible(found: LoadedModel, reason: str) -> InputError:
    title = method_names.display_name(found.facts["method"])
    return InputError(f"ONNX cannot express {title} ({reason}); leave --onnx out")


def _reason(fault: BaseException) -> str:
    """The first of the faults that led to this one, in a line."""
    while fault.__cause__:
        fault = fault.__cause__
    return " ".join(str(fault).split())[:200].rstrip(".")


def _exported(model: nn.Module, images_BHWC: Tensor) -> bytes:
    """The ONNX file's content, for any number of images."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            model,
            (images_BHWC,),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"images_BHWC": {0: torch.export.Dim("images")}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        return path.read_bytes()


def _check(content: bytes, found: LoadedModel, images_BHWC: Any) -> None:
    """InputError unless onnxruntime gives the model's logits for one image and for several."""
    import onnxruntime  # noqa: PLC0415 (see _require)

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    if isinstance(session.get_inputs()[0].shape[0], int):  # else the dimension has a name
        raise _inexpressible(found, "for any number of images")
    for images in (images_BHWC[:1], images_BHWC):
        (theirs_BC,) = session.run(["logits"], {"images": images})
        ours_BC = found.logits(images)
        if not np.allclose(theirs_BC, ours_BC, rtol=TOLERANCE, atol=TOLERANCE):
            worst = float(np.abs(theirs_BC - ours_BC).max())
            raise InputError(f"ONNX: logits differ by {worst:.2g} from the model's; nothing was written")

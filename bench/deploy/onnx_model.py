"""Write a model in ONNX, from uint8 pixels to logits, after a check that onnxruntime gives the same logits.

Legend: B images (any number), H = W = the side in pixels that the model takes, C labels.
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
TOLERANCE = 1e-4  # on logits, absolute and relative: onnxruntime adds in another order


class PixelsToLogits(nn.Module):
    """The model with its input transform: images_BHWC, uint8, -> logits (B, C)."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__()
        self.model = loaded.model
        self.transform = loaded.transform
        # The transform keeps tensors after its first call. Call it here: made during tracing, they would be
        # symbols of the trace instead of real tensors.
        self.transform.normalise(torch.zeros(1, 3, 1, 1))

    def forward(self, images_BHWC: Tensor) -> Tensor:
        images_BCHW = self.transform.normalise(images_BHWC.permute(0, 3, 1, 2).float())
        return self.model.logits(images_BCHW)  # type: ignore[operator, no-any-return]


def write_onnx(loaded: LoadedModel, path: Path) -> Path:
    """Write the model as an ONNX file.

    InputError: a package is missing, ONNX cannot express the model, or the logits of random images differ
    between onnxruntime and torch; nothing is written then.
    """
    _require_packages()
    side = loaded.input_size
    rng = generator("onnx", side)
    images_BHWC = rng.integers(256, size=(3, side, side, 3), dtype=np.uint8)
    with _silenced():
        try:
            content = _export_bytes(PixelsToLogits(loaded).eval(), torch.from_numpy(images_BHWC[:2]))
        except RuntimeError as fault:  # the exporter's own errors are all of this kind
            raise _inexpressible(loaded, _root_cause(fault)) from fault
    _check_logits(content, loaded, images_BHWC)
    return write_atomically(path, content)


def _require_packages() -> None:
    try:
        for package in PACKAGES:
            importlib.import_module(package)
    except ImportError as missing:
        command = f"pip install {' '.join(PACKAGES)}"
        raise InputError(f"--onnx needs a package that is not installed ({missing}): {command}") from missing


@contextmanager
def _silenced() -> Iterator[None]:
    """Without the exporter's warnings and log lines; what it cannot do, it raises as an error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _inexpressible(loaded: LoadedModel, reason: str) -> InputError:
    title = method_names.display_name(loaded.record["method"])
    return InputError(f"ONNX cannot express {title} ({reason}); leave --onnx out")


def _root_cause(fault: BaseException) -> str:
    """The message of the first error in the chain that led to this one, on one line."""
    while fault.__cause__:
        fault = fault.__cause__
    return " ".join(str(fault).split())[:200].rstrip(".")


def _export_bytes(model: nn.Module, images_BHWC: Tensor) -> bytes:
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


def _check_logits(content: bytes, loaded: LoadedModel, images_BHWC: Any) -> None:
    """InputError unless onnxruntime gives the model's logits for one image and for several."""
    import onnxruntime  # noqa: PLC0415 (optional; see _require_packages)

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    if isinstance(session.get_inputs()[0].shape[0], int):  # a dimension of any size has a name instead
        raise _inexpressible(loaded, "for any number of images")
    for images in (images_BHWC[:1], images_BHWC):
        (onnx_BC,) = session.run(["logits"], {"images": images})
        torch_BC = loaded.logits(images)
        if not np.allclose(onnx_BC, torch_BC, rtol=TOLERANCE, atol=TOLERANCE):
            largest = float(np.abs(onnx_BC - torch_BC).max())
            raise InputError(
                f"ONNX: logits differ by up to {largest:.2g} from the model's, so nothing was written; "
                "leave --onnx out"
            )

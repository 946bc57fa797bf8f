"""Write an exported model's card: README.md with the front matter that the Hugging Face Hub reads."""

import html

import huggingface_hub as hub
from scipy.special import expit
from tabulate import tabulate

from bench.base import method_names
from bench.base.protocol import GROUPS
from bench.data import cards
from bench.data.card_options import JPEG
from bench.data.cards import Card
from bench.deploy.load_model import LoadedModel
from bench.results import record as records

TASK = "image-classification"

LAYOUT = """---
{front}
---

# {title} on {dataset}

{summary}

Trained with seed {seed} on {images:,} images by multilabel-bench, the reproduction suite for multi-label
image classification around *Learning Spatial Regularization with Image-level Supervisions for
Multi-label Image Classification* (CVPR 2017). It has {parameters:,} parameters. `config.json` holds the
complete record of the run: recipe, stages, metrics of every convention, versions and hardware.

## Scores

In percent, on {tested:,} test images, by the metric convention `{profile}`{edited}:

{scores}

## Use

In a checkout of multilabel-bench:

```
python -m bench.predict --run {address} --images PATH...
```

```python
from pathlib import Path
import torch
from bench.deploy.load_model import load_model

model = load_model(Path("DIR"), torch.device("cpu"))
logits_BC = model.logits(images_BHWC)  # uint8, {side} x {side} pixels, RGB
```

The model takes images of {side} x {side} pixels: resize an image of any shape to this size
({resampling}). It divides the pixels by 255, subtracts the mean {mean}
and divides by the standard deviation {std}. A label's confidence is the sigmoid of its logit. {orientation}
{onnx}{thresholds}
## Labels

{labels}

## Data

{data}: {source}. Licence: {licence}.
"""

ORIENTATION = {
    "ignore": "Pixels are taken as they are stored: an EXIF orientation is ignored.",
    "turn": "An image with an EXIF orientation is turned first, as it says.",
}

RESAMPLING = {"antialiased": "bilinear, antialiased", "bilinear": "bilinear, without antialiasing"}
AS_JPEG = (
    f"; then saved as JPEG of quality {JPEG['quality']}, {JPEG['subsampling']}, and read, as in training"
)
STORING = {"pixels": "", "jpeg": AS_JPEG}

ONNX = """
`model.onnx` takes the resized pixels, neither scaled nor normalised: its input `images` is uint8
(B, {side}, {side}, 3), its output `logits` is (B, {number}).
"""


THRESHOLDS = """
## Thresholds

Each label has a confidence from which on it counts as predicted, fitted on {images:,} held-out training
images, never on test images: {rule}. The scores above do not use these
thresholds; `python -m bench.predict --threshold fitted` does. `config.json` holds them as logits.

{fitted}
"""

OTHERWISE = """
With less than {least} positives or negatives there, a label keeps the convention's {confidence:.3f}:
{labels}.
"""


EDITED = """.

**Edited by hand:** the record was changed after it was written, as its checksum does not fit; these
numbers are not those of the run"""


def text(loaded: LoadedModel, *, onnx: bool, address: str = "DIR") -> str:
    """The model card in Markdown; address: what to give to --run."""
    record, card = loaded.record, cards.load_card(loaded.record["dataset"])
    return LAYOUT.format(
        front=_front(loaded, card),
        title=method_names.display_name(record["method"])
        + (f" [{_escaped(record['variant'])}]" if record["variant"] else ""),
        dataset=_escaped(card.title),
        summary=method_names.method_summaries()[record["method"]],
        seed=record["seed"],
        images=record["images"]["train"],
        tested=record["images"]["test"],
        parameters=record["parameters"],
        profile=record["protocol"]["profile"],
        edited=EDITED if records.is_edited(record) else "",
        scores=_scores(loaded),
        address=address,
        side=loaded.input_size,
        mean=loaded.transform.mean,
        std=loaded.transform.std,
        orientation=ORIENTATION[loaded.exif],
        resampling=RESAMPLING[loaded.resample] + STORING[loaded.storage],
        onnx=ONNX.format(side=loaded.input_size, number=len(loaded.labels)) if onnx else "",
        thresholds=_thresholds(loaded),
        labels=_escaped(", ".join(loaded.labels)),
        data=_escaped(card.title),
        source=_escaped(card.source),
        licence=_escaped(card.licence),
    )


def _thresholds(loaded: LoadedModel) -> str:
    """The section on the thresholds of the labels; empty if the record has none."""
    if not (facts := loaded.thresholds):
        return ""
    fitted = {name: facts["logits"].get(name) for name in loaded.labels}
    values = [f"{name} {expit(logit):.3f}" for name, logit in fitted.items() if logit is not None]
    section = THRESHOLDS.format(
        rule=facts["rule"],
        images=facts["held_out_images"],
        fitted=_escaped(", ".join(values)) + ("." if values else "No label has one."),
    )
    if rare := [name for name, logit in fitted.items() if logit is None]:
        section += OTHERWISE.format(
            least=facts["least"],
            confidence=expit(facts["otherwise"]["logit"]),
            labels=_escaped(", ".join(rare)),
        )
    return section


def _escaped(text: str) -> str:
    """Text of cards and records for Markdown, in which raw HTML would be live."""
    return html.escape(text, quote=False)


def _front(loaded: LoadedModel, card: Card) -> str:
    """The front matter: what the Hub shows and searches, with the scores as its `model-index`."""
    record = loaded.record
    results = [
        hub.EvalResult(TASK, card.name, card.title, name, round(value, 4), dataset_split="test")
        for name, value in _named_scores(loaded).items()
    ]
    front = hub.ModelCardData(
        library_name="multilabel-bench",
        pipeline_tag=TASK,
        tags=["multi-label-image-classification", record["recipe"]["trunk"]],
        model_name=records.record_name(record),
        eval_results=results,
    )
    return str(front.to_yaml()).rstrip()


def _scores(loaded: LoadedModel) -> str:
    scores = _named_scores(loaded)
    return tabulate([[f"{value:.2f}" for value in scores.values()]], [*scores], "pipe", disable_numparse=True)


def _named_scores(loaded: LoadedModel) -> dict[str, float]:
    """The scores by the data set's own convention, in percent: `mAP`, ..., `top-3 F1-C`, ..."""
    scores = records.metric_values(dict(loaded.record), loaded.record["protocol"]["profile"])
    return {
        name if group == "all" else f"{GROUPS[group]} {name}": value
        for (group, name), value in scores.items()
    }

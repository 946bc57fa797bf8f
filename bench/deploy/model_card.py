"""The model card of an exported model: README.md with the front matter that the Hugging Face Hub reads."""

import html

import huggingface_hub as hub
from tabulate import tabulate

from bench.base import method_names
from bench.base.protocol import GROUPS
from bench.data import cards
from bench.data.cards import Card
from bench.deploy.load_model import LoadedModel
from bench.results import record

TASK = "image-classification"

LAYOUT = """---
{front}
---

# {title} on {dataset}

{what}

Trained with seed {seed} on {images:,} images by multilabel-bench, the reproduction suite for multi-label
image classification built around *Learning Spatial Regularization with Image-level Supervisions for
Multi-label Image Classification* (CVPR 2017). It has {parameters:,} parameters. `config.json` holds the
whole record: recipe, stages, metrics of every convention, versions and hardware.

## Scores

On {tested:,} test images, in percent, convention `{profile}`{edited}:

{scores}

## Use

In a checkout of multilabel-bench:

```
python -m bench.predict --run DIR --images PATH...
```

```python
from pathlib import Path
import torch
from bench import trained

model = trained.load(Path("DIR"), torch.device("cpu"))
logits_BC = model.logits(images_BHWC)  # uint8, {side} x {side} pixels, RGB
```

An image is resized to {side} x {side} pixels whatever its shape (bilinear, antialiased) and divided by 255,
then normalised by the mean {mean} and the standard deviation {std}. A label's
confidence is the sigmoid of its logit.
{onnx}
## Labels

{labels}

## Data

{data}: {source}. Licence: {licence}.
"""

ONNX = """
`model.onnx` takes the resized pixels as they are: its input `images` is uint8 (B, {side}, {side}, 3), its
output `logits` is (B, {number}).
"""


EDITED = """.

**Edited by hand:** the record was changed after it was written, as its checksum does not fit; these
numbers are not those of the run"""


def text(found: LoadedModel, *, onnx: bool) -> str:
    """The card's Markdown."""
    facts, card = found.facts, cards.load_card(found.facts["dataset"])
    return LAYOUT.format(
        front=_front(found, card),
        title=method_names.display_name(facts["method"])
        + (f" [{_escaped(facts['variant'])}]" if facts["variant"] else ""),
        dataset=_escaped(card.title),
        what=method_names.method_summaries()[facts["method"]],
        seed=facts["seed"],
        images=facts["images"]["train"],
        tested=facts["images"]["test"],
        parameters=facts["parameters"],
        profile=facts["protocol"]["profile"],
        edited=EDITED if record.is_edited(facts) else "",
        scores=_scores(found),
        side=found.input_size,
        mean=found.pixels.mean,
        std=found.pixels.std,
        onnx=ONNX.format(side=found.input_size, number=len(found.labels)) if onnx else "",
        labels=_escaped(", ".join(found.labels)),
        data=_escaped(card.title),
        source=_escaped(card.source),
        licence=_escaped(card.licence),
    )


def _escaped(text: str) -> str:
    """Text of cards and records for Markdown, in which raw HTML would be live."""
    return html.escape(text, quote=False)


def _front(found: LoadedModel, card: Card) -> str:
    """What the Hub shows and searches, with the scores as its `model-index`."""
    facts = found.facts
    results = [
        hub.EvalResult(TASK, card.name, card.title, name, round(value, 4), dataset_split="test")
        for name, value in _named_scores(found).items()
    ]
    front = hub.ModelCardData(
        library_name="multilabel-bench",
        pipeline_tag=TASK,
        tags=["multi-label-image-classification", facts["recipe"]["trunk"]],
        model_name=record.record_name(facts),
        eval_results=results,
    )
    return str(front.to_yaml()).rstrip()


def _scores(found: LoadedModel) -> str:
    scores = _named_scores(found)
    return tabulate([[f"{value:.2f}" for value in scores.values()]], [*scores], "pipe", disable_numparse=True)


def _named_scores(found: LoadedModel) -> dict[str, float]:
    """Of the data set's own convention: `mAP`, ..., `top-3 F1-C`, ..., in percent."""
    scores = record.metric_values(dict(found.facts), found.facts["protocol"]["profile"])
    return {
        name if group == "all" else f"{GROUPS[group]} {name}": value
        for (group, name), value in scores.items()
    }

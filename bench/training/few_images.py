"""What training does on a data set with fewer images than the recipe's batches."""

import dataclasses
from collections.abc import Collection
from typing import Any

from bench.base.errors import InputError
from bench.data.manifest import how_to_replace
from bench.data.store import Store

FEWEST = 2  # images of a batch: batch norm needs more than one


def fitting_recipe(config: Any, changes: Collection[str], store: Store) -> Any:
    """The recipe with the largest batch that the training images fill: all of them, if they are fewer.

    changes: the fields that the user set; if `batch_size` is one and does not fit, InputError says what fits.
    """
    require_images(store, config.batch_size if "batch_size" in changes else FEWEST)
    return dataclasses.replace(config, batch_size=min(config.batch_size, len(store.fitted)))


def require_images(store: Store, batch_size: int) -> None:
    """InputError unless there are as many training images as in a batch, and a held-out image.

    None is needed if training uses all images.
    """
    fitted, held_out = len(store.fitted), len(store.held_out)
    if fitted < batch_size:
        remedy = f"give --batch-size {fitted} or less" if fitted >= FEWEST else "prepare more images"
        raise InputError(
            f"too few images: {fitted} to train on in batches of {batch_size} ({held_out} more are held out);"
            f" {remedy}"
        )
    if not held_out and not store.trains_on_all:
        raise InputError(
            f"none of the {fitted} training images in {store.folder} is held out, but held-out"
            f" ones decide when the learning rate falls; to hold some out, {how_to_replace(store.folder)}; to"
            " train on all, add --set held_out=0 --set patience=none"
        )

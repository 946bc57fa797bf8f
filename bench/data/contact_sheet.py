"""Draw a contact sheet: images of a view in a grid, each with its id and its positive labels below."""

import io
import textwrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.data.store import View

IMAGE_SIDE = 192  # pixels
GAP = 12  # pixels between images
COLUMNS = 6
LINE_HEIGHT = 14  # pixels
LINE_LETTERS = 30  # as many fit below an image


def png(view: View, indices: NDArray[np.int64], names: list[str]) -> bytes:
    """The content of a PNG file with these images; names: of the labels, in the store's order."""
    texts = _texts(view, indices, names)
    width, height = IMAGE_SIDE + GAP, IMAGE_SIDE + GAP + LINE_HEIGHT * max(len(lines) for lines in texts)
    columns = min(COLUMNS, len(indices))
    rows = -(-len(indices) // columns)
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for position, (pixels, lines) in enumerate(zip(view.images(indices), texts, strict=True)):
        left, top = GAP + position % columns * width, GAP + position // columns * height
        sheet.paste(Image.fromarray(pixels).resize((IMAGE_SIDE, IMAGE_SIDE)), (left, top))
        for number, line in enumerate(lines):
            line_top = top + IMAGE_SIDE + 2 + LINE_HEIGHT * number
            draw.text((left, line_top), line, "black" if number else "gray", font)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _texts(view: View, indices: NDArray[np.int64], names: list[str]) -> list[list[str]]:
    """For each image its lines of text: the id, of which only the end is shown, and the positive labels."""
    ids, labels_NC = view.column("id")[indices], view.labels_NC[indices]
    return [
        [image_id[-LINE_LETTERS:], *textwrap.wrap(_positive(names, labels_C), LINE_LETTERS)]
        for image_id, labels_C in zip(ids, labels_NC, strict=True)
    ]


def _positive(names: list[str], labels_C: NDArray[np.int8]) -> str:
    return ", ".join(np.array(names)[labels_C == 1]) or "no label"

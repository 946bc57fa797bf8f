"""A contact sheet: images of a view in a grid, each with its id and its positive labels below."""

import io
import textwrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.data.store import View

SHOWN = 192  # side of an image in the sheet
GAP = 12
COLUMNS = 6
LINE = 14  # pixels from one line of text to the next
LETTERS = 30  # that fit below an image


def png(view: View, indices: NDArray[np.int64], names: list[str]) -> bytes:
    """The PNG file of a sheet with these images; `names` are the labels."""
    texts = _texts(view, indices, names)
    cell = SHOWN + GAP, SHOWN + GAP + LINE * max(len(lines) for lines in texts)
    columns = min(COLUMNS, len(indices))
    rows = -(-len(indices) // columns)
    sheet = Image.new("RGB", (columns * cell[0] + GAP, rows * cell[1] + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for place, (pixels, lines) in enumerate(zip(view.images(indices), texts, strict=True)):
        left, top = GAP + place % columns * cell[0], GAP + place // columns * cell[1]
        sheet.paste(Image.fromarray(pixels).resize((SHOWN, SHOWN)), (left, top))
        for number, line in enumerate(lines):
            pen.text((left, top + SHOWN + 2 + LINE * number), line, "black" if number else "gray", font)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _texts(view: View, indices: NDArray[np.int64], names: list[str]) -> list[list[str]]:
    """For each image its id, the end of it if it is long, and its labels in lines."""
    ids, labels_NC = view.column("id")[indices], view.labels_NC[indices]
    return [
        [name[-LETTERS:], *textwrap.wrap(", ".join(np.array(names)[labels_C == 1]) or "no label", LETTERS)]
        for name, labels_C in zip(ids, labels_NC, strict=True)
    ]

"""The contents of a file of predictions or labels, whatever its format."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.scoring.matrices import Array

Role = Literal["logits", "labels"]


@dataclass(frozen=True)
class MatrixFile:
    """The contents of a file; names (of labels), ids (of images) and dataset are empty if it has none.

    fields: in a text file, the number of the field that holds each column. first_line: the line of row 0.
    notes: how the file was read, where there was a choice.
    """

    path: Path
    matrices: Mapping[str, Array]
    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    dataset: str = ""
    fields: tuple[int, ...] = ()
    first_line: int = 1
    notes: tuple[str, ...] = ()

    def entry_position(self, row: int, column: int) -> str:
        """The position of an entry, for messages: `PATH: line 3, column 2 (dog)`, or row and column."""
        name = f" ({self.names[column]})" if self.names else ""
        if self.fields:
            return f"{self.path}: line {row + self.first_line}, column {self.fields[column]}{name}"
        return f"{self.path}: row {row}, column {column}{name}, counted from 0"

    def header_position(self, column: int) -> str:
        """The position of a label's name, for messages."""
        if self.fields:
            return f"{self.path}: line 1, column {self.fields[column]}"
        return f"{self.path}: label_names[{column}]"

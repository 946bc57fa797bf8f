"""Records of others, in a folder or a data set of the Hub, for tables; and our records, pushed to the Hub.

Such a data set has the layout of `results/reproduced`: `DATASET/NAME.json`, one file a record.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.base import hub, lists
from bench.base.errors import InputError
from bench.base.progress import say
from bench.results import agreement, row_marks
from bench.results.record import (
    Record,
    file_name,
    group_records,
    is_edited,
    read_named,
    record_files,
    record_name,
    shown,
)
from bench.results.table_model import TableRow

LISTED = 10  # damaged records that a table names
CARD = """---
viewer: false
tags:
- multilabel-bench
- multi-label-image-classification
---

# Records of multilabel-bench

Results of multi-label image classification, one JSON file a run, by data set: metrics of every convention,
recipe, protocol, data, versions. To see those of a data set beside the published numbers:

```
python -m bench.table --dataset DATASET --records hf:{name}
```
"""


@dataclass(frozen=True)
class OtherRecords:
    """Records that were made elsewhere. origin: where they are, with the commit of the Hub. damaged: a line
    for each file that is no record of the data set.
    """

    origin: str = ""
    records: list[Record] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def judged(
        self, rows: Sequence[TableRow], own: Sequence[Record], tolerance: float | None
    ) -> Iterator[TableRow]:
        """The rows of these records with their verdicts, marked with where they come from, and where their
        data are not those of our own records.

        They are judged apart from our rows: their spread between seeds says nothing of ours.
        """
        mark = {f"of {self.origin}": f"made elsewhere, as the records of {self.origin} say; not run here"}
        theirs = {(f"{self.origin}:{key[0]}", key[1]): m for key, m in group_records(self.records).items()}
        data = row_marks.data_marks(group_records(own) | theirs)
        for row in agreement.with_verdicts([row for row in rows if row.n], stated=tolerance):
            other = data.get((f"{self.origin}:{row.method}", row.variant), {})
            facts = {**row.facts, "records": self.origin}
            yield replace(row, marks=mark | dict(row.marks) | other, facts=facts)

    @property
    def about(self) -> list[str]:
        """What to say above a table."""
        return [f"Beside them: {len(self.records)} records of {self.origin}."] if self.origin else []

    @property
    def notes(self) -> list[str]:
        """What to say below a table of files that are no records."""
        notes = [f"Not shown, of {self.origin}: {line}." for line in self.damaged[:LISTED]]
        more = len(self.damaged) - LISTED
        return [*notes, *([f"Not shown, of {self.origin}: {more:,} more files."] if more > 0 else [])]


def records_folder(source: Path, dataset: str) -> Path:
    """The folder that `--records` names; for `hf:ORG/NAME` a line says which commit of it is read."""
    if not hub.is_address(source):
        return source
    there = hub.address(source, "dataset")
    folder = hub.download(there, [f"{dataset}/*.json"])
    if not (folder / dataset).is_dir():
        raise InputError(f"{there}: its commit {folder.name[:12]} has no {dataset}/*.json")
    say(f"{there}: commit {folder.name}")
    return folder / dataset


def read_others(source: Path, dataset: str) -> OtherRecords:
    """The records in a folder, or in a data set of the Hub; what is none of them is left out and named."""
    folder = records_folder(source, dataset)
    origin = shown(folder)
    if hub.is_address(source):
        there = replace(hub.address(source, "dataset"), revision=folder.parent.name[:12])
        origin = str(there)
    records, damaged = [], []
    for path in record_files(folder):
        try:
            records.append(read_named(path, dataset=dataset))
        except InputError as mistake:
            damaged.append(str(mistake).replace(str(path), path.name, 1))
    if not records and not damaged:
        raise InputError(f"--records {source}: no records in {shown(folder)}")
    return OtherRecords(origin, records, damaged)


def push_records(
    folder: Path, dataset: str, name: str, *, private: bool = False, partial: bool = False
) -> str:
    """Push the data set's records in a folder to a data set of the Hub, in one commit; returns what was done.

    private: only into a private one. partial: also records of partial data.
    InputError, before anything is pushed, for records that `require_sound` refuses.
    """
    hub.check_push(name, "dataset", where="--push", private=private)
    records = [read_named(path, dataset=dataset) for path in record_files(folder)]
    require_sound(records, "push", allow_partial=partial)
    there = hub.Address("dataset", name)
    files = {f"{dataset}/{file_name(record)}": folder / file_name(record) for record in records}
    card = {"README.md": CARD.format(name=name).encode()}
    message = f"{len(records):,} records of {dataset}"
    done = hub.push(files, there, private=private, message=message, if_absent=card)
    return f"pushed: {message} to {done}"


def require_sound(records: Sequence[Record], verb: str, *, allow_partial: bool) -> None:
    """InputError for records that were edited by hand, or are of partial data and need not be.

    verb: what is to be done with them, for the message.
    """
    if edited := [record_name(record) for record in records if is_edited(record)]:
        raise InputError(f"edited by hand: {lists.in_line(edited)}; make them again with python -m bench.run")
    partial = [record_name(record) for record in records if record["data"]["partial"]]
    if partial and not allow_partial:
        names = lists.in_line(partial)
        raise InputError(f"made from partial data: {names}; add --allow-partial to {verb} them")

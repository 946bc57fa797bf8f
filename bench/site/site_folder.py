"""Write the pages into a folder: new, empty, or one that these pages were written into before."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.base.atomic_files import check_writable, write_atomically
from bench.base.errors import InputError
from bench.base.structured_files import read_json, read_text
from bench.results.record import file_name
from bench.results.table_model import as_csv, as_json
from bench.site import dataset_page, index_page, record_page
from bench.site.rows import Results

LIST = "site-files.json"  # what was written, so that a later call removes what is no longer there


def check(folder: Path) -> None:
    """InputError, before any work, if the folder holds other files than an earlier call's."""
    check_writable(folder, option="--output")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / LIST).is_file():
        raise InputError(
            f"{folder}: holds files that bench.site did not write; give --output an empty or a new folder"
        )


def write(all_results: Sequence[Results], folder: Path) -> Path:
    """Write all pages, remove those of an earlier call that are no longer made; returns the first page."""
    files = dict(contents(all_results))
    before = _written_before(folder)
    # Both lists first: a call that is stopped leaves a folder that the next one knows as its own.
    _write_list(folder, {*before, *files})
    for name, content in files.items():
        write_atomically(folder / name, content)
    for name in before - files.keys():
        (folder / name).unlink(missing_ok=True)
    _write_list(folder, set(files))
    return folder / "index.html"


def contents(all_results: Sequence[Results]) -> Iterator[tuple[str, str]]:
    """(path in the folder, content) of every file; index.html last."""
    for results in all_results:
        for row in results.ours:
            yield row.page, record_page.build(row, results)
            for file in row.files:
                yield f"{row.page.rpartition('/')[0]}/{file_name(file.record)}", read_text(file.path)
        if results.sources:
            yield f"datasets/{results.name}.csv", as_csv(results.table)
            yield f"datasets/{results.name}.json", as_json(results.table)
        yield f"datasets/{results.name}.html", dataset_page.build(results)
    yield "index.html", index_page.build(all_results)


def _write_list(folder: Path, names: set[str]) -> None:
    write_atomically(folder / LIST, json.dumps(sorted(names), indent=1, ensure_ascii=False) + "\n")


def _written_before(folder: Path) -> set[str]:
    """The files that the list names; InputError if it names others than an earlier call can have written."""
    if not (folder / LIST).exists():
        return set()
    names = read_json(folder / LIST)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{folder / LIST}: is not a list of files; give --output a new folder")
    root = folder.resolve()
    for name in names:
        if not (folder / name).resolve().is_relative_to(root):
            raise InputError(
                f"{folder / LIST}: {name!r} is outside of the folder; give --output a new folder"
            )
    return set(names)

"""Published numbers, reproduced ones and the difference between them, as a table.

The reproduced rows are means over seeds of the fresh records (`runs/<dataset>`) where there are any, else of
the accepted ones (`results/reproduced/<dataset>`); the table says which.
"""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.base import method_names, paths
from bench.base.method_names import normalised
from bench.base.protocol import ALL, TOP3, Column, Evaluation, Values
from bench.data import cards
from bench.results import agreement, output, published, row_marks
from bench.results.published import PublishedTable
from bench.results.record import Record, group_records, metric_values, read_folder, shown
from bench.results.table_model import Table, TableRow
from bench.scoring import profiles

SD = "sd: standard deviation of the n seeds (n - 1 in the denominator); the line above it is their mean."
DIFF = "diff: the mean, unrounded, minus the published value; only where both follow one convention."


def build_table(dataset: str, runs: Path, *, profile: str = "", tolerance: float | None = None) -> Table:
    """The table of a data set from its card, its published numbers and the records there are.

    `profile`: of the reproduced rows, if not the one by which the data set's paper scores it. `tolerance`:
    points from the published value that count as agreement, if they are more than the seeds' spread.
    """
    paper = published.load_published(dataset)
    card = cards.load_card(dataset) if cards.base(dataset) in cards.names() else None
    evaluation = card.evaluation if card else Evaluation(top3=paper.top3 if paper else None)
    found, origin = records_to_show(dataset, runs)
    stem, _, changed = dataset.partition("@")
    same = None if changed else paper  # with other options the numbers are of other data
    reproduced = _reproduced_rows(dataset, found, same, evaluation, profile or evaluation.profile)
    rows = [
        *_paper_rows(paper, evaluation.profile),
        *agreement.with_verdicts([*reproduced], stated=tolerance),
    ]
    name = card.title if card else paper.title if paper else stem
    name += f", with {changed}, which no published row has" if changed else ""
    about = (name, _rules(evaluation, profile), *_sources(paper), f"Reproduced: {origin}.")
    notes = (*_notes(rows), *agreement.verdict_notes(rows, stated=tolerance))
    return Table(dataset, about, _columns(paper, evaluation), tuple(rows), notes, origin)


def _rules(evaluation: Evaluation, profile: str) -> str:
    rules = [f"metrics of profile {evaluation.profile}"]
    rules += [f"reproduced rows of profile {profile}"] if profile not in ("", evaluation.profile) else []
    rules += [output.TOP3_RULES[evaluation.top3]] if evaluation.top3 else []
    rules += [f"unspecified labels: {evaluation.unspecified}"] if evaluation.unspecified else []
    return f"In percent; {'; '.join(rules)}."


def _sources(paper: PublishedTable | None) -> list[str]:
    if paper is None:
        return ["Published: no paper reports this data set."]
    lines = [f"Published ({key.upper()}): {source}." for key, source in paper.sources.items()]
    return lines + ([f"The first paper's own rows: {paper.usual}."] if paper.usual else [])


def _columns(paper: PublishedTable | None, evaluation: Evaluation) -> tuple[Column, ...]:
    """What the paper's table has, or everything; no top-3 where the data set is not scored by it."""
    wanted = paper.columns if paper else ALL
    top3 = [("top3", name) for name in TOP3 if name in wanted] if evaluation.top3 else []
    return (*(("all", name) for name in wanted), *top3)


def records_to_show(dataset: str, runs: Path) -> tuple[list[Record], str]:
    """The records to show and, in words, where they come from."""
    accepted = paths.REPRODUCED / dataset
    if fresh := read_folder(runs, dataset=dataset):
        return fresh, f"fresh records of {shown(runs)} ({len(fresh)})"
    if found := read_folder(accepted, dataset=dataset):
        return (
            found,
            f"accepted records of {shown(accepted)} ({len(found)}); there are no fresh ones in {shown(runs)}",
        )
    return [], f"no records yet, neither in {shown(runs)} nor in {shown(accepted)}"


def _paper_rows(paper: PublishedTable | None, profile: str) -> Iterator[TableRow]:
    if paper is None:
        return
    known = {normalised(method): method for method in method_names.method_summaries()}
    for row in paper.rows:
        yield TableRow(
            source="paper",
            method=known.get(normalised(row.name), row.name),
            title=row.name,
            variant="" if row.setting == paper.usual else row.setting,
            values=_printed(row),
            marks=row.marks,
            remarks=_other_profile(_printed(row), row.profile, profile) | _other_f1c(row),
            facts=_facts(row, paper),
        )


def _facts(row: published.PublishedRow, paper: PublishedTable) -> dict[str, Any]:
    return {
        "profile": row.profile,
        "f1c": row.convention.f1_c,
        "trunk": row.trunk,
        "input_size": row.input_size,
        "printed_in": str(paper.sources[row.source]),
        "cites": row.cites,
    }


def _printed(row: published.PublishedRow) -> dict[Column, float]:
    values = {("all", name): value for name, value in row.all.items()}
    return values | {("top3", name): value for name, value in row.top3.items()}


def _other_profile(values: Values, profile: str, usual: str) -> dict[Column, str]:
    """A remark on every number of another profile than the data set's paper."""
    return dict.fromkeys(values, f"profile {profile}, not {usual}") if profile != usual else {}


def _other_f1c(row: published.PublishedRow) -> dict[Column, str]:
    is_harmonic = row.f1c == "harmonic"
    return {column: output.HARMONIC for column in _printed(row) if column[1] == "F1-C" and is_harmonic}


def _reproduced_rows(
    dataset: str, records: list[Record], paper: PublishedTable | None, evaluation: Evaluation, profile: str
) -> Iterator[TableRow]:
    """Every method there is, in order, each followed by its variants."""
    found = group_records(records)
    lines = method_names.method_summaries()
    gone = sorted({method for method, _ in found} - set(lines))
    for method in [*method_names.methods_in_order(), *gone]:
        name = lines.get(method, method).partition(":")[0]
        if (method, "") not in found:
            remedy = f"python -m bench.run --dataset {dataset} --method {method}"
            if evaluation.result_files:
                remedy += f", then send runs/{dataset}/results to the owner's server, which scores them"
            yield TableRow("reproduced", method, name, n=0, remedy=remedy)
        for variant in sorted(variant for mine, variant in found if mine == method):
            yield _mean_row(name, found[method, variant], paper, evaluation, profile)


def _mean_row(
    name: str, members: list[Record], paper: PublishedTable | None, evaluation: Evaluation, profile: str
) -> TableRow:
    """Mean, spread and distance from the published value of one method and variant over its seeds."""
    numbers = [metric_values(member, profile) for member in members]
    shared = [column for column in numbers[0] if all(column in values for values in numbers)]
    samples = {column: [values[column] for values in numbers] for column in shared}
    means = {column: statistics.fmean(sample) for column, sample in samples.items()}
    printed = _counterpart(members[0], paper)
    lines = {"difference": _difference(means, printed, profile)}
    if len(members) > 1:
        lines["std"] = {column: statistics.stdev(sample) for column, sample in samples.items()}
    return TableRow(
        source="reproduced",
        method=members[0]["method"],
        title=name,
        variant=members[0]["variant"],
        n=len(members),
        values=means,
        lines=lines,
        marks=(method_names.marks(members[0]["method"]) if printed else {})
        | row_marks.marks_for_row(members, evaluation),
        remarks=_other_profile(means, profile, evaluation.profile),
        facts={"seeds": [member["seed"] for member in members], "profile": profile},
    )


def _counterpart(record: Record, paper: PublishedTable | None) -> published.PublishedRow | None:
    """The published row of the record's method, trunk and input size; none that had other data to learn."""
    recipe = record["recipe"]
    trunk, size = str(recipe.get("trunk", "")), recipe.get("input_size")
    row = paper.row(record["method"], trunk=trunk, input_size=size) if paper else None
    return None if row and row.marks else row


def _difference(means: Values, printed: published.PublishedRow | None, profile: str) -> dict[Column, float]:
    """Mean minus published value, where both are computed alike."""
    if printed is None:
        return {}
    values, mine = _printed(printed), profiles.get_profile(profile)
    return {
        column: mean - values[column]
        for column, mean in means.items()
        if column in values and profiles.is_comparable(mine, printed.convention, column[1])
    }


def _notes(rows: Sequence[TableRow]) -> list[str]:
    """What the marks mean, where older rows were taken from, what "sd" and "diff" are."""
    known = [f"{mark}: {meaning}." for row in rows for mark, meaning in row.marks.items()]
    taken = [f"{row.title} from {row.facts['cites']}" for row in rows if row.facts.get("cites")]
    notes = [*dict.fromkeys(known)]
    notes += [f"Rows that the paper took from other publications: {'; '.join(taken)}."] if taken else []
    notes += [SD] if any(row.lines.get("std") for row in rows) else []
    notes += [DIFF] if any(row.lines.get("difference") for row in rows) else []
    return notes

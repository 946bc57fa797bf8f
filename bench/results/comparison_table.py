"""Build the table of a data set: published results, reproduced results and their differences.

The reproduced rows are means over the seeds of the fresh records (`runs/<dataset>`) or, if there are none, of
the accepted records (`results/reproduced/<dataset>`); the table says which.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.base import method_names, paths
from bench.base.protocol import ALL, GROUPS, TOP3, Column, Evaluation, Values
from bench.data import cards
from bench.results import agreement, listing, published, row_marks, table_formats, watched_rows
from bench.results.hub_records import OtherRecords
from bench.results.listing import Listing
from bench.results.printed_rows import printed_rows, printed_values, profile_remarks
from bench.results.published_rows import PublishedRow, PublishedTable, pretraining_of
from bench.results.record import (
    Record,
    group_records,
    lacks_checksum,
    metric_values,
    read_folder,
    shown,
    values_by_column,
)
from bench.results.table_model import Table, TableRow
from bench.scoring import profiles

SD_NOTE = "sd: standard deviation of the n seeds (n - 1 in the denominator); the line above it is their mean."
DIFFERENCE_NOTE = (
    "diff: the mean, before rounding, minus the published value, where both are computed in the same way."
)
FIDELITY_NOTE = "What is done as the papers say, what otherwise, and what nobody knows: docs/fidelity.md."


def build_table(
    dataset: str,
    runs: Path | Sequence[Record],
    *,
    profile: str = "",
    tolerance: float | None = None,
    wanted: Listing = Listing(),  # noqa: B008 (frozen)
    others: OtherRecords = OtherRecords(),  # noqa: B008 (frozen)
) -> Table:
    """The table of a data set, from its card, its published results and its records.

    `runs`: the folder of its runs, or the records themselves.
    `profile`: of the reproduced rows; empty: the profile of the data set's paper. `tolerance`: the smallest
    tolerance, in points, for the verdict; None: from the spread between seeds alone. `wanted`: which
    published rows, and under which headings. `others`: records made elsewhere, for rows of their own.
    """
    paper = published.load_published(dataset)
    card = cards.load_card(dataset) if cards.base(dataset) in cards.names() else None
    evaluation = card.evaluation if card else Evaluation(top3=paper.top3 if paper else None)
    records, origin = records_to_show(dataset, runs) if isinstance(runs, Path) else (list(runs), "as given")
    how = paper, evaluation, profile or evaluation.profile
    ours, theirs = ([*_reproduced_rows(dataset, some, *how)] for some in (records, others.records))
    methods = {record["method"] for record in [*records, *others.records]}
    shown_paper = listing.select(paper, wanted, methods) if paper else None
    judged = (*agreement.with_verdicts(ours, stated=tolerance), *others.judged(theirs, records, tolerance))
    rows = listing.arrange([*printed_rows(shown_paper, dataset, evaluation.profile), *judged], wanted)
    title = card.title if card else paper.title if paper else cards.base(dataset)
    first = title + _options(dataset, paper), _rules(evaluation, profile)
    about = (*first, *_sources(shown_paper, wanted), f"Reproduced: {origin}.", *others.about)
    notes = [
        *_notes(rows),
        *listing.notes(shown_paper, paper, wanted, dataset),
        *(*_unprotected(records), *others.notes),
        *agreement.verdict_notes(rows, stated=tolerance),
        *watched_rows.notes(records, rows),
        FIDELITY_NOTE,
    ]
    columns = _columns(paper, evaluation)
    table = watched_rows.with_lines(Table(dataset, about, columns, tuple(rows), tuple(notes), origin))
    return table if wanted.is_plain else replace(table, facts=listing.FACTS)


def _options(dataset: str, paper: PublishedTable | None) -> str:
    """The options of the data set for the title, and whether no published row has them."""
    options, variant = dataset.partition("@")[2], cards.variant(dataset)
    has_rows = not variant or (paper is not None and variant in {row.variant for row in paper.rows})
    return f", with {options}{'' if has_rows else ', which no published row has'}" if options else ""


def _rules(evaluation: Evaluation, profile: str) -> str:
    rules = [f"metrics of profile {evaluation.profile}"]
    rules += [f"reproduced rows of profile {profile}"] if profile not in ("", evaluation.profile) else []
    rules += [table_formats.TOP3_RULES[evaluation.top3]] if evaluation.top3 else []
    rules += [f"unspecified labels: {evaluation.unspecified}"] if evaluation.unspecified else []
    return f"In percent; {'; '.join(rules)}."


def _sources(paper: PublishedTable | None, wanted: Listing) -> list[str]:
    if paper is None:
        return ["Published: no results for this data set."]
    since = [f"Published rows since {wanted.since} only."] if wanted.since else []
    printing = {row.source for row in paper.rows}
    lines = [f"Published ({key.upper()}): {paper.sources[key]}." for key in paper.sources if key in printing]
    common = paper.common_setting
    return since + lines + ([f"Rows that the first paper ran itself: {common}."] if common else [])


def _columns(paper: PublishedTable | None, evaluation: Evaluation) -> tuple[Column, ...]:
    """The columns of the paper's table, or all of them; top-3 only where the data set is scored by it."""
    metrics = paper.columns if paper else ALL
    top3 = [("top3", name) for name in TOP3 if name in metrics] if evaluation.top3 else []
    return (*(("all", name) for name in metrics), *top3)


def records_to_show(dataset: str, runs: Path) -> tuple[list[Record], str]:
    """(the records to show, a sentence that says where they come from)."""
    accepted_folder = paths.accepted(dataset)
    if fresh := read_folder(runs, dataset=dataset):
        return fresh, f"fresh records of {shown(runs)} ({len(fresh)})"
    if accepted := read_folder(accepted_folder, dataset=dataset):
        origin = f"accepted records of {shown(accepted_folder)} ({len(accepted)})"
        return accepted, f"{origin}; there are no fresh records in {shown(runs)}"
    return [], f"no records yet, neither in {shown(runs)} nor in {shown(accepted_folder)}"


def _reproduced_rows(
    dataset: str, records: list[Record], paper: PublishedTable | None, evaluation: Evaluation, profile: str
) -> Iterator[TableRow]:
    """A row for each method, in the order of the papers, followed by a row for each of its variants."""
    groups = group_records(records)
    data_marks = row_marks.data_marks(groups)
    summaries = method_names.method_summaries()
    unknown_methods = sorted({method for method, _ in groups} - set(summaries))  # of other code versions
    for method in [*method_names.methods_in_order(), *unknown_methods]:
        name = summaries.get(method, method).partition(":")[0]
        if (method, "") not in groups:
            remedy = f"python -m bench.run --dataset {dataset} --method {method}"
            if evaluation.result_files:
                remedy += f", then submit runs/{dataset}/results to the data set's evaluation server"
            yield TableRow("reproduced", method, name, n=0, remedy=remedy)
        for variant in sorted(variant for group_method, variant in groups if group_method == method):
            row = _mean_row(name, groups[method, variant], paper, evaluation, profile)
            yield replace(row, marks={**row.marks, **data_marks.get((method, variant), {})})


def _mean_row(
    name: str, members: list[Record], paper: PublishedTable | None, evaluation: Evaluation, profile: str
) -> TableRow:
    """The row of one method and variant: mean and SD over its seeds, difference from the published value."""
    samples = values_by_column([metric_values(member, profile) for member in members])
    means = {column: statistics.fmean(sample) for column, sample in samples.items()}
    published_row, marks = _counterpart(members[0], paper)
    lines = {
        "difference": _differences(means, published_row, profile),
        **watched_rows.lines(members, profile),
    }
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
        marks=marks
        | (method_names.marks(members[0]["method"]) if published_row else {})
        | row_marks.marks_for_row(members, evaluation),
        remarks=profile_remarks(means, profile, evaluation.profile) | _empty_remarks(members, profile),
        facts=listing.facts_of_records(members, profile),
    )


def _empty_remarks(members: list[Record], profile: str) -> dict[Column, str]:
    """How much of each mean over classes comes from empty classes, on average over the seeds."""
    if profiles.get_profile(profile).eps:
        for member in members:
            if unknown := row_marks.unknown_empty_classes(member["metrics"][profile]):
                return {(group, name): unknown for group in GROUPS for name in row_marks.CLASS_MEANS}
    by_seed = [member["metrics"][profile].get("empty_classes", {}) for member in members]
    groups = {group for counts in by_seed for group in counts if group in ("all", "top3")}
    means = {group: statistics.fmean(counts.get(group, 0) for counts in by_seed) for group in sorted(groups)}
    classes = len(members[0]["metrics"][profile].get("AP", ()))
    return row_marks.empty_class_remarks(means, classes) if classes else {}


def _counterpart(record: Record, paper: PublishedTable | None) -> tuple[PublishedRow | None, dict[str, str]]:
    """The published row to compare with: of the same method, trunk, input size and images; and a mark.

    The row is None if there is none, or if it had more training data. A row on other images is None as well,
    and the mark says on which images it is.
    """
    recipe, dataset, method = record["recipe"], record["dataset"], record["method"]
    trunk, size = str(recipe.get("trunk", "")), recipe.get("input_size")
    pretraining = "" if recipe.get("trunk_weights") else pretraining_of(trunk)
    row = paper.row(method, trunk=trunk, input_size=size, pretraining=pretraining) if paper else None
    if place := published.elsewhere(dataset, method, row):
        return None, {"other variant": place}
    return None if row and (row.marks or row.convention is None) else row, {}


def _differences(means: Values, published_row: PublishedRow | None, profile: str) -> dict[Column, float]:
    """Mean minus published value, where both are computed in the same way."""
    if published_row is None:
        return {}
    values, rules = printed_values(published_row), profiles.get_profile(profile)
    printed_rules = published_row.convention
    return {
        column: mean - values[column]
        for column, mean in means.items()
        if column in values and printed_rules and profiles.is_comparable(rules, printed_rules, column[1])
    }


def _unprotected(records: list[Record]) -> list[str]:
    count = f"{sum(map(lacks_checksum, records))} of {len(records)} records"
    note = (
        f"Without a checksum, so that an edit by hand would not be seen: {count}, which older versions wrote;"
    )
    remedy = "python -m bench.check --accept gives them one."
    return [f"{note} {remedy}"] if any(map(lacks_checksum, records)) else []


def _notes(rows: Sequence[TableRow]) -> list[str]:
    """Notes on the marks, on rows taken from other publications, and on "sd" and "diff"."""
    marks = [f"{mark}: {meaning}." for row in rows for mark, meaning in row.marks.items()]
    printed = [row for row in rows if row.source == "paper" and row.facts["cites"]]
    taken = [f"{row.title} from {row.facts['cites']}" for row in printed]
    notes = [*dict.fromkeys(marks)]
    notes += [f"Rows that the paper took from other publications: {'; '.join(taken)}."] if taken else []
    notes += [SD_NOTE] if any(row.lines.get("std") for row in rows) else []
    notes += [DIFFERENCE_NOTE] if any(row.lines.get("difference") for row in rows) else []
    return notes

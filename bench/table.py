"""Published numbers, reproduced ones and the difference between them, as a table.

The reproduced rows are means over seeds of the fresh records (`runs/<dataset>`) where there are any, else of
the accepted ones (`results/reproduced/<dataset>`); the table says which.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench import cards, names, paths, published
from bench.cards import Evaluation
from bench.command import Parser, run
from bench.files import write_atomically
from bench.layout import Column, Row, Table, Values, as_csv, as_json
from bench.names import plain
from bench.published import Published
from bench.record import ALL, TOP3, Record, groups, read_folder, scores, shown, title
from bench.typeset import as_html, as_latex, as_markdown, as_text

FORMATS: dict[str, Callable[[Table], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
    "json": as_json,
    "html": as_html,
}
TOP3_RULES = {
    "forced": "top-3: an image's three labels of highest confidence, whatever it is",
    "thresholded": "top-3: of an image's three labels of highest confidence, those that are predicted",
}
HARMONIC = "F1-C is the harmonic mean of P-C and R-C, not the mean of the classes' F1 as in the other rows"
PARTIAL = "the data set was incomplete; not to be compared with the published numbers"
SD = "sd: standard deviation of the n seeds (n - 1 in the denominator); the line above it is their mean."
DIFF = "diff: the mean, unrounded, minus the published value."


def build(dataset: str, runs: Path) -> Table:
    """The table of a data set from its card, its published numbers and the records there are."""
    paper = published.load(dataset)
    card = cards.load(dataset) if dataset in cards.names() else None
    evaluation = card.evaluation if card else Evaluation(top3=paper.top3 if paper else None)
    records, origin = _records(dataset, runs)
    rows = [*_paper_rows(paper, evaluation), *_reproduced_rows(dataset, records, paper, evaluation)]
    name = card.title if card else paper.title if paper else dataset
    about = (name, _rules(evaluation), *_sources(paper), f"Reproduced: {origin}.")
    return Table(dataset, about, _columns(paper, evaluation), tuple(rows), tuple(_notes(rows)), origin)


def _rules(evaluation: Evaluation) -> str:
    rules = [f"metrics of profile {evaluation.profile}"]
    rules += [TOP3_RULES[evaluation.top3]] if evaluation.top3 else []
    rules += [f"unspecified labels: {evaluation.unspecified}"] if evaluation.unspecified else []
    return f"In percent; {'; '.join(rules)}."


def _sources(paper: Published | None) -> list[str]:
    if paper is None:
        return ["Published: no paper reports this data set."]
    return [f"Published: {source}." for source in paper.sources.values()]


def _columns(paper: Published | None, evaluation: Evaluation) -> tuple[Column, ...]:
    """What the paper's table has, or everything; no top-3 where the data set is not scored by it."""
    wanted = paper.columns if paper else ALL
    top3 = [("top3", name) for name in TOP3 if name in wanted] if evaluation.top3 else []
    return (*(("all", name) for name in wanted), *top3)


def _records(dataset: str, runs: Path) -> tuple[list[Record], str]:
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


def _paper_rows(paper: Published | None, evaluation: Evaluation) -> Iterator[Row]:
    if paper is None:
        return
    known = {plain(method): method for method in names.methods()}
    for row in paper.rows:
        marks = {"harmonic": HARMONIC} if row.f1c == "harmonic" else {}
        if row.profile != evaluation.profile:
            marks[row.profile] = f"printed by another convention than the other rows, profile {row.profile}"
        facts = {"profile": row.profile, "f1c": row.f1c, "trunk": row.trunk, "input_size": row.input_size}
        facts |= {"printed_in": str(paper.sources[row.source]), "cites": row.cites}
        method = known.get(plain(row.name), row.name)
        yield Row("paper", method, row.name, values=_printed(row), marks=marks, facts=facts)


def _printed(row: published.Row) -> dict[Column, float]:
    values = {("all", name): value for name, value in row.all.items()}
    return values | {("top3", name): value for name, value in row.top3.items()}


def _reproduced_rows(
    dataset: str, records: list[Record], paper: Published | None, evaluation: Evaluation
) -> Iterator[Row]:
    """Every method there is, in the paper's order, each followed by its variants."""
    found = groups(records)
    lines = names.methods()
    gone = sorted({method for method, _ in found} - set(lines))
    for method in [*names.in_order(), *gone]:
        name = lines.get(method, method).partition(":")[0]
        if (method, "") not in found:
            remedy = f"python -m bench.run --dataset {dataset} --method {method}"
            yield Row("reproduced", method, name, n=0, remedy=remedy)
        for variant in sorted(variant for mine, variant in found if mine == method):
            yield _mean_row(name, found[method, variant], paper.row(method) if paper else None, evaluation)


def _mean_row(name: str, members: list[Record], printed: published.Row | None, evaluation: Evaluation) -> Row:
    """Mean, spread and distance from the published value of one method and variant over its seeds."""
    numbers = [scores(member, evaluation.profile) for member in members]
    shared = [column for column in numbers[0] if all(column in values for values in numbers)]
    samples = {column: [values[column] for values in numbers] for column in shared}
    means = {column: statistics.fmean(sample) for column, sample in samples.items()}
    several = len(members) > 1
    return Row(
        source="reproduced",
        method=members[0]["method"],
        title=name,
        variant=members[0]["variant"],
        n=len(members),
        values=means,
        std={column: statistics.stdev(sample) for column, sample in samples.items()} if several else {},
        difference=_difference(means, printed, evaluation) if printed else {},
        marks=_marks(members, evaluation),
        facts={"seeds": [member["seed"] for member in members]},
    )


def _difference(means: Values, printed: published.Row, evaluation: Evaluation) -> Values:
    """Mean minus published value, where both follow one convention."""
    if printed.profile != evaluation.profile:
        return {}
    values = _printed(printed)
    return {
        column: mean - values[column]
        for column, mean in means.items()
        if column in values and not (column[1] == "F1-C" and printed.f1c == "harmonic")
    }


def _marks(members: list[Record], evaluation: Evaluation) -> dict[str, str]:
    """What a reader must know before comparing the row with others."""
    marks = {"partial": PARTIAL} if any(member["data"]["partial"] for member in members) else {}
    if differing := _differing(members):
        marks["mixed"] = f"the seeds of {title(members[0], seed=False)} differ in {', '.join(differing)}"
    expected = {"top3": evaluation.top3, "unspecified": evaluation.unspecified}
    if any(member["protocol"][name] != rule for member in members for name, rule in expected.items()):
        marks["other protocol"] = "scored by another rule for top-3 or unspecified labels than stated above"
    return marks


def _differing(members: list[Record]) -> list[str]:
    """What should be the same for all seeds of a method and is not."""
    aspects = [
        {name: one[name] for name in ("recipe", "protocol")}
        | {"card": one["data"]["card"], "images": one["data"]["fingerprint"]}
        for one in members
    ]
    return [name for name in aspects[0] if any(aspect[name] != aspects[0][name] for aspect in aspects)]


def _notes(rows: Sequence[Row]) -> list[str]:
    """What the marks mean, where older rows were taken from, what "sd" and "diff" are."""
    marks = [f"{mark}: {meaning}." for row in rows for mark, meaning in row.marks.items()]
    taken = [f"{row.title} from {row.facts['cites']}" for row in rows if row.facts.get("cites")]
    notes = [*dict.fromkeys(marks)]
    notes += [f"Rows that the paper took from other publications: {'; '.join(taken)}."] if taken else []
    notes += [SD] if any(row.std for row in rows) else []
    notes += [DIFF] if any(row.difference for row in rows) else []
    return notes


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.table", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, metavar="NAME", help=", ".join(published.datasets()))
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there instead")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="where runs write (default: runs)")
    args = parser.parse_args(argv)
    text = FORMATS[args.format](build(args.dataset, (args.runs or paths.RUNS) / args.dataset))
    if args.output:
        print(f"written: {write_atomically(args.output, text)}")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    run(main)

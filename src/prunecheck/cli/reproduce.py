"""``prunecheck reproduce``: the tables of arXiv:2009.11094, measured beside published."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prunecheck.cli.acceleration import WHERE_IT_PAYS, AccelerationFlags, read_acceleration
from prunecheck.cli.arguments import (
    Whole,
    read_list,
    read_numbers,
    read_workers,
    require_at_least_one,
    require_device,
)
from prunecheck.cli.study_runs import WIDTH, answers_to, do_missing_runs, print_answer, print_json, read_family
from prunecheck.errors import InputError

if TYPE_CHECKING:
    from prunecheck.analysis.families import Conclusion
    from prunecheck.paper.reproduction import Reproduced
    from prunecheck.paper.tables import PaperTable
    from prunecheck.studies.check_study import CheckStudy
    from prunecheck.studies.study import Study

reproduce = App(
    name="reproduce",
    help="Do the runs behind a table of arXiv:2009.11094, and show what was measured beside what was published.",
    help_flags=["--help", "-h"],
    version_flags=[],
)

Chosen = Annotated[str | None, Parameter(show_default=False)]


@reproduce.command(name="list")
def list_tables() -> None:
    """List the tables, and what the scales take and can show."""
    from rich.table import Table
    from rich.text import Text

    from prunecheck.cli.output import print_out
    from prunecheck.paper.tables import SCALES, TABLES, paper_table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for name, compared in TABLES.items():
        datasets = " and ".join(paper_table(name, "full").files)
        table.add_row(f"  {name}", f"{compared} ({datasets})")
    print_out(Text("tables", style="bold"), table, Text("scales", style="bold"), width=2 * WIDTH)
    scales = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for name, shows in SCALES.items():
        scales.add_row(f"  {name}", shows)
    print_out(scales, width=WIDTH)


@reproduce.default
def reproduce_table(
    name: Annotated[str, Parameter(name="TABLE")],
    /,
    *,
    scale: str = "smoke",
    datasets: Chosen = None,
    models: Chosen = None,
    methods: Chosen = None,
    sparsity: Chosen = None,
    seeds: Annotated[Whole | None, Parameter(show_default=False)] = None,
    data_root: Annotated[Path | None, Parameter(show_default=False)] = None,
    out: Path = Path("runs"),
    workers: Annotated[Whole | None, Parameter(show_default=False)] = None,
    device: str = "cpu",
    acceleration: AccelerationFlags = WHERE_IT_PAYS,
    retry_failed: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    family: str = "question",
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    markdown: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    quiet: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> None:
    """Do the runs behind a table of the paper, and show what was measured beside what was published.

    What is done already is not done again; an interrupted command goes on when it is called again.
    `prunecheck reproduce list` names the tables.

    Parameters
    ----------
    name
        A table (see `prunecheck reproduce list`).
    scale
        smoke: minutes on a CPU; small: hours on a CPU; full: as published, for a GPU.
    datasets
        Only these of the table's data sets, with commas between them. [default: all of them]
    models
        Only these of its networks, with commas between them. [default: all of them]
    methods
        Only these of its methods, with commas between them. [default: all of them]
    sparsity
        Only these of its sparsities, with commas between them. [default: all of them]
    seeds
        How many seeds: 0 to N-1. [default: 3; 5 at full scale]
    data_root
        Folder that holds data sets (see `prunecheck data list`). [default: PRUNECHECK_DATA, then the cache]
    out
        Where the run folders and results.csv are written; tables share the runs that they have in common.
    workers
        Single-thread processes that train at the same time. [default: one per core; 1 on a GPU]
    device
        cpu, cuda or cuda:N.
    acceleration
        What may make training faster.
    retry_failed
        Do failed runs again, and those that could not be done because of them.
    family
        The comparisons over which verdicts are wrong together in 5 % at most: those of each method's question by
        itself (question), or of all that are answered here (report).
    json
        Print one JSON object instead of the tables.
    markdown
        Print the table of measured beside published numbers in Markdown.
    quiet
        Show no progress.
    """
    if json and markdown:
        raise InputError("one form at a time: give --json or --markdown.")
    workers = read_workers(workers, device)
    if seeds is not None:
        require_at_least_one("--seeds", seeds)
    scope = read_family(family)

    from prunecheck.cli.places import data_places
    from prunecheck.paper.published_accuracies import published_accuracies
    from prunecheck.paper.reproduction import beside_published
    from prunecheck.paper.tables import paper_table
    from prunecheck.runs.store import RunStore
    from prunecheck.studies.retry import forget_failed
    from prunecheck.studies.study import Study
    from prunecheck.studies.study_file import read_study

    table = paper_table(name, scale)
    if datasets is not None:
        table = table.of_datasets(read_list("--datasets", datasets))
    places = data_places(data_root)
    questions = [question for file in table.files.values() for question in read_study(file, places).questions]
    questions = _of(questions, "--methods", [question.method.name for question in questions], methods)
    questions = _of(questions, "--models", [question.model for question in questions], models)
    study = Study(f"{name}, {scale} scale", tuple(_narrowed(questions, sparsity, seeds)))
    require_device(device)
    allowed = read_acceleration(acceleration, device)
    study.rehearse()
    store = RunStore(out)
    with store.locked():
        if retry_failed:
            forget_failed(study, store)
        results = do_missing_runs(study, store, workers, device, allowed, quiet)
    answers = answers_to(study, store, results, scope)
    rows = beside_published([answer.question for answer in answers], results, published_accuracies())
    _print(table, study, rows, answers, json, markdown)


def _of(questions: "list[CheckStudy]", option: str, has: list[str], chosen: str | None) -> "list[CheckStudy]":
    """Return the questions that are about one of the chosen names; ``has`` is each one's name."""
    if chosen is None:
        return questions
    from prunecheck.registry import unknown_name

    names = read_list(option, chosen)
    for name in names:
        if name not in has:
            raise unknown_name(f"{option[2:-1]} in this table", name, dict.fromkeys(has))
    return [question for question, name in zip(questions, has, strict=True) if name in names]


def _narrowed(questions: "list[CheckStudy]", sparsity: str | None, seeds: int | None) -> "list[CheckStudy]":
    """Return the questions at the chosen sparsities and seeds."""
    if sparsity is not None:
        chosen = read_numbers("--sparsity", sparsity)
        has = dict.fromkeys(one for question in questions for one in question.sparsities)
        for one in chosen:
            if one not in has:
                listed = ", ".join(f"{other:g}" for other in has)
                raise InputError(f"this table has no sparsity {one:g}: choose one of {listed}.")
        questions = [replace(question, sparsities=tuple(dict.fromkeys(chosen))) for question in questions]
    return questions if seeds is None else [replace(question, seeds=range(seeds)) for question in questions]


def _print(
    table: "PaperTable",
    study: "Study",
    rows: "list[Reproduced]",
    answers: "list[Conclusion]",
    as_json: bool,
    as_markdown: bool,
) -> None:
    from prunecheck.cli.output import print_out
    from prunecheck.paper.reproduction_tables import (
        EXPLANATION,
        reproduction_json,
        reproduction_tables,
        sources_text,
        summary_line,
    )
    from prunecheck.report.answer_json import SCHEMA, answer_json
    from prunecheck.report.formats.markdown import markdown

    if as_json:
        found = {
            "schema": SCHEMA,
            "table": table.name,
            "scale": table.scale,
            "scale_shows": _scale_text(table),
            "hash": study.hash,
        }
        answered = {"rows": reproduction_json(rows), "answers": [answer_json(answer) for answer in answers]}
        print_json(found | answered)
        return
    paragraphs = (sources_text(rows), f"{EXPLANATION}.", f"{summary_line(rows)} {_scale_text(table)}")
    tables = reproduction_tables(rows)
    said = "\n\n".join(filter(None, paragraphs))
    if as_markdown:
        print(f"{markdown(tables)}\n{said}")
        return
    print_out(*tables, said, width=WIDTH)
    for answer in answers:
        print("\n")
        print_answer(answer)


def _scale_text(table: "PaperTable") -> str:
    """Say what the scale can show."""
    from prunecheck.paper.tables import SCALES

    return f"{table.scale.capitalize()} scale: {SCALES[table.scale]}."

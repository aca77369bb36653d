"""``prunecheck reproduce``: the tables of arXiv:2009.11094, measured beside published."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prunecheck.api.report_files import require_report
from prunecheck.cli.acceleration import read_acceleration
from prunecheck.cli.arguments import Whole, read_list, read_numbers, read_optional_list, read_workers, require_device
from prunecheck.cli.options import (
    Calibrate,
    ClusterOptions,
    DataRoot,
    DryRun,
    EngineOptions,
    FailOn,
    Family,
    Json,
    MsAStep,
    Out,
    Quiet,
    RetryFailed,
    require_own_workers,
)
from prunecheck.cli.plan import plan_and_print, planned_places
from prunecheck.cli.study_runs import (
    begin_workers,
    exit_unless_answered,
    print_json,
    print_rendered,
    read_fail_on,
    write_report,
)
from prunecheck.errors import InputError

if TYPE_CHECKING:
    from prunecheck.api.answers import Answers
    from prunecheck.paper.reproduction import Reproduced
    from prunecheck.paper.tables import PaperTable
    from prunecheck.studies.check_study import CheckStudy
    from prunecheck.studies.study import Study

reproduce = App(
    name="reproduce",
    help="Do the runs behind a table of arXiv:2009.11094, and show what was measured beside what was published.",
    help_format="markdown",
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
    from prunecheck.report.formats.whole_words import WholeRows

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for name, compared in TABLES.items():
        datasets = " and ".join(paper_table(name, "full").files)
        table.add_row(f"  {name}", f"{compared} ({datasets})")
    print_out(Text("tables", style="bold"), WholeRows(table), Text("scales", style="bold"))
    scales = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for name, shows in SCALES.items():
        scales.add_row(f"  {name}", shows)
    print_out(scales)


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
    data_root: DataRoot = None,
    out: Out = Path("runs"),
    engine: EngineOptions = EngineOptions(),
    cluster: ClusterOptions = ClusterOptions(),
    dry_run: DryRun = False,
    calibrate: Calibrate = False,
    ms_a_step: MsAStep = None,
    retry_failed: RetryFailed = False,
    fail_on: FailOn = None,
    family: Family = "question",
    json: Json = False,
    markdown: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    quiet: Quiet = False,
) -> None:
    """Do the runs behind a table of the paper, and show what was measured beside what was published.

    What is done already is not done again; an interrupted command goes on when it is called again.
    `prunecheck reproduce list` names the tables. With --dry-run it says what `prunecheck plan` says of a study.

    Parameters
    ----------
    name
        A table (see `prunecheck reproduce list`).
    scale
        smoke: minutes on a CPU; small: hours on a CPU; full: as published, for a GPU.
    datasets
        Only these of the table's data sets, with commas between them. [default: all of them]
    models
        Only these of its networks, with commas between them; or FILE.py:FUNCTION, a network of your own in their place.
        [default: all of them]
    methods
        Only these of its methods, with commas between them; or FILE.py:FUNCTION, a method of your own in their place.
        [default: all of them]
    sparsity
        Only these of its sparsities, with commas between them. [default: all of them]
    seeds
        How many seeds: 0 to N-1. [default: the table's: 3 at smoke scale, 5 at the others, and 3 of the heavier
        tables]
    markdown
        Print the table of measured beside published numbers in Markdown.
    """
    if json and markdown:
        raise InputError("one form at a time: give --json or --markdown.")
    if (calibrate or ms_a_step is not None) and not dry_run:
        raise InputError("--calibrate and --ms-a-step are about what --dry-run says: give that, too.")
    is_here = require_own_workers(engine, cluster)
    workers = read_workers(engine.workers, engine.device) if is_here and not dry_run else 1

    from prunecheck.paper.tables import paper_table

    table = paper_table(name, scale)
    begin_workers(workers, out)

    import prunecheck
    from prunecheck.api.arguments import read_family
    from prunecheck.api.places import data_places
    from prunecheck.paper.published_accuracies import published_accuracies
    from prunecheck.paper.reproduction import beside_published
    from prunecheck.studies.study import Study
    from prunecheck.studies.study_file import read_study

    read_family(family)
    failing = read_fail_on(fail_on)
    require_report(out)
    if datasets is not None:
        table = table.of_datasets(read_list("datasets", datasets))
    places = planned_places(data_root) if dry_run else data_places(data_root)
    questions = [question for file in table.files.values() for question in read_study(file, places).questions]
    questions = _of(questions, "methods", [question.method.name for question in questions], methods, _with_method)
    questions = _of(questions, "models", [question.model for question in questions], models, _with_model)
    study = Study(f"{name}, {scale} scale", tuple(_narrowed(questions, sparsity, seeds)))
    if dry_run:
        devices = (engine.workers, engine.device)
        plan_and_print(study, out, *devices, calibrate=calibrate, ms_a_step=ms_a_step, as_json=json)
        return
    if is_here:
        require_device(engine.device)
    allowed = read_acceleration(engine.acceleration, engine.device, elsewhere=not is_here)
    answers = prunecheck.run(
        study,
        out=out,
        workers=workers,
        scheduler=cluster.scheduler,
        dashboard=cluster.dashboard,
        device=engine.device,
        acceleration=allowed,
        retry_failed=retry_failed,
        track=read_optional_list("track", engine.track) or (),
        quiet=quiet,
        family=family,
    )
    rows = beside_published([answer.question for answer in answers], answers.results, published_accuracies())
    _print(table, study, rows, answers, json, markdown)
    write_report(answers, out, quiet=quiet)
    exit_unless_answered(answers, failing)


def _of(
    questions: "list[CheckStudy]",
    field: str,
    has: list[str],
    chosen: str | None,
    about: "Callable[[CheckStudy, str], CheckStudy]",
) -> "list[CheckStudy]":
    """Return the questions that are about one of the chosen names.

    Args:
        questions: of the table.
        field: what is chosen.
        has: the name that each question is about.
        chosen: names with commas between them; of users' own code the table asks what it asks about its first.
        about: returns a question about users' own code instead.
    """
    if chosen is None:
        return questions
    from prunecheck.registry import unknown_name
    from prunecheck.user_code import is_reference

    names = read_list(field, chosen)
    own = [name for name in names if name not in has and is_reference(name)]
    for name in names:
        if name not in has and name not in own:
            raise unknown_name(f"{field[:-1]} in this table", name, dict.fromkeys(has), field=field)
    asked = list(zip(questions, has, strict=True))
    of_own = [about(question, name) for name in own for question, other in asked if other == has[0]]
    return [question for question, name in asked if name in names] + of_own


def _with_method(question: "CheckStudy", name: str) -> "CheckStudy":
    from prunecheck.pruning import find_method

    return replace(question, method=find_method(name))


def _with_model(question: "CheckStudy", name: str) -> "CheckStudy":
    from prunecheck.models import find_model, published_width

    network = find_model(name)
    return replace(question, model=network.name, width=published_width(network), own_model=network)


def _narrowed(questions: "list[CheckStudy]", sparsity: str | None, seeds: int | None) -> "list[CheckStudy]":
    """Return the questions at the chosen sparsities and seeds."""
    if sparsity is not None:
        chosen = read_numbers("sparsity", sparsity)
        has = dict.fromkeys(one for question in questions for one in question.sparsities)
        for one in chosen:
            if one not in has:
                listed = ", ".join(f"{other:g}" for other in has)
                raise InputError(f"this table has no sparsity {one:g}: choose one of {listed}.")
        questions = [replace(question, sparsities=tuple(dict.fromkeys(chosen))) for question in questions]
    if seeds is None:
        return questions
    from prunecheck.studies.question import QUESTION

    chosen_seeds = QUESTION["seeds"].require("seeds", seeds)
    return [replace(question, seeds=chosen_seeds) for question in questions]


def _print(
    table: "PaperTable",
    study: "Study",
    rows: "list[Reproduced]",
    answers: "Answers",
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
    from prunecheck.report.answer_json import SCHEMA
    from prunecheck.report.formats.markdown import markdown

    if as_json:
        found = {
            "schema": SCHEMA,
            "table": table.name,
            "scale": table.scale,
            "scale_shows": _scale_text(table),
            "hash": study.hash,
        }
        answered = {"rows": reproduction_json(rows), "answers": [answer.to_dict() for answer in answers]}
        print_json(found | answered)
        return
    paragraphs = (sources_text(rows), f"{EXPLANATION}.", f"{summary_line(rows)} {_scale_text(table)}")
    tables = reproduction_tables(rows)
    said = "\n\n".join(filter(None, paragraphs))
    if as_markdown:
        print(f"{markdown(tables)}\n{said}")
        return
    print_out(*tables, said)
    print("\n")
    print_rendered(answers)


def _scale_text(table: "PaperTable") -> str:
    """Say what the scale can show."""
    from prunecheck.paper.tables import SCALES

    return f"{table.scale.capitalize()} scale: {SCALES[table.scale]}."

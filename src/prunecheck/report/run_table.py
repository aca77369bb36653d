"""The table of all runs: their names, the hashes of their specs, and how they ended."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from prunecheck.report.contents import AnsweredSetting, trained_values
from prunecheck.report.table import Row, RowGroup, Table, numbers, words
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec

TESTED = "tested"

MOST_RUNS_LISTED = 1_000
"""So many runs have a row each: more are no page that anybody reads, and results.csv has them."""


def run_table(settings: Sequence[AnsweredSetting]) -> Table:
    """Return every run's name, the hash of its spec in it, and how it ended; of very many, all seeds in one row."""
    groups = []
    names = {setting.quantity.name for setting in settings}
    name = names.pop() if len(names) == 1 else "value"
    runs = sum(len(setting.runs) for setting in settings)
    for setting in settings:
        title = setting.title if len(settings) > 1 else ""
        if runs > MOST_RUNS_LISTED:
            groups.append(RowGroup(tuple(_rows_over_seeds(setting)), title))
            continue
        beginning = _beginning_of_names(setting)
        said = [title, f"{beginning}..."] if beginning else [title]
        groups.append(RowGroup(tuple(_run_rows(setting, beginning)), ": ".join(filter(None, said))))
    if runs > MOST_RUNS_LISTED:
        columns = (*words("runs", "status"), *numbers(f"mean {name}"))
        note = "All seeds stand in one row, their number before the name; results.csv has a row for each run."
        return Table(f"All {runs:,} runs", columns, tuple(groups), (note,), kind="runs")
    columns = (*words("run", "hash", "status"), *numbers(name))
    note = (
        "A run's folder is named by what stands above the rows, by its own part, and by its hash, which is of all that "
        "the run was."
    )
    return Table(f"All {runs} runs", columns, tuple(groups), (note,), kind="runs")


def _run_rows(setting: AnsweredSetting, beginning: str) -> Iterator[Row]:
    for spec, run in sorted(setting.runs.items(), key=lambda item: item[0].folder_name):
        assert run.result
        value = "-" if run.result.value is None else setting.quantity.text(run.result.value)
        name = spec.folder_name.removesuffix(f"-{spec.hash}")
        yield name.removeprefix(beginning), spec.hash, _status(spec, run.result), value


def _status(spec: RunSpec, result: RunResult) -> str:
    """Return what a run ended with in a word: of one that is tested as it was made, not that it was trained."""
    return TESTED if spec.is_evaluated_only and result.status is Status.TRAINED else result.status.value


def _beginning_of_names(setting: AnsweredSetting) -> str:
    """Return the words with which the names of all runs' folders begin, with the sign behind them.

    To each row its last word is left: names may be the same but for the hash, and there may be one run.
    """
    names = [spec.folder_name.removesuffix(f"-{spec.hash}") for spec in setting.runs]
    words_but_last = zip(*(name.split("-")[:-1] for name in names), strict=False)
    common = itertools.takewhile(lambda of_all: len(set(of_all)) == 1, words_but_last)
    return "".join(f"{of_all[0]}-" for of_all in common)


def _rows_over_seeds(setting: AnsweredSetting) -> Iterator[Row]:
    alike: dict[str, list[tuple[str, RunResult]]] = {}
    for spec, run in sorted(setting.runs.items(), key=lambda item: item[0].folder_name):
        assert run.result
        name = spec.folder_name.removesuffix(f"-seed{spec.seed}-{spec.hash}")
        alike.setdefault(name, []).append((_status(spec, run.result), run.result))
    for name, ended in alike.items():
        counts = Counter(status for status, _ in ended)
        statuses = ", ".join(status if len(counts) == 1 else f"{count} {status}" for status, count in counts.items())
        values = trained_values(result for _, result in ended)
        mean = setting.quantity.text(math.fsum(values) / len(values)) if values else "-"
        yield f"{len(ended)} of {name}", statuses, mean

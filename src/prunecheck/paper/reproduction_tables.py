"""Measured beside published numbers as tables and as JSON."""

import dataclasses
import itertools
import string
from collections.abc import Mapping, Sequence
from typing import Any

from prunecheck.metrics import ACCURACY
from prunecheck.paper.published_accuracies import PublishedAccuracy
from prunecheck.paper.reproduction import Agreement, Reproduced
from prunecheck.pruning import DENSE
from prunecheck.report.answer_json import rounded
from prunecheck.report.cells import interval_text
from prunecheck.report.table import Row, RowGroup, Table, numbers, words

EXPLANATION = (
    "test accuracy in percent after the last epoch, or the best one where that is what was published, mean and "
    "standard deviation over the seeds; within: the published number lies in the 95 % interval of the measured mean, "
    "or, marked *, of one more run where it is a single run's; above, below: what was measured is more, or less"
)


def reproduction_tables(rows: Sequence[Reproduced]) -> list[Table]:
    """Return a table for each data set and network."""
    marks = _source_marks(rows) | _doubt_marks(rows)
    columns = (*words("tickets"), *numbers("measured", "95 % interval", "published"), *words("verdict"))
    return [
        Table(
            title,
            columns,
            tuple(
                RowGroup(tuple(_cells(row, marks) for row in same), sparsity and f"sparsity {sparsity}")
                for sparsity, same in itertools.groupby(group, key=_sparsity)
            ),
        )
        for title, group in _by_setting(rows).items()
    ]


def sources_text(rows: Sequence[Reproduced]) -> str:
    """Return who published the numbers, and why some look wrong, by the marks of the tables; may be empty."""
    marks = _source_marks(rows) | _doubt_marks(rows)
    return ";\n".join(f"{mark} {text}" for text, mark in marks.items())


def reproduction_json(rows: Sequence[Reproduced]) -> list[dict[str, Any]]:
    """Return one object for each measured number and published number about it."""
    return [
        {
            "dataset": row.measured.dataset,
            "model": row.measured.model,
            "network": row.measured.network,
            "method": row.measured.method,
            "check": row.measured.check,
            "sparsity": row.measured.sparsity,
            "epoch_choice": "best" if row.is_of_best_epoch else "last",
            "accuracy": rounded(row.accuracies.mean, ACCURACY),
            "deviation": rounded(row.accuracies.std, ACCURACY),
            "n": len(row.accuracies.values),
            "untrained": row.measured.untrained,
            "runs": row.measured.runs,
            "interval": [rounded(end, ACCURACY) for end in row.interval] if row.interval else None,
            "interval_of": "one run" if row.is_of_one_run else "mean",
            "published": _published_json(row.published) if row.published else None,
            "verdict": row.verdict or "",
            "differences": list(row.differences),
        }
        for row in rows
    ]


def summary_line(rows: Sequence[Reproduced]) -> str:
    """Say in a sentence how many published numbers were met."""
    compared = [row.verdict for row in rows if row.verdict and row.verdict.is_compared]
    known = sum(row.published is not None for row in rows)
    if not known:
        return "No published number is known for these."
    numbers = "1 published number" if known == 1 else f"{known} published numbers"
    if not compared:
        return f"None of {numbers} is compared."
    counts = [f"{compared.count(one)} {one}" for one in Agreement if one.is_compared]
    return f"Of {numbers}, {len(compared)} are compared: {', '.join(counts)}."


def _by_setting(rows: Sequence[Reproduced]) -> dict[str, list[Reproduced]]:
    """Return the rows of each data set and network, in order of sparsity."""
    groups: dict[str, list[Reproduced]] = {}
    for row in sorted(rows, key=lambda row: row.measured.sparsity):
        groups.setdefault(f"{row.measured.dataset}, {row.measured.network}", []).append(row)
    return groups


def _source_marks(rows: Sequence[Reproduced]) -> dict[str, str]:
    """Return a mark for each kind of source."""
    sources = dict.fromkeys(_source_text(row.published) for row in rows if row.published)
    return {source: f"[{number}]" for number, source in enumerate(sources, 1)}


def _doubt_marks(rows: Sequence[Reproduced]) -> dict[str, str]:
    """Return a letter for each reason why a published number looks wrong."""
    doubts = dict.fromkeys(row.published.doubt for row in rows if row.published and row.published.doubt)
    return {doubt: f"[{letter}]" for doubt, letter in zip(doubts, string.ascii_lowercase, strict=False)}


def _source_text(number: PublishedAccuracy) -> str:
    named = "" if number.listed_as == number.model else f", there {number.listed_as}"
    runs = {None: "", 1: ", one run"}.get(number.seeds, f", {number.seeds} runs")
    batches = "" if number.batch_size is None else f", batches of {number.batch_size}"
    return f"{number.source}{named}{runs}{batches}"


def _sparsity(row: Reproduced) -> str:
    return "" if row.measured.method == DENSE else f"{row.measured.sparsity:g}"


def _cells(row: Reproduced, marks: Mapping[str, str]) -> Row:
    interval = interval_text(row.interval, ACCURACY)
    return (
        " + ".join(filter(None, (row.measured.method, row.measured.check))),
        _measured_text(row),
        f"{interval} *" if row.interval and row.is_of_one_run else interval,
        f"{row.published.accuracy:.2f} {marks[_source_text(row.published)]}" if row.published else "",
        _verdict_text(row, marks),
    )


def _measured_text(row: Reproduced) -> str:
    mean, std = row.accuracies.mean, row.accuracies.std
    if mean is None:
        return "-"
    return f"{mean:.2f}" + ("" if std is None else f" ± {std:.2f}") + (" (best epoch)" if row.is_of_best_epoch else "")


def _verdict_text(row: Reproduced, marks: Mapping[str, str]) -> str:
    measured, verdict = row.measured, row.verdict or ""
    parts = [f"{verdict}: {', '.join(row.differences)}" if row.differences else verdict]
    if measured.untrained:
        parts.append(f"{measured.untrained} of {measured.runs} not trained")
    if row.published and row.published.collapsed:
        parts.append("the published one collapsed")
    if row.published and row.published.doubt:
        parts.append(f"the published one looks wrong {marks[row.published.doubt]}")
    return "; ".join(filter(None, parts))


def _published_json(number: PublishedAccuracy) -> dict[str, Any]:
    recipe = number.recipe
    return {
        "source": number.source,
        "model": number.model,
        "listed_as": number.listed_as,
        "network": number.network,
        "accuracy": number.accuracy,
        "seeds": number.seeds,
        "batch_size": number.batch_size,
        "recipe": None if recipe is None else dataclasses.asdict(recipe),
        "epoch_choice": number.epoch_choice or None,
        "normalize": number.normalize,
        "samples_per_class": number.samples_per_class,
        "scoring_rounds": number.scoring_rounds,
        "differs": number.differs or None,
        "collapsed": number.collapsed,
        "doubt": number.doubt or None,
        "note": number.note,
    }

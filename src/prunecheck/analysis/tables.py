"""A study's answer as a table and as JSON."""

from typing import TYPE_CHECKING, Any

from prunecheck.analysis.comparison import (
    COLLAPSED,
    DIVERGED,
    FAILED,
    UNDECIDED,
    CheckAnswer,
    Comparison,
    Question,
    Summary,
    learned_nothing,
)
from prunecheck.analysis.reading import reading
from prunecheck.analysis.statistics import LEVEL, PairedDifference
from prunecheck.checks.registry import JOINT

if TYPE_CHECKING:
    from rich.table import Table

DECIMALS = 4
"""To which percentages are rounded in JSON."""

WIDTH_OF_NAME = 20
"""Columns that the names of tickets may take from the verdicts; longer ones are broken into lines."""

WIDTH_OF_REASONS = 40
"""Columns for why tickets were not trained, so that the title above has room too."""


def answer_table(answer: CheckAnswer) -> "Table":
    """Return the table that ``prunecheck check`` prints: accuracies and, where tickets are compared, the verdicts."""
    from rich import box
    from rich.table import Table

    study, compared = answer.study, (*answer.checks, *answer.baselines)
    table = Table(title=_title(answer), title_justify="left", caption_justify="left")
    table.box, table.pad_edge, table.collapse_padding = box.SIMPLE_HEAD, False, True
    table.caption = _caption(answer)
    names = "\n".join(map(_indented, (study.method.name, *(comparison.against for comparison in compared))))
    table.add_column("tickets", overflow="fold", no_wrap=all(len(line) <= WIDTH_OF_NAME for line in names.split("\n")))
    numbers = ("accuracy", "difference", "95 % interval") if answer.compares else ("accuracy",)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    if answer.compares:
        table.add_column("verdict", overflow="fold")
    else:
        table.add_column("not trained", overflow="fold", min_width=WIDTH_OF_REASONS)
    no_difference = [""] * (len(numbers) - 1)
    dense_at_chance = learned_nothing(answer.dense, answer.chance, study.margin)
    table.add_row("dense", accuracy_text(answer.dense), *no_difference, _lost(answer.dense))
    for sparsity in study.sparsities:
        own = answer.own[sparsity]
        table.add_section()
        table.add_row(f"sparsity {sparsity:g}")
        table.add_row(_indented(study.method.name), accuracy_text(own), *no_difference, _lost(own))
        for row in (comparison for comparison in compared if comparison.sparsity == sparsity):
            table.add_row(
                _indented(row.against),
                accuracy_text(row.other),
                *difference_text(row.difference),
                verdict_text(row, dense_at_chance),
            )
    return table


def _caption(answer: CheckAnswer) -> str:
    study, accuracy = answer.study, "accuracy in percent, mean and deviation over the seeds"
    if not answer.compares:
        return accuracy
    return (
        f"{accuracy}; difference: {study.method.name} minus the changed "
        f"tickets, paired by seed; verdicts: one-sided t tests against the margin of {study.margin:g} points, "
        f"{100 * LEVEL:g} % over the whole table (Holm)"
    )


def answer_json(answer: CheckAnswer) -> dict[str, Any]:
    """Return the object that ``prunecheck check --json`` prints.

    Accuracies are in percent; a difference is the method minus the changed tickets, so that a
    positive one means that the change costs something.
    """
    study = answer.study
    return {
        "method": study.method.name,
        "dataset": study.dataset_name,
        "train_images": study.train_images,
        "test_images": study.test_images,
        "model": study.model,
        "width": study.width,
        "sparsities": list(study.sparsities),
        "seeds": list(study.seeds),
        "epochs": study.recipe.epochs,
        "margin": study.margin,
        "chance": _rounded(answer.chance),
        "dense": _summary_json(answer.dense),
        "tickets": [{"sparsity": sparsity} | _summary_json(own) for sparsity, own in answer.own.items()],
        "verdicts": [_comparison_json(comparison) for comparison in answer.checks],
        "baselines": [_comparison_json(comparison) for comparison in answer.baselines],
        "reading": reading(answer),
    }


def _summary_json(summary: Summary) -> dict[str, Any]:
    return {
        "accuracy": _rounded(summary.accuracy),
        "deviation": _rounded(summary.deviation),
        "n": summary.n,
        "collapsed": list(summary.collapsed),
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    difference = comparison.difference
    return {
        "method": comparison.method,
        "sparsity": comparison.sparsity,
        "check": comparison.against,
        "accuracy": _rounded(comparison.own.accuracy),
        "changed_accuracy": _rounded(comparison.other.accuracy),
        "difference": _rounded(difference.mean) if difference else None,
        "deviation": _rounded(difference.deviation) if difference else None,
        "interval": [_rounded(end) for end in difference.interval] if difference and difference.interval else None,
        "n": difference.n if difference else 0,
        "p": comparison.p,
        "verdict": comparison.verdict,
        "seeds_needed": comparison.seeds_needed,
        "at_chance": comparison.at_chance,
        "collapsed": list(comparison.own.collapsed),
        "changed_collapsed": list(comparison.other.collapsed),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS) + 0.0  # no -0.0


def _title(answer: CheckAnswer) -> str:
    study = answer.study
    network = study.model if study.width is None else f"{study.model} of width {study.width}"
    seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
    epochs = f"{study.recipe.epochs} epoch{'s' if study.recipe.epochs > 1 else ''}"
    return f"{study.method.name} on {_dataset(study)}, {network}, {epochs}, {seeds}"


def _dataset(study: Question) -> str:
    shortened = []
    if study.train_images is not None:
        shortened.append(f"{study.train_images} training images")
    if study.test_images is not None:
        shortened.append(f"{study.test_images} test images")
    return study.dataset_name + (f" ({', '.join(shortened)})" if shortened else "")


def _indented(name: str) -> str:
    """Return a name as it stands below its sparsity; checks that are done together in lines of their own."""
    lines = [name] if len(name) + 2 <= WIDTH_OF_NAME else name.split(JOINT)
    return f"\n  {JOINT}".join(["  " + lines[0], *lines[1:]])


def accuracy_text(summary: Summary) -> str:
    """Return mean and deviation over the seeds, percent."""
    if summary.accuracy is None:
        return "-"
    return f"{summary.accuracy:.2f}" + ("" if summary.deviation is None else f" ± {summary.deviation:.2f}")


def difference_text(difference: PairedDifference | None) -> tuple[str, str]:
    """Return a paired difference and its 95 % interval, points."""
    if difference is None:
        return "-", "-"
    if difference.interval is None:
        return f"{difference.mean:+.2f}", "-"
    low, high = difference.interval
    return f"{difference.mean:+.2f}", f"{low:+.2f} to {high:+.2f}"


def verdict_text(comparison: Comparison, dense_at_chance: bool) -> str:
    """Return a verdict, with what would decide it or what was lost."""
    text = comparison.verdict
    if text == UNDECIDED and comparison.at_chance:
        text += f" ({'the dense network' if dense_at_chance else comparison.method} itself learned nothing)"
    elif text == UNDECIDED and comparison.seeds_needed:
        text += f" (about {comparison.seeds_needed} seeds would decide)"
    lost = _lost(comparison.other)
    if text == COLLAPSED and comparison.own.collapsed:
        return f"{COLLAPSED}: {comparison.method} itself" + (f"; {lost}" if lost else "")
    if text == COLLAPSED:
        return lost
    return f"{text}; {lost}" if lost else text


def _lost(summary: Summary) -> str:
    if not summary.collapsed:
        return ""
    total = summary.n + len(summary.collapsed)
    words = sorted(
        {
            next((word for word in (DIVERGED, FAILED) if reason.startswith(word)), COLLAPSED)
            for reason in summary.collapsed
        }
    )
    return f"{len(summary.collapsed)} of {total} {' or '.join(words)} ({summary.collapsed[0]})"

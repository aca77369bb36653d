"""A study's answer as a table and as JSON."""

from typing import TYPE_CHECKING, Any

from prunecheck.analysis.comparison import Comparison, LostTicket, Summary
from prunecheck.analysis.families import Conclusion, Family
from prunecheck.analysis.statistics import LEVEL, PairedDifference
from prunecheck.analysis.verdicts import Verdict
from prunecheck.checks.registry import JOINT
from prunecheck.report.looks import looks_text
from prunecheck.report.reading import reading

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
"""Of the objects; raised when a key changes its meaning."""

DECIMALS = 4
"""To which percentages are rounded in JSON."""

WIDTH_OF_NAME = 20
"""Columns that the names of tickets may take from the verdicts; longer ones are broken into lines."""

WIDTH_OF_REASONS = 40
"""Columns for why tickets were not trained, so that the title above has room too."""


def answer_table(answer: Conclusion) -> "Table":
    """Return the table that ``prunecheck check`` prints: accuracies and, where tickets are compared, the verdicts."""
    from rich import box
    from rich.table import Table

    question, compared = answer.question, answer.comparisons
    table = Table(title=_title(answer), title_justify="left", caption_justify="left")
    table.box, table.pad_edge, table.collapse_padding = box.SIMPLE_HEAD, False, True
    table.caption = _caption(answer)
    names = "\n".join(map(_indented, (question.method, *(comparison.against for comparison in compared))))
    table.add_column("tickets", overflow="fold", no_wrap=all(len(line) <= WIDTH_OF_NAME for line in names.split("\n")))
    numbers = ("accuracy", "difference", "95 % interval") if compared else ("accuracy",)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    if compared:
        table.add_column("verdict", overflow="fold")
    else:
        table.add_column("not trained", overflow="fold", min_width=WIDTH_OF_REASONS)
    no_difference = [""] * (len(numbers) - 1)
    table.add_row("dense", accuracy_text(answer.dense), *no_difference, lost_text(answer.dense))
    for sparsity in question.sparsities:
        own = answer.found.own[sparsity]
        table.add_section()
        table.add_row(f"sparsity {sparsity:g}")
        table.add_row(_indented(question.method), accuracy_text(own), *no_difference, lost_text(own))
        for row in (comparison for comparison in compared if comparison.sparsity == sparsity):
            table.add_row(
                _indented(row.against),
                accuracy_text(row.other),
                *difference_text(row.difference),
                verdict_text(row, answer.dense_at_chance),
            )
    return table


def _caption(answer: Conclusion) -> str:
    accuracy = "accuracy in percent, mean and standard deviation over the seeds"
    if not answer.comparisons:
        return accuracy
    return (
        f"{accuracy}; difference: {answer.question.method} minus the changed "
        f"tickets, paired by seed; verdicts: one-sided t tests against the margin of {answer.question.margin:g} "
        f"points, {family_text(answer.family)}"
    )


def family_text(family: Family) -> str:
    """Name the family of verdicts, and the correction."""
    return f"{100 * LEVEL:g} % over {family} (Holm)" if family.size else str(family)


def answer_json(answer: Conclusion) -> dict[str, Any]:
    """Return the object that ``prunecheck check`` prints as JSON.

    Accuracies are in percent; a difference is the method minus the changed tickets, so that a
    positive one means that the change costs something.
    """
    question, setting = answer.question, answer.question.setting
    return {
        "schema": SCHEMA,
        "method": question.method,
        "baseline": question.baseline,
        "dataset": setting.dataset,
        "train_images": setting.train_images,
        "test_images": setting.test_images,
        "model": setting.model,
        "width": setting.width,
        "sparsities": list(question.sparsities),
        "checks": list(question.checks),
        "seeds": list(question.seeds),
        "epochs": setting.recipe.epochs,
        "margin": question.margin,
        "family": {
            "scope": answer.family.scope,
            "comparisons": answer.family.size,
            "questions": answer.family.questions,
            "correction": "Holm",
            "level": LEVEL,
            "text": family_text(answer.family),
        },
        "looks": {"seeds": list(answer.looks), "text": looks_text(answer)},
        "chance": _rounded(answer.chance),
        "dense": _summary_json(answer.dense),
        "tickets": [{"sparsity": sparsity} | _summary_json(own) for sparsity, own in answer.found.own.items()],
        "verdicts": [_comparison_json(comparison) for comparison in answer.checks],
        "baselines": [_comparison_json(comparison) for comparison in answer.baselines],
        "reading": reading(answer),
    }


def _summary_json(summary: Summary) -> dict[str, Any]:
    return {
        "accuracy": _rounded(summary.accuracy),
        "deviation": _rounded(summary.std),
        "n": summary.n,
        "accuracies": {str(seed): _rounded(accuracy) for seed, accuracy in summary.accuracies.items()},
        "lost": _lost_json(summary),
        "empty_layers": dict(summary.empty_layers),
        "most_by_lot": round(summary.most_by_lot, 6),
    }


def _lost_json(summary: Summary) -> list[dict[str, Any]]:
    return [
        {"seed": ticket.seed, "status": ticket.status, "layer": ticket.layer, "reason": ticket.reason}
        for ticket in summary.lost
    ]


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    difference = comparison.difference
    own, other = comparison.own.accuracies, comparison.other.accuracies
    return {
        "method": comparison.method,
        "sparsity": comparison.sparsity,
        "check": comparison.against,
        "accuracy": _rounded(comparison.own.accuracy),
        "changed_accuracy": _rounded(comparison.other.accuracy),
        "difference": _rounded(difference.mean) if difference else None,
        "deviation": _rounded(difference.std) if difference else None,
        "interval": [_rounded(end) for end in difference.interval] if difference and difference.interval else None,
        "n": difference.n if difference else 0,
        "p": comparison.adjusted_p,
        "p_unadjusted": comparison.p,
        "is_tested": comparison.is_tested,
        "verdict": comparison.verdict,
        "why": why_undecided(comparison, dense_at_chance=False),
        "seeds_needed": comparison.seeds_needed,
        "at_chance": comparison.at_chance,
        "pairs": [
            {
                "seed": seed,
                "accuracy": _rounded(own[seed]),
                "changed_accuracy": _rounded(other[seed]),
                "difference": _rounded(own[seed] - other[seed]),
            }
            for seed in comparison.pairs
        ],
        "lost": _lost_json(comparison.own),
        "changed_lost": _lost_json(comparison.other),
        "lost_by_the_change": list(comparison.lost_by_the_change),
        "lost_without_the_change": list(comparison.lost_without_the_change),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS) + 0.0  # no -0.0


def _title(answer: Conclusion) -> str:
    count = len(answer.question.seeds)
    return f"{answer.question.method} on {answer.question.setting}, {count} seed{'s' if count > 1 else ''}"


def _indented(name: str) -> str:
    """Return a name as it stands below its sparsity; checks that are done together in lines of their own."""
    lines = [name] if len(name) + 2 <= WIDTH_OF_NAME else name.split(JOINT)
    return f"\n  {JOINT}".join(["  " + lines[0], *lines[1:]])


def accuracy_text(summary: Summary) -> str:
    """Return mean and standard deviation over the seeds, percent."""
    if summary.accuracy is None:
        return "-"
    return f"{summary.accuracy:.2f}" + ("" if summary.std is None else f" ± {summary.std:.2f}")


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
    verdict, lost = comparison.verdict, lost_text(comparison.other)
    if verdict is Verdict.COLLAPSED and not comparison.own.degenerate_seeds:
        return lost
    text = verdict.value
    if verdict is Verdict.COLLAPSED:
        text = f"{text}: {comparison.method} itself"
    elif why := why_undecided(comparison, dense_at_chance):
        text = f"{text} ({why})"
    return f"{text}; {lost}" if lost else text


def why_undecided(comparison: Comparison, dense_at_chance: bool) -> str | None:
    """Return, for ``undecided``, in a clause what stands in the way; None if nothing is known of it, and for others."""
    difference = comparison.difference
    if comparison.verdict is not Verdict.UNDECIDED:
        return None
    if difference is None:
        return "no two tickets of one seed were trained"
    if comparison.at_chance and not comparison.is_tested:
        return f"{'the dense network' if dense_at_chance else comparison.method} itself learned nothing"
    if difference.doubt:
        return difference.doubt
    if comparison.is_of_survivors and not comparison.survivors_allow_the_claim:
        return "tickets were lost on one side, and the survivors alone show nothing"
    return f"about {comparison.seeds_needed} seeds would decide" if comparison.seeds_needed else None


def lost_text(summary: Summary) -> str:
    """Say how many tickets were lost, how, and why the first was; empty if none was."""
    if not summary.lost:
        return ""
    total = summary.n + len(summary.lost)
    words = sorted({ticket.status.value for ticket in summary.lost})
    return f"{len(summary.lost)} of {total} {' or '.join(words)} ({_reason(summary.lost[0])})"


def _reason(ticket: LostTicket) -> str:
    return ticket.reason if ticket.layer is None else f"{ticket.layer}: {ticket.reason}"

"""What is to be known of tickets that were trained, beside their values: empty layers, and choices by lot."""

from collections.abc import Iterator

from prunecheck.analysis.comparison import Summary
from prunecheck.analysis.families import Conclusion

WORTH_SAYING = 0.01
"""Share of what a ticket keeps: so much of it drawn by lot is said."""


def remarks(answer: Conclusion) -> str:
    """Say in which tickets a layer is empty, and of which much was drawn by lot; empty if there is nothing to say."""
    return " ".join(sentence for ticket in _tickets(answer) for sentence in _of_ticket(*ticket))


def _tickets(answer: Conclusion) -> Iterator[tuple[str, float, Summary]]:
    """Yield each kind of ticket once: its name, sparsity, and what became of it."""
    for sparsity, own in answer.found.own.items():
        yield answer.question.method, sparsity, own
        for comparison in answer.comparisons:
            if comparison.sparsity == sparsity and not comparison.same_runs:
                yield comparison.against, sparsity, comparison.other


def _of_ticket(name: str, sparsity: float, summary: Summary) -> Iterator[str]:
    if summary.empty_layers:
        counts = [f"{layer} ({count} of {summary.n})" for layer, count in summary.empty_layers.items()]
        yield (
            f"Of {name} at sparsity {sparsity:g}, no weight is left in {', '.join(counts)}: outputs depend on the "
            "input all the same, and the tickets were trained."
        )
    if summary.most_by_lot >= WORTH_SAYING:
        yield (
            f"Of what {name} keeps at sparsity {sparsity:g}, up to {100 * summary.most_by_lot:.0f} % was drawn by lot "
            "among equal scores."
        )

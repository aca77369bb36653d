"""What is to be known of tickets that were trained, beside their values: empty layers, and choices by lot."""

from collections.abc import Iterator, Sequence

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.summary import Summary
from prunecheck.pruning.mask_files import are_masks_in_files, is_one_mask
from prunecheck.runs.dependencies import TRAINED_SEED
from prunecheck.runs.sparsities import sparsity_text

WORTH_SAYING = 0.01
"""Share of what a ticket keeps: so much of it drawn by lot is said."""


def remarks(answer: Conclusion) -> str:
    """Say what is to be known of tickets: that nothing is trained, empty layers, and what was drawn by lot.

    Empty if there is nothing to say.
    """
    done = "tested" if answer.question.is_after_training else "trained"
    of_tickets = [
        sentence for ticket in _tickets(answer) for sentence in _of_ticket(*ticket, done, answer.question.sparsities)
    ]
    return " ".join([*about_tests(answer), *_over_texts(answer), *of_tickets])


def about_mask_files(answer: Conclusion) -> Iterator[str]:
    """Say what masks in files allow to conclude, and what they do not, whatever the method is called."""
    name, recorded, count = answer.question.method, answer.question.own.method, len(answer.seeds)
    if is_one_mask(recorded):
        seeds = "1 seed" if count == 1 else f"{count} seeds"
        yield (
            f"{name} is one mask, trained with {seeds}: the spread is that of training this mask, and the verdicts are "
            "about it; nothing can be concluded about the method that made it, whose other masks were not seen."
        )
    if are_masks_in_files(recorded):
        yield (
            "Whether masks in files depend on the data that they were made with cannot be checked: checks of data are "
            "left out."
        )


def about_tests(answer: Conclusion) -> Iterator[str]:
    """Say, of methods after training, what stays the same over the seeds."""
    own = answer.question.own
    if not own.is_evaluated_only:
        return
    sees = (
        f"{own.calibration_sequences} calibration sequences" if own.calibration_sequences else "what is left to chance"
    )
    is_given = own.setting.model_is_trained
    network = "the network as it comes" if is_given else f"one trained network, that of seed {TRAINED_SEED}"
    yield (
        f"Nothing is trained after pruning: all tickets are made of {network}, and a seed is a draw of {sees}. "
        "Intervals and verdicts are over these draws, about this network and this test text."
    )


def _tickets(answer: Conclusion) -> Iterator[tuple[str, float, Summary]]:
    """Yield each kind of ticket once: its name, sparsity, and what became of it."""
    for sparsity, own in answer.found.own.items():
        yield answer.question.method, sparsity, own
        for comparison in answer.comparisons:
            if comparison.sparsity == sparsity and not comparison.same_runs:
                yield comparison.against, sparsity, comparison.other


def _of_ticket(name: str, sparsity: float, summary: Summary, done: str, among: Sequence[float]) -> Iterator[str]:
    """Say what is to be known of one kind of ticket; ``done`` is what became of it, ``among`` are all sparsities."""
    at = sparsity_text(sparsity, among)
    if summary.empty_layers:
        counts = [f"{layer} ({count} of {summary.n})" for layer, count in summary.empty_layers.items()]
        yield (
            f"Of {name} at sparsity {at}, no weight is left in {', '.join(counts)}: outputs depend on the "
            f"input all the same, and the tickets were {done}."
        )
    if summary.most_by_lot >= WORTH_SAYING:
        yield (
            f"Of what {name} keeps at sparsity {at}, up to {100 * summary.most_by_lot:.0f} % was drawn by lot "
            "among equal scores."
        )


def _over_texts(answer: Conclusion) -> Iterator[str]:
    """Say how far mean differences vary with the test text, which intervals over draws do not show."""
    told, sequences = [], 0
    for comparison in answer.comparisons:
        if spread := comparison.text_spread:
            low, high = answer.question.quantity.texts(spread.low, spread.high, sign="+")
            at = sparsity_text(comparison.sparsity, answer.question.sparsities)
            told.append(f"{comparison.against} at sparsity {at} {low} to {high}")
            sequences = spread.sequences
    if told:
        yield (
            f"Over the {sequences} test sequences instead of the draws (bootstrap, 95 %), the mean differences are: "
            f"{', '.join(told)}."
        )

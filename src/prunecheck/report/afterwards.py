"""What is said of margins, baselines and families that were chosen when answers were known."""

from collections.abc import Iterator
from dataclasses import dataclass

from prunecheck.analysis.families import Conclusion
from prunecheck.metrics import Margin, Quantity
from prunecheck.studies.question_log import Terms

NOTHING = "none"
"""In the place of a baseline's name."""

BROKEN = "what is chosen when the runs are known keeps no promise about wrong verdicts."


@dataclass(frozen=True)
class ChosenAfterwards:
    """A term of a question that was chosen when an answer was known.

    Attributes:
        what: ``margin``, ``baseline`` or ``family``.
        before: as it was asked, or as an answer had been shown.
        now: as it is answered.
        text: all that is said of it, a sentence.
    """

    what: str
    before: float | str
    now: float | str
    text: str


def chosen_afterwards(answer: Conclusion) -> list[ChosenAfterwards]:
    """Return what of a question was chosen when an answer was known: since it was asked, and when it was asked."""
    quantity = answer.question.setting.quantity
    asked, now = answer.asked or answer.terms, answer.terms
    found = [
        ChosenAfterwards(what, old, new, f"Asked with {told.format(before)}, and shown with {after}: {BROKEN}")
        for what, told, old, new, before, after in _differences(asked, now, quantity)
    ]
    for shown in answer.shown_before:
        found += [
            ChosenAfterwards(
                *(what, old, new),
                f"Asked with {told.format(after)} when an answer with {told.format(before)} had been shown: {BROKEN}",
            )
            for what, told, new, old, after, before in _differences(asked, shown, quantity)
            if what != "baseline" or NOTHING not in (old, new)
        ]
    return found


def afterwards_texts(answer: Conclusion) -> list[str]:
    """Return the sentences about what was chosen afterwards, each once."""
    return list(dict.fromkeys(one.text for one in chosen_afterwards(answer)))


def _differences(
    first: Terms, second: Terms, quantity: Quantity
) -> Iterator[tuple[str, str, float | str, float | str, str, str]]:
    """Yield, of each term that is another, what it is, words for it, and both of its values, as they are and told.

    The second is told in a sentence after the first.
    """
    if first.margin != second.margin:
        told = first.margin.told(quantity), _told_second(first.margin, second.margin, quantity)
        yield "margin", "a margin of {}", first.margin.given, second.margin.given, *told
    if first.baseline != second.baseline:
        names = first.baseline or NOTHING, second.baseline or NOTHING
        yield "baseline", "the baseline {}", *names, *names
    if first.family != second.family:
        families = first.family.value, second.family.value
        yield "family", "verdicts adjusted over the {}", *families, *families


def _told_second(first: Margin, second: Margin, quantity: Quantity) -> str:
    """Return a margin in words after another, whose unit need not be said again; percent always is."""
    if first.is_relative or second.is_relative:
        return second.told(quantity)
    return f"{second.amount:g}"

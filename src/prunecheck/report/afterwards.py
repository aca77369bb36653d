"""What is said of margins, baselines and families that were chosen when answers were known."""

from collections.abc import Iterator
from dataclasses import dataclass

from prunecheck.analysis.families import Conclusion
from prunecheck.metrics import Quantity
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
            for what, told, old, new, before, after in _differences(shown, asked, quantity)
            if what != "baseline" or NOTHING not in (old, new)
        ]
    return found


def afterwards_texts(answer: Conclusion) -> list[str]:
    """Return the sentences about what was chosen afterwards, each once."""
    return list(dict.fromkeys(one.text for one in chosen_afterwards(answer)))


def _differences(
    before: Terms, now: Terms, quantity: Quantity
) -> Iterator[tuple[str, str, float | str, float | str, str, str]]:
    """Yield, of each term that is another, what it is, words for it, and both of its values, as they are and told."""
    if before.margin != now.margin:
        is_alike = before.margin.is_relative == now.margin.is_relative
        told = f"{now.margin.amount:g}" if is_alike else now.margin.told(quantity)
        yield "margin", "a margin of {}", before.margin.given, now.margin.given, before.margin.told(quantity), told
    if before.baseline != now.baseline:
        names = before.baseline or NOTHING, now.baseline or NOTHING
        yield "baseline", "the baseline {}", *names, *names
    if before.family != now.family:
        families = before.family.value, now.family.value
        yield "family", "verdicts adjusted over the {}", *families, *families

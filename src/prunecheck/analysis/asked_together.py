"""Questions that were asked together with others: each shown once, its family whole though not all of it is shown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from prunecheck.metrics import Margin, Quantity
from prunecheck.studies.question import Question
from prunecheck.studies.question_log import LoggedQuestion


@dataclass(frozen=True)
class RecordedQuestion:
    """A question about recorded runs.

    Attributes:
        question: as it is answered.
        asked: what was noted when it was asked; None for one that was gathered from runs.
        together: names the questions whose verdicts are adjusted with its own; None for none but its own.
    """

    question: Question
    asked: LoggedQuestion | None
    together: str | None


def each_once(recorded: Iterable[RecordedQuestion], sizes: Mapping[str | None, int]) -> list[RecordedQuestion]:
    """Return questions that are the same under the terms that they are shown with once: as they were asked, if one was.

    Of different numbers of seeds it is the one with most; of several families that which has the most questions,
    whose verdicts are the most careful.
    """
    found: dict[tuple[Question, bool], RecordedQuestion] = {}
    for one in recorded:
        identity = _identity(one)
        if identity not in found or _preference(found[identity], sizes) < _preference(one, sizes):
            found[identity] = one
    return list(found.values())


def _identity(one: RecordedQuestion) -> tuple[Question, bool]:
    return replace(one.question, seeds=()), one.together is not None


def _preference(one: RecordedQuestion, sizes: Mapping[str | None, int]) -> tuple[int, int, bool]:
    is_as_asked = one.asked is not None and one.asked.question.margin == one.question.margin
    return len(one.question.seeds), sizes.get(one.together, 0) if one.together else 0, is_as_asked


def asked_again(asked: Sequence[RecordedQuestion], shown: Sequence[RecordedQuestion]) -> Iterator[str]:
    """Yield the methods whose questions were asked within other families, too, than that in which they are shown."""
    families = {_identity(one): one.together for one in shown}
    for one in asked:
        if families[_identity(one)] != one.together:
            yield one.question.method


def again_notes(methods: Sequence[str]) -> Iterator[str]:
    """Yield what is said of methods whose questions were asked within several families."""
    if methods:
        yield (
            f"{', '.join(sorted(methods))}: asked about more than once, each time together with other questions; the "
            "verdicts are those that were adjusted with the most of them."
        )


def unshown(
    every: Iterable[LoggedQuestion], recorded: Iterable[RecordedQuestion], margins: Mapping[Quantity, Margin]
) -> Iterator[tuple[Question, str]]:
    """Yield what was asked in the families of questions that are shown, and is not shown itself.

    Args:
        every: all questions that were asked there.
        recorded: those that are shown.
        margins: that were chosen afterwards, by what they are of.
    """
    shown = [one for one in recorded if one.together]
    families = {one.together for one in shown}
    asked = {(one.asked.question, one.asked.asked_with) for one in shown if one.asked}
    for entry in every:
        question = entry.question
        if entry.asked_with in families and entry.asked_with and (question, entry.asked_with) not in asked:
            yield replace(question, margin=margins.get(question.quantity, question.margin)), entry.asked_with

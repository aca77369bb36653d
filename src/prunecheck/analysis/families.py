"""Verdicts within the family of comparisons that one correction covers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from prunecheck.analysis.comparison import Compared, Comparison, Results, Summary, compare
from prunecheck.analysis.statistics import LEVEL, holm
from prunecheck.analysis.verdicts import Verdict
from prunecheck.studies.question import Question, Scope
from prunecheck.studies.question_log import Terms


@dataclass(frozen=True)
class Family:
    """The comparisons that one Holm correction covers.

    Attributes:
        scope: how far it reaches.
        size: how many comparisons are tested in it; those that need no test, or allow none, are not in it.
        questions: how many questions they are of.
    """

    scope: Scope
    size: int
    questions: int = 1

    def __str__(self) -> str:
        if self.size == 0:
            return "no comparison is tested"
        if self.scope is Scope.QUESTION or self.questions == 1:
            return f"the {_count(self.size)} of this question"
        return f"the {_count(self.size)} of all {self.questions} questions"


@dataclass(frozen=True)
class Conclusion:
    """All that is concluded about a question.

    Attributes:
        found: what its results show.
        comparisons: those, adjusted within the family.
        looks: with how many seeds answers were shown that are about the same comparisons, this one among them, from
            small to large; empty if that is not known.
        asked: the terms that the question was asked under; None if that is not known.
        shown_before: those under which an answer about the same tickets had been shown when it was asked first, where
            they were others.
    """

    question: Question
    found: Compared
    comparisons: tuple[Comparison, ...]
    family: Family
    looks: tuple[int, ...] = ()
    asked: Terms | None = None
    shown_before: tuple[Terms, ...] = ()

    @property
    def terms(self) -> Terms:
        """Those that it is answered under."""
        others = self.question.others
        return Terms(self.question.margin, others.method if others else None, self.family.scope)

    @property
    def checks(self) -> tuple[Comparison, ...]:
        """The comparisons with changed tickets."""
        return tuple(comparison for comparison in self.comparisons if comparison.is_check)

    @property
    def baselines(self) -> tuple[Comparison, ...]:
        """The comparisons with the baseline's tickets."""
        return tuple(comparison for comparison in self.comparisons if not comparison.is_check)

    @property
    def chance(self) -> float | None:
        """What guessing gets, in the unit of the metric; None where that is no level."""
        return self.found.chance

    @property
    def dense(self) -> Summary:
        """The dense networks."""
        return self.found.dense

    @property
    def dense_at_chance(self) -> bool:
        """Whether the dense networks learned nothing."""
        return self.dense.learned_nothing(self.chance, self.question.margin, self.question.quantity)

    @property
    def most_seeds_needed(self) -> int | None:
        """The number of seeds that would decide all that can be decided; None if there is nothing of it."""
        return max((one.seeds_needed for one in self.comparisons if one.seeds_needed), default=None)


def answer_questions(
    questions: Iterable[Question], results: Results, scope: Scope = Scope.QUESTION
) -> list[Conclusion]:
    """Answer questions.

    Args:
        questions: in the order of the answers.
        results: of their runs.
        scope: of the families: each question by itself, or all together.
    """
    listed = list(questions)
    together = None if scope is Scope.QUESTION else scope.value
    return answer_in_families([(question, together) for question in listed], results)


def answer_in_families(questions: Sequence[tuple[Question, str | None]], results: Results) -> list[Conclusion]:
    """Answer questions of several families.

    Args:
        questions: in the order of the answers, each with what names its family: that of questions with the same name,
            or, if it is None, of the question by itself.
        results: of their runs.
    """
    found = [compare(question, results) for question, _ in questions]
    members: dict[str | int, list[int]] = {}
    for index, (_, name) in enumerate(questions):
        members.setdefault(index if name is None else name, []).append(index)
    answers: dict[int, Conclusion] = {}
    for key, indices in members.items():
        scope = Scope.QUESTION if isinstance(key, int) else Scope.REPORT
        family = _family(scope, [found[index] for index in indices])
        adjusted = iter(adjust([comparison for index in indices for comparison in found[index].comparisons]))
        for index in indices:
            comparisons = tuple(next(adjusted) for _ in found[index].comparisons)
            answers[index] = Conclusion(questions[index][0], found[index], comparisons, family)
    return [answers[index] for index in range(len(questions))]


def _count(size: int) -> str:
    return "1 comparison" if size == 1 else f"{size} comparisons"


def _family(scope: Scope, found: Sequence[Compared]) -> Family:
    size = sum(comparison.is_tested for one in found for comparison in one.comparisons)
    return Family(scope, size, len(found))


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Keep the verdicts whose p value, adjusted for the number of those that are tested, is below the level.

    A verdict that is not kept needs the seeds that decide it and all those with smaller p values, each at the level
    that its rank leaves it. Where nothing follows from the difference, for tickets were lost on one side or the sample
    is in doubt, p is 1: the comparison stays in the family, and no number of seeds is named.
    """
    adjusted = [replace(comparison, adjusted_p=comparison.p) for comparison in comparisons]
    tested = [index for index, comparison in enumerate(comparisons) if comparison.is_tested]
    tested.sort(key=lambda index: comparisons[index].p)
    needed: int | None = 0
    undecided_level: float | None = None
    for rank, (index, p) in enumerate(zip(tested, holm([comparisons[index].p for index in tested]), strict=True)):
        level = LEVEL / (len(tested) - rank)
        if p >= LEVEL and undecided_level is None:
            undecided_level = level  # where the procedure stops, and with it all those of larger p
        follows = comparisons[index].verdict is not Verdict.UNDECIDED
        comparison = replace(comparisons[index], adjusted_p=p, level=(undecided_level or level) if follows else None)
        if p >= LEVEL:
            own = _seeds_needed(comparison, level)
            needed = None if own is None or needed is None else max(own, needed)
            comparison = replace(comparison, verdict=Verdict.UNDECIDED, seeds_needed=needed)
        adjusted[index] = comparison
    return adjusted


def _seeds_needed(comparison: Comparison, level: float) -> int | None:
    difference = comparison.difference
    if difference is None or difference.std is None or comparison.verdict is Verdict.UNDECIDED:
        return None
    return comparison.seeds_to_decide(level)

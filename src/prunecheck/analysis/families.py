"""Verdicts within the family of comparisons that one correction covers."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from prunecheck.analysis.comparison import Compared, Comparison, Results
from prunecheck.analysis.sequential import look_until_decided
from prunecheck.analysis.summary import Summary
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.question import Question, Scope
from prunecheck.studies.question_log import Terms


@dataclass(frozen=True)
class Family:
    """The comparisons that one Holm correction covers.

    Attributes:
        scope: how far it reaches.
        size: how many comparisons are tested in it; those that need no test, or allow none, are not in it.
        questions: how many questions they are of.
        looks: the numbers of seeds over which the level is divided too; empty where all is looked at once.
    """

    scope: Scope
    size: int
    questions: int = 1
    looks: tuple[int, ...] = ()

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
        comparisons: those, adjusted within the family; each at the look at which its verdict fell.
        looks: with how many seeds answers were shown that are about the same comparisons, this one among them unless
            its seeds are added until it is decided, from small to large; empty if that is not known.
        asked: the terms that the question was asked under; None if that is not known.
        shown_before: those under which an answer about the same tickets had been shown when it was asked first, where
            they were others.
        sequential_looks: up to how many seeds sequential looks at the same comparisons were shown; 0 for none.
        missing: the runs that its next look needs and that have no result; none once it has ended.
    """

    question: Question
    found: Compared
    comparisons: tuple[Comparison, ...]
    family: Family
    looks: tuple[int, ...] = ()
    asked: Terms | None = None
    shown_before: tuple[Terms, ...] = ()
    sequential_looks: int = 0
    missing: frozenset[RunSpec] = frozenset()

    @property
    def terms(self) -> Terms:
        """Those that it is answered under."""
        others = self.question.others
        return Terms(self.question.margin, others.method if others else None, self.family.scope)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that it rests on; of looks, those of the last one that was needed."""
        if self.question.sequential is None:
            return self.question.seeds
        taken = [comparison.look.seeds for comparison in self.comparisons if comparison.look]
        return self.question.seeds[: max(taken, default=self.question.looks[0].seeds)]

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
        return self.dense.learned_nothing(self.chance, self.question.margin.amount, self.question.quantity)

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
    return answer_in_families(_named(questions, scope), results)


def _named(questions: Iterable[Question], scope: Scope) -> list[tuple[Question, str | None]]:
    together = None if scope is Scope.QUESTION else scope.value
    return [(question, together) for question in questions]


def answer_in_families(questions: Sequence[tuple[Question, str | None]], results: Results) -> list[Conclusion]:
    """Answer questions of several families.

    Args:
        questions: in the order of the answers, each with what names its family: that of questions with the same name,
            or, if it is None, of the question by itself.
        results: of their runs.
    """
    answers: dict[int, Conclusion] = {}
    for scope, indices in _families(questions):
        members = [questions[index][0] for index in indices]
        answers |= zip(indices, _answer_family(members, results, scope), strict=True)
    return [answers[index] for index in range(len(questions))]


def _families(questions: Sequence[tuple[Question, str | None]]) -> Iterator[tuple[Scope, list[int]]]:
    """Yield the places of the questions whose comparisons are corrected together, and how far that reaches."""
    members: dict[str | int, list[int]] = {}
    for index, (_, name) in enumerate(questions):
        members.setdefault(index if name is None else name, []).append(index)
    for key, indices in members.items():
        yield Scope.QUESTION if isinstance(key, int) else Scope.REPORT, indices


def _answer_family(members: Sequence[Question], results: Results, scope: Scope) -> list[Conclusion]:
    found, needed = look_until_decided(members, results)
    numbers = {look.seeds for question in members if question.sequential for look in question.looks}
    family = replace(_family(scope, found), looks=tuple(sorted(numbers)))
    return [
        Conclusion(question, one, one.comparisons, family, missing=_missing_of(question, needed, results))
        for question, one in zip(members, found, strict=True)
    ]


def _missing_of(question: Question, needed: Sequence[RunSpec], results: Results) -> frozenset[RunSpec]:
    if question.sequential is None:
        return frozenset()
    return frozenset(run for run in needed if run not in results).intersection(question.runs())


def needed_runs(
    questions: Iterable[Question], results: Results, scope: Scope, given_up: Collection[RunSpec] = frozenset()
) -> Iterator[RunSpec]:
    """Yield the runs that answers rest on, and those that the next looks need, done or not, without dependencies.

    Args:
        questions: as for :func:`answer_questions`, as ``results`` and ``scope``.
        results: see there.
        scope: see there.
        given_up: runs that cannot be done.
    """
    named = _named(questions, scope)
    for _, indices in _families(named):
        members = [named[index][0] for index in indices]
        if any(question.sequential for question in members):
            yield from look_until_decided(members, results, given_up)[1]
        else:
            for question in members:
                yield from question.runs()


def _count(size: int) -> str:
    return "1 comparison" if size == 1 else f"{size} comparisons"


def _family(scope: Scope, found: Sequence[Compared]) -> Family:
    size = sum(comparison.is_tested for one in found for comparison in one.comparisons)
    return Family(scope, size, len(found))

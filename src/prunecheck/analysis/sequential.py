"""Looks at growing numbers of seeds: what is decided at each, and which runs the next one needs.

All of it follows from the questions and the results, and not from when somebody looked: the looks are gone through
from the first one whenever an answer is asked for. Why the verdicts of all looks together keep their level is shown in
docs/statistics.md.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from prunecheck.analysis.adjustment import adjust
from prunecheck.analysis.comparison import Compared, Comparison, Results, compare
from prunecheck.analysis.verdicts import Verdict
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.question import Question


def look_until_decided(
    questions: Sequence[Question], results: Results, given_up: Collection[RunSpec] = frozenset()
) -> tuple[list[Compared], list[RunSpec]]:
    """Go through the looks at the questions of one family.

    At each look what is not decided yet is compared with the seeds of that look, and corrected together after Holm; a
    comparison that was decided stays as it was then, whatever runs there are beside. What cannot be decided by more
    seeds (no ticket was trained, or none has learned anything) is left as it is.

    Args:
        questions: of the family.
        results: of their runs.
        given_up: runs that cannot be done: a comparison that needs one for its next look ends at the one before.

    Returns:
        What each question shows, its comparisons adjusted, each at the look at which it was decided, or the last that
        its runs suffice for; and the runs that it rests on and that the next look needs, done or not.
    """
    states = [_State(question) for question in questions]
    needed: dict[RunSpec, None] = {}
    is_whole = True
    for number in range(max((len(question.looks) for question in questions), default=0)):
        if is_whole:  # what a later look needs nobody knows before this one is whole
            needed |= dict.fromkeys(run for state in states for run in state.runs_of_look(number))
            is_whole = all(run in results or run in given_up for run in needed)
        for state in states:
            state.look(number, results)
        _adjust_open(states)
        if not any(state.open for state in states):
            break
    return [state.compared() for state in states], list(needed)


@dataclass
class _State:
    """What is known of a question between two looks.

    Attributes:
        found: at the latest look.
        comparisons: each at its own look.
        open: the places of those that are not decided.
        ended: of those the ones that lack runs for another look.
        fresh: of those that were compared anew at this look.
    """

    question: Question
    found: Compared | None = None
    comparisons: list[Comparison] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    fresh: set[int] = field(default_factory=set)

    def look(self, number: int, results: Results) -> None:
        """Compare what is open with the seeds of a look, if its runs are there."""
        self.fresh = set()
        if number >= len(self.question.looks):
            return
        look = self.question.looks[number]
        question = self.question.at(look)
        if self.found is None:
            self.found = compare(question, results, look if self.question.sequential else None)
            self.comparisons = list(self.found.comparisons)
            self.open = set(range(len(self.comparisons)))
            self.fresh = set(self.open)
            return
        waiting = self.open - self.ended
        self.fresh = {
            place for place in waiting if all(run in results for run in _runs(question, self.comparisons[place]))
        }
        self.ended |= waiting - self.fresh
        if not self.fresh:
            return
        found = compare(question, results, look)
        for place in self.fresh:
            self.comparisons[place] = found.comparisons[place]
        sparsities = {self.comparisons[place].sparsity for place in self.fresh}
        own = {key: found.own[key] if key in sparsities else before for key, before in self.found.own.items()}
        self.found = replace(self.found, own=own)

    def runs_of_look(self, number: int) -> Iterator[RunSpec]:
        """Yield the runs that a look needs: at the first all, then those of what is open."""
        if number >= len(self.question.looks):
            return
        question = self.question.at(self.question.looks[number])
        if self.found is None:
            yield from question.runs()
            return
        for seed in question.seeds:
            for place in sorted(self.open - self.ended):
                yield from _runs(question, self.comparisons[place], seed)

    def close(self, place: int, adjusted: Comparison) -> None:
        """Take in what a look shows, and leave the comparison at that if it is decided or can never be."""
        self.comparisons[place] = adjusted
        if adjusted.verdict is not Verdict.UNDECIDED or not adjusted.is_tested:
            self.open.discard(place)

    def compared(self) -> Compared:
        """Return what is known at the end."""
        assert self.found is not None
        return replace(self.found, comparisons=tuple(self.comparisons))


def _runs(question: Question, comparison: Comparison, seed: int | None = None) -> Iterator[RunSpec]:
    """Yield the two runs of each pair of a comparison, of one seed or all."""
    for one in question.seeds if seed is None else (seed,):
        yield question.method_run(comparison.sparsity, None, one)
        if comparison.is_check:
            yield question.method_run(comparison.sparsity, comparison.against, one)
        else:
            yield question.baseline_run(comparison.sparsity, one)


def _adjust_open(states: Sequence[_State]) -> None:
    """Correct what was compared at this look, in a family with all that is still open."""
    places = [(state, place) for state in states for place in sorted(state.open)]
    # What has had its last look, or lacks runs for this one, may still be true: it counts, and is not tested again.
    family = [
        state.comparisons[place] if place in state.fresh else replace(state.comparisons[place], p=1.0)
        for state, place in places
    ]
    for (state, place), adjusted in zip(places, adjust(family), strict=True):
        if place in state.fresh:
            state.close(place, adjusted)

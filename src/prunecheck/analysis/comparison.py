"""From results to comparisons, each by itself: paired differences, and what they speak for."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from prunecheck.analysis.statistics import LEVEL, PairedDifference, difference_of
from prunecheck.analysis.summary import Summary, summary
from prunecheck.analysis.text_spread import TextSpread, text_spread
from prunecheck.analysis.verdicts import Verdict
from prunecheck.metrics import ACCURACY, Quantity
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.looks import Look, SequentialLooks
from prunecheck.studies.question import Question

Results = Mapping[RunSpec, RunResult]
"""What runs ended with; those that are not done are not in it."""


@dataclass(frozen=True)
class Comparison:
    """A method's tickets beside changed ones, or random ones, of the same seeds.

    :func:`compare` judges it by itself, and :func:`prunecheck.analysis.families.adjust` within its family.

    Attributes:
        against: the check's name, or the name of the method of the other tickets.
        is_check: whether it is a check's name.
        own, other: what became of both over all seeds.
        margin: as differences of ``quantity`` are counted.
        difference: by how much own is better than other, over the seeds where both were trained: what a change costs,
            own minus other where higher is better, other minus own where lower is; in the unit of the metric (points of
            percentages), or in percent of own; None if there is no such seed, or one of which there are no percentages.
        same_runs: whether the change cannot reach the method, so that a run is compared with itself;
            that needs no test.
        at_chance: whether the method's own tickets, or the dense networks, are no better than
            guessing, by the margin; that nothing makes them worse then says nothing.
        verdict: what it concludes; before the adjustment, what it would alone, whatever p is.
        p: of that verdict, by itself.
        adjusted_p: within its family; None before that.
        level: of its one-sided tests within its family; None before that, and where its verdict follows from no test.
        seeds_needed: for ``undecided``, the number of seeds that would decide if mean and standard deviation
            stayed as they are; None if unknown or more than 1000.
        quantity: what the values are of.
        look: the look that it stands at; None where its question is looked at once.
        sequential: the series that this look is one of.
        text_spread: how far the mean difference varies with the test text; None where that is not known.
        paired_by: what a seed is, in a word; see :attr:`prunecheck.studies.question.Question.paired_by`.
    """

    method: str
    sparsity: float
    against: str
    is_check: bool
    own: Summary
    other: Summary
    margin: float
    difference: PairedDifference | None
    same_runs: bool = False
    at_chance: bool = False
    verdict: Verdict = Verdict.UNDECIDED
    p: float = 1.0
    adjusted_p: float | None = None
    level: float | None = None
    seeds_needed: int | None = None
    quantity: Quantity = ACCURACY
    look: Look | None = None
    sequential: SequentialLooks | None = None
    paired_by: str = "seed"
    text_spread: TextSpread | None = None

    @property
    def share(self) -> float:
        """What its look may spend of the level."""
        return self.look.share if self.look else 1.0

    @property
    def pairs(self) -> tuple[int, ...]:
        """The seeds of which both tickets were trained."""
        return tuple(seed for seed in self.own.values if seed in self.other.values)

    @property
    def seeds_without_percentages(self) -> tuple[int, ...]:
        """The seeds of pairs whose own value is 0 or less, where differences are percentages of it.

        Without them nothing is told of the others: which pairs count must not hang on what they show.
        """
        if self.same_runs:
            return ()
        return tuple(seed for seed in self.pairs if not self.quantity.has_differences_from(self.own.values[seed]))

    @property
    def costs(self) -> dict[int, float]:
        """The differences of the pairs, by seed."""
        return dict(zip(self.pairs, self.difference.differences, strict=True)) if self.difference else {}

    @property
    def lost_by_the_change(self) -> tuple[int, ...]:
        """The seeds whose other ticket collapsed or diverged, and whose own did not."""
        return tuple(sorted(self.other.degenerate_seeds & self.own.values.keys()))

    @property
    def lost_without_the_change(self) -> tuple[int, ...]:
        """The seeds whose own ticket collapsed or diverged, and whose other did not."""
        return tuple(sorted(self.own.degenerate_seeds & self.other.values.keys()))

    @property
    def is_of_survivors(self) -> bool:
        """Whether tickets were lost on one side only: what the pairs show is then no verdict about all of them."""
        return bool(self.lost_by_the_change or self.lost_without_the_change)

    @property
    def mostly_lost(self) -> bool:
        """Whether at least half of the seeds have a ticket that collapsed or diverged."""
        lost = len(self.own.degenerate_seeds | self.other.degenerate_seeds)
        return lost > 0 and lost >= len(self.pairs)

    @functools.cached_property
    def adjusted_interval(self) -> tuple[float, float] | None:
        """What the mean difference is shown to lie between at the level of its tests; None where it has none.

        It lies beyond the margin, or within it, just where that is the verdict. An end may be infinite.
        """
        if self.level is None or self.difference is None or self.difference.std is None:
            return None
        return self.difference.interval_at(self.level)

    @property
    def is_tested(self) -> bool:
        """Whether its verdict rests on a test, so that it belongs to a family."""
        if self.same_runs or self.difference is None or self.mostly_lost:
            return False
        return not (self.at_chance and self.claim().says_no_loss)

    def p_values(self) -> dict[Verdict, float]:
        """Return, per verdict that its difference may lead to, the p value of that alone."""
        difference, margin = self.difference, self.margin
        assert difference is not None
        if not self.is_check:
            return {
                Verdict.EQUIVALENT: difference.p_within(margin),
                Verdict.BETTER: difference.p_more_than(margin),
                Verdict.WORSE: difference.p_less_than(-margin),
            }
        return {
            Verdict.DOES_NOT_USE: difference.p_less_than(margin),
            Verdict.USES: difference.p_more_than(margin),
        }

    def claim(self) -> Verdict:
        """Return the verdict that its difference speaks for, however weakly."""
        p_values = self.p_values()
        return min(p_values, key=p_values.__getitem__)

    def seeds_to_decide(self, level: float) -> int | None:
        """Return how many seeds would show the claim if the differences stay as they are; None if unknown or too many.

        Args:
            level: of the one-sided test.
        """
        assert self.difference is not None
        claim, margin = self.claim(), self.margin
        if claim in (Verdict.USES, Verdict.BETTER):
            return self.difference.pairs_to_show_more_than(margin, level)
        if claim is Verdict.WORSE:
            return self.difference.pairs_to_show_less_than(-margin, level)
        if claim is Verdict.EQUIVALENT and self.difference.mean < 0:
            return self.difference.pairs_to_show_more_than(-margin, level)
        return self.difference.pairs_to_show_less_than(margin, level)

    @property
    def survivors_allow_the_claim(self) -> bool:
        """Whether the tickets that were lost could only make the claim stronger.

        A loss on the other side is a cost of all that the ticket had learned, so that it goes with ``uses it`` and
        ``better``; one of the method's own goes with ``worse``. That nothing is lost never follows from survivors.
        """
        claim = self.claim()
        if claim in (Verdict.USES, Verdict.BETTER):
            return not self.lost_without_the_change
        return not self.lost_by_the_change and (claim is Verdict.WORSE or not self.lost_without_the_change)


def compared(
    method: str,
    sparsity: float,
    against: str,
    is_check: bool,
    own: Summary,
    other: Summary,
    margin: float,
    *,
    at_chance: bool,
    same_runs: bool = False,
    test_images: int | None = None,
    quantity: Quantity = ACCURACY,
    look: Look | None = None,
) -> Comparison:
    """Return a comparison, judged by itself; the arguments are attributes of it and of its difference.

    At a look among several the interval has the level of that look: all intervals of a comparison hold together with
    95 %, so that whichever is shown does (repeated confidence intervals; Jennison and Turnbull, Journal of the Royal
    Statistical Society B 51, 1989, with the level divided as for the tests).
    """
    found = Comparison(
        *(method, sparsity, against, is_check, own, other, margin, None, same_runs), quantity=quantity, look=look
    )
    if found.pairs and not found.seeds_without_percentages:
        # All that follows is about costs: here alone it matters which direction is the better one, and of what
        # differences are percentages. A run that is compared with itself does not differ, whatever its test set could
        # show.
        values = [(own.values[seed], other.values[seed]) for seed in found.pairs]
        costs = [0.0 if same_runs else quantity.advantage(*pair) for pair in values]
        images = None if same_runs else test_images
        level = LEVEL * found.share
        found = replace(found, difference=difference_of(costs, test_images=images, level=level))
    return _judged(found, at_chance)


def _judged(comparison: Comparison, at_chance: bool) -> Comparison:
    if comparison.mostly_lost:
        return replace(comparison, verdict=Verdict.COLLAPSED)
    comparison = replace(comparison, at_chance=at_chance)
    if comparison.difference is None:
        return comparison
    if comparison.same_runs:
        return replace(comparison, verdict=Verdict.DOES_NOT_USE if comparison.is_check else Verdict.EQUIVALENT, p=0.0)
    claim = comparison.claim()
    nothing_to_lose = at_chance and claim.says_no_loss
    if nothing_to_lose or comparison.difference.apart is not None or not comparison.survivors_allow_the_claim:
        return comparison
    return replace(comparison, verdict=claim, p=comparison.p_values()[claim])


@dataclass(frozen=True)
class Compared:
    """What a question's results show, each comparison by itself.

    Attributes:
        chance: what guessing gets, in the unit of the metric: the accuracy, percent, of always guessing the commonest
            class of the test set; None where the metric has no such level, or there is no result.
        own: the method's tickets, by sparsity.
        versions: of prunecheck, Python and torch, with which the runs were done.
        devices: on which.
    """

    chance: float | None
    dense: Summary
    own: Mapping[float, Summary]
    comparisons: tuple[Comparison, ...]
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    devices: tuple[str, ...] = ()


def compare(question: Question, results: Results, look: Look | None = None) -> Compared:
    """Compare the tickets of a question with the changed ones and the baseline's, pair by pair.

    Args:
        question: with the seeds of the look.
        results: of its runs.
        look: among several; None where the question is looked at once.
    """

    def tickets(runs: Sequence[RunSpec]) -> Summary:
        return summary(question.seeds, [results.get(run) for run in runs])

    dense_runs = [question.dense_run(seed) for seed in question.dense_seeds]
    dense = summary(question.dense_seeds, [results.get(run) for run in dense_runs])
    done = [results[run] for run in question.runs() if run in results]
    chance = next((result.chance_level for result in done if result.chance_level is not None), None)
    sizes = {result.images_counted for result in done} - {None}
    test_images = min((size for size in sizes if size is not None), default=None)
    own, comparisons, quantity = {}, [], question.quantity
    for sparsity in question.sparsities:
        own_runs = [question.method_run(sparsity, None, seed) for seed in question.seeds]
        own[sparsity] = tickets(own_runs)
        at_chance = any(one.learned_nothing(chance, question.margin.amount, quantity) for one in (dense, own[sparsity]))
        for against, is_check, runs in compared_with(question, sparsity):
            if not question.is_asked and not any(run in results for run in runs):
                continue  # a combination that nobody ran
            found = compared(
                *(question.method, sparsity, against, is_check, own[sparsity], tickets(runs), question.margin.amount),
                at_chance=at_chance,
                same_runs=runs == own_runs,
                test_images=test_images,
                quantity=quantity,
                look=look,
            )
            if question.is_after_training and runs != own_runs:
                own_results, other_results = ([results.get(run) for run in listed] for listed in (own_runs, runs))
                found = replace(found, text_spread=text_spread(own_results, other_results, quantity))
            comparisons.append(replace(found, sequential=question.sequential, paired_by=question.paired_by))
    names = sorted({name for result in done for name in result.versions})
    versions = {name: tuple(sorted({r.versions[name] for r in done if name in r.versions})) for name in names}
    devices = tuple(sorted({result.device for result in done}))
    return Compared(chance, dense, own, tuple(comparisons), versions, devices)


def compared_with(question: Question, sparsity: float) -> Iterator[tuple[str, bool, list[RunSpec]]]:
    """Yield what the method's tickets are compared with: its name, whether that is a check's, and its runs."""
    for check in question.checks:
        yield check, True, [question.method_run(sparsity, check, seed) for seed in question.seeds]
    if question.baseline is not None:
        yield question.baseline, False, [question.baseline_run(sparsity, seed) for seed in question.seeds]

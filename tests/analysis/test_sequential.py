"""Looks gone through again: made-up differences whose verdicts at each look are known from the plain functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from prunecheck.analysis.comparison import Results
from prunecheck.analysis.families import Conclusion, answer_questions, needed_runs
from prunecheck.analysis.statistics import LEVEL, holm, paired_difference, t_quantile
from prunecheck.analysis.verdicts import Verdict
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.looks import USUAL_LOOKS
from prunecheck.studies.question import Question, Scope

from ..fixtures.answers import Outcomes, result_of, study_of

MOST = 20

OWN = [90.0 + 0.3 * (seed % 4) for seed in range(MOST)]


def alternating(size: float) -> list[float]:
    """Differences of mean 0 over every even number of seeds, without skewness."""
    return [size * (-1) ** seed for seed in range(MOST)]


def asked(costs: Mapping[str, Sequence[float]], most: int = MOST, margin: float = 2.0) -> tuple[Question, Results]:
    """Return a question about changes that cost so much per seed, and the results of all runs that there may be."""
    outcomes: Outcomes = {(0.9, ticket): OWN[:most] for ticket in (None, *costs)}
    study = replace(study_of(outcomes, margin, "snip", None), sequential=USUAL_LOOKS)
    results: dict[RunSpec, RunResult] = {}
    for seed in range(most):
        results[study.method_run(0.9, None, seed)] = result_of(OWN[seed])
        for check, cost in costs.items():
            results[study.method_run(0.9, check, seed)] = result_of(OWN[seed] - cost[seed])
        if seed < USUAL_LOOKS.first.seeds:
            results[study.dense_run(seed)] = result_of(95.0)
    return study.question, results


def answer(question: Question, results: Results) -> Conclusion:
    (found,) = answer_questions([question], results)
    return found


def accuracy(results: Results, question: Question, check: str | None, seed: int) -> float:
    found = results[question.method_run(0.9, check, seed)].accuracy
    assert found is not None
    return found


def fell(found: Conclusion) -> dict[str, tuple[str, int]]:
    """The verdict of each comparison, and at how many seeds it fell."""
    return {one.against: (one.verdict.value, one.look.seeds) for one in found.comparisons if one.look}


COSTS = {"reinit": alternating(0.1), "rearrange-mask": alternating(1.2), "shuffle-weights": alternating(3.5)}


def test_each_verdict_falls_at_the_look_that_shows_it_and_rests_on_its_seeds_alone() -> None:
    found = answer(*asked(COSTS))
    assert fell(found) == {
        "reinit": ("does not use it", 5),
        "rearrange-mask": ("does not use it", 12),
        "shuffle-weights": ("undecided", 20),
    }
    assert [len(one.pairs) for one in found.comparisons] == [5, 12, 20]
    assert len(found.seeds) == 20
    assert len(found.dense.values) == 5
    assert not found.missing


def test_a_look_holds_p_against_its_share_after_holm_over_what_is_open() -> None:
    question, results = asked(COSTS)
    found = answer(question, results)
    left = list(COSTS)
    for look in question.looks:
        pairs = [
            paired_difference(
                [accuracy(results, question, None, seed) for seed in range(look.seeds)],
                [accuracy(results, question, check, seed) for seed in range(look.seeds)],
            )
            for check in left
        ]
        p = [min(pair.p_less_than(2.0), pair.p_more_than(2.0)) / look.share for pair in pairs]
        adjusted = dict(zip(left, holm(p), strict=True))
        for check in [check for check in left if adjusted[check] < LEVEL or look is question.looks[-1]]:
            (one,) = [one for one in found.comparisons if one.against == check]
            assert one.look == look
            assert one.adjusted_p == pytest.approx(adjusted[check])
            left.remove(check)


def test_intervals_have_the_level_of_their_look() -> None:
    for one in answer(*asked(COSTS)).comparisons:
        assert one.difference is not None and one.look is not None and one.difference.interval is not None
        n, std = one.difference.n, one.difference.std
        half = t_quantile(n - 1, 1 - LEVEL * one.look.share / 2) * (std or 0) / n**0.5
        assert one.difference.interval[1] - one.difference.mean == pytest.approx(half)


def test_runs_beyond_what_a_verdict_needed_change_nothing() -> None:
    question, results = asked(COSTS)
    every = answer(question, results)
    needed = set(needed_runs([question], results, Scope.QUESTION))
    assert len(needed) < len(results)
    assert {run.seed for run in needed if run.check == "reinit"} == set(range(5))
    assert {run.seed for run in needed if run.method == "dense"} == set(range(5))
    assert answer(question, {run: results[run] for run in needed}) == every
    changed = {run: result_of(10.0) if run.check == "reinit" and run.seed > 4 else results[run] for run in results}
    assert fell(answer(question, changed)) == fell(every)


def test_runs_are_asked_for_look_by_look_until_all_is_decided() -> None:
    question, results = asked(COSTS)
    done: dict[RunSpec, RunResult] = {}
    rounds = []
    while missing := [run for run in needed_runs([question], done, Scope.QUESTION) if run not in done]:
        assert len(set(missing)) == len(missing)
        rounds.append((len(missing), max(run.seed for run in missing) + 1))
        done |= {run: results[run] for run in missing}
    # dense, own and three changed; then own and the two that are open; then one of these
    assert rounds == [(25, 5), (9, 8), (12, 12), (16, 20)]
    assert answer(question, done) == answer(question, results)


def test_a_look_that_is_not_whole_is_not_taken_and_says_what_it_lacks() -> None:
    question, results = asked(COSTS)
    lacking = question.method_run(0.9, "rearrange-mask", 10)
    results = {run: result for run, result in results.items() if run != lacking}
    found = answer(question, results)
    assert fell(found)["rearrange-mask"] == ("undecided", 8)
    assert fell(found)["shuffle-weights"] == ("undecided", 20)
    assert found.missing == {lacking}
    given_up = list(needed_runs([question], results, Scope.QUESTION, {lacking}))
    assert max(run.seed for run in given_up if run.check == "shuffle-weights") == 19
    assert max(run.seed for run in given_up if run.check == "rearrange-mask") == 11


def test_what_more_seeds_cannot_decide_ends_at_the_first_look() -> None:
    question, results = asked({"reinit": alternating(3.5)})
    nothing = {run: result_of(10.0) for run in results}
    found = answer(question, nothing)
    assert fell(found) == {"reinit": ("undecided", 5)}
    assert found.comparisons[0].at_chance
    lost = {run: result_of("collapsed") if run.check else result for run, result in results.items()}
    assert fell(answer(question, lost)) == {"reinit": ("collapsed", 5)}


def test_undecided_names_the_first_later_look_that_decides_if_all_stays_as_it_is() -> None:
    (one,) = answer(*asked({"reinit": alternating(3.5)})).comparisons
    assert one.verdict is Verdict.UNDECIDED
    assert one.seeds_needed in [look.seeds for look in USUAL_LOOKS.after(MOST)]
    assert one.seeds_needed is not None
    decisive = USUAL_LOOKS.up_to(one.seeds_needed)[-1]
    needed = one.seeds_to_decide(LEVEL * decisive.share)
    assert needed is not None and needed <= decisive.seeds
    before = one.seeds_to_decide(LEVEL * USUAL_LOOKS.up_to(one.seeds_needed)[-2].share)
    assert before is None or before > USUAL_LOOKS.up_to(one.seeds_needed)[-2].seeds


def test_more_seeds_allowed_afterwards_leave_earlier_verdicts_as_they_fell() -> None:
    few, results = asked(COSTS, 8)
    early = fell(answer(few, results))
    assert early == {
        "reinit": ("does not use it", 5),
        "rearrange-mask": ("undecided", 8),
        "shuffle-weights": ("undecided", 8),
    }
    many, every = asked(COSTS)
    late = fell(answer(many, every))
    assert late["reinit"] == early["reinit"]
    assert answer(many, results).comparisons == answer(few, results).comparisons


def test_one_family_of_all_questions_counts_what_is_open_anywhere() -> None:
    first, results = asked({"reinit": alternating(0.75)})
    second, others = asked({"rearrange-mask": alternating(3.5)})
    third, more = asked({"shuffle-weights": alternating(3.5)})
    every = {**results, **others, **more}
    alone = answer(first, every)
    together = answer_questions([first, second, third], every, Scope.REPORT)
    at_first = alone.comparisons[0].look
    assert at_first is not None and alone.comparisons[0].verdict is Verdict.DOES_NOT_USE
    with_others = together[0].comparisons[0]
    assert with_others.look is not None and with_others.look.seeds > at_first.seeds
    fixed = replace(second, seeds=second.seeds[:5], sequential=None)
    beside = answer_questions([first, fixed, third], every, Scope.REPORT)
    assert beside[0].comparisons == together[0].comparisons  # what had its only look still counts
    assert beside[0].family.size == 3


def test_one_look_with_the_whole_level_is_a_fixed_number_of_seeds(conclude: Callable[..., Conclusion]) -> None:
    outcomes = {(0.9, None): OWN[:6], (0.9, "reinit"): [value - 1.0 for value in OWN[2:8]]}
    plain = conclude(outcomes, baseline=None)
    assert plain.comparisons[0].look is None
    assert plain.seeds == plain.question.seeds == tuple(range(6))

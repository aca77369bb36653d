"""What is simulated is what verdicts follow from."""

from dataclasses import replace

import numpy
import pytest

from prunecheck.analysis.expected_runs import chances_of_runs
from prunecheck.analysis.families import answer_questions
from prunecheck.analysis.simulated_looks import expected_looks, look_at, rejected_by_holm
from prunecheck.analysis.statistics import holm
from prunecheck.analysis.verdicts import Verdict
from prunecheck.studies.looks import USUAL_LOOKS
from prunecheck.studies.study import Study

from ..fixtures.answers import Outcomes, result_of, study_of

CHECKS = ("reinit", "rearrange-mask", "shuffle-weights")
LOOKS = USUAL_LOOKS.up_to(20)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (2.0, 2.0), (4.0, 1.5)])
def test_looks_that_are_simulated_end_as_those_of_answers(mean: float, std: float) -> None:
    draws = numpy.random.default_rng(7)
    differences = draws.normal(mean, std, (12, len(CHECKS), 20))
    found = look_at(differences, 2.0, LOOKS)
    outcomes: Outcomes = {(0.9, ticket): [0.0] * 20 for ticket in (None, *CHECKS)}
    study = replace(study_of(outcomes, 2.0, "snip", None), sequential=USUAL_LOOKS)
    for number, of_study in enumerate(differences):
        results = {study.dense_run(seed): result_of(95.0) for seed in range(5)}
        for seed in range(20):
            results[study.method_run(0.9, None, seed)] = result_of(90.0)
            for check, costs in zip(CHECKS, of_study, strict=True):
                results[study.method_run(0.9, check, seed)] = result_of(90.0 - costs[seed])
        (answer,) = answer_questions([study.question], results)
        for place, one in enumerate(answer.comparisons):
            if one.difference is not None and one.difference.apart is not None:
                continue  # of one sample in a thousand nothing is concluded, which is not simulated
            assert one.look is not None
            assert one.look.seeds == found.seeds[number, place]
            expected = Verdict.UNDECIDED
            if found.is_decided[number, place]:
                expected = Verdict.DOES_NOT_USE if found.is_less[number, place] else Verdict.USES
            assert one.verdict is expected


def test_holm_over_the_open_ones_of_each_row() -> None:
    draws = numpy.random.default_rng(3)
    p, is_open = draws.random((200, 6)) ** 3, draws.random((200, 6)) < 0.7
    rejected = rejected_by_holm(p, is_open, 0.05)
    assert rejected.any() and not rejected[~is_open].any()
    for row, among, found in zip(p, is_open, rejected, strict=True):
        assert [value < 0.05 for value in holm(row[among].tolist())] == found[among].tolist()


def test_runs_are_counted_with_what_comparisons_share() -> None:
    found = expected_looks(6, 0.5, LOOKS)
    assert found.runs(3, 5).shape == (len(found.seeds),)
    whole = replace(found, seeds=numpy.array([[5, 8, 5, 12, 5, 5]]))
    assert whole.runs(3, 5).tolist() == [5 + 8 + 12 + 40]


def test_less_variable_differences_take_fewer_seeds() -> None:
    means = [expected_looks(6, std, LOOKS).seeds.mean() for std in (0.1, 0.5, 1.0, 3.0)]
    assert means == sorted(means)
    assert means[0] < 5.5
    assert means[-1] > 19.5


def test_the_first_look_is_certain_and_later_runs_less_and_less_likely() -> None:
    outcomes: Outcomes = {(0.9, ticket): [0.0] * 20 for ticket in (None, *CHECKS, "random-smart")}
    study = Study("one", (replace(study_of(outcomes, 2.0, "lt", "random-smart"), sequential=USUAL_LOOKS),))
    chances = chances_of_runs(study, 0.7)
    assert chances.keys() == set(study.runs())
    assert all((chance == 1.0) == (run.seed < 5) for run, chance in chances.items())
    own = [chances[study.questions[0].method_run(0.9, None, seed)] for seed in (5, 8, 12)]
    other = [chances[study.questions[0].method_run(0.9, "reinit", seed)] for seed in (5, 8, 12)]
    dense = [chances[study.questions[0].dense_run(seed)] for seed in (5, 8, 12)]
    assert 1 > own[0] > own[1] > own[2] >= other[2]
    assert own[0] > other[0]
    assert dense == own  # lt starts from what dense networks were trained to
    fixed = Study("one", (replace(study.questions[0], sequential=None),))
    assert set(chances_of_runs(fixed).values()) == {1.0}

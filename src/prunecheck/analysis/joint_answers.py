"""Answers to several questions at once, whose verdicts are corrected for the number of all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from prunecheck.analysis.comparison import (
    COLLAPSED,
    CheckAnswer,
    Comparison,
    FindResult,
    Summary,
    analyse,
    correct,
    possible_verdicts,
)
from prunecheck.analysis.recorded_question import RecordedQuestion
from prunecheck.studies.results import RunResult
from prunecheck.studies.specs import RunSpec


@dataclass(frozen=True)
class Part:
    """What of a question has the same seeds.

    Attributes:
        learned: stands for the dense network where none was recorded: its tickets are then judged by
            themselves.
    """

    question: RecordedQuestion
    learned: RunResult | None


def answer_together(questions: Sequence[RecordedQuestion], find_result: FindResult) -> list[CheckAnswer]:
    """Answer questions whose tickets need not all have the same seeds.

    Each ticket is compared over the seeds that both sides have, and the p values of all verdicts are
    adjusted together (Holm).

    Args:
        questions: of one margin.
        find_result: returns a run's result; None if it was not recorded.
    """
    answers = [_answer(question, find_result) for question in questions]
    every = [comparison for answer in answers for comparison in (*answer.checks, *answer.baselines)]
    if not every:
        return answers
    margin = questions[0].margin
    corrected = iter(correct([_uncorrected(comparison, margin) for comparison in every], margin))
    joined = []
    for answer in answers:
        checks = tuple(next(corrected) for _ in answer.checks)
        joined.append(replace(answer, checks=checks, baselines=tuple(next(corrected) for _ in answer.baselines)))
    return joined


def seeds_left_out(question: RecordedQuestion, answer: CheckAnswer, find_result: FindResult) -> Mapping[str, int]:
    """Return, per ticket that it was compared with, how many seeds were recorded on one side alone."""
    lost: dict[str, int] = {}
    for sparsity in question.sparsities:
        own = _recorded(question, sparsity, None, find_result)
        for check in question.checks:
            if alone := own ^ _recorded(question, sparsity, check, find_result):
                lost[check] = lost.get(check, 0) + len(alone)
        if question.baseline and (others := _recorded_baseline(question, sparsity, find_result)) and own - others:
            lost[question.baseline.name] = lost.get(question.baseline.name, 0) + len(own - others)
    return lost


def _answer(question: RecordedQuestion, find_result: FindResult) -> CheckAnswer:
    answers = [analyse(part.question, _finder(part, find_result)) for part in _parts(question, find_result)]
    alone = analyse(_no_comparison(question), find_result)
    dense = answers or [alone]
    checks = [comparison for answer in answers for comparison in answer.checks]
    order = {check: number for number, check in enumerate(question.checks)}
    checks.sort(key=lambda comparison: (comparison.sparsity, order[comparison.against]))
    return CheckAnswer(
        question,
        max(answer.chance for answer in dense),
        max((answer.dense for answer in dense), key=_trained),
        alone.own,
        tuple(checks),
        tuple(comparison for answer in answers for comparison in answer.baselines),
    )


def _trained(summary: Summary) -> int:
    return summary.n


def _no_comparison(question: RecordedQuestion) -> RecordedQuestion:
    return replace(question, checks=(), baseline=None, others=None)


def _parts(question: RecordedQuestion, find_result: FindResult) -> Iterator[Part]:
    """Divide a question by sparsity, and the tickets of each by the seeds that they share with the method's own."""
    for sparsity in question.sparsities:
        own = _recorded(question, sparsity, None, find_result)
        by_seeds: dict[tuple[int, ...], list[str]] = {}
        for check in question.checks:
            shared = own & _recorded(question, sparsity, check, find_result)
            by_seeds.setdefault(tuple(sorted(shared)), []).append(check)
        of_baseline: tuple[int, ...] = ()
        if question.baseline:
            of_baseline = tuple(sorted(own & _recorded_baseline(question, sparsity, find_result)))
            by_seeds.setdefault(of_baseline, [])
        for seeds, checks in by_seeds.items():
            if seeds:
                part = replace(question, sparsities=(sparsity,), checks=tuple(checks), seeds=seeds)
                yield Part(
                    part if seeds == of_baseline else replace(part, baseline=None, others=None),
                    _stand_in(part, find_result),
                )


def _recorded(question: RecordedQuestion, sparsity: float, check: str | None, find_result: FindResult) -> set[int]:
    return {seed for seed in question.seeds if find_result(question.method_run(sparsity, check, seed))}


def _recorded_baseline(question: RecordedQuestion, sparsity: float, find_result: FindResult) -> set[int]:
    return {seed for seed in question.seeds if find_result(question.baseline_run(sparsity, seed))}


def _stand_in(part: RecordedQuestion, find_result: FindResult) -> RunResult | None:
    """Return what stands for dense networks if not one was recorded: one that learned everything."""
    if any(find_result(part.dense_run(seed)) for seed in part.seeds):
        return None
    own = find_result(part.method_run(part.sparsities[0], None, part.seeds[0]))
    assert own is not None
    return replace(own, status="trained", accuracy=100.0, collapse=None, reason=None)


def _finder(part: Part, find_result: FindResult) -> FindResult:
    if part.learned is None:
        return find_result
    dense = {part.question.dense_run(seed) for seed in part.question.seeds}

    def find(run: RunSpec) -> RunResult | None:
        return part.learned if run in dense else find_result(run)

    return find


def _uncorrected(comparison: Comparison, margin: float) -> Comparison:
    """Return a comparison with the verdict that its difference speaks for, and the p value of that alone."""
    if comparison.verdict == COLLAPSED or comparison.same_runs:
        return comparison
    candidates = possible_verdicts(comparison, margin)
    verdict = min(candidates, key=lambda name: candidates[name][0])
    return replace(comparison, verdict=verdict, p=candidates[verdict][0], seeds_needed=None)

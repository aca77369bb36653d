"""Which runs a study with sequential looks is going to need, and how likely."""

from collections.abc import Iterator

from prunecheck.analysis.simulated_looks import expected_looks
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.study import Study

ASSUMED_STD = 0.5
"""Of the differences, over the margin, where nothing is known of them: a point for a margin of two."""


def chances_of_runs(study: Study, std: float = ASSUMED_STD) -> dict[RunSpec, float]:
    """Return for each run of a study the chance that it is needed, 1 where all seeds are run at once.

    By simulation, of changes that cost nothing and differences that vary normally, each by itself.

    Args:
        study: whose questions may have sequential looks.
        std: of the differences, over the margin.
    """
    chances = dict.fromkeys(study.runs(), 0.0)
    for question in study.questions:
        for runs, chance in _parts(question, std):
            for run in study.with_dependencies(runs):
                chances[run] = max(chances[run], chance)
    return chances


def _parts(asked: CheckStudy, std: float) -> Iterator[tuple[list[RunSpec], float]]:
    """Yield runs that are equally likely, with their chance."""
    question = asked.question
    first, *later = question.looks
    yield list(question.at(first).runs()), 1.0
    of_a_sparsity = len(question.checks) + (question.others is not None)
    if not later or not of_a_sparsity:
        return
    found = expected_looks(of_a_sparsity * len(question.sparsities), std, question.looks).seeds
    of_own = found.reshape(len(found), -1, of_a_sparsity).max(axis=2)
    before = first
    for look in later:
        own, others = [], []
        for seed in question.seeds[before.seeds : look.seeds]:
            for sparsity in question.sparsities:
                own.append(question.method_run(sparsity, None, seed))
                others += [question.method_run(sparsity, check, seed) for check in question.checks]
                others += [question.baseline_run(sparsity, seed)] if question.others is not None else []
        yield own, float((of_own >= look.seeds).mean())
        yield others, float((found >= look.seeds).mean())
        before = look

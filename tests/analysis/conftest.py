from collections.abc import Callable, Mapping, Sequence

import pytest

from prunecheck.analysis import Answer, answer_questions
from prunecheck.pruning import Collapse, find_method
from prunecheck.studies import CheckStudy, RunResult, RunSpec
from prunecheck.studies.results import Status
from prunecheck.training import Recipe

Outcome = float | str | None
"""A test accuracy, ``collapsed``, ``diverged``, ``failed``, or None for a run that was not done."""

Outcomes = Mapping[tuple[float, str | None], Sequence[Outcome]]
"""Per sparsity and ticket (None for the method's own, a check, or the baseline), an outcome per seed."""

COLLAPSE = Collapse("layer2.0.conv1", "no weight is left")
RANDOM = "random-smart"


def result_of(outcome: float | str) -> RunResult:
    accuracy = None if isinstance(outcome, str) else outcome
    return RunResult(
        status=Status(outcome) if isinstance(outcome, str) else Status.TRAINED,
        accuracy=accuracy,
        best_accuracy=accuracy,
        epochs=0 if outcome == "collapsed" else 7,
        chance=10.2,
        sparsity=0.9,
        kept={},
        collapse=COLLAPSE if outcome == "collapsed" else None,
        reason="RuntimeError: no luck" if outcome == "failed" else None,
        seconds=1.0,
        device="cpu",
        versions={},
    )


def study_of(outcomes: Outcomes, margin: float, method: str, baseline: str | None) -> CheckStudy:
    tickets = list(dict.fromkeys(ticket for _, ticket in outcomes))
    return CheckStudy(
        method=find_method(method),
        dataset="digits",
        places=None,
        train_images=None,
        test_images=None,
        model="resnet8",
        width=4,
        sparsities=tuple(dict.fromkeys(sparsity for sparsity, _ in outcomes)),
        checks=tuple(ticket for ticket in tickets if ticket and ticket != baseline),
        baseline=find_method(baseline) if baseline else None,
        seeds=tuple(range(len(next(iter(outcomes.values()))))),
        samples_per_class=1,
        scoring_rounds=1,
        recipe=Recipe(epochs=7, milestones=(3, 5)),
        margin=margin,
    )


@pytest.fixture(scope="session")
def conclude() -> Callable[..., Answer]:
    """Analyse made-up outcomes; sparsities, checks and seeds follow from what is given."""

    def conclude(
        outcomes: Outcomes,
        margin: float = 2.0,
        method: str = "snip",
        dense: Outcome = 95.0,
        baseline: str | None = RANDOM,
    ) -> Answer:
        study = study_of(outcomes, margin, method, baseline)
        results: dict[RunSpec, RunResult] = {}
        for (sparsity, ticket), per_seed in outcomes.items():
            for seed, outcome in zip(study.seeds, per_seed, strict=True):
                run = (
                    study.baseline_run(sparsity, seed)
                    if ticket and ticket == baseline
                    else study.method_run(sparsity, ticket, seed)
                )
                if outcome is not None:
                    results[run] = result_of(outcome)
        if dense is not None:
            results |= {study.dense_run(seed): result_of(dense) for seed in study.seeds}
        (answer,) = answer_questions([study.question], results)
        return answer

    return conclude

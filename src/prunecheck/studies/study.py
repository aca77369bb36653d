"""A study: questions about pruning methods that share their runs."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from prunecheck.engine.job import Job
from prunecheck.errors import InputError, field_name
from prunecheck.pruning import Method
from prunecheck.pruning.dense_parameters import dense_parameters_text
from prunecheck.runs.dependencies import PlannedRun, planned_runs
from prunecheck.runs.spec import HASH_LENGTH, RunSpec
from prunecheck.studies.check_study import CheckStudy, job_of
from prunecheck.studies.validate import Validation
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration

MOST_RUNS = 200_000
"""More than a cluster does in a year, and few enough to list."""

RUNS_OF_A_PART = 5_000
"""About so many runs of a large study are planned at a time: many enough that workers seldom wait for each other."""


@dataclass(frozen=True)
class Study:
    """One or more questions; runs that they have in common are done once.

    Attributes:
        name: for people; it is not part of the hash.
        questions: each about one method, on one data set with one network and recipe. What a study
            excludes is left out of them.
    """

    name: str
    questions: tuple[CheckStudy, ...]

    def __post_init__(self) -> None:
        if not self.questions:
            raise InputError(f"the study {self.name} asks nothing: name at least one method and one data set.")
        most = sum(len(q.seeds) * (1 + len(q.sparsities) * (2 + len(q.checks))) for q in self.questions)
        if most > MOST_RUNS:
            raise InputError(
                f"the study {self.name} has {most:,} runs and may have {MOST_RUNS:,}: leave some out, or make several "
                f"studies of it; those in the same folder ({field_name('out')}) share their runs."
            )

    @functools.cached_property
    def hash(self) -> str:
        """12 hexadecimal digits that are the same for studies that ask the same, in whatever order."""
        questions = sorted(canonical_question(question) for question in self.questions)
        return hashlib.sha256("\n".join(questions).encode()).hexdigest()[:HASH_LENGTH]

    @functools.cached_property
    def planned_runs(self) -> list[PlannedRun]:
        """Every run once, seed by seed over all questions, so that an interrupted study has whole pairs.

        Each stands after those whose weights it needs.

        Raises:
            InputError: a run needs itself, or the weights of an epoch after the last.
        """
        return list(planned_runs(self._compared_runs_by_seed()))

    @functools.cached_property
    def compared_runs(self) -> tuple[dict[int, list[tuple[RunSpec, Method | None]]], ...]:
        """Per question and seed, what is compared, without the runs that it needs."""
        return tuple(
            {seed: list(question.runs_of_seed(seed)) for seed in question.seeds} for question in self.questions
        )

    def _compared_runs_by_seed(self) -> Iterator[tuple[RunSpec, Method | None]]:
        for seed in dict.fromkeys(seed for question in self.questions for seed in question.seeds):
            for of_question in self.compared_runs:
                yield from of_question.get(seed, ())

    def parts(self) -> Iterator["Study"]:
        """Yield studies of some seeds each, which together have its runs: a large one begins before all is planned.

        It is its only part if it is not large, if its questions have different seeds, or if seeds are added.
        """
        seeds, *others = {tuple(question.seeds) for question in self.questions}
        runs_of_a_seed = sum(1 + len(q.sparsities) * (2 + len(q.checks)) for q in self.questions)
        step = max(1, RUNS_OF_A_PART // runs_of_a_seed)
        if others or len(seeds) <= step or any(question.sequential for question in self.questions):
            yield self
            return
        for start in range(0, len(seeds), step):
            questions = (question.with_seeds(seeds[start : start + step]) for question in self.questions)
            part = replace(self, questions=tuple(questions))
            vars(part)["validation"] = self.validation
            yield part

    def runs(self) -> list[RunSpec]:
        """Return every run once, in the order of :attr:`planned_runs`."""
        return [planned.spec for planned in self.planned_runs]

    def with_dependencies(self, runs: Iterable[RunSpec]) -> set[RunSpec]:
        """Return runs of the study, and those of it whose weights they need."""
        found: set[RunSpec] = set()
        waiting = list(runs)
        while waiting:
            run = waiting.pop()
            if run not in found:
                found.add(run)
                waiting += self._dependencies[run]
        return found

    @functools.cached_property
    def _dependencies(self) -> dict[RunSpec, tuple[RunSpec, ...]]:
        return {planned.spec: planned.dependencies for planned in self.planned_runs}

    def jobs(
        self, wanted: Callable[[RunSpec], bool], root: Path, device: str, acceleration: Acceleration = WHERE_IT_PAYS
    ) -> list[Job]:
        """Return what is needed to execute those runs of the study that are wanted."""
        sources = {(q.dataset_name, q.data.fingerprint): (q.own_dataset or q.dataset, q.places) for q in self.questions}
        models = {(q.model, q.model_hash): q.builder for q in self.questions}
        metrics = {(q.metric.name, q.metric_hash): q.metric for q in self.questions}
        return [
            job_of(
                planned,
                *sources[planned.spec.setting.dataset, planned.spec.setting.dataset_hash],
                root,
                device,
                models[planned.spec.setting.model, planned.spec.setting.model_hash],
                metrics[planned.spec.setting.metric, planned.spec.setting.metric_hash],
                acceleration,
            )
            for planned in self.planned_runs
            if wanted(planned.spec)
        ]

    @functools.cached_property
    def validation(self) -> Validation:
        """What was found of its networks and methods so far."""
        return Validation()

    def validate(self) -> None:
        """See that every question's tickets can be made, before any work starts.

        Raises:
            InputError: they cannot; of several questions, it says which.
        """
        for question in self.questions:
            try:
                question.validate(self.validation)
            except InputError as error:
                if len(self.questions) == 1:
                    raise
                asked = f"{question.method.name} on {question.dataset} with {question.network}"
                raise error.within(asked) from error.__cause__
        _ = next(self.parts()).planned_runs  # what is wrong with them is so with every seed

    def left_out_checks(self) -> Iterator[str]:
        """Yield, once each, a sentence for every usual check that says nothing about a method that is asked about."""
        yield from dict.fromkeys(sentence for question in self.questions for sentence in question.left_out)

    def left_dense(self) -> Iterator[str]:
        """Yield, for each network that is not pruned everywhere, a line that says what of it is left dense."""
        for question in {(one.network, one.data.image_shape): one for one in self.questions}.values():
            size = self.validation.network(question.dense_run(question.seeds[0]), question.data, question.builder)
            if size.left_dense:
                yield f"left dense in {question.network}: {dense_parameters_text(size.left_dense)}"


def canonical_question(question: CheckStudy) -> str:
    """Return a question as JSON that is the same for questions that ask the same."""
    baseline = question.baseline
    asked: dict[str, object] = {
        "dense": question.dense_run(0).canonical(),
        "method": [question.method.name, question.method.source_hash],
        "sparsities": sorted(question.sparsities),
        "checks": sorted(question.checks),
        "baseline": [baseline.name, baseline.source_hash] if baseline else None,
        "seeds": sorted(question.seeds),
        "samples_per_class": question.samples_per_class,
        "scoring_rounds": question.scoring_rounds,
        "margin": question.margin.given,
    }
    if question.sequential:
        asked["looks"] = question.sequential.as_json()
    return json.dumps(asked, sort_keys=True, separators=(",", ":"))

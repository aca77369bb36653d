"""Which earlier runs a run needs: those whose trained weights its method uses."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prunecheck.checks import find_check
from prunecheck.errors import InputError
from prunecheck.pruning import DENSE, Method, Training, find_method
from prunecheck.runs.own_code import check_hash
from prunecheck.runs.spec import RunSpec

MOST_EARLIER_RUNS = 10_000
"""In a row, each of which needs the one before: more rounds than anyone prunes in."""


TRAINED_SEED = 0
"""Of the network that methods after training start from: their seeds are draws of calibration data."""


@dataclass(frozen=True)
class PlannedRun:
    """A run among others.

    Attributes:
        method: None for a dense network.
        dependencies: the runs whose weights it uses, which are planned before it.
    """

    spec: RunSpec
    method: Method | None
    dependencies: tuple[RunSpec, ...]


def dependencies_of(spec: RunSpec, method: Method | None) -> dict[Training, RunSpec]:
    """Return the runs whose weights a run uses.

    They have its seed, network and recipe. What corrupts the data that the method sees corrupts
    the data that they are trained on: the check of arXiv:2009.11094, section 3.1, for tickets that
    come from training. Methods after training all start from one network, that of :data:`TRAINED_SEED`, which is
    trained on the true data: what they see is calibration data.

    Args:
        spec: the run.
        method: its method; None for a dense network.

    Raises:
        InputError: the weights of an epoch after the last are asked for.
    """
    if method is None:
        return {}
    return {training: _run_of(training, spec) for training in method.trainings(spec.sparsity)}


def _run_of(training: Training, spec: RunSpec) -> RunSpec:
    recipe = spec.setting.recipe
    if training.epochs is not None:
        if training.epochs > recipe.epochs:
            raise InputError(
                f"{spec.method} asks for the weights of epoch {training.epochs} and the training has "
                f"{recipe.epochs} epochs: go back to an earlier epoch, or train longer."
            )
        recipe = recipe.stopped_after(training.epochs)
    corruption = None if spec.is_evaluated_only else find_check(spec.check).of_data.name or None
    method = None if training.method == DENSE else find_method(training.method)
    sees_samples = bool(method and method.sees("samples"))
    return spec.changed(
        method=training.method,
        method_hash=method.source_hash if method else None,
        sparsity=training.sparsity,
        check=None if training.method == DENSE else corruption,
        trained_on=corruption,
        check_hash=check_hash(corruption),
        samples_per_class=spec.samples_per_class if sees_samples else 0,
        scoring_rounds=spec.scoring_rounds if sees_samples else 0,
        recipe=recipe,
        calibration_sequences=0,
        is_evaluated_only=spec.setting.model_is_trained and training.method == DENSE,
        seed=TRAINED_SEED if spec.is_evaluated_only else spec.seed,
    )


def planned_runs(runs: Iterable[tuple[RunSpec, Method | None]]) -> Iterator[PlannedRun]:
    """Yield each run after those that it needs, each once.

    Raises:
        InputError: a run needs itself, or needs earlier runs without end.
    """
    done: set[RunSpec] = set()
    methods: dict[str, Method | None] = {}
    for run in runs:
        waiting = [run]
        begun: dict[RunSpec, tuple[RunSpec, ...]] = {}
        while waiting:
            spec, method = waiting[-1]
            if spec in done:
                waiting.pop()
                continue
            dependencies = begun.get(spec)
            if dependencies is None:
                dependencies = begun[spec] = tuple(dict.fromkeys(dependencies_of(spec, method).values()))
                missing = [needed for needed in dependencies if needed not in done]
                _require_an_end(spec, missing, begun)
                waiting += [(needed, _method_named(needed, methods)) for needed in reversed(missing)]
                if missing:
                    continue
            done.add(spec)
            waiting.pop()
            yield PlannedRun(spec, method, dependencies)


def _require_an_end(spec: RunSpec, missing: Iterable[RunSpec], begun: dict[RunSpec, tuple[RunSpec, ...]]) -> None:
    """Raise :class:`InputError` if a run is among those that wait for what it needs."""
    for needed in missing:
        if needed in begun:
            raise InputError(
                f"a ticket of {spec.method} needs the trained weights of {needed.method} at sparsity "
                f"{needed.sparsity:g}, which needs that ticket itself: correct which training the method asks for."
            )
    if len(begun) > MOST_EARLIER_RUNS:
        raise InputError(
            f"a ticket of {spec.method} needs more than {MOST_EARLIER_RUNS:,} trainings before it: "
            "prune in fewer rounds."
        )


def _method_named(spec: RunSpec, methods: dict[str, Method | None]) -> Method | None:
    if spec.method not in methods:
        methods[spec.method] = method_of_dependency(spec)
    return methods[spec.method]


def method_of_dependency(spec: RunSpec) -> Method | None:
    """Return the method of a run that another one needs, None for a dense network."""
    return None if spec.method == DENSE else find_method(spec.method)

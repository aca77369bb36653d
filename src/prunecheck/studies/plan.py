"""What a study is going to do: what is done, what is shared, and what the rest takes."""

import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from prunecheck.caching import without_garbage_collection
from prunecheck.errors import InputError
from prunecheck.pruning import Method
from prunecheck.runs.dependencies import PlannedRun
from prunecheck.runs.index import FoundRun, find_runs, read_run
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.studies.after_training import RunMemory
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.rates import MEASURED, Rates
from prunecheck.studies.study import Study
from prunecheck.training import Recipe
from prunecheck.training.optimizer import buffers_per_parameter

FAILED = "failed"

BYTES_PER_RUN = 200_000
"""Of log, spec, result, metrics and curves; weights come on top."""

BYTES_PER_NUMBER = 4

BYTES_PER_TICKET_WEIGHT = BYTES_PER_NUMBER + 1
"""Starting weight and mask."""

States = Mapping[RunSpec, FoundRun | None]
"""How far each run of a study is; None for one that was not begun."""

Setting = tuple[str, str | None, int | None, int | None, str, int | None, str | None]
"""What decides how long an epoch takes: data set, its hash, training images, tokens of a sequence, network, width, the
network's code."""

Work = tuple[Setting, str | None]
"""What an epoch takes as long as another; of a method after training, whose name stands behind, a whole run."""


@dataclass(frozen=True)
class Standing:
    """How far some runs are.

    Attributes:
        done: ended otherwise than failed; collapsed and diverged runs are results.
        failed: ended by an error; they are done again when that is asked for.
        begun: not ended, with at least one epoch done.
        epochs_to_go: of all that have not ended.
    """

    runs: int
    done: int
    failed: int
    begun: int
    epochs_to_go: int


@dataclass(frozen=True)
class Shared:
    """Trained networks that several tickets are made of.

    Attributes:
        run: one of them; the others have other seeds.
        networks: how many there are.
        done: how many of these are trained.
        tickets: how many are made of all of them together.
    """

    run: RunSpec
    networks: int
    done: int
    tickets: int


@dataclass(frozen=True)
class Estimate:
    """What the runs that have not ended take.

    Attributes:
        seconds: on one worker, of the epochs whose time is known.
        longest: of them, those of the longest run.
        unknown_epochs: the others.
        unknown: what these are about: a run each, that would tell.
        devices: where measured runs were trained.
        by_rates: what some of it follows from that was not measured, in words; empty for nothing.
        bytes: on the disk.
    """

    seconds: float
    longest: float
    unknown_epochs: int
    unknown: tuple[RunSpec, ...]
    devices: tuple[str, ...]
    by_rates: str
    bytes: int

    def wall_seconds(self, workers: int) -> float:
        """Return how long it takes with so many workers: a run is done by one of them."""
        return max(self.seconds / workers, self.longest)


@dataclass(frozen=True)
class Subtotal:
    """What one of several studies takes by itself; runs that others have, too, are counted in each.

    Attributes:
        name: of the study.
        questions: its own, by their places in the whole.
        seconds: on one worker, of the epochs whose time is known.
        unknown_epochs: the others.
    """

    name: str
    questions: tuple[int, ...]
    standing: Standing
    seconds: float
    unknown_epochs: int


@dataclass(frozen=True)
class Plan:
    """What a study is going to do in a folder.

    Attributes:
        questions: how far the runs of each are; a run that several share is counted in each.
        total: how far all are, each run once.
        ended: those that have a result.
        memory: what the largest run after training that has not ended needs at its peak, and its method; None where
            there is none.
        subtotals: of the studies that it is made of, if there are several.
    """

    study: Study
    questions: tuple[Standing, ...]
    total: Standing
    shared: tuple[Shared, ...]
    estimate: Estimate
    ended: frozenset[RunSpec]
    memory: tuple[str, RunMemory] | None = None
    subtotals: tuple[Subtotal, ...] = ()


def plan_study(
    study: Study,
    root: Path,
    rates: Rates = MEASURED,
    parts: Mapping[str, Sequence[CheckStudy]] = MappingProxyType({}),
) -> Plan:
    """Look at what is done of a study; nothing is changed.

    Args:
        study: what is asked.
        root: where its runs are, or will be; it need not exist.
        rates: how long an epoch takes where that is not measured there.
        parts: the studies that it is made of, by name, with their questions; empty for one.

    Raises:
        InputError: a run needs itself; a folder holds another run, or a result that cannot be read.
    """
    states = _states(study, root)
    missing = [planned for planned in study.planned_runs if not _has_ended(states[planned.spec])]
    seconds, estimate = _estimate(study, missing, states, root, rates)
    return Plan(
        study,
        tuple(_standing(_runs_of(study, compared), states) for compared in study.compared_runs),
        _standing(study.runs(), states),
        _shared(study.planned_runs, states),
        estimate,
        frozenset(run for run, found in states.items() if _has_ended(found)),
        _largest(study, {planned.spec for planned in missing}),
        tuple(_subtotals(study, parts, states, seconds)),
    )


def _subtotals(
    study: Study, parts: Mapping[str, Sequence[CheckStudy]], states: States, seconds: Mapping[RunSpec, float]
) -> Iterator[Subtotal]:
    places = {id(question): place for place, question in enumerate(study.questions)}
    for name, questions in parts.items():
        own = tuple(places[id(question)] for question in questions)
        runs = set[RunSpec]().union(*(_runs_of(study, study.compared_runs[place]) for place in own))
        to_go = [run for run in runs if not _has_ended(states[run])]
        yield Subtotal(
            name,
            own,
            _standing(runs, states),
            math.fsum(seconds.get(run, 0.0) for run in to_go),
            sum(_epochs_to_go(run, states[run]) for run in to_go if run not in seconds),
        )


def _largest(study: Study, missing: Collection[RunSpec]) -> tuple[str, RunMemory] | None:
    """Return the most that a run after training needs, of those that have not ended, and the name of its method."""
    found = [
        (method.name, study.validation.memory_of_run(run, method, question.data, question.builder))
        for question, compared in zip(study.questions, study.compared_runs, strict=True)
        for of_seed in compared.values()
        for run, method in of_seed
        if method is not None and method.is_after_training and run in missing
    ]
    return max(found, key=lambda one: (one[1].peak, one[1].pruning or 0), default=None)


def _states(study: Study, root: Path) -> States:
    """Return how far each run is; None for one that was not begun."""
    begun = {path.name for path in root.iterdir()} if root.is_dir() else set()
    store = RunStore(root)
    with without_garbage_collection():
        return {spec: _state(store.folder(spec)) if spec.folder_name in begun else None for spec in study.runs()}


def _state(folder: RunFolder) -> FoundRun | None:
    result = folder.result()
    if result:
        return FoundRun(folder.path, folder.spec, result, result.epochs, result.accuracy)
    try:
        return read_run(folder.path)
    except (FileNotFoundError, ValueError):
        return None  # a kill in the moment after the folder was made; or metrics, which no run goes on from


def _has_ended(found: FoundRun | None) -> bool:
    return found is not None and found.result is not None


def _runs_of(study: Study, compared: Mapping[int, Sequence[tuple[RunSpec, Method | None]]]) -> set[RunSpec]:
    """Return the runs of one question, those that they need included."""
    return study.with_dependencies(run for of_seed in compared.values() for run, _ in of_seed)


def _standing(runs: Iterable[RunSpec], states: States) -> Standing:
    counts: Counter[str] = Counter()
    epochs_to_go = 0
    for run in runs:
        found = states[run]
        if found and found.result:
            counts["failed" if found.status == FAILED else "done"] += 1
            continue
        counts["begun" if found and found.epochs_done else "to begin"] += 1
        epochs_to_go += _epochs_to_go(run, found)
    return Standing(counts.total(), counts["done"], counts["failed"], counts["begun"], epochs_to_go)


def _epochs_to_go(run: RunSpec, found: FoundRun | None) -> int:
    """Return the epochs that a run has not done; the test of a ticket that is not trained counts as one."""
    return max(max(1, run.epochs) - (found.epochs_done if found else 0), 0)


def _shared(planned: Sequence[PlannedRun], states: States) -> tuple[Shared, ...]:
    """Count the tickets that are made of each network; those that differ in their seed stand together."""
    tickets = Counter(needed for run in planned for needed in run.dependencies)
    groups: dict[RunSpec, list[RunSpec]] = {}
    for run in planned:
        if run.spec in tickets:
            groups.setdefault(replace(run.spec, seed=0), []).append(run.spec)
    return tuple(
        Shared(
            networks[0],
            len(networks),
            sum(_has_ended(states[network]) for network in networks),
            sum(tickets[network] for network in networks),
        )
        for networks in groups.values()
    )


def _setting(run: RunSpec) -> Setting:
    return (
        run.setting.dataset,
        run.setting.dataset_hash,
        run.setting.train_images,
        run.setting.sequence_length,
        run.setting.model,
        run.setting.width,
        run.setting.model_hash,
    )


def _work(run: RunSpec) -> Work:
    return _setting(run), run.method if run.is_evaluated_only else None


def _estimate(
    study: Study, missing: Sequence[PlannedRun], states: States, root: Path, rates: Rates
) -> tuple[dict[RunSpec, float], Estimate]:
    """Return the seconds of each run whose time is known, and what all take together."""
    to_go = {planned.spec: _epochs_to_go(planned.spec, states[planned.spec]) for planned in missing}
    measured, devices = ({}, set()) if rates.are_stated else _measured(root, {_work(run) for run in to_go}, rates)
    seconds: dict[RunSpec, float] = {}
    unknown: dict[Work, RunSpec] = {}
    for run, epochs in to_go.items():
        setting = _work(run)
        rate = measured[setting] if setting in measured else rates.seconds_an_epoch and rates.seconds_an_epoch(run)
        if rate is None:
            unknown.setdefault(setting, run)
        else:
            seconds[run] = rate * epochs
    return seconds, Estimate(
        sum(seconds.values()),
        max(seconds.values(), default=0.0),
        sum(epochs for run, epochs in to_go.items() if run not in seconds),
        tuple(unknown.values()),
        tuple(sorted(devices)),
        rates.words if any(_work(run) not in measured for run in seconds) else "",
        bytes_needed(study, [planned.spec for planned in missing]),
    )


def _measured(root: Path, settings: Collection[Work], rates: Rates) -> tuple[dict[Work, float], set[str]]:
    """Return the seconds of an epoch in those settings of which runs are done on such a device, and where that was."""
    found: dict[Work, list[float]] = {}
    devices = set()
    for run in _runs_in(root) if settings else ():
        setting = _work(run.spec)
        if run.result and run.result.status == "trained" and setting in settings and rates.is_of(run.result.device):
            found.setdefault(setting, []).append(run.result.seconds / max(1, run.result.epochs))
            devices.add(run.result.device)
    # The median, for a run that was interrupted counts the seconds of its last part alone.
    return {setting: statistics.median(seconds) for setting, seconds in found.items()}, devices


def _runs_in(root: Path) -> Sequence[FoundRun]:
    """Return the runs in a folder that can be read, those of other studies too."""
    try:
        return find_runs([root]).runs
    except InputError:
        return ()  # there is no folder, or nothing in it


def bytes_needed(study: Study, missing: Iterable[RunSpec], workers: int = 0) -> int:
    """Return how much disk runs take, from the number of parameters of their networks.

    Args:
        study: whose runs they are.
        missing: the runs.
        workers: how many of them write at the same time; that takes room for a while.
    """
    parameters = parameter_counts(study)
    counts = [(parameters[_setting(run)], checkpoint_bytes_per_weight(run.setting.recipe)) for run in missing]
    checkpoints = [count * per_weight for count, per_weight in counts]
    # One that is being written lies beside the one before.
    while_written = sum(sorted(checkpoints, reverse=True)[:workers])
    tickets = sum(BYTES_PER_RUN + BYTES_PER_TICKET_WEIGHT * count for count, _ in counts)
    return tickets + sum(checkpoints) + while_written


def checkpoint_bytes_per_weight(recipe: Recipe) -> int:
    """Return what a checkpoint holds of each weight: itself, the optimizer's buffers, its value before averaging."""
    return BYTES_PER_NUMBER * (1 + buffers_per_parameter(recipe) + (recipe.weight_average > 0))


def parameter_counts(study: Study) -> dict[Setting, int]:
    """Return how many parameters each network of a study has."""
    counts = {}
    for question in study.questions:
        run = question.dense_run(question.seeds[0])
        counts[_setting(run)] = study.validation.network(run, question.data, question.builder).parameters
    return counts

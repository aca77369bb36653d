"""The study behind ``prunecheck check``: a method's tickets, each check's, random tickets and the dense network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prunecheck.checks import CHECKS
from prunecheck.data import Dataset, load_dataset
from prunecheck.errors import InputError
from prunecheck.models import published_width
from prunecheck.pruning import METHODS, Method, find_method
from prunecheck.pruning.allocations import require_sparsity
from prunecheck.pruning.collapse import NOT_FINITE
from prunecheck.studies.execution import Job, build_network, build_ticket
from prunecheck.studies.specs import DENSE, RunSpec
from prunecheck.training import Recipe, step_schedule

BASELINE = "random-smart"
"""The paper's random tickets, which every method is measured against."""

MOST_SEEDS = 10_000
"""More than anyone can train, and few enough to list."""


@dataclass(frozen=True)
class CheckStudy:
    """A grid of runs, paired by seed.

    Attributes:
        width: channels of the network's first stage; None where it offers no choice.
        margin: points of test accuracy, stated beforehand: less than that is no practical difference.
    """

    method: Method
    dataset: str
    model: str
    width: int | None
    sparsities: tuple[float, ...]
    checks: tuple[str, ...]
    seeds: Sequence[int]
    samples_per_class: int
    recipe: Recipe
    margin: float

    def __post_init__(self) -> None:
        if not self.seeds:
            raise InputError("a check needs at least 1 seed, and at least 2 for an interval: give --seeds 5 or more.")
        if len(self.seeds) > MOST_SEEDS:
            raise InputError(f"{len(self.seeds)} seeds are too many: give --seeds {MOST_SEEDS} at most.")
        if not self.margin > 0:
            raise InputError(f"the margin must be more than 0 points, not {self.margin:g}.")
        if self.margin >= 100:
            raise InputError(f"no two accuracies differ by {self.margin:g} points: give a --margin of a few points.")
        if self.samples_per_class < 1:
            raise InputError(f"the criterion needs at least 1 sample a class, not {self.samples_per_class}.")
        for sparsity in self.sparsities:
            require_sparsity(sparsity)
        for check in self.checks:
            CHECKS.get(check)
        _refuse_repeats("sparsity", [f"{sparsity:g}" for sparsity in self.sparsities])
        _refuse_repeats("check", self.checks)

    @staticmethod
    def with_suggestions(
        method: str,
        *,
        dataset: str,
        model: str | None,
        width: int | None,
        sparsities: tuple[float, ...],
        checks: tuple[str, ...],
        seeds: Sequence[int],
        epochs: int | None,
        batch_size: int | None,
        learning_rate: float | None,
        samples_per_class: int,
        margin: float,
    ) -> "CheckStudy":
        """Return a study in which the data set's suggestion stands for what is None.

        Its width goes with its network; a network that is named has its published width.
        """
        suggestion = load_dataset(dataset).suggestion
        if model is None:
            model, width = suggestion.model, suggestion.width if width is None else width
        recipe = Recipe(
            epochs=suggestion.epochs if epochs is None else epochs,
            batch_size=suggestion.batch_size if batch_size is None else batch_size,
            learning_rate=suggestion.learning_rate if learning_rate is None else learning_rate,
            milestones=step_schedule(suggestion.epochs if epochs is None else epochs),
        )
        return CheckStudy(
            method=find_method(method),
            dataset=dataset,
            model=model,
            width=published_width(model) if width is None else width,
            sparsities=sparsities,
            checks=checks,
            seeds=seeds,
            samples_per_class=samples_per_class,
            recipe=recipe,
            margin=margin,
        )

    def dense_run(self, seed: int) -> RunSpec:
        """Return the run of the whole network."""
        return self._run(DENSE, None, 0.0, None, seed)

    def method_run(self, sparsity: float, check: str | None, seed: int) -> RunSpec:
        """Return the run of the method's ticket, changed by a check or not.

        Corrupted data cannot change a method that sees none: it is then the unchanged run itself.
        """
        if check and CHECKS.get(check).changes == "data" and not self.method.criterion.sees_data:
            check = None
        return self._run(self.method.name, self.method.source_hash, sparsity, check, seed)

    def baseline_run(self, sparsity: float, seed: int) -> RunSpec:
        """Return the run of the random ticket."""
        return self._run(BASELINE, None, sparsity, None, seed)

    def runs(self) -> list[RunSpec]:
        """Return every run once, seed by seed, so that an interrupted study has whole pairs."""
        return list(dict.fromkeys(run for seed in self.seeds for run in self._runs_of_seed(seed)))

    def _runs_of_seed(self, seed: int) -> Iterator[RunSpec]:
        yield self.dense_run(seed)
        for sparsity in self.sparsities:
            for check in (None, *self.checks):
                yield self.method_run(sparsity, check, seed)
            yield self.baseline_run(sparsity, seed)

    def _run(self, method: str, method_hash: str | None, sparsity: float, check: str | None, seed: int) -> RunSpec:
        sees_data = method == self.method.name and self.method.criterion.sees_data
        return RunSpec(
            dataset=self.dataset,
            model=self.model,
            width=self.width,
            method=method,
            method_hash=method_hash,
            sparsity=sparsity,
            check=check,
            samples_per_class=self.samples_per_class if sees_data else 0,
            seed=seed,
            recipe=self.recipe,
        )

    def jobs(self, runs: Sequence[RunSpec], root: Path, device: str) -> list[Job]:
        """Return what is needed to execute the given runs of this study."""
        arguments = {}
        if self.method.source:
            function = self.method.name.rpartition(":")[2]
            arguments[self.method.name] = f"{self.method.source}:{function}"
        return [Job(run, root, arguments.get(run.method, run.method), device) for run in runs]

    def parameter_count(self) -> int:
        """Return how many parameters the network has."""
        network = build_network(self.dense_run(self.seeds[0]), load_dataset(self.dataset))
        return sum(parameter.numel() for parameter in network.parameters())

    def rehearse(self) -> None:
        """Make the first seed's tickets, so that what is wrong with them is found before any work starts.

        Raises:
            InputError: an unknown data set or model, images too small, a sparsity out of reach, a
                criterion of the user's that does not return one finite number per weight.
        """
        dataset = load_dataset(self.dataset)
        seed = self.seeds[0]
        for sparsity in self.sparsities:
            self._rehearse(self.method_run(sparsity, None, seed), dataset, self.method)
            try:
                self._rehearse(self.baseline_run(sparsity, seed), dataset, METHODS.get(BASELINE))
            except InputError as error:
                raise InputError(f"the {BASELINE} tickets that every method is compared with: {error}") from error
        for check in self.checks:
            if CHECKS.get(check).changes == "data":
                self._rehearse(self.method_run(self.sparsities[0], check, seed), dataset, self.method)

    def _rehearse(self, run: RunSpec, dataset: Dataset, method: Method) -> None:
        ticket = build_ticket(run, dataset, build_network(run, dataset), method)
        if method.source is not None and ticket.collapse and ticket.collapse.reason == NOT_FINITE:
            raise InputError(
                f"{method.name} returned {NOT_FINITE} for layer {ticket.collapse.layer}: correct it first."
            )


def _refuse_repeats(kind: str, values: Sequence[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{kind} {value} is given twice: name it once.")

"""The study behind ``prunecheck check``: a method's tickets, each check's, a baseline's and the dense network."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from prunecheck.checks import find_check
from prunecheck.constraints import require_all
from prunecheck.data import DataPlaces, Dataset, TokenDataset, load_dataset
from prunecheck.data.tokenized import as_read_by
from prunecheck.data.transforms import as_spec_says, other_than_own
from prunecheck.engine.job import Job
from prunecheck.engine.tickets import build_network
from prunecheck.errors import InputError, field_name
from prunecheck.metrics import ACCURACY, Margin, MarginOf, Metric, find_metric
from prunecheck.models import Model, find_model
from prunecheck.pruning import DENSE, Method
from prunecheck.pruning.mask_reading import agreed_sparsity
from prunecheck.pruning.prunable_layers import PrunableLayers
from prunecheck.runs.dependencies import TRAINED_SEED, PlannedRun, planned_runs
from prunecheck.runs.own_code import check_hash, own_code
from prunecheck.runs.spec import RunSpec, Setting, network_in_words
from prunecheck.studies.looks import SequentialLooks
from prunecheck.studies.question import QUESTION, Question, template
from prunecheck.studies.usual import SUITS_ALL, USUAL_CALIBRATION, usual_baseline
from prunecheck.studies.validate import Validation, require_data
from prunecheck.training import Recipe
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration
from prunecheck.training.validate import require_images_for
from prunecheck.user_code import Code, Reference

WHATEVER_SEEDS = ("data", "_transforms", "builder", "_check_codes", "_effective_checks")
"""What a study has found out by itself and does not hang on its seeds."""


@dataclass(frozen=True)
class CheckStudy:
    """A grid of runs, paired by seed.

    Attributes:
        dataset: the text that finds it, or the name of a data set in users' own code; see
            :func:`prunecheck.data.load_dataset`.
        places: where data sets lie.
        train_images: how many training images are used; None for all.
        test_images: how many images are tested on; None for all.
        scoring_rounds: how many times the criterion sees ``samples_per_class`` images.
        baseline: whose tickets the method's are compared with; None for nothing.
        width: channels of the network's first stage; None where it offers no choice.
        margin: stated beforehand: less than that is no practical difference.
        own_model: what users' own code builds the network; None for the one that is registered under its name.
        own_dataset: what makes the data set in users' own code; None for the one that its name finds.
        prunable: which layers may be pruned; None for every Conv2d and Linear.
        keep_dense: which of these are kept whole all the same.
        augment: how training images are varied, as text; None for the data set's own way, as for ``normalize``.
        normalize: how images are normalised.
        metric: what runs are judged by.
        sequential: at which numbers of its seeds it is looked at, until it is decided; None for once, with all.
        left_out: a sentence for each of the usual checks that says nothing about the method, where none were named.
        calibration_sequences: how many sequences of tokens methods after training see.
        sequence_length: tokens of a sequence; None for the data set's own number.
        recorded_as: the name that the data set has in runs of the same images; None for its own.
    """

    method: Method
    dataset: str
    places: DataPlaces | None
    train_images: int | None
    test_images: int | None
    model: str
    width: int | None
    sparsities: tuple[float, ...]
    checks: tuple[str, ...]
    baseline: Method | None
    seeds: Sequence[int]
    samples_per_class: int
    scoring_rounds: int
    recipe: Recipe
    margin: Margin
    own_model: Model | None = None
    own_dataset: Reference | Dataset | None = None
    prunable: tuple[str, ...] | None = None
    keep_dense: tuple[str, ...] | None = None
    augment: str | None = None
    normalize: str | None = None
    metric: Metric = field(default_factory=lambda: find_metric(ACCURACY.name))
    sequential: SequentialLooks | None = None
    left_out: tuple[str, ...] = ()
    recorded_as: str | None = None
    calibration_sequences: int = USUAL_CALIBRATION
    sequence_length: int | None = None

    def __post_init__(self) -> None:
        require_all(QUESTION, vars(self) | {"sparsity": self.sparsities})
        MarginOf(self.metric.quantity).require("margin", self.margin)
        if self.baseline and self.baseline.is_after_training != self.method.is_after_training:
            trained = "not trained after it" if self.method.is_after_training else "trained"
            raise InputError(
                f"tickets of {self.method.name} are {trained}, and those of {self.baseline.name} are otherwise: choose "
                f"another baseline, such as {usual_baseline(self.method, self.data)}.",
                field="baseline",
            )

    def as_files_allow(self, is_sparsity_given: bool) -> "CheckStudy":
        """Return the study as it can be done where masks lie in files; as it is, if there are none.

        Data cannot reach a mask that was made before: what checks do to them is left out. The sparsity is that of the
        masks, unless one is given.

        Raises:
            InputError: the file of the first seed is missing, or does not fit the network.
        """
        study = self
        if self.method.files:
            study = replace(study, checks=tuple(dict.fromkeys(filter(None, map(self._effective, self.checks)))))
        files = self.method.files or (self.baseline.files if self.baseline else None)
        if files is None:
            return study
        if self.sequential and files.are_by_seed and len(files.seeds) >= self.sequential.first.seeds:
            study = replace(study, seeds=files.seeds[: len(self.seeds)])
        if is_sparsity_given:
            return study
        network = build_network(self.dense_run(self.seeds[0]), self.data, self.builder)
        return replace(study, sparsities=(agreed_sparsity(files, network, self.seeds[0], None, self.network),))

    @functools.cached_property
    def data(self) -> Dataset:
        """The data set, varied, normalised and shortened as the study says."""
        dataset = self._whole_data
        return as_spec_says(
            dataset, *self._transforms, self.train_images, self.test_images, self._recorded_length(dataset)
        )

    @functools.cached_property
    def _whole_data(self) -> Dataset:
        """The data set, as the network reads it."""
        dataset = load_dataset(self.own_dataset or self.dataset, self.places)
        return as_read_by(dataset, self.builder.find_tokenizer)

    def _recorded_length(self, dataset: Dataset) -> int | None:
        """Return the length of sequences as specs have it: None for the data set's own."""
        is_own = isinstance(dataset, TokenDataset) and dataset.sequence_length == self.sequence_length
        return None if is_own else self.sequence_length

    @functools.cached_property
    def _transforms(self) -> tuple[str | None, str | None]:
        """How images are varied and normalised, as specs have it: None for the data set's own way."""
        if self.augment is None and self.normalize is None:
            return None, None
        return other_than_own(self._whole_data, self.augment, self.normalize)

    @property
    def dataset_name(self) -> str:
        """The name that the data set's runs have in their specs."""
        return self.recorded_as or self.data.name

    @property
    def setting(self) -> Setting:
        """What all runs have in common."""
        return self.question.setting

    @functools.cached_property
    def question(self) -> Question:
        """What is asked, for those who read results: without data and code."""
        return Question(
            method=self.method.name,
            own=template(self._run(self.method, 0.0, None, 0)),
            baseline=self.baseline.name if self.baseline else None,
            others=template(self._run(self.baseline, 0.0, None, 0)) if self.baseline else None,
            sparsities=tuple(self.sparsities),
            checks=tuple(self.checks),
            reaching=tuple(self._effective(check) for check in self.checks),
            check_hashes=tuple(self._check_hash(self._effective(check)) for check in self.checks),
            seeds=tuple(self.seeds),
            margin=self.margin,
            sequential=self.sequential,
        )

    @property
    def network(self) -> str:
        """The network in words; see :attr:`prunecheck.runs.spec.Setting.network`."""
        return network_in_words(self.model, self.width, self.prunable_layers)

    @property
    def prunable_layers(self) -> PrunableLayers:
        """Which layers may be pruned."""
        return PrunableLayers.of(self.prunable, self.keep_dense)

    def dense_run(self, seed: int) -> RunSpec:
        """Return the run of the whole network."""
        return self._run(None, 0.0, None, seed)

    def method_run(self, sparsity: float, check: str | None, seed: int) -> RunSpec:
        """Return the run of the method's ticket, changed by a check or not.

        Corrupted data cannot change a method that sees none: that part of a check is left out.
        """
        return self._run(self.method, sparsity, self._effective(check), seed)

    def baseline_run(self, sparsity: float, seed: int) -> RunSpec:
        """Return the run of the baseline's ticket."""
        return self._run(self.baseline, sparsity, None, seed)

    def runs(self) -> list[RunSpec]:
        """Return every run once, seed by seed, so that an interrupted study has whole pairs.

        Each stands after those whose weights it needs.
        """
        return [planned.spec for planned in self._planned_runs()]

    def _planned_runs(self) -> Iterator[PlannedRun]:
        return planned_runs(run for seed in self.seeds for run in self.runs_of_seed(seed))

    def runs_of_seed(self, seed: int) -> Iterator[tuple[RunSpec, Method | None]]:
        """Yield what is compared, without the runs that it needs: run and method, None for the dense network."""
        if self.method.is_after_training:
            if seed == self.seeds[0]:
                yield self.dense_run(TRAINED_SEED), None
        elif seed in self.question.dense_seeds:
            yield self.dense_run(seed), None
        for sparsity in self.sparsities:
            for check in (None, *self.checks):
                yield self.method_run(sparsity, check, seed), self.method
            if self.baseline:
                yield self.baseline_run(sparsity, seed), self.baseline

    def _run(self, method: Method | None, sparsity: float, check: str | None, seed: int) -> RunSpec:
        sees_samples = method is not None and method.sees("samples")
        return RunSpec(
            Setting(
                dataset=self.dataset_name,
                dataset_hash=self.data.fingerprint,
                train_images=self.train_images,
                test_images=self.test_images,
                model=self.model,
                width=self.width,
                model_hash=self.model_hash,
                prunable=self.prunable_layers.prunable,
                keep_dense=self.prunable_layers.keep_dense,
                recipe=self.recipe,
                augment=self._transforms[0],
                normalize=self._transforms[1],
                sequence_length=self._recorded_length(self._whole_data),
                model_is_trained=self._model_is_trained,
                metric=self.metric.name,
                metric_unit=self.metric.quantity.unit,
                metric_higher_is_better=self.metric.quantity.higher_is_better,
                metric_hash=self.metric_hash,
            ),
            method=method.name if method else DENSE,
            method_hash=method.source_hash if method else None,
            check_hash=self._check_hash(check),
            sparsity=sparsity,
            check=check,
            samples_per_class=self.samples_per_class if sees_samples else 0,
            scoring_rounds=self.scoring_rounds if sees_samples else 0,
            calibration_sequences=self.calibration_sequences if method and method.sees("calibration") else 0,
            is_evaluated_only=self._model_is_trained if method is None else method.is_after_training,
            seed=seed,
        )

    @functools.cached_property
    def builder(self) -> Model:
        """What builds the network."""
        return self.own_model or find_model(self.model)

    @property
    def _model_is_trained(self) -> bool:
        """Whether the network comes with trained weights, which a method after training prunes as they are."""
        return self.method.is_after_training and self.builder.is_trained

    @property
    def model_code(self) -> Code | None:
        """The code of the network; None for a built-in one."""
        return self.builder.code

    @property
    def model_hash(self) -> str | None:
        """The hash of :attr:`model_code`."""
        return self.model_code.hash if self.model_code else None

    @property
    def metric_hash(self) -> str | None:
        """The hash of the metric's code; None for a built-in one."""
        return self.metric.code.hash if self.metric.code else None

    def _check_hash(self, check: str | None) -> str | None:
        if check not in self._check_hashes:
            self._check_hashes[check] = check_hash(check)
        return self._check_hashes[check]

    @functools.cached_property
    def _check_hashes(self) -> dict[str | None, str | None]:
        """What was found so far; the hashes stay as they were first."""
        return {}

    def _effective(self, check: str | None) -> str | None:
        """Return what of a check can change the method; None for nothing."""
        if check not in self._effective_checks:
            change = find_check(check)
            self._effective_checks[check] = (change if self.method.sees_data else change.but_data).name or None
        return self._effective_checks[check]

    @functools.cached_property
    def _effective_checks(self) -> dict[str | None, str | None]:
        """What was found so far, for it is asked once for each run."""
        return {}

    def jobs(self, wanted: Callable[[RunSpec], bool], root: Path, device: str) -> list[Job]:
        """Return what is needed to execute those runs of the study that are wanted."""
        return [
            job_of(planned, self.own_dataset or self.dataset, self.places, root, device, self.builder, self.metric)
            for planned in self._planned_runs()
            if wanted(planned.spec)
        ]

    def with_seeds(self, seeds: Sequence[int]) -> "CheckStudy":
        """Return the study with other seeds; what was read for it is not read again."""
        part = replace(self, seeds=seeds)
        vars(part).update({name: value for name, value in vars(self).items() if name in WHATEVER_SEEDS})
        return part

    def parameter_count(self) -> int:
        """Return how many parameters the network has."""
        return Validation().network(self.dense_run(self.seeds[0]), self.data, self.builder).parameters

    def validate(self, validation: Validation | None = None, *, trains: bool = True) -> None:
        """See that the first seed's tickets can be made, so that what is wrong is found before any work starts.

        Masks in files are read for all seeds.

        Args:
            validation: what others of the same data sets and networks have found so far.
            trains: whether the tickets are to be trained, so that they must leave a way through the network.

        Raises:
            InputError: an unknown data set or model, images too small, a sparsity out of reach, too
                few images of a class, the weights of an epoch after the last, a criterion of the
                user's that does not return one finite number per weight, a metric that does not return one
                number.
        """
        validation = validation or Validation()
        seed = self.seeds[0]
        require_data(self.method, self.data)
        require_images_for(self.recipe, self.data)
        for asked in self.checks:
            find_check(asked).require_data(self.data)
        validation.require_metric(self.metric, self.data)
        size = validation.network(self.dense_run(seed), self.data, self.builder)
        if self.model_code:
            self.model_code.include(size.files)
        for method in (self.method, self.baseline):
            if method and method.files:
                runs = [self._run(method, self.sparsities[0], None, seed) for seed in self.seeds]
                validation.require_masks(runs, method, self.sparsities, self.data, self.builder, trains=trains)
        for sparsity in self.sparsities:
            for check in (None, *self.checks):
                if check is None or sparsity == self.sparsities[0]:
                    run = self.method_run(sparsity, check, seed)
                    validation.require_ticket(run, self.method, self.data, self.builder)
            if self.baseline:
                try:
                    run = self.baseline_run(sparsity, seed)
                    validation.require_ticket(run, self.baseline, self.data, self.builder)
                except InputError as error:
                    of_baseline = f"the {self.baseline.name} tickets that every method is compared with"
                    raise error.followed_by(self._other_baseline()).within(of_baseline) from error.__cause__

    def _other_baseline(self) -> str:
        """Return what to do about a baseline that does not suit the network; "" where nothing else does."""
        if self.baseline is None or self.baseline.is_after_training or self.baseline.name == SUITS_ALL:
            return ""
        return f"or compare with tickets that suit any network: {field_name('baseline')} {SUITS_ALL}"


def job_of(
    planned: PlannedRun,
    dataset: str | Reference | Dataset,
    places: DataPlaces | None,
    root: Path,
    device: str,
    model: Model,
    metric: Metric,
    acceleration: Acceleration = WHERE_IT_PAYS,
) -> Job:
    """Return what is needed to execute a run; see :class:`Job`."""
    method = planned.method
    of_dataset = dataset.code if isinstance(dataset, Reference) else None
    if isinstance(dataset, Reference) and dataset.argument:
        dataset = dataset.argument
    return Job(
        planned.spec,
        root,
        method.given if method else DENSE,
        dataset,
        places,
        device,
        planned.dependencies,
        acceleration,
        own_code(planned.spec, method, model.code, dataset, of_dataset, metric.code),
        model.given if model.reference else None,
        metric.given if metric.reference else None,
    )

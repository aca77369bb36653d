"""What can be told of runs before any is done: how large their networks are, and that their tickets can be made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from prunecheck.checks import find_check
from prunecheck.data import Dataset, Images, Sequences, TokenDataset, calibration_sequences, scoring_samples
from prunecheck.data.batches import evaluation_batch_size
from prunecheck.data.datasets import Augmentation
from prunecheck.engine.tickets import build_network, build_ticket
from prunecheck.errors import InputError
from prunecheck.metrics import Metric
from prunecheck.models import Model, find_model
from prunecheck.process_limits import require_memory
from prunecheck.pruning import Method, Ticket
from prunecheck.pruning.allocations import require_sparsity
from prunecheck.pruning.collapse import NOT_FINITE
from prunecheck.pruning.dense_parameters import DenseParameter, left_dense
from prunecheck.pruning.layers import Shapes, prunable_shapes
from prunecheck.pruning.logits import require_logits
from prunecheck.pruning.mask_reading import read_ticket
from prunecheck.pruning.mask_reading import require_sparsity as require_sparsity_of_file
from prunecheck.pruning.own_networks import (
    require_masks_to_hold,
    require_same_when_built_again,
    warn_of_equal_seeds,
)
from prunecheck.pruning.patterns import Structure, find_pattern
from prunecheck.pruning.tickets import copy_weights
from prunecheck.pruning.topology import UpdateSchedule
from prunecheck.randomness import generator, seeded_global_generator
from prunecheck.runs.dependencies import dependencies_of
from prunecheck.runs.own_code import watched
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.after_training import NETWORKS, NUMBER, RunMemory, memory_of_run
from prunecheck.user_code.sudden_end import require_survival

Key = tuple[object, ...]


@dataclass(frozen=True)
class NetworkSize:
    """A network without its weights.

    Attributes:
        shapes: of the prunable weights, in order.
        parameters: how many there are in all.
        files: absolute paths of those that were read when it was built.
        left_dense: the parameters of two dimensions or more that are not pruned.
    """

    shapes: Shapes
    parameters: int
    files: frozenset[str] = frozenset()
    left_dense: tuple[DenseParameter, ...] = ()


class Validation:
    """Looks at runs without doing them, and at the same network, images or criterion once.

    Layers are filled by their shapes and images counted by class; what is really called are networks, on
    a few images, and a method of the user's own.
    """

    def __init__(self) -> None:
        self._networks: dict[Key, NetworkSize] = {}
        self._metrics: dict[Key, frozenset[str]] = {}
        self._structures: dict[Key, Structure] = {}
        self._memory: dict[Key, RunMemory] = {}
        self._seen: set[Key] = set()

    def network(self, run: RunSpec, dataset: Dataset, builder: Model | None = None) -> NetworkSize:
        """Return the size of a run's network.

        Args:
            run: the run.
            dataset: the one that it names, shortened as it says.
            builder: what builds it; see :func:`prunecheck.engine.tickets.build_network`.

        Raises:
            InputError: an unknown network, or one that cannot take such images or such a width, cannot be
                copied, or does not return a logit for each class.
        """
        key = (_network_key(run, builder), dataset.num_classes, dataset.image_shape)
        if key not in self._networks:
            with watched(run.setting.model) as seen:
                network = build_network(run, dataset, builder)
                parameters = sum(parameter.numel() for parameter in network.parameters())
                require_memory(
                    f"a run of {run.setting.model}", NETWORKS * NUMBER * parameters, "choose a smaller network"
                )
                require_sound_network(network, run, dataset, builder)
            self._networks[key] = NetworkSize(
                prunable_shapes(network), parameters, frozenset(seen.files), left_dense(network)
            )
        return self._networks[key]

    def require_ticket(self, run: RunSpec, method: Method, dataset: Dataset, builder: Model | None = None) -> None:
        """See that a run's ticket can be made.

        Args:
            run: the run.
            method: its method.
            dataset: the one that it names, shortened as it says.
            builder: what builds its network.

        Raises:
            InputError: a sparsity out of reach, too few images of a class, the weights of an epoch
                after the last, a network that the criterion cannot score, or what is wrong with the
                user's criterion.
        """
        size = self.network(run, dataset, builder)
        require_data(method, dataset)
        find_check(run.check).require_fit(method)
        dependencies_of(run, method)
        _require_steps(run, method, dataset)
        if method.final_of:
            self.require_ticket(replace(run, check=None), method.final_of, dataset, builder)
            return
        if self._is_new("network", method.name, _network_key(run, builder), dataset.num_classes, dataset.image_shape):
            method.require_network(build_network(run, dataset, builder), dataset.image_shape)
        if method.code is not None and (method.code.files or not method.files) and not dataset.is_stand_in:
            self._score(run, method, dataset, builder)
        self._require_images(run, method, dataset)
        if method.is_after_training:
            memory = self.memory_of_run(run, method, dataset, builder)
            remedy = "give fewer or shorter sequences, or a smaller network"
            require_memory(f"a run of {method.name}", memory.peak, remedy)
        structure = self._structure(run, method, dataset, builder)
        require_allocation(method, size.shapes, run.sparsity, structure)

    def memory_of_run(self, run: RunSpec, method: Method, dataset: Dataset, builder: Model | None = None) -> RunMemory:
        """Return what a run of a method after training needs, found once for all of its kind.

        Args:
            run: the run.
            method: its method.
            dataset: the one that it names, cut as it says.
            builder: what builds its network.

        Raises:
            InputError: the network has nothing to prune, or a layer is quantised.
        """
        amount = run.calibration_sequences, dataset.image_shape, len(dataset.test)
        key = (method.name, _network_key(run, builder), dataset.num_classes, amount)
        if key not in self._memory:
            self._memory[key] = memory_of_run(run, method, build_network(run, dataset, builder), dataset)
        return self._memory[key]

    def _structure(self, run: RunSpec, method: Method, dataset: Dataset, builder: Model | None) -> Structure:
        """Return what a method's pattern is in a run's network, found once."""
        pattern = find_pattern(method.pattern)
        if not pattern.depends_on_network:
            return pattern.fit(nn.Identity(), ())
        key = (pattern.name, _network_key(run, builder), dataset.num_classes, dataset.image_shape)
        if key not in self._structures:
            network = build_network(run, dataset, builder)
            self._structures[key] = pattern.fit(network, dataset.image_shape)
        return self._structures[key]

    def require_masks(
        self,
        runs: Sequence[RunSpec],
        method: Method,
        sparsities: Sequence[float],
        dataset: Dataset,
        builder: Model | None = None,
        *,
        trains: bool = True,
    ) -> None:
        """See that the masks in a method's files are those of the network, at the sparsities that are asked for.

        Args:
            runs: of one ticket for each seed.
            method: whose masks, or whose ratios, lie in files.
            sparsities: that are asked for.
            dataset: see above, as for ``builder``.
            builder: see there.
            trains: whether the masks are trained, and must leave a way through the network.

        Raises:
            InputError: a file is missing, cannot be read, does not fit the network, has another sparsity, or leaves
                no way through the network.
        """
        files = method.files
        if files is None:
            return
        files.require_seeds([run.seed for run in runs])
        setting = runs[0].setting
        network = f"{setting.network} for the {dataset.num_classes} classes of {dataset.name}"
        for run in runs if files.are_by_seed else runs[:1]:
            model = build_network(run, dataset, builder)
            ticket = read_ticket(files, model, run.seed, network)
            for sparsity in sparsities:
                require_sparsity_of_file(files.place(run.seed), ticket.masks, sparsity)
            self._structure(run, method, dataset, builder).require(str(files.place(run.seed)), ticket.masks)
            if trains and method.own_files and (collapse := ticket.checked(model, dataset.image_shape).collapse):
                raise InputError(
                    f"{files.place(run.seed)} leaves no way through {setting.network} ({collapse}), so that nothing "
                    "can be trained: give another mask."
                )

    def require_metric(self, metric: Metric, dataset: Dataset) -> None:
        """See that a metric makes one number of logits for the test part, and the same number again.

        Raises:
            InputError: it fails, or returns anything else, or changes what it is given, or draws at random.
        """
        key = (metric.given, dataset.name, dataset.fingerprint, len(dataset.test))
        if key not in self._metrics:
            self._metrics[key] = self._files_of_metric(metric, dataset)
        if metric.code:
            metric.code.include(self._metrics[key])

    def _files_of_metric(self, metric: Metric, dataset: Dataset) -> frozenset[str]:
        labels = _some_labels(dataset)
        logits = torch.randn(len(labels), dataset.num_classes, generator=generator(0, "logits that validate a metric"))
        given = logits.clone(), labels.clone()
        with watched(metric.name) as used:
            values = [_value_under(seed, metric, *given) for seed in (0, 1)]
            metric.chance_level(labels, dataset.num_classes)
        if not (torch.equal(logits, given[0]) and torch.equal(labels, given[1])):
            raise InputError(
                f"the metric {metric.name} changes the logits or labels that it is given: have it copy them."
            )
        if values[0] != values[1]:
            raise InputError(
                f"the metric {metric.name} makes {values[0]:g} and then {values[1]:g} of the same logits: have it draw "
                "nothing at random."
            )
        return frozenset(used.files)

    def _is_new(self, *key: object) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _require_images(self, run: RunSpec, method: Method, dataset: Dataset) -> None:
        """See that what a check selects of the images is enough for the criterion.

        Calibration sequences are few, and are made as the run makes them.
        """
        change = find_check(run.check)
        if method.sees("calibration"):
            if self._is_new("calibration", _data_key(run), change.of_data.name, run.seed):
                drawn = calibration_sequences(dataset, run.calibration_sequences, run.seed)
                change.corrupt(change.select(drawn, dataset.num_classes, run.seed), dataset.num_classes, run.seed)
            return
        selection = replace(change, parts=tuple(part for part in change.parts if part.changes == "selection"))
        amount = (run.samples_per_class, run.scoring_rounds) if method.sees("samples") else None
        if not self._is_new("images", _data_key(run), selection.name, run.seed, amount):
            return
        images = selection.select(dataset.train, dataset.num_classes, run.seed)
        if amount:
            scoring_samples(_thumbnails(images), _unvaried(dataset), *amount, run.seed)

    def _score(self, run: RunSpec, method: Method, dataset: Dataset, builder: Model | None) -> None:
        """Call the user's function at each sparsity, on each kind of data that it is going to see.

        Initial weights stand in the place of trained ones. Masks that a method chooses itself have the sparsity that
        they have, and no scores to change, so that a function is called for these too whatever it takes.
        """
        change = find_check(run.check)
        asked = (run.samples_per_class, run.scoring_rounds, change.of_data.name, change.of_scores.name, run.sparsity)
        if not self._is_new("criterion", method.given, _data_key(run), _network_key(run, builder), asked):
            return
        network = build_network(run, dataset, builder)
        given = {training: copy_weights(network) for training in dependencies_of(run, method)}

        def ticket_made() -> Ticket:
            return build_ticket(run, dataset, network, method, given, builder=builder)

        if self._is_new("survival", method.given):
            require_survival(ticket_made, method.name)
        with watched(method.name) as used:
            ticket = ticket_made()
        if method.code:
            method.code.include(used.files)
        require_finite_scores(method, ticket)


def require_data(method: Method, dataset: Dataset) -> None:
    """Raise :class:`InputError` if a method prunes networks of tokens, and a data set holds images."""
    if method.is_after_training and not isinstance(dataset, TokenDataset):
        raise InputError(
            f"{method.name} prunes networks of tokens, and {dataset.name} holds images: choose a data set of text, "
            "such as python-source."
        )


def _require_steps(run: RunSpec, method: Method, dataset: Dataset) -> None:
    """Raise :class:`InputError` if the training is too short for a mask that is to move in it."""
    if method.updates:
        recipe = run.setting.recipe
        UpdateSchedule(method.updates, recipe.epochs * -(-len(dataset.train) // recipe.batch_size))


def require_finite_scores(method: Method, ticket: Ticket) -> None:
    """Raise :class:`InputError` if a user's function returned scores that have no order."""
    if method.code and ticket.collapse and ticket.collapse.reason == NOT_FINITE:
        raise InputError(f"{method.name} returned {NOT_FINITE} for layer {ticket.collapse.layer}: correct it first.")


def require_sound_network(network: nn.Module, run: RunSpec, dataset: Dataset, builder: Model | None = None) -> None:
    """See that a run's network can be pruned and trained; of users' own, too, that masks hold and seeds decide.

    Args:
        network: of the run, as it was built.
        run: the run.
        dataset: the one that it names.
        builder: what builds the network; see :func:`prunecheck.engine.tickets.build_network`.

    Raises:
        InputError: it cannot; see :func:`prunecheck.pruning.logits.require_logits` and
            :mod:`prunecheck.pruning.own_networks`.
    """
    name = run.setting.model
    require_logits(network, dataset.image_shape, dataset.num_classes, name)
    model = find_model(builder or name)
    if model.code is not None:
        require_same_when_built_again(network, lambda: build_network(run, dataset, builder), name)
        if not model.is_trained:
            warn_of_equal_seeds(network, build_network(run.changed(seed=run.seed + 1), dataset, builder), name)
        require_masks_to_hold(network, dataset.image_shape, name)


def require_allocation(method: Method, shapes: Shapes, sparsity: float, structure: Structure) -> None:
    """Raise :class:`InputError` if a method's allocation and pattern cannot reach a sparsity in layers of these shapes.

    Args:
        method: the method.
        shapes: of the prunable weights by layer.
        sparsity: what is asked for.
        structure: the method's pattern in the network.
    """
    if method.made_of:
        for other in method.made_of:
            require_allocation(other, shapes, sparsity, structure)
        return
    require_sparsity(sparsity)
    structure.require_reachable(shapes, sparsity, method.allocation)


def _some_labels(dataset: Dataset) -> torch.Tensor:
    """Return the labels of the test part, int64 (images,); of tokens those of the first sequences alone."""
    labels = dataset.test.labels
    if isinstance(dataset.test, Sequences):
        labels = labels[: evaluation_batch_size(dataset)].astype("int64").ravel()
    return torch.from_numpy(labels).clone()


def _value_under(seed: int, metric: Metric, logits: torch.Tensor, labels: torch.Tensor) -> float:
    with seeded_global_generator(seed, "validates a metric"):
        return metric.value(logits, labels)


def _data_key(run: RunSpec) -> Key:
    setting = run.setting
    return (
        *(setting.dataset, setting.dataset_hash, setting.train_images, setting.augment, setting.normalize),
        *(setting.sequence_length, run.calibration_sequences),
    )


def _network_key(run: RunSpec, builder: Model | None) -> Key:
    setting = run.setting
    given = builder.given if builder else None
    return setting.model, given, setting.width, setting.prunable_layers, run.is_evaluated_only


def _thumbnails(images: Images) -> Images:
    """Return the images by one pixel each: what is counted is labels."""
    if isinstance(images, Sequences):
        return images
    return replace(images, pixels=images.pixels[:, :, :1, :1])


def _unvaried(dataset: Dataset) -> Dataset:
    return replace(dataset, augmentation=Augmentation(padding=0, flip=False))

"""What can be told of runs before any is done: how large their networks are, and that their tickets can be made."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prunecheck.checks import find_check
from prunecheck.data import Dataset, Images, scoring_samples
from prunecheck.data.datasets import Augmentation
from prunecheck.engine.tickets import build_network, build_ticket
from prunecheck.errors import InputError
from prunecheck.models import Model
from prunecheck.pruning import ALLOCATIONS, Method
from prunecheck.pruning.allocations import require_sparsity
from prunecheck.pruning.collapse import NOT_FINITE
from prunecheck.pruning.layers import Shapes, prunable_shapes
from prunecheck.pruning.logits import require_logits
from prunecheck.pruning.mask_reading import read_ticket
from prunecheck.pruning.mask_reading import require_sparsity as require_sparsity_of_file
from prunecheck.pruning.masks import GLOBAL, GLOBAL_CONVOLUTIONS, kept_of_convolutions
from prunecheck.pruning.tickets import copy_weights
from prunecheck.runs.dependencies import dependencies_of
from prunecheck.runs.own_code import watched
from prunecheck.runs.spec import RunSpec

Key = tuple[object, ...]


@dataclass(frozen=True)
class NetworkSize:
    """A network without its weights.

    Attributes:
        shapes: of the prunable weights, in order.
        parameters: how many there are in all.
        files: absolute paths of those that were read when it was built.
    """

    shapes: Shapes
    parameters: int
    files: frozenset[str] = frozenset()


class Validation:
    """Looks at runs without doing them, and at the same network, images or criterion once.

    Layers are filled by their shapes and images counted by class; what is really called are networks, on
    a few images, and a criterion of the user's own.
    """

    def __init__(self) -> None:
        self._networks: dict[Key, NetworkSize] = {}
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
                require_logits(network, dataset.image_shape, dataset.num_classes, run.setting.model)
            parameters = sum(parameter.numel() for parameter in network.parameters())
            self._networks[key] = NetworkSize(prunable_shapes(network), parameters, frozenset(seen.files))
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
        dependencies_of(run, method)
        if self._is_new("network", method.name, _network_key(run, builder), dataset.num_classes, dataset.image_shape):
            method.require_network(build_network(run, dataset, builder), dataset.image_shape)
        if method.code is not None and (method.code.files or not method.files):
            self._score(run, method, dataset, builder)
        self._require_images(run, method, dataset)
        require_allocation(method, size.shapes, run.sparsity)

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
            if trains and method.own_files and (collapse := ticket.checked(model, dataset.image_shape).collapse):
                raise InputError(
                    f"{files.place(run.seed)} leaves no way through {setting.network} ({collapse}), so that nothing "
                    "can be trained: give another mask."
                )

    def _is_new(self, *key: object) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _require_images(self, run: RunSpec, method: Method, dataset: Dataset) -> None:
        """See that what a check selects of the images is enough for the criterion."""
        selection = replace(
            change := find_check(run.check), parts=tuple(part for part in change.parts if part.changes == "selection")
        )
        amount = (run.samples_per_class, run.scoring_rounds) if method.sees("samples") else None
        if not self._is_new("images", _data_key(run), selection.name, run.seed, amount):
            return
        images = selection.select(dataset.train, dataset.num_classes, run.seed)
        if amount:
            scoring_samples(_thumbnails(images), _unvaried(dataset), *amount, run.seed)

    def _score(self, run: RunSpec, method: Method, dataset: Dataset, builder: Model | None) -> None:
        """Call the user's criterion, on each kind of data that it is going to see.

        Initial weights stand in the place of trained ones.
        """
        seen = find_check(run.check).of_data.name
        sparsity = run.sparsity if _asks_for_sparsity(method) else None
        asked = (run.samples_per_class, run.scoring_rounds, seen, sparsity)
        if not self._is_new("criterion", method.given, _data_key(run), _network_key(run, builder), asked):
            return
        network = build_network(run, dataset, builder)
        given = {training: copy_weights(network) for training in dependencies_of(run, method)}
        with watched(method.name) as used:
            ticket = build_ticket(run, dataset, network, method, given, builder=builder)
        if method.code:
            method.code.include(used.files)
        if ticket.collapse and ticket.collapse.reason == NOT_FINITE:
            raise InputError(
                f"{method.name} returned {NOT_FINITE} for layer {ticket.collapse.layer}: correct it first."
            )


def require_allocation(method: Method, shapes: Shapes, sparsity: float) -> None:
    """Raise :class:`InputError` if a method's allocation cannot reach a sparsity in layers of these shapes."""
    if method.ratios_of:
        require_allocation(method.ratios_of, shapes, sparsity)
        return
    require_sparsity(sparsity)
    if method.allocation == GLOBAL_CONVOLUTIONS:
        kept_of_convolutions(shapes, sparsity)
    elif method.allocation != GLOBAL:
        ALLOCATIONS.get(method.allocation)(shapes, sparsity)


def _data_key(run: RunSpec) -> Key:
    return run.setting.dataset, run.setting.dataset_hash, run.setting.train_images


def _network_key(run: RunSpec, builder: Model | None) -> Key:
    return run.setting.model, builder.given if builder else None, run.setting.width


def _asks_for_sparsity(method: Method) -> bool:
    while method.ratios_of:
        method = method.ratios_of
    return "sparsity" in inspect.signature(method.criterion.function).parameters


def _thumbnails(images: Images) -> Images:
    """Return the images by one pixel each: what is counted is labels."""
    return replace(images, pixels=images.pixels[:, :, :1, :1])


def _unvaried(dataset: Dataset) -> Dataset:
    return replace(dataset, augmentation=Augmentation(padding=0, flip=False))

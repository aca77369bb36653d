"""What a method is: a criterion with an allocation, or what users have written; and the register of methods."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import nn

from prunecheck.errors import InputError
from prunecheck.pruning.allocations import ALLOCATIONS
from prunecheck.pruning.criteria import CRITERIA, Criterion
from prunecheck.pruning.mask_files import MaskFiles
from prunecheck.pruning.masks import GLOBAL
from prunecheck.pruning.patterns import UNSTRUCTURED
from prunecheck.pruning.signatures import images_seen_by, require_known_parameters, takes
from prunecheck.pruning.topology import DROPS, GROWTHS, TopologyUpdates
from prunecheck.pruning.trainings import Training, WeightsAt, initial, trained
from prunecheck.registry import Origin, Registry, first_line
from prunecheck.user_code import Code, Reference, without_arguments

RATIOS_OF = "ratios-of:"
"""Begins the allocation that gives every layer the ratio that another method's ticket has there."""

OF_METHOD = ":<method>"
"""Ends the registered name of a kind of method that is made of another one, which is named after the colon."""

ARGUMENT = "@"


@dataclass(frozen=True)
class Method:
    """A criterion, an allocation, the weights that are scored, and those that training starts from.

    Attributes:
        allocation: ``global``, ``global-convolutions`` or the name of one by ratios.
        scored: which weights the criterion scores.
        start: which weights the ticket starts from.
        trained_model: which weights a function that takes ``trained_model`` is given there; those of the trained
            dense network, unless it is said.
        ratios_of: the method whose ticket's layerwise ratios stand in the place of an allocation.
        pattern: which weights may be kept together, by name; see :func:`prunecheck.pruning.patterns.find_pattern`.
        is_after_training: whether it prunes the trained network, and nothing is trained afterwards.
        updates: how its masks move while they are trained; None for masks that stay.
        final_of: the method whose masks, as they are after its training, are the masks of this one.
        own_files: where its masks lie; None for masks that are made.
        reference: where users' own code defines it; None for a method by its name.
        code: what of it comes from outside of prunecheck, from a user's file or from packages, so that another version
            makes another run; None if nothing does.
    """

    name: str
    criterion: Criterion
    allocation: str
    scored: WeightsAt = initial
    start: WeightsAt = initial
    trained_model: WeightsAt = initial
    ratios_of: "Method | None" = None
    pattern: str = UNSTRUCTURED
    updates: TopologyUpdates | None = None
    final_of: "Method | None" = None
    own_files: MaskFiles | None = None
    is_after_training: bool = False
    reference: Reference | None = field(default=None, compare=False)
    code: Code | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.updates and self.pattern != UNSTRUCTURED:
            raise InputError(f"the masks of {self.name} move by single weights: leave the pattern {self.pattern} out.")
        if self.trained_model is initial and takes(self.criterion.function, "trained_model"):
            object.__setattr__(self, "trained_model", trained)

    @property
    def source_hash(self) -> str | None:
        """SHA-256 of the code from outside of prunecheck and of what it reads; None if there is none."""
        return self.code.hash if self.code else None

    @property
    def argument(self) -> str:
        """The text that it is found by from any folder: with the whole path, if it lies in a file."""
        if self.ratios_of:
            return f"{self.criterion.name}-{RATIOS_OF}{self.ratios_of.argument}"
        if self.own_files:
            return self.own_files.argument
        if self.final_of:
            return f"{self.name.partition(':')[0]}:{self.final_of.argument}"
        found = self.reference.argument if self.reference else None
        if found and self.reference and not isinstance(self.reference.value, Method):
            return with_pattern_behind(found, self.pattern)
        return found or self.name

    @property
    def given(self) -> "str | Reference":
        """What another process finds it by: :attr:`argument`, or what lies in no file."""
        return self.reference if self.reference and self.reference.argument is None else self.argument

    @property
    def files(self) -> MaskFiles | None:
        """Where the masks lie that it trains, or whose ratios it has; None for masks that are made."""
        return self.own_files or (self.ratios_of.files if self.ratios_of else None)

    def trainings(self, sparsity: float) -> tuple[Training, ...]:
        """Return the earlier trainings that a ticket of this sparsity needs, each once."""
        needed = [self.scored(sparsity), self.start(sparsity), self.trained_model(sparsity), self.final_masks(sparsity)]
        if self.ratios_of:
            needed += self.ratios_of.trainings(sparsity)
        return tuple(dict.fromkeys(training for training in needed if training is not None))

    def final_masks(self, sparsity: float) -> Training | None:
        """Return the training whose final masks are those of a ticket of this sparsity; None if it makes its own."""
        return Training(self.final_of.argument, sparsity, part="masks") if self.final_of else None

    def sees(self, what: str) -> bool:
        """Say whether a criterion of it looks at ``samples``, at the whole ``training set``, or ``calibration``."""
        return self.criterion.sees == what or any(other.sees(what) for other in self.made_of)

    @property
    def has_pattern(self) -> bool:
        """Whether its weights are kept in a pattern, and not each by itself."""
        return self.pattern != UNSTRUCTURED

    @property
    def made_of(self) -> "tuple[Method, ...]":
        """The other methods whose ratios or final masks it has."""
        return tuple(other for other in (self.ratios_of, self.final_of) if other)

    def require_network(self, model: nn.Module, image_shape: tuple[int, ...]) -> None:
        """Raise :class:`InputError` if a criterion of it cannot score the network.

        Args:
            model: with its initial weights.
            image_shape: channels, height and width.
        """
        if self.criterion.requires:
            self.criterion.requires(model, image_shape)
        for other in self.made_of:
            other.require_network(model, image_shape)

    @property
    def sees_data(self) -> bool:
        """Whether data have any way into its tickets: by a criterion, trained weights, or gradients that grow masks."""
        if self.is_after_training:
            return self.sees("calibration")
        grows_by_data = bool(self.updates and self.updates.needs_gradients)
        return grows_by_data or self.sees("samples") or self.sees("training set") or bool(self.trainings(0.5))


def with_pattern_behind(text: str, pattern: str) -> str:
    """Return the text of a method with its pattern, before its arguments."""
    if pattern == UNSTRUCTURED:
        return text
    base, _ = without_arguments(text)
    return f"{base}-{pattern}{text.removeprefix(base)}"


MethodOfArgument = Callable[[str], Method]

METHODS: Registry[Method | MethodOfArgument] = Registry("method", "prunecheck.methods")


PruningFunction = TypeVar("PruningFunction", bound=Callable[..., Any])


def register_method(name: str) -> Callable[[PruningFunction], PruningFunction]:
    """Register a function that prunes under ``name``; see :func:`method_of_function`."""

    def decorate(function: PruningFunction) -> PruningFunction:
        METHODS.add(name, method_of_function(name, function), first_line(function))
        return function

    return decorate


def method_of_function(name: str, function: Callable[..., Any]) -> Method:
    """Return the method that a function is.

    Args:
        name: the method's.
        function: it returns scores, among which the allocation is global; or masks; or a ticket. What it is given its
            signature says, see :mod:`prunecheck.pruning.signatures`.

    Raises:
        InputError: it cannot be called with what a method is given.
    """
    require_known_parameters(name, function)
    criterion = Criterion(name, function, sees=images_seen_by(function))
    if criterion.sees == "calibration":
        return after_training(criterion)
    return Method(name, criterion, GLOBAL)


def after_training(criterion: Criterion) -> Method:
    """Return the method that prunes the trained network by a criterion, of the criterion's name."""
    return Method(criterion.name, criterion, GLOBAL, scored=trained, start=trained, is_after_training=True)


def origins_of_parts(method: Method) -> list[Origin | None]:
    """Return whose code registered what a method is made of."""
    origins = [CRITERIA.origin_of(method.criterion.name.partition(ARGUMENT)[0])]
    origins.append(ALLOCATIONS.origin_of(method.allocation))
    if method.updates:
        origins += [DROPS.origin_of(method.updates.drop), GROWTHS.origin_of(method.updates.growth or "")]
    return origins

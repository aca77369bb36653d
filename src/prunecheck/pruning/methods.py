"""Methods: named recipes for a ticket; any criterion with any allocation, and what users have written."""

import contextlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from torch import nn

from prunecheck.data.datasets import OF_PATH
from prunecheck.errors import InputError
from prunecheck.pruning.allocations import ALLOCATIONS
from prunecheck.pruning.criteria import CRITERIA, Criterion
from prunecheck.pruning.mask_files import MaskFiles
from prunecheck.pruning.masks import GLOBAL, GLOBAL_CONVOLUTIONS
from prunecheck.pruning.patterns import PATTERN_FAMILIES, UNSTRUCTURED, find_pattern, split_pattern
from prunecheck.pruning.signatures import BATCHES, OFFERED, images_seen_by, require_known_parameters, takes
from prunecheck.pruning.topology import DROPS, GROWTHS, TopologyUpdates
from prunecheck.pruning.trainings import DENSE, Training, WeightsAt, initial, trained
from prunecheck.registry import Origin, Registry, first_line, unknown_name
from prunecheck.user_code import (
    Code,
    Reference,
    code_registered_by,
    find_reference,
    have_equal_values,
    is_reference,
    without_arguments,
)

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
        """The text that :func:`find_method` finds it by, from any folder: with the whole path, if it lies in a file."""
        if self.ratios_of:
            return f"{self.criterion.name}-{RATIOS_OF}{self.ratios_of.argument}"
        if self.own_files:
            return self.own_files.argument
        if self.final_of:
            return f"{self.name.partition(':')[0]}:{self.final_of.argument}"
        found = self.reference.argument if self.reference else None
        if found and self.reference and not isinstance(self.reference.value, Method):
            return _with_pattern_behind(found, self.pattern)
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


AnyMethod = str | Callable[..., Any] | Method | Reference
"""What names a method: see :func:`find_method`."""

FILES_OF_WEIGHTS = (".safetensors", ".pt", ".pth", ".tar", ".bin")
"""Endings of files whose masks ``mask:PATH`` takes."""

COMPOSED = rf"{{}}(?:{ARGUMENT}(?P<argument>[^-]*))?(?:-(?P<allocation>.+))?"
"""What matches the name of a method that is put together, once the name of its first part stands in it."""

MethodOfArgument = Callable[[str], Method]

SUPPLIED = ("model", BATCHES, *OFFERED)
"""Parameters of a method's function that are no arguments of its own."""

METHODS: Registry[Method | MethodOfArgument] = Registry("method", "prunecheck.methods")


def find_method(method: AnyMethod) -> Method:
    """Return the method that a user names, or gives.

    Args:
        method: a registered name, with an argument after ``@`` where it takes one; a criterion, which
            then chooses among all weights of the network; ``CRITERION-ALLOCATION``; any of these with ``-PATTERN``
            behind it, see :mod:`prunecheck.pruning.patterns`; ``mask:PATH`` of masks in files, see
            :mod:`prunecheck.pruning.methods_of_masks`; ``FILE.py:NAME`` or ``package.module:NAME``, with arguments of
            its own after ``?`` or not, of a function that returns scores, masks or a ticket, or of a :class:`Method`;
            or such a function or :class:`Method` itself.

    Raises:
        InputError: an unknown name; an argument that it does not take; a file or module that is missing,
            cannot be run or does not define the function; an object that cannot be told from another version of it.
    """
    if isinstance(method, Method):
        return _of_object(method)
    if isinstance(method, Reference):
        return _of_reference(method)
    if isinstance(method, str):
        return _named(method)
    name = next((entry.name for entry in CRITERIA if inspect.unwrap(entry.item.function) is _unwrapped(method)), None)
    return _named(name) if name else _of_reference(find_reference("method", method, supplied=SUPPLIED))


def is_users_own(name: str) -> bool:
    """Say whether a method's name is one that users' own code is asked for."""
    kind, _, other = name.partition(":")
    if kind + OF_METHOD in METHODS.names():
        return is_users_own(other)
    return is_reference(name.rpartition(RATIOS_OF)[2] if _has_ratios_of(name) else name)


def _has_ratios_of(text: str) -> bool:
    """Say whether a text names a method with the ratios of another one; what stands in arguments means nothing."""
    return RATIOS_OF in without_arguments(text)[0]


def _named(text: str) -> Method:
    kind, colon, given = text.partition(":")
    for name in (kind + OF_PATH, kind + OF_METHOD) if colon else ():
        if name in METHODS.names():
            item = METHODS.get(name)
            assert not isinstance(item, Method)
            return _with_code(item(given), METHODS.origin_of(name))
    if text.lower().endswith(FILES_OF_WEIGHTS) and not is_reference(text) and not _has_ratios_of(text):
        raise InputError(
            f"{text} is named like a file of weights, and is not a method: write mask:{text} for its mask."
        )
    if text not in METHODS.names() and not _has_ratios_of(text) and (split := _split(text)):
        return _with_pattern(_named(split[0]), split[1])
    if not _has_ratios_of(text) and (is_reference(text) or "/" in text):
        return _of_reference(find_reference("method", text, may_be=(Method,), supplied=SUPPLIED))
    name, at, argument = text.partition(ARGUMENT)
    if name not in METHODS.names():
        return _composed(text)
    item = METHODS.get(name)
    if at and isinstance(item, Method):
        if item.updates:
            return _composed(text)
        raise InputError(f"the method {name} takes no argument: leave {at}{argument} out.")
    return _with_code(item if isinstance(item, Method) else item(argument), METHODS.origin_of(name))


def _split(text: str) -> tuple[str, str] | None:
    """Return a method's name without its pattern, and that; None if it has none. Arguments stand behind both."""
    base, arguments = without_arguments(text)
    if arguments is None:
        base = text.partition("?")[0]
    method, pattern = split_pattern(base)
    return None if method == base else (text.replace(base, method, 1), pattern)


def _with_pattern_behind(text: str, pattern: str) -> str:
    """Return the text of a method with its pattern, before its arguments."""
    if pattern == UNSTRUCTURED:
        return text
    base, _ = without_arguments(text)
    return f"{base}-{pattern}{text.removeprefix(base)}"


def _with_pattern(method: Method, pattern: str) -> Method:
    """Return a method whose masks have a pattern.

    Raises:
        InputError: it has one already, or prunes in rounds that train in between, of which only the last would have it.
    """
    find_pattern(pattern)
    if pattern == UNSTRUCTURED:
        return method
    if method.pattern != UNSTRUCTURED:
        raise InputError(f"{method.name} has the pattern {method.pattern} already: leave {pattern} out.")
    scored = method.scored(0.5)
    if scored and scored.method != DENSE:
        raise InputError(
            f"{method.name} prunes in rounds, each of which would need the pattern {pattern} at a sparsity of its own: "
            f"choose a method in one round, such as lt-{pattern}."
        )
    return replace(method, name=_with_pattern_behind(method.name, pattern), pattern=pattern)


def _of_reference(reference: Reference) -> Method:
    item = reference.value
    if isinstance(item, Method):
        return _with_code(replace(item, name=reference.name, reference=reference, code=reference.code))
    method = method_of_function(reference.name, item)
    return replace(method, reference=reference, code=reference.code)


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


def _of_object(method: Method) -> Method:
    """Return a method that was found before, that is registered under its name, or that a user has composed."""
    if method.reference or method.code:
        return method
    with contextlib.suppress(InputError):
        if not is_users_own(method.name) and have_equal_values(known := _named(method.name), method):
            return known
    reference = find_reference("method", method, may_be=(Method,))
    return _of_reference(replace(reference, name=method.name))


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    if not callable(function):
        raise InputError(
            f"a method is a name, a function or a Method, not an object of type "
            f"{type(function).__name__}: give one of these."
        )
    unwrapped: Callable[..., Any] = inspect.unwrap(function)
    return unwrapped


def _with_code(method: Method, registered_by: Origin | None = None) -> Method:
    """Return a method with the code that it has from outside of prunecheck.

    Args:
        method: the method.
        registered_by: whose code registered it under its name.
    """
    of_others = next((other.code for other in method.made_of), None)
    code = code_registered_by([registered_by, *origins_of_parts(method)], also=method.code or of_others)
    return replace(method, code=code)


def origins_of_parts(method: Method) -> list[Origin | None]:
    """Return whose code registered what a method is made of."""
    origins = [CRITERIA.origin_of(method.criterion.name.partition(ARGUMENT)[0])]
    origins.append(ALLOCATIONS.origin_of(method.allocation))
    if method.updates:
        origins += [DROPS.origin_of(method.updates.drop), GROWTHS.origin_of(method.updates.growth or "")]
    return origins


def _composed(text: str) -> Method:
    """Return the method that joins a criterion, or a way in which masks move, and an allocation, by ``-``."""
    for entry in METHODS:
        found = re.fullmatch(COMPOSED.format(re.escape(entry.name)), text)
        if found and isinstance(entry.item, Method) and entry.item.updates:
            return _with_code(_varied(entry.item, found["argument"], found["allocation"]), entry.origin)
    for name in sorted(CRITERIA.names(), key=len, reverse=True):
        found = re.fullmatch(COMPOSED.format(re.escape(name)), text)
        if found:
            criterion = CRITERIA.get(name)
            if found["argument"] is not None:
                criterion = criterion.with_argument(found["argument"])
            return _with_allocation(criterion, found["allocation"] or GLOBAL)
    raise unknown_name("method", text, method_names())


def _varied(method: Method, interval: str | None, allocation: str | None) -> Method:
    """Return a method whose masks move at another interval, or are shared among layers by another allocation."""
    assert method.updates
    name, updates = method.name, method.updates
    if interval is not None:
        updates = updates.with_interval(interval)
        name = f"{name}{ARGUMENT}{updates.interval}"
    if allocation is not None and allocation != method.allocation:
        _require_allocation(allocation)
        name = f"{name}-{allocation}"
    return replace(method, name=name, updates=updates, allocation=allocation or method.allocation)


def _with_allocation(criterion: Criterion, allocation: str) -> Method:
    name = criterion.name if allocation == GLOBAL else f"{criterion.name}-{allocation}"
    if allocation.startswith(RATIOS_OF):
        other = find_method(allocation.removeprefix(RATIOS_OF))
        if other.updates and other.updates.is_gradual:
            raise InputError(
                f"{other.name} starts with all weights, so that its ticket has no ratios: write {criterion.name}-"
                f"{RATIOS_OF}final-mask-of:{other.name} for those that it ends with."
            )
        name = f"{criterion.name}-{RATIOS_OF}{other.name}"
        return _with_code(Method(name, criterion, RATIOS_OF, ratios_of=other, pattern=other.pattern))
    _require_allocation(allocation, f"{RATIOS_OF}METHOD", *PATTERN_FAMILIES.names())
    return _with_code(Method(name, criterion, allocation))


def _require_allocation(allocation: str, *more: str) -> None:
    if allocation not in (known := [GLOBAL, GLOBAL_CONVOLUTIONS, *ALLOCATIONS.names()]):
        raise unknown_name("allocation", allocation, [*known, *more])


def method_names() -> list[str]:
    """Return the names of methods: the registered ones, the criteria, and random tickets of every allocation."""
    return [*METHODS.names(), *CRITERIA.names(), *(f"random-{allocation}" for allocation in ALLOCATIONS.names())]

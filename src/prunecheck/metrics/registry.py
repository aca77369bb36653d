"""The register of metrics, and what users' own functions have to say of themselves."""

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.metrics.quantity import LARGEST, Quantity, is_value
from prunecheck.registry import Registry
from prunecheck.user_code import Code, Reference, code_registered_by, find_reference, is_reference
from prunecheck.user_code.failures import SHORT_OF_MEMORY, failure_named

MetricFunction = Callable[[Tensor, Tensor], Any]

METRICS: Registry[MetricFunction] = Registry("metric", "prunecheck.metrics")

DECLARATION = "__prunecheck_metric__"
"""The attribute of a function that says what :func:`metric` was given."""

LONGEST_UNIT = 20

Function = TypeVar("Function", bound=MetricFunction)


@dataclass(frozen=True)
class Metric:
    """What runs are judged by.

    Attributes:
        quantity: name, unit and direction.
        function: ``(logits, labels) -> number``: of float32 logits (images, classes) and int64 labels (images,) of the
            whole test part, on the device of the training.
        has_chance_level: whether logits that are the same for every image get what guessing gets, and nothing better.
        counts_images: whether values are percentages of test images, so that one image is the least step.
        column: of ``metrics.csv``, if that says the same; then nothing is computed for it.
        of_column: makes the value of what stands there.
        usual_margin: what makes no practical difference unless the user says otherwise; None for that of the unit.
        reference: where users' own code defines it; None for one that is registered under its name.
        code: what of it comes from outside of prunecheck; None if nothing does.
    """

    quantity: Quantity
    function: MetricFunction = field(repr=False)
    has_chance_level: bool = False
    counts_images: bool = False
    column: str | None = None
    of_column: Callable[[float], float] = float
    usual_margin: float | None = None
    reference: Reference | None = None
    code: Code | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """As runs and reports have it."""
        return self.quantity.name

    @property
    def given(self) -> str | Reference:
        """What another process finds it by."""
        return (self.reference.argument or self.reference) if self.reference else self.name

    def value(self, logits: Tensor, labels: Tensor) -> float:
        """Return the metric of logits (images, classes), float32, with labels (images,), int64, in its unit.

        Raises:
            InputError: the function fails, or does not return one finite number.
        """
        given = f"logits {_described(logits)} and labels {_described(labels)}"
        with failure_named(f"the metric {self.name} fails on {given}", beside=SHORT_OF_MEMORY), torch.no_grad():
            number = _number(self.function(logits, labels))
        if isinstance(number, str):
            raise InputError(f"the metric {self.name} returned {number}: have it return one number.")
        if not is_value(number):
            expected = f"one of at most {LARGEST:g} in size" if math.isfinite(number) else "a finite number"
            raise InputError(f"the metric {self.name} returned {number}: have it return {expected}.")
        return number

    def chance_level(self, labels: Tensor, num_classes: int) -> float | None:
        """Return what guessing gets, by the shares of the classes among labels; None if there is no such level."""
        if not self.has_chance_level:
            return None
        shares = torch.bincount(labels, minlength=num_classes).float() / len(labels)
        if self.column == "test_loss":
            return self.of_column(-torch.special.xlogy(shares.double(), shares.double()).sum().item())
        # As good as never, and finite: the logarithm of 0 is neither for a class that is not there.
        logits = shares.clamp_min(1e-30).log().expand(len(labels), num_classes).clone()
        return self.value(logits, labels.clone())


AnyMetric = str | MetricFunction | Metric | Reference
"""What names a metric: see :func:`find_metric`."""


def metric(
    *,
    unit: str,
    higher_is_better: bool,
    has_chance_level: bool = False,
    counts_images: bool = False,
    column: str | None = None,
    of_column: Callable[[float], float] = float,
    usual_margin: float | None = None,
) -> Callable[[Function], Function]:
    """Say of a function ``(logits, labels) -> number`` what it measures; see :class:`Metric` for what it is given.

    Args:
        unit: of its values: ``"%"``, ``"nats"``, ...; an empty string for a pure number. Differences of percentages
            are called points.
        higher_is_better: whether a larger value is the better one.
        has_chance_level: whether logits that are the same for every image, the logarithms of the classes' shares, get
            what guessing gets; tickets that are no better than that are then said to have learned nothing. Accuracies
            and losses have such a level; a calibration error, in which guessing does well, has none.
        counts_images: whether values are percentages of test images, as accuracies are, so that tests allow for a small
            test part.
        column: the column of ``metrics.csv`` that holds the same number, if there is one.
        of_column: makes the value of what stands there, if it is another number that says the same.
        usual_margin: what makes no practical difference unless the user says otherwise, in the unit; None for 2 points
            of what is in percent, and for nothing of what is not.

    Raises:
        InputError: the unit is not a short text, or the direction is not a boolean.
    """
    if not isinstance(unit, str) or len(unit) > LONGEST_UNIT or not unit.isprintable():
        raise InputError(
            f"the unit of a metric is a short text, such as '%' or 'nats', or empty for a pure number, not {unit!r}."
        )
    if not isinstance(higher_is_better, bool):
        raise InputError(f"whether higher is better takes True or False, not {higher_is_better!r}.")
    declared = {
        "unit": unit.strip(),
        "higher_is_better": higher_is_better,
        "has_chance_level": has_chance_level,
        "counts_images": counts_images,
        "column": column,
        "of_column": of_column,
        "usual_margin": usual_margin,
    }

    def declare(function: Function) -> Function:
        setattr(function, DECLARATION, declared)
        return function

    return declare


def register_metric(
    name: str,
    *,
    unit: str,
    higher_is_better: bool,
    has_chance_level: bool = False,
    counts_images: bool = False,
    column: str | None = None,
    of_column: Callable[[float], float] = float,
    usual_margin: float | None = None,
) -> Callable[[Function], Function]:
    """Register a function ``(logits, labels) -> number`` under ``name``; for the other arguments see :func:`metric`.

    Raises:
        InputError: see :func:`metric`.
        ValueError: the name is taken.
    """
    declare = metric(
        unit=unit,
        higher_is_better=higher_is_better,
        has_chance_level=has_chance_level,
        counts_images=counts_images,
        column=column,
        of_column=of_column,
        usual_margin=usual_margin,
    )

    def register(function: Function) -> Function:
        return METRICS.register(name)(declare(function))

    return register


def find_metric(given: AnyMetric) -> Metric:
    """Return the metric that a user names, or gives.

    Args:
        given: a registered name; ``FILE.py:NAME`` or ``package.module:NAME`` of a function; or such a function itself.

    Raises:
        InputError: an unknown name; a file or module that is missing, cannot be run or does not define it; a function
            that does not say its unit and direction, or cannot be told from another version of it.
    """
    if isinstance(given, Metric):
        return given
    if isinstance(given, str) and not is_reference(given):
        return _registered(given)
    if not isinstance(given, str | Reference):
        known = next((entry.name for entry in METRICS if entry.item is given), None)
        if known:
            return _registered(known)
    reference = given if isinstance(given, Reference) else find_reference("metric", given)
    return _declared(reference.name, reference.value, reference, reference.code)


def _registered(name: str) -> Metric:
    return _declared(name, METRICS.get(name), None, code_registered_by([METRICS.origin_of(name)]))


def _declared(name: str, function: MetricFunction, reference: Reference | None, code: Code | None) -> Metric:
    declared = dict(getattr(function, DECLARATION, {}))
    if not declared:
        raise InputError(
            f"the metric {name} does not say in which unit it is, nor whether higher is better: write "
            '@prunecheck.metric(unit="nats", higher_is_better=False), or what it is, above it.',
            field="metric",
        )
    quantity = Quantity(name, declared.pop("unit"), declared.pop("higher_is_better"))
    return Metric(quantity, function, **declared, reference=reference, code=code)


def _number(found: Any) -> float | str:
    """Return one number, from a tensor or an array of one too; of anything else what it is."""
    if isinstance(found, Tensor) or hasattr(found, "__array__"):
        shape = tuple(found.shape)
        if math.prod(shape) != 1 or (isinstance(found, Tensor) and found.is_complex()):
            kind = "a tensor" if isinstance(found, Tensor) else "an array"
            return f"{kind} of shape {shape}" if math.prod(shape) != 1 else f"{kind} of complex numbers"
        found = found.item()
    if isinstance(found, bool) or not isinstance(found, numbers.Real):
        return "nothing (None)" if found is None else f"a value of type {type(found).__name__}"
    return float(found)


def _described(tensor: Tensor) -> str:
    return f"of shape {tuple(tensor.shape)} and type {str(tensor.dtype).removeprefix('torch.')}"

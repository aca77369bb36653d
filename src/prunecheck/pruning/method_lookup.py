"""The method that a user names, or gives: registered, composed of parts, in files, or in code of their own."""

import contextlib
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from prunecheck.data.datasets import OF_PATH
from prunecheck.errors import InputError
from prunecheck.pruning.allocations import ALLOCATIONS
from prunecheck.pruning.criteria import CRITERIA, Criterion
from prunecheck.pruning.masks import GLOBAL, GLOBAL_CONVOLUTIONS
from prunecheck.pruning.methods import (
    ARGUMENT,
    METHODS,
    OF_METHOD,
    RATIOS_OF,
    Method,
    method_of_function,
    origins_of_parts,
    with_pattern_behind,
)
from prunecheck.pruning.patterns import PATTERN_FAMILIES, UNSTRUCTURED, find_pattern, split_pattern
from prunecheck.pruning.signatures import BATCHES, OFFERED
from prunecheck.pruning.trainings import DENSE
from prunecheck.registry import Origin, unknown_name
from prunecheck.user_code import (
    Reference,
    code_registered_by,
    find_reference,
    have_equal_values,
    is_reference,
    without_arguments,
)

AnyMethod = str | Callable[..., Any] | Method | Reference
"""What names a method: see :func:`find_method`."""

FILES_OF_WEIGHTS = (".safetensors", ".pt", ".pth", ".tar", ".bin", ".npz")
"""Endings of files whose masks ``mask:PATH`` takes."""

COMPOSED = rf"{{}}(?:{ARGUMENT}(?P<argument>[^-]*))?(?:-(?P<allocation>.+))?"
"""What matches the name of a method that is put together, once the name of its first part stands in it."""

JOINING_CHECKS = "+"

SUPPLIED = ("model", BATCHES, *OFFERED)
"""Parameters of a method's function that are no arguments of its own."""


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


def names_several(text: str) -> bool:
    """Say whether a text that names no method is a list of such names, with commas between them.

    Commas may also stand in a path or an argument: of what follows an argument, one part at least must be a method.
    """
    first, *rest = (part.strip() for part in text.split(","))
    return bool(rest) and ("?" not in first or any(map(_is_method, rest)))


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
    return replace(method, name=with_pattern_behind(method.name, pattern), pattern=pattern)


def _of_reference(reference: Reference) -> Method:
    item = reference.value
    if isinstance(item, Method):
        return _with_code(replace(item, name=reference.name, reference=reference, code=reference.code))
    method = method_of_function(reference.name, item)
    return replace(method, reference=reference, code=reference.code)


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
    parts = text.split(JOINING_CHECKS)
    if len(parts) > 1 and all(map(_is_method, parts)):
        raise InputError(
            f"{text} joins methods by {JOINING_CHECKS}, by which checks are joined, and a ticket is made by one "
            f"method: name {' or '.join(parts)}, or ask about them one after another."
        )
    raise unknown_name("method", text, method_names())


def _is_method(text: str) -> bool:
    with contextlib.suppress(InputError):
        return bool(find_method(text))
    return False


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

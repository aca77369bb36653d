"""How Python's arguments are read: one value or several, devices, families."""

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prunecheck.constraints import Constraint, OrNone, WholeNumber
from prunecheck.errors import InputError, field_name
from prunecheck.registry import unknown_name
from prunecheck.studies import question
from prunecheck.studies.looks import SequentialLooks
from prunecheck.studies.question import QUESTION, Scope
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration, require_available, require_suitable
from prunecheck.training.recipe import RECIPE

NO_CHECK = "none"
"""What stands for no check at all, alone."""

TAKEN: Mapping[str, Constraint[Any]] = {
    **QUESTION,
    "checks": OrNone(QUESTION["checks"]),
    "workers": WholeNumber(),
}
"""What arguments take, where that is a range of numbers or a list."""


def read(field: str, value: Any) -> Any:
    """Return an argument in its own type: numpy's numbers as Python's, one value or several as a tuple.

    Raises:
        InputError: it is not what :data:`TAKEN` says.
    """
    if field == "checks" and value is None:
        return None
    if field == "seeds":
        value = _read_several_seeds(value)
    elif field == "sparsity" or (field in ("checks", "prunable", "keep_dense") and value is not None):
        value = _several(value)
        if field == "checks" and value == (NO_CHECK,):
            value = ()
    return TAKEN[field].require(field, value)


def read_recipe_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe that are given, without those that are None.

    Raises:
        InputError: a value is not what its field takes.
        TypeError: there is no such field, as for any argument that a function does not have.
    """
    for name in given:
        if name not in RECIPE:
            raise TypeError(f"check() has no argument {name!r}, and a recipe no such field: see prunecheck.Recipe")
    return {name: RECIPE[name].require(name, value) for name, value in given.items() if value is not None}


def read_seeds(seeds: Any, max_seeds: Any) -> tuple[Sequence[int], SequentialLooks | None]:
    """Return the seeds, and the looks at growing numbers of them: :func:`prunecheck.studies.question.read_seeds`."""
    if isinstance(seeds, str):
        return question.read_seeds(seeds, _as_integer(max_seeds))
    return question.read_seeds(_read_several_seeds(seeds), _as_integer(max_seeds))


def _read_several_seeds(value: Any) -> Any:
    return _several(value) if isinstance(value, Iterable) else _as_integer(value)


def read_all(**given: Any) -> dict[str, Any]:
    """Return several arguments as :func:`read` does."""
    return {field: read(field, value) for field, value in given.items()}


def _several(value: Any) -> Any:
    is_scalar_array = getattr(value, "ndim", None) == 0  # which numpy says to be iterable
    if isinstance(value, range):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str | bytes) and not is_scalar_array:
        return tuple(value)
    return (value,)


def _as_integer(value: Any) -> Any:
    return operator.index(value) if hasattr(value, "__index__") and not isinstance(value, bool) else value


def read_family(value: Any) -> Scope:
    """Return how far the families of verdicts reach; raise :class:`InputError` for an unknown word."""
    if value not in list(Scope):
        raise unknown_name("family", str(value), list(Scope), field="family")
    return Scope(value)


def read_device(value: Any, acceleration: Acceleration = WHERE_IT_PAYS, *, is_here: bool = True) -> str:
    """Return ``cpu``, ``cuda`` or ``cuda:N``; a ``torch.device`` is read too.

    Args:
        value: as given.
        acceleration: that trainings on it are asked for.
        is_here: whether it is one of this machine, which then has to have it.

    Raises:
        InputError: it is another, is not there, or cannot do what is asked for.
    """
    name = str(value)
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", name):
        raise InputError(f"{field_name('device')} takes cpu, cuda or cuda:N, not {name!r}.", field="device")
    (require_available if is_here else require_suitable)(acceleration, name)
    return name

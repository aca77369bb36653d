"""What a function that prunes is given, read off its signature.

The first parameter takes the network. The batches go to the parameter that is called ``batches``, or else to the
second one, whatever its name, unless it has a default or is one of :data:`OFFERED`. By their names alone are given:
``sparsity``, ``generator``, ``seed``, ``training_set``, ``trained_model``, ``draw_weights`` and ``calibration``, which
makes it a method after training: the network is the trained one, and nothing is trained afterwards. What has a default
beside these is the function's own.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from prunecheck.errors import InputError

Sees = Literal["nothing", "samples", "training set", "calibration"]

OFFERED = {
    "sparsity": "the share of prunable weights to remove, in [0, 1)",
    "generator": "the run's torch.Generator for mask placement",
    "seed": "the run's seed, an integer",
    "training_set": "batches of which every pass is a whole shuffled, augmented epoch",
    "trained_model": "the trained dense network",
    "calibration": "the sequences of tokens that a method after training sees, int64 (sequences, length)",
    "draw_weights": "a function that returns newly drawn initial weights, by the names of the state dict, given a seed",
}
"""What a function is given if its signature has a parameter of this name, and what that is."""

BATCHES = "batches"

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def _batches_parameter(function: Callable[..., Any]) -> inspect.Parameter | None:
    """Return the parameter that takes the batches; None if there is none."""
    parameters = _parameters(function)
    for parameter in parameters[:2]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return parameter
    for parameter in parameters[1:]:
        if parameter.name == BATCHES and parameter.kind not in VARIADIC:
            return parameter
    for second in parameters[1:2]:
        if second.kind in POSITIONAL and second.name not in OFFERED and second.default is second.empty:
            return second
    return None


def takes_batches(function: Callable[..., Any]) -> bool:
    """Say whether one of a function's parameters takes the batches."""
    return _batches_parameter(function) is not None


def takes(function: Callable[..., Any], name: str) -> bool:
    """Say whether a function has a parameter of this name, after the one that takes the network."""
    return any(parameter.name == name and parameter.kind not in VARIADIC for parameter in _parameters(function)[1:])


def images_seen_by(function: Callable[..., Any]) -> Sees:
    """Return which images a function looks at, by what its signature takes."""
    if takes(function, "training_set"):
        return "training set"
    if takes(function, "calibration"):
        return "calibration"
    return "samples" if takes_batches(function) else "nothing"


def call(function: Callable[..., Any], model: Any, batches: Any, offered: Mapping[str, Any]) -> Any:
    """Call a function with what its signature takes.

    Args:
        function: see above.
        model: the network.
        batches: what it sees of the images; also given as ``training_set``.
        offered: the rest of :data:`OFFERED`.
    """
    values = {**offered, "training_set": batches}
    first: list[Any] = [model]
    named: dict[str, Any] = {}
    for_batches = _batches_parameter(function)
    if for_batches and for_batches.kind is for_batches.VAR_POSITIONAL:
        first.append(batches)
    for place, parameter in enumerate(_parameters(function)[1:], start=1):
        if parameter.kind in VARIADIC:
            continue
        if parameter == for_batches and place == 1 and parameter.kind in POSITIONAL:
            first.append(batches)  # by its place: a wrapper may call it otherwise
        elif parameter == for_batches or parameter.name in values:
            value = batches if parameter == for_batches else values[parameter.name]
            if parameter.kind is parameter.POSITIONAL_ONLY:
                first.append(value)
            else:
                named[parameter.name] = value
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            first.append(parameter.default)
    return function(*first, **named)


def require_known_parameters(name: str, function: Callable[..., Any]) -> None:
    """Raise :class:`InputError` if a user's function cannot be called without something that nobody gives it.

    Args:
        name: the method's, for the sentence.
        function: which may have arguments of its own already, as a :class:`functools.partial`.
    """
    parameters = _parameters(function)
    for_network = next(iter(_parameters(function.func)), None) if isinstance(function, functools.partial) else None
    if for_network and isinstance(function, functools.partial) and for_network.name in function.keywords:
        raise InputError(f"{for_network.name} is given to {name} by prunecheck: leave it out.")
    if not any(parameter.kind in (*POSITIONAL, parameter.VAR_POSITIONAL) for parameter in parameters[:1]):
        raise InputError(f"{name} takes no network: give it a first parameter, model.")
    for_batches = _batches_parameter(function)
    if for_batches and takes(function, "training_set"):
        raise InputError(f"{name} takes both {BATCHES} and training_set, and a method sees one of them: leave one out.")
    for parameter in parameters[1:]:
        is_given = parameter == for_batches or parameter.kind in VARIADIC or parameter.name in OFFERED
        if parameter.default is parameter.empty and not is_given:
            raise InputError(
                f"{name} asks for {parameter.name}, and a method is given model, {BATCHES}, {', '.join(OFFERED)}, "
                f"whichever it takes: give {parameter.name} a default, or call it by one of these names."
            )

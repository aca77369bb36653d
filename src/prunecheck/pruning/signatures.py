"""What a function that prunes is given, read off its signature.

The first parameter takes the network. The second takes the batches, whatever its name, unless it is one of
:data:`OFFERED`, or has a default and another name than ``batches``. By their names alone are given: ``sparsity``,
``generator``, ``seed``, ``training_set`` and ``trained_model``. What has a default beside these is the function's own.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from prunecheck.errors import InputError

Sees = Literal["nothing", "samples", "training set"]

OFFERED = {
    "sparsity": "the share of prunable weights to remove, in [0, 1)",
    "generator": "the run's torch.Generator for mask placement",
    "seed": "the run's seed, an integer",
    "training_set": "batches of which every pass is a whole shuffled, augmented epoch",
    "trained_model": "the trained dense network",
}
"""What a function is given if its signature has a parameter of this name, and what that is."""

BATCHES = "batches"

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def takes_batches(function: Callable[..., Any]) -> bool:
    """Say whether a function's second parameter takes the batches."""
    parameters = list(inspect.signature(function).parameters.values())
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters[:2]):
        return True
    second = next((parameter for parameter in parameters[1:2] if parameter.kind in POSITIONAL), None)
    if second is None or second.name in OFFERED:
        return False
    return second.name == BATCHES or second.default is second.empty


def takes(function: Callable[..., Any], name: str) -> bool:
    """Say whether a function has a parameter of this name."""
    return name in inspect.signature(function).parameters


def images_seen_by(function: Callable[..., Any]) -> Sees:
    """Return which images a function looks at, by what its signature takes."""
    if takes(function, "training_set"):
        return "training set"
    return "samples" if takes_batches(function) else "nothing"


def call(function: Callable[..., Any], model: Any, batches: Any, offered: Mapping[str, Any]) -> Any:
    """Call a function with what its signature takes.

    Args:
        function: see above.
        model: the network.
        batches: what it sees of the images; also given as ``training_set``.
        offered: the rest of :data:`OFFERED`.
    """
    parameters = inspect.signature(function).parameters
    named = {name: value for name, value in {**offered, "training_set": batches}.items() if name in parameters}
    first = [model, batches] if takes_batches(function) else [model]
    return function(*first, **named)


def require_known_parameters(name: str, function: Callable[..., Any]) -> None:
    """Raise :class:`InputError` if a user's function cannot be called without something that nobody gives it."""
    parameters = list(inspect.signature(function).parameters.values())
    if not any(parameter.kind in (*POSITIONAL, parameter.VAR_POSITIONAL) for parameter in parameters[:1]):
        raise InputError(f"{name} takes no network: give it a first parameter, model.")
    if takes_batches(function) and takes(function, "training_set"):
        raise InputError(f"{name} takes both {BATCHES} and training_set, and a method sees one of them: leave one out.")
    for parameter in parameters[2 if takes_batches(function) else 1 :]:
        is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not is_variadic and parameter.name not in OFFERED:
            raise InputError(
                f"{name} asks for {parameter.name}, and a method is given model, {BATCHES}, {', '.join(OFFERED)}, "
                f"whichever it takes: give {parameter.name} a default, or call it by one of these names."
            )

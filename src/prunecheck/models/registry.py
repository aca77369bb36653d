"""The register of networks, and how one is built with its initial weights."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from prunecheck.constraints import WholeNumber
from prunecheck.errors import InputError
from prunecheck.randomness import seeded_global_generator
from prunecheck.registry import Registry

ModelBuilder = Callable[..., nn.Module]

CHANNELS = WholeNumber()
"""What the number of channels of an image, or of a network's first stage, may be."""

MODELS: Registry[ModelBuilder] = Registry("model", "prunecheck.models")


def register_model(name: str) -> Callable[[ModelBuilder], ModelBuilder]:
    """Register a function ``(num_classes, **options) -> nn.Module`` under ``name``.

    ``<depth>`` in the name makes it a family, whose function is given ``depth`` too. The module's
    constructor draws its initial weights from torch's generator, as modules do; :func:`build_model`
    seeds it.
    """
    return MODELS.register(name)


def build_model(name: str, num_classes: int, seed: int = 0, **options: Any) -> nn.Module:
    """Build a network with its published initialisation.

    Args:
        name: a registered name, such as ``resnet32`` or ``vgg19_bn``.
        num_classes: how many classes it tells apart.
        seed: decides the initial weights: same seed, same weights; torch's global generator is left
            as it was.
        options: what the network offers, such as ``width`` (channels of its first stage) and
            ``input_channels``.

    Raises:
        InputError: an unknown name, an impossible depth, width or number of classes, or a builder that fails.
    """
    builder, depth = MODELS.match(name)
    if depth is not None:
        options["depth"] = depth
    if num_classes < 2:
        raise InputError(f"a network needs at least 2 classes, not {num_classes}.")
    for option in ("width", "input_channels"):
        if option in options:
            CHANNELS.require(option, options[option])
    _require_options(name, builder, options)
    try:
        with seeded_global_generator(seed, "initial weights"):
            return builder(num_classes, **options)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        message = " ".join(str(error).split())
        raise InputError(
            f"the model {name} cannot be built ({type(error).__name__}: {message}): correct it first."
        ) from error


def _require_options(name: str, builder: ModelBuilder, options: dict[str, Any]) -> None:
    parameters = inspect.signature(builder).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for option in options:
        if option not in parameters:
            offered = ", ".join(list(parameters)[1:]) or "none"
            raise InputError(f"the model {name} has no option {option}: its options are {offered}.")


def published_width(name: str) -> int | None:
    """Return the width that a network has unless told otherwise; None if it offers no choice.

    Raises:
        InputError: an unknown name.
    """
    builder, _ = MODELS.match(name)
    parameter = inspect.signature(builder).parameters.get("width")
    return None if parameter is None or parameter.default is parameter.empty else int(parameter.default)


def require_input(name: str, model: nn.Module, height: int, width: int) -> None:
    """Raise :class:`InputError` if images of this size are too small for the network.

    A network that cannot take every size says so in its attribute ``minimum_input_size`` (pixels).
    """
    minimum = getattr(model, "minimum_input_size", 1)
    if min(height, width) < minimum:
        raise InputError(
            f"{name} needs images of at least {minimum}x{minimum} pixels and these have "
            f"{height}x{width}: choose a network that halves them less often, such as resnet8, or "
            "larger images."
        )

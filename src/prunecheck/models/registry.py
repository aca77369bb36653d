"""The register of networks, and how one is built with its initial weights."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from prunecheck.constraints import WholeNumber
from prunecheck.data.datasets import OF_PATH
from prunecheck.data.inputs import InputShape, TokenShape
from prunecheck.data.tokenizers import FindTokenizer
from prunecheck.errors import InputError
from prunecheck.models.initial_weights import complete_network, copies_of, ready_made
from prunecheck.randomness import seeded_global_generator
from prunecheck.registry import Registry
from prunecheck.user_code import Code, Reference, code_registered_by, find_reference, is_reference
from prunecheck.user_code.failures import failure_named

ModelBuilder = Callable[..., nn.Module]

ModelOfPath = Callable[[Path], "Model"]
"""What a name that ends in ``:<path>`` is registered with: it is given the path that the user writes."""

GIVEN = ("num_classes", "input_channels", "image_size", "sequence_length", "width")
"""What the builders of users are given, by these names, if their signatures take it."""

SUPPLIED = ("num_classes", "input_channels", "image_size", "sequence_length")
"""Those of them that are no arguments of the user's own."""

CHANNELS = WholeNumber(at_most=65_536)
"""What the number of channels of an image, or of a network's first stage, may be."""

MODELS: Registry[ModelBuilder | ModelOfPath] = Registry("model", "prunecheck.models")

BuildingFunction = TypeVar("BuildingFunction", bound=ModelBuilder)


def register_model(name: str) -> Callable[[BuildingFunction], BuildingFunction]:
    """Register a function ``(num_classes, **options) -> nn.Module`` under ``name``.

    ``<depth>`` in the name makes it a family, whose function is given ``depth`` too. The module's
    constructor draws its initial weights from torch's generator, as modules do; :func:`build_model`
    seeds it.
    """
    return MODELS.register(name)


@dataclass(frozen=True)
class Model:
    """A network by its name, or in users' own code.

    Attributes:
        name: as runs and reports have it.
        builder: a function or class that returns the network; it is given what its signature takes.
        depth: the number in the name of a member of a family.
        is_trained: whether it is built with trained weights, whatever the seed.
        find_tokenizer: loads what makes tokens of text for it; None for one that reads bytes, or where none is known.
        reference: where users' own code defines it; None for one that is registered under its name.
        code: what of it comes from outside of prunecheck; None if nothing does.
    """

    name: str
    builder: ModelBuilder
    depth: int | None = None
    is_trained: bool = False
    find_tokenizer: FindTokenizer | None = field(default=None, compare=False)
    reference: Reference | None = None
    code: Code | None = field(default=None, compare=False)

    @property
    def comes_with_prunecheck(self) -> bool:
        """Whether none of its code comes from elsewhere."""
        return self.reference is None and self.code is None

    @property
    def given(self) -> str | Reference:
        """What another process finds it by."""
        return (self.reference.argument or self.reference) if self.reference else self.name


AnyModel = str | ModelBuilder | nn.Module | Model | Reference
"""What names a network: see :func:`find_model`."""


def find_model(model: AnyModel) -> Model:
    """Return the network that a user names, or gives.

    Args:
        model: a registered name, such as ``resnet32``; a kind and a path, ``transformers:PATH``; ``FILE.py:NAME`` or
            ``package.module:NAME`` of a function or class that returns a network; or such a function or class itself.
            Also a network that is built already, if it has a method ``draw_weights(generator)``: it is copied for each
            seed.

    Raises:
        InputError: an unknown name; a file or module that is missing, cannot be run or does not define it; an object
            that is no function or class, or cannot be told from another version of it; a network that is built already
            and draws no weights.
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, nn.Module):
        copies_of(model)  # which says what is missing
    if isinstance(model, str) and (found := _of_path(model)):
        return found
    if isinstance(model, str) and not is_reference(model):
        return _registered(model)
    if not isinstance(model, str | Reference):
        known = next((entry.name for entry in MODELS if entry.item is model), None)
        if known:
            return _registered(known)
    reference = model if isinstance(model, Reference) else find_reference("model", model, supplied=SUPPLIED)
    built = ready_made(reference.value)
    builder = reference.value if built is None else copies_of(built)
    _require_known_parameters(reference.name, builder)
    return Model(reference.name, builder, reference=reference, code=reference.code)


def _of_path(text: str) -> Model | None:
    """Return the network that lies where a text says, ``KIND:PATH``; None if there is no such kind."""
    kind, colon, path = text.partition(":")
    if not colon or kind + OF_PATH not in MODELS.names():
        return None
    return cast(ModelOfPath, MODELS.get(kind + OF_PATH))(Path(path))


def _registered(name: str) -> Model:
    builder, depth = cast(tuple[ModelBuilder, int | None], MODELS.match(name))
    return Model(name, builder, depth, code=code_registered_by([MODELS.origin_of(name)]))


def build_model(model: AnyModel, num_classes: int, seed: int = 0, **options: Any) -> nn.Module:
    """Build a network with its published initialisation, on the CPU.

    Its constructor draws from torch's generator, which is seeded meanwhile. Lazy layers are given their shapes by a
    blank batch, and a method ``draw_weights(generator)`` of the network is called then, with a generator of the seed.

    Args:
        model: see :func:`find_model`.
        num_classes: how many classes it tells apart.
        seed: decides the initial weights: same seed, same weights; torch's global generator is left
            as it was.
        options: what the network offers, such as ``width`` (channels of its first stage). A builder of users is given
            ``num_classes`` and ``input_channels``, and any builder is given ``image_size``, if its signature takes
            them; the latter is ``(height, width)`` in pixels, and one number for the builder where these are equal. For
            tokens, ``sequence_length`` in the place of both; classes are then the tokens of the vocabulary.

    Raises:
        InputError: an unknown name, an impossible depth, width or number of classes, or a builder that fails, does
            not return a network, or puts it on another device.
    """
    found = find_model(model)
    name, builder = found.name, found.builder
    if num_classes < 2:
        raise InputError(f"a network needs at least 2 classes, not {num_classes}.")
    for option in ("width", "input_channels"):
        if option in options:
            CHANNELS.require(option, options[option])
    first, named = _arguments(found, num_classes, options)
    image_size = options.get("image_size")
    image_shape: InputShape | None = None
    if image_size is not None:
        image_shape = (options.get("input_channels", 3), *image_size)
    elif "sequence_length" in options:
        image_shape = TokenShape(options["sequence_length"], num_classes)
    with (
        failure_named(f"the model {name} cannot be built", beside=(MemoryError,)),
        seeded_global_generator(seed, "initial weights"),
        torch.device("cpu"),
    ):
        network = builder(*first, **named)
        if isinstance(network, nn.Module):
            complete_network(network, name, seed, image_shape)
    if not isinstance(network, nn.Module):
        raise InputError(
            f"the model {name} returned an object of type {type(network).__name__}: have it return a torch.nn.Module."
        )
    return network


def _arguments(model: Model, num_classes: int, options: dict[str, Any]) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Return what a builder is called with: a registered one gets the number of classes first, whatever its name."""
    parameters = inspect.signature(model.builder).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    first = () if model.reference else (num_classes,)
    named = dict(options)
    channels, image_size = named.pop("input_channels", None), named.pop("image_size", None)
    if model.reference and ("num_classes" in parameters or takes_any):
        named["num_classes"] = num_classes
    if channels is not None and ("input_channels" in parameters or (takes_any and not model.reference)):
        named["input_channels"] = channels
    if "sequence_length" not in parameters:
        named.pop("sequence_length", None)
    if image_size is not None and "image_size" in parameters:
        height, width = image_size
        named["image_size"] = height if height == width else image_size
    if model.depth is not None:
        named["depth"] = model.depth
    own = builder_arguments(model)
    for option, value in named.items():
        if value != own.get(option, value):
            raise InputError(
                f"the model {model.name} has {option} {own[option]} in its name, and not {value}: give one of them.",
                field=option,
            )
        if option not in parameters and not takes_any:
            offered = ", ".join(name for name in list(parameters)[len(first) :] if name != "num_classes") or "none"
            raise InputError(f"the model {model.name} has no option {option}: its options are {offered}.")
    return first, named


def builder_arguments(model: Model) -> dict[str, Any]:
    """Return the arguments that a builder of users was given behind its name."""
    return dict(model.builder.keywords) if isinstance(model.builder, functools.partial) else {}


def _require_known_parameters(name: str, builder: ModelBuilder) -> None:
    """Raise :class:`InputError` if a user's builder cannot be called without something that nobody gives it."""
    for parameter in inspect.signature(builder).parameters.values():
        is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not is_variadic and parameter.name not in GIVEN:
            raise InputError(
                f"the model {name} asks for {parameter.name}, and a model is given {', '.join(GIVEN)}, whichever it "
                f"takes: give {parameter.name} a default, or call it by one of these names."
            )


def published_width(model: AnyModel) -> int | None:
    """Return the width that a network has unless told otherwise; None if it offers no choice.

    Raises:
        InputError: see :func:`find_model`.
    """
    parameter = inspect.signature(find_model(model).builder).parameters.get("width")
    return None if parameter is None or parameter.default is parameter.empty else int(parameter.default)


def require_input(name: str, model: nn.Module, height: int, width: int) -> None:
    """Raise :class:`InputError` if images of this size are too small for the network, or it is one of tokens.

    A network that cannot take every size says so in its attribute ``minimum_input_size`` (pixels), and one that takes
    tokens in its attribute ``takes_tokens``.
    """
    if getattr(model, "takes_tokens", False):
        raise InputError(
            f"{name} reads tokens, and these data are images: choose a data set of text, such as python-source, or a "
            "network of images."
        )
    minimum = getattr(model, "minimum_input_size", 1)
    if min(height, width) < minimum:
        raise InputError(
            f"{name} needs images of at least {minimum}x{minimum} pixels and these have "
            f"{height}x{width}: choose a network that halves them less often, such as resnet8, or "
            "larger images."
        )

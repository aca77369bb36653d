"""Methods of pruning after training: what a weight is worth, given the inputs of its layer."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning.post_training.choosing import Target, Within
from prunecheck.pruning.post_training.input_statistics import InputStatistics, Products, Squares
from prunecheck.pruning.post_training.sparsegpt import sparsegpt
from prunecheck.registry import Registry, first_line

PruneLayer = Callable[[Tensor, Tensor | None, Target], tuple[Tensor, Tensor]]
"""Given a weight, float32 (outputs, inputs), the mean of what is remembered of the layer's inputs and how many weights
stay, returns the weight afterwards and a boolean mask, both (outputs, inputs)."""


@dataclass(frozen=True)
class PostTrainingMethod:
    """A method of pruning a layer that is trained.

    Attributes:
        name: as users write it.
        prune_layer: see :data:`PruneLayer`.
        inputs: what is remembered of the layer's inputs; None for a method that looks at no data.
        updates_weights: whether kept weights are changed.
    """

    name: str
    prune_layer: PruneLayer
    inputs: type[InputStatistics] | None = None
    updates_weights: bool = False

    @property
    def sees_data(self) -> bool:
        """Whether calibration data have any way into its masks and weights."""
        return self.inputs is not None


POST_TRAINING_METHODS: Registry[PostTrainingMethod] = Registry("post-training method", "prunecheck.post_training")

STATISTICS: dict[str, type[InputStatistics]] = {"squares": Squares, "products": Products}
"""What a score may be given of a layer's inputs, by the name of its parameter."""

ScoreFunction = TypeVar("ScoreFunction", bound=Callable[..., Tensor])


def register_post_training_method(name: str, *, within: Within = "row") -> Callable[[ScoreFunction], ScoreFunction]:
    """Register a function that scores the weights of one layer; larger means keep.

    It is given what its signature names: ``weight``, float32 (outputs, inputs); ``squares``, the mean square of each
    input feature over all calibration tokens, float32 (inputs,), or ``products``, the mean product of each two of them,
    float32 (inputs, inputs); ``generator``, on the CPU, to draw from. It returns scores, (outputs, inputs). One that
    names neither squares nor products sees no calibration data.

    Args:
        name: the method's.
        within: whether weights are compared within a ``layer`` or within a ``row``, those of one output.

    Raises:
        InputError: the function names something else, or both of what is remembered of inputs.
    """

    def decorate(function: ScoreFunction) -> ScoreFunction:
        POST_TRAINING_METHODS.add(name, method_of_scores(name, function, within), first_line(function))
        return function

    return decorate


def method_of_scores(name: str, function: Callable[..., Tensor], within: Within) -> PostTrainingMethod:
    """Return the method that keeps the weights to which a function gives the largest scores.

    Args:
        name: the method's.
        function: see :func:`register_post_training_method`.
        within: likewise.

    Raises:
        InputError: see there.
    """
    named = list(inspect.signature(function).parameters)
    statistics = [parameter for parameter in named if parameter in STATISTICS]
    unknown = set(named) - {"weight", "generator", *STATISTICS}
    if unknown or len(statistics) > 1:
        raise InputError(
            f"the post-training method {name} asks for {', '.join(named)}, and is given weight, generator and one of "
            f"{' and '.join(STATISTICS)}: name its parameters so."
        )

    def prune_layer(weight: Tensor, inputs: Tensor | None, target: Target) -> tuple[Tensor, Tensor]:
        offered: dict[str, Any] = {"weight": weight, "generator": target.generator, **dict.fromkeys(statistics, inputs)}
        scores = function(**{parameter: offered[parameter] for parameter in named})
        if not isinstance(scores, Tensor) or scores.shape != weight.shape:
            shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise InputError(
                f"the post-training method {name} returned scores of shape {shape} for a weight of shape "
                f"{tuple(weight.shape)}: return one for each weight."
            )
        return weight, target.keep(scores, within)

    return PostTrainingMethod(name, prune_layer, STATISTICS[statistics[0]] if statistics else None)


@register_post_training_method("magnitude", within="layer")
def magnitude(weight: Tensor) -> Tensor:
    """|w|, the largest of each layer.

    Args:
        weight: (outputs, inputs).
    """
    return weight.abs()


@register_post_training_method("magnitude-per-row", within="row")
def magnitude_per_row(weight: Tensor) -> Tensor:
    """|w|, the largest of each row, which are the weights of one output.

    Args:
        weight: (outputs, inputs).
    """
    return weight.abs()


@register_post_training_method("wanda", within="row")
def wanda(weight: Tensor, squares: Tensor) -> Tensor:
    """|w| times the norm of its input, the largest of each row.

    Sun, Liu, Bair and Kolter, arXiv:2306.11695, equation 1: S_ij = |W_ij| * ||X_j||_2, where X_j is input feature j of
    all calibration tokens. Here the norm is divided by the root of the number of tokens, which changes no order.

    Args:
        weight: (outputs, inputs).
        squares: mean square of each input feature, (inputs,).
    """
    return weight.abs() * squares.sqrt()


@register_post_training_method("random", within="layer")
def random(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Weights of each layer drawn by lot.

    Args:
        weight: (outputs, inputs).
        generator: on the CPU.
    """
    return torch.rand(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)


def _sparsegpt(weight: Tensor, products: Tensor | None, target: Target) -> tuple[Tensor, Tensor]:
    assert products is not None
    return sparsegpt(weight, products, target)


POST_TRAINING_METHODS.add(
    "sparsegpt",
    PostTrainingMethod("sparsegpt", _sparsegpt, Products, updates_weights=True),
    "removes what changes each layer's outputs least, and adjusts the weights that are kept",
)

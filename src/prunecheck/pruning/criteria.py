"""Criteria: what each prunable weight is worth. Larger means keep.

A criterion is a function ``(model, batches) -> {layer name: score}`` with scores of the weights'
shapes. What else it names it is given, see :mod:`prunecheck.pruning.signatures`, and it may have one
argument of its own, which has a default and which the user sets as ``NAME@VALUE``. ``batches`` holds
``(x, y)``: float32 images (N, channels, height, width), int64 labels (N,); see
:class:`~prunecheck.pruning.scoring.BatchSource`.
"""

import functools
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.layers import Scores, prunable_weights
from prunecheck.pruning.logits import plain_computation
from prunecheck.pruning.scoring import (
    BatchSource,
    copy_for_scoring,
    halves_by_class,
    loss_of,
    second_gradient,
    summed_gradient,
)
from prunecheck.pruning.signatures import Sees, call, takes
from prunecheck.randomness import derived_generator
from prunecheck.registry import Registry, first_line

GRASP_TEMPERATURE = 200
"""The logits are divided by it, as in the code published with GraSP."""


@dataclass(frozen=True)
class Criterion:
    """A scoring function and what it is given.

    Attributes:
        sees: which images it looks at. ``nothing``: it may be given none, or some for their shape
            alone, so that no corruption of the data can change it; ``samples``: a few scoring
            batches; ``training set``: batches of which every pass is a whole shuffled, augmented epoch.
        argument: the parameter of the function that the user may set, with a default that is an
            integer or a float.
        new_samples: whether each pass over the samples is to draw others, for a criterion in rounds.
        requires: given a network and the shape of its images, (channels, height, width), raises
            :class:`InputError` if it cannot score it; called before any work starts.
        combine: how the scores of weights that are kept together make one: their ``mean``, or that of the ``first`` of
            them, for scores whose mean says nothing.
        is_repeatable: whether the scores follow from the network and the samples alone, unless the network draws random
            numbers: they are then computed once for the tickets of a seed, see :mod:`.shared_scores`.
    """

    name: str
    function: Callable[..., Scores]
    sees: Sees = "samples"
    argument: str | None = None
    new_samples: bool = False
    requires: Callable[[nn.Module, tuple[int, ...]], None] | None = None
    combine: Literal["mean", "first"] = "mean"
    is_repeatable: bool = False

    @property
    def sees_data(self) -> bool:
        """Whether it looks at any image."""
        return self.sees != "nothing"

    def __call__(
        self, model: nn.Module, batches: BatchSource, generator: torch.Generator, sparsity: float, **offered: Any
    ) -> Scores:
        """Score the model's weights, on the way to ``sparsity``.

        Args:
            model: it is given to the function as it is.
            batches: what it sees of the images.
            generator: the run's, for mask placement.
            sparsity: the target, in [0, 1).
            offered: what else the function is given if it takes it; see :mod:`prunecheck.pruning.signatures`.

        Returns:
            Scores; of a user's function, whatever it returns.
        """
        with plain_computation():
            returned: Scores = call(
                self.function, model, batches, {"generator": generator, "sparsity": sparsity, **offered}
            )
        return returned

    def with_argument(self, text: str) -> "Criterion":
        """Return the criterion with its argument set, under the name ``NAME@VALUE``.

        Args:
            text: an integer of at least 1, or a finite number where the default is a float.

        Raises:
            InputError: the criterion takes no argument, or ``text`` is none that it can take.
        """
        if self.argument is None:
            raise InputError(f"the criterion {self.name} takes no argument: leave @{text} out.")
        default = inspect.signature(self.function).parameters[self.argument].default
        value = _read_argument(self.name, self.argument, default, text)
        bound = functools.partial(self.function, **{self.argument: value})
        return replace(self, name=f"{self.name}@{value}", function=bound, argument=None)


def _read_argument(name: str, argument: str, default: int | float, text: str) -> int | float:
    if isinstance(default, int):
        # No leading zero and no digits but ASCII's: one criterion has one name.
        if re.fullmatch(r"[1-9][0-9]*", text):
            return int(text)
        kind = "an integer of at least 1"
    else:
        with_number = re.fullmatch(r"-?[0-9]*\.?[0-9]+(e-?[0-9]+)?", text)
        if with_number and math.isfinite(float(text)):
            return float(text)
        kind = "a finite number"
    raise InputError(f"the argument of {name} ({argument}) must be {kind}, such as {name}@{default}, not {text!r}.")


CRITERIA: Registry[Criterion] = Registry("criterion", "prunecheck.criteria")

ScoringFunction = TypeVar("ScoringFunction", bound=Callable[..., Scores])


def register_criterion(
    name: str,
    sees: Sees = "samples",
    argument: str | None = None,
    new_samples: bool = False,
    requires: Callable[[nn.Module, tuple[int, ...]], None] | None = None,
    combine: Literal["mean", "first"] = "mean",
    is_repeatable: bool = False,
) -> Callable[[ScoringFunction], ScoringFunction]:
    """Register a scoring function under ``name``; it then scores as in :func:`plain_computation`, whoever calls it.

    Args:
        name: what the command line shows.
        sees: which images it looks at; see :class:`Criterion`.
        argument: the parameter that the user may set.
        new_samples: whether each pass over the samples draws others.
        requires: see :class:`Criterion`, as for what follows.
        combine: how the scores of weights that are kept together make one.
        is_repeatable: whether scores follow from the network and the samples alone.

    Raises:
        ValueError: the function has no such parameter with a default that is a number, or takes the training set and
            is said not to see it.
    """

    def decorate(function: ScoringFunction) -> ScoringFunction:
        if argument is not None:
            parameter = inspect.signature(function).parameters.get(argument)
            if parameter is None or type(parameter.default) not in (int, float):
                raise ValueError(f"the criterion {name} needs a parameter {argument} whose default is a number")
        if takes(function, "training_set") and sees != "training set":
            raise ValueError(f'the criterion {name} takes training_set: register it with sees="training set"')
        function = plain_computation()(function)
        criterion = Criterion(name, function, sees, argument, new_samples, requires, combine, is_repeatable)
        CRITERIA.add(name, criterion, first_line(function))
        return function

    return decorate


@register_criterion("magnitude", sees="nothing")
def magnitude(model: nn.Module, batches: BatchSource = ()) -> Scores:
    """Absolute value of the weight."""
    return {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}


@register_criterion("random", sees="nothing", combine="first")
def random_scores(model: nn.Module, batches: BatchSource = (), *, generator: torch.Generator) -> Scores:
    """A uniform random number, drawn on the CPU."""
    return {
        name: torch.rand(weight.shape, generator=generator, dtype=torch.float64, device="cpu").to(weight.device)
        for name, weight in prunable_weights(model).items()
    }


@register_criterion("snip", is_repeatable=True)
def snip(model: nn.Module, batches: BatchSource) -> Scores:
    """Connection sensitivity: absolute value of weight times gradient of the loss.

    SNIP (Lee et al., ICLR 2019, arXiv:1810.02340, equation 4, up to normalisation). Gradients are
    summed over the batches, in training mode, on a copy: the model is left as it was.

    Raises:
        InputError: no batch is given.
    """
    scored, weights = copy_for_scoring(model, batches)
    gradient = summed_gradient(scored, weights, batches)
    return {name: (weight.detach() * g).abs() for (name, weight), g in zip(weights.items(), gradient, strict=True)}


@register_criterion("grasp-without-redraw", is_repeatable=True)
def grasp(model: nn.Module, batches: BatchSource) -> Scores:
    """Gradient flow: weight times Hessian-gradient product of the loss, all layers scored as they are.

    GraSP (Wang et al., ICLR 2020, arXiv:2002.07376, equation 8, with the sign turned so that larger
    means keep). As in the published code each batch is sorted by class and fed as two halves, the
    logits are divided by 200, the gradient is summed over all halves first, and the
    Hessian-gradient products are summed after; in training mode, on a copy. Every layer is scored with
    the weights that it has: :func:`grasp_with_redrawn_linear_layers` is what the published code does.

    Raises:
        InputError: no batch is given.
    """
    return _gradient_flow(*copy_for_scoring(model, batches), batches)


def _gradient_flow(scored: nn.Module, weights: dict[str, Tensor], batches: BatchSource) -> Scores:
    parts = [part for batch in batches for part in halves_by_class(batch)]
    gradient = summed_gradient(scored, weights, parts, GRASP_TEMPERATURE)
    products = [torch.zeros_like(weight) for weight in weights.values()]
    for part in parts:
        loss = loss_of(scored, part, GRASP_TEMPERATURE)
        first = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
        flow = torch.stack([(g * f).sum() for g, f in zip(gradient, first, strict=True)]).sum()
        # A layer that the loss does not depend on, or only linearly, has derivatives of 0.
        torch._foreach_add_(products, list(second_gradient(flow, weights, "grasp")))
    return {name: weight.detach() * h for (name, weight), h in zip(weights.items(), products, strict=True)}


@register_criterion("grasp")
def grasp_with_redrawn_linear_layers(model: nn.Module, batches: BatchSource, *, generator: torch.Generator) -> Scores:
    """Gradient flow, with the linear layers' weights drawn anew (Xavier normal) for the scoring, as published.

    The published code of GraSP (arXiv:2002.07376), which that of arXiv:2009.11094 takes over, draws the
    weights of every linear layer from N(0, 2 / (inputs + outputs)) in the copy that it scores by
    :func:`grasp`. The ticket starts from the network's own weights. Without this, a linear layer of
    small initial weights, such as the N(0, 0.01) of the published networks, is pruned almost whole.

    Args:
        model: with its weights; it is left as it was.
        batches: what is scored with.
        generator: whose seed the redraw has a generator of its own from, so that it neither depends
            on earlier draws nor changes later ones.

    Raises:
        InputError: no batch is given.
    """
    scored, weights = copy_for_scoring(model, batches)
    draws = derived_generator(generator, "linear layers that GraSP scores")
    for module in scored.modules():
        if isinstance(module, nn.Linear):
            _draw_xavier_normal(module.weight, draws)
    return _gradient_flow(scored, weights, batches)


@torch.no_grad()
def _draw_xavier_normal(weight: Tensor, generator: torch.Generator) -> None:
    """Fill a matrix in place with numbers drawn on the CPU, the same on every device (Glorot and Bengio, 2010)."""
    outputs, inputs = weight.shape
    drawn = torch.randn(weight.shape, generator=generator) * math.sqrt(2 / (inputs + outputs))
    weight.copy_(drawn)

"""How a mask moves while its network is trained: sparse training (SET, RigL) and gradual pruning (GMP, GraNet).

Here is what an update does to masks, and when it is due; :mod:`prunecheck.training.topology` does it in the loop. An
update prunes, on the way to the final sparsity, and exchanges: in each layer it drops a share of the kept weights and
grows as many elsewhere. What is dropped and grown is chosen by scores, functions under a name each.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from prunecheck.constraints import Constraint, Number, OrNone, WholeNumber, require_all
from prunecheck.declared_types import require_declared
from prunecheck.errors import InputError
from prunecheck.pruning.allocations import ALLOCATIONS
from prunecheck.pruning.layers import Masks, Scores, shapes_of
from prunecheck.pruning.masks import GLOBAL, GLOBAL_CONVOLUTIONS, allocate, keep_largest
from prunecheck.registry import Registry, first_line

PUBLISHED_INTERVAL = 100
"""Steps from one update to the next in RigL (arXiv:1911.11134, section 3) and in its reproductions."""

FEWEST_UPDATES = 15
"""For which the interval of a short training is shortened."""

DropFunction = Callable[[Scores, torch.Generator], Scores]
GrowthFunction = Callable[[Scores, torch.Generator], Scores]


@dataclass(frozen=True)
class Growth:
    """How weights are chosen that an update grows.

    Attributes:
        function: ``(gradients, generator) -> scores``, where larger is grown first: the gradient of the loss of a batch
            by every weight, removed ones too, by layer. Where no gradient is needed it is given zeros.
        needs_gradients: whether it looks at the gradients, and through them at the data.
    """

    function: GrowthFunction
    needs_gradients: bool


GROWTHS: Registry[Growth] = Registry("growth", "prunecheck.growths")

DROPS: Registry[DropFunction] = Registry("drop", "prunecheck.drops")
"""Functions ``(weights, generator) -> scores`` by which weights are kept: those with the smallest are dropped."""

GrowingFunction = TypeVar("GrowingFunction", bound=GrowthFunction)


def register_growth(name: str, *, needs_gradients: bool) -> Callable[[GrowingFunction], GrowingFunction]:
    """Register a function ``(gradients, generator) -> scores`` under ``name``; see :class:`Growth`."""

    def decorate(function: GrowingFunction) -> GrowingFunction:
        GROWTHS.add(name, Growth(function, needs_gradients), first_line(function))
        return function

    return decorate


@register_growth("gradient", needs_gradients=True)
def by_gradient(gradients: Scores, generator: torch.Generator) -> Scores:
    """Where the absolute gradient of the loss is largest (RigL, arXiv:1911.11134)."""
    return {layer: gradient.abs() for layer, gradient in gradients.items()}


@register_growth("random", needs_gradients=False)
def at_random(gradients: Scores, generator: torch.Generator) -> Scores:
    """At random (SET, arXiv:1707.04780)."""
    return _uniform(gradients, generator)


@DROPS.register("magnitude")
def smallest(weights: Scores, generator: torch.Generator) -> Scores:
    """The smallest absolute values go."""
    return {layer: weight.abs() for layer, weight in weights.items()}


@DROPS.register("random")
def any_at_random(weights: Scores, generator: torch.Generator) -> Scores:
    """Which go is drawn at random."""
    return _uniform(weights, generator)


def _uniform(like: Scores, generator: torch.Generator) -> Scores:
    return {
        layer: torch.rand(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.device)
        for layer, tensor in like.items()
    }


UPDATES: Mapping[str, Constraint[Any]] = {
    "drop_fraction": Number(at_least=0, at_most=1, what="the share of a layer's kept weights"),
    "interval": OrNone(WholeNumber()),
    "stop": Number(above=0, at_most=1, what="a share of the training"),
}
"""What the numbers of :class:`TopologyUpdates` take."""


@dataclass(frozen=True)
class TopologyUpdates:
    """How a mask moves during training.

    Attributes:
        growth: what is grown, a name in :data:`GROWTHS`; None: an update grows nothing, and exchanges nothing.
        drop: what is dropped and pruned, a name in :data:`DROPS`.
        drop_fraction: share of a layer's kept weights that the first update exchanges; it falls along a cosine.
        interval: steps from one update to the next; None: 100, as published, or as many fewer as it takes for
            15 updates, but two at least where an update stands in the place of a step.
        stop: share of the training's steps after which the mask stays.
        is_gradual: whether training starts with all weights, which updates prune along a cubic; else each layer keeps
            as many as it starts with.
        at_once: of a gradual one: the update in the middle prunes all at once, in the place of the cubic.
        sparsity: at which a gradual one ends; None while that is not said.
        allocation: by which a gradual one shares it among layers.
    """

    growth: str | None = None
    drop: str = "magnitude"
    drop_fraction: float = 0.3
    interval: int | None = None
    stop: float = 0.75
    is_gradual: bool = False
    at_once: bool = False
    sparsity: float | None = None
    allocation: str = GLOBAL

    def __post_init__(self) -> None:
        require_all(UPDATES, {name: getattr(self, name) for name in UPDATES})
        DROPS.get(self.drop)
        if self.growth is not None:
            GROWTHS.get(self.growth)

    @property
    def needs_gradients(self) -> bool:
        """Whether updates look at gradients, and so at the data."""
        return self.growth is not None and GROWTHS.get(self.growth).needs_gradients

    def with_interval(self, text: str) -> "TopologyUpdates":
        """Return the updates at another interval, in steps, as it stands in a method's name."""
        if not text.isascii() or not text.isdigit() or text.startswith("0"):
            raise InputError(f"the interval of updates is a number of steps, such as rigl@100, not {text!r}.")
        return replace(self, interval=int(text))

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> "TopologyUpdates":
        """Read updates; raise :class:`ValueError` if the values are not theirs."""
        require_declared(TopologyUpdates, values)
        try:
            return TopologyUpdates(**values)
        except InputError as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True)
class UpdateSchedule:
    """When updates of a training are due, and how much each changes.

    Args:
        updates: what is done.
        steps: of the whole training.

    Raises:
        InputError: training is to be pruned gradually, and is too short for one update.
    """

    updates: TopologyUpdates
    steps: int

    def __post_init__(self) -> None:
        if self.updates.is_gradual and not self.last:
            raise InputError(
                f"weights are pruned every {self.interval} steps of the first {self.stop}, and so never: choose a "
                "shorter interval, or train longer."
            )

    @property
    def stop(self) -> int:
        """The step, counted from 1, with which exchanging ends."""
        return max(1, int(self.updates.stop * self.steps))

    @property
    def interval(self) -> int:
        """Steps from one update to the next."""
        fewest = 2 if self.updates.needs_gradients else 1
        return self.updates.interval or max(fewest, min(PUBLISHED_INTERVAL, self.stop // FEWEST_UPDATES))

    @property
    def last(self) -> int:
        """The step of the last update that prunes; 0 if there is none."""
        return self.interval * (self.stop // self.interval)

    def is_due(self, step: int) -> bool:
        """Say whether a step, counted from 1, is one with an update."""
        return step % self.interval == 0 and (step <= self.last if self.updates.is_gradual else step < self.stop)

    def drop_fraction(self, step: int) -> float:
        """Return which share of a layer's kept weights is exchanged: alpha / 2 (1 + cos(pi t / T_end)).

        RigL (arXiv:1911.11134, section 3), with T_end = :attr:`stop`.
        """
        if self.updates.growth is None:
            return 0.0
        return self.updates.drop_fraction / 2 * (1 + math.cos(math.pi * min(step, self.stop) / self.stop))

    def pruned_share(self, step: int) -> float:
        """Return how much of the final sparsity is reached: 1 - (1 - t / T)^3, T being :attr:`last`.

        Zhu and Gupta 2018 (arXiv:1710.01878, equation 1), from sparsity 0 at step 0.
        """
        if self.updates.at_once:
            return float(step >= self._middle)
        return 1 - (1 - min(step, self.last) / self.last) ** 3

    @property
    def _middle(self) -> int:
        return self.interval * math.ceil(self.last / self.interval / 2)


def updated_masks(
    schedule: UpdateSchedule,
    step: int,
    weights: Scores,
    masks: Masks,
    gradients: Scores | None,
    generator: torch.Generator,
) -> Masks:
    """Return the masks after the update of a step; see :func:`prune_further` and :func:`exchange`.

    Args:
        schedule: of the training.
        step: counted from 1.
        weights: of the pruned layers, by layer.
        masks: before the update, True = kept.
        gradients: of the loss by all of these weights; None where growth needs none.
        generator: draws all that is random in the update; on the CPU.
    """
    updates = schedule.updates
    drop = DROPS.get(updates.drop)
    if updates.is_gradual:
        assert updates.sparsity is not None
        share = schedule.pruned_share(step)
        masks = prune_further(drop(weights, generator), masks, updates.sparsity, updates.allocation, share, generator)
    if updates.growth is None:
        return masks
    growth = GROWTHS.get(updates.growth)
    zeros = {layer: torch.zeros_like(weight) for layer, weight in weights.items()}
    grown = growth.function(zeros if gradients is None else gradients, generator)
    return exchange(drop(weights, generator), grown, masks, schedule.drop_fraction(step), generator)


def exchange(
    keep_scores: Scores, grow_scores: Scores, masks: Masks, fraction: float, generator: torch.Generator
) -> Masks:
    """Drop kept weights of each layer and grow as many, which may be the same again.

    As in the code published with RigL: int(fraction n) of the n kept weights of a layer are dropped, and as many
    grown among all that are not kept then.

    Args:
        keep_scores: by layer; the smallest of kept weights are dropped.
        grow_scores: by layer; the largest of weights that are not kept are grown.
        masks: True = kept.
        fraction: of the kept weights, in [0, 1].
        generator: draws among equal scores.

    Returns:
        Masks with as many kept weights in each layer as before.
    """
    moved = {}
    for layer, mask in masks.items():
        kept = int(mask.sum())
        count = int(fraction * kept)
        staying = _largest_of(keep_scores[layer], mask, kept - count, generator)
        moved[layer] = staying | _largest_of(grow_scores[layer], ~staying, count, generator)
    return moved


def prune_further(
    keep_scores: Scores, masks: Masks, sparsity: float, allocation: str, share: float, generator: torch.Generator
) -> Masks:
    """Prune a part of the way from whole layers to a sparsity; what was pruned before stays so.

    Args:
        keep_scores: by layer; the smallest go.
        masks: True = kept.
        sparsity: at the end of the way.
        allocation: of the end: one threshold over the layers, or ratios, to which each layer goes in the same steps.
        share: of the way, in [0, 1].
        generator: draws among equal scores.

    Returns:
        Masks that keep round(N (1 - share sparsity)) weights, or as many of each layer.
    """
    scores = {
        layer: torch.where(masks[layer], score.double().nan_to_num(nan=-torch.inf), -torch.inf)
        for layer, score in keep_scores.items()
    }
    if allocation in (GLOBAL, GLOBAL_CONVOLUTIONS):
        pruned = allocate(scores, share * sparsity, allocation, generator)
    else:
        ratios = ALLOCATIONS.get(allocation)(shapes_of(scores), sparsity)
        on_the_way = {layer: 1 - share * (1 - ratio) for layer, ratio in ratios.items()}
        pruned = allocate(scores, sparsity, on_the_way, generator)
    return {layer: pruned[layer] & masks[layer] for layer in masks}


def _largest_of(scores: Tensor, among: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return which weights have the ``count`` largest scores among some."""
    candidates = {"": scores[among].double().nan_to_num(nan=-torch.inf)}
    chosen = torch.zeros_like(among)
    chosen[among] = keep_largest(candidates, count, generator)[""]
    return chosen

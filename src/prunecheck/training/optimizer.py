"""Optimizers of a masked network, a few calls for all parameters together.

They do what those of ``torch.optim`` do, without these: making one imports torch's compiler, seconds of a command.
"""

from abc import ABC, abstractmethod
from collections.abc import Container, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from prunecheck.pruning.layers import Masks, prunable_weights, weight_name
from prunecheck.training.packing import PackedParameters
from prunecheck.training.recipe import ADAMW, SGD, WEIGHTS, Recipe

Rate = float | Tensor
"""A learning rate: a number, or a tensor () on the device, where a step is recorded once for many rates."""

SECOND_MOMENT = "second_moment"
STEPS = "steps"
"""In the state of Adam: the means of squared gradients, ``second_moment/PARAMETER``, and the number of steps done."""


class MaskedOptimizer(ABC):
    """Leaves pruned weights at exactly 0, whatever it computes with.

    A pruned weight is set to 0 once and gets no gradient, so that neither momentum nor weight decay
    can move it; a kept weight that passes through 0 stays kept.

    Args:
        model: trained in place; its pruned weights are set to 0.
        masks: by layer name, True = kept; empty for a dense network.
        recipe: its hyper-parameters.
        undecayed: names of parameters that weight decay spares where the recipe has it on weights only; None to
            find them by :func:`vectors`.
        packed: names of parameters that are to lie in one vector, or in two where weight decay spares some. Every step
            moves them; :class:`.packing.PackedParameters` says who writes their gradients.
    """

    buffers_per_parameter: ClassVar[int] = 1

    def __init__(
        self,
        model: nn.Module,
        masks: Masks,
        recipe: Recipe,
        undecayed: frozenset[str] | None = None,
        packed: Container[str] = (),
    ) -> None:
        self._recipe = recipe
        named = dict(model.named_parameters())
        self._names = list(named)
        spared = frozenset[str]()
        if recipe.decayed == WEIGHTS:
            spared = vectors(model) if undecayed is None else undecayed
        alone: dict[str, Tensor] = {name: parameter for name, parameter in named.items() if name not in packed}
        self._packs, self._alone, self._decayed = list[PackedParameters](), list(alone), list[Tensor]()
        for is_decayed in (True, False):
            group = {n: p for n, p in named.items() if n in packed and (n not in spared) is is_decayed}
            if group:
                self._packs.append(PackedParameters(group))
                self._decayed += [self._packs[-1].vector] if is_decayed else []
        self._decayed += [parameter for name, parameter in alone.items() if name not in spared]
        self._parameters = [*(pack.vector for pack in self._packs), *alone.values()]
        self._make_state()
        self._mask(prunable_weights(model), masks)

    def _make_state(self) -> None:
        """Make what goes on from step to step, for each of the parameters."""
        self._momentum = [torch.zeros_like(parameter) for parameter in self._parameters]

    @torch.no_grad()
    def _mask(self, weights: Mapping[str, Tensor], masks: Masks) -> None:
        """Set pruned weights to 0, and say what keeps them there: factors of gradients."""
        self._pruned, self._kept = list[Tensor](), list[Tensor]()
        self._kept_of = dict[str, Tensor]()
        for pack in self._packs:
            if layers := [layer for layer in masks if weight_name(layer) in pack]:
                kept = torch.ones_like(pack.vector)
                self._kept_of |= {layer: pack.view(weight_name(layer), kept) for layer in layers}
                self._pruned.append(pack.vector)
                self._kept.append(kept)
        for layer in [layer for layer in masks if layer not in self._kept_of]:
            self._kept_of[layer] = torch.empty_like(weights[layer])  # of the memory format, which gradients have too
            self._pruned.append(weights[layer])
            self._kept.append(self._kept_of[layer])
        self.set_masks(masks)
        for layer in masks:
            weights[layer].masked_fill_(self._kept_of[layer] == 0, 0)

    @torch.no_grad()
    def step(self, learning_rate: Rate) -> None:
        """Update the parameters that have a gradient, and drop the gradients but for those of packed parameters."""
        _, gradients, kept = _with_gradient(self._pruned, self._kept)
        if kept:
            torch._foreach_mul_(gradients, kept)
        if self._recipe.clip_norm:
            clip_grad_norm_(self._parameters, self._recipe.clip_norm)
        self._update(learning_rate)
        for parameter in self._parameters[len(self._packs) :]:
            parameter.grad = None

    def set_masks(self, masks: Masks) -> None:
        """Take over other masks of the same layers, in place; weights and state are to be masked by the caller."""
        for layer, mask in masks.items():
            self._kept_of[layer].copy_(mask)

    @abstractmethod
    def _update(self, learning_rate: Rate) -> None:
        """Move the parameters that have a gradient, which may be written over."""

    def _add_decay_to_gradients(self) -> None:
        decayed, gradients, _ = _with_gradient(self._decayed, self._decayed)
        torch._foreach_add_(gradients, decayed, alpha=self._recipe.weight_decay)

    def state(self) -> dict[str, Tensor]:
        """Return a copy of what goes on from step to step: momentum by parameter name, and what else there is."""
        return {name: buffer.clone() for name, buffer in self._buffers().items()}

    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` returned."""
        for name, buffer in self._buffers().items():
            buffer.copy_(state[name])

    def _buffers(self) -> dict[str, Tensor]:
        return self._by_name(self._momentum)

    def _by_name(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return by the parameters' names what is updated with them, in their shapes."""
        count = len(self._packs)
        found = dict(zip(self._alone, tensors[count:], strict=True))
        for pack, vector in zip(self._packs, tensors[:count], strict=True):
            found |= pack.views(vector)
        return {name: found[name] for name in self._names}


class MaskedSGD(MaskedOptimizer):
    """SGD with momentum, Nesterov's too, and weight decay; the update is that of ``torch.optim.SGD``."""

    def _update(self, learning_rate: Rate) -> None:
        self._add_decay_to_gradients()
        parameters, gradients, momentum = _with_gradient(self._parameters, self._momentum)
        torch._foreach_mul_(momentum, self._recipe.momentum)
        torch._foreach_add_(momentum, gradients)
        if self._recipe.nesterov:
            torch._foreach_add_(gradients, momentum, alpha=self._recipe.momentum)
        directions = gradients if self._recipe.nesterov else momentum
        if isinstance(learning_rate, Tensor):
            torch._foreach_add_(parameters, torch._foreach_mul(directions, -learning_rate))
        else:
            torch._foreach_add_(parameters, directions, alpha=-learning_rate)


class MaskedAdam(MaskedOptimizer):
    """Adam (arXiv:1412.6980), or AdamW (arXiv:1711.05101); the update is that of ``torch.optim``.

    A pruned weight has moments of 0, and so a step of 0. All parameters share one count of steps.
    """

    buffers_per_parameter = 2

    def _make_state(self) -> None:
        super()._make_state()
        self._second_moment = [torch.zeros_like(parameter) for parameter in self._parameters]
        # On the device, where a step may be recorded once and repeated; in double precision, for 1 - 0.999.
        device = self._parameters[0].device if self._parameters else None
        self._steps = torch.zeros((), dtype=torch.float64, device=device)

    def _update(self, learning_rate: Rate) -> None:
        beta1, beta2 = self._recipe.momentum, self._recipe.beta2
        self._decay(learning_rate)
        parameters, gradients, momentum = _with_gradient(self._parameters, self._momentum)
        if not parameters:
            return
        _, _, second_moment = _with_gradient(self._parameters, self._second_moment)
        self._steps += 1
        torch._foreach_lerp_(momentum, gradients, 1 - beta1)
        torch._foreach_mul_(second_moment, beta2)
        torch._foreach_addcmul_(second_moment, gradients, gradients, 1 - beta2)
        step_size = -learning_rate / (1 - beta1**self._steps)
        steps = torch._foreach_sqrt(second_moment)
        torch._foreach_div_(steps, _like((1 - beta2**self._steps).sqrt(), steps))
        torch._foreach_add_(steps, self._recipe.epsilon)
        torch._foreach_reciprocal_(steps)
        torch._foreach_mul_(steps, _like(step_size, steps))
        torch._foreach_addcmul_(parameters, momentum, steps)

    def _decay(self, learning_rate: Rate) -> None:
        if self._recipe.optimizer != ADAMW:
            self._add_decay_to_gradients()
            return
        decayed, _, _ = _with_gradient(self._decayed, self._decayed)
        torch._foreach_mul_(decayed, 1 - learning_rate * self._recipe.weight_decay)

    def _buffers(self) -> dict[str, Tensor]:
        squares = self._by_name(self._second_moment).items()
        return super()._buffers() | {f"{SECOND_MOMENT}/{name}": one for name, one in squares} | {STEPS: self._steps}


def masked_optimizer(
    model: nn.Module,
    masks: Masks,
    recipe: Recipe,
    undecayed: frozenset[str] | None = None,
    packed: Container[str] = (),
) -> MaskedOptimizer:
    """Return a recipe's optimizer of a network; see :class:`MaskedOptimizer`."""
    return _kind_of(recipe)(model, masks, recipe, undecayed, packed)


def buffers_per_parameter(recipe: Recipe) -> int:
    """Return how many numbers a recipe's optimizer keeps of each parameter."""
    return _kind_of(recipe).buffers_per_parameter


def _kind_of(recipe: Recipe) -> type[MaskedOptimizer]:
    return MaskedSGD if recipe.optimizer == SGD else MaskedAdam


def vectors(model: nn.Module) -> frozenset[str]:
    """Return the names of a network's biases, and of what has one dimension, as normalisations have."""
    named = model.named_parameters()
    return frozenset(name for name, value in named if value.ndim <= 1 or name.rpartition(".")[2] == "bias")


def _like(number: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """Return a number in the precision of tensors, in which they are multiplied by it in one call."""
    return number.to(tensors[0].dtype)


def _with_gradient(tensors: list[Tensor], companions: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return the tensors that have a gradient, their gradients and their companions."""
    found = [(tensor, tensor.grad, other) for tensor, other in zip(tensors, companions, strict=True)]
    trained = [(tensor, gradient, other) for tensor, gradient, other in found if gradient is not None]
    return [t for t, _, _ in trained], [g for _, g, _ in trained], [c for _, _, c in trained]

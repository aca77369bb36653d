"""A ticket's network while it is trained: what the loop needs of it, and the dense one."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from prunecheck.data.inputs import blank_inputs
from prunecheck.errors import InputError
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.logits import flat_logits, input_dtype, logits_of
from prunecheck.pruning.networks_alike import found_once, is_plain, is_small
from prunecheck.pruning.tickets import Ticket, Weights, copy_weights
from prunecheck.randomness import global_states, seeded_global_generator
from prunecheck.training.optimizer import Rate, masked_optimizer
from prunecheck.training.recipe import Recipe
from prunecheck.training.weight_average import WeightAverage


class Evaluable(Protocol):
    """What can be tested: any ``nn.Module``."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """Return the logits (batch, classes), through which autograd goes back in training mode."""

    def train(self, mode: bool = True) -> object:
        """Set training or evaluation mode, as ``nn.Module.train`` does."""


class TrainableNetwork(Evaluable, Protocol):
    """A network that the loop trains, whatever it computes with."""

    def step(self, learning_rate: Rate) -> None:
        """Update the weights by their gradients, and drop the gradients."""

    def weights(self) -> Weights:
        """Return a copy of the model's whole state dict, pruned weights as 0; in evaluation mode if averaged."""

    def momentum(self) -> dict[str, Tensor]:
        """Return a copy of what training goes on with beside the weights, likewise.

        That is the momentum by parameter name, of the parameters' shapes, and as ``KIND/NAME`` whatever else the
        recipe has; see :meth:`prunecheck.training.optimizer.MaskedOptimizer.state` and
        :meth:`prunecheck.training.weight_average.WeightAverage.state`.
        """

    def load(self, weights: Mapping[str, Tensor], momentum: Mapping[str, Tensor] | None) -> None:
        """Take over what :meth:`weights` and :meth:`momentum` returned; None leaves the momentum as it is."""


class DenseNetwork:
    """A network that computes with all weights, the pruned ones held at 0.

    Args:
        ticket: its starting weights and masks.
        model: copied, not changed.
        recipe: of the optimizer, and whether weights are averaged.
        device: where to train.
        memory_format: of images and weights.
    """

    def __init__(
        self,
        ticket: Ticket,
        model: nn.Module,
        recipe: Recipe,
        device: torch.device | str,
        memory_format: torch.memory_format,
    ) -> None:
        self.model = copy_network(model)
        self.model.load_state_dict(ticket.weights)
        self.model.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
        self.optimizer = masked_optimizer(self.model, ticket.masks, recipe)
        self._average = WeightAverage(self.model, recipe.weight_average)
        self._dtype = input_dtype(self.model)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits, in float32 at least where the network computes with less."""
        logits = flat_logits(self.model(x.to(self._dtype) if x.is_floating_point() else x))
        is_imprecise = self._dtype.itemsize < torch.float32.itemsize
        return logits.float() if is_imprecise else logits

    def train(self, mode: bool = True) -> None:
        """Set training or evaluation mode."""
        self.model.train(mode)
        self._average.put_in_place(not mode)

    def step(self, learning_rate: Rate) -> None:
        """Update the weights by their gradients."""
        self.optimizer.step(learning_rate)
        self._average.update()

    def weights(self) -> Weights:
        """Return a copy of the state dict."""
        return copy_weights(self.model)

    def momentum(self) -> dict[str, Tensor]:
        """Return a copy of the state of the optimizer and of the average."""
        return self.optimizer.state() | self._average.state()

    def load(self, weights: Mapping[str, Tensor], momentum: Mapping[str, Tensor] | None) -> None:
        """Take over weights and momentum."""
        self.model.load_state_dict(weights)
        if momentum is not None:
            self.optimizer.set_state(momentum)
            self._average.set_state(momentum)


def may_draw_random_numbers(model: nn.Module, image_shape: tuple[int, ...]) -> bool:
    """Return whether a network may draw from any global generator when it is trained: torch's, numpy's or Python's.

    Of one with modules of users, or too large to be tried for so little, it is taken that it may.
    """
    if not (is_small(model) and is_plain(model)):
        return True
    try:
        return found_once(model, ("draws", image_shape), lambda: draws_random_numbers(model, image_shape))
    except InputError:  # as of one that only a GPU can run
        return True


def draws_random_numbers(model: nn.Module, image_shape: tuple[int, ...]) -> bool:
    """Return whether a network is seen to draw from a global generator when it is trained, as dropout does."""
    probed = copy_network(model).cpu().train()
    with seeded_global_generator(0, "a trial"), torch.no_grad():
        before = global_states()
        logits_of(probed, blank_inputs(2, image_shape))
        return global_states() != before

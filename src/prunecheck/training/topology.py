"""Updates of a mask that moves while its network is trained, done between the steps of the loop.

What an update does is in :mod:`prunecheck.pruning.topology`. Its random numbers come from a generator of the run's seed
and the step, and the masks are part of the checkpoint: a training that goes on ends as an uninterrupted one.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from prunecheck.data.batches import Batches
from prunecheck.data.datasets import Dataset, Images
from prunecheck.pruning.layers import Masks, Scores, prunable_weights, weight_name
from prunecheck.pruning.tickets import Ticket, Weights
from prunecheck.pruning.topology import UpdateSchedule, updated_masks
from prunecheck.randomness import generator
from prunecheck.training.acceleration import is_gpu
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.loss import training_loss
from prunecheck.training.metrics import Tally
from prunecheck.training.network import DenseNetwork, TrainableNetwork
from prunecheck.training.network_builder import NetworkBuilder
from prunecheck.training.optimizer import Rate
from prunecheck.training.recipe import Recipe
from prunecheck.training.step_numbers import draws_and_share, has_numbers
from prunecheck.training.stream import Stream, Work


class MovingNetwork:
    """A network whose mask moves, and which computes with whatever is fastest for the mask that it has.

    Args:
        ticket: its starting weights and masks.
        builder: makes a network of it, and of what it becomes.

    Attributes:
        masks: by layer, True = kept.
        was_sparse: whether it has computed with the kept weights only at some time.
    """

    def __init__(self, ticket: Ticket, builder: NetworkBuilder) -> None:
        self.masks: Masks = {layer: mask.to(builder.device) for layer, mask in ticket.masks.items()}
        self._builder = builder
        self._network: TrainableNetwork = builder.build(ticket)
        self._dense: DenseNetwork | None = None
        self.was_sparse = not isinstance(self._network, DenseNetwork)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return self._network(x)

    def train(self, mode: bool = True) -> None:
        """Set training or evaluation mode."""
        self._network.train(mode)

    def step(self, learning_rate: Rate) -> None:
        """Update the weights by their gradients."""
        self._network.step(learning_rate)

    def weights(self) -> Weights:
        """Return a copy of the state dict, removed weights as 0."""
        return self._network.weights()

    def momentum(self) -> dict[str, Tensor]:
        """Return a copy of the momentum buffers, those of removed weights as 0."""
        return self._network.momentum()

    def load(self, weights: Mapping[str, Tensor], momentum: Mapping[str, Tensor] | None) -> None:
        """Take over weights and momentum."""
        self._network.load(weights, momentum)

    def with_all_weights(self) -> DenseNetwork:
        """Return the network in training mode, to be called with all weights; :meth:`take_statistics` follows."""
        if isinstance(self._network, DenseNetwork):
            return self._network
        weights = self.weights()
        if self._dense is None:
            self._dense = self._builder.build_dense(Ticket(weights, {}))
        self._dense.load(weights, None)
        self._dense.train()
        return self._dense

    def take_statistics(self) -> None:
        """Take over what batch norms have counted in :meth:`with_all_weights`."""
        if self._dense is not None and not isinstance(self._network, DenseNetwork):
            self._network.load(self._dense.weights(), None)

    def set_masks(self, masks: Masks) -> None:
        """Move the mask: removed weights and their momentum become 0, and grown weights start with both as 0."""
        self.masks = dict(masks)
        self.train(False)  # what is averaged goes on from there, as from a checkpoint
        weights, momentum = self._masked(self.weights()), self._masked(self.momentum())
        # Where only one kind of network is there, it goes on in place: a captured step reads its tensors.
        is_settled = is_gpu(self._builder.device)
        made = self._network if is_settled else self._builder.build(Ticket(weights, self.masks))
        if isinstance(made, DenseNetwork) and isinstance(self._network, DenseNetwork):
            self._network.optimizer.set_masks(self.masks)
            self._network.load(weights, momentum)
            self.train()
            return
        made.load(weights, momentum)
        made.train()
        self._network = made
        self.was_sparse = self.was_sparse or not isinstance(made, DenseNetwork)

    def _masked(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Set to 0 what belongs to removed weights: these, and the optimizer's and the average's ``KIND/NAME``."""
        masks = {weight_name(layer): mask for layer, mask in self.masks.items()}
        for name, tensor in tensors.items():
            mask = masks.get(name.rpartition("/")[2])
            if mask is not None:
                tensor.masked_fill_(~mask, 0)
        return tensors


class MaskUpdates:
    """The updates of one training.

    Args:
        network: whose mask moves.
        schedule: of the training.
        recipe: hyper-parameters.
        seed: of the run.
        steps_per_epoch: batches in an epoch.
        growth_batches: images in whose gradients weights are grown, in the place of those that are trained on: the
            same ones of a batch, or as far along; None for the batch's own.
    """

    def __init__(
        self,
        network: MovingNetwork,
        schedule: UpdateSchedule,
        recipe: Recipe,
        seed: int,
        steps_per_epoch: int,
        growth_batches: Batches | None = None,
    ) -> None:
        self.network = network
        self._schedule, self._recipe, self._seed, self._steps_per_epoch = schedule, recipe, seed, steps_per_epoch
        self._growth_batches = growth_batches

    def between(self, learn: Work, epoch: int, stream: Stream, tally: Tally, batches: Batches) -> Work:
        """Return the work of an epoch's batches, in turn: to learn from them, or to move the mask where that is due.

        As in the code published with RigL a batch whose gradients grow weights is not learned from. Where none are
        needed, the mask moves after the batch was learned from.

        Args:
            learn: learns from a batch.
            epoch: counted from 0.
            stream: where the work is done.
            tally: of the epoch.
            batches: of the training data.
        """
        steps = itertools.count(epoch * self._steps_per_epoch + 1)

        def work(*batch: Any) -> None:
            step = next(steps)
            if not self._schedule.is_due(step):
                learn(*batch)
            elif self._schedule.updates.needs_gradients:
                numbers = batch[1:] if has_numbers(self._recipe) else batch  # without its learning rate
                self._move(step, self._gradients(stream, tally, batches, *draws_and_share(self._recipe, numbers)))
            else:
                learn(*batch)
                self._move(step, None)

        return work

    def _move(self, step: int, gradients: Scores | None) -> None:
        state = self.network.weights()
        weights = {layer: state[weight_name(layer)] for layer in self.network.masks}
        drawing = generator(self._seed, "topology update", step)
        self.network.set_masks(updated_masks(self._schedule, step, weights, self.network.masks, gradients, drawing))

    def _gradients(
        self,
        stream: Stream,
        tally: Tally,
        batches: Batches,
        draws: Sequence[Tensor],
        mixed: Rate | None,
    ) -> Scores:
        """Count a batch, and return the gradients of its loss by all weights, removed ones too."""
        dense = self.network.with_all_weights()
        layers = {name: weight for name, weight in prunable_weights(dense.model).items() if name in self.network.masks}

        chosen, *varied = draws

        def loss_of(images: Batches, which: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            x, y = images.drawn(which, *varied)
            with stream.precision():
                loss, logits = training_loss(dense, x, y, self._recipe.label_smoothing, mixed)
            return loss, logits, y

        loss, logits, y = loss_of(batches, chosen)
        if self._growth_batches is None:
            found = _gradients_of(loss, layers)
        else:
            # Batch norms count the images that are trained on, as they do without this change.
            buffers = {name: buffer.clone() for name, buffer in dense.model.named_buffers()}
            changed, _, _ = loss_of(self._growth_batches, chosen % len(self._growth_batches.labels))
            found = _gradients_of(changed, layers)
            for name, buffer in dense.model.named_buffers():
                buffer.copy_(buffers[name])
        tally.add(loss, logits, y)
        self.network.take_statistics()
        return found


def _gradients_of(loss: Tensor, layers: Mapping[str, Tensor]) -> Scores:
    trained = {name: weight for name, weight in layers.items() if weight.requires_grad}
    found = torch.autograd.grad(loss, list(trained.values()), materialize_grads=True)
    by_layer = dict(zip(trained, found, strict=True))
    # A layer that is not trained has none, and keeps its mask by its weights alone.
    return {name: by_layer.get(name, torch.zeros_like(weight)) for name, weight in layers.items()}


def as_it_stands(ticket: Ticket, checkpoint: Checkpoint | None) -> Ticket:
    """Return a ticket with the masks that it had at a checkpoint."""
    return replace(ticket, masks=checkpoint.masks) if checkpoint and checkpoint.masks else ticket


def mask_updates(
    ticket: Ticket,
    builder: NetworkBuilder,
    dataset: Dataset,
    steps_per_epoch: int,
    seed: int,
    growth_images: Images | None,
) -> MaskUpdates:
    """Return the updates of a ticket whose mask moves, with its network.

    Args:
        ticket: see :class:`MovingNetwork`.
        builder: see there.
        dataset: that it is trained on.
        steps_per_epoch: batches in an epoch.
        seed: of the run.
        growth_images: images in whose gradients weights are grown; None for those that are trained on.

    Raises:
        InputError: see :class:`UpdateSchedule`.
    """
    assert ticket.updates
    recipe, growth_batches = builder.recipe, None
    if growth_images is not None:
        channels_last = bool(builder.acceleration.channels_last)
        growth_batches = Batches(
            growth_images, dataset, recipe.batch_size, builder.device, channels_last, recipe.cutout
        )
    schedule = UpdateSchedule(ticket.updates, recipe.epochs * steps_per_epoch)
    return MaskUpdates(MovingNetwork(ticket, builder), schedule, recipe, seed, steps_per_epoch, growth_batches)

"""Training as people write it, and with single things in it done as prunecheck does them.

A ``DataLoader`` augments image by image; the mask is derived anew from ``weight != 0`` for each layer
and step; loss and hits are read with ``.item()`` at each batch. So does the code published with
arXiv:2009.11094.
"""

import itertools
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.training.plain_images import plain_batches
from benchmarks.training.task import Task
from prunecheck.data import Batches, Dataset
from prunecheck.pruning.layers import Masks
from prunecheck.training import Recipe
from prunecheck.training.metrics import Tally
from prunecheck.training.optimizer import MaskedSGD


@dataclass(frozen=True)
class Ideas:
    """What is done as prunecheck does it.

    Attributes:
        data_on_device: images lie on the device as bytes, and whole batches are augmented there.
        fused_step: one step of descent for all parameters together, its masks made once.
        no_waiting: loss and hits are summed on the device and read once per epoch.
        channels_last: the channels of images and weights are innermost in memory.
        bfloat16: forward and backward are computed in bfloat16.
    """

    data_on_device: bool = False
    fused_step: bool = False
    no_waiting: bool = False
    channels_last: bool = False
    bfloat16: bool = False


PLAIN = Ideas()


class PlainLoop:
    """A ticket trained by a plain loop, a few batches at each turn.

    Args:
        task: what to train.
        ideas: what is done as prunecheck does it.

    Attributes:
        used: the names of these ideas.
    """

    def __init__(self, task: Task, ideas: Ideas = PLAIN) -> None:
        self.task, self.device, self.ideas = task, task.device, ideas
        self.used = [name for name, is_used in asdict(ideas).items() if is_used]
        self.memory_format = torch.channels_last if ideas.channels_last else torch.contiguous_format
        (ticket,) = task.tickets(1)
        self.model = task.network()
        self.model.load_state_dict(ticket.weights)
        self.model.to(device=self.device, memory_format=self.memory_format)  # type: ignore[call-overload]
        recipe = task.recipe(epochs=1)
        self.learning_rate = recipe.learning_rate
        self.optimizer: Descent = (MaskedSGD if ideas.fused_step else PlainDescent)(self.model, ticket.masks, recipe)
        self.data: Epochs = (DeviceEpochs if ideas.data_on_device else LoaderEpochs)(task, task.dataset())

    def turn(self, watched: AbstractContextManager[object] | None = None) -> float:
        """Train one batch that does not count, then an epoch of batches, and return its seconds per step.

        Args:
            watched: entered for what counts.
        """
        self.model.train()
        self._train([next(iter(DeviceEpochs(self.task, self.task.dataset()).epoch()))])
        with watched or nullcontext():
            started = time.perf_counter()
            self._train(self.data.epoch())
            return (time.perf_counter() - started) / self.task.batches

    def _train(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        tally = Tally(self.device) if self.ideas.no_waiting else WaitingTally()
        for batch, labels in batches:
            x, y = batch.to(self.device, memory_format=self.memory_format), labels.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.ideas.bfloat16):
                logits = self.model(x)
                loss = functional.cross_entropy(logits, y)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step(self.learning_rate)
            tally.add(loss, logits, y)
        tally.take()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Descent(Protocol):
    """Updates the weights of a masked network."""

    def step(self, learning_rate: float) -> None:
        """Update the weights by their gradients, and drop the gradients."""


class PlainDescent:
    """SGD whose masks are derived from the weights, layer by layer, at each step."""

    def __init__(self, model: nn.Module, masks: Masks, recipe: Recipe) -> None:
        layers = {name: module for name, module in model.named_modules() if name in masks}
        self.layers = list(layers.values())
        with torch.no_grad():
            for name, layer in layers.items():
                layer.weight.mul_(masks[name].to(layer.weight.device))
        self.optimizer = torch.optim.SGD(
            model.parameters(), recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )

    def step(self, learning_rate: float) -> None:
        """Update the weights; the learning rate is the recipe's."""
        for layer in self.layers:
            layer.weight.grad.data.mul_(layer.weight.data.abs().gt(0).float())
        self.optimizer.step()
        self.optimizer.zero_grad()


class WaitingTally:
    """Loss and hits read at each batch."""

    def __init__(self) -> None:
        self.loss, self.hits, self.count = 0.0, 0, 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch."""
        self.loss += loss.item()
        self.hits += int((logits.argmax(dim=1) == labels).sum().item())
        self.count += 1

    def take(self) -> tuple[float, float]:
        """Return the mean loss and the hits per batch."""
        return self.loss / self.count, self.hits / self.count


class Epochs(Protocol):
    """Makes augmented batches, shuffled anew in each epoch."""

    def epoch(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Return the next epoch's batches."""


class LoaderEpochs:
    """Batches from a ``DataLoader``."""

    def __init__(self, task: Task, dataset: Dataset) -> None:
        self.loader = plain_batches(dataset, task.batch_size, task.loader_workers)

    def epoch(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Return the next epoch's batches."""
        return self.loader


class DeviceEpochs:
    """Batches made on the device, as prunecheck makes them."""

    def __init__(self, task: Task, dataset: Dataset) -> None:
        self.batches = Batches(dataset.train, dataset, task.batch_size, task.device)
        self.numbers = itertools.count()

    def epoch(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Return the next epoch's batches."""
        return self.batches.epoch(0, next(self.numbers))

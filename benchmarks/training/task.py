"""What is trained: tickets of a network on random images of CIFAR-10's shape, with the published recipe."""

from dataclasses import dataclass, replace

import numpy
import torch
from torch import nn

from prunecheck.data import Augmentation, Dataset, Images, ScoringData
from prunecheck.data.datasets import Suggestion
from prunecheck.models import build_model, published_width
from prunecheck.pruning import Ticket, dense_ticket, find_method, make_ticket
from prunecheck.randomness import generator
from prunecheck.training import Recipe

CIFAR_SHAPE = (3, 32, 32)
CLASSES = 10
IMAGES_OF_A_TRAINING = 160 * 50_000
"""The published recipe's 160 epochs of CIFAR-10's 50,000 training images."""

METHOD = "random-smart"


@dataclass(frozen=True)
class Task:
    """What is timed.

    Attributes:
        model: a network's name.
        width: channels of its first stage.
        sparsity: of the tickets, which are random with smart ratios; 0 is the dense network.
        batch_size: images per step.
        batches: steps per timed epoch.
        device: where it is trained.
        loader_workers: processes of the plain loop's ``DataLoader``.
    """

    model: str
    width: int
    sparsity: float
    batch_size: int
    batches: int
    device: torch.device
    loader_workers: int

    def network(self) -> nn.Module:
        """Return the network with its initial weights."""
        return build_model(self.model, CLASSES, width=self.width)

    def tickets(self, count: int) -> list[Ticket]:
        """Return tickets that differ in their weights and masks."""
        return [self._ticket(seed) for seed in range(count)]

    def _ticket(self, seed: int) -> Ticket:
        model = build_model(self.model, CLASSES, seed=seed, width=self.width)
        if not self.sparsity:
            return dense_ticket(model)
        return make_ticket(find_method(METHOD), model, ScoringData(), self.sparsity, generator(seed, "mask placement"))

    def dataset(self) -> Dataset:
        """Return as many training images as one timed epoch takes, and a single test image."""
        return cifar_shaped(self.batch_size * self.batches)

    def recipe(self, epochs: int) -> Recipe:
        """Return the published recipe for so many epochs."""
        return replace(Recipe(), epochs=epochs, batch_size=self.batch_size)


def width_of(model: str) -> int:
    """Return a network's published width.

    Raises:
        InputError: an unknown name.
    """
    width = published_width(model)
    assert width is not None
    return width


def cifar_shaped(count: int) -> Dataset:
    """Return random images of CIFAR-10's shape, with its normalisation and augmentation."""
    source = numpy.random.default_rng(0)
    pixels = source.integers(0, 256, (count, *CIFAR_SHAPE), dtype=numpy.uint8)
    images = Images(pixels, source.integers(0, CLASSES, count))
    return Dataset(
        name="cifar-shaped",
        train=images,
        test=Images(pixels[:1], images.labels[:1]),
        num_classes=CLASSES,
        mean=(0.4914, 0.4822, 0.4465),
        deviation=(0.2023, 0.1994, 0.2010),
        augmentation=Augmentation(padding=4, flip=True),
        suggestion=Suggestion("resnet32", 32, 160, 64, 0.1),
    )

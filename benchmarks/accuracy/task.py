"""What is trained: tickets of a network on a real data set."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmarks.training.task import METHOD
from prunecheck.data import DataPlaces, Dataset, ScoringData, load_dataset
from prunecheck.models import build_model, require_input
from prunecheck.pruning import Ticket, dense_ticket, find_method, make_ticket
from prunecheck.randomness import generator
from prunecheck.training import Recipe


@dataclass(frozen=True)
class RealTask:
    """What is compared.

    Attributes:
        dataset_name: of a data set.
        places: where it lies.
        train_images: of its training part, as many of each class; None for all.
        test_images: of its test part, likewise.
        model: a network's name.
        width: channels of its first stage; None where it offers no choice.
        sparsity: of the tickets, which are random with smart ratios; 0 is the dense network.
        recipe: how all are trained.
        device: where they are trained.
    """

    dataset_name: str
    places: DataPlaces
    train_images: int | None
    test_images: int | None
    model: str
    width: int | None
    sparsity: float
    recipe: Recipe
    device: torch.device

    def dataset(self) -> Dataset:
        """Return the images.

        Raises:
            InputError: they lie in none of the places, or are fewer than asked for.
        """
        return load_dataset(self.dataset_name, self.places).shortened(self.train_images, self.test_images)

    def network(self, dataset: Dataset, seed: int) -> nn.Module:
        """Return the network with a seed's initial weights.

        Raises:
            InputError: an unknown network, or one that cannot take such images.
        """
        channels, height, width = dataset.image_shape
        options: dict[str, Any] = {} if self.width is None else {"width": self.width}
        if channels != 3:
            options["input_channels"] = channels
        model = build_model(self.model, dataset.num_classes, seed=seed, **options)
        require_input(self.model, model, height, width)
        return model

    def ticket(self, dataset: Dataset, seed: int) -> Ticket:
        """Return a seed's ticket: the same in every process and setting."""
        model = self.network(dataset, seed)
        if not self.sparsity:
            return dense_ticket(model)
        return make_ticket(find_method(METHOD), model, ScoringData(), self.sparsity, generator(seed, "mask placement"))

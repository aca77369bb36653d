from collections.abc import Callable

import pytest
import torch
from torch import nn

from prunecheck.data.batches import Batch
from prunecheck.pruning import allocate, random_scores
from prunecheck.pruning.layers import Masks
from tests.pruning.foreign_files import network

Draw = Callable[[nn.Module, int], nn.Module]


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Return a function that fills a network with numbers of its own generator."""

    def fill(model: nn.Module, seed: int) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(generator=generator)
        return model

    return fill


@pytest.fixture(scope="session")
def batch() -> Batch:
    """Nine images of 1x4x4 pixels, of three classes, neither sorted nor balanced."""
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randn(9, 1, 4, 4, generator=generator, dtype=torch.float64)
    return pixels, torch.tensor([2, 0, 1, 0, 2, 2, 1, 0, 2])


@pytest.fixture
def small_network(draw: Draw) -> nn.Module:
    """A convolution, batch norm and a linear layer for the images of ``batch``, in float64."""
    layers = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.GELU(), nn.Flatten(), nn.Linear(8, 3)]
    return draw(nn.Sequential(*layers).double(), 3)


@pytest.fixture
def masks() -> Masks:
    return allocate(random_scores(network(), generator=torch.Generator().manual_seed(3)), 0.8)

"""Loss and accuracy of a network as it is."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from prunecheck.data import Batches, Dataset
from prunecheck.data.batches import EVALUATION_BATCH_SIZE
from prunecheck.engine.training import one_thread
from prunecheck.training.metrics import evaluate


@dataclass(frozen=True)
class Accuracy:
    """What was measured on the test images.

    Attributes:
        loss: mean cross entropy, nats.
        accuracy: percent.
    """

    loss: float
    accuracy: float


def measure(model: nn.Module, dataset: Dataset, device: str) -> Accuracy:
    """Measure a network on the test images, as training does after each epoch.

    Args:
        model: is left as it was.
        dataset: whose test images are used.
        device: where to compute.
    """
    channels_last = bool(getattr(model, "prefers_channels_last", False))
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    measured = copy.deepcopy(model).to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
    with one_thread():
        return Accuracy(
            *evaluate(measured, Batches(dataset.test, dataset, EVALUATION_BATCH_SIZE, device, channels_last))
        )

"""What is measured once per epoch."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from prunecheck.data.batches import Batches
from prunecheck.training.network import Evaluable


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch's row of ``metrics.csv``.

    Attributes:
        epoch: counted from 1.
        train_loss, test_loss: mean cross entropy (nats); in training, of the augmented images while
            the weights change.
        train_accuracy, test_accuracy: percent.

    What is of the test part is None after an epoch in which the network was not tested; see :func:`.epochs_to_test`.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    test_loss: float | None
    train_accuracy: float
    test_accuracy: float | None


class Tally:
    """Loss and hits summed on the device, read once."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), device=device)
        self._hits = torch.zeros((), dtype=torch.int64, device=device)
        self._count = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch; ``loss`` is its mean."""
        count = labels.shape[0]
        self._loss.add_(loss.detach(), alpha=count)
        self._hits.add_((logits.detach().argmax(dim=1) == labels).sum())
        self._count.add_(count)

    def take(self) -> tuple[float, float]:
        """Return the mean loss (nats) and the accuracy (percent), and begin anew; waits for the device."""
        loss, hits, count = torch.stack([self._loss.double(), self._hits.double(), self._count.double()]).tolist()
        for total in (self._loss, self._hits, self._count):
            total.zero_()  # in the same place, which a captured step adds to
        return loss / count, 100 * hits / count


def evaluate(network: Evaluable, batches: Batches) -> tuple[float, float]:
    """Return the mean loss (nats) and the accuracy (percent) over all images, in evaluation mode."""
    network.train(False)
    tally = Tally(batches.labels.device)
    for x, y in batches.in_order():
        evaluate_batch(network, tally, x, y)
    return tally.take()


def all_logits(network: Evaluable, batches: Batches) -> tuple[Tensor, Tensor]:
    """Return the logits of all images in file order, float32 (images, classes), and their labels, int64 (images,).

    Of tokens they are the logits of each place in each sequence, (sequences * T, vocabulary), and the tokens after it.

    The network is in evaluation mode; both are tensors of the caller's own, on the device of the images.
    """
    with torch.inference_mode():
        logits = [network(x) for x, _ in batches.in_order()]
    return torch.cat(logits).float(), batches.all_labels()


@torch.inference_mode()
def evaluate_batch(network: Evaluable, tally: Tally, x: Tensor, y: Tensor) -> None:
    """Count a batch of a network in evaluation mode."""
    logits = network(x)
    tally.add(functional.cross_entropy(logits, y), logits, y)

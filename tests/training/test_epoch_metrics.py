import math

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional

from prunecheck.data import Batches, Dataset
from prunecheck.pruning.tickets import copy_weights
from prunecheck.training.metrics import Tally, evaluate


def test_unequal_batches_count_by_their_images() -> None:
    tally = Tally(torch.device("cpu"))
    tally.add(torch.tensor(1.0), torch.eye(3), torch.tensor([0, 1, 0]))
    tally.add(torch.tensor(5.0), torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([2]))
    assert tally.take() == (2.0, 50.0)


def test_a_loss_that_is_not_finite_stays_visible() -> None:
    tally = Tally(torch.device("cpu"))
    tally.add(torch.tensor(math.nan), torch.eye(2), torch.tensor([0, 1]))
    tally.add(torch.tensor(1.0), torch.eye(2), torch.tensor([0, 1]))
    assert math.isnan(tally.take()[0])


@pytest.mark.parametrize("batch_size", [300, 256, 7])
def test_evaluation_is_over_all_images_in_evaluation_mode(
    network: nn.Module, few_digits: Dataset, batch_size: int
) -> None:
    scaled = (few_digits.test.pixels / numpy.float64(255) - few_digits.mean[0]) / few_digits.deviation[0]
    labels = torch.from_numpy(few_digits.test.labels)
    network.eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(scaled).float())
    network.train()
    before = copy_weights(network)
    loss, accuracy = evaluate(network, Batches(few_digits.test, few_digits, batch_size))
    assert loss == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == pytest.approx(100 * (logits.argmax(1) == labels).double().mean().item(), abs=1e-9)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)

from dataclasses import replace

import pytest
import torch
from torch import nn

from prunecheck.data import Dataset
from prunecheck.pruning import dense_ticket
from prunecheck.training import Acceleration, Recipe, train
from prunecheck.training.curves import MOST_TESTED, epochs_to_test

RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=0.1, milestones=())


def test_a_network_is_tested_after_every_epoch_where_the_test_part_is_small() -> None:
    for train_images, test_images in ((50_000, 10_000), (100, 40)):  # CIFAR, and just so many
        assert epochs_to_test(5, train_images, test_images) == {1, 2, 3, 4, 5}


def test_a_large_test_part_is_gone_through_no_more_often_than_its_share_allows() -> None:
    epochs, train_images, test_images = 40, 640, 1157  # digits
    tested = epochs_to_test(epochs, train_images, test_images)
    assert max(tested) == epochs
    earlier = sorted(tested - {epochs})
    for passes, epoch in enumerate(earlier, 1):
        assert passes * test_images <= MOST_TESTED * epoch * train_images
        assert passes * test_images > MOST_TESTED * (epoch - 1) * train_images  # as soon as it may be
    assert (len(earlier) + 1) * test_images > MOST_TESTED * (epochs - 1) * train_images


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_the_curves_that_are_asked_for_are_whole_or_one_point(epochs: int) -> None:
    assert epochs_to_test(epochs, 1, 10**9, thin=False) == set(range(1, epochs + 1))
    assert epochs_to_test(epochs, 10**9, 1, thin=True) == {epochs}


class Dropping(nn.Module):
    """Draws from torch's generator while it is trained."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        channels, height, width = dataset.image_shape
        self.fc = nn.Linear(channels * height * width, dataset.num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(nn.functional.dropout(x.flatten(1), 0.2, self.training))  # type: ignore[no-any-return]


def test_what_is_trained_does_not_depend_on_when_it_is_tested(few_digits: Dataset) -> None:
    model = Dropping(few_digits)
    records = []
    for thin in (False, True):
        acceleration = Acceleration(thin_curves=thin)
        (record,) = train([dense_ticket(model)], model, few_digits, RECIPE, [3], acceleration=acceleration)
        records.append(record)
    whole, thinned = records
    assert all(torch.equal(thinned.weights[name], tensor) for name, tensor in whole.weights.items())
    assert all(row.test_loss is not None for row in whole.metrics)
    assert [row.test_accuracy is None for row in thinned.metrics] == [True, True, True, False]
    assert thinned.metrics[-1] == whole.metrics[-1]
    untested = [replace(row, test_loss=None, test_accuracy=None) for row in whole.metrics[:-1]]
    assert list(thinned.metrics[:-1]) == untested


def test_a_training_whose_loss_is_no_number_ends_though_it_was_not_tested(few_digits: Dataset) -> None:
    model = Dropping(few_digits)
    recipe = replace(RECIPE, epochs=9, learning_rate=1e30)
    acceleration = Acceleration(thin_curves=True)
    (record,) = train([dense_ticket(model)], model, few_digits, recipe, [3], acceleration=acceleration)
    assert record.diverged
    assert len(record.metrics) < recipe.epochs
    assert record.metrics[-1].test_loss is None

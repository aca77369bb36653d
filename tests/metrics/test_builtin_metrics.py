import math

import pytest
import torch

from prunecheck.errors import InputError
from prunecheck.metrics import METRICS, find_metric

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [1.0, 0.0, 0.5], [0.0, 0.0, 9.0]])
LABELS = torch.tensor([0, 1, 1, 2])


def test_accuracy_and_balanced_accuracy_count_images_and_classes() -> None:
    assert find_metric("accuracy").value(LOGITS, LABELS) == 75
    # Class 1 has two images, of which one is found: (1 + 1/2 + 1) / 3.
    assert find_metric("balanced-accuracy").value(LOGITS, LABELS) == pytest.approx(100 * 2.5 / 3)


def test_a_class_without_images_is_left_out_of_balanced_accuracy() -> None:
    assert find_metric("balanced-accuracy").value(LOGITS[:3], LABELS[:3]) == pytest.approx(75)
    assert find_metric("balanced-accuracy").value(LOGITS[3:], LABELS[3:]) == 100


def test_cross_entropy_is_the_mean_negative_logarithm_of_the_softmax() -> None:
    chances = [
        math.exp(row[label]) / sum(map(math.exp, row)) for row, label in zip(LOGITS.tolist(), LABELS, strict=True)
    ]
    expected = -sum(map(math.log, chances)) / 4
    assert find_metric("cross-entropy").value(LOGITS, LABELS) == pytest.approx(expected)


def test_top5_takes_the_five_largest_logits() -> None:
    logits = torch.arange(7.0).repeat(4, 1)
    assert find_metric("top5-accuracy").value(logits, torch.tensor([0, 1, 2, 6])) == 50
    with pytest.raises(InputError, match=r"^top5-accuracy is 100 % .* and these data have 5: choose accuracy"):
        find_metric("top5-accuracy").value(logits[:, :5], torch.tensor([0, 1, 2, 3]))


@pytest.mark.parametrize(
    ("metric", "chance"),
    [
        ("accuracy", 60),  # the commonest class
        ("balanced-accuracy", 100 / 3),
        ("cross-entropy", -(0.3 * math.log(0.3) + 0.6 * math.log(0.6) + 0.1 * math.log(0.1))),
    ],
)
def test_guessing_goes_by_the_shares_of_the_classes(metric: str, chance: float) -> None:
    labels = torch.tensor([0] * 3 + [1] * 6 + [2])
    assert find_metric(metric).chance_level(labels, 3) == pytest.approx(chance)


def test_a_class_that_the_test_part_lacks_is_never_guessed() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    assert find_metric("cross-entropy").chance_level(labels, 3) == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", METRICS.names())
def test_each_metric_is_better_for_a_better_network(name: str) -> None:
    labels = torch.arange(60) % 6
    noise = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    metric = find_metric(name)
    signal = torch.nn.functional.one_hot(labels, 6)
    poor, good = (metric.value(noise + strength * signal, labels) for strength in (0.5, 3.0))
    assert metric.quantity.advantage(good, poor) > 0

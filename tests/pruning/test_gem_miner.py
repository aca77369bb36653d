import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from prunecheck.data import Batches, load_dataset
from prunecheck.data.batches import Batch
from prunecheck.data.scoring_data import TrainingEpochs
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import CRITERIA, allocate, gem_miner, prunable_weights
from prunecheck.pruning.collapse import NOT_FINITE, collapse_of_scores
from prunecheck.pruning.gem_miner import LEARNING_RATE, LOGIT_DEVIATION, REGULARISATION
from prunecheck.pruning.layers import Masks, Scores


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(tensors: Scores | Masks) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def linear(rows: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows)
    return layer


def test_one_step_by_hand() -> None:
    # Only scores of at least one half let their weight in. The slope is weight times gradient, over the layer's root
    # mean square; the first step has the whole learning rate and no momentum yet.
    weight, x = torch.tensor([[1.0, 2.0], [-1.0, 0.5]]), torch.tensor([[1.0, 2.0], [3.0, 1.0]])
    drawn = torch.rand(2, 2, generator=seeded(1))
    assert 0 < int((drawn >= 0.5).sum()) < 4
    point = (weight * (drawn >= 0.5)).requires_grad_()
    logits = x @ point.T
    scale = LOGIT_DEVIATION / float(logits.detach().std())
    # Labels 0 and 1: the loss is the mean of log(1 + exp(other - own)).
    margins = scale * torch.stack([logits[0, 1] - logits[0, 0], logits[1, 0] - logits[1, 1]])
    (gradient,) = torch.autograd.grad(margins.exp().log1p().mean(), point)
    slope = weight * gradient / (weight * gradient).square().mean().sqrt()
    expected = (drawn - LEARNING_RATE * (slope + REGULARISATION * drawn)).clamp(0, 1)
    batches = [(x, torch.tensor([0, 1]))]
    scores = gem_miner(linear(weight.tolist()), batches, generator=seeded(1), sparsity=0.0, epochs=1)[""]
    torch.testing.assert_close(scores, expected)


def test_it_finds_the_one_input_that_tells() -> None:
    # The first input is the sign of the class, the others are noise: with these weights it should stay alone.
    generator = seeded(0)
    labels = torch.randint(0, 2, (64,), generator=generator)
    x = torch.randn(64, 6, generator=generator)
    x[:, 0] = 2.0 * labels - 1
    model = linear([[-1.0] * 6, [1.0] * 6])
    batches = [(x[:32], labels[:32]), (x[32:], labels[32:])]
    scores = gem_miner(model, batches, generator=seeded(1), sparsity=1 - 2 / 12)
    assert allocate(scores, 1 - 2 / 12)[""].tolist() == [[True] + [False] * 5] * 2


@settings(max_examples=15, deadline=None)
@given(sparsity=st.floats(0, 0.99), epochs=st.integers(1, 12), seed=st.integers(0, 1000))
def test_weights_are_frozen_on_an_exponential_schedule(sparsity: float, epochs: int, seed: int) -> None:
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).requires_grad_(True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=seeded(seed))
    batches = [(torch.randn(6, 5, generator=seeded(seed)), torch.arange(6) % 3)]
    scores = flat(gem_miner(model, batches, generator=seeded(seed), sparsity=sparsity, epochs=epochs))
    freezing = max(1, int(0.8 * epochs))
    for number in range(1, freezing + 1):
        gone = 64 - round(64 * (1 - sparsity) ** (number / freezing))
        assert int((scores < number - freezing - 0.5).sum()) == gone
    assert bool((scores[scores >= 0] <= 1).all())
    assert int(flat(allocate({"all": scores}, sparsity)).sum()) == round(64 * (1 - sparsity))
    # Who survives is chosen among all that survived before: none of the removed comes back.
    assert set(scores[scores < 0].tolist()) <= set(range(-freezing, 0))


class Passes:
    """Batches that count how often they are gone through."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches, self.count = batches, 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):  # type: ignore[no-untyped-def]
        self.count += 1
        return iter(self.batches)


def test_each_epoch_is_one_pass_over_the_training_set(small_network: nn.Module, batch: Batch) -> None:
    passes = Passes([batch, batch])
    CRITERIA.get("gem-miner").with_argument("7")(small_network, passes, seeded(0), 0.5)
    assert passes.count == 7


def test_no_epochs_no_sparsity_and_no_data_are_refused(small_network: nn.Module, batch: Batch) -> None:
    with pytest.raises(InputError, match="at least 1 epoch, not 0"):
        gem_miner(small_network, [batch], generator=seeded(0), sparsity=0.5, epochs=0)
    with pytest.raises(InputError, match="less than 1, not 1"):
        gem_miner(small_network, [batch], generator=seeded(0), sparsity=1.0)
    with pytest.raises(InputError, match="given none"):
        gem_miner(small_network, [], generator=seeded(0), sparsity=0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_leaves_scores_that_are_reported(
    value: float, small_network: nn.Module, batch: Batch
) -> None:
    scores = gem_miner(small_network, [(batch[0] * value, batch[1])], generator=seeded(0), sparsity=0.5)
    masks = {layer: torch.ones_like(score, dtype=torch.bool) for layer, score in scores.items()}
    collapse = collapse_of_scores(scores, masks)
    assert collapse is not None
    assert collapse.reason == NOT_FINITE


def accuracy_untrained(model: nn.Module, masks: Masks, train: Batches, test: Batches) -> float:
    """Return the share of hits at the initial weights, with batch norm's statistics of the masked network."""
    masked = copy.deepcopy(model)
    for layer, weight in prunable_weights(masked).items():
        weight.data.mul_(masks[layer])
    for module in masked.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for x, _ in train.in_order():
            masked.train()(x)
        hits = [masked.eval()(x).argmax(1) == y for x, y in test.in_order()]
    return float(torch.cat(hits).double().mean())


def test_its_mask_knows_the_digits_before_any_weight_is_trained_and_a_rearranged_one_does_not() -> None:
    dataset = load_dataset("digits")
    train, test = Batches(dataset.train, dataset, 64), Batches(dataset.test, dataset, 256)
    model = build_model("resnet8", num_classes=10, width=16, input_channels=1)
    scores = gem_miner(model, TrainingEpochs(train, 0), generator=seeded(0), sparsity=0.9, epochs=8)
    masks = allocate(scores, 0.9)
    order = {layer: torch.randperm(mask.numel(), generator=seeded(1)) for layer, mask in masks.items()}
    rearranged = {layer: mask.flatten()[order[layer]].view_as(mask) for layer, mask in masks.items()}
    # Chance is 0.1.
    assert accuracy_untrained(model, masks, train, test) > 0.6
    assert accuracy_untrained(model, rearranged, train, test) < 0.3

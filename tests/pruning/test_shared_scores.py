import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import CRITERIA, Criterion, find_method, networks_alike, prunable_weights
from prunecheck.pruning.layers import Scores
from prunecheck.pruning.scoring import BatchSource
from prunecheck.pruning.shared_scores import scored_once
from prunecheck.pruning.signatures import OFFERED, takes


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks_alike, "_found", {})


def network(seed: int = 0) -> nn.Module:
    return build_model("resnet8", 10, seed, width=4, input_channels=1)


def images(seed: int = 0, count: int = 4) -> list[Batch]:
    drawn = torch.Generator().manual_seed(seed)
    return [(torch.rand(count, 1, 8, 8, generator=drawn), torch.arange(count) % 10) for _ in range(2)]


SNIP = find_method("snip").criterion


def repeatable(function: Callable[..., Scores]) -> Criterion:
    return Criterion("own", function, is_repeatable=True)


class Calls:
    """Scores by a criterion, and counts how often that is done."""

    def __init__(self, criterion: Criterion = SNIP) -> None:
        self.criterion, self.count = criterion, 0

    def __call__(self, model: nn.Module, batches: BatchSource) -> Scores:
        def score() -> Scores:
            self.count += 1
            return self.criterion(model, batches, torch.Generator(), 0.5)

        scores: Scores = scored_once(self.criterion, model, batches, score)
        return scores


def plain(model: nn.Module, batches: BatchSource) -> Scores:
    return {layer: weight.detach() + batches[0][0].sum() for layer, weight in prunable_weights(model).items()}  # type: ignore[index]


def same(first: Scores, second: Scores) -> bool:
    return all(torch.equal(first[layer], second[layer]) for layer in first)


def test_scores_of_the_same_weights_and_images_are_made_once_and_are_the_callers_own() -> None:
    calls = Calls()
    first, again = calls(network(), images()), calls(network(), images())
    assert calls.count == 1
    assert same(first, again)
    expected = {layer: score.clone() for layer, score in first.items()}
    for score in (*first.values(), *again.values()):
        score.zero_()
    assert same(calls(network(), images()), expected)


def with_another_bias(model: nn.Module) -> nn.Module:
    model.get_parameter("bn1.bias").data[0] += 1
    return model


def with_labels_turned(batches: list[Batch]) -> list[Batch]:
    return [(x, y.flip(0)) for x, y in batches]


@pytest.mark.parametrize(
    ("model", "batches"),
    [
        (network(1), images()),
        (with_another_bias(network()), images()),
        (network().eval(), images()),
        (network(), images(1)),
        (network(), with_labels_turned(images())),
        (network(), images()[::-1]),
        (network(), images()[:1]),
    ],
    ids=["other weights", "another bias", "other modes", "other images", "other labels", "other order", "fewer"],
)
def test_scores_of_anything_else_are_made_anew(model: nn.Module, batches: list[Batch]) -> None:
    calls = Calls()
    calls(network(), images())
    found = calls(model, batches)
    assert calls.count == 2
    assert same(found, calls.criterion(model, batches, torch.Generator(), 0.5))


def test_another_function_scores_anew_whatever_it_is_called() -> None:
    first = Calls(repeatable(plain))
    second = Calls(repeatable(lambda model, batches: {layer: -score for layer, score in plain(model, batches).items()}))
    scores = first(network(), images())
    assert same(second(network(), images()), {layer: -score for layer, score in scores.items()})


def with_randomness(model: nn.Module, batches: BatchSource) -> Scores:
    return {layer: torch.rand_like(weight) for layer, weight in prunable_weights(model).items()}


@functools.wraps(SNIP.function)
def called_snip(model: nn.Module, batches: BatchSource) -> Scores:
    return plain(model, batches)


@pytest.mark.parametrize(
    "criterion",
    [repeatable(with_randomness), Criterion("mine", plain), Criterion("snip", called_snip)],
    ids=["random", "of a user", "of a user by another name"],
)
def test_what_depends_on_more_than_weights_and_images_is_made_anew(criterion: Criterion) -> None:
    calls = Calls(criterion)
    for _ in range(2):
        calls(network(), images())
    assert calls.count == 2


def test_the_criteria_of_which_a_run_shares_scores_are_given_nothing_but_the_samples() -> None:
    found = {entry.item.name: entry.item for entry in CRITERIA if entry.item.is_repeatable}
    assert set(found) == {"snip", "grasp-without-redraw"}
    for criterion in found.values():
        assert criterion.sees == "samples" and not criterion.new_samples
        assert not any(takes(criterion.function, name) for name in OFFERED)


class DrawnAnew(list[Batch]):
    """Batches that are others in each pass."""

    passes = 0

    def __iter__(self) -> Iterator[Batch]:
        self.passes += 1
        return iter(images(self.passes))


def test_batches_that_are_drawn_anew_are_gone_through_as_often_as_the_criterion_does() -> None:
    calls, batches, alone = Calls(), DrawnAnew(images()), DrawnAnew(images())
    found = calls(network(), batches)
    expected = SNIP(network(), alone, torch.Generator(), 0.5)
    assert batches.passes == alone.passes > 0
    assert same(found, expected)
    calls(network(), batches)
    assert calls.count == 2


@pytest.mark.parametrize("wrong", [(torch.rand(4, 1, 8, 8), torch.arange(4)), [(torch.rand(4, 1, 8, 8),)], []])
def test_batches_that_are_none_are_refused_by_the_criterion(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"batches must be|was given none|pair of two"):
        Calls()(network(), wrong)


def test_a_hook_on_all_modules_is_heeded() -> None:
    calls = Calls()
    without = calls(network(), images())
    hook = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: 2 * output)
    try:
        heeded = [calls(network(), images()) for _ in range(2)]
    finally:
        hook.remove()
    assert calls.count == 3
    assert same(*heeded) and not same(without, heeded[0])
    assert same(calls(network(), images()), without)


def test_random_scores_are_drawn_from_where_the_generator_is() -> None:
    """As alone, when others have scored before: neither are they kept, nor is the generator put back."""
    calls = Calls(repeatable(with_randomness))
    torch.manual_seed(0)
    first, second = calls(network(), images()), calls(network(), images())
    torch.manual_seed(0)
    expected = [with_randomness(network(), images()) for _ in range(2)]
    assert same(first, expected[0]) and same(second, expected[1])
    assert not same(first, second)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))  # type: ignore[no-any-return]


def test_a_network_of_a_users_is_scored_anew() -> None:
    calls, model = Calls(), Own()
    for _ in range(2):
        calls(model, images())
    assert calls.count == 2

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.models import build_model
from prunecheck.pruning import Criterion, find_method, networks_alike, prunable_weights
from prunecheck.pruning.layers import Scores
from prunecheck.pruning.scoring import BatchSource
from prunecheck.pruning.shared_scores import scored_once


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks_alike, "_found", {})


def network(seed: int = 0) -> nn.Module:
    return build_model("resnet8", 10, seed, width=4, input_channels=1)


def images(seed: int = 0, count: int = 4) -> list[Batch]:
    drawn = torch.Generator().manual_seed(seed)
    return [(torch.rand(count, 1, 8, 8, generator=drawn), torch.arange(count) % 10) for _ in range(2)]


SNIP = find_method("snip").criterion


def own(function: Callable[..., Scores], **given: object) -> Criterion:
    """Return a criterion of a function that comes with prunecheck as far as can be told."""
    function.__module__ = "prunecheck.pruning.criteria"
    return replace(Criterion("own", function), **given)  # type: ignore[arg-type]


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
    first = Calls(own(plain))
    second = Calls(own(lambda model, batches: {layer: -score for layer, score in plain(model, batches).items()}))
    scores = first(network(), images())
    assert same(second(network(), images()), {layer: -score for layer, score in scores.items()})


def with_sparsity(model: nn.Module, batches: BatchSource, sparsity: float) -> Scores:
    return plain(model, batches)


def with_generator(model: nn.Module, batches: BatchSource, generator: torch.Generator) -> Scores:
    return plain(model, batches)


def with_randomness(model: nn.Module, batches: BatchSource) -> Scores:
    return {layer: torch.rand_like(weight) for layer, weight in prunable_weights(model).items()}


def of_a_user(model: nn.Module, batches: BatchSource) -> Scores:
    return plain(model, batches)


@pytest.mark.parametrize(
    "of_what",
    [
        own(with_sparsity),
        own(with_generator),
        own(with_randomness),
        own(plain, new_samples=True),
        own(plain, sees="training set"),
        Criterion("mine", of_a_user),
    ],
    ids=["sparsity", "generator", "global generator", "new samples", "training set", "of a user"],
)
def test_what_depends_on_more_than_weights_and_images_is_made_anew(of_what: Criterion) -> None:
    calls = Calls(of_what)
    for _ in range(2):
        calls(network(), images())
    assert calls.count == 2


def test_random_scores_are_drawn_from_where_the_generator_is() -> None:
    """As alone, when others have scored before: neither are they kept, nor is the generator put back."""
    calls = Calls(own(with_randomness))
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

"""Every criterion on the networks of the zoo: scores, or one sentence that says what is wrong with the network."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from prunecheck.data import ScoringData
from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning import CRITERIA, find_method, make_ticket, prunable_shapes, prunable_weights
from prunecheck.pruning.layers import Scores
from prunecheck.pruning.logits import require_logits
from tests.pruning.zoo import (
    ATTENTION,
    CLASSES,
    IMAGE_SHAPE,
    NO_COPY,
    NO_LOGITS,
    OF_OTHER_NUMBERS,
    PRUNABLE,
    Convolutional,
)

Draw = Callable[[nn.Module, int], nn.Module]

RUN_THE_NETWORK = [name for name in CRITERIA.names() if name not in ("magnitude", "random")]
"""The criteria that give images to the network."""

REFUSALS = {
    "synflow": "^synflow cannot score this network",
    "phew": "^the paths through this network cannot be followed, which phew walks",
}
"""What is said of attention and recurrence."""

WITH_A_LOSS = [name for name in RUN_THE_NETWORK if CRITERIA.get(name).sees_data]


def images(count: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, *IMAGE_SHAPE, generator=generator), torch.arange(count) % CLASSES


def score(name: str, network: nn.Module, batch: Batch | None = None) -> Scores:
    criterion = CRITERIA.get(name)
    if criterion.argument:
        criterion = criterion.with_argument("2")
    return criterion(network, [batch or images()], torch.Generator().manual_seed(0), 0.5)


@pytest.mark.parametrize("kind", PRUNABLE)
@pytest.mark.parametrize("name", CRITERIA.names())
def test_it_is_scored_and_left_as_it_was(name: str, kind: str) -> None:
    network = PRUNABLE[kind]()
    if name in REFUSALS and kind in (*ATTENTION, "recurrent"):
        with pytest.raises(InputError, match=REFUSALS[name]):
            score(name, network)
        return
    state = {key: value.clone() for key, value in network.state_dict().items()}
    gradients = {key: value.grad for key, value in network.named_parameters()}
    wanted = {key: value.requires_grad for key, value in network.named_parameters()}
    training, random_state = network.training, torch.get_rng_state()
    scores = score(name, network)
    assert {layer: tuple(values.shape) for layer, values in scores.items()} == prunable_shapes(network)
    assert all(bool(values.isfinite().all()) and not values.requires_grad for values in scores.values())
    assert any(bool((values != 0).any()) for values in scores.values())
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert all(value.grad is gradients[key] for key, value in network.named_parameters())
    assert {key: value.requires_grad for key, value in network.named_parameters()} == wanted
    assert network.training is training
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize("kind", NO_LOGITS)
@pytest.mark.parametrize("name", RUN_THE_NETWORK)
def test_what_does_not_return_logits_is_refused(name: str, kind: str) -> None:
    build, sentence = NO_LOGITS[kind]
    with pytest.raises(InputError, match=sentence):
        score(name, build())


@pytest.mark.parametrize("kind", NO_COPY)
@pytest.mark.parametrize("name", RUN_THE_NETWORK)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_what_cannot_be_copied_is_refused_with_the_layer(name: str, kind: str) -> None:
    build, sentence = NO_COPY[kind]
    with pytest.raises(InputError, match=sentence):
        score(name, build())


@pytest.mark.parametrize("kind", [kind for kind in NO_COPY if kind != "itself through a lambda"])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_no_method_makes_a_ticket_of_what_cannot_be_copied(kind: str) -> None:
    build, sentence = NO_COPY[kind]
    with pytest.raises(InputError, match=sentence):
        make_ticket(find_method("magnitude"), build(), ScoringData(), 0.5, torch.Generator())


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_number_of_logits_must_be_that_of_the_classes(classes: int) -> None:
    require_logits(Convolutional(classes=classes), IMAGE_SHAPE, classes)
    sentence = f"^mine returned {classes + 1} logits for each image, and there are {classes} classes"
    with pytest.raises(InputError, match=sentence):
        require_logits(Convolutional(classes=classes + 1), IMAGE_SHAPE, classes, "mine")


def test_no_mistake_passes_because_there_are_as_many_images_as_classes() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 3\) for 3 images"):
        require_logits(Convolutional(lambda y: y.T, classes=2), IMAGE_SHAPE, 2)


@pytest.mark.parametrize("kind", ATTENTION)
def test_grasp_of_attention_is_weight_times_the_product_of_hessian_and_gradient(kind: str, draw: Draw) -> None:
    network = draw(ATTENTION[kind]().double(), 6).train()
    x, y = images()
    order = y.argsort(stable=True)
    halves = [(x[part].double(), y[part]) for part in order.chunk(2)]
    weights = list(prunable_weights(network).values())

    def gradient() -> list[torch.Tensor]:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            losses = [nn.functional.cross_entropy(network(a) / 200, b) for a, b in halves]
        return list(torch.autograd.grad(torch.stack(losses).sum(), weights, allow_unused=True, materialize_grads=True))

    direction, step = gradient(), 1e-4
    with torch.no_grad():
        for weight, along in zip(weights, direction, strict=True):
            weight.add_(along, alpha=step)
        ahead = gradient_at(gradient)
        for weight, along in zip(weights, direction, strict=True):
            weight.sub_(along, alpha=2 * step)
        behind = gradient_at(gradient)
        for weight, along in zip(weights, direction, strict=True):
            weight.add_(along, alpha=step)
    expected = [w.detach() * (a - b) / (2 * step) for w, a, b in zip(weights, ahead, behind, strict=True)]
    for values, reference in zip(score("grasp-without-redraw", network, (x, y)).values(), expected, strict=True):
        torch.testing.assert_close(values, reference, rtol=1e-4, atol=1e-12)


def gradient_at(gradient: Callable[[], list[torch.Tensor]]) -> list[torch.Tensor]:
    with torch.enable_grad():
        return gradient()


class OnceOnly(torch.autograd.Function):
    @staticmethod
    def forward(context: object, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: object, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * 2


class NotTwice(torch.autograd.Function):
    """Says so itself, as operations of torch do."""

    @staticmethod
    def forward(context: object, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(context: object, gradient: torch.Tensor) -> torch.Tensor:
        return OnlyForward.apply(gradient)  # type: ignore[no-untyped-call, no-any-return]


class OnlyForward(torch.autograd.Function):
    @staticmethod
    def forward(context: object, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(context: object, gradient: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("derivative for aten::mine_backward is not implemented")


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (OnceOnly, "a function of this network is marked as once_differentiable and has none in torch"),
        (NotTwice, "the operation aten::mine_backward of this network has none in torch"),
    ],
)
def test_grasp_names_what_has_no_second_derivative_and_snip_takes_it(function: Any, sentence: str) -> None:
    network = Convolutional(lambda y: function.apply(y) ** 2)
    with pytest.raises(InputError, match=f"grasp needs second derivatives, and {sentence}"):
        score("grasp", network)
    assert all(bool(values.isfinite().all()) for values in score("snip", network).values())


@pytest.mark.parametrize("kind", OF_OTHER_NUMBERS)
@pytest.mark.parametrize("name", CRITERIA.names())
def test_networks_of_other_numbers_are_scored_or_refused_in_a_sentence(name: str, kind: str) -> None:
    network = OF_OTHER_NUMBERS[kind]()
    if name == "synflow" and (kind.startswith("casts itself") or " and " in kind):
        with pytest.raises(
            InputError, match=r"^synflow (runs the network in float64, and there it fails|cannot score)"
        ):
            score(name, network)
        return
    dtypes = {key: value.dtype for key, value in network.state_dict().items()}
    scores = score(name, network)
    assert all(bool(values.isfinite().all()) and bool((values != 0).any()) for values in scores.values())
    assert {key: value.dtype for key, value in network.state_dict().items()} == dtypes


@pytest.mark.parametrize("name", [*WITH_A_LOSS, "synflow"])
@pytest.mark.parametrize("kind", ["half", "bfloat16"])
def test_half_precision_is_scored_as_the_same_weights_in_float32(kind: str, name: str) -> None:
    network = OF_OTHER_NUMBERS[kind]()
    wide = Convolutional()
    wide.load_state_dict(network.state_dict())
    expected = score(name, wide)
    for layer, values in score(name, network).items():
        assert torch.equal(values, expected[layer]), layer


def test_images_of_float64_are_those_of_float32() -> None:
    x, y = images()
    network = Convolutional()
    expected = score("snip", network, (x, y))
    assert all(
        torch.equal(values, expected[layer]) for layer, values in score("snip", network, (x.double(), y)).items()
    )

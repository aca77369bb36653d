"""What the caller of a criterion has switched on or off, and the batches that it gives."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning import CRITERIA, force, gem_miner, grasp, iter_snip, magnitude, random_scores, snip, synflow
from prunecheck.pruning.layers import Scores
from tests.pruning.zoo import CLASSES, IMAGE_SHAPE, Attention, Convolutional


def seeded() -> torch.Generator:
    return torch.Generator("cpu").manual_seed(0)


FUNCTIONS: dict[str, Callable[[nn.Module, Any], Scores]] = {
    "magnitude": magnitude,
    "random": lambda model, batches: random_scores(model, batches, generator=seeded()),
    "snip": snip,
    "grasp": grasp,
    "synflow": lambda model, batches: synflow(model, batches, sparsity=0.5, rounds=2),
    "iter-snip": lambda model, batches: iter_snip(model, batches, sparsity=0.5, rounds=2),
    "force": lambda model, batches: force(model, batches, sparsity=0.5, rounds=2),
    "gem-miner": lambda model, batches: gem_miner(model, batches, generator=seeded(), sparsity=0.5, epochs=2),
}
"""As they are called from Python."""

WITH_A_LOSS = [name for name in FUNCTIONS if CRITERIA.get(name).sees_data]


def images(count: int = 8) -> Batch:
    return torch.randn(count, *IMAGE_SHAPE, generator=seeded()), torch.arange(count) % CLASSES


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def no_math_attention() -> Iterator[None]:
    torch.backends.cuda.enable_math_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_math_sdp(True)


CONDITIONS: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default dtype": lambda: default_dtype(torch.float64),
    "default device": lambda: torch.device("meta"),
    "deterministic": deterministic,
    "no math attention": no_math_attention,
}


def conditions() -> tuple[object, ...]:
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cuda.math_sdp_enabled(),  # type: ignore[no-untyped-call]
        torch.backends.cuda.flash_sdp_enabled(),  # type: ignore[no-untyped-call]
    )


@pytest.fixture(params=["convolutional", "attention"])
def network(request: pytest.FixtureRequest) -> nn.Module:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(3)
        return Convolutional() if request.param == "convolutional" else Attention()


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_the_caller_has_switched_changes_no_score_and_stays_switched(
    name: str, condition: str, network: nn.Module
) -> None:
    if name == "synflow" and isinstance(network, Attention):
        pytest.skip("what synflow makes of attention is said by its own tests")
    batch = images()
    expected = FUNCTIONS[name](network, [batch])
    with CONDITIONS[condition]():
        before = conditions()
        scores = FUNCTIONS[name](network, [batch])
        assert conditions() == before
    assert scores.keys() == expected.keys()
    for layer, values in scores.items():
        assert values.dtype == expected[layer].dtype
        assert torch.equal(values, expected[layer]), layer
        assert not values.is_inference()


@pytest.mark.parametrize("name", WITH_A_LOSS)
def test_batches_made_under_inference_mode_are_scored_with(name: str, network: nn.Module) -> None:
    with torch.inference_mode():
        made = images()
    expected = FUNCTIONS[name](network, [images()])
    for layer, values in FUNCTIONS[name](network, [made]).items():
        assert torch.equal(values, expected[layer]), layer


@pytest.mark.parametrize("name", WITH_A_LOSS)
def test_images_and_labels_of_any_layout_and_precision_are_the_same_images(name: str) -> None:
    network = Convolutional()
    x, y = images()
    expected = FUNCTIONS[name](network, [(x, y)])
    stretched = torch.stack([x, x], dim=-1)[..., 0]
    assert not stretched.is_contiguous()
    others = [(stretched, y), (x.double(), y), (x, y.to(torch.uint8)), (x, y.to(torch.int32)), (x.requires_grad_(), y)]
    for other in others:
        for layer, values in FUNCTIONS[name](network, [other]).items():
            assert torch.equal(values, expected[layer]), layer
    assert x.grad is None


X, Y = images()

WRONG_BATCHES: dict[str, tuple[Any, str]] = {
    "one batch": ((X, Y), r"this is a single one: give \[\(x, y\)\]"),
    "images alone": (X, "this is a single one"),
    "images without labels": ([X], "one of them is not a pair of two tensors: Tensor"),
    "three things": ([(X, Y, Y)], "not a pair of two tensors: tuple"),
    "arrays": ([(X.numpy(), Y.numpy())], "not a pair of two tensors"),
    "a generator": ((batch for batch in [(X, Y)]), r"this is a generator of no length: give list\(batches\)"),
    "no images": ([(X[:0], Y[:0])], r"with N at least 1, not of shapes \(0, 1, 8, 8\) and \(0,\)"),
    "fewer labels": ([(X, Y[:5])], r"shapes \(8, 1, 8, 8\) and \(5,\)"),
    "labels in a column": ([(X, Y[:, None])], r"shapes \(8, 1, 8, 8\) and \(8, 1\)"),
    "pixels": ([((X * 9).to(torch.uint8), Y)], r"not torch\.uint8: normalise them"),
    "real labels": ([(X, Y.double())], r"labels must be integers.* not torch\.float64"),
    "one-hot labels": ([(X, nn.functional.one_hot(Y).float())], r"labels must be integers"),
    "yes or no": ([(X, Y > 1)], r"labels must be integers.* not torch\.bool"),
    "a label too large": ([(X, Y + 1)], "a label is 3, and the network returns logits for 3 classes, 0 to 2"),
    "a negative label": ([(X, Y - 1)], "labels must be at least 0, and one of them is -1"),
    "images too small": ([(X[..., :2, :2], Y)], r"fails on 2 images of shape \(1, 2, 2\)"),
}


@pytest.mark.parametrize("wrong", WRONG_BATCHES)
@pytest.mark.parametrize("name", WITH_A_LOSS)
def test_wrong_batches_are_refused_in_a_sentence(name: str, wrong: str) -> None:
    batches, sentence = WRONG_BATCHES[wrong]
    with pytest.raises(InputError, match=sentence):
        FUNCTIONS[name](Convolutional(), batches)


@pytest.mark.parametrize("name", WITH_A_LOSS)
def test_the_second_batch_is_looked_at_too(name: str) -> None:
    with pytest.raises(InputError, match="labels must be integers"):
        FUNCTIONS[name](Convolutional(), [(X, Y), (X, Y.double())])


@pytest.mark.parametrize("name", [*WITH_A_LOSS, "synflow"])
def test_a_dataloader_is_a_source_of_batches(name: str) -> None:
    network = Convolutional()
    loader = DataLoader(TensorDataset(X, Y), batch_size=4)
    expected = FUNCTIONS[name](network, [(X[:4], Y[:4]), (X[4:], Y[4:])])
    for layer, values in FUNCTIONS[name](network, loader).items():
        assert torch.equal(values, expected[layer]), layer


def test_a_batch_of_one_is_refused_where_batch_norm_needs_more() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, CLASSES))
    with pytest.raises(InputError, match=r"fails on 1 images .* in training mode \(ValueError: Expected more than 1"):
        snip(network, [(X[:1], Y[:1])])


def test_dropout_draws_the_same_with_and_without_a_look_at_the_network() -> None:
    """The look leaves torch's generator as it was, and the scored copy is as good as new."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, CLASSES))
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(1)
        scores = snip(network, [(X, Y)])
        torch.default_generator.manual_seed(1)
        nn.functional.cross_entropy(network.train()(X), Y).backward()  # type: ignore[no-untyped-call]
    weight = network[4].weight
    assert isinstance(weight, Tensor)
    assert weight.grad is not None
    torch.testing.assert_close(scores["4"], (weight * weight.grad).abs().detach())


def test_one_logit_is_no_choice_among_classes() -> None:
    with pytest.raises(InputError, match="one logit for each image, whose loss is always 0"):
        snip(Convolutional(classes=1), [(X, torch.zeros_like(Y))])


def test_a_compiled_network_is_scored_as_it_is_written() -> None:
    network = Convolutional()
    compiled: Any = torch.compile(network)
    scores = grasp(compiled, [(X, Y)])
    expected = grasp(network, [(X, Y)])
    for layer, values in expected.items():
        assert torch.equal(scores[f"_orig_mod.{layer}"], values)

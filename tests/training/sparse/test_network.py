"""Tickets trained with their kept weights only, through the same loop as dense ones."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data import Augmentation, Dataset, ScoringData
from prunecheck.pruning import Ticket, find_method, make_ticket
from prunecheck.pruning.layers import weight_name
from prunecheck.pruning.tickets import copy_weights
from prunecheck.randomness import generator
from prunecheck.training import Acceleration, Checkpoint, Recipe, Record, train
from prunecheck.training.network import DenseNetwork
from prunecheck.training.sparse import SparseNetwork
from tests.training.sparse.alone import assert_near
from tests.training.sparse.graphs import Both, Convolution, Graph, in_turns, random_masks, randomised

pytestmark = pytest.mark.usefixtures("kernels")

RECIPE = Recipe(epochs=3, batch_size=16, milestones=(1, 2), weight_decay=1e-3)
SPARSE = Acceleration(sparse_convolutions=True, thin_curves=False)
DENSE = replace(SPARSE, sparse_convolutions=False)


@pytest.fixture
def digits(few_digits: Dataset) -> Dataset:
    """With augmentation, which a resumed run must draw as an uninterrupted one."""
    return replace(few_digits, augmentation=Augmentation(padding=1, flip=False))


def a_ticket(network: nn.Module, seed: int = 0, sparsity: float = 0.8) -> Ticket:
    method = find_method("random-uniform")
    return make_ticket(method, network, ScoringData(), sparsity, generator(seed, "mask placement"))


def trained(network: nn.Module, digits: Dataset, acceleration: Acceleration = SPARSE, **options: object) -> Record:
    recipe = options.pop("recipe", RECIPE)
    (record,) = train([a_ticket(network)], network, digits, recipe, [4], acceleration=acceleration, **options)  # type: ignore[arg-type]
    return record


def assert_same_bits(found: dict[str, Tensor], meant: dict[str, Tensor]) -> None:
    assert list(found) == list(meant)
    torch.testing.assert_close(found, meant, rtol=0, atol=0)


def test_training_is_that_of_the_dense_network_to_rounding(network: nn.Module, digits: Dataset) -> None:
    sparse, dense = trained(network, digits), trained(network, digits, DENSE)
    assert "sparse_convolutions" in sparse.acceleration
    assert "sparse_convolutions" not in dense.acceleration
    assert list(sparse.weights) == list(dense.weights)
    torch.testing.assert_close(sparse.weights, dense.weights, rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(sparse.metrics, dense.metrics, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-3)
        assert ours.test_loss == pytest.approx(theirs.test_loss, rel=1e-3)


def test_masks_hold_exactly(network: nn.Module, digits: Dataset) -> None:
    checkpoints: list[Checkpoint] = []
    record = trained(network, digits, on_epoch=lambda _, checkpoint: checkpoints.append(checkpoint))
    for layer, mask in a_ticket(network).masks.items():
        name = weight_name(layer)
        for weights in (record.weights, *(checkpoint.weights for checkpoint in checkpoints)):
            assert weights[name].shape == mask.shape
            assert not weights[name][~mask].any()
            assert (weights[name] != 0)[mask].all()
        assert not any(checkpoint.momentum[name][~mask].any() for checkpoint in checkpoints)


def test_it_goes_on_from_any_epoch_bit_for_bit(network: nn.Module, digits: Dataset) -> None:
    checkpoints: list[Checkpoint] = []
    whole = trained(network, digits, on_epoch=lambda _, checkpoint: checkpoints.append(checkpoint))
    for checkpoint in checkpoints:
        resumed = trained(network, digits, checkpoints=[checkpoint])
        assert_same_bits(resumed.weights, whole.weights)
        assert resumed.metrics == whole.metrics


def test_a_ticket_ends_alone_as_among_others(network: nn.Module, digits: Dataset) -> None:
    tickets = [a_ticket(network, seed, sparsity) for seed, sparsity in ((0, 0.8), (1, 0.8), (0, 0.95))]
    recipe = replace(RECIPE, epochs=2)
    several = replace(SPARSE, tickets_at_once=3)
    among = train(tickets, network, digits, recipe, [4, 5, 6], acceleration=several)
    for ticket, seed, record in zip(tickets, (4, 5, 6), among, strict=True):
        (alone,) = train([ticket], network, digits, recipe, [seed], acceleration=SPARSE)
        assert_same_bits(record.weights, alone.weights)
        assert record.metrics == alone.metrics


def test_what_was_trained_before_does_not_matter(network: nn.Module, digits: Dataset) -> None:
    """The rooms that a larger batch left behind are full of its numbers."""
    ticket = a_ticket(network)
    images = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    used, fresh = (SparseNetwork(ticket, network, RECIPE, (1, 8, 8)) for _ in range(2))
    used.train(False)
    used(1e30 * images)
    for made in (used, fresh):
        made.train()
        made(images[:5]).square().sum().backward()  # type: ignore[no-untyped-call]
        made.step(0.1)
    assert_same_bits(used.weights(), fresh.weights())
    assert_same_bits(used.momentum(), fresh.momentum())


def test_masks_may_change_between_steps(network: nn.Module) -> None:
    """Then it trains on as the dense network with those masks; what was pruned meanwhile comes back as 0."""
    first, second = (a_ticket(network, seed, sparsity).masks for seed, sparsity in ((0, 0.8), (1, 0.7)))
    images = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    model = network.double()
    made = SparseNetwork(Ticket(copy_weights(model), first), model, RECIPE, (1, 8, 8))
    made.train()
    learn(made, images)
    before, momentum = made.weights(), made.momentum()
    made.set_masks(second)
    after, moved = made.weights(), made.momentum()
    for layer, mask in second.items():
        name = weight_name(layer)
        for found, kept in ((after[name], before[name]), (moved[name], momentum[name])):
            assert torch.equal(found, kept * mask)
            assert not found[mask & ~first[layer]].any()
    dense = DenseNetwork(Ticket(after, second), model, RECIPE, "cpu", torch.contiguous_format)
    dense.load(after, moved)
    dense.train()
    for each in (made, dense):
        learn(each, images)
    for name, weight in dense.weights().items():
        assert_near(made.weights()[name].double(), weight.double())


def learn(network: SparseNetwork | DenseNetwork, images: Tensor) -> None:
    network(images).square().mean().backward()  # type: ignore[no-untyped-call]
    network.step(0.1)


def test_evaluation_in_parts_is_evaluation_at_once(network: nn.Module) -> None:
    ticket = a_ticket(network)
    images = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = []
    for batch_size in (2, 16, 17, 40, 64):
        made = SparseNetwork(ticket, network, replace(RECIPE, batch_size=batch_size), (1, 8, 8))
        made.train(False)
        with torch.no_grad():
            logits.append(made(images))
    for others in logits[1:]:
        torch.testing.assert_close(others, logits[0], rtol=1e-5, atol=1e-6)


def test_evaluation_changes_nothing(network: nn.Module) -> None:
    made = SparseNetwork(a_ticket(network), network, RECIPE, (1, 8, 8))
    before = made.weights()
    made.train(False)
    made(torch.randn(40, 1, 8, 8))
    assert_same_bits(made.weights(), before)


def some_steps(network: DenseNetwork | SparseNetwork, count: int) -> None:
    source = torch.Generator().manual_seed(count)
    network.train()
    for _ in range(count):
        network(torch.randn(9, 1, 8, 8, generator=source)).square().mean().backward()  # type: ignore[no-untyped-call]
        network.step(0.05)


def both_kinds(network: nn.Module) -> tuple[DenseNetwork, SparseNetwork]:
    ticket = a_ticket(network)
    sparse = SparseNetwork(ticket, network, RECIPE, (1, 8, 8))
    return DenseNetwork(ticket, network, RECIPE, "cpu", torch.contiguous_format), sparse


@pytest.mark.parametrize("from_sparse", [True, False])
def test_checkpoints_are_interchangeable_with_the_dense_networks(network: nn.Module, from_sparse: bool) -> None:
    dense, sparse = both_kinds(network)
    first, second = (sparse, dense) if from_sparse else (dense, sparse)
    some_steps(first, 3)
    state = Checkpoint(first.weights(), first.momentum(), ())
    second.load(state.weights, state.momentum)
    assert_same_bits(second.weights(), state.weights)
    assert_same_bits(second.momentum(), state.momentum)
    for made in (first, second):
        some_steps(made, 2)
    torch.testing.assert_close(second.weights(), first.weights(), rtol=1e-4, atol=1e-5)


def test_loading_takes_copies_and_may_leave_the_momentum(network: nn.Module) -> None:
    _, sparse = both_kinds(network)
    some_steps(sparse, 2)
    weights, momentum = sparse.weights(), sparse.momentum()
    some_steps(sparse, 1)
    assert any((sparse.weights()[name] != tensor).any() for name, tensor in weights.items())
    later = sparse.momentum()
    sparse.load(weights, None)
    assert_same_bits(sparse.weights(), weights)
    assert_same_bits(sparse.momentum(), later)
    sparse.load(weights, momentum)
    some_steps(sparse, 1)
    assert_same_bits(sparse.momentum(), later)


def test_a_checkpoint_of_it_is_a_file_like_any(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> None:
    _, sparse = both_kinds(network)
    some_steps(sparse, 1)
    checkpoint = Checkpoint(sparse.weights(), sparse.momentum(), ())
    path = tmp_path_factory.mktemp("checkpoint") / "last.safetensors"
    path.write_bytes(checkpoint.to_bytes())
    read = Checkpoint.read(path)
    torch.testing.assert_close(read.weights, checkpoint.weights, rtol=0, atol=0)
    torch.testing.assert_close(read.momentum, checkpoint.momentum, rtol=0, atol=0)


def test_a_diverged_training_is_seen_to_be_diverged(network: nn.Module, digits: Dataset) -> None:
    """Without batch norm, which would hold the numbers together, the learning rate is far too high."""
    model = Graph((1, 8, 8), [Convolution(0, 4, 3, 1, 1, True, False, True)], classes=10)
    recipe = replace(RECIPE, learning_rate=1e12)
    for acceleration in (SPARSE, DENSE):
        record = trained(model, digits, acceleration, recipe=recipe)
        assert record.diverged
        assert len(record.metrics) == 1


@pytest.mark.parametrize("norm", [True, False])
def test_an_image_that_is_not_a_number_shows_in_every_loss(norm: bool) -> None:
    operations = [Convolution(0, 4, 3, 1, 1, True, norm, True)]
    model = randomised(Graph((1, 8, 8), operations), 0)
    both = Both(model, (1, 8, 8), random_masks(model, (0.9,), 0), in_turns(True))
    images = both.images(20)
    images[3] = torch.nan
    both.sparse.train()
    both.dense.train()
    logits, expected = both.sparse(images), both.dense(images)
    torch.testing.assert_close(logits, expected, equal_nan=True, rtol=1e-9, atol=1e-9)
    logits.sum().backward()  # type: ignore[no-untyped-call]
    both.sparse.step(0.1)
    assert all(value.isnan().any() for name, value in both.sparse.weights().items() if name.endswith("0.weight"))


def test_a_layer_with_nothing_left_trains_as_densely() -> None:
    operations = [Convolution(place, 3, 3, 1, 1, True, True, True) for place in range(3)]
    model = randomised(Graph((2, 6, 7), operations), 0)
    masks = random_masks(model, (0.5, 0.0), 0)
    both = Both(model, (2, 6, 7), masks, in_turns(True))
    both.step(21)
    both.check()


def test_images_of_another_size_are_refused_and_those_of_another_precision_cast(network: nn.Module) -> None:
    _, sparse = both_kinds(network)
    sparse.train(False)
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sparse(images.double()), sparse(images), rtol=0, atol=0)
    for images in (torch.zeros(4, 1, 8, 9), torch.zeros(4, 3, 8, 8)):
        with pytest.raises(ValueError, match="where others were expected"):
            sparse(images)


def test_a_single_value_is_not_normalised() -> None:
    model = Graph((2, 1, 1), [Convolution(0, 3, 1, 1, 0, False, True, True)])
    made = SparseNetwork(Ticket(copy_weights(model), random_masks(model, (1.0,), 0)), model, RECIPE, (2, 1, 1))
    made.train()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        made(torch.zeros(1, 2, 1, 1))
    made(torch.zeros(2, 2, 1, 1))
    made.train(False)
    made(torch.zeros(1, 2, 1, 1))


def test_float32_differs_from_float64_by_rounding() -> None:
    """The error of every gradient is not larger than a few times that of torch's float32."""
    operations = [Convolution(place, 6, 3, 1 + place % 2, 1, False, True, True) for place in range(4)]
    model = randomised(Graph((3, 13, 11), operations), 0)
    masks = random_masks(model, (0.5,), 0)
    exact = Both(model, (3, 13, 11), masks, in_turns(True))
    rounded = Both(model.float(), (3, 13, 11), masks, in_turns(True))
    images = exact.images(40)
    gradients = []
    for made, x in (
        (exact.dense, images),
        (exact.sparse, images),
        (rounded.dense, images.float()),
        (rounded.sparse, images.float()),
    ):
        made.train()
        made(x).square().sum().backward()  # type: ignore[no-untyped-call]
        made.step(0.01)
        gradients.append(made.momentum())
    for name, meant in gradients[0].items():
        assert_near(gradients[1][name], meant)
        torchs, ours = ((found[name].double() - meant).abs().max() for found in gradients[2:])
        assert ours <= 4 * torchs + 1e-6 * meant.abs().max(), name


def test_only_weight_decay_moves_a_bias_before_a_batch_norm() -> None:
    """Its gradient is 0 in every step, though the optimizer adds the decay to it."""
    model = randomised(Graph((2, 4, 4), [Convolution(0, 3, 3, 1, 1, True, True, True)]), 0)
    recipe = Recipe(momentum=0.0, weight_decay=0.5, batch_size=8)
    made = SparseNetwork(Ticket(copy_weights(model), random_masks(model, (0.5,), 0)), model, recipe, (2, 4, 4))
    before = {name: value for name, value in made.weights().items() if name.endswith("bias") and "head" not in name}
    made.train()
    source = torch.Generator().manual_seed(0)
    for _ in range(3):
        made(torch.randn(8, 2, 4, 4, generator=source).double()).square().sum().backward()  # type: ignore[no-untyped-call]
        made.step(0.1)
    after = made.weights()
    shrunk = [name for name, bias in before.items() if torch.allclose(after[name], bias * 0.95**3, rtol=1e-12)]
    assert len(shrunk) == 1, before.keys()

"""What only a GPU can show; that of its path which the CPU can show is in the other tests of this room."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data import Batches, Dataset, ScoringData, scoring_samples
from prunecheck.errors import InputError
from prunecheck.pruning import Ticket, dense_ticket, find_method, make_ticket
from prunecheck.pruning.layers import weight_name
from prunecheck.randomness import generator
from prunecheck.training import Acceleration, Checkpoint, Recipe, Record, train
from prunecheck.training.gpu import CudaStream, GpuMemory
from prunecheck.training.loop import Training, train_epochs, try_out
from prunecheck.training.network import DenseNetwork
from tests.training.dropout import WithDropout

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

DEVICE = "cuda"

EPOCHS = 6

RECIPE = Recipe(epochs=EPOCHS, batch_size=16, milestones=(EPOCHS - 1,))
"""The smaller last batch is captured in the fourth epoch; in the last one the learning rate is another."""

EAGER = Acceleration(cuda_graphs=False, tickets_at_once=1)


@pytest.fixture(autouse=True)
def _repeatable() -> Iterator[None]:
    """Have cuDNN add up in one order, and without the short numbers of tensor cores."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


@pytest.fixture
def tickets(network: nn.Module, few_digits: Dataset) -> list[Ticket]:
    data = ScoringData(samples=scoring_samples(few_digits.train, few_digits, 3, 1, seed=0))
    methods = (find_method(name) for name in ("snip", "random-uniform", "magnitude"))
    pruned = [make_ticket(method, network, data, 0.8, generator(0, "mask placement")) for method in methods]
    return [dense_ticket(network), *pruned]


SEEDS = (0, 1, 2, 3)


def assert_close(found: list[Record], meant: list[Record]) -> None:
    for one, other in zip(found, meant, strict=True):
        assert len(one.metrics) == len(other.metrics)
        weights = {name: tensor.cpu() for name, tensor in other.weights.items()}
        torch.testing.assert_close(
            {name: tensor.cpu() for name, tensor in one.weights.items()}, weights, rtol=1e-4, atol=1e-5
        )


def test_a_captured_step_does_what_it_does_when_it_is_called(
    tickets: list[Ticket], network: nn.Module, few_digits: Dataset
) -> None:
    eager, captured = (
        train(tickets[1:2], network, few_digits, RECIPE, [0], device=DEVICE, acceleration=acceleration)
        for acceleration in (EAGER, Acceleration(cuda_graphs=True))
    )
    assert captured[0].acceleration == ("channels_last", "cuda_graphs")
    assert_close(captured, eager)


@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_tickets_on_streams_end_as_they_do_alone(
    tickets: list[Ticket], network: nn.Module, few_digits: Dataset, cuda_graphs: bool
) -> None:
    together = train(
        tickets, network, few_digits, RECIPE, SEEDS, device=DEVICE, acceleration=Acceleration(cuda_graphs=cuda_graphs)
    )
    assert_close(together, train(tickets, network, few_digits, RECIPE, SEEDS, device=DEVICE, acceleration=EAGER))
    for ticket, record in zip(tickets, together, strict=True):
        for layer, mask in ticket.masks.items():
            assert not record.weights[weight_name(layer)].cpu()[~mask].any()


def test_an_epoch_is_that_of_the_cpu_but_for_rounding(
    tickets: list[Ticket], network: nn.Module, few_digits: Dataset
) -> None:
    recipe = replace(RECIPE, epochs=1, learning_rate=0.01, milestones=())
    with_gpu = train(tickets, network, few_digits, recipe, SEEDS, device=DEVICE)
    assert_close(with_gpu, train(tickets, network, few_digits, recipe, SEEDS))


def test_a_training_goes_on_from_a_checkpoint_on_the_cpu(
    tickets: list[Ticket], network: nn.Module, few_digits: Dataset
) -> None:
    seen: dict[tuple[int, int], Checkpoint] = {}

    def keep(index: int, checkpoint: Checkpoint) -> None:
        weights, momentum = (
            {name: tensor.cpu() for name, tensor in named.items()}
            for named in (checkpoint.weights, checkpoint.momentum)
        )
        seen[index, len(checkpoint.metrics)] = Checkpoint(weights, momentum, checkpoint.metrics)

    whole = train(tickets[:2], network, few_digits, RECIPE, SEEDS[:2], device=DEVICE, on_epoch=keep)
    resumed = train(
        tickets[:2], network, few_digits, RECIPE, SEEDS[:2], device=DEVICE, checkpoints=[seen[0, 2], seen[1, 5]]
    )
    assert_close(resumed, whole)


def test_bfloat16_trains_weights_of_float32_and_keeps_masks(
    tickets: list[Ticket], network: nn.Module, few_digits: Dataset
) -> None:
    try:
        found = train(
            tickets[:2], network, few_digits, RECIPE, SEEDS[:2], device=DEVICE, acceleration=Acceleration(bfloat16=True)
        )
    except InputError as error:
        pytest.skip(str(error))
    usual = train(tickets[:2], network, few_digits, RECIPE, SEEDS[:2], device=DEVICE)
    for record, other, ticket in zip(found, usual, tickets, strict=False):
        assert "bfloat16" in record.acceleration
        assert {tensor.dtype for tensor in record.weights.values()} == {torch.float32, torch.int64}
        assert record.metrics[0].train_loss != other.metrics[0].train_loss
        assert record.metrics[0].train_loss == pytest.approx(other.metrics[0].train_loss, rel=0.05)
        for layer, mask in ticket.masks.items():
            assert not record.weights[weight_name(layer)].cpu()[~mask].any()


@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_nothing_in_an_epoch_waits_for_the_device(network: nn.Module, few_digits: Dataset, cuda_graphs: bool) -> None:
    acceleration = Acceleration(cuda_graphs=cuda_graphs, channels_last=True)
    batches, tests = (Batches(part, few_digits, 16, DEVICE, True) for part in (few_digits.train, few_digits.test))
    trained = DenseNetwork(dense_ticket(network), network, RECIPE, DEVICE, torch.channels_last)
    training, epochs = Training(trained, replace(RECIPE, epochs=EPOCHS + 2, milestones=()), 0), 0

    def after_epoch() -> None:
        nonlocal epochs
        epochs += 1

    steps = train_epochs(training, batches, tests, CudaStream(DEVICE, acceleration), after_epoch, alone=False)
    while epochs < EPOCHS:
        next(steps)
    # Everything is captured, and what was drawn for the epoch has been sent.
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(len(batches) + len(tests) - 2):
            next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert epochs == EPOCHS
    assert training.metrics[-1].train_accuracy > 0


def test_a_trial_leaves_no_memory_behind(network: nn.Module, few_digits: Dataset) -> None:
    acceleration = Acceleration(cuda_graphs=True, channels_last=True)
    batches, tests = (Batches(part, few_digits, 64, DEVICE, True) for part in (few_digits.train, few_digits.test))

    def try_one() -> None:
        trained = DenseNetwork(dense_ticket(network), network, RECIPE, DEVICE, torch.channels_last)
        try_out(Training(trained, RECIPE, 0), CudaStream(DEVICE, acceleration), batches, tests)

    try_one()  # libraries keep what they set up for the first time
    memory, before = GpuMemory(DEVICE), torch.cuda.memory_allocated()
    try_one()
    assert memory.most_taken() > 0
    assert memory.free() > 0
    assert torch.cuda.memory_allocated() <= before + 2**26  # what libraries keep for the second stream


class Asking(nn.Module):
    """It asks for a number in its forward pass, which cannot be captured."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(x.flatten(1))
        return logits if float(logits.detach().sum()) > 0 else logits * 1


def test_a_network_that_cannot_be_captured_is_told_how_to_be_trained(few_digits: Dataset) -> None:
    model = Asking()
    ticket = dense_ticket(model)
    with pytest.raises(InputError, match=r"cannot be captured as a CUDA graph .*: train it without CUDA graphs\.$"):
        train([ticket], model, few_digits, RECIPE, [0], device=DEVICE)
    (record,) = train([ticket], model, few_digits, RECIPE, [0], device=DEVICE, acceleration=EAGER)
    assert not record.diverged


def test_captured_dropout_draws_anew_at_each_step_from_the_seed_of_the_run(few_digits: Dataset) -> None:
    model = WithDropout()
    ticket = dense_ticket(model)
    before = torch.cuda.get_rng_state()
    first, other = train([ticket] * 2, model, few_digits, RECIPE, [5, 6], device=DEVICE)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert_close([first], train([ticket], model, few_digits, RECIPE, [5], device=DEVICE, acceleration=EAGER))
    assert not torch.equal(first.weights["fc.weight"], other.weights["fc.weight"])

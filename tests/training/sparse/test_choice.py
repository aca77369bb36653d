"""When tickets are trained with their kept weights only, and what is said where they cannot be."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from prunecheck.caching import cached_with_errors
from prunecheck.data import Dataset, ScoringData
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, dense_ticket, find_method, make_ticket
from prunecheck.pruning.tickets import copy_weights
from prunecheck.randomness import generator
from prunecheck.training import Acceleration, Recipe, train
from prunecheck.training.sparse import SparseNetwork, build, choice, require_kernels, sparse_network
from prunecheck.training.sparse.build import UnavailableError

RECIPE = Recipe(epochs=1, batch_size=16, milestones=())
IMAGE = (1, 8, 8)


def a_ticket(network: nn.Module, sparsity: float = 0.8) -> Ticket:
    method = find_method("random-uniform")
    return make_ticket(method, network, ScoringData(), sparsity, generator(0, "mask placement"))


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this be a machine without a compiler, and a process that has loaded nothing yet."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(choice, "load_kernels", build.load_kernels.__wrapped__)


@pytest.fixture
def other_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_without_a_compiler_tickets_are_trained_densely(
    network: nn.Module, few_digits: Dataset, no_compiler: None
) -> None:
    require_kernels(None)
    require_kernels(False)
    ticket = a_ticket(network)
    assert sparse_network(ticket, network, RECIPE, IMAGE, None) is None
    (record,) = train([ticket], network, few_digits, RECIPE, [0])
    (dense,) = train([ticket], network, few_digits, RECIPE, [0], acceleration=Acceleration(sparse_convolutions=False))
    assert "sparse_convolutions" not in record.acceleration
    torch.testing.assert_close(record.weights, dense.weights, rtol=0, atol=0)


def test_a_compiler_that_fails_is_called_once_and_told_of_once(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def fail(number: str = "float") -> None:
        calls.append(number)
        raise build.UnavailableError("c++ does not compile them (out of order)")

    kept = cached_with_errors(build.UnavailableError)(fail)
    monkeypatch.setattr(choice, "load_kernels", kept)
    choice._say_trained_densely.cache_clear()
    for _ in range(2):
        assert not require_kernels(None)
        assert sparse_network(a_ticket(network), network, RECIPE, IMAGE, None) is None
        with pytest.raises(InputError, match="out of order"):
            require_kernels(True)
    assert calls == ["float"]
    (said,) = caplog.messages
    assert "out of order" in said
    kept.cache_clear()
    assert not require_kernels(None)
    assert calls == ["float", "float"]


def test_who_asks_for_them_without_a_compiler_is_told_how_to_have_one(
    network: nn.Module, few_digits: Dataset, no_compiler: None
) -> None:
    calls: list[int] = []
    ticket = a_ticket(network)
    asked = Acceleration(sparse_convolutions=True)
    for ask in (
        lambda: require_kernels(True),
        lambda: sparse_network(ticket, network, RECIPE, IMAGE, True),
        lambda: train(
            [ticket], network, few_digits, RECIPE, [0], on_epoch=lambda i, _: calls.append(i), acceleration=asked
        ),
    ):
        with pytest.raises(InputError, match="there is none") as caught:
            ask()
        assert "pip install 'prunecheck[sparse]'" in str(caught.value)
        assert "leave sparse_convolutions out" in str(caught.value)
        assert caught.value.field == "sparse_convolutions"
    assert not calls


def test_who_does_not_want_them_compiles_nothing(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(*_: object) -> None:
        raise AssertionError("kernels are loaded")

    monkeypatch.setattr(choice, "load_kernels", loads)
    require_kernels(False)
    assert sparse_network(a_ticket(network), network, RECIPE, IMAGE, False) is None
    assert sparse_network(dense_ticket(network), network, RECIPE, IMAGE, False) is None


def test_kernels_of_one_type_only(network: nn.Module, kernels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_float(number: str = "float") -> object:
        if number == "double":
            raise UnavailableError("the disk is full")
        return build.load_kernels(number)

    monkeypatch.setattr("prunecheck.training.sparse.kernels.load_kernels", only_float)
    monkeypatch.setattr("prunecheck.training.sparse.weights.load_kernels", only_float)
    network.double()
    assert sparse_network(a_ticket(network), network, RECIPE, IMAGE, None) is None
    with pytest.raises(InputError, match="sparse convolutions cannot be had: the disk is full"):
        sparse_network(a_ticket(network), network, RECIPE, IMAGE, True)


@pytest.mark.usefixtures("kernels")
def test_a_pruned_network_is_trained_with_its_kept_weights_only(network: nn.Module) -> None:
    for asked in (None, True):
        made = sparse_network(a_ticket(network), network, RECIPE, IMAGE, asked)
        assert isinstance(made, SparseNetwork)
        assert made.sparse_layers


@pytest.mark.usefixtures("kernels")
def test_with_several_threads_only_who_asks_gets_them(network: nn.Module, other_threads: Callable[[int], None]) -> None:
    other_threads(2)  # of which the kernels use one
    assert sparse_network(a_ticket(network), network, RECIPE, IMAGE, None) is None
    assert sparse_network(a_ticket(network), network, RECIPE, IMAGE, True)


class Gated(nn.Module):
    """A network that no trunk is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.linear = nn.Linear(4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.linear((x * torch.sigmoid(x)).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.mark.usefixtures("kernels")
def test_another_kind_of_network_is_trained_densely_unless_asked(few_digits: Dataset) -> None:
    model = Gated()
    ticket = a_ticket(model)
    (record,) = train([ticket], model, few_digits, RECIPE, [0])
    assert "sparse_convolutions" not in record.acceleration
    asked = Acceleration(sparse_convolutions=True)  # for the pruned ones, and the dense one is not refused
    (dense,) = train([dense_ticket(model)], model, few_digits, RECIPE, [0], acceleration=asked)
    assert "sparse_convolutions" not in dense.acceleration
    with pytest.raises(InputError, match=r"cannot be trained with sparse convolutions: .*sigmoid.* is not among"):
        train([ticket], model, few_digits, RECIPE, [0], acceleration=Acceleration(sparse_convolutions=True))


@pytest.mark.usefixtures("kernels")
def test_convolutions_that_are_not_pruned_are_compiled_too(network: nn.Module) -> None:
    masks = {"fc": a_ticket(network).masks["fc"]}
    convolutions = {name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    for ticket in (dense_ticket(network), Ticket(copy_weights(network), masks)):
        for asked in (None, True):
            made = sparse_network(ticket, network, RECIPE, IMAGE, asked)
            assert made and set(made.compiled_layers) <= convolutions
            assert {name for name in convolutions if name.endswith("conv2")} <= set(made.compiled_layers)


@pytest.mark.usefixtures("kernels")
def test_a_network_of_which_torch_would_compute_everything_is_trained_densely_unless_asked() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 7), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    ticket = a_ticket(model)
    assert sparse_network(ticket, model, RECIPE, IMAGE, None) is None
    with pytest.raises(InputError, match="none of its convolutions gains by it"):
        sparse_network(ticket, model, RECIPE, IMAGE, True)


@pytest.mark.usefixtures("kernels")
def test_other_types_of_numbers_are_trained_densely_unless_asked() -> None:
    model = build_model("resnet8", 10, width=4, input_channels=1).to(torch.bfloat16)
    ticket = a_ticket(model)
    assert sparse_network(ticket, model, RECIPE, IMAGE, None) is None
    with pytest.raises(InputError, match="its weights are neither float32 nor float64"):
        sparse_network(ticket, model, RECIPE, IMAGE, True)

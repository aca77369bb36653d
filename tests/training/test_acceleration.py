import copy
import re

import pytest
import torch
from torch import nn

from prunecheck.data import Dataset
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import dense_ticket
from prunecheck.training import Acceleration, Recipe, train
from prunecheck.training.acceleration import require_available, require_suitable


@pytest.mark.parametrize(
    ("acceleration", "device", "sentence"),
    [
        (Acceleration(bfloat16=True), "cpu", "bfloat16 needs a GPU, and the device is cpu: leave it out."),
        (Acceleration(cuda_graphs=True), "cpu", "CUDA graphs needs a GPU, and the device is cpu: leave it out."),
        (Acceleration(sparse_convolutions=True), "cuda:1", "are for the CPU, and the device is cuda:1: leave them out"),
        (Acceleration(tickets_at_once=0), "cpu", "at least 1 ticket is trained at once, not 0."),
        (Acceleration(tickets_at_once=-3), "cuda", "at least 1 ticket is trained at once, not -3."),
    ],
)
def test_what_is_for_another_device_is_refused_whatever_the_machine(
    acceleration: Acceleration, device: str, sentence: str
) -> None:
    for require in (require_suitable, require_available):
        with pytest.raises(InputError, match=sentence):
            require(acceleration, device)


def test_training_refuses_it_before_it_begins(network: nn.Module, few_digits: Dataset) -> None:
    calls: list[int] = []
    with pytest.raises(InputError, match="bfloat16 needs a GPU"):
        train(
            [dense_ticket(network)],
            network,
            few_digits,
            Recipe(epochs=1),
            [0],
            on_epoch=lambda index, _: calls.append(index),
            acceleration=Acceleration(bfloat16=True),
        )
    assert not calls


@pytest.mark.parametrize(
    "acceleration",
    [Acceleration(), Acceleration(cuda_graphs=False, channels_last=True), Acceleration(tickets_at_once=5)],
)
def test_the_rest_is_possible_on_the_cpu(acceleration: Acceleration) -> None:
    require_available(acceleration, "cpu")


class FakeGpus:
    """Two GPUs, the first of which has no bfloat16."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.current: list[torch.device] = []
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
        for name, value in {
            "is_available": lambda: True,
            "device_count": lambda: 2,
            "get_device_name": lambda device: ("Tesla P100", "H200")[self.index(device)],
            "device": self.on,
            "is_bf16_supported": lambda including_emulation=True: including_emulation or self.current[-1].index == 1,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    def index(self, device: torch.device | str) -> int:
        return torch.device(device).index or 0

    def on(self, device: torch.device | str) -> "FakeGpus":
        self.current.append(torch.device("cuda", self.index(device)))
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.current.pop()


def test_a_gpu_without_bfloat16_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpus(monkeypatch)
    with pytest.raises(InputError, match=r"^Tesla P100 \(cuda:0\) does not compute in bfloat16: leave it out, or"):
        require_available(Acceleration(bfloat16=True), "cuda:0")
    with pytest.raises(InputError, match=r"^Tesla P100 \(cuda\) does not"):
        require_available(Acceleration(bfloat16=True), "cuda")
    require_available(Acceleration(bfloat16=True, cuda_graphs=True), "cuda:1")
    require_available(Acceleration(), "cuda:0")
    with pytest.raises(InputError, match="there is no cuda:2: this machine has 2 CUDA devices"):
        require_available(Acceleration(), "cuda:2")


def test_a_machine_without_gpu_and_a_build_without_cuda_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpus(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="the device cuda needs a GPU, and none is found: train on the device cpu"):
        require_available(Acceleration(), "cuda")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    with pytest.raises(
        InputError, match=f"needs a CUDA build of torch, and torch {re.escape(torch.__version__)} is none: install"
    ):
        require_available(Acceleration(), "cuda")


@pytest.fixture
def wide_network() -> nn.Module:
    """Its convolutions may have their channels innermost on any processor."""
    return build_model("resnet8", 10, seed=3, width=8, input_channels=1)


@pytest.mark.parametrize(("width", "device", "safe"), [(4, "cpu", False), (8, "cpu", True), (4, "cuda", True)])
def test_channels_are_innermost_only_where_torch_computes_safely_with_them(
    width: int, device: str, safe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeGpus(monkeypatch)
    model = build_model("resnet8", 10, width=width, input_channels=1)
    assert Acceleration().settled(model, device).channels_last == safe
    if safe:
        assert Acceleration(channels_last=True).settled(model, device).channels_last
    else:
        with pytest.raises(
            InputError, match=r"^layer layer2\.0\.downsample\.0 cannot be trained with channels last on"
        ):
            Acceleration(channels_last=True).settled(model, device)


def test_what_is_left_open_is_settled_by_network_and_device(
    wide_network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = wide_network
    FakeGpus(monkeypatch)
    plain = nn.Linear(1, 1)
    found = {
        (device, innermost): (settled.channels_last, settled.cuda_graphs, settled.bfloat16)
        for device in ("cpu", "cuda")
        for innermost, model in ((True, network), (False, plain))
        for settled in [Acceleration().settled(model, device)]
    }
    assert found == {
        ("cpu", True): (True, False, False),
        ("cpu", False): (False, False, False),
        ("cuda", True): (True, True, False),
        ("cuda", False): (False, True, False),
    }
    switched = Acceleration(channels_last=False, cuda_graphs=False, bfloat16=True)
    assert switched.settled(network, "cuda:1") == switched


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_record_says_what_was_used(wide_network: nn.Module, few_digits: Dataset, channels_last: bool) -> None:
    network = wide_network
    acceleration = Acceleration(channels_last=channels_last, sparse_convolutions=False)
    (record,) = train([dense_ticket(network)], network, few_digits, Recipe(epochs=1), [0], acceleration=acceleration)
    assert record.acceleration == (("channels_last",) if channels_last else ())


def test_the_names_of_what_is_used_are_those_of_the_switches() -> None:
    everything = Acceleration(channels_last=True, bfloat16=True, cuda_graphs=True)
    assert everything.used(False) == ("channels_last", "bfloat16", "cuda_graphs")
    assert everything.used(True) == ("sparse_convolutions",)
    assert all(hasattr(everything, name) for name in (*everything.used(False), *everything.used(True)))
    assert Acceleration().used(False) == ()


def test_both_memory_formats_train_to_the_same_ticket_but_for_rounding(
    wide_network: nn.Module, few_digits: Dataset
) -> None:
    network = wide_network
    recipe = Recipe(epochs=1, batch_size=16, milestones=())
    double, ticket = copy.deepcopy(network), dense_ticket(network)
    first, second = (
        train([ticket], double, few_digits, recipe, [0], acceleration=Acceleration(channels_last=on))[0]
        for on in (True, False)
    )
    torch.testing.assert_close(first.weights, second.weights, rtol=1e-4, atol=1e-5)

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from prunecheck.errors import InputError
from prunecheck.pruning import dense_ticket, save_ticket
from prunecheck.training import Checkpoint, EpochMetrics

METRICS = (EpochMetrics(1, 0.1, 2.3, 2.2, 12.5, 100 / 3), EpochMetrics(2, 0.01, math.inf, math.nan, 0.0, 9.8))


def checkpoint() -> Checkpoint:
    weights = {
        "conv.weight": torch.tensor([[0.1, -0.0, math.inf], [1e-45, math.nan, -1.5]]),
        "bn.num_batches_tracked": torch.tensor(7),
    }
    return Checkpoint(weights, {"conv.weight": torch.tensor([1 / 3, 2.0])}, METRICS)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()


def test_every_bit_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "last.safetensors"
    file.write_bytes(checkpoint().to_bytes())
    found, meant = Checkpoint.read(file), checkpoint()
    for found_part, meant_part in ((found.weights, meant.weights), (found.momentum, meant.momentum)):
        assert {name: (t.shape, t.dtype, bits(t)) for name, t in found_part.items()} == {
            name: (t.shape, t.dtype, bits(t)) for name, t in meant_part.items()
        }
    assert repr(found.metrics) == repr(meant.metrics)  # nan is not equal to itself, but prints as itself


def test_tensors_of_another_memory_format_come_back(tmp_path: Path) -> None:
    weight = torch.arange(24.0).view(2, 3, 2, 2)
    file = tmp_path / "last.safetensors"
    file.write_bytes(Checkpoint({"w": weight.to(memory_format=torch.channels_last)}, {}, ()).to_bytes())
    assert torch.equal(Checkpoint.read(file).weights["w"], weight)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_file_cut_off_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = checkpoint().to_bytes()
    file = tmp_path_factory.mktemp("cut") / "last.safetensors"
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(InputError, match=r"last\.safetensors is not a checkpoint of a run: remove it"):
        Checkpoint.read(file)


@pytest.mark.parametrize(
    "content",
    [
        b"not a tensor in sight",
        b"\x00" * 200,
        save({"weights/w": torch.zeros(1)}),
        save({"weights/w": torch.zeros(1)}, metadata={"description": "[{"}),
        save({"weights/w": torch.zeros(1)}, metadata={"description": '[{"epoch": 1}]'}),
        save({"weights/w": torch.zeros(1)}, metadata={"description": "[5]"}),
        save({"weights/w": torch.zeros(1)}, metadata={"description": "null"}),
        save({"other/w": torch.zeros(1)}, metadata={"description": "[]"}),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "last.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"last\.safetensors is not a checkpoint of a run: remove it"):
        Checkpoint.read(file)


def test_a_ticket_is_no_checkpoint(tmp_path: Path, network: nn.Module) -> None:
    save_ticket(dense_ticket(network), tmp_path / "ticket", {})
    with pytest.raises(InputError, match="is not a checkpoint"):
        Checkpoint.read(tmp_path / "ticket")

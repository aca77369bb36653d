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
from prunecheck.tensors import tensors_bytes
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


EPOCHS_OF_A_LONG_TRAINING = 5_000


def header_size(content: bytes) -> int:
    return int.from_bytes(content[:8], "little")


def test_the_header_does_not_grow_with_the_epochs(tmp_path: Path) -> None:
    """A header of more than 100 MB cannot be read: as text, that were the metrics of half a million epochs."""
    weights = checkpoint().weights
    many = tuple(EpochMetrics(epoch + 1, 0.1, 1.5, 1.25, 50.0, 49.0) for epoch in range(EPOCHS_OF_A_LONG_TRAINING))
    few, content = Checkpoint(weights, {}, many[:10]).to_bytes(), Checkpoint(weights, {}, many).to_bytes()
    assert header_size(content) < header_size(few) + 500
    assert len(content) - len(few) < 60 * len(many)
    (tmp_path / "last").write_bytes(content)
    assert Checkpoint.read(tmp_path / "last").metrics == many


def test_epochs_without_a_test_come_back_as_such(tmp_path: Path) -> None:
    metrics = (
        EpochMetrics(1, 0.1, 2.0, None, 12.5, None),
        EpochMetrics(2, 0.1, 2.0, math.nan, 12.5, 10.0),
        EpochMetrics(3, 0.1, 1.0, 1.5, 25.0, 20.0),
    )
    (tmp_path / "last").write_bytes(Checkpoint({"w": torch.ones(2)}, {}, metrics).to_bytes())
    assert repr(Checkpoint.read(tmp_path / "last").metrics) == repr(metrics)


@pytest.mark.parametrize("masks", [{}, {"w": torch.tensor([True, False])}])
def test_checkpoints_of_earlier_versions_are_read(tmp_path: Path, masks: dict[str, torch.Tensor]) -> None:
    """Their metrics stand in the description, and there is no group of them."""
    groups = {"weights": {"w": torch.ones(2)}, "momentum": {"w": torch.zeros(2)}} | ({"masks": masks} if masks else {})
    described = [{name: getattr(epoch, name) for name in epoch.__dataclass_fields__} for epoch in METRICS]
    (tmp_path / "last").write_bytes(tensors_bytes(groups, described))
    found = Checkpoint.read(tmp_path / "last")
    assert repr(found.metrics) == repr(METRICS)
    assert torch.equal(found.weights["w"], torch.ones(2))
    assert {name: mask.tolist() for name, mask in found.masks.items()} == {n: m.tolist() for n, m in masks.items()}

"""Files of weights as other tools write them, read or refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.foreign_checkpoints import ForeignCheckpoint, fit_checkpoint
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.tickets import Weights

torch_prune: Any = prune
"""Without types."""


def network(seed: int = 1) -> nn.Module:
    return build_model("resnet8", 10, seed=seed, width=4)


def zeroed(weights: Weights, masks: Masks) -> Weights:
    return weights | {weight_name(k): weights[weight_name(k)] * mask for k, mask in masks.items()}


def read(path: Path) -> ForeignCheckpoint:
    return fit_checkpoint(read_checkpoint(path), network(seed=9), path, NAME, CHOICE)


def written(content: Any, folder: Path) -> Path:
    torch.save(content, folder / "file.pt")
    return folder / "file.pt"


def refused(content: Any, folder: Path) -> str:
    with pytest.raises(InputError) as raised:
        read(written(content, folder))
    text = str(raised.value)
    assert text.count("\n") == 0
    assert text.endswith(".")
    return text.removeprefix(f"{folder / 'file.pt'} ")


def require_equal(found: dict[str, Tensor] | None, expected: dict[str, Tensor]) -> None:
    assert found is not None
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def without(weights: Weights, *ends: str) -> Weights:
    return {name: tensor for name, tensor in weights.items() if not name.endswith(ends)}


NAME = "resnet8 for the 10 classes of cifar10"


CHOICE = "the --arch, --depth and --dataset"


def pruned_by_torch(masks: Masks) -> nn.Module:
    """A network as torch.nn.utils.prune leaves it: weights in weight_orig, whole, and masks beside them."""
    model = network()
    for layer, mask in masks.items():
        torch_prune.custom_from_mask(model.get_submodule(layer), "weight", mask)
    return model


def in_front(prefix: str, weights: Weights) -> Weights:
    return {prefix + name: tensor for name, tensor in weights.items()}

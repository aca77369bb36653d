"""Random damage and random nesting, seeded: a checkpoint is read right, or refused in a sentence."""

import io
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.foreign_checkpoints import fit_checkpoint
from prunecheck.pruning.tickets import copy_weights

DAMAGES = 40
"""For each kind of file."""

NESTINGS = 60


def network(seed: int) -> torch.nn.Module:
    return build_model("resnet8", 10, seed=seed, width=1)


def saved(kind: str) -> bytes:
    weights = copy_weights(network(1))
    if kind == "safetensors":
        return save(weights)
    file = io.BytesIO()
    torch.save({"epoch": 3, "model": weights}, file, _use_new_zipfile_serialization=kind == "zipped")
    return file.getvalue()


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Bytes that are other, missing, doubled or put in, mostly near the names at either end."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 6)):
        at = draw.choice([draw.randrange(len(data)), draw.randrange(min(len(data), 3000)), len(data) - 1])
        match draw.randrange(4):
            case 0:
                data[at] = draw.randrange(256)
            case 1:
                del data[at : at + draw.randint(1, 50)]
            case 2:
                data[at:at] = data[at : at + draw.randint(1, 50)]
            case _:
                data[at:at] = draw.randbytes(draw.randint(1, 8))
    return bytes(data)


@pytest.mark.parametrize("kind", ["zipped", "old", "safetensors"])
def test_damage_ends_in_a_sentence(tmp_path: Path, kind: str) -> None:
    content, draw, path, refused = saved(kind), random.Random(kind), tmp_path / "file", 0
    for _ in range(DAMAGES):
        path.write_bytes(damaged(content, draw))
        try:
            fit_checkpoint(read_checkpoint(path), network(2), path, "resnet8")
        except InputError as error:
            refused += 1
            assert str(error).startswith(str(path))
            assert all(sign.isprintable() for sign in str(error))
    assert refused > DAMAGES / 2


def nested(weights: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A network in wrappers and dicts, with what training leaves beside it."""
    content = weights
    for _ in range(draw.randint(1, 5)):
        name = draw.choice(["model", "net", "module", "_orig_mod", "state_dict", "x1", "ema", "backbone"])
        if draw.random() < 0.5:
            content = {f"{name}.{key}": value for key, value in content.items()}
        else:
            beside = {
                "epoch": 1,
                "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}},
                "none": None,
                "log": [1.0, "a"],
            }
            content = dict(draw.sample(sorted(beside.items()), draw.randint(0, 4))) | {name: content}
    return content


def test_random_nesting_is_seen_through(tmp_path: Path) -> None:
    weights, draw = copy_weights(network(1)), random.Random(5)
    for _ in range(NESTINGS):
        content = nested(dict(weights), draw)
        found = fit_checkpoint(content, network(2), tmp_path, "resnet8").weights
        assert found, content.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
        assert list(found) == list(weights)


@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_sparse_tensors_with_places_outside_of_themselves_are_refused(tmp_path: Path, layout: str) -> None:
    """Written out, they would end the process, or change what lies elsewhere in its memory."""
    weights, far = copy_weights(network(1)), 10**6
    if layout == "coo":
        outside = torch.sparse_coo_tensor(torch.tensor([[far], [0]]), torch.ones(1), (10, 4), check_invariants=False)
    else:
        rows = torch.tensor([0, *[1] * 10])
        outside = torch.sparse_csr_tensor(rows, torch.tensor([far]), torch.ones(1), (10, 4), check_invariants=False)
    path = tmp_path / "sparse.pth.tar"
    torch.save({"state_dict": weights | {"fc.weight": outside}}, path)
    with pytest.raises(InputError, match=r"sparse\.pth\.tar cannot be read as a checkpoint: it is damaged"):
        read_checkpoint(path)
    assert not torch.sparse.check_sparse_tensor_invariants.is_enabled()

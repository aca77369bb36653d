import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from prunecheck.data import ScoringData
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import (
    Ticket,
    dense_ticket,
    find_method,
    load_ticket,
    make_ticket,
    prunable_weights,
    save_ticket,
)

DESCRIPTION: dict[str, object] = {"method": "snip", "sparsity": 0.9, "nested": {"seed": 3}, "none": None}
NOTHING = ScoringData()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("name", ["resnet8", "vgg11_bn"])
def test_a_ticket_comes_back_from_its_file_bit_for_bit(name: str, tmp_path: Path) -> None:
    model = build_model(name, num_classes=3, width=2)
    ticket = make_ticket(find_method("magnitude"), model, NOTHING, 0.5, seeded())
    weight = next(key for key, tensor in ticket.weights.items() if tensor.dim() == 4)
    ticket.weights[weight][0, 0, 0] = torch.tensor([torch.nan, -0.0, torch.inf])
    ticket.weights[weight] = ticket.weights[weight].to(memory_format=torch.channels_last)
    save_ticket(ticket, tmp_path / "ticket.safetensors", DESCRIPTION)
    loaded, description = load_ticket(tmp_path / "ticket.safetensors")
    assert description == DESCRIPTION
    for read, written in ((loaded.weights, ticket.weights), (loaded.masks, ticket.masks)):
        assert read.keys() == written.keys()
        for key, tensor in written.items():
            assert (read[key].shape, read[key].dtype) == (tensor.shape, tensor.dtype)
            assert bits(read[key]) == bits(tensor)
    build_model(name, num_classes=3, width=2, seed=1).load_state_dict(loaded.weights)
    assert [path.name for path in tmp_path.iterdir()] == ["ticket.safetensors"]


def test_the_same_ticket_makes_the_same_file(tmp_path: Path, small_network: nn.Module) -> None:
    ticket = make_ticket(find_method("magnitude"), small_network, NOTHING, 0.5, seeded())
    save_ticket(ticket, tmp_path / "a", DESCRIPTION)
    save_ticket(ticket, tmp_path / "b", dict(reversed(DESCRIPTION.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_layer_without_a_name_is_saved_too(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    ticket = make_ticket(find_method("magnitude"), model, NOTHING, 0.5, seeded())
    save_ticket(ticket, tmp_path / "t", {})
    loaded, _ = load_ticket(tmp_path / "t")
    assert torch.equal(loaded.masks[""], ticket.masks[""])
    assert loaded.weights.keys() == {"weight", "bias"}


OTHER_FILES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("weights and masks\n" * 10),
    "a torch file": lambda path: torch.save({"weights/a": torch.ones(2)}, path),
    "tensors without a description": lambda path: save_file({"weights/a": torch.ones(2)}, path),
    "a description that is no JSON": lambda path: save_file({"weights/a": torch.ones(2)}, path, {"description": "{"}),
    "other tensors": lambda path: save_file({"a": torch.ones(2)}, path, {"description": json.dumps({})}),
    "a folder": lambda path: path.mkdir(),
    "no file": lambda path: None,
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_what_is_not_a_ticket_is_refused_with_its_path(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "ticket.safetensors"
    OTHER_FILES[kind](path)
    with pytest.raises(InputError, match=r"ticket\.safetensors.*prunecheck prune"):
        load_ticket(path)


def test_half_a_ticket_is_refused(tmp_path: Path, small_network: nn.Module) -> None:
    path = tmp_path / "ticket.safetensors"
    save_ticket(dense_ticket(small_network), path, DESCRIPTION)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="is not a ticket"):
        load_ticket(path)


def test_how_much_was_drawn_by_lot_comes_back_from_the_file(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        prunable_weights(model)["1"].copy_(torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 2.0, 3.0]]))
    ticket = make_ticket(find_method("magnitude"), model, NOTHING, 0.5, seeded())
    assert (ticket.share_by_lot, ticket.collapse) == (0.25, None)
    assert ticket.remarks == ["25 % of the kept weights were drawn by lot among equal scores"]
    save_ticket(ticket, tmp_path / "ticket", {})
    assert load_ticket(tmp_path / "ticket")[0].share_by_lot == 0.25


def test_layers_come_back_in_the_networks_order(tmp_path: Path, small_network: nn.Module) -> None:
    names = list(prunable_weights(small_network))
    masks = {layer: torch.ones(2, dtype=torch.bool) for layer in reversed(["b.10", "b.9", "a", *names])}
    save_ticket(Ticket(dict(small_network.state_dict()), masks), tmp_path / "ticket.safetensors", {})
    ticket, _ = load_ticket(tmp_path / "ticket.safetensors")
    assert list(ticket.masks) == list(masks)
    assert list(ticket.weights) == list(small_network.state_dict())

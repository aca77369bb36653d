"""Weights that are not to be trained are masked like others, and moved by neither momentum nor weight decay."""

import pytest
import torch
from torch import nn

from prunecheck.data.batches import Batch
from prunecheck.models import build_model
from prunecheck.pruning import prunable_weights
from prunecheck.pruning.tickets import Ticket, copy_weights
from prunecheck.training import Recipe
from prunecheck.training.network import DenseNetwork
from prunecheck.training.sparse.network import SparseNetwork
from prunecheck.training.sparse.tracing import UnsupportedError

RECIPE = Recipe(momentum=0.9, weight_decay=0.1, batch_size=8)


def frozen(*layers: str) -> tuple[nn.Module, Ticket]:
    model = build_model("resnet8", 3, width=2, input_channels=1)
    for layer in layers:
        model.get_parameter(f"{layer}.weight").requires_grad_(False)
    draws = torch.Generator().manual_seed(0)
    masks = {layer: torch.rand(w.shape, generator=draws) < 0.5 for layer, w in prunable_weights(model).items()}
    return model, Ticket(copy_weights(model), masks)


def batch() -> Batch:
    return torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 3


def test_they_stay_as_they_were_behind_their_mask() -> None:
    fixed = ("conv1", "layer2.0.conv2", "fc")
    model, ticket = frozen(*fixed)
    network = DenseNetwork(ticket, model, RECIPE, "cpu", torch.contiguous_format)
    x, y = batch()
    for _ in range(3):
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        network.step(0.1)
    trained, momentum = network.weights(), network.momentum()
    for layer, mask in ticket.masks.items():
        name = f"{layer}.weight"
        assert torch.equal(trained[name], ticket.weights[name] * mask) is (layer in fixed), layer
        assert bool(momentum[name].any()) is (layer not in fixed), layer
        assert not trained[name][~mask].any(), layer


@pytest.mark.parametrize("layer", ["conv1", "layer3.0.conv1"])
def test_the_kernels_leave_such_a_network_to_dense_training(layer: str) -> None:
    model, ticket = frozen(layer)
    with pytest.raises(UnsupportedError, match=f"{layer} has weights that are not to be trained"):
        SparseNetwork(ticket, model, RECIPE, (1, 8, 8), lambda module, mask, positions: True)


def test_a_frozen_head_is_left_alone_by_the_kernels() -> None:
    model, ticket = frozen("fc")
    network = SparseNetwork(
        ticket, model, RECIPE, (1, 8, 8), lambda module, mask, positions: module.kernel_size[0] == 3
    )
    network.train()
    x, y = batch()
    for _ in range(2):
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        network.step(0.1)
    trained = network.weights()
    assert torch.equal(trained["fc.weight"], ticket.weights["fc.weight"] * ticket.masks["fc"])
    kept = ticket.weights["layer3.0.conv1.weight"] * ticket.masks["layer3.0.conv1"]
    assert not torch.equal(trained["layer3.0.conv1.weight"], kept)
    assert not trained["layer3.0.conv1.weight"][~ticket.masks["layer3.0.conv1"]].any()

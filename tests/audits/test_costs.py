"""Multiply-adds, by hand and as torch counts them; masks that hold, and masks that do not."""

import torch
from torch import Tensor, nn

from prunecheck.audits.costs import costs_of
from prunecheck.audits.held_masks import held_mask
from prunecheck.models import build_model


class Odd(nn.Module):
    """Grouped, strided, transposed, used twice, tokens, attention: what hooks could count wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.twice = nn.Conv2d(8, 8, 1)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.tokens = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.twice(self.depthwise(self.stem(x))))
        tokens = self.up(x).flatten(2).transpose(1, 2)
        attended: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        found: Tensor = self.tokens(attended).mean(1)
        return found


def test_each_weight_is_multiplied_once_for_each_position() -> None:
    costs = costs_of(Odd(), (3, 8, 8))
    # 8x8 images become 4x4 at the stem, and 64 tokens after they are made twice as large.
    assert costs.positions == {
        "stem": 16,
        "depthwise": 16,
        "twice": 2 * 16,
        "attention.out_proj": 64,
        "tokens": 64,
    }
    by_layer = {layer: costs.of_layer(layer, size) for layer, size in costs.sizes.items()}
    assert by_layer == {
        "stem": 16 * 3 * 8 * 9,
        "depthwise": 16 * 8 * 9,
        "twice": 32 * 64,
        "attention.out_proj": 64 * 64,
        "tokens": 64 * 40,
    }
    # Beside them: the transposed convolution, the projection to queries, keys and values, and attention's products.
    others = 16 * 8 * 8 * 4 + 64 * 8 * 24 + 2 * 64 * 64 * 8
    assert costs.multiply_adds == sum(filter(None, by_layer.values())) + others


def test_what_is_kept_counts_layers_by_their_positions() -> None:
    costs = costs_of(Odd(), (3, 8, 8))
    whole = dict(costs.sizes)
    assert costs.kept(whole) == costs.multiply_adds
    assert costs.kept(whole | {"stem": 10}) == costs.multiply_adds - 16 * (3 * 8 * 9 - 10)
    assert costs.kept(whole | {"tokens": 0, "twice": 1}) == costs.multiply_adds - 64 * 40 - 32 * 63


def test_resnet20_has_the_published_number_of_multiply_adds() -> None:
    # 40.55 million for 32x32 images, without the projections of shortcuts (He et al. count 41 million).
    network = build_model("resnet20", 10, seed=0, input_channels=3, width=16)
    costs = costs_of(network, (3, 32, 32))
    shortcuts = sum(costs.of_layer(layer, size) or 0 for layer, size in costs.sizes.items() if "downsample" in layer)
    assert costs.multiply_adds - shortcuts == 40_551_040


def test_counting_leaves_the_network_as_it_was() -> None:
    network = Odd().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    costs_of(network, (3, 8, 8))
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


MASKS = {"a": torch.tensor([[True, False], [False, False]]), "b": torch.tensor([True, True])}


def test_a_mask_that_holds() -> None:
    weights = {"a.weight": torch.tensor([[0.5, 0.0], [-0.0, 0.0]]), "b.weight": torch.tensor([0.0, 2.0])}
    found = held_mask(0, "trained.pt", MASKS, weights)
    assert found.holds
    assert (found.all.pruned, found.all.returned, found.all.nonzero, found.all.total) == (3, 0, 2, 6)
    assert found.verdict == "the mask holds: all 3 pruned weights are 0 in trained.pt"


def test_a_mask_that_does_not_hold() -> None:
    weights = {"a.weight": torch.tensor([[0.5, 1e-30], [0.0, -3.0]]), "b.weight": torch.tensor([1.0, 2.0])}
    found = held_mask(0, "trained.pt", MASKS, weights)
    assert not found.holds
    assert vars(found.layers["a"]) == {"total": 4, "pruned": 3, "returned": 2, "nonzero": 3}
    assert found.verdict == (
        "2 of 3 pruned weights are not 0 in trained.pt: the network that was trained is 83.3 % dense"
    )

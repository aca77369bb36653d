"""What is pruned, in which order, and why the rest is not."""

import pytest
import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.post_training import Stages, find_stages, prune_after_training
from tests.pruning.post_training.networks import VOCABULARY, Block, LanguageModel, seeded, source, tokens


def names(stages: Stages) -> list[list[str]]:
    return [[layer.name for layer in stage.layers] for stage in stages.stages]


def test_the_blocks_of_a_list_are_stages_and_tied_weights_stay() -> None:
    found = find_stages(LanguageModel(blocks=2), 5)
    assert names(found) == [[f"blocks.{b}.{layer}" for layer in ("first", "second", "output")] for b in range(2)]
    assert found.left_dense == {"head": "shares its weight with embedding"}


def test_layers_outside_of_the_blocks_stay() -> None:
    network = LanguageModel(blocks=1)
    network.head = nn.Linear(16, VOCABULARY)
    network.experts = nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)) for _ in range(2))
    found = find_stages(network, 5)
    assert names(found) == [["blocks.0.first", "blocks.0.second", "blocks.0.output"]]
    outside = ["head", "experts.0.0", "experts.0.2", "experts.1.0", "experts.1.2"]
    assert found.left_dense == dict.fromkeys(outside, "lies outside of the blocks blocks")


class Scaled(nn.Module):
    """A block with one argument, in a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Block(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, torch.tensor(1.0))  # type: ignore[no-any-return]


def test_the_modules_of_one_class_in_a_sequence_are_blocks() -> None:
    network = nn.Sequential(nn.Embedding(VOCABULARY, 8), Scaled(), Scaled(), nn.LayerNorm(8), nn.Linear(8, VOCABULARY))
    found = find_stages(network, 5)
    assert [stage.block for stage in found.stages] == [network[1], network[2]]
    assert list(found.left_dense) == ["4"]
    masks = prune_after_training(seeded(network), tokens(), method="sparsegpt", sparsity=0.5, generator=source())[1]
    assert len(masks) == 6


class OtherOrder(nn.Module):
    """Layers that run in another order than they are registered in, one of them twice, one never."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, VOCABULARY)
        self.second = nn.Linear(8, 8)
        self.never = nn.Linear(8, 8)
        self.first = nn.Linear(8, 8)
        self.embedding = nn.Embedding(VOCABULARY, 8)

    def forward(self, tokens: Tensor) -> Tensor:
        x = torch.relu(self.first(self.embedding(tokens)))
        return self.head(torch.relu(self.second(self.second(x))))  # type: ignore[no-any-return]


def test_without_blocks_each_layer_is_a_stage_in_the_order_of_execution() -> None:
    found = find_stages(OtherOrder(), 5)
    assert names(found) == [["first"], ["second"], ["never"]]
    assert found.left_dense == {"head": "gives the logits"}


def test_without_blocks_a_layer_sees_what_the_pruned_ones_before_it_return() -> None:
    network = seeded(OtherOrder())
    masks = prune_after_training(network, tokens(), method="wanda", sparsity=0.5, generator=source())[1]
    with torch.no_grad():
        first = network.first.weight * masks["first.weight"]
        x = torch.relu(nn.functional.linear(network.embedding(tokens()), first, network.first.bias))
        inputs = torch.cat([x, network.second(x)])  # both of its calls, whole in both
        scores = network.second.weight.abs() * inputs.flatten(0, 1).norm(dim=0)
    assert torch.equal(masks["second.weight"], scores >= scores.sort(1).values[:, 4:5])


class WithTorchAttention(nn.Module):
    """Torch's own blocks, in which the queries', keys' and values' weights are no layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        block = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.head(self.blocks(self.embedding(tokens), mask=mask, is_causal=True))  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_blocks_of_torch_are_pruned_but_for_their_attention(method: str, caplog: pytest.LogCaptureFixture) -> None:
    network = seeded(WithTorchAttention())
    found = find_stages(network, 5)
    assert names(found) == [[f"blocks.layers.{block}.linear{layer}" for layer in (1, 2)] for block in range(2)]
    assert found.left_dense["blocks.layers.0.self_attn.out_proj"].startswith("is computed in nn.MultiheadAttention")
    prune_after_training(network, tokens(), method=method, sparsity=0.5, generator=source())
    assert not caplog.records  # no layer was passed over


class Quantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.linear.weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.int8), requires_grad=False)


class Linear4bit(nn.Module):
    """A stand-in for that of ``bitsandbytes``."""

    __module__ = "bitsandbytes.nn.modules"


def test_quantised_layers_are_refused() -> None:
    with pytest.raises(InputError, match=r"layer linear \(Linear\) is quantised"):
        find_stages(Quantised(), 5)
    with pytest.raises(InputError, match=r"layer 0 \(Linear4bit\) is quantised.*give the network in float32"):
        find_stages(nn.Sequential(Linear4bit()), 5)


def test_a_weight_that_is_computed_from_others_is_refused() -> None:
    network = LanguageModel()
    nn.utils.parametrizations.weight_norm(network.blocks[0].first)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"the weight of layer blocks.0.first is computed from other parameters"):
        find_stages(network, 5)


class Conv1D(nn.Module):
    """A stand-in for that of ``transformers``: its weight is (inputs, outputs)."""

    __module__ = "transformers.pytorch_utils"

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


@pytest.mark.parametrize("method", ["magnitude-per-row", "wanda", "sparsegpt", "random"])
@pytest.mark.parametrize("pattern", [None, "2:4"])
def test_turned_weights_are_pruned_like_others(method: str, pattern: str | None) -> None:
    def prune(network: nn.Module) -> tuple[Tensor, Tensor]:
        weights, masks = prune_after_training(
            network, tokens(), method=method, sparsity=0.5, pattern=pattern, generator=source()
        )
        return weights["1.weight"], masks["1.weight"]

    plain = seeded(nn.Sequential(nn.Embedding(VOCABULARY, 8), nn.Linear(8, 12, bias=False), nn.Linear(12, VOCABULARY)))
    conv1d = Conv1D(12, 8)
    turned = nn.Sequential(plain[0], conv1d, plain[2])
    with torch.no_grad():
        conv1d.weight.copy_(plain.get_parameter("1.weight").t())
    expected, found = prune(plain), prune(turned)
    assert found[0].shape == found[1].shape == (8, 12)
    assert torch.equal(found[1], expected[1].t())
    assert torch.allclose(found[0], expected[0].t(), atol=1e-5)

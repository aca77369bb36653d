"""Masks and weights of the authors' code for Wanda and SparseGPT; see ``reference/README.md``."""

import lzma
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.func import functional_call

from prunecheck.pruning.post_training import prune_after_training
from tests.pruning.post_training.networks import source

REFERENCE = Path(__file__).parents[1] / "reference" / "post-training-llama.safetensors.xz"

RANDOM_TOKENS = "post-training-random-tokens.safetensors.xz"


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    return load(lzma.decompress(REFERENCE.read_bytes()))


@pytest.fixture(scope="module")
def network(reference: dict[str, Tensor]) -> nn.Module:
    import transformers

    from prunecheck.models.transformers_folder import CausalLanguageModel

    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=144, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=32,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    model.load_state_dict({
        name.removeprefix("before/"): value.float() for name, value in reference.items() if name.startswith("before/")
    })  # fmt: skip
    return CausalLanguageModel(model)


@pytest.mark.parametrize("pattern", ["0.5", "2:4", "4:8"])
@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
def test_masks_and_weights_are_those_of_the_authors_code(
    method: str, pattern: str, network: nn.Module, reference: dict[str, Tensor]
) -> None:
    weights, masks = prune_after_training(
        network,
        reference["tokens"].long(),
        method=method,
        sparsity=0.5,
        pattern=None if pattern == "0.5" else pattern,
        generator=source(),
    )
    assert len(masks) == 14
    for name, mask in masks.items():
        theirs = name.removeprefix("model.")
        packed = reference[f"{method} {pattern}/mask/{theirs}"].numpy()
        expected = torch.from_numpy(numpy.unpackbits(packed, count=mask.numel()).astype(bool)).view(mask.shape)
        before = reference[f"before/{theirs}"].float()
        if method == "magnitude":  # among weights of equal size it is drawn which are kept
            least = before.abs()[mask].min()
            expected = torch.where(before.abs() == least, mask, expected)
        assert torch.equal(mask, expected), name
        kept = reference.get(f"{method} {pattern}/weight/{theirs}")
        if kept is not None:
            assert torch.allclose(weights[name][mask], kept.float(), rtol=2e-3, atol=1e-4)
            assert not torch.allclose(weights[name][mask], before[mask], rtol=2e-3, atol=1e-4)
        elif method != "sparsegpt":
            assert torch.equal(weights[name], before)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_random_tokens_lose_what_they_lose_in_the_authors_code(method: str, network: nn.Module) -> None:
    theirs = load(lzma.decompress(REFERENCE.with_name(RANDOM_TOKENS).read_bytes()))
    later = theirs["later"].long()
    changes = {}
    for shown in ("text", "random"):
        weights, masks = prune_after_training(
            network, theirs[shown].long(), method=method, sparsity=0.5, generator=source()
        )
        pruned = {name: weights[name] * mask for name, mask in masks.items()}
        with torch.no_grad():
            changed: Tensor = functional_call(network, pruned, later) - network(later)
        changes[shown] = changed.square().mean().item()
        assert changes[shown] == pytest.approx(theirs[f"{method} {shown}/change of logits"].item(), rel=1e-2)
    assert changes["random"] > 1.4 * changes["text"]

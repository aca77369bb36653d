"""A small causal transformer of tokens: with text as bytes, a language model that a laptop trains in minutes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.errors import InputError
from prunecheck.models.registry import register_model

HEAD_WIDTH = 32
"""Channels of an attention head."""

USUAL_WIDTH = 64

BLOCKS = 4

MLP_RATIO = 4
"""Hidden units of a block's perceptron, in multiples of the width, as in GPT-2."""

EMBEDDING_STD = 0.02
"""Of initial embeddings, as in GPT-2."""


class CausalAttention(nn.Module):
    """Attention of every token to itself and those before it; each projection is a linear layer of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD_WIDTH)
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.o = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.o(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class CausalBlock(nn.Module):
    """Attention and a perceptron, each after a layer norm and beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = CausalAttention(width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))  # type: ignore[no-any-return]


class ByteTransformer(nn.Module):
    """Embeddings of tokens and positions, blocks, a layer norm; the logits are products with the embeddings of tokens.

    The embeddings of tokens are tied to the output, as in GPT-2, and no layer that is pruned. Initialisation: linear
    layers Xavier uniform, biases 0, embeddings N(0, 0.02).
    """

    takes_tokens = True

    def __init__(self, vocabulary: int, width: int, blocks: int, sequence_length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(sequence_length, width)
        self.blocks = nn.ModuleList(CausalBlock(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, 0, EMBEDDING_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (N, T, vocabulary) of the token after each, for tokens int64 (N, T)."""
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.tokens.weight)


@register_model("byte-transformer")
def byte_transformer(num_classes: int, width: int = USUAL_WIDTH, sequence_length: int = 128) -> ByteTransformer:
    """Causal transformer of tokens, four blocks; width is that of its tokens (for text as bytes, and other tokens).

    Decoder blocks as in GPT-2 (Radford et al., 2019), with heads of 32 channels, queries, keys, values and outputs
    without biases, and embeddings that are tied to the output and not pruned.
    """
    if width > HEAD_WIDTH and width % HEAD_WIDTH:
        raise InputError(
            f"byte-transformer of width {width} has no whole number of attention heads of {HEAD_WIDTH} channels: "
            f"choose a multiple of {HEAD_WIDTH}, or a width below it.",
            field="width",
        )
    with torch.device("cpu"):
        return ByteTransformer(num_classes, width, BLOCKS, sequence_length)

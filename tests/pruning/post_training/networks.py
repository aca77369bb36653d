"""Small networks of tokens for tests."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

VOCABULARY = 24


class Block(nn.Module):
    """Two layers that share their inputs, a third one, and a mixture over earlier tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width, bias=False)
        self.second = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        normal = self.norm(x)
        mixed = torch.tanh(self.first(normal)) * self.second(normal).cumsum(1)
        return x + scale * self.output(mixed)  # type: ignore[no-any-return]


class LanguageModel(nn.Module):
    """Blocks in a list, and logits by the weights that embed the tokens."""

    def __init__(self, blocks: int = 3, width: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.between(self.embedding(tokens), tokens)
        for block in self.blocks:
            x = self.between(block(x, torch.tensor(0.5)), tokens)
        return self.head(self.dropout(x))  # type: ignore[no-any-return]

    def between(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Return the inputs of the next block."""
        return x


class WithSomethingBetween(LanguageModel):
    """Blocks that do not hand their outputs on as they are, to the same effect."""

    def between(self, x: Tensor, tokens: Tensor) -> Tensor:
        return x + 0


def seeded(network: Network, seed: int = 0) -> Network:
    """Fill a network with numbers of its own generator."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=generator)
    return network


def tokens(sequences: int = 4, length: int = 10, seed: int = 0) -> Tensor:
    """Return tokens, int64 (sequences, length)."""
    return torch.randint(VOCABULARY, (sequences, length), generator=torch.Generator().manual_seed(seed))


def source(seed: int = 0) -> torch.Generator:
    """Return a generator."""
    return torch.Generator().manual_seed(seed)

"""Vision transformers for small images: ViT-Lite, with queries, keys and values from linear layers of their own."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.errors import InputError
from prunecheck.models.registry import register_model

PUBLISHED_WIDTH = 256

HEAD_WIDTH = 64
"""Channels of an attention head, as in ViT and ViT-Lite."""

MLP_RATIO = 2
"""Hidden units of a block's perceptron, in multiples of the width, as in ViT-Lite."""

SMALLEST_PATCH = 2
MOST_PATCHES = 64
"""Patches are the smallest squares, of at least 2x2 pixels, of which at most 64 make up an image."""

POSITION_STD = 0.2
"""Of the initial positions, as in the code published with ViT-Lite; with the 0.02 of ViT they hardly count at first,
and plain SGD is slow to change that."""


class SelfAttention(nn.Module):
    """Attention of every token to every token.

    ``query``, ``key`` and ``value`` are linear layers, which can be pruned one by one; ``nn.MultiheadAttention`` holds
    them in one parameter.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (layer(x).unflatten(2, (self.heads, -1)) for layer in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and a perceptron, each after a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, MLP_RATIO * width)
        self.linear2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))  # type: ignore[no-any-return]


class VisionTransformer(nn.Module):
    """Patches, a class token and learned positions, then blocks, a layer norm and a linear layer of the class token.

    Initialisation: linear layers Xavier uniform, the embedding of patches of variance 1 / fan-in, biases and the class
    token 0, as in the code published with ViT; positions N(0, 0.2), as in that of ViT-Lite. The last layer, which is 0
    in ViT, is Xavier uniform as well: behind zeros no criterion sees a gradient.
    """

    def __init__(
        self, depth: int, num_classes: int, input_channels: int, width: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__()
        patch = patch_size(*image_size)
        count = (image_size[0] // patch) * (image_size[1] // patch)
        self.patches = nn.Conv2d(input_channels, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, count + 1, width))
        self.blocks = nn.Sequential(*(Block(width, heads_of(width)) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)
        nn.init.normal_(self.positions, 0, POSITION_STD)
        nn.init.normal_(self.patches.weight, 0, math.sqrt(1 / self.patches.weight[0].numel()))
        nn.init.zeros_(self.patches.bias)  # type: ignore[arg-type]
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), tokens], dim=1) + self.positions
        return self.head(self.norm(self.blocks(tokens)[:, 0]))  # type: ignore[no-any-return]


def patch_size(height: int, width: int) -> int:
    """Return the height and width of the patches in which images of a size are cut, in pixels.

    Raises:
        InputError: the image cannot be cut into at least four squares.
    """
    for size in range(SMALLEST_PATCH, min(height, width) // 2 + 1):
        if height % size == 0 == width % size and (height // size) * (width // size) <= MOST_PATCHES:
            return size
    raise InputError(
        f"images of {height}x{width} pixels cannot be cut into at most {MOST_PATCHES} square patches of equal size: "
        "pad or crop them, to 32x32 for instance, or choose a network of convolutions, such as resnet20."
    )


def heads_of(width: int) -> int:
    """Return the number of attention heads: one for every 64 channels, at least one.

    Raises:
        InputError: the width is not a multiple of 64 and larger.
    """
    if width > HEAD_WIDTH and width % HEAD_WIDTH:
        raise InputError(
            f"a vision transformer of width {width} has no whole number of attention heads of {HEAD_WIDTH} channels: "
            f"choose a multiple of {HEAD_WIDTH}, or a width below it.",
            field="width",
        )
    return max(1, width // HEAD_WIDTH)


@register_model("vit<depth>")
def vit(
    num_classes: int,
    depth: int,
    input_channels: int = 3,
    width: int = PUBLISHED_WIDTH,
    image_size: int | tuple[int, int] = 32,
) -> VisionTransformer:
    """Vision transformer of depth blocks; width is that of its tokens (vit7: ViT-Lite-7/4 on 32x32).

    Dosovitskiy et al., ICLR 2021, arXiv:2010.11929, in the sizes for small images of Hassani et al. (ViT-Lite,
    arXiv:2104.05704): heads of 64 channels, perceptrons of twice the width, no biases of queries, keys and values, and
    patches of 4x4 pixels in 32x32. Here without dropout and stochastic depth.
    """
    height, breadth = (image_size, image_size) if isinstance(image_size, int) else image_size
    return VisionTransformer(depth, num_classes, input_channels, width, (height, breadth))

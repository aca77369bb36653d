"""A user's model, of which a function says what it computes."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Forward = Callable[["Own", Tensor], Tensor]


class Own(nn.Module):
    """A user's model: a convolution and layers of all kinds, of which a forward given as a function uses some."""

    layer: nn.Module
    whole: nn.Module
    other: Any

    def __init__(self, forward: Forward, **layers: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.identity = nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(3, 4)
        self.given = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.given(self, x)

    def head(self, x: Tensor) -> Tensor:
        """Return the logits of a feature map."""
        return self.linear(x.mean((2, 3)))  # type: ignore[no-any-return]


IMAGE = (2, 6, 5)

"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146), as rigl-reproducibility trains them."""

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.models.registry import register_model

DROPOUT = 0.3
"""Between the convolutions of a block, as in the code of rigl-reproducibility."""


class PreActivationBlock(nn.Module):
    """Batch norm, ReLU and a 3x3 convolution, twice, beside a shortcut, with dropout between them."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(DROPOUT)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = None if inputs == channels else nn.Conv2d(inputs, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = torch.relu(self.bn1(x))
        # A block that changes the number of channels takes its shortcut after the first ReLU.
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        out = torch.relu(self.bn2(self.conv1(activated)))
        out = self.conv2(self.dropout(out))
        return out + shortcut  # type: ignore[no-any-return]


class WideResNet(nn.Module):
    """Three stages of n blocks; each stage but the first halves the image and doubles the channels.

    Initialisation: convolutions Kaiming normal (fan-out), the linear layer as torch draws it, its biases 0.
    """

    def __init__(self, depth: int, num_classes: int, input_channels: int, width: int) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        stages = [width, 2 * width, 4 * width]
        self.conv1 = nn.Conv2d(input_channels, 16, 3, padding=1, bias=False)
        self.layer1 = _stage(16, stages[0], blocks, stride=1)
        self.layer2 = _stage(stages[0], stages[1], blocks, stride=2)
        self.layer3 = _stage(stages[1], stages[2], blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(stages[2])
        self.fc = nn.Linear(stages[2], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = torch.relu(self.bn1(x)).mean(dim=(2, 3))
        return self.fc(x)  # type: ignore[no-any-return]


def _stage(inputs: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = PreActivationBlock(inputs, channels, stride)
    return nn.Sequential(first, *(PreActivationBlock(channels, channels, 1) for _ in range(blocks - 1)))


@register_model("wrn<depth>")
def wide_resnet(num_classes: int, depth: int, input_channels: int = 3, width: int = 32) -> WideResNet:
    """Wide ResNet of depth 6n+4 with dropout; wrn22 of width 32 is WRN-22-2, whose factor is width / 16."""
    if depth < 10 or depth % 6 != 4:
        nearest = max(10, 6 * round((depth - 4) / 6) + 4)
        raise InputError(
            f"wrn{depth} does not exist: the depth is 6n+4 (10, 16, 22, 28, ...); the nearest is wrn{nearest}."
        )
    return WideResNet(depth, num_classes, input_channels, width)

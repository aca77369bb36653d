"""ResNets for small images, as published with arXiv:2009.11094 (twice the usual channels)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.models.registry import register_model

BOTTLENECK_FROM_DEPTH = 54
"""From this depth on the published networks are built of bottleneck blocks."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = torch.relu_(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu_(out + shortcut)


class BottleneckBlock(nn.Module):
    """A 3x3 convolution between two 1x1 convolutions beside a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        outputs = channels * self.expansion
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = torch.relu_(self.bn1(self.conv1(x)))
        out = torch.relu_(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return torch.relu_(out + shortcut)


class ResNet(nn.Module):
    """Three stages of n blocks; each stage but the first halves the image and doubles the channels.

    Initialisation: convolutions Kaiming normal (fan-out), the linear layer N(0, 0.01), biases 0.
    """

    prefers_channels_last = True

    def __init__(self, depth: int, num_classes: int, input_channels: int, width: int) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        block = BottleneckBlock if depth >= BOTTLENECK_FROM_DEPTH else BasicBlock
        self.conv1 = nn.Conv2d(input_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = stage(block, width, width, blocks, stride=1)
        self.layer2 = stage(block, width * block.expansion, 2 * width, blocks, stride=2)
        self.layer3 = stage(block, 2 * width * block.expansion, 4 * width, blocks, stride=2)
        self.fc = nn.Linear(4 * width * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.fc.weight, 0, 0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = x.mean(dim=(2, 3))
        return self.fc(x)  # type: ignore[no-any-return]


def stage(
    block: Callable[[int, int, int, nn.Module | None], nn.Module], inputs: int, channels: int, blocks: int, stride: int
) -> nn.Sequential:
    """Return so many blocks, the first of them with this stride, and with a 1x1 convolution beside it if need be."""
    outputs: int = channels * block.expansion  # type: ignore[attr-defined]
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    first = block(inputs, channels, stride, downsample)
    return nn.Sequential(first, *(block(outputs, channels, 1, None) for _ in range(blocks - 1)))


@register_model("resnet<depth>")
def resnet(num_classes: int, depth: int, input_channels: int = 3, width: int = 32) -> ResNet:
    """ResNet of depth 6n+2 with width, 2 width and 4 width channels (published: 32-64-128)."""
    if depth < 8 or depth % 6 != 2:
        nearest = max(8, 6 * round((depth - 2) / 6) + 2)
        raise InputError(
            f"resnet{depth} does not exist: the depth is 6n+2 (8, 14, 20, 26, 32, ...); the nearest is resnet{nearest}."
        )
    return ResNet(depth, num_classes, input_channels, width)

"""MobileNetV2 for small images: inverted residual blocks around depthwise convolutions."""

from torch import Tensor, nn

from prunecheck.models.registry import register_model

PUBLISHED_WIDTH = 32
"""Channels of the first convolution, which all others are multiples of."""

LAST_CHANNELS = 1280
FIRST_STAGE_CHANNELS = 16

STAGES = ((24, 2, 1), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
"""Channels, blocks and stride of the stages after the first (table 2 of arXiv:1801.04381), with the strides for small
images: 1 in the first convolution and the second stage."""

EXPANSION = 6


class InvertedResidual(nn.Module):
    """A depthwise 3x3 convolution between two 1x1 convolutions, wide inside; beside a shortcut where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = expansion * inputs
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()]
        layers += [
            nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.layers = nn.Sequential(*layers)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return x + out if self.has_shortcut else out


class MobileNetV2(nn.Module):
    """A convolution, seven stages of inverted residual blocks, a 1x1 convolution, and one linear layer of the mean.

    Initialisation: convolutions Kaiming normal (fan-out), the linear layer N(0, 0.01), biases 0. Dropout before the
    linear layer is left out.
    """

    prefers_channels_last = True

    def __init__(self, num_classes: int, input_channels: int, width: int) -> None:
        super().__init__()
        channels = width
        self.stem = nn.Sequential(
            nn.Conv2d(input_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()
        )
        first = _scaled(FIRST_STAGE_CHANNELS, width)
        blocks = [InvertedResidual(channels, first, stride=1, expansion=1)]
        channels = first
        for published, count, stride in STAGES:
            outputs = _scaled(published, width)
            for number in range(count):
                blocks.append(InvertedResidual(channels, outputs, 1 if number else stride, EXPANSION))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        last = _scaled(LAST_CHANNELS, width)
        self.last = nn.Sequential(nn.Conv2d(channels, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU6())
        self.classifier = nn.Linear(last, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        nn.init.normal_(self.classifier.weight, 0, 0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.blocks(self.stem(x))).mean(dim=(2, 3))
        return self.classifier(x)  # type: ignore[no-any-return]


def _scaled(published: int, width: int) -> int:
    """Return how many channels there are in the place of so many published ones, at least one."""
    return max(1, round(published * width / PUBLISHED_WIDTH))


@register_model("mobilenetv2")
def mobilenetv2(num_classes: int, input_channels: int = 3, width: int = PUBLISHED_WIDTH) -> MobileNetV2:
    """MobileNetV2 for small images; all layers are as wide as width says (published: 32).

    Sandler et al., CVPR 2018, arXiv:1801.04381, in its usual form for CIFAR, which halves images three times. Every
    layer is scaled alike, where the published code rounds channels to multiples of 8 and narrows the last layer never.
    """
    return MobileNetV2(num_classes, input_channels, width)

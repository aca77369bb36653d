"""VGG networks for small images with one linear layer, as published with arXiv:2009.11094."""

import math

from torch import Tensor, nn

from prunecheck.models.registry import register_model

POOL = 0
PUBLISHED_WIDTH = 64

LAYERS = {
    11: (1, POOL, 2, POOL, 4, 4, POOL, 8, 8, POOL, 8, 8),
    13: (1, 1, POOL, 2, 2, POOL, 4, 4, POOL, 8, 8, POOL, 8, 8),
    16: (1, 1, POOL, 2, 2, POOL, 4, 4, 4, POOL, 8, 8, 8, POOL, 8, 8, 8),
    19: (1, 1, POOL, 2, 2, POOL, 4, 4, 4, 4, POOL, 8, 8, 8, 8, POOL, 8, 8, 8, 8),
}
"""Per depth, the channels of each convolution in multiples of the width, and the poolings."""


class VGG(nn.Module):
    """3x3 convolutions and four poolings, then the mean over positions and one linear layer.

    Initialisation: convolutions N(0, sqrt(2 / fan-in)), the linear layer N(0, linear_std), biases 0. The
    published average pooling, of size 2 for CIFAR and 4 for Tiny-ImageNet, is the mean over all
    positions of the images it was made for.
    """

    minimum_input_size = 16

    def __init__(
        self,
        depth: int,
        num_classes: int,
        input_channels: int,
        width: int,
        batch_norm: bool,
        linear_std: float = 0.01,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = input_channels
        for multiple in LAYERS[depth]:
            if multiple == POOL:
                layers.append(nn.MaxPool2d(2))
                continue
            layers.append(nn.Conv2d(channels, multiple * width, 3, padding=1))
            channels = multiple * width
            if batch_norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.ReLU(inplace=True))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_in))
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.classifier.weight, 0, linear_std)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x).mean(dim=(2, 3))
        return self.classifier(x)  # type: ignore[no-any-return]


def _register(depth: int, batch_norm: bool) -> None:
    def build(num_classes: int, input_channels: int = 3, width: int = PUBLISHED_WIDTH) -> VGG:
        return VGG(depth, num_classes, input_channels, width, batch_norm)

    build.__doc__ = (
        f"VGG with {depth - 3} convolutions{', batch norm' if batch_norm else ''} and one linear layer of 512 inputs."
    )
    register_model(f"vgg{depth}_bn" if batch_norm else f"vgg{depth}")(build)


for _depth in LAYERS:
    _register(_depth, batch_norm=False)
    _register(_depth, batch_norm=True)

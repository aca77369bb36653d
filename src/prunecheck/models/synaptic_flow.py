"""Networks for small images, as in the code of SynFlow (arXiv:2006.05467, GitHub ganguli-lab/Synaptic-Flow).

Its WideResNet18 is its ResNet18: the width that it is built with is read by bottleneck blocks only, and it has none.
"""

import math

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.models.registry import register_model
from prunecheck.models.resnet import BasicBlock, stage
from prunecheck.models.vgg import LAYERS, POOL, PUBLISHED_WIDTH, VGG


@register_model("lottery_vgg<depth>_bn")
def lottery_vgg_bn(num_classes: int, depth: int, input_channels: int = 3, width: int = PUBLISHED_WIDTH) -> VGG:
    """VGG with batch norm as in open_lth and Synaptic-Flow: vgg<depth>_bn, but the linear layer N(0, sqrt(2 / fan-in)).

    Raises:
        InputError: there is no VGG of this depth.
    """
    _require_depth("lottery_vgg", depth)
    return VGG(depth, num_classes, input_channels, width, batch_norm=True, linear_std=math.sqrt(2 / (8 * width)))


class ResNet18(nn.Module):
    """A 3x3 convolution, four stages of two blocks, each but the first at half the size, then the mean over positions.

    Initialisation: convolutions Kaiming normal (fan-out), the linear layer as torch draws it.
    """

    prefers_channels_last = True

    def __init__(self, num_classes: int, input_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(input_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = stage(BasicBlock, width, width, blocks=2, stride=1)
        self.layer2 = stage(BasicBlock, width, 2 * width, blocks=2, stride=2)
        self.layer3 = stage(BasicBlock, 2 * width, 4 * width, blocks=2, stride=2)
        self.layer4 = stage(BasicBlock, 4 * width, 8 * width, blocks=2, stride=2)
        self.fc = nn.Linear(8 * width, num_classes)
        _draw_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


@register_model("resnet18")
def resnet18(num_classes: int, input_channels: int = 3, width: int = 64) -> ResNet18:
    """ResNet18 for small images: a 3x3 convolution and no pooling before width, 2, 4 and 8 width channels."""
    return ResNet18(num_classes, input_channels, width)


class TinyVGG(nn.Module):
    """3x3 convolutions with batch norm and five poolings, then three linear layers with dropout of one half.

    Initialisation: convolutions Kaiming normal (fan-out), linear layers N(0, 0.01), biases 0.
    """

    minimum_input_size = 32

    def __init__(self, depth: int, num_classes: int, input_channels: int, width: int, positions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = input_channels
        for multiple in (*LAYERS[depth], POOL):
            if multiple == POOL:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [
                nn.Conv2d(channels, multiple * width, 3, padding=1),
                nn.BatchNorm2d(multiple * width),
                nn.ReLU(inplace=True),
            ]
            channels = multiple * width
        self.features = nn.Sequential(*layers)
        inputs = channels * positions
        self.classifier = nn.Sequential(
            nn.Linear(inputs, inputs // 2),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(inputs // 2, inputs // 2),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(inputs // 2, num_classes),
        )
        _draw_convolutions(self)
        for module in self.classifier:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))  # type: ignore[no-any-return]


@register_model("tiny_vgg<depth>_bn")
def tiny_vgg_bn(
    num_classes: int,
    depth: int,
    input_channels: int = 3,
    width: int = PUBLISHED_WIDTH,
    image_size: int | tuple[int, int] = 64,
) -> TinyVGG:
    """VGG with batch norm and three linear layers, as in Synaptic-Flow for Tiny-ImageNet.

    Args:
        num_classes: how many logits it returns.
        depth: 11, 13, 16 or 19.
        input_channels: of the images.
        width: channels of the first convolution.
        image_size: in pixels; published: 64, of which 2x2 positions are left.

    Raises:
        InputError: there is no VGG of this depth, or the images are smaller than 32x32.
    """
    _require_depth("tiny_vgg", depth)
    height, width_of_images = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    smallest = TinyVGG.minimum_input_size
    if min(height, width_of_images) < smallest:
        raise InputError(
            f"tiny_vgg{depth}_bn needs images of at least {smallest}x{smallest} pixels and these have "
            f"{height}x{width_of_images}: choose a network that halves them less often, such as resnet8, or larger "
            "images."
        )
    return TinyVGG(depth, num_classes, input_channels, width, (height // smallest) * (width_of_images // smallest))


def _require_depth(family: str, depth: int) -> None:
    if depth not in LAYERS:
        known = ", ".join(f"{family}{known}_bn" for known in LAYERS)
        raise InputError(f"{family}{depth}_bn does not exist: choose one of {known}.")


def _draw_convolutions(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)

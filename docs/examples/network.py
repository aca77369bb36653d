"""A network: plain 3x3 convolutions, a family of any depth."""

from torch import nn

from prunecheck.models import register_model


@register_model("plain<depth>")
def plain(num_classes: int, depth: int = 4, input_channels: int = 3, width: int = 16) -> nn.Module:
    """Convolutions with batch norm, the mean over positions and one linear layer.

    Weights are drawn as the modules draw them, from torch's generator, which ``build_model`` seeds.

    Args:
        num_classes: how many logits it returns.
        depth: number of convolutions, from the name: ``plain6`` has six.
        input_channels: of the images.
        width: channels of every convolution.
    """
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(input_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        input_channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))

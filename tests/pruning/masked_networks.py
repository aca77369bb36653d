"""Small networks, and files of them in the forms of tools that are not there: open_lth and Synaptic-Flow."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.tickets import Weights


def _convolution(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


def _linear(inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, outputs)


def _identity(channels: int) -> nn.Module:
    return nn.Sequential()


class Plain(nn.Module):
    """A block whose shortcut is the identity, with and without what masks it, for images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = self.convolution(1, 4)
        self.bn = nn.BatchNorm2d(4)
        self.inner = self.convolution(4, 4)
        self.shortcut = self.identity(4)
        self.fc = self.linear(4, 10)

    convolution = staticmethod(_convolution)
    linear = staticmethod(_linear)
    identity = staticmethod(_identity)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn(self.conv(x)))
        x = functional.relu(self.inner(x) + self.shortcut(x))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def _with_masks(module: nn.Module) -> nn.Module:
    """Register a mask of ones for each parameter, as Synaptic-Flow's layers do."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        module.register_buffer(f"{name}_mask", torch.ones(parameter.shape))
    return module


class Scale(nn.Module):
    """The identity as Synaptic-Flow has it: a weight for each channel, which stays 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight * self.get_buffer("weight_mask")


class OfSynapticFlow(Plain):
    """The same network of layers that have a mask for each parameter."""

    convolution = staticmethod(lambda inputs, outputs: _with_masks(_convolution(inputs, outputs)))
    linear = staticmethod(lambda inputs, outputs: _with_masks(_linear(inputs, outputs)))
    identity = staticmethod(lambda channels: _with_masks(Scale(channels)))

    def __init__(self) -> None:
        super().__init__()
        _with_masks(self.bn)


def synaptic_flow_state(weights: Weights, masks: Masks) -> Weights:
    """Return a state dict as Synaptic-Flow saves one: weights as they are, and their masks beside them."""
    network = OfSynapticFlow()
    network.load_state_dict(weights, strict=False)
    for layer, mask in masks.items():
        network.get_submodule(layer).get_buffer("weight_mask").copy_(mask)
    return dict(network.state_dict())


def write_open_lth(folder: Path, start: Weights, trained: Weights, masks: Masks) -> None:
    """Write what open_lth leaves of one level: mask, first model (masked), last (after a step), checkpoint."""
    folder.mkdir(parents=True)
    first = dict(start)
    for layer, mask in masks.items():
        first[weight_name(layer)] = start[weight_name(layer)] * mask
    torch.save({weight_name(layer): mask.int() for layer, mask in masks.items()}, folder / "mask.pth")
    torch.save(first, folder / "model_ep0_it0.pth")
    torch.save(trained, folder / "model_ep160_it0.pth")
    torch.save(first, folder / "model_ep20_it7.pth")
    of_mask = {f"mask_{weight_name(layer).replace('.', '___')}": mask.float() for layer, mask in masks.items()}
    state = {f"model.{name}": tensor for name, tensor in trained.items()} | of_mask
    checkpoint = {"ep": 160, "it": 0, "model_state_dict": state, "optimizer_state_dict": {}, "logger": "[]"}
    torch.save(checkpoint, folder / "checkpoint.pth")
    (folder / "sparsity_report.json").write_text("{}")

"""Parameters that lie one after the other in one vector, so that a call updates them all."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

ALIGNMENT = 64
"""Bytes at whose multiples each parameter begins, as those do that have memory of their own."""


class PackedParameters:
    """Parameters and their gradients, moved into one vector each; they keep their shapes, memory formats and values.

    Their gradients stay where they are: whoever computes them writes all of them, in place, before each step.
    What lies between two parameters is 0 and has a gradient of 0.

    Args:
        parameters: by name, all of one type and on one device; changed in place.

    Attributes:
        vector: of all parameters; its ``grad`` is that of all gradients.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._layout: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {}
        first, end = next(iter(parameters.values())), 0
        for name, parameter in parameters.items():
            self._layout[name] = (tuple(parameter.shape), torch.empty_like(parameter).stride(), end)
            end += math.ceil(parameter.numel() * parameter.itemsize / ALIGNMENT) * ALIGNMENT // parameter.itemsize
        self.vector = torch.zeros(end, dtype=first.dtype, device=first.device)
        self.vector.grad = torch.zeros_like(self.vector)
        for name, parameter in parameters.items():
            place = self.view(name, self.vector)
            place.copy_(parameter.detach())
            parameter.data = place
            parameter.grad = self.view(name, self.vector.grad)

    def __contains__(self, name: str) -> bool:
        """Say whether a parameter of this name is among them."""
        return name in self._layout

    def view(self, name: str, vector: Tensor) -> Tensor:
        """Return where a parameter, or what belongs to it, lies in a vector that is laid out as :attr:`vector` is."""
        return vector.as_strided(*self._layout[name])

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """Return all that lies in such a vector, by the parameters' names."""
        return {name: self.view(name, vector) for name in self._layout}

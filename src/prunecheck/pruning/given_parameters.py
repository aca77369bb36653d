"""A network that computes with parameters from outside of it, which gradients lead back to."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.func import functional_call


class WithParameters(nn.Module):
    """A network that computes with given parameters in the place of its own; its buffers stay its own.

    Args:
        network: whose forward is run.
        given: the parameters, by the names of its state dict; the others are the network's own.
    """

    def __init__(self, network: nn.Module, given: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network = network
        self._given = dict(given)  # no parameters of this module: they may be computed from others
        self.training = network.training

    def forward(self, x: Tensor) -> Tensor:
        """Run the network on images (N, channels, height, width)."""
        output: Tensor = functional_call(self.network, self._given, (x,))
        return output

"""Which network a ticket is trained in: the one that computes fastest."""

from dataclasses import dataclass

import torch
from torch import nn

from prunecheck.pruning.tickets import Ticket
from prunecheck.training.acceleration import Acceleration, is_gpu
from prunecheck.training.network import DenseNetwork, TrainableNetwork
from prunecheck.training.recipe import Recipe
from prunecheck.training.sparse import sparse_network


@dataclass(frozen=True)
class NetworkBuilder:
    """Makes the networks of tickets.

    Attributes:
        model: the network that the tickets' weights are for; it is left as it was.
        recipe: hyper-parameters.
        image_shape: channels, height and width.
        device: where to train.
        acceleration: settled; see :meth:`Acceleration.settled`.
    """

    model: nn.Module
    recipe: Recipe
    image_shape: tuple[int, ...]
    device: torch.device | str
    acceleration: Acceleration

    def build(self, ticket: Ticket) -> TrainableNetwork:
        """Return the network that computes fastest."""
        if not is_gpu(self.device):
            asked = self.acceleration.sparse_convolutions
            network = sparse_network(ticket, self.model, self.recipe, self.image_shape, asked)
            if network:
                return network
        return self.build_dense(ticket)

    def build_dense(self, ticket: Ticket) -> DenseNetwork:
        """Return the network that computes with all weights."""
        memory_format = torch.channels_last if self.acceleration.channels_last else torch.contiguous_format
        return DenseNetwork(ticket, self.model, self.recipe, self.device, memory_format)

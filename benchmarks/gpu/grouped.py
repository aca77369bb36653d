"""Many tickets of one network as one: grouped convolutions, or parameters stacked for ``torch.func``.

Each ticket sees batches of its own. Masks are multiplied into the gradients, in one call for all weights, as in
prunecheck's own step. What stands in the way of either is said by the exception that building or running it raises.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.pruning import Ticket
from prunecheck.pruning.layers import weight_name
from prunecheck.training import Recipe

Step = Callable[[Tensor, Tensor], None]
"""Trains all tickets on a batch each: images (tickets, batch, channels, height, width), labels (tickets, batch)."""


class GroupedLinear(nn.Module):
    """The linear layers of so many tickets: (batch, tickets x inputs) to (batch, tickets x outputs)."""

    def __init__(self, linear: nn.Linear, tickets: int) -> None:
        super().__init__()
        self.tickets = tickets
        self.weight = nn.Parameter(linear.weight.detach().repeat(tickets, 1))
        self.bias = nn.Parameter(linear.bias.detach().repeat(tickets))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of all tickets, one after the other."""
        inputs = x.view(len(x), self.tickets, -1).transpose(0, 1)
        weights = self.weight.view(self.tickets, -1, inputs.shape[-1]).transpose(1, 2)
        biases = self.bias.view(self.tickets, 1, -1)
        return torch.baddbmm(biases, inputs, weights).transpose(0, 1).reshape(len(x), -1)


def grouped_network(model: nn.Module, tickets: Sequence[Ticket]) -> nn.Module:
    """Return a network whose channels are those of all tickets, one after the other.

    Args:
        model: of Conv2d, BatchNorm2d, Linear, and layers that treat every channel by itself.
        tickets: whose weights it has.
    """
    count = len(tickets)
    network = copy.deepcopy(model)
    for name, module in list(network.named_modules()):
        replacement: nn.Module | None = None
        if isinstance(module, nn.Conv2d):
            replacement = nn.Conv2d(
                module.in_channels * count,
                module.out_channels * count,
                module.kernel_size,  # type: ignore[arg-type]
                module.stride,  # type: ignore[arg-type]
                module.padding,  # type: ignore[arg-type]
                groups=module.groups * count,
                bias=module.bias is not None,
            )
        elif isinstance(module, nn.BatchNorm2d):
            replacement = nn.BatchNorm2d(module.num_features * count, module.eps, module.momentum)
        elif isinstance(module, nn.Linear):
            replacement = GroupedLinear(module, count)
        if replacement is not None:
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, replacement)
    masked = [_masked(ticket) for ticket in tickets]
    together = network.state_dict()
    for name, tensor in together.items():
        if tensor.dim():
            tensor.copy_(torch.cat([weights[name] for weights in masked]))
    network.load_state_dict(together)
    return network


def grouped_step(model: nn.Module, tickets: Sequence[Ticket], recipe: Recipe, device: torch.device) -> Step:
    """Return a step in which the tickets are groups of one network."""
    network = grouped_network(model, tickets).to(device)
    masks = {
        weight_name(layer): torch.cat([ticket.masks[layer] for ticket in tickets]).to(device, torch.float32)
        for layer in tickets[0].masks
    }
    named: dict[str, Tensor] = dict(network.named_parameters())
    momentum = {name: torch.zeros_like(parameter) for name, parameter in named.items()}

    def step(images: Tensor, labels: Tensor) -> None:
        count, batch = labels.shape
        logits = network(images.transpose(0, 1).flatten(1, 2)).view(batch, count, -1).transpose(0, 1)
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / batch
        torch.autograd.backward(loss)
        gradients = {name: parameter.grad for name, parameter in named.items() if parameter.grad is not None}
        _update(named, gradients, momentum, masks, recipe)
        network.zero_grad()

    return step


def stacked_step(model: nn.Module, tickets: Sequence[Ticket], recipe: Recipe, device: torch.device) -> Step:
    """Return a step of ``torch.func``: one computation, mapped over the stacked weights of the tickets."""
    network = copy.deepcopy(model).to(device)
    names = [name for name, _ in network.named_parameters()]
    masked = [_masked(ticket) for ticket in tickets]
    stacked = {name: torch.stack([weights[name] for weights in masked]).to(device) for name in network.state_dict()}
    parameters = {name: stacked[name] for name in names}
    buffers = {name: tensor for name, tensor in stacked.items() if name not in parameters}
    masks = {
        weight_name(layer): torch.stack([ticket.masks[layer] for ticket in tickets]).to(device, torch.float32)
        for layer in tickets[0].masks
    }
    momentum = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}

    def loss(weights: dict[str, Tensor], state: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        logits = torch.func.functional_call(network, (weights, state), (images,))
        return functional.cross_entropy(logits, labels)

    gradients_of = torch.func.vmap(torch.func.grad(loss), randomness="different")

    def step(images: Tensor, labels: Tensor) -> None:
        _update(parameters, gradients_of(parameters, buffers, images, labels), momentum, masks, recipe)

    return step


def _masked(ticket: Ticket) -> dict[str, Tensor]:
    """Return the ticket's weights, pruned ones as 0."""
    weights = {name: tensor.clone() for name, tensor in ticket.weights.items()}
    for layer, mask in ticket.masks.items():
        weights[weight_name(layer)] *= mask
    return weights


@torch.no_grad()
def _update(
    parameters: dict[str, Tensor],
    gradients: dict[str, Tensor],
    momentum: dict[str, Tensor],
    masks: dict[str, Tensor],
    recipe: Recipe,
) -> None:
    names = list(gradients)
    of = [parameters[name] for name in names]
    slopes, speeds = [gradients[name] for name in names], [momentum[name] for name in names]
    torch._foreach_mul_([gradients[name] for name in masks], list(masks.values()))
    slopes = list(torch._foreach_add(slopes, of, alpha=recipe.weight_decay))
    torch._foreach_mul_(speeds, recipe.momentum)
    torch._foreach_add_(speeds, slopes)
    torch._foreach_add_(of, speeds, alpha=-recipe.learning_rate)

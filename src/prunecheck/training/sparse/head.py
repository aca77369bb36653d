"""What makes logits of a trunk's features: the model's own modules or, for one linear layer, a few calls."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from prunecheck.training.sparse.memory import gradient_of

Back = Callable[[Tensor], None]
"""What goes on backward from the gradient of the features (batch, channels)."""


class Head(ABC):
    """Makes logits of features."""

    @abstractmethod
    def parameters(self) -> list[nn.Parameter]:
        """Return those whose gradients are written in place."""

    @abstractmethod
    def train(self, mode: bool) -> None:
        """Set training or evaluation mode."""

    @abstractmethod
    def __call__(self, features: Tensor, back: Back | None) -> Tensor:
        """Return the logits (batch, classes).

        Args:
            features: (batch, channels).
            back: called when autograd comes to the features; None where it is not to go back.
        """


class GraphHead(Head):
    """Logits through the model's own modules.

    Args:
        model: that they are of.
        graph: of the features.
    """

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        self._made = fx.GraphModule(model, graph)

    def parameters(self) -> list[nn.Parameter]:
        """Return none, for autograd makes gradients anew."""
        return []

    def train(self, mode: bool) -> None:
        """Set the mode of the modules."""
        self._made.train(mode)

    def __call__(self, features: Tensor, back: Back | None) -> Tensor:
        """Return the logits (batch, classes)."""
        if back:
            features.requires_grad_().register_hook(back)  # type: ignore[no-untyped-call]
        return self._made(features)  # type: ignore[no-any-return]


class LinearHead(Head):
    """Logits through one linear layer, of which autograd need not know: of a small network's step that saves a part.

    Args:
        linear: all there is between features and logits.
    """

    def __init__(self, linear: nn.Linear) -> None:
        self._linear = linear

    def parameters(self) -> list[nn.Parameter]:
        """Return weight and bias."""
        return list(self._linear.parameters())

    def train(self, mode: bool) -> None:
        """Do nothing, for it computes the same in both modes."""

    def __call__(self, features: Tensor, back: Back | None) -> Tensor:
        """Return the logits (batch, classes), from which autograd comes back here."""
        weight, bias = self._linear.weight.detach(), self._linear.bias
        logits = functional.linear(features, weight, None if bias is None else bias.detach())
        if back:

            def go_back(gradient: Tensor) -> None:
                torch.mm(gradient.t(), features, out=gradient_of(self._linear.weight))
                if bias is not None:
                    torch.sum(gradient, 0, out=gradient_of(bias))
                back(gradient @ weight)

            logits.requires_grad_().register_hook(go_back)  # type: ignore[no-untyped-call]
        return logits


def head_of(model: nn.Module, graph: fx.Graph) -> Head:
    """Return what computes as a graph of a model's modules does."""
    linear = _only_linear(model, graph)
    return LinearHead(linear) if linear else GraphHead(model, graph)


def _only_linear(model: nn.Module, graph: fx.Graph) -> nn.Linear | None:
    """Return the linear layer that is all there is in a head, where it is trained."""
    found: list[nn.Linear] = []
    for node in graph.nodes:
        module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if node.op in ("placeholder", "output") or _changes_no_number(node, module):
            continue
        is_trained = module is not None and all(parameter.requires_grad for parameter in module.parameters())
        if type(module) is not nn.Linear or not is_trained or found:
            return None
        found.append(module)
    return found[0] if found else None


def with_positions(features: Tensor) -> Tensor:
    """Return features (batch, channels, 1, 1), for models that mean over positions and keep them."""
    return features[:, :, None, None]


def _changes_no_number(node: fx.Node, module: nn.Module | None) -> bool:
    """Say whether a node gives features positions, or takes them away."""
    if module is not None:
        return type(module) is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1)
    flattens = node.target in (torch.flatten, "flatten") and node.args[1:] == (1,) and not node.kwargs
    return node.target is with_positions or flattens

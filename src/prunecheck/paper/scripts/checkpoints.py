"""Checkpoints in the published form."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.checkpoint_files import Content
from prunecheck.pruning.tickets import Weights


def to_bytes(content: Content) -> bytes:
    """Return what ``torch.save`` would write; it loads with ``torch.load(weights_only=True)``."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def momentum_for(model: nn.Module, content: Content, path: Path) -> dict[str, Tensor]:
    """Return the momentum buffers of a checkpoint's optimizer, by parameter name.

    Torch numbers parameters in their order, and before version 1.5 by arbitrary numbers in that order.

    Raises:
        InputError: the checkpoint has no optimizer, or one of another network.
    """
    parameters = dict(model.named_parameters())
    try:
        state, (group,) = content["optimizer"]["state"], content["optimizer"]["param_groups"]
        numbers = dict(zip(parameters, group["params"], strict=True))
        found = {name: _buffer(state.get(numbers[name]), parameter) for name, parameter in parameters.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} has no state of an optimizer that fits the network, so that training cannot go on from it: "
            "give a checkpoint.pth.tar of baseline.py."
        ) from error
    return found


def _buffer(state: Mapping[str, Tensor] | None, parameter: Tensor) -> Tensor:
    """Return a parameter's momentum; 0 before its first step."""
    buffer = (state or {}).get("momentum_buffer")
    if buffer is None:
        return torch.zeros_like(parameter)
    if buffer.shape != parameter.shape:
        raise ValueError("momentum of another shape")
    return buffer.to(parameter.dtype)


def optimizer_state(
    model: nn.Module, learning_rate: float, momentum: float, weight_decay: float, buffers: Mapping[str, Tensor]
) -> Content:
    """Return the state dict of the ``torch.optim.SGD`` that would go on with these momentum buffers."""
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    state: Content = dict(optimizer.state_dict())
    names = [name for name, _ in model.named_parameters()]
    state["state"] = {number: {"momentum_buffer": buffers[name]} for number, name in enumerate(names)}
    return state


def plain(weights: Mapping[str, Tensor]) -> Weights:
    """Return a state dict as it is published: on the CPU, each tensor in one piece, row by row."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()
    }

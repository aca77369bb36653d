"""Checkpoints in the published form, read without running what is in them."""

import hashlib
import io
import pickle
import pickletools
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.tickets import Weights

Content = dict[str, Any]

COUNTERS = "num_batches_tracked"
"""Ends the names of batch norm's counters, which checkpoints of torch before 0.4.1 lack; nothing reads them."""

PARALLEL = "module."
"""Begins the names in checkpoints of a network wrapped in ``DataParallel``."""

SHOWN = 3
"""How many names an error lists."""


def to_bytes(content: Content) -> bytes:
    """Return what ``torch.save`` would write; it loads with ``torch.load(weights_only=True)``."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_checkpoint(path: Path, option: str) -> Content:
    """Read a checkpoint of any torch version, with its tensors on the CPU; nothing in it is run.

    Args:
        path: of the file.
        option: which names it, for the error.

    Raises:
        InputError: there is no such file, it is none of torch's, or it holds anything but data.
    """
    if not path.is_file():
        raise InputError(f"{option} {path} is no file: give the path of a checkpoint.")
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that are refused just after
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) and (found := _refused(error, path)):
            raise InputError(
                f"{path} is a pickle that wants to run code ({found}), which is refused: save its state_dict with "
                "torch.save and give that."
            ) from error
        raise InputError(
            f"{path} cannot be read as a checkpoint: it is damaged, or not written by torch.save; give another file."
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds no state_dict: give a file that baseline.py, LT_prune.py or torch.save wrote.")
    return dict(content)


def _refused(error: pickle.UnpicklingError, path: Path) -> str | None:
    """Return the function or class that a refused pickle names, if it was refused for that."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    return named.group(1).rstrip(".") if named else _first_global(path)


def _first_global(path: Path) -> str | None:
    """Return what a plain pickle imports first; it is gone through without being run."""
    texts: list[str] = []
    try:
        with path.open("rb") as file:
            for operation, argument, _ in pickletools.genops(file):
                if operation.name in ("GLOBAL", "INST"):
                    return str(argument).replace(" ", ".")
                if operation.name == "STACK_GLOBAL":
                    return ".".join(texts[-2:])
                if isinstance(argument, str):
                    texts.append(argument)
    except ValueError:
        return None
    return None


def weights_for(model: nn.Module, content: Content, path: Path, name: str) -> Weights:
    """Return the weights of a checkpoint if they are those of a network.

    Names may begin with ``module.``, and the counters of batch norm may be missing.

    Args:
        model: the network.
        content: of the checkpoint; one that holds nothing but tensors is a state dict itself.
        path: where it was read, for the error.
        name: of the network and its classes, likewise.

    Returns:
        A state dict for ``model``, of its dtypes.

    Raises:
        InputError: names are missing or too many, a shape differs, or a value is not finite.
    """
    expected = model.state_dict()
    found = _state_of(content, path)
    missing = [key for key in expected if key not in found and not key.endswith(COUNTERS)]
    surplus = [key for key in found if key not in expected]
    other = [key for key in expected if key in found and found[key].shape != expected[key].shape]
    if missing or surplus or other:
        wrong = [f"lacks {_names(missing)}"] if missing else []
        wrong += [f"has {_names(surplus)} too many"] if surplus else []
        if other:
            shapes = f"of shape {tuple(found[other[0]].shape)} instead of {tuple(expected[other[0]].shape)}"
            wrong.append(f"has {other[0]} {shapes}" + (f" and {len(other) - 1} more that differ" if other[1:] else ""))
        raise InputError(
            f"{path} is not a checkpoint of {name}: it {', '.join(wrong)}; give the --arch, --depth and --dataset that "
            "it was made with."
        )
    for key in expected:
        if key in found and not bool(found[key].isfinite().all()):
            raise InputError(f"{path} has values that are not finite in {key}: its training diverged, train it anew.")
    return {key: found[key].to(like.dtype) if key in found else like.clone() for key, like in expected.items()}


def _state_of(content: Content, path: Path) -> Weights:
    state = content.get("state_dict", content)
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()) or not state:
        raise InputError(f"{path} holds no state_dict: give a file that baseline.py, LT_prune.py or torch.save wrote.")
    if all(str(name).startswith(PARALLEL) for name in state):
        state = {str(name).removeprefix(PARALLEL): tensor for name, tensor in state.items()}
    return {str(name): tensor for name, tensor in state.items()}


def _names(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def momentum_for(model: nn.Module, content: Content, path: Path) -> dict[str, Tensor]:
    """Return the momentum buffers of a checkpoint's optimiser, by parameter name.

    Torch numbers parameters in their order, and before version 1.5 by arbitrary numbers in that order.

    Raises:
        InputError: the checkpoint has no optimiser, or one of another network.
    """
    parameters = dict(model.named_parameters())
    try:
        state, (group,) = content["optimizer"]["state"], content["optimizer"]["param_groups"]
        numbers = dict(zip(parameters, group["params"], strict=True))
        found = {name: _buffer(state.get(numbers[name]), parameter) for name, parameter in parameters.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} has no state of an optimiser that fits the network, so that training cannot go on from it: "
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

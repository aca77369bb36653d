"""What follows from how a network is built, and not from its weights: found once for all that are built alike.

A study trains hundreds of networks that differ in nothing but their weights.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from prunecheck.pruning.prunable_layers import PrunableLayers

KEPT = 12
"""So many findings are kept, those that were asked for last: of two networks, and some scores. Each may hold what two
images become in all layers, of which a training holds a batch, or a number for each weight."""

MOST_WEIGHTS = 2**20
"""Of a network with more, finding takes little beside training, and what is found may be as large as its weights."""

OWN_PACKAGES = ("torch.nn.modules.", "prunecheck.models.")
"""Whose modules compute what their attributes and the shapes of their tensors say; a user's may read anything else."""

PLAIN = (type(None), bool, int, float, str, PrunableLayers)

CONTAINERS = (dict, OrderedDict, list, set)
"""Types of what a plain module holds if it is empty."""

TENSORS = ("_parameters", "_buffers")
"""The attributes of a module that hold its tensors."""

HELD = frozenset((*TENSORS, "_modules"))
"""Those that hold its tensors, and the modules in it."""

Found = TypeVar("Found")

_found: dict[Hashable, object] = {}

_NOTHING = object()


def found_once(network: nn.Module, what: Hashable, find: Callable[[], Found]) -> Found:
    """Return what is found out about a network, at once if it was found out about one that is built alike.

    Networks are built alike if their modules are of the same classes of torch's or of this package's, with the same
    attributes and modes, and their tensors of the same shapes, types and devices.

    Args:
        network: of which something is asked.
        what: is asked, with all that the answer depends on beside the network.
        find: finds it out; what it raises is raised, and not kept.
    """
    structure = _structure(network)
    if structure is None:
        return find()
    key = (what, structure)
    found = _found.pop(key, _NOTHING)
    if found is _NOTHING:
        found = find()
    _found[key] = found  # the last is that which was asked for last
    for oldest in list(_found)[:-KEPT]:
        _found.pop(oldest, None)
    return cast(Found, found)


def _structure(network: nn.Module) -> Hashable | None:
    """Return what networks that are built alike have in common; None if that cannot be told, or is not worth it."""
    if not is_small(network) or _are_all_modules_hooked():
        return None
    places: dict[int, str] = {}
    modules = []
    for name, module in network.named_modules(remove_duplicate=False):
        if not _is_own(module):
            return None
        try:
            attributes = tuple((key, _comparable(value)) for key, value in _attributes(module).items())
        except TypeError:
            return None
        tensors = tuple(
            (key, None if tensor is None else (places.setdefault(id(tensor), f"{name}/{key}"), *_kind_of(tensor)))
            for key, tensor in (*module._parameters.items(), *module._buffers.items())
        )
        modules.append((name, type(module), attributes, tensors))
    return tuple(modules)


def is_small(network: nn.Module) -> bool:
    """Say whether a network has so few weights that what is found out about it, or made of it, is kept."""
    return sum(parameter.numel() for parameter in network.parameters()) <= MOST_WEIGHTS


def is_plain(network: nn.Module) -> bool:
    """Say whether a network computes nothing but what torch's modules, or this package's, say.

    They hold tensors and parameters of torch's own types and, beside these, plain values: numbers, texts, tuples of
    them, and empty containers, as those of hooks are.
    """
    return not _are_all_modules_hooked() and all(map(_is_plain_module, network.modules()))


def _are_all_modules_hooked() -> bool:
    return bool(_has_any_global_hook())  # type: ignore[no-untyped-call]


def _is_plain_module(module: nn.Module) -> bool:
    tensors = (tensor for held in TENSORS for tensor in getattr(module, held).values())
    return (
        _is_own(module)
        and all(type(tensor) in (type(None), Tensor, nn.Parameter) for tensor in tensors)
        and all(map(_is_plain, _attributes(module).values()))
    )


def _is_own(module: nn.Module) -> bool:
    return type(module).__module__.startswith(OWN_PACKAGES)


def _is_plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(type(item) in PLAIN for item in value)
    return type(value) in PLAIN or (type(value) in CONTAINERS and not value)


def _attributes(module: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if key not in HELD}


def _comparable(value: Any) -> Hashable:
    """Return an attribute as what can be compared.

    Raises:
        TypeError: it may hold anything, as a hook or a function does.
    """
    if type(value) in PLAIN:
        return (type(value), value)
    if type(value) in CONTAINERS and not value:
        return (type(value),)
    if isinstance(value, dict):
        return tuple((_comparable(key), _comparable(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return (type(value), *map(_comparable, value))
    if isinstance(value, set | frozenset):
        return frozenset(map(_comparable, value))
    raise TypeError(f"a {type(value).__name__} may be anything")


def _kind_of(tensor: Any) -> tuple[Any, ...]:
    return (tensor.shape, tensor.stride(), tensor.dtype, tensor.device, tensor.requires_grad, type(tensor))

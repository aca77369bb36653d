"""In what order the layers of a language model are pruned, and which of them are not."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from prunecheck.errors import InputError
from prunecheck.pruning.layers import Shapes, choose_prunable
from prunecheck.pruning.post_training.linear_layers import LinearLayer, linear_layers
from prunecheck.pruning.post_training.tracing import Trace, trace
from prunecheck.pruning.prunable_layers import chosen_layers


class NothingToPruneError(InputError):
    """A network has no layer that is pruned after training."""


@dataclass(frozen=True)
class Stage:
    """Layers that are pruned together, by the same run of what is before them.

    Attributes:
        layers: those of one block, or a single one.
        block: the module that they lie in; None for a single layer.
    """

    layers: tuple[LinearLayer, ...]
    block: nn.Module | None


@dataclass(frozen=True)
class Stages:
    """All layers of a network that are pruned, in order.

    Attributes:
        stages: in the order in which the network runs through them.
        left_dense: why the other linear layers are not pruned, by their names.
    """

    stages: tuple[Stage, ...]
    left_dense: dict[str, str] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[LinearLayer, ...]:
        """All layers that are pruned."""
        return tuple(layer for stage in self.stages for layer in stage.layers)

    @property
    def shapes(self) -> Shapes:
        """The shapes of their weights as (outputs, inputs), by the layers' names."""
        return {layer.name: tuple(layer.matrix(layer.weight).shape) for layer in self.layers}


def find_stages(network: nn.Module, length: int) -> Stages:
    """Find what is pruned after training, and in which order.

    The blocks of a network are the modules of its largest ``ModuleList``, or those of one class in its largest
    ``Sequential``, by the weights of the linear layers in them. Only linear layers in blocks are pruned then, as
    published: not those that embed tokens or give the logits. In a network without blocks each linear layer is a stage
    by itself, in the order of their first execution, but for the last one if it gives the logits. A weight that a layer
    shares with another module is not pruned either, nor is what :func:`prunecheck.choose_prunable` leaves out.

    Args:
        network: maps tokens, int64 (N, T), to logits (N, T, V).
        length: T, of the sequence of zeros that a network without blocks is run on.

    Raises:
        InputError: there is nothing to prune, a layer is quantised, or the network does not return logits.
    """
    layers = list(linear_layers(network))
    if not layers:
        raise NothingToPruneError("this network has nothing to prune after training: it has no linear layer.")
    left_dense = _not_prunable(network, layers)
    blocks = _find_blocks(network, layers)
    if blocks:
        name, modules = blocks
        stages = [Stage(tuple(_within(module, layers)), module) for module in modules]
        inside = {layer.name for stage in stages for layer in stage.layers}
        left_dense |= {
            layer.name: f"lies outside of the blocks {name}"
            for layer in layers
            if layer.name not in inside | set(left_dense)
        }
    else:
        traced = trace(network, torch.zeros(1, length, dtype=torch.int64), [layer.module for layer in layers])
        ordered, head = _in_order(layers, traced)
        if head:
            left_dense.setdefault(head.name, "gives the logits")
        stages = [Stage((layer,), None) for layer in ordered]
    return _without(stages, _not_chosen(network, layers, left_dense))


def choose_as_after_training(network: nn.Module, length: int) -> nn.Module:
    """Choose those layers of a network as prunable that are pruned after training, so that others stay dense.

    Where there are none, as in a network of one layer, the choice stays what it was: a method of the user's may prune
    it all the same.

    Args:
        network: is told so in place.
        length: see :func:`find_stages`.

    Returns:
        The network.

    Raises:
        InputError: a layer is quantised, or stores its weight turned.
    """
    try:
        layers = find_stages(network, length).layers
    except NothingToPruneError:
        return network
    if turned := [layer.name for layer in layers if layer.is_turned]:
        raise InputError(
            f"layer {turned[0]} is Conv1D of transformers, whose weight is turned: load the model with "
            "transformers:PATH, or put an nn.Linear in its place."
        )
    names = list(dict.fromkeys(layer.name for layer in layers))
    return choose_prunable(network, prunable=names)


def _not_prunable(network: nn.Module, layers: Sequence[LinearLayer]) -> dict[str, str]:
    """Return the layers whose weight is another module's, too, or whose inputs are hidden in ``MultiheadAttention``."""
    owners: dict[int, list[str]] = defaultdict(list)
    for name, module in network.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                owners[id(parameter)].append(name)
    found = {}
    for layer in layers:
        others = [name for name in owners[id(layer.weight)] if name != layer.name]
        if others:
            found[layer.name] = f"shares its weight with {others[0]}"
        around = network.get_submodule(layer.name.rpartition(".")[0])
        if isinstance(around, nn.MultiheadAttention):
            found[layer.name] = "is computed in nn.MultiheadAttention, which hides its inputs"
    return found


def _find_blocks(network: nn.Module, layers: Sequence[LinearLayer]) -> tuple[str, list[nn.Module]] | None:
    """Return the name of what holds the blocks, and these; None if there are none."""
    numbers = {id(layer.module): layer.weight.numel() for layer in layers}
    most, found = 0, None
    for name, module in network.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential):
            blocks = _alike(module, numbers)
            weights = sum(_weights_in(block, numbers) for block in blocks)
            if weights > most:
                most, found = weights, (name, blocks)
    return found


def _alike(holder: nn.Module, numbers: Mapping[int, int]) -> list[nn.Module]:
    """Return the children that can be blocks: of a list all, of a sequence those of one class, at least two."""
    children = [child for child in holder.children() if id(child) not in numbers and _weights_in(child, numbers)]
    if isinstance(holder, nn.ModuleList):
        return children
    by_class: dict[type, list[nn.Module]] = defaultdict(list)
    for child in children:
        by_class[type(child)].append(child)
    largest = max(by_class.values(), key=lambda alike: sum(_weights_in(one, numbers) for one in alike), default=[])
    return largest if len(largest) > 1 else []


def _weights_in(module: nn.Module, numbers: Mapping[int, int]) -> int:
    return sum(numbers.get(id(inner), 0) for inner in module.modules())


def _within(module: nn.Module, layers: Sequence[LinearLayer]) -> Iterator[LinearLayer]:
    inner = {id(one) for one in module.modules()}
    return (layer for layer in layers if id(layer.module) in inner)


def _in_order(layers: Sequence[LinearLayer], traced: Trace) -> tuple[list[LinearLayer], LinearLayer | None]:
    """Return layers in the order in which they run, those that do not at the end, and the one that gives the logits."""
    by_module = {id(layer.module): layer for layer in layers}
    executed = [by_module[id(module)] for module in traced.order]
    last = executed[-1] if executed else None
    head = last if last and last.outputs == traced.vocabulary else None
    return [*executed, *(layer for layer in layers if layer not in executed)], head


def _not_chosen(network: nn.Module, layers: Sequence[LinearLayer], left_dense: Mapping[str, str]) -> dict[str, str]:
    """Return what is left dense, with the layers that the user has left out."""
    candidates = [layer.name for layer in layers if layer.name not in left_dense]
    chosen = chosen_layers(network).require_among({name: number for number, name in enumerate(candidates)})
    out = {name: "is kept dense by choice" for number, name in enumerate(candidates) if number not in chosen}
    return {**left_dense, **out}


def _without(stages: Sequence[Stage], left_dense: dict[str, str]) -> Stages:
    """Return stages without the layers that are left dense; a block of which nothing is left stays a stage."""
    kept = [
        Stage(tuple(layer for layer in stage.layers if layer.name not in left_dense), stage.block) for stage in stages
    ]
    found = Stages(tuple(stage for stage in kept if stage.layers or stage.block), left_dense)
    if not found.layers:
        named = ", ".join(f"{name} {why}" for name, why in left_dense.items())
        raise NothingToPruneError(
            f"this network has nothing to prune after training ({named}): give one with other linear layers."
        )
    return found

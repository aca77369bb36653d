"""The names in a checkpoint: a tree of dicts as one list, without what wraps a network, masks apart from weights."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning.checkpoint_files import Content, shown
from prunecheck.pruning.pickled_values import Inert, PickledArray

WRAPPERS = frozenset(("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
"""Modules that wrap one other: ``DataParallel``, ``torch.compile``, fully sharded data parallel, checkpointing.

They may stand anywhere in a name, since a part of a network can be wrapped, too.
"""

NOT_WEIGHTS = re.compile(r"(\w+_)?(optim(izers?)?|momentum|exp_avg|grads?|gradients?|schedulers?|scaler)(_\w+)?")
"""Groups in which names may be those of weights, while the tensors are not."""

MASK_GROUP = re.compile(r"((weight|prun\w+|sparse|sparsity)_)?masks?")
"""Groups of masks by layer or by weight."""

PARAMETRIZATION = re.compile(r"(?P<module>(?:.*\.)?)parametrizations\.(?P<weight>[^.]+)\.(?P<part>original|\d+\..+)")

DEEPEST = 64
"""How many dicts may lie in each other; what is deeper is not read."""


@dataclass(frozen=True)
class Named:
    """A tensor of a checkpoint.

    Attributes:
        keys: the names of the dicts that it lies in, and its own.
        value: the tensor, or what stands in its place.
    """

    keys: tuple[str, ...]
    value: object

    @property
    def name(self) -> str:
        """The name as the file has it, with dots between the names of dicts, as it may be printed."""
        return shown(".".join(self.keys))

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the tensor; None if it has none."""
        return tuple(self.value.shape) if isinstance(self.value, Tensor) and not self.value.is_nested else None

    @property
    def unreadable(self) -> str | None:
        """What the value is, if it is not real numbers that can be read as they are."""
        value = self.value
        if not isinstance(value, Tensor):
            kind = "unknown type" if isinstance(value, Inert | PickledArray) else f"type {type(value).__name__}"
            return f"a value of {kind}"
        if value.is_nested:
            return "a nested tensor"
        if value.is_meta:
            return "a tensor without values (meta)"
        if value.is_quantized:
            return "a quantised tensor (its small weights have become 0 and cannot be told from pruned ones)"
        return "complex numbers" if value.is_complex() else None

    def dense(self) -> Tensor:
        """Return the tensor with the zeros of a sparse one written out; it must not be unreadable."""
        if not isinstance(self.value, Tensor):
            raise TypeError("not a tensor")
        value = self.value.detach()
        return value.to_dense() if value.layout != torch.strided else value


@dataclass(frozen=True)
class Entries:
    """The tensors of a checkpoint.

    Attributes:
        values: by the name of the weight that they are, with prefix and without wrappers.
        masks: of weights that stand beside them, likewise; several masks of a weight apply together.
        grouped: masks in a group of their own, by the name of the weight in the network.
        others: tensors that are not weights, such as an optimiser's.
        wrappers: names of modules that were left out.
    """

    values: dict[str, Named]
    masks: dict[str, list[Named]]
    grouped: dict[str, list[Named]]
    others: list[Named]
    wrappers: frozenset[str]

    def places(self, names: Collection[str]) -> dict[str, int]:
        """Return the prefixes below which some of these names are found, and how many; those with most first."""
        counts: Counter[str] = Counter()
        for name in self.values:
            counts.update(name[: len(name) - len(end)] for end in ends(name) if end in names)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], len(item[0]), item[0])))

    def below(self, place: str) -> dict[str, Named]:
        """Return the tensors below a prefix, by the rest of their names."""
        return {name.removeprefix(place): named for name, named in self.values.items() if name.startswith(place)}

    def masks_below(self, place: str) -> dict[str, list[Named]]:
        """Return the masks below a prefix and those in groups, by the name of their weight in the network."""
        found = {name: list(masks) for name, masks in self.grouped.items()}
        for name, masks in self.masks.items():
            if name.startswith(place):
                found.setdefault(name.removeprefix(place), []).extend(masks)
        return found

    def surplus(self, place: str, expected: Collection[str]) -> list[str]:
        """Return the names of tensors below a prefix that the network does not have, without it and wrappers.

        Dicts beside the network's own, such as an optimiser's, and what stands beside a wrapper are not meant.
        """
        start = self._start(place, expected)
        groups = {".".join(name.split(".")[:count]) for name in expected for count in range(1, name.count(".") + 1)}
        idle = {name for name in self.below(place) if name not in expected and self._does_nothing(place + name)}
        found = [(name, one) for name, one in self.below(place).items() if name not in expected and name not in idle]
        masks = {name: masks for name, masks in self.masks_below(place).items() if name not in {*expected, *idle}}
        found += [
            (self._compared(mask).removeprefix(place), mask) for of_weight in masks.values() for mask in of_weight
        ]
        return [
            shown(name)
            for name, named in found
            if isinstance(named.value, Tensor)
            and ".".join(named.keys).startswith(start)
            and self._is_in(named, place, groups)
        ]

    def _compared(self, named: Named) -> str:
        """Return the name of a tensor without wrappers."""
        return ".".join(without(".".join(named.keys), self.wrappers))

    def _does_nothing(self, name: str) -> bool:
        """Say whether a weight and its masks are all 1, as those of the shortcuts of Synaptic-Flow's networks are."""
        named = [self.values[name], *self.masks.get(name, [])]
        return len(named) > 1 and all(not one.unreadable and bool((one.dense() == 1).all()) for one in named)

    def _start(self, place: str, expected: Collection[str]) -> str:
        """Return what the names below a prefix begin with in the file, wrappers included."""
        whole = {name: ".".join(named.keys) for name, named in self.below(place).items() if name in expected}
        starts = {text.removesuffix(name) for name, text in whole.items() if text.endswith(name)}
        return max((s for s in starts if all(text.startswith(s) for text in whole.values())), key=len, default="")

    def _is_in(self, named: Named, place: str, groups: Collection[str]) -> bool:
        """Say whether a tensor lies in the dict of the network, or in one that is a part of it."""
        depth, segments = place.count("."), 0
        for index, key in enumerate(named.keys):
            parts = without(key, self.wrappers)
            if segments + len(parts) > depth:
                return index == len(named.keys) - 1 or ".".join(parts[max(depth - segments, 0) :]) in groups
            segments += len(parts)
        return True

    def left_out(self, place: str, expected: Collection[str]) -> tuple[str, ...]:
        """Return the names of tensors that stand beside a prefix in the dict of the network."""
        dicts = {named.keys[:-1] for name, named in self.below(place).items() if name in expected}
        start = self._start(place, expected)
        beside = [named for named in self.values.values() if not ".".join(named.keys).startswith(start)]
        return tuple(n.name for n in beside if n.keys[:-1] in dicts and isinstance(n.value, Tensor))


def ends(name: str) -> Iterator[str]:
    """Return a name, the name without its first part, and so on."""
    yield name
    while "." in name:
        name = name.partition(".")[2]
        yield name


def without(name: str, wrappers: Collection[str]) -> list[str]:
    """Return the parts of a name that are not wrappers."""
    return [part for part in name.split(".") if part not in wrappers]


def read_entries(content: Content, expected: Mapping[str, Tensor], layers: Mapping[str, str], path: Path) -> Entries:
    """Sort what a checkpoint holds.

    Args:
        content: of the checkpoint.
        expected: the network's state dict.
        layers: the name of the weight of each prunable layer.
        path: for the error.

    Raises:
        InputError: masks in a group of their own are not those of the network.
    """
    own = {part for name in expected for part in name.split(".")}
    leaves = [Named(keys, value) for keys, value in _leaves(content, (), set())]
    wrappers = WRAPPERS - own
    if len({".".join(without(".".join(leaf.keys), wrappers)) for leaf in leaves}) < len(leaves):
        wrappers = frozenset()  # the file holds a network wrapped and unwrapped: both are looked at
    names = {".".join(without(".".join(leaf.keys), wrappers)): leaf for leaf in leaves}
    entries = Entries({}, {}, {}, [], wrappers)
    groups: dict[tuple[str, ...], dict[str, Named]] = {}
    for name, leaf in names.items():
        group = next((i for i, key in enumerate(leaf.keys[:-1]) if key not in own and MASK_GROUP.fullmatch(key)), None)
        if any(NOT_WEIGHTS.fullmatch(key) for key in leaf.keys[:-1] if key not in own):
            entries.others.append(leaf)
        elif group is not None and isinstance(leaf.value, Tensor):
            inside = ".".join(without(".".join(leaf.keys[group + 1 :]), wrappers))
            groups.setdefault(leaf.keys[: group + 1], {})[inside] = leaf
        else:
            _sort(entries, name, leaf, names, expected)
    if len(groups) > 1:
        several = ", ".join(shown(".".join(keys)) for keys in list(groups)[:3])
        raise InputError(f"{path} holds several groups of masks ({several}): save those that are meant alone.")
    for group_masks in groups.values():
        entries.grouped.update(_of_network(group_masks, expected, layers, path))
    return entries


def _leaves(content: object, keys: tuple[str, ...], seen: set[int]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Return what is not a dict or a list of tensors, each dict once, for a file may refer to one many times."""
    if isinstance(content, PickledArray):
        try:
            yield keys, content.to_tensor()
        except ValueError:
            yield keys, content
        return
    items: Iterable[tuple[object, object]]
    if isinstance(content, Mapping):
        items = content.items()
    elif isinstance(content, list | tuple) and any(isinstance(x, Tensor | Mapping | PickledArray) for x in content):
        items = enumerate(content)
    else:
        yield keys, content
        return
    if id(content) in seen or len(keys) >= DEEPEST:
        return
    seen.add(id(content))
    for key, value in items:
        if isinstance(key, str | int):
            yield from _leaves(value, (*keys, str(key)), seen)


def _sort(entries: Entries, name: str, leaf: Named, names: Collection[str], expected: Collection[str]) -> None:
    """Put a leaf among the weights or the masks."""
    weight, form = name[:-5], name[-5:]
    if any(end in expected for end in ends(name)):
        entries.values[name] = leaf
    elif not isinstance(leaf.value, Tensor):
        return
    elif found := PARAMETRIZATION.fullmatch(name):
        weight = found["module"] + found["weight"]
        if found["part"] == "original":
            entries.values[weight] = leaf
        else:
            entries.masks.setdefault(weight, []).append(leaf)
    elif form == "_orig" and f"{weight}_mask" in names:
        entries.values[weight] = leaf
    elif (beside := _masked_beside(name)) in names:
        entries.masks.setdefault(beside, []).append(leaf)
    elif form == "_mask" and (weight in names or f"{weight}_orig" in names):
        entries.masks.setdefault(weight, []).append(leaf)
    else:
        entries.values[name] = leaf


def _masked_beside(name: str) -> str:
    """Return the weight of a mask that stands beside a network: ``model.conv.weight`` of ``mask_conv___weight``.

    So open_lth writes them in ``checkpoint.pth``; empty for any other name.
    """
    before, dot, last = name.rpartition(".")
    if not last.startswith("mask_"):
        return ""
    return f"{before}{dot}model.{last.removeprefix('mask_').replace('___', '.')}"


def _of_network(
    group: Mapping[str, Named], expected: Collection[str], layers: Mapping[str, str], path: Path
) -> dict[str, list[Named]]:
    found = masks_by_weight(group, expected, layers)
    if found is None:
        foreign = [named.name for name, named in group.items() if name not in layers and name not in expected]
        raise InputError(
            f"{path} has a mask {(foreign or [next(iter(group))])[0]}, which is not of a layer of this network: name "
            f"the masks as its layers are named ({', '.join(list(layers)[:3])}, ...)."
        )
    return found


def masks_by_weight(
    group: Mapping[str, Named], expected: Collection[str], layers: Mapping[str, str]
) -> dict[str, list[Named]] | None:
    """Return masks by the name of the weight in the network; None if they are not named by its layers or weights.

    Args:
        group: masks by name, which may have one prefix.
        expected: the names of the network's state dict.
        layers: the name of the weight of each prunable layer.
    """
    for end in ends(next(iter(group), "")):
        prefix = next(iter(group), "").removesuffix(end)
        names = {name: name.removeprefix(prefix) for name in group}
        if all(name.startswith(prefix) and (own in layers or own in expected) for name, own in names.items()):
            found: dict[str, list[Named]] = {}
            for name, own in names.items():
                found.setdefault(layers.get(own, own), []).append(group[name])
            return found
    return None

"""What is said of a checkpoint that does not fit a network."""

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning.checkpoint_files import shown
from prunecheck.pruning.checkpoint_names import Entries, without

COUNTERS = "num_batches_tracked"
"""Ends the names of batch norm's counters, which checkpoints of torch before 0.4.1 lack; nothing reads them."""

SHOWN = 3
"""How many names an error lists of each kind."""

COMPUTED = re.compile(r"(_g|_v|_u|\.original\d+)$")
"""Ends the names of what weight norm and spectral norm keep instead of a weight."""


def mismatch(
    entries: Entries, place: str, expected: Mapping[str, Tensor], path: Path, network: str, choice: str
) -> InputError:
    """Return the error that says name by name what a checkpoint lacks, has too many, and has in other shapes.

    Args:
        entries: of the checkpoint.
        place: below which prefix most of the network's names were found.
        expected: the network's state dict.
        path: of the file.
        network: its name and classes.
        choice: what the user chooses the network by.
    """
    if not _tensors(entries):
        return InputError(f"{path} holds no state_dict: save model.state_dict() with torch.save, and give that.")
    found = entries.below(place)
    missing = [name for name in expected if name not in found and not name.endswith(COUNTERS)]
    fitting = len(found.keys() & expected.keys())
    surplus = entries.surplus(place, expected) if fitting else _foreign(entries)
    other = [name for name, like in expected.items() if name in found and found[name].shape != tuple(like.shape)]
    orders: list[str | None] = []
    wrong = [f"lacks {listed(missing)}"] if missing else []
    wrong += [f"has {listed(surplus)} too many"] if surplus else []
    if other:
        shapes = [f"{name} {_of_shape(found[name].shape)} instead of {tuple(expected[name].shape)}" for name in other]
        orders = [other_layout(found[name].shape, tuple(expected[name].shape)) for name in other]
        wrong.append(f"has {listed(shapes)}")
    is_permuted = bool(other) and not missing and not surplus and all(orders)
    remedy = orders[0] if is_permuted else _remedy(entries, missing, surplus, other, choice, fitting)
    return InputError(f"{path} is not a checkpoint of {network}: it {', '.join(wrong)}; {remedy}.")


def _foreign(entries: Entries) -> list[str]:
    """Return the names of all tensors, without wrappers and the dicts that all of them lie in."""
    tensors = {name: named for name, named in entries.values.items() if isinstance(named.value, Tensor)}
    levels = zip(*(named.keys[:-1] for named in tensors.values()), strict=False)
    dicts = [keys[0] for keys in itertools.takewhile(lambda keys: len(set(keys)) == 1, levels)]
    around = "".join(f"{part}." for key in dicts for part in without(key, entries.wrappers))
    return [shown(name.removeprefix(around)) for name in tensors]


def _of_shape(shape: tuple[int, ...] | None) -> str:
    return "with no shape" if shape is None else f"of shape {shape}"


def _tensors(entries: Entries) -> bool:
    named = [*entries.values.values(), *entries.others, *(m for ms in entries.masks.values() for m in ms)]
    return any(isinstance(entry.value, Tensor) for entry in named) or bool(entries.grouped)


def _remedy(
    entries: Entries, missing: Sequence[str], surplus: Sequence[str], other: Sequence[str], choice: str, fitting: int
) -> str:
    """Say what kind of file it seems to be, and what to do."""
    other_network = f"give {choice} that it was made with"
    if computed := [name for name in surplus if COMPUTED.search(name)]:
        return (
            f"{computed[0]} says that weights are computed from other parameters (weight norm, spectral norm): remove "
            "that before you save the state_dict"
        )
    if not entries.values:
        kind = "masks and no weights" if entries.masks or entries.grouped else "the state of an optimiser"
        return f"it seems to hold {kind}: give the state_dict of the network"
    if not other and not fitting:
        return f"it seems to be of another network, or to name its layers otherwise: {other_network}, or rename them"
    if not other and not surplus:
        return "it seems to hold a part of the network: save the whole model.state_dict()"
    if not other and not missing and not any(name.endswith((".weight", ".weight_orig")) for name in surplus):
        return "it seems to be of this network with additions: leave them out of the state_dict that you save"
    return other_network


def other_layout(shape: tuple[int, ...] | None, expected: tuple[int, ...]) -> str | None:
    """Return what to do with a tensor whose dimensions stand in another order; None if they do not."""
    if shape is None or sorted(shape) != sorted(expected):
        return None
    return "its dimensions seem to be in another order (as in Keras, or transposed): permute them to (out, in, ...)"


def listed(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest

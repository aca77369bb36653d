"""Patterns by the names that users write: ``unstructured``, ``2:4``, ``channels``, ``blocks-4x1``."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from prunecheck.data.inputs import require_images
from prunecheck.errors import InputError
from prunecheck.pruning.channels.units import ChannelUnits, find_channel_units
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.patterns.blocks import Blocks
from prunecheck.pruning.patterns.n_of_m import NOfM
from prunecheck.pruning.patterns.structure import PLAIN, UNSTRUCTURED, Structure
from prunecheck.pruning.patterns.whole_channels import CHANNELS, Channels
from prunecheck.registry import Registry, unknown_name

Fit = Callable[[nn.Module, tuple[int, ...]], Structure]
"""Given a network and the shape of its images, returns what a pattern is there."""


@dataclass(frozen=True)
class Pattern:
    """Which weights may be kept together, in any network.

    Attributes:
        name: as users write it: ``2:4``.
        fit: see :data:`Fit`.
        depends_on_network: whether more than a weight's shape decides what is kept together.
    """

    name: str
    fit: Fit = field(compare=False)
    depends_on_network: bool = False


@dataclass(frozen=True)
class Family:
    """Patterns whose names have numbers in them, or one that has none.

    Attributes:
        written: a regular expression of the names.
        make: given the numbers in a name, returns what fits the pattern to networks; raises :class:`InputError` for
            numbers that it cannot have.
        depends_on_network: see :class:`Pattern`.
    """

    written: str
    make: Callable[..., Fit]
    depends_on_network: bool = False


PATTERN_FAMILIES: Registry[Family] = Registry("pattern", "prunecheck.patterns")

NUMBER = r"([1-9][0-9]*)"


def _n_of_m(kept: int, of: int) -> Fit:
    if kept >= of:
        raise InputError(f"the pattern {kept}:{of} keeps {kept} of {of}, which removes nothing: keep fewer than {of}.")
    return lambda model, image_shape: NOfM(kept, of)


def _blocks(rows: int, columns: int) -> Fit:
    if rows * columns == 1:
        raise InputError("blocks of 1x1 are single weights: leave blocks-1x1 out.")
    return lambda model, image_shape: Blocks(rows, columns)


def _channels(model: nn.Module, image_shape: tuple[int, ...]) -> Structure:
    require_images(image_shape, "the pattern channels")
    return Channels(find_channel_units(model, image_shape))


PATTERN_FAMILIES.add(
    UNSTRUCTURED, Family(UNSTRUCTURED, lambda: lambda model, image_shape: PLAIN), "each weight by itself, the usual one"
)
PATTERN_FAMILIES.add(
    "N:M", Family(f"{NUMBER}:{NUMBER}", _n_of_m), "N of every M weights along a layer's inputs, such as 2:4"
)
PATTERN_FAMILIES.add(
    CHANNELS,
    Family(CHANNELS, lambda: _channels, depends_on_network=True),
    "whole output channels, with their batch norm and the next layers' inputs; those of residual sums together",
)
PATTERN_FAMILIES.add(
    "blocks-RxC",
    Family(f"blocks-{NUMBER}x{NUMBER}", _blocks),
    "blocks of R outputs by C inputs (of a convolution: inputs x height x width), such as blocks-4x1",
)


def find_pattern(name: str) -> Pattern:
    """Return the pattern of this name.

    Raises:
        InputError: there is none, or it cannot have such numbers.
    """
    for entry in PATTERN_FAMILIES:
        if found := re.fullmatch(entry.item.written, name):
            fit = entry.item.make(*map(int, found.groups()))
            return Pattern(name, fit, entry.item.depends_on_network)
    raise unknown_name("pattern", name, [entry.name for entry in PATTERN_FAMILIES])


def split_pattern(text: str) -> tuple[str, str]:
    """Return a method's name without its pattern, and that: of ``magnitude-erk-2:4``, ``magnitude-erk`` and ``2:4``."""
    for entry in PATTERN_FAMILIES:
        if found := re.fullmatch(rf"(?P<method>.+)-(?P<pattern>{entry.item.written})", text):
            return found["method"], found["pattern"]
    return text, UNSTRUCTURED


def structure_of_description(description: Mapping[str, Any], masks: Masks) -> Structure:
    """Return the structure that :meth:`Structure.described` described.

    Raises:
        ValueError: it does not.
    """
    try:
        name = description.get("pattern", UNSTRUCTURED)
        if name != CHANNELS:
            return find_pattern(name).fit(nn.Identity(), ())
        lists = description["channels"]
        rows, columns, pools = (
            {part: torch.tensor(numbers, dtype=torch.int64) for part, numbers in lists[kind]}
            for kind in ("rows", "columns", "pools")
        )
        shapes = {layer: tuple(mask.shape) for layer, mask in masks.items()}
        if any(set(named) != set(shapes) for named in (rows, columns)):
            raise ValueError("other layers")
        return Channels(ChannelUnits(shapes, rows, columns, {}, pools))
    except (InputError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a pattern ({error})") from error

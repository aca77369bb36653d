"""PHEW: a criterion that walks through a network at random, along large weights, and keeps what it walks over."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prunecheck.pruning.allocations import require_sparsity
from prunecheck.pruning.criteria import register_criterion
from prunecheck.pruning.layers import Scores, prunable_weights
from prunecheck.pruning.logits import require_logits
from prunecheck.pruning.paths import Channel, Paths, find_paths
from prunecheck.pruning.scoring import BatchSource, image_shape_of, require_batches
from prunecheck.randomness import derived_generator

Floats = NDArray[numpy.float64]
Integers = NDArray[numpy.int64]

WALKS_AT_ONCE = 1024
"""In each of the two directions."""

LEAST_FOUND = 0.01
"""Share of the steps that reach a new weight, below which walking is given up."""

NEVER = numpy.iinfo(numpy.int64).max


def require_paths(model: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Raise :class:`InputError` unless the paths through a network can be followed."""
    find_paths(model, image_shape, "phew")


@register_criterion("phew", sees="nothing", requires=require_paths)
def phew(model: nn.Module, batches: BatchSource, *, generator: torch.Generator, sparsity: float) -> Scores:
    """How early random walks along large weights reach a weight, from the input to the output and back.

    PHEW (Patil and Dovrolis, ICML 2021, arXiv:2010.11354, section 4): a walk goes from unit to unit with probabilities
    in proportion to the absolute weights between them (of a convolution, to the sum over the kernel, of which one
    position is chosen in proportion, too). Every second walk goes backwards; both begin at one input, or output, after
    the other. Where several layers read a channel, or several channels are added, all are equally likely. Walks go on
    until as many weights have been walked over as are kept.

    Args:
        model: with its weights; it is left as it was.
        batches: only the shape of its images counts.
        generator: from whose seed the walks are drawn, on the CPU.
        sparsity: how many weights are to be found, in [0, 1).

    Returns:
        Float64 in [0, 1]: the earlier a weight is reached the larger; 0 for those that were not. Walking is given up
        where fewer than one step in a hundred reaches a new weight. Where a weight is not finite nothing is.

    Raises:
        InputError: no batch is given to take the shape of, no such sparsity, or a network whose paths cannot be
            followed; see :func:`prunecheck.pruning.paths.find_paths`.
    """
    require_sparsity(sparsity)
    require_batches(batches)
    shape = image_shape_of(batches)
    require_logits(model, shape)
    paths = find_paths(model, shape, "phew")
    weights = prunable_weights(model)
    layers = dict(model.named_modules())
    values = {layer: layers[layer].get_parameter("weight").detach().cpu() for layer in paths.groups}
    if not all(bool(value.isfinite().all()) for value in values.values()):
        return {layer: torch.full_like(weight, torch.nan, dtype=torch.float64) for layer, weight in weights.items()}
    walks = _Walks.of(paths, values)
    count = round(sum(weight.numel() for weight in weights.values()) * (1 - sparsity))
    walks.walk_until(count, [layer for layer in weights if layer in values], derived_generator(generator, "phew"))
    return {layer: walks.scores(layer, weight) for layer, weight in weights.items()}


@dataclass(frozen=True, eq=False)
class _Ragged:
    """Lists of different lengths, one behind the other."""

    starts: Integers
    items: Integers

    @classmethod
    def of(cls, lists: list[list[int]]) -> "_Ragged":
        starts = numpy.cumsum([0, *map(len, lists)], dtype=numpy.int64)
        return cls(starts, numpy.asarray([item for items in lists for item in items], dtype=numpy.int64))

    def lengths(self, of: Integers) -> Integers:
        found: Integers = self.starts[of + 1] - self.starts[of]
        return found

    def chosen(self, of: Integers, numbers: Floats) -> Integers:
        """Return one item of each list, by uniform numbers in [0, 1)."""
        found: Integers = self.items[self.starts[of] + (numbers * self.lengths(of)).astype(numpy.int64)]
        return found


@dataclass(frozen=True, eq=False)
class _Choices:
    """Rows of probabilities: cumulative sums, each row above the one before it, in one sorted array."""

    cumulative: Floats
    width: int

    @classmethod
    def of(cls, sizes: Floats) -> "_Choices":
        """Return choices in proportion to the sizes in each row; equal ones in a row of zeros."""
        totals = sizes.sum(axis=1, keepdims=True)
        even = numpy.where(totals > 0, sizes, 1.0)
        cumulative = even.cumsum(axis=1)
        cumulative /= cumulative[:, -1:]
        cumulative += numpy.arange(len(sizes), dtype=numpy.float64)[:, None]
        return cls(cumulative.ravel(), sizes.shape[1])

    def chosen(self, rows: Integers, numbers: Floats) -> Integers:
        """Return a column for each row, by uniform numbers in [0, 1)."""
        places = numpy.searchsorted(self.cumulative, rows + numbers, side="right") - rows * self.width
        found: Integers = numpy.minimum(places, self.width - 1)
        return found


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's weight as choices, (outputs, inputs of a group, positions), and when each of it was reached first.

    Attributes:
        forwards: of an output channel of the group, for every input channel.
        backwards: of an input channel of the group, for every output channel.
        positions: of a position of the kernel, for every pair of channels.
    """

    shape: tuple[int, int, int]
    groups: int
    forwards: _Choices
    backwards: _Choices
    positions: _Choices
    reached: Integers

    @classmethod
    def of(cls, weight: Tensor, groups: int) -> "_Layer":
        sizes = weight.abs().double().reshape(*weight.shape[:2], -1).numpy()
        outputs, inputs, positions = sizes.shape
        channels = sizes.sum(axis=2)
        by_group = channels.reshape(groups, outputs // groups, inputs).transpose(0, 2, 1)
        return cls(
            (outputs, inputs, positions),
            groups,
            _Choices.of(by_group.reshape(groups * inputs, outputs // groups)),
            _Choices.of(channels),
            _Choices.of(sizes.reshape(outputs * inputs, positions)),
            numpy.full(outputs * inputs * positions, NEVER),
        )

    def go_forwards(self, columns: Integers, numbers: Floats) -> tuple[Integers, Integers]:
        """Return an output channel for each input channel, and the weights walked over."""
        outputs, inputs, _ = self.shape
        rows = columns // inputs * (outputs // self.groups) + self.forwards.chosen(columns, numbers[:, 0])
        return rows, self._weights(rows, columns % inputs, numbers)

    def go_backwards(self, rows: Integers, numbers: Floats) -> tuple[Integers, Integers]:
        """Return an input channel, of all groups, for each output channel, and the weights walked over."""
        outputs, inputs, _ = self.shape
        of_group = self.backwards.chosen(rows, numbers[:, 0])
        columns = rows // (outputs // self.groups) * inputs + of_group
        return columns, self._weights(rows, of_group, numbers)

    def _weights(self, rows: Integers, of_group: Integers, numbers: Floats) -> Integers:
        pairs = rows * self.shape[1] + of_group
        found: Integers = pairs * self.shape[2] + self.positions.chosen(pairs, numbers[:, 1])
        return found


@dataclass(eq=False)
class _Walks:
    """Walks through a network, many at once. Channels are numbered over all layers.

    Attributes:
        names: of the layers.
        layers: in their order.
        first_rows: the number of each layer's first output channel, and of all.
        first_columns: likewise, of its first input channel.
        onward: per output channel, numbers of ways; a way is a layer that reads it.
        ways: per way, the input channels of that layer which it may go to.
        back: per input channel, the output channels that lead to it.
        entries: input channels at which walks begin, exits: output channels at which those backwards do.
    """

    names: list[str]
    layers: list[_Layer]
    first_rows: Integers
    first_columns: Integers
    onward: _Ragged
    ways: _Ragged
    back: _Ragged
    entries: Integers
    exits: Integers
    walked: int = field(default=0)

    @classmethod
    def of(cls, paths: Paths, weights: Mapping[str, Tensor]) -> "_Walks":
        layers = [_Layer.of(weights[name], groups) for name, groups in paths.groups.items()]
        rows = numpy.cumsum([0, *(layer.shape[0] for layer in layers)], dtype=numpy.int64)
        columns = numpy.cumsum([0, *(layer.shape[1] * layer.groups for layer in layers)], dtype=numpy.int64)
        row_of, column_of = (
            {name: int(first) for name, first in zip(paths.groups, firsts[:-1], strict=True)}
            for firsts in (rows, columns)
        )
        found = paths.onward()
        onward: list[list[int]] = []
        ways: list[list[int]] = []
        for name, layer in zip(paths.groups, layers, strict=True):
            for row in range(layer.shape[0]):
                read_by = found.get((name, row), {})
                onward.append(list(range(len(ways), len(ways) + len(read_by))))
                ways += [[column_of[other] + column for column in read] for other, read in read_by.items()]
        sources = (channels for name in paths.groups for channels in paths.sources[name])
        back = [[row_of[other] + row for other, row in channels] for channels in sources]

        def numbered(channels: tuple[Channel, ...], first: Mapping[str, int]) -> Integers:
            return numpy.asarray([first[name] + channel for name, channel in channels], dtype=numpy.int64)

        return cls(
            list(paths.groups),
            layers,
            rows,
            columns,
            _Ragged.of(onward),
            _Ragged.of(ways),
            _Ragged.of(back),
            numbered(paths.entries, column_of),
            numbered(paths.exits, row_of),
        )

    def walk_until(self, count: int, counted: list[str], generator: torch.Generator) -> None:
        """Walk until so many weights of some layers have been reached, or hardly any is new."""
        if not len(self.entries) or not len(self.exits):
            return
        chosen = [self.layers[self.names.index(name)] for name in counted]
        reached = 0
        while reached < count:
            taken = self._walk(generator)
            before, reached = reached, sum(int((layer.reached != NEVER).sum()) for layer in chosen)
            if reached - before < LEAST_FOUND * taken:
                return

    def _walk(self, generator: torch.Generator) -> int:
        """Walk at once, one forwards and one backwards in turn; return how many steps were taken."""
        numbers = self.walked + numpy.arange(WALKS_AT_ONCE, dtype=numpy.int64)
        self.walked += WALKS_AT_ONCE
        steps = 0
        for is_forwards in (True, False):
            starts = self.entries if is_forwards else self.exits
            at, walks, step = starts[numbers % len(starts)], 2 * numbers + (not is_forwards), 0
            while len(at):
                drawn = _uniform(walks, step, generator)
                steps += len(at)
                at, goes_on = self._step(at, walks * (len(self.layers) + 1) + step, drawn, is_forwards=is_forwards)
                walks, step = walks[goes_on], step + 1
        return steps

    def _step(
        self, at: Integers, times: Integers, numbers: Floats, *, is_forwards: bool
    ) -> tuple[Integers, NDArray[numpy.bool_]]:
        """Go over one weight each; return where walks stand then, of those that go on, and which do."""
        ends, firsts = numpy.empty_like(at), self.first_columns if is_forwards else self.first_rows
        of_layer = numpy.searchsorted(firsts, at, side="right") - 1
        for number in numpy.unique(of_layer):
            layer, here = self.layers[number], of_layer == number
            go, others = (
                (layer.go_forwards, self.first_rows) if is_forwards else (layer.go_backwards, self.first_columns)
            )
            channels, weights = go(at[here] - firsts[number], numbers[here])
            numpy.minimum.at(layer.reached, weights, times[here])
            ends[here] = channels + others[number]
        leading = self.onward if is_forwards else self.back
        goes_on = leading.lengths(ends) > 0
        ends, numbers = ends[goes_on], numbers[goes_on]
        on = leading.chosen(ends, numbers[:, 2])
        return (self.ways.chosen(on, numbers[:, 3]) if is_forwards else on), goes_on

    def scores(self, layer: str, weight: Tensor) -> Tensor:
        """Return the scores of a layer, of its weight's shape."""
        if layer not in self.names:
            return torch.zeros_like(weight, dtype=torch.float64)
        reached = self.layers[self.names.index(layer)].reached
        end = float(2 * self.walked * (len(self.layers) + 1)) or 1.0
        score = numpy.where(reached == NEVER, 0.0, 1.0 - reached / end)
        return torch.from_numpy(score).reshape(weight.shape).to(weight.device)


def _uniform(walks: Integers, step: int, generator: torch.Generator) -> Floats:
    """Return uniform numbers in [0, 1), four for each walk: for the channel, the position, and the way on (two)."""
    drawn: Floats = torch.rand(len(walks), 4, generator=generator, dtype=torch.float64).numpy()
    return drawn

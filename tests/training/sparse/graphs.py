"""Networks of convolutions, joins and poolings, drawn at random, and how they are compared with dense ones."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from prunecheck.pruning import Ticket, prunable_weights
from prunecheck.pruning.tickets import copy_weights
from prunecheck.training import Recipe
from prunecheck.training.network import DenseNetwork
from prunecheck.training.sparse import SparseNetwork
from prunecheck.training.sparse.tracing import Chooses
from tests.training.sparse.alone import assert_near

Size = tuple[int, int, int]
"""Channels, height and width."""

RECIPE = Recipe(weight_decay=0, momentum=0.9, batch_size=16)
"""Without weight decay the first momentum is the gradient."""


@dataclass(frozen=True)
class Convolution:
    """A convolution of map number `read`, with what follows it."""

    read: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    bias: bool
    norm: bool
    relu: bool

    def size(self, sizes: Sequence[Size]) -> Size:
        _, height, width = sizes[self.read]
        made = [(side + 2 * self.padding - self.kernel) // self.stride + 1 for side in (height, width)]
        return self.outputs, made[0], made[1]


@dataclass(frozen=True)
class Sum:
    """The sum of two maps."""

    first: int
    second: int
    relu: bool


@dataclass(frozen=True)
class Pool:
    """A pooling of windows of 2 x 2."""

    read: int
    relu: bool


Operation = Convolution | Sum | Pool


def read_by(operation: Operation) -> tuple[int, ...]:
    return (operation.first, operation.second) if isinstance(operation, Sum) else (operation.read,)


class Graph(nn.Module):
    """Map 0 is the images, map i + 1 what operation i writes; the mean of the last goes to a linear layer."""

    def __init__(self, image: Size, operations: Sequence[Operation], classes: int = 3) -> None:
        super().__init__()
        self.operations = list(operations)
        self.layers = nn.ModuleDict()
        sizes = [image]
        for place, operation in enumerate(operations):
            if isinstance(operation, Convolution):
                layer: list[nn.Module] = [
                    nn.Conv2d(
                        sizes[operation.read][0],
                        operation.outputs,
                        operation.kernel,
                        operation.stride,
                        operation.padding,
                        bias=operation.bias,
                    )
                ]
                if operation.norm:
                    # A large epsilon, so that where a channel is constant rounding is not made larger layer by layer.
                    layer.append(nn.BatchNorm2d(operation.outputs, eps=0.1, momentum=0.3))
                self.layers[str(place)] = nn.Sequential(*layer)
            sizes.append(size_of(operation, sizes))
        self.pool = nn.MaxPool2d(2)
        self.linear = nn.Linear(sizes[-1][0], classes)

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for place, operation in enumerate(self.operations):
            if isinstance(operation, Convolution):
                made = self.layers[str(place)](maps[operation.read])
            elif isinstance(operation, Sum):
                made = maps[operation.first] + maps[operation.second]
            else:
                made = self.pool(maps[operation.read])
            maps.append(torch.relu(made) if operation.relu else made)
        return self.linear(maps[-1].mean((2, 3)))  # type: ignore[no-any-return]


def size_of(operation: Operation, sizes: Sequence[Size]) -> Size:
    """Return what an operation makes of maps of these sizes."""
    if isinstance(operation, Convolution):
        return operation.size(sizes)
    if isinstance(operation, Sum):
        return sizes[operation.first]
    channels, height, width = sizes[operation.read]
    return channels, height // 2, width // 2


SAME, OTHER = ((3, 1, 1), (1, 1, 0), (5, 1, 2)), ((3, 2, 1), (1, 2, 0), (3, 1, 0), (3, 2, 2))
"""Kernel, stride and padding of convolutions that leave the size as it is, which sums need, and of others."""


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Size, list[Operation]]:
    """Draw the size of the images and operations, all of which the last one depends on."""
    sizes = [(draw(st.integers(1, 3)), draw(st.integers(2, 7)), draw(st.integers(2, 7)))]
    operations: list[Operation] = []

    def add(operation: Operation) -> None:
        operations.append(operation)
        sizes.append(size_of(operation, sizes))

    for _ in range(draw(st.integers(1, 10))):
        pairs = [(i, j) for j in range(1, len(sizes)) for i in range(j) if sizes[i] == sizes[j]]
        kind = draw(st.sampled_from(["convolution", "sum", "sum", "sum", "pool"]))
        read = max(0, len(sizes) - 1 - draw(st.integers(0, 3)))
        if kind == "sum" and pairs:
            # Either order, for inputs of a sum need not be treated alike.
            pair = draw(st.sampled_from(pairs[-6:]))
            add(Sum(*(pair if draw(st.booleans()) else pair[::-1]), draw(st.booleans())))
        elif kind == "pool" and min(sizes[read][1:]) >= 4:
            add(Pool(read, draw(st.booleans())))
        else:
            window = draw(st.sampled_from(draw(st.sampled_from([SAME, SAME, SAME, OTHER]))))
            flags = [draw(st.booleans()) for _ in range(3)]
            made = Convolution(read, draw(st.sampled_from([3, 3, 3, 2])), *window, *flags)
            add(made if min(made.size(sizes)[1:]) >= 1 else Convolution(read, 3, 3, 1, 1, *flags))
    for unread in reversed(range(1, len(operations))):
        if not any(unread in read_by(operation) for operation in operations) and sizes[unread] == sizes[-1]:
            add(Sum(unread, len(operations), draw(st.booleans())))
    return sizes[0], only_needed(operations)


def only_needed(operations: Sequence[Operation]) -> list[Operation]:
    """Leave out what the last operation does not depend on."""
    needed = {len(operations)}
    for number in range(len(operations), 0, -1):
        if number in needed:
            needed.update(read_by(operations[number - 1]))
    new = {old: place for place, old in enumerate(sorted(needed | {0}))}
    return [_renumbered(operations[old - 1], new) for old in sorted(needed - {0})]


def _renumbered(operation: Operation, new: dict[int, int]) -> Operation:
    if isinstance(operation, Sum):
        return replace(operation, first=new[operation.first], second=new[operation.second])
    return replace(operation, read=new[operation.read])


def randomised(model: nn.Module, seed: int) -> nn.Module:
    """Return the model in float64 with random batch norms and biases, as only a trained one has."""
    source = torch.Generator().manual_seed(seed)
    model.double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64, generator=source)
        if parameter.dim() > 1:
            parameter.data /= parameter[0].numel() ** 0.5
    return model


def random_masks(model: nn.Module, densities: Sequence[float], seed: int) -> dict[str, Tensor]:
    """Return masks of the layers in order, as dense as the densities, which are taken in turns."""
    source = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(weight.shape, generator=source) < densities[place % len(densities)]
        for place, (name, weight) in enumerate(prunable_weights(model).items())
    }


def in_turns(*choices: bool) -> Chooses:
    """Choose which convolutions are computed with the kept weights only, in turns."""
    numbers = itertools.count()
    return lambda *_: choices[next(numbers) % len(choices)]


class Both:
    """A ticket trained densely, by autograd, and with its kept weights only.

    Args:
        model: float64.
        image: the images' size.
        masks: by layer name.
        chooses: see :class:`SparseNetwork`.
    """

    def __init__(
        self, model: nn.Module, image: Size, masks: dict[str, Tensor], chooses: Chooses, recipe: Recipe = RECIPE
    ) -> None:
        ticket = Ticket(copy_weights(model), masks)
        self.image = image
        self.dense = DenseNetwork(ticket, model, recipe, "cpu", torch.contiguous_format)
        self.sparse = SparseNetwork(ticket, model, recipe, image, chooses)
        self._source = torch.Generator().manual_seed(0)

    def images(self, samples: int) -> Tensor:
        return torch.randn(samples, *self.image, dtype=torch.float64, generator=self._source)

    def step(self, samples: int, learning_rate: float = 0.01) -> None:
        """Do a step of training with the same random images."""
        x = self.images(samples)
        self.dense.train()
        self.sparse.train()
        logits = self.dense(x), self.sparse(x)
        assert_near(logits[1], logits[0])
        weights = torch.randn(logits[0].shape, dtype=torch.float64, generator=self._source)
        for found in logits:
            (found * weights).sum().backward()  # type: ignore[no-untyped-call]
        self.dense.step(learning_rate)
        self.sparse.step(learning_rate)

    def check(self) -> None:
        """See that weights, running statistics and momentum are the same, and what is computed in evaluation."""
        assert_all_near(self.sparse.momentum(), self.dense.momentum())
        assert_all_near(self.sparse.weights(), self.dense.weights())
        self.dense.train(False)
        self.sparse.train(False)
        x = self.images(37)
        assert_near(self.sparse(x), self.dense(x))


def assert_all_near(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        largest = float(tensor.abs().max()) if tensor.is_floating_point() else 0.0
        torch.testing.assert_close(found[name], tensor, rtol=1e-8, atol=1e-9 * max(1.0, largest), msg=_named(name))


def _named(name: str) -> Callable[[str], str]:
    return lambda text: f"{name}: {text}"

"""One step of a trunk by itself, between feature maps whose numbers are given."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.training.sparse.feature_maps import Batch, FeatureMap, Norm, Sums
from prunecheck.training.sparse.kernels import Program, lanes
from prunecheck.training.sparse.steps import Step

GARBAGE = 1e200
"""Lies where no sample is: huge, and its square is not finite in float64."""


def random(source: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=source)


def to_blocks(images: Tensor, blocks: int, rest: float) -> Tensor:
    """Return images (N, C, H, W) as blocks (block, H, W, C, lane); `rest` is where no sample is."""
    count, channels, height, width = images.shape
    block = lanes(images.dtype)
    filled = torch.full((blocks * block, channels, height, width), rest, dtype=images.dtype)
    filled[:count] = images
    return filled.view(blocks, block, channels, height, width).permute(0, 3, 4, 2, 1).contiguous()


def to_images(blocks: Tensor, count: int) -> Tensor:
    """Return blocks as images (N, C, H, W)."""
    return blocks.permute(0, 4, 3, 1, 2).flatten(0, 1)[:count]


@dataclass
class Input:
    """What a step reads, and what its contribution to the gradient is to do.

    Attributes:
        z: images (N, C, H, W), what lies in the feature map.
        scale, shift: (C,), of z; None for a plain feature map.
        relu: of what comes of it; a plain one is one already.
        existing: what is in the gradient already; None if the contribution is the first.
        finish: whether the contribution is the last.
        others: feature maps' z, each with a mean (C,), whose product with the gradient is summed.
        wanted: whether there is a contribution at all.
    """

    z: Tensor
    scale: Tensor | None = None
    shift: Tensor | None = None
    relu: bool = False
    existing: Tensor | None = None
    finish: bool = True
    others: Sequence[tuple[Tensor, Tensor]] = ()
    wanted: bool = True
    feature_map: FeatureMap = field(init=False)

    def __post_init__(self) -> None:
        _, channels, height, width = self.z.shape
        self.feature_map = FeatureMap(channels, height, width)
        self.feature_map.relu = self.relu
        self.feature_map.plain = self.scale is None
        if self.scale is not None:
            self.feature_map.norm = Norm(nn.BatchNorm2d(channels).to(self.z.dtype))

    def before_relu(self) -> Tensor:
        if self.scale is None or self.shift is None:
            return self.z
        return self.z * self.scale[:, None, None] + self.shift[:, None, None]

    def read(self, before_relu: Tensor) -> Tensor:
        """Return what the step reads."""
        return functional.relu(before_relu) if self.relu else before_relu

    def gradient(self, of_contribution: Tensor) -> Tensor:
        """Return what is to be in the gradient after the step."""
        total = of_contribution if self.existing is None else self.existing + of_contribution
        # Where the contributions end, the gradient is that of what the ReLU reads.
        return torch.where(self.before_relu() <= 0, 0, total) if self.relu and self.finish else total

    def allocate(self, batch: Batch) -> None:
        made, blocks = self.feature_map, batch.blocks
        made.allocate(batch)
        made.z.copy_(to_blocks(self.z, blocks, GARBAGE if batch.dtype == torch.float64 else 1e15))
        if made.norm and self.scale is not None and self.shift is not None:
            made.norm.tensors["scale"].copy_(self.scale)
            made.norm.tensors["shift"].copy_(self.shift)
        # What is in a gradient that nobody has contributed to does not matter.
        made.gradient = torch.full_like(made.z, torch.nan)
        if self.existing is not None:
            made.gradient.copy_(to_blocks(self.existing, blocks, 0))
        for z, mean in self.others:
            other = FeatureMap(*made.size)
            other.allocate(batch)
            other.z.copy_(to_blocks(z, blocks, GARBAGE if batch.dtype == torch.float64 else 1e15))
            sums = Sums(made.channels, batch.dtype)
            sums.around = mean
            sums.sums.fill_(torch.nan)
            made.statistics.append((other, sums))

    def check_statistics(self, gradient: Tensor) -> None:
        for (z, mean), (_, sums) in zip(self.others, self.feature_map.statistics, strict=True):
            if not self.finish:
                assert sums.sums.isnan().all()
                continue
            product = (gradient * (z - mean[:, None, None])).sum((0, 2, 3))
            assert_near(sums.sums.sum(2), torch.stack([gradient.sum((0, 2, 3)), product], 1))


@dataclass(frozen=True)
class Reading:
    """How an input is read and what is to be done with its gradient."""

    normalised: bool = True
    relu: bool = True
    accumulate: bool = False
    finish: bool = True
    others: int = 0
    wanted: bool = True


readings = st.builds(
    Reading,
    normalised=st.booleans(),
    relu=st.booleans(),
    accumulate=st.booleans(),
    finish=st.booleans(),
    others=st.integers(0, 2),
    wanted=st.sampled_from([True, True, True, False]),
)


def an_input(source: torch.Generator, shape: tuple[int, int, int, int], reading: Reading) -> Input:
    z, channels = random(source, *shape), shape[1]
    plain = functional.relu(z) if reading.relu else z
    return Input(
        z if reading.normalised else plain,
        random(source, channels) if reading.normalised else None,
        random(source, channels) if reading.normalised else None,
        reading.relu,
        random(source, *shape) if reading.accumulate else None,
        reading.finish,
        [(random(source, *shape), random(source, channels)) for _ in range(reading.others)],
        reading.wanted,
    )


class Alone:
    """A step bound to a batch.

    Args:
        step: reads the feature maps of `inputs`.
        inputs: in the order of the step's.
        room: samples that there is room for beyond those of the inputs.
    """

    def __init__(self, step: Step, inputs: Sequence[Input], room: int = 0) -> None:
        self.step, self.inputs = step, inputs
        self.count = len(inputs[0].z)
        self.batch = Batch(self.count + room, inputs[0].z.dtype)
        for given in inputs:
            given.allocate(self.batch)
        self.out = step.output
        self.out.allocate(self.batch)
        self.out.gradient = torch.zeros_like(self.out.z)
        contributions = [
            given.feature_map.input_gradient(given.existing is not None, given.finish) if given.wanted else None
            for given in inputs
        ]
        scratch = torch.full((step.scratch(self.batch), self.batch.lanes), torch.nan, dtype=self.batch.dtype)
        self.work = step.bind(self.batch, scratch, contributions)
        self.batch.resize(self.count)

    def forward(self, training: bool = True) -> Tensor:
        """Return z of the output."""
        Program(self.work.training if training else self.work.evaluation)()
        return to_images(self.out.z, self.count)

    def backward(self, gradient: Tensor) -> None:
        """Go backward from the gradient of the output, taking the sums that the step needs."""
        self.out.gradient.copy_(to_blocks(gradient, self.batch.blocks, 0))
        if self.step.sums_gradient:
            sums = self.out.own_sums
            z, mean = to_images(self.out.z, self.count), sums.around[:, None, None]
            sums.sums.zero_()
            sums.sums[:, 0, 0] = gradient.sum((0, 2, 3))
            sums.sums[:, 1, 0] = (gradient * (z - mean)).sum((0, 2, 3))
        Program(self.work.backward)()

    def check_gradient(self, given: Input, of_contribution: Tensor) -> None:
        """See that an input's gradient is what it had and this contribution."""
        expected = given.gradient(of_contribution)
        samples = given.feature_map.gradient.permute(0, 4, 3, 1, 2).flatten(0, 1)
        used = -(-self.count // self.batch.lanes) * self.batch.lanes
        assert_near(samples[: self.count], expected)
        assert not samples[self.count : used].any()
        given.check_statistics(expected)


def assert_near(found: Tensor, expected: Tensor) -> None:
    """Compare float64 numbers that were summed in different orders."""
    largest = float(expected.detach().abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(found.detach(), expected.detach(), rtol=1e-10, atol=1e-10 * max(1.0, largest))

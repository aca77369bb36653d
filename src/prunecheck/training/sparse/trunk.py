"""A trunk: the steps of a network from the images to the mean over positions, with room to compute in."""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.convolutions import Convolution, SparseConvolution, WinogradConvolution
from prunecheck.training.sparse.feature_maps import Batch, Buffer, BufferPool, FeatureMap
from prunecheck.training.sparse.kernels import Call, Program, lanes
from prunecheck.training.sparse.memory import zeros_in_huge_pages
from prunecheck.training.sparse.steps import Join, Mean, Step


class Trunk:
    """The steps from images to features.

    Args:
        steps: in order; the last is a :class:`Mean`.
        images: what the first step reads.
        sparse: the convolutions that compute with kept weights only, by layer name.

    Attributes:
        compiled: the convolutions that torch does not compute.
    """

    def __init__(self, steps: Sequence[Step], images: FeatureMap, sparse: Mapping[str, SparseConvolution]) -> None:
        self.steps, self.images, self.sparse = list(steps), images, sparse
        self.compiled = [step for step in self.steps if isinstance(step, SparseConvolution | WinogradConvolution)]
        self._norms = [step.output.norm for step in steps if step.output.norm]
        self._dtypes = {step.module.weight.dtype for step in steps if isinstance(step, Convolution)}
        self._batches_counted = _counted_at_once([norm.module for norm in self._norms])
        self._batch: Batch | None = None

    def parameters(self) -> list[nn.Parameter]:
        """Return what is trained, whose gradients :meth:`backward` writes in place."""
        modules = [step.module for step in self.steps if isinstance(step, Convolution)]
        owners = [*modules, *(norm.module for norm in self._norms)]
        return [parameter for module in owners for parameter in module.parameters()]

    def features(self, x: Tensor, training: bool) -> Tensor:
        """Return the features (batch, channels) of images (batch, channels, height, width).

        In training mode batch norms take the batch's statistics and update the running ones; what
        is needed to go back is kept until the next call.

        Raises:
            ValueError: the images are not of the size or type that the steps compute with, or too few to normalise.
        """
        if tuple(x.shape[1:]) != self.images.size or self._dtypes - {x.dtype}:
            raise ValueError(f"images of shape {tuple(x.shape[1:])} and {x.dtype} where others were expected")
        batch = self._room_for(len(x), x.dtype)
        if training:
            batch.require_variance()
            self._batches_counted += 1
        self._innermost[: len(x)].copy_(x.permute(0, 2, 3, 1))
        (self._train if training else self._evaluate)()
        mean = self.steps[-1]
        assert isinstance(mean, Mean)
        return mean.features[: len(x)].clone()

    def backward(self, gradient: Tensor) -> None:
        """Set the gradients of all parameters from that of the last features."""
        mean = self.steps[-1]
        assert isinstance(mean, Mean)
        mean.gradient[: len(gradient)].copy_(gradient)
        self._go_back()

    def _room_for(self, size: int, dtype: torch.dtype) -> Batch:
        if self._batch is None or size > self._batch.capacity:
            block = lanes(dtype)
            self._batch = Batch(-(-size // block) * block, dtype)
            with torch.inference_mode(False):  # a network that is tested first is trained afterwards
                self._bind(self._batch)
        self._batch.resize(size)
        return self._batch

    def _bind(self, batch: Batch) -> None:
        """Make room, and prepare what is done in it."""
        maps = [self.images, *(step.output for step in self.steps)]
        for feature_map in maps:
            feature_map.allocate(batch)
        channels, height, width = self.images.size
        self._innermost = torch.zeros(batch.capacity, height, width, channels, dtype=batch.dtype)
        shape = batch.shape(self.images.positions, channels)
        read = Call(batch.dtype, "images_to_blocks", shape, self._innermost, self.images.z)
        room = max(step.scratch(batch) for step in self.steps)
        scratch = zeros_in_huge_pages((room, batch.lanes), batch.dtype)
        backward = [
            step.bind(batch, scratch, contributions)
            for step, contributions in zip(reversed(self.steps), _share_gradients(self.steps), strict=True)
        ]
        self._go_back = Program(work for step in backward for work in step.backward)
        self._train = Program([read, *(work for step in reversed(backward) for work in step.training)])
        self._evaluate = Program([read, *(work for step in reversed(backward) for work in step.evaluation)])


def _counted_at_once(norms: Sequence[nn.BatchNorm2d]) -> Tensor:
    """Let the counts of batches that batch norms have lie in one tensor, int64 (norms,), and return it."""
    found = [(norm, norm.num_batches_tracked) for norm in norms]
    counting = [(norm, int(count)) for norm, count in found if count is not None]
    with torch.inference_mode(False):
        counts = torch.tensor([count for _, count in counting], dtype=torch.int64)
    for (norm, _), place in zip(counting, counts.unbind(), strict=True):
        norm.num_batches_tracked = place
    return counts


def _share_gradients(steps: Sequence[Step]) -> list[list[kernels.InputGradient | None]]:
    """Give every feature map room for its gradient, and say who contributes how; in backward order.

    A sum hands its gradient on as it is, so its inputs share its room where that can be.
    """
    for step in steps:
        step.output.statistics = [(step.output, step.output.own_sums)] if step.sums_gradient else []
    for join in (step for step in steps if isinstance(step, Join)):
        for feature_map in filter(_hands_on, join.inputs):
            join.output.statistics += feature_map.statistics
            feature_map.statistics = []
    pool, buffers, made = BufferPool(), dict[FeatureMap, Buffer](), Counter[FeatureMap]()
    backward = []
    for place, step in reversed(list(enumerate(steps))):
        contributions: list[kernels.InputGradient | None] = []
        for feature_map in step.inputs:
            first, last = not made[feature_map], made[feature_map] + 1 == len(feature_map.consumers)
            made[feature_map] += 1
            if not feature_map.needs_gradient:
                contributions.append(None)
                continue
            shared = isinstance(step, Join) and first and _shares(steps, place, feature_map, last)
            if first:
                buffers[feature_map] = pool.share(buffers[step.output]) if shared else pool.take(feature_map.z)
                feature_map.gradient = buffers[feature_map].tensor
            contributions.append(None if shared else feature_map.input_gradient(not first, last))
        backward.append(contributions)
        if step.output in buffers:
            pool.give_back(buffers[step.output])
    return backward


def _hands_on(feature_map: FeatureMap) -> bool:
    """Say whether what a sum gives as gradient is that of a convolution's normalised output itself."""
    return not feature_map.plain and not feature_map.relu and len(feature_map.consumers) == 1


def _shares(steps: Sequence[Step], place: int, feature_map: FeatureMap, last: bool) -> bool:
    """Say whether an input of the sum at ``place`` may keep its gradient where the sum's lies.

    One that others contribute to may, if that room is read no more by the time they do.
    """
    join = steps[place]
    if _hands_on(feature_map):
        return True
    alone = sum(not _hands_on(other) for other in join.inputs) == 1
    readers = [at for at, step in enumerate(steps) if step.output in join.inputs and _hands_on(step.output)]
    others = [at for at, step in enumerate(steps) if step is not join and feature_map in step.inputs]
    return alone and not last and min(readers, default=place) > max(others)

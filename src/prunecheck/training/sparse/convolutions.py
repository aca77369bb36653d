"""The steps of a trunk that are convolutions, with their batch norm or bias: by the kernels, or by torch."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.training.channels_last import is_safe
from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.feature_maps import Batch, FeatureMap, Sums
from prunecheck.training.sparse.kernels import Call, Work
from prunecheck.training.sparse.memory import gradient_of
from prunecheck.training.sparse.steps import Step, StepWork
from prunecheck.training.sparse.weights import KeptWeights


class Convolution(Step):
    """What convolutions have in common: batch norm and bias."""

    def __init__(self, module: nn.Conv2d, source: FeatureMap) -> None:
        stride, padding, kernel = int(module.stride[0]), int(module.padding[0]), int(module.kernel_size[0])
        height, width = output_size(module, source)
        super().__init__([source], FeatureMap(module.out_channels, height, width))
        self.output.needs_gradient = True
        self.module = module
        self.geometry_fields = (
            *(source.channels, source.height, source.width),
            *(module.out_channels, height, width),
            *(kernel, stride, padding),
        )

    @property
    def sums_gradient(self) -> bool:
        """Whether batch norm or a bias follows."""
        return self.output.norm is not None or self.module.bias is not None

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> StepWork:
        """Return how it convolves, with its batch norm after it forward and before it backward."""
        (contribution,) = contributions
        norm, bias, out = self.output.norm, self.module.bias, self.output
        sums = Sums(out.channels, batch.dtype) if norm else None
        own = self._without_norm(batch, scratch, contribution, sums)
        if norm and sums:
            normalise = Call(batch.dtype, "normalise_forward", norm.structure, sums.around, sums.sums)
            evaluate = Call(batch.dtype, "normalise_evaluated", norm.structure)
            before: list[Work] = [Call(batch.dtype, "normalise_backward", norm.structure, out.own_sums.sums)]
            if bias is not None:
                # A batch norm takes away whatever is added to all positions; the optimizer has added weight decay.
                before.append(gradient_of(bias).zero_)
            return StepWork([*own.training, normalise], [evaluate, *own.evaluation], [*before, *own.backward])
        before = []
        if bias is not None:
            before.append(Call(batch.dtype, "bias_gradient", out.channels, out.own_sums.sums, gradient_of(bias)))
        return StepWork(own.training, own.evaluation, [*before, *own.backward])

    @abstractmethod
    def _without_norm(
        self, batch: Batch, scratch: Tensor, contribution: kernels.InputGradient | None, sums: Sums | None
    ) -> StepWork:
        """Return how it convolves; in training with the sums that batch norm needs of z, if one follows."""

    def _forward(
        self, batch: Batch, name: str, *arguments: Any, sums: Sums | None, scratch: Tensor
    ) -> tuple[Call, Call]:
        """Return the calls of a kernel that convolves, in training and in evaluation."""
        arguments = (*arguments, self.module.bias, self.output.z)
        evaluation = Call(batch.dtype, name, *arguments, None, None, scratch)
        if sums is None:
            return evaluation, evaluation
        return Call(batch.dtype, name, *arguments, sums.around, sums.sums, scratch), evaluation


def output_size(module: nn.Conv2d, source: FeatureMap) -> tuple[int, int]:
    """Return height and width of what a square convolution without dilation makes of a feature map, pixels."""
    stride, padding, kernel = int(module.stride[0]), int(module.padding[0]), int(module.kernel_size[0])
    return (source.height + 2 * padding - kernel) // stride + 1, (source.width + 2 * padding - kernel) // stride + 1


class SparseConvolution(Convolution):
    """A convolution with the kept weights only.

    Args:
        module: its weight becomes the list of the kept ones.
        source: what it reads.
        mask: bool (outputs, inputs, height, width), True = kept.
    """

    def __init__(self, module: nn.Conv2d, source: FeatureMap, mask: Tensor) -> None:
        super().__init__(module, source)
        self.kept = KeptWeights(module, mask, kernels.Geometry(1, 1, *self.geometry_fields))

    def scratch(self, batch: Batch) -> int:
        """Return the room for the gradients of the weights and for two windows."""
        return self.kept.scratch

    def _without_norm(
        self, batch: Batch, scratch: Tensor, contribution: kernels.InputGradient | None, sums: Sums | None
    ) -> StepWork:
        geometry, activation = batch.geometry(*self.geometry_fields), self.inputs[0].activation()
        rows = self.kept.rows()
        training, evaluation = self._forward(
            batch, "convolution_forward", geometry, activation, rows, sums=sums, scratch=scratch
        )
        backward = Call(
            batch.dtype,
            "convolution_backward",
            *(geometry, activation, self.output.output_gradient(), rows, gradient_of(self.kept.values)),
            *(self.kept.transposed() if contribution else None, contribution, scratch),
        )
        turn = [self.kept.transpose()] if contribution else []
        return StepWork([training], [evaluation], [*turn, backward])


class WinogradConvolution(Convolution):
    """A 3x3 convolution of stride 1 with all weights, by Winograd's minimal filtering (Lavin and Gray, CVPR 2016).

    It takes a quarter of the products, so that layers gain by it that keep more than about a quarter of their weights.
    Its rounding is 2.6 times that of a direct convolution.

    Args:
        module: its weight stays as it is, the pruned ones 0.
        source: what it reads.
    """

    def __init__(self, module: nn.Conv2d, source: FeatureMap) -> None:
        super().__init__(module, source)
        module.weight.data = module.weight.data.contiguous()

    def scratch(self, batch: Batch) -> int:
        """Return the room for a chunk of transformed tiles, and for the transformed weights."""
        geometry = kernels.Geometry(batch.blocks, batch.lanes, *self.geometry_fields)
        return Call(batch.dtype, "winograd_scratch", geometry)()

    def _without_norm(
        self, batch: Batch, scratch: Tensor, contribution: kernels.InputGradient | None, sums: Sums | None
    ) -> StepWork:
        geometry, activation = batch.geometry(*self.geometry_fields), self.inputs[0].activation()
        weight = self.module.weight.detach()
        training, evaluation = self._forward(
            batch, "winograd_forward", geometry, activation, weight, sums=sums, scratch=scratch
        )
        backward = Call(
            batch.dtype,
            "winograd_backward",
            *(geometry, activation, self.output.output_gradient(), weight, gradient_of(self.module.weight)),
            *(contribution, scratch),
        )
        return StepWork([training], [evaluation], [backward])


def has_winograd(module: nn.Conv2d) -> bool:
    """Say whether a convolution without groups and dilation can be computed by Winograd's filtering."""
    return module.kernel_size == (3, 3) and module.stride == (1, 1)


class DenseConvolution(Convolution):
    """A convolution by torch, for those that neither the kept weights alone nor Winograd make faster.

    Args:
        module: its weight stays as it is, the pruned ones 0.
        source: what it reads.
    """

    def __init__(self, module: nn.Conv2d, source: FeatureMap) -> None:
        super().__init__(module, source)
        self._memory_format = torch.channels_last if is_safe(module) else torch.contiguous_format
        module.weight.data = module.weight.data.contiguous(memory_format=self._memory_format)

    def _without_norm(
        self, batch: Batch, scratch: Tensor, contribution: kernels.InputGradient | None, sums: Sums | None
    ) -> StepWork:
        source, out, samples = self.inputs[0], self.output, batch.blocks * batch.lanes
        self._batch, self._contributes = batch, contribution is not None
        # As channels-last images, which are what lies innermost in torch's memory.
        self._in = torch.empty(samples, source.height, source.width, source.channels, dtype=batch.dtype)
        self._out = torch.empty(samples, out.height, out.width, out.channels, dtype=batch.dtype)
        read, write = batch.shape(source.positions, source.channels), batch.shape(out.positions, out.channels)
        forward: list[Work] = [
            Call(batch.dtype, "activation_to_images", read, source.activation(), self._in),
            self._convolve,
            Call(batch.dtype, "images_to_blocks", write, self._out, out.z),
        ]
        backward: list[Work] = [
            Call(batch.dtype, "gradient_to_images", write, out.output_gradient(), self._out),
            self._convolve_backward,
        ]
        if contribution:
            blocks = torch.empty_like(source.z)
            backward += [
                Call(batch.dtype, "images_to_blocks", read, self._in, blocks),
                Call(batch.dtype, "join_backward", read, blocks, contribution),
            ]
        summed = [Call(batch.dtype, "normalisation_sums", write, out.z, sums.around, sums.sums)] if sums else []
        return StepWork([*forward, *summed], forward, backward)

    def _convolve(self) -> None:
        """Compute images of the output from those of the input."""
        module = self.module
        result = functional.conv2d(
            self._images(self._in),
            module.weight.detach(),
            None if module.bias is None else module.bias.detach(),
            module.stride,
            module.padding,
        )
        self._write(result, self._out)

    def _convolve_backward(self) -> None:
        """Compute the gradients of the weights, and of the images in their place."""
        module = self.module
        gradient, weights, _ = torch.ops.aten.convolution_backward(
            self._images(self._out),
            self._images(self._in),
            module.weight.detach(),
            None,
            module.stride,
            module.padding,
            module.dilation,
            False,
            [0, 0],
            1,
            [self._contributes, True, False],
        )
        gradient_of(module.weight).copy_(weights)
        if self._contributes:
            self._write(gradient, self._in)

    def _images(self, innermost: Tensor) -> Tensor:
        """Return a batch as torch takes it; it lies with its channels innermost."""
        images = innermost[: self._batch.size].permute(0, 3, 1, 2)
        return images.contiguous(memory_format=self._memory_format)

    def _write(self, images: Tensor, innermost: Tensor) -> None:
        innermost[: self._batch.size].copy_(images.permute(0, 2, 3, 1))

"""The steps of a trunk that are convolutions, with their batch norm or bias: by the kernels, or by torch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.training.channels_last import is_safe
from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.feature_maps import Batch, FeatureMap, Sums
from prunecheck.training.sparse.kernels import Call
from prunecheck.training.sparse.memory import gradient_of
from prunecheck.training.sparse.steps import Step
from prunecheck.training.sparse.weights import KeptWeights


class Convolution(Step):
    """What convolutions have in common: batch norm and bias."""

    def __init__(self, module: nn.Conv2d, source: FeatureMap) -> None:
        stride, padding, kernel = int(module.stride[0]), int(module.padding[0]), int(module.kernel_size[0])
        height, width = ((size + 2 * padding - kernel) // stride + 1 for size in (source.height, source.width))
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

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> None:
        """Prepare what follows the convolution forward and precedes it backward."""
        norm, out = self.output.norm, self.output
        self._forward_sums = Sums(out.channels, batch.dtype)
        if norm:
            self._normalise = Call(
                batch.dtype, "normalise_forward", norm.structure, self._forward_sums.around, self._forward_sums.sums
            )
            self._evaluate = Call(batch.dtype, "normalise_evaluated", norm.structure)
            self._normalise_backward = Call(batch.dtype, "normalise_backward", norm.structure, out.own_sums.sums)
        elif self.module.bias is not None:
            gradient = gradient_of(self.module.bias)
            self._sum_bias = Call(batch.dtype, "bias_gradient", out.channels, out.own_sums.sums, gradient)

    def _before(self, training: bool) -> None:
        if self.output.norm and not training:
            self._evaluate()

    def _after(self, training: bool) -> None:
        if self.output.norm and training:
            self._normalise()

    def _before_backward(self) -> None:
        if self.output.norm:
            self._normalise_backward()
            if self.module.bias is not None:
                # A batch norm takes away whatever is added to all positions; the optimizer has added weight decay.
                gradient_of(self.module.bias).zero_()
        elif self.module.bias is not None:
            self._sum_bias()


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

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> None:
        """Prepare the calls."""
        super().bind(batch, scratch, contributions)
        geometry = batch.geometry(*self.geometry_fields)
        (contribution,) = contributions
        rows = self.kept.rows()
        transposed = self.kept.transposed() if contribution else None
        activation, bias, z = self.inputs[0].activation(), self.module.bias, self.output.z
        sums = self._forward_sums
        arguments = (geometry, activation, rows, bias, z)
        taken = (sums.around, sums.sums) if self.output.norm else (None, None)
        self._forward = Call(batch.dtype, "convolution_forward", *arguments, *taken, scratch)
        self._forward_evaluated = Call(batch.dtype, "convolution_forward", *arguments, None, None, scratch)
        self._backward = Call(
            batch.dtype,
            "convolution_backward",
            *(geometry, activation, self.output.output_gradient(), rows, gradient_of(self.kept.values)),
            *(transposed, contribution, scratch),
        )
        self._transposes = transposed is not None

    def forward(self, training: bool) -> None:
        """Convolve, and take the sums of batch norm meanwhile."""
        self._before(training)
        (self._forward if training else self._forward_evaluated)()
        self._after(training)

    def backward(self) -> None:
        """Compute the gradients of weights and input."""
        self._before_backward()
        if self._transposes:
            self.kept.transpose()
        self._backward()


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

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> None:
        """Prepare the calls."""
        super().bind(batch, scratch, contributions)
        geometry, activation = batch.geometry(*self.geometry_fields), self.inputs[0].activation()
        (contribution,) = contributions
        weight, sums = self.module.weight.detach(), self._forward_sums
        arguments = (geometry, activation, weight, self.module.bias, self.output.z)
        taken = (sums.around, sums.sums) if self.output.norm else (None, None)
        self._forward = Call(batch.dtype, "winograd_forward", *arguments, *taken, scratch)
        self._forward_evaluated = Call(batch.dtype, "winograd_forward", *arguments, None, None, scratch)
        self._backward = Call(
            batch.dtype,
            "winograd_backward",
            *(geometry, activation, self.output.output_gradient(), weight, gradient_of(self.module.weight)),
            *(contribution, scratch),
        )

    def forward(self, training: bool) -> None:
        """Convolve, and take the sums of batch norm meanwhile."""
        self._before(training)
        (self._forward if training else self._forward_evaluated)()
        self._after(training)

    def backward(self) -> None:
        """Compute the gradients of weights and input."""
        self._before_backward()
        self._backward()


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

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> None:
        """Prepare the calls."""
        super().bind(batch, scratch, contributions)
        (source,), out, (contribution,) = self.inputs, self.output, contributions
        samples = batch.blocks * batch.lanes
        self._batch = batch
        # As channels-last images, which are what lies innermost in torch's memory.
        self._in = torch.empty(samples, source.height, source.width, source.channels, dtype=batch.dtype)
        self._gradient_out = torch.empty(samples, out.height, out.width, out.channels, dtype=batch.dtype)
        read, write = batch.shape(source.positions, source.channels), batch.shape(out.positions, out.channels)
        sums = self._forward_sums
        self._read = Call(batch.dtype, "activation_to_images", read, source.activation(), self._in)
        self._read_gradient = Call(batch.dtype, "gradient_to_images", write, out.output_gradient(), self._gradient_out)
        self._sums = Call(batch.dtype, "normalisation_sums", write, out.z, sums.around, sums.sums)
        self._shapes = (read, write)
        self._contribution = contribution
        self._contributes = contribution is not None
        if contribution:
            self._blocks = torch.empty_like(source.z)
            self._contribute = Call(batch.dtype, "join_backward", read, self._blocks, contribution)

    def forward(self, training: bool) -> None:
        """Convolve images, and write the outcome as blocks."""
        self._before(training)
        self._read()
        module = self.module
        result = functional.conv2d(
            self._images(self._in),
            module.weight.detach(),
            None if module.bias is None else module.bias.detach(),
            module.stride,
            module.padding,
        )
        self._write(self._shapes[1], result, self.output.z)
        if training and self.output.norm:
            self._sums()
        self._after(training)

    def _images(self, innermost: Tensor) -> Tensor:
        """Return a batch as torch takes it; it lies with its channels innermost."""
        images = innermost[: self._batch.size].permute(0, 3, 1, 2)
        return images.contiguous(memory_format=self._memory_format)

    def _write(self, shape: kernels.Shape, images: Tensor, blocks: Tensor) -> None:
        Call(self._batch.dtype, "images_to_blocks", shape, images.permute(0, 2, 3, 1).contiguous(), blocks)()

    def backward(self) -> None:
        """Compute the gradients of weights and input."""
        self._before_backward()
        self._read_gradient()
        module = self.module
        gradient, weights, _ = torch.ops.aten.convolution_backward(
            self._images(self._gradient_out),
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
            self._write(self._shapes[0], gradient, self._blocks)
            self._contribute()

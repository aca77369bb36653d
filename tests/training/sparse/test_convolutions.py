"""Convolutions by themselves against autograd, in float64."""

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.training.sparse.convolutions import DenseConvolution, SparseConvolution, WinogradConvolution
from prunecheck.training.sparse.feature_maps import Norm
from tests.training.sparse.alone import Alone, Input, Reading, an_input, assert_near, random, readings

pytestmark = pytest.mark.usefixtures("kernels")


@dataclass(frozen=True)
class Case:
    """A convolution."""

    kernel: int
    stride: int
    padding: int
    inputs: int
    outputs: int
    height: int
    width: int
    samples: int
    density: float
    bias: bool
    norm: bool
    room: int
    seed: int
    reading: Reading


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kernel = draw(st.sampled_from([1, 3, 5]))
    padding = draw(st.integers(0, kernel - 1))
    sizes = st.integers(max(1, kernel - 2 * padding), 13)
    return Case(
        kernel,
        draw(st.sampled_from([1, 2])),
        padding,
        draw(st.integers(1, 7)),
        draw(st.integers(1, 7)),
        draw(sizes),
        draw(sizes),
        draw(st.integers(2, 40)),
        draw(st.sampled_from([0.0, 0.1, 0.4, 0.8, 1.0])),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from([0, 1, 30])),
        draw(st.integers(0, 2**16)),
        draw(readings),
    )


def a_mask(source: torch.Generator, case: Case) -> Tensor:
    """Draw a mask; of one that is neither empty nor full, a row and an input channel are empty if there are several."""
    mask = torch.rand(case.outputs, case.inputs, case.kernel, case.kernel, generator=source) < case.density
    if 0 < case.density < 1:
        mask[: case.outputs // 2, :] &= case.outputs < 3
        mask[:, : case.inputs // 2] &= case.inputs < 3
    return mask


def a_module(source: torch.Generator, case: Case) -> nn.Conv2d:
    made = nn.Conv2d(case.inputs, case.outputs, case.kernel, case.stride, case.padding, bias=case.bias).double()
    for parameter in made.parameters():
        parameter.data = random(source, *parameter.shape)
    return made


def a_batch_norm(source: torch.Generator, channels: int) -> nn.BatchNorm2d:
    # With a large epsilon what is rounding stays so where a channel is constant.
    made = nn.BatchNorm2d(channels, eps=0.1, momentum=0.3).double()
    for tensor in (made.weight.data, made.bias.data, made.running_mean):
        assert tensor is not None
        tensor.copy_(random(source, channels))
    assert made.running_var is not None
    made.running_var.copy_(random(source, channels).abs() + 0.1)
    return made


def a_copy(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum).double()
    made.load_state_dict(norm.state_dict())
    return made


STRIDED = Case(3, 2, 1, 3, 5, 11, 8, 17, 0.4, True, False, 0, 1, Reading(accumulate=True))
TILED = Case(3, 1, 1, 5, 6, 9, 6, 35, 0.4, False, True, 0, 0, Reading())
"""Tiles beyond the edges on both sides, and a third block with 3 samples."""


@settings(max_examples=120, deadline=None)
@given(cases())
@example(TILED)
@example(STRIDED)
@example(Case(3, 1, 1, 7, 7, 9, 10, 33, 1.0, False, True, 16, 2, Reading(others=2)))
@example(Case(5, 2, 4, 2, 3, 1, 2, 3, 1.0, True, True, 0, 3, Reading(normalised=False, others=1)))
def test_a_sparse_convolution_is_the_masked_dense_one(case: Case) -> None:
    check_sparse(case)


def check_sparse(case: Case) -> None:
    source = torch.Generator().manual_seed(case.seed)
    mask, module = a_mask(source, case), a_module(source, case)
    given_input = an_input(source, (case.samples, case.inputs, case.height, case.width), case.reading)
    norm = a_batch_norm(source, case.outputs) if case.norm else None
    dense = module.weight.detach() * mask
    step = SparseConvolution(module, given_input.feature_map, mask)
    check_convolution(step, module, given_input, dense, norm, case)


@settings(max_examples=40, deadline=None)
@given(cases())
@example(TILED)
def test_a_dense_convolution_is_torchs(case: Case) -> None:
    source = torch.Generator().manual_seed(case.seed)
    module = a_module(source, case)
    given_input = an_input(source, (case.samples, case.inputs, case.height, case.width), case.reading)
    norm = a_batch_norm(source, case.outputs) if case.norm else None
    dense = module.weight.detach().clone()
    check_convolution(DenseConvolution(module, given_input.feature_map), module, given_input, dense, norm, case)


@settings(max_examples=80, deadline=None)
@given(cases(), st.integers(0, 2), st.integers(1, 19), st.integers(1, 19))
@example(TILED, 1, 5, 6)
@example(replace(TILED, height=16, width=18, samples=5), 1, 17, 9)
@example(replace(TILED, height=2, width=2, bias=True, norm=False), 1, 9, 33)
def test_winograds_convolution_is_torchs(case: Case, padding: int, inputs: int, outputs: int) -> None:
    """Of tiles of 4 x 4 outputs and, for the smallest images, of 2 x 2; channels that fill no vector or group."""
    sizes = {side: max(getattr(case, side), 3 - 2 * padding) for side in ("height", "width")}
    check_winograd(replace(case, kernel=3, stride=1, padding=padding, inputs=inputs, outputs=outputs, **sizes))


def check_winograd(case: Case) -> None:
    source = torch.Generator().manual_seed(case.seed)
    module = a_module(source, case)
    given_input = an_input(source, (case.samples, case.inputs, case.height, case.width), case.reading)
    norm = a_batch_norm(source, case.outputs) if case.norm else None
    dense = module.weight.detach().clone()
    check_convolution(WinogradConvolution(module, given_input.feature_map), module, given_input, dense, norm, case)


def check_convolution(
    step: SparseConvolution | WinogradConvolution | DenseConvolution,
    module: nn.Conv2d,
    given_input: Input,
    weight: Tensor,
    norm: nn.BatchNorm2d | None,
    case: Case,
) -> None:
    """Compare forward, every gradient, the running statistics and evaluation with those of torch."""
    reference_norm = a_copy(norm) if norm else None
    if norm:
        step.output.norm = Norm(norm)
    alone = Alone(step, [given_input], case.room)
    read = given_input.read(given_input.before_relu()).requires_grad_()
    weight.requires_grad_()
    bias = module.bias.detach().clone().requires_grad_() if module.bias is not None else None
    convolved = functional.conv2d(read, weight, bias, case.stride, case.padding)
    normalised = reference_norm(convolved) if reference_norm else convolved
    assert_near(alone.forward(), convolved)
    gradient = random(torch.Generator().manual_seed(case.seed), *convolved.shape)
    normalised.backward(gradient)
    alone.backward(gradient)
    check_parameters(step, module, weight, bias, reference_norm)
    if given_input.wanted:
        assert read.grad is not None
        alone.check_gradient(given_input, read.grad)
    else:
        assert given_input.feature_map.gradient.isnan().any() == (given_input.existing is None)
    if norm and reference_norm:
        for name in ("running_mean", "running_var"):
            assert_near(getattr(norm, name), getattr(reference_norm, name))
        reference_norm.eval()
        assert_near(alone.forward(training=False), convolved)
        scale, shift = (alone.out.norm.tensors[name][:, None, None] for name in ("scale", "shift"))  # type: ignore[union-attr]
        assert_near(convolved * scale + shift, reference_norm(convolved))


def check_parameters(
    step: SparseConvolution | WinogradConvolution | DenseConvolution,
    module: nn.Conv2d,
    weight: Tensor,
    bias: Tensor | None,
    norm: nn.BatchNorm2d | None,
) -> None:
    assert weight.grad is not None and module.weight.grad is not None
    kept = step.kept.mask if isinstance(step, SparseConvolution) else torch.ones_like(weight, dtype=torch.bool)
    assert_near(module.weight.grad.reshape(-1), weight.grad[kept])
    if norm and step.output.norm:
        ours = step.output.norm.module
        assert_near(ours.weight.grad, norm.weight.grad)  # type: ignore[arg-type]
        assert_near(ours.bias.grad, norm.bias.grad)  # type: ignore[arg-type]
    if bias is not None:
        assert module.bias is not None and module.bias.grad is not None and bias.grad is not None
        if norm:
            assert not module.bias.grad.any()  # where torch's is 0 but for rounding
        assert_near(module.bias.grad, bias.grad)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("sparse", [True, False])
def test_batch_norm_takes_over_what_is_not_finite_as_torch_does(value: float, sparse: bool) -> None:
    """A training that diverged is seen by its features and by the running statistics."""
    source = torch.Generator().manual_seed(0)
    module, norm = nn.Conv2d(1, 1, 1, bias=False).double(), nn.BatchNorm2d(1).double()
    reference = a_copy(norm)
    given_input = Input(random(source, 20, 1, 3, 3))
    given_input.z[3, 0, 1, 1] = value
    convolved = functional.conv2d(given_input.z, module.weight)
    mask = torch.ones_like(module.weight, dtype=torch.bool)
    feature_map = given_input.feature_map
    step = SparseConvolution(module, feature_map, mask) if sparse else DenseConvolution(module, feature_map)
    step.output.norm = Norm(norm)
    alone = Alone(step, [given_input])
    z = alone.forward()
    expected = reference(convolved)
    scale, shift = (step.output.norm.tensors[name][:, None, None] for name in ("scale", "shift"))
    torch.testing.assert_close(z * scale + shift, expected, equal_nan=True)
    assert norm.running_var is not None and reference.running_var is not None
    torch.testing.assert_close(norm.running_var, reference.running_var, equal_nan=True)


@pytest.mark.parametrize("sparse", [True, False])
def test_a_mean_far_from_0_takes_nothing_from_the_precision_of_the_variance(sparse: bool) -> None:
    """In float32 the square of 1000 is rounded by 0.06, and the variance is 0.01."""
    module, norm = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=1e-9)
    module.weight.data.fill_(1)
    given_input = Input((1000 + 0.1 * random(torch.Generator().manual_seed(0), 30, 1, 6, 5)).float())
    mask = torch.ones_like(module.weight, dtype=torch.bool)
    feature_map = given_input.feature_map
    step = SparseConvolution(module, feature_map, mask) if sparse else DenseConvolution(module, feature_map)
    step.output.norm = Norm(norm)
    Alone(step, [given_input]).forward()
    exact = given_input.z.double()
    found = step.output.norm.tensors
    torch.testing.assert_close(found["mean"].double(), exact.mean()[None], rtol=1e-6, atol=0)
    deviation = exact.std(correction=0)
    torch.testing.assert_close(found["inverse_deviation"].double(), 1 / deviation[None], rtol=1e-4, atol=0)

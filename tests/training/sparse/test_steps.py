"""Joins, poolings and means by themselves against autograd, in float64."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from prunecheck.training.sparse.kernels import Program
from prunecheck.training.sparse.steps import Join, MaxPool, Mean
from tests.training.sparse.alone import Alone, Input, Reading, an_input, assert_near, random, readings

pytestmark = pytest.mark.usefixtures("kernels")


@settings(max_examples=60, deadline=None)
@given(readings, readings, st.booleans(), st.integers(1, 40), st.integers(0, 2**16))
def test_a_join_adds_and_passes_the_gradient_on(
    first: Reading, second: Reading, relu: bool, samples: int, seed: int
) -> None:
    source = torch.Generator().manual_seed(seed)
    shape = (samples, int(torch.randint(1, 8, (), generator=source)), *random_sizes(source))
    inputs = [an_input(source, shape, reading) for reading in (first, second)]
    step = Join(*(each.feature_map for each in inputs))
    step.output.relu = relu
    alone = Alone(step, inputs)
    total = sum((each.read(each.before_relu()) for each in inputs), torch.tensor(0.0))
    assert_near(alone.forward(), functional.relu(total) if relu else total)
    gradient = random(source, *shape)
    alone.backward(gradient)
    for each in inputs:
        if each.wanted:
            alone.check_gradient(each, gradient)


def random_sizes(source: torch.Generator) -> tuple[int, int]:
    height, width = torch.randint(1, 14, (2,), generator=source).tolist()
    return height, width


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([1, 2, 3]), st.integers(1, 7), st.integers(3, 13), st.integers(3, 13), st.integers(1, 40), readings
)
@example(2, 3, 5, 7, 17, Reading(others=2))
def test_max_pooling_is_torchs(
    size: int, channels: int, height: int, width: int, samples: int, reading: Reading
) -> None:
    source = torch.Generator().manual_seed(samples)
    given_input = an_input(source, (samples, channels, height, width), reading)
    # Whole numbers, so that there are ties, which ReLU makes too.
    given_input.z.round_()
    step = MaxPool(given_input.feature_map, size)
    alone = Alone(step, [given_input])
    read = given_input.read(given_input.before_relu()).requires_grad_()
    pooled = functional.max_pool2d(read, size)
    assert_near(alone.forward(), pooled)
    gradient = random(source, *pooled.shape)
    pooled.backward(gradient)  # type: ignore[no-untyped-call]
    alone.backward(gradient)
    if reading.wanted:
        assert read.grad is not None
        alone.check_gradient(given_input, read.grad)


def test_of_equal_values_the_first_takes_the_gradient() -> None:
    """By hand: rows before columns, and every window by itself."""
    images = torch.tensor([[1.0, 2, 5, 5, 9], [2, 2, 5, 5, 9], [9, 9, 9, 9, 9]], dtype=torch.float64)[None, None]
    given_input = Input(images)
    alone = Alone(MaxPool(given_input.feature_map, 2), [given_input])
    assert alone.forward().flatten().tolist() == [2, 5]
    alone.backward(torch.tensor([[[[3.0, 4.0]]]], dtype=torch.float64))
    expected = torch.tensor([[0.0, 3, 4, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.float64)
    alone.check_gradient(given_input, expected[None, None])


@settings(max_examples=40, deadline=None)
@given(readings, st.integers(1, 40), st.integers(0, 2**16))
def test_the_mean_is_over_positions(reading: Reading, samples: int, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    shape = (samples, int(torch.randint(1, 8, (), generator=source)), *random_sizes(source))
    given_input = an_input(source, shape, reading)
    step = Mean(given_input.feature_map)
    alone = Alone(step, [given_input])
    Program(alone.work.training)()
    read = given_input.read(given_input.before_relu()).requires_grad_()
    features = read.mean((2, 3))
    assert_near(step.features[:samples], features)
    gradient = random(source, *features.shape)
    features.backward(gradient)  # type: ignore[no-untyped-call]
    step.gradient[:samples] = gradient
    Program(alone.work.backward)()
    if reading.wanted:
        assert read.grad is not None
        alone.check_gradient(given_input, read.grad)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", range(4))
def test_max_pooling_passes_on_what_is_not_finite_as_torch_does(value: float, place: int) -> None:
    images = torch.arange(4, dtype=torch.float64).view(1, 1, 2, 2)
    images.view(-1)[place] = value
    for relu in (False, True):
        given_input = Input(images, torch.ones(1).double(), torch.zeros(1).double(), relu)
        found = Alone(MaxPool(given_input.feature_map, 2), [given_input]).forward()
        read = functional.relu(images) if relu else images
        torch.testing.assert_close(found, functional.max_pool2d(read, 2), equal_nan=True)

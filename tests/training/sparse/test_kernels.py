"""Calls of kernels from Python."""

import gc
import weakref

import pytest
import torch
from torch import nn

from prunecheck.training.sparse.convolutions import SparseConvolution
from prunecheck.training.sparse.feature_maps import Batch, FeatureMap, Norm
from prunecheck.training.sparse.kernels import Call, Program

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_program_does_its_work_in_order_each_time(dtype: torch.dtype) -> None:
    first, second, third = (torch.zeros(5, dtype=dtype) for _ in range(3))
    backwards = torch.arange(4, -1, -1, dtype=torch.int32)
    program = Program(
        [
            lambda: first.add_(torch.arange(5)),
            Call(dtype, "reorder", 5, backwards, first, second),
            Call(dtype, "reorder", 3, backwards, second, third),  # of the first three places
            lambda: third.mul_(10),
            second.zero_,
            Call(dtype, "reorder", 5, backwards, third, second),
        ]
    )
    program()
    assert third.tolist() == [0, 10, 20, 0, 0]
    assert second.tolist() == [0, 0, 20, 10, 0]
    program()
    assert first.tolist() == [0, 2, 4, 6, 8]
    assert third.tolist() == [0, 20, 40, 0, 0]


def test_what_a_program_computes_with_stays_while_it_does() -> None:
    """Arguments that nobody else holds: their memory would be others' by then."""
    result = torch.zeros(100_000)
    order = torch.arange(100_000, dtype=torch.int32)
    program = Program([Call(torch.float32, "reorder", 100_000, order.flip(0).clone(), torch.arange(100_000.0), result)])
    other = [torch.full((100_000,), 7.0) for _ in range(20)]
    program()
    assert torch.equal(result, torch.arange(99_999.0, -1, -1)) and len(other) == 20


def test_what_a_step_computes_in_stays_as_long_as_its_program() -> None:
    """Maps of some MiB, which the system takes back at once when nobody holds them."""
    module = nn.Conv2d(16, 16, 3, padding=1, bias=False)
    source = FeatureMap(16, 32, 32)
    step = SparseConvolution(module, source, torch.rand(module.weight.shape) < 0.5)
    step.output.norm = Norm(nn.BatchNorm2d(16))
    batch = Batch(64, torch.float32)
    for feature_map in (source, step.output):
        feature_map.allocate(batch)
        feature_map.gradient = torch.zeros_like(feature_map.z)
    scratch = torch.zeros(step.scratch(batch), batch.lanes)
    work = step.bind(batch, scratch, [source.input_gradient(accumulate=False, finish=True)])
    batch.resize(64)
    maps = [weakref.ref(one) for one in (source, step.output, step.output.norm, step.kept)]
    program = Program([*work.training, *work.backward])
    del module, source, step, batch, feature_map, scratch, work
    gc.collect()
    program()
    assert all(one() is not None for one in maps)
    del program
    gc.collect()
    assert all(one() is None for one in maps)

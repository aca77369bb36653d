"""The loops that rates are measured with do what they say that they did."""

import ctypes

import pytest
import torch

from benchmarks.training.processor import Processor
from prunecheck.training.sparse.build import UnavailableError


@pytest.fixture(scope="module")
def processor() -> Processor:
    try:
        return Processor()
    except UnavailableError as reason:
        pytest.skip(str(reason))


def test_multiply_adds_are_all_done_and_counted(processor: Processor) -> None:
    """Each sum is halved and one added to it, in every lane of a vector; the lanes are not added."""
    out = torch.tensor([0.5, 1.0, 0.0])
    counts = [multiply_add(processor, times, out) for times in (1, 3)]

    sums = float(out[2]) / (1 + 1 / 2 + 1 / 4)
    assert counts[1] == 3 * counts[0]
    assert counts[0] / (2 * sums) in (4, 8, 16)


def test_an_array_is_read_to_its_end(processor: Processor) -> None:
    array, out = torch.ones(1024), torch.tensor([0.5, 1.0, 0.0])
    count = multiply_add(processor, 1, out)
    lanes = count / (2 * float(out[2]))
    where, result = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (array, out))

    assert processor._library.read_array(where, ctypes.c_int64(4096), ctypes.c_int64(2), result) == 2 * 4096
    assert float(out[0]) == 2 * 1024 / lanes


def multiply_add(processor: Processor, times: int, out: torch.Tensor) -> int:
    return int(processor._library.multiply_add(ctypes.c_int64(times), ctypes.c_void_p(out.data_ptr())))

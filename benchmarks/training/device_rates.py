"""What a device reaches on simple work: multiplying big matrices, and moving arrays that no cache holds."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.machine import largest_cache

TRIALS = 7
MATRIX_SIZE = {"cpu": 2048, "cuda": 8192}
SMALLEST_ARRAY = {"cpu": 2**28, "cuda": 2**30}
"""Bytes."""


@dataclass(frozen=True)
class DeviceRates:
    """The best of several trials, with as many threads as training has.

    Attributes:
        float32: floating-point operations a second of a float32 matrix product, a multiply-add being two; with
            TensorFloat-32 where convolutions are computed with it.
        bfloat16: the same in bfloat16, on a GPU.
        copy: bytes a second, of an array that is read and written.
        triad: bytes a second of a + 2 b = c, with two arrays read and one written.
    """

    float32: float
    bfloat16: float | None
    copy: float
    triad: float

    @property
    def bandwidth(self) -> float:
        """Bytes a second, by whichever does better."""
        return max(self.copy, self.triad)


def measure_rates(device: torch.device) -> DeviceRates:
    """Measure what a device reaches."""
    size = MATRIX_SIZE[device.type]
    tensor_float = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        float32 = _matrix_rate(size, torch.float32, device)
        bfloat16 = _matrix_rate(size, torch.bfloat16, device) if device.type == "cuda" else None
    finally:
        torch.backends.cuda.matmul.allow_tf32 = tensor_float
    # The rule of STREAM, the usual measure of bandwidth: four times the largest cache.
    numbers = max(SMALLEST_ARRAY[device.type], 4 * largest_cache()) // 4
    first, second, third = (torch.ones(numbers, device=device) for _ in range(3))
    copied = 2 * 4 * numbers / best_of(lambda: first.copy_(second), device)
    triad = 3 * 4 * numbers / best_of(lambda: torch.add(first, second, alpha=2, out=third), device)
    return DeviceRates(float32, bfloat16, copied, triad)


def _matrix_rate(size: int, dtype: torch.dtype, device: torch.device) -> float:
    first, second, product = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(3))
    return 2 * size**3 / best_of(lambda: torch.mm(first, second, out=product), device)


def best_of(function: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the fastest trial, after one that does not count."""
    times = []
    for _ in range(TRIALS + 1):
        started = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])

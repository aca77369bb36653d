"""What a device reaches on simple work: multiplying and adding, and moving arrays.

On the CPU loops compiled for it (:mod:`.processor`): a library may be far from what the processor can do.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from benchmarks.machine import caches
from benchmarks.training.processor import Processor

TRIALS = 7
MATRIX_SIZE = 8192
SMALLEST_ARRAY = {"cpu": 2**28, "cuda": 2**30}
"""Bytes."""


@dataclass(frozen=True)
class DeviceRates:
    """The best of several trials, with as many threads as training has.

    Attributes:
        float32: floating-point operations a second, a multiply-add being two: on the CPU of fused multiply-adds of
            registers; on a GPU of a matrix product, with TensorFloat-32 where convolutions are computed with it.
        bfloat16: of a matrix product in bfloat16, on a GPU.
        bandwidth: bytes a second, of arrays that no cache holds, read or copied or added, whichever does best.
        cache: bytes of the largest cache.
        read: bytes a second of an array that is read again and again, by its size in bytes; on the CPU.
    """

    float32: float
    bfloat16: float | None
    bandwidth: float
    cache: int
    read: tuple[tuple[int, float], ...] = ()


def measure_rates(device: torch.device) -> DeviceRates:
    """Measure what a device reaches.

    Raises:
        UnavailableError: on the CPU, there is no C++ compiler.
    """
    return _gpu_rates(device) if device.type == "cuda" else _cpu_rates(torch.get_num_threads())


def _cpu_rates(threads: int) -> DeviceRates:
    processor, sizes = Processor(), caches()
    # Half of each cache, for something else lies there too.
    read = tuple((size // 2, processor.read_rate(size // 2)) for size in sizes)
    largest = max(sizes, default=0)
    memory = max(SMALLEST_ARRAY["cpu"], 4 * largest)
    bandwidth = max(threads * processor.read_rate(memory), _moved(torch.device("cpu"), memory))
    return DeviceRates(threads * processor.multiply_add_rate(), None, bandwidth, largest, read)


def _gpu_rates(device: torch.device) -> DeviceRates:
    tensor_float = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        float32, bfloat16 = (_matrix_rate(dtype, device) for dtype in (torch.float32, torch.bfloat16))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = tensor_float
    cache = int(torch.cuda.get_device_properties(device).L2_cache_size)
    return DeviceRates(float32, bfloat16, _moved(device, max(SMALLEST_ARRAY["cuda"], 4 * cache)), cache)


def _moved(device: torch.device, size: int) -> float:
    """Return the bytes a second of copies or of a + 2 b = c of arrays of ``size`` bytes, whichever is better."""
    first, second, third = (torch.ones(size // 4, device=device) for _ in range(3))
    copied = 2 * size / best_of(lambda: first.copy_(second), device)
    added = 3 * size / best_of(lambda: torch.add(first, second, alpha=2, out=third), device)
    return max(copied, added)


def _matrix_rate(dtype: torch.dtype, device: torch.device) -> float:
    first, second, product = (torch.ones(MATRIX_SIZE, MATRIX_SIZE, dtype=dtype, device=device) for _ in range(3))
    return 2 * MATRIX_SIZE**3 / best_of(lambda: torch.mm(first, second, out=product), device)


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


def rates_line(rates: DeviceRates) -> str:
    """Return what the device reaches, in a line."""
    bfloat16 = f" ({rates.bfloat16 / 1e9:.0f} in bfloat16)" if rates.bfloat16 else ""
    parts = [f"{rates.float32 / 1e9:.1f} GFLOP/s{bfloat16}", *_reads(rates.read)]
    return f"The device reaches {', '.join(parts)}, and {rates.bandwidth / 1e9:.1f} GB/s in memory."


def _reads(read: Sequence[tuple[int, float]]) -> list[str]:
    return [f"{rate / 1e9:.0f} GB/s reading {size / 2**10:.0f} KiB" for size, rate in read]

"""What one thread of this processor reaches in loops that are compiled for it, with no library between."""

import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from prunecheck.training.sparse.build import FLAGS, find_compiler, for_this_machine

SOURCE = Path(__file__).with_name("processor.cpp")
TRIALS = 9
LEAST_SECONDS = 0.03
"""Of a trial, so that the clock's steps do not matter, and few of them are interrupted."""


class Processor:
    """The compiled loops.

    Raises:
        UnavailableError: there is no C++ compiler.
        subprocess.CalledProcessError: it cannot compile them.
    """

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as place:
            made = Path(place) / "processor.so"
            subprocess.run([*find_compiler(), *for_this_machine(), *FLAGS, str(SOURCE), "-o", str(made)], check=True)
            self._library = ctypes.CDLL(str(made))
        for function in (self._library.multiply_add, self._library.read_array):
            function.restype = ctypes.c_int64
        self._out = torch.tensor([0.5, 0.5, 0.0])

    def multiply_add_rate(self) -> float:
        """Return the floating-point operations a second of fused multiply-adds of registers, each being two."""
        multiply_add, out = self._library.multiply_add, ctypes.c_void_p(self._out.data_ptr())
        return best_rate(lambda times: int(multiply_add(ctypes.c_int64(times), out)))

    def read_rate(self, size: int) -> float:
        """Return the bytes a second at which an array of about ``size`` bytes is read again and again."""
        array = torch.zeros(max(1, size // 4096) * 1024)
        out, start = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (self._out, array))
        read, count = self._library.read_array, ctypes.c_int64(array.nbytes)
        return best_rate(lambda times: int(read(start, count, ctypes.c_int64(times), out)))


def best_rate(work: Callable[[int], int]) -> float:
    """Return the best of several rates, in units of work a second.

    Args:
        work: does something so many times, and returns how much that was.
    """
    times, seconds = 1, 0.0
    while seconds < LEAST_SECONDS:
        seconds = _seconds(work, times)[1]
        times *= 2
    rates = []
    for _ in range(TRIALS):
        done, seconds = _seconds(work, times)
        rates.append(done / seconds)
    return max(rates)


def _seconds(work: Callable[[int], int], times: int) -> tuple[int, float]:
    started = time.thread_time()
    done = work(times)
    return done, time.thread_time() - started

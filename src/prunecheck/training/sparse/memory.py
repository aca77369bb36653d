"""Memory for many numbers."""

import contextlib
import ctypes
import math
import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

HUGE_PAGE = 1 << 21


def zeros_in_huge_pages(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return zeros, in huge pages where the system has them: a processor finds them faster in memory."""
    size = math.prod(shape) * dtype.itemsize
    if size < HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(*shape, dtype=dtype)
    memory = mmap.mmap(-1, size + HUGE_PAGE)
    with contextlib.suppress(OSError):  # where the kernel is built without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    offset = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % HUGE_PAGE
    return torch.frombuffer(memory, dtype=dtype, count=math.prod(shape), offset=offset).view(*shape)


def gradient_of(parameter: Tensor) -> Tensor:
    """Return a parameter's gradient to be written in place; one of zeros is made where there is none yet."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad

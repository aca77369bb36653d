"""Where a ticket's work is queued: nowhere on the CPU, which does it at once, and on a CUDA stream on a GPU."""

import contextlib
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.training.acceleration import Acceleration, is_gpu

Work = Callable[..., None]
"""A function of tensors that leaves its results in tensors that are there before and after."""

EAGER_CALLS = 3
"""With inputs of the same shapes, before the work is captured: libraries set themselves up in the first of them."""


class Stream(Protocol):
    """A queue of the work of one ticket."""

    def queued(self) -> contextlib.AbstractContextManager[object]:
        """Queue here what is done in the block."""

    def after_caller(self) -> None:
        """Let what is queued from now on wait for the work of the caller."""

    def before_caller(self) -> None:
        """Let the caller's work from now on wait for what is queued."""

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Compute in the block with the numbers that are asked for."""

    def repeated(self, work: Work) -> Work:
        """Return a function that does the same work, and is made for many calls."""


class HostStream:
    """The CPU, where everything has been done when a call returns."""

    def queued(self) -> contextlib.AbstractContextManager[object]:
        """Change nothing."""
        return contextlib.nullcontext()

    def after_caller(self) -> None:
        """Wait for nothing."""

    def before_caller(self) -> None:
        """Wait for nothing."""

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Compute in float32."""
        return contextlib.nullcontext()

    def repeated(self, work: Work) -> Work:
        """Return the function itself."""
        return work


class CudaStream:
    """A stream of a GPU.

    Args:
        device: the GPU.
        acceleration: whether work is captured, and what it is computed with.
    """

    def __init__(self, device: torch.device | str, acceleration: Acceleration) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._acceleration = acceleration

    def queued(self) -> contextlib.AbstractContextManager[object]:
        """Make the stream the current one."""
        return torch.cuda.stream(self._stream)

    def after_caller(self) -> None:
        """Let the stream wait for the current one."""
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))

    def before_caller(self) -> None:
        """Let the current stream wait for this one."""
        torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Compute in bfloat16 if that is asked for."""
        if not self._acceleration.bfloat16:
            return contextlib.nullcontext()
        # Each weight is used once in a step, and its copy must not outlive a graph's memory.
        return torch.autocast("cuda", torch.bfloat16, cache_enabled=False)

    def repeated(self, work: Work) -> Work:
        """Capture the work if that is asked for."""
        return Repeated(work, self._captured) if self._acceleration.cuda_graphs else work

    def _captured(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        try:
            # What another thread does meanwhile, on a stream of its own, is no part of the graph.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise InputError(
                f"this network's training cannot be captured as a CUDA graph ({reason}): train it without CUDA graphs."
            ) from error
        return graph.replay


class Repeated:
    """Work that is recorded once for each shape of its inputs, and then repeated on inputs that are copied into place.

    Args:
        work: any number of times with the same shapes it does the same to the same tensors.
        record: given a function without arguments, returns one that repeats what it does; records it without doing it.
    """

    def __init__(self, work: Work, record: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        self._work = work
        self._record = record
        self._calls: dict[tuple[torch.Size, ...], int] = {}
        self._recorded: dict[tuple[torch.Size, ...], tuple[tuple[Tensor, ...], Callable[[], None]]] = {}

    def __call__(self, *inputs: Tensor) -> None:
        """Do the work, on the current stream."""
        shapes = tuple(tensor.shape for tensor in inputs)
        self._calls[shapes] = self._calls.get(shapes, 0) + 1
        if self._calls[shapes] <= EAGER_CALLS:
            self._work(*inputs)
            return
        if shapes not in self._recorded:
            places = tuple(tensor.clone() for tensor in inputs)
            self._recorded[shapes] = places, self._record(lambda: self._work(*places))
        places, repeat = self._recorded[shapes]
        for place, tensor in zip(places, inputs, strict=True):
            place.copy_(tensor)
        repeat()


def new_stream(device: torch.device | str, acceleration: Acceleration) -> Stream:
    """Return a queue for the work of a ticket on a device."""
    return CudaStream(device, acceleration) if is_gpu(device) else HostStream()

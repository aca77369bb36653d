"""What training on a GPU needs: streams, captured steps, and how many tickets its memory holds."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.training.acceleration import Acceleration
from prunecheck.training.stream import Work

EAGER_CALLS = 3
"""With inputs of the same shapes, before the work is captured: libraries set themselves up in the first of them."""

SHARE_OF_FREE_MEMORY = 0.9
"""That tickets are given: the rest is for what libraries keep for each stream, and for other processes."""


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
        """Make the stream the current one, and let it wait for what was queued on the current one."""
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        return torch.cuda.stream(self._stream)

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Compute in bfloat16 if that is asked for."""
        if not self._acceleration.bfloat16:
            return contextlib.nullcontext()
        # Each weight is used once in a step, and its copy must not outlive a graph's memory.
        return torch.autocast("cuda", torch.bfloat16, cache_enabled=False)

    def repeated(self, work: Work) -> Work:
        """Capture the work if that is asked for."""
        return CapturedWork(work, self._captured) if self._acceleration.cuda_graphs else work

    def numbers(self, values: Sequence[float]) -> Sequence[float | Tensor]:
        """Return the numbers in one tensor of the GPU: a recorded step reads them from there, each time others."""
        return torch.tensor(values, dtype=torch.float32, device=self._stream.device).unbind()

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


class CapturedWork:
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


class Memory(Protocol):
    """Of a device, in bytes."""

    def most_taken(self) -> int:
        """Return how much was taken at most since this object is there."""

    def free(self) -> int:
        """Return how much is left."""


class GpuMemory:
    """The memory of a GPU; to be made before what is measured."""

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)
        self._before = torch.cuda.memory_reserved(self._device)

    def most_taken(self) -> int:
        """Return the most that torch has held for tensors and graphs, beyond what it held before."""
        torch.cuda.synchronize(self._device)
        return torch.cuda.max_memory_reserved(self._device) - self._before

    def free(self) -> int:
        """Return what no process holds, and this one does not need."""
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(self._device)[0]


def held_by_memory(
    wanted: int, try_out: Callable[[], None], device: torch.device | str, memory: Memory | None = None
) -> int:
    """Return how many of the tickets fit into memory at once, and say so if it is not all of them.

    Args:
        wanted: how many are to be trained at the same time.
        try_out: trains one for some steps, and leaves nothing.
        device: whose memory is meant.
        memory: of the device; None for that of a GPU.
    """
    memory = memory or GpuMemory(device)
    try_out()
    taken = memory.most_taken()
    held = max(1, int(SHARE_OF_FREE_MEMORY * memory.free() / max(1, taken)))
    if held >= wanted:
        return wanted
    logging.getLogger(__name__).warning(
        "the memory of %s holds %d of %d tickets at once: the others wait for their turn.", device, held, wanted
    )
    return held

"""Where a ticket's work is done: on the CPU at once, on a GPU on a stream of its own (:mod:`.gpu`)."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

Work = Callable[..., None]
"""A function of tensors that leaves its results in tensors that are there before and after."""


class Stream(Protocol):
    """A queue of the work of one ticket."""

    def queued(self) -> contextlib.AbstractContextManager[object]:
        """Queue here what is done in the block, after what the caller has queued elsewhere."""

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Compute in the block with the numbers that are asked for."""

    def repeated(self, work: Work) -> Work:
        """Return a function that does the same work, and is made for many calls."""

    def numbers(self, values: Sequence[float]) -> Sequence[float | Tensor]:
        """Return numbers as repeated work takes them: each may be another in each call."""


class HostStream:
    """The CPU, where everything has been done when a call returns."""

    def queued(self) -> contextlib.AbstractContextManager[object]:
        """Change nothing."""
        return contextlib.nullcontext()

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Compute in float32."""
        return contextlib.nullcontext()

    def repeated(self, work: Work) -> Work:
        """Return the function itself."""
        return work

    def numbers(self, values: Sequence[float]) -> Sequence[float | Tensor]:
        """Return the numbers themselves."""
        return values

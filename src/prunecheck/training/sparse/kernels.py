"""What the compiled kernels are called with: the structures of kernels.cpp."""

import ctypes
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from prunecheck.training.sparse.build import load_kernels

NUMBERS = {torch.float32: "float", torch.float64: "double"}

_Pointer = ctypes.c_void_p
_Int = ctypes.c_int32


class Geometry(ctypes.Structure):
    """A convolution or pooling of blocks of samples."""

    _fields_ = [
        (name, _Int)
        for name in (
            *("blocks", "last_lanes"),
            *("inputs", "input_height", "input_width"),
            *("outputs", "output_height", "output_width"),
            *("kernel", "stride", "padding"),
        )
    ]


class Shape(ctypes.Structure):
    """Blocks of samples."""

    _fields_ = [(name, _Int) for name in ("blocks", "last_lanes", "positions", "channels")]


class Activation(ctypes.Structure):
    """``relu(scale * z + shift)``; without a scale, z itself, of which relu says that it is a ReLU's output."""

    _fields_ = [("z", _Pointer), ("scale", _Pointer), ("shift", _Pointer), ("relu", _Int)]


class OutputGradient(ctypes.Structure):
    """The gradient of z: ``by_gradient * gradient + by_output * z + constant``, or ``gradient``."""

    _fields_ = [(name, _Pointer) for name in ("gradient", "z", "by_gradient", "by_output", "constant")]


class Weights(ctypes.Structure):
    """Kept weights, row by row."""

    _fields_ = [(name, _Pointer) for name in ("start", "offset", "value")]


class Statistic(ctypes.Structure):
    """Sums of a gradient and of its product with ``z - mean``."""

    _fields_ = [(name, _Pointer) for name in ("z", "mean", "sums")]


class InputGradient(ctypes.Structure):
    """The gradient of an activation, and what a contribution to it is to do."""

    _fields_ = [
        ("gradient", _Pointer),
        ("accumulate", _Int),
        ("finish", _Int),
        ("activation", Activation),
        ("statistics", _Int),
        ("statistic", Statistic * 2),
    ]


class Normalisation(ctypes.Structure):
    """A batch norm."""

    _fields_ = [
        ("channels", _Int),
        ("count", ctypes.c_double),
        ("epsilon", ctypes.c_double),
        ("momentum", ctypes.c_double),
        *(
            (name, _Pointer)
            for name in (
                *("gamma", "beta", "running_mean", "running_variance"),
                *("mean", "inverse_deviation", "scale", "shift"),
                *("by_gradient", "by_output", "constant", "gamma_gradient", "beta_gradient"),
            )
        ),
    ]


def lanes(dtype: torch.dtype) -> int:
    """Return how many samples a block has: as many numbers as a vector register of this machine holds.

    Raises:
        UnavailableError: there are no kernels.
    """
    return int(load_kernels(NUMBERS[dtype]).samples_in_block())


Made = TypeVar("Made", bound=ctypes.Structure)


def kept_alive(structure: Made, *owners: object) -> Made:
    """Return a structure that keeps those to whom the memory belongs that it points to."""
    structure.owners = owners
    return structure


def pointer(tensor: Tensor | None) -> int | None:
    """Return where a tensor's numbers are; it must be contiguous and outlive what is given the address."""
    return None if tensor is None else tensor.data_ptr()


class Instruction(ctypes.Structure):
    """A call of a kernel."""

    _fields_ = [("kernel", _Pointer), ("arguments", ctypes.c_int64 * 8)]


class Call:
    """A call of a kernel with arguments that are the same each time.

    Args:
        dtype: of the numbers that it computes with.
        name: of the kernel.
        arguments: structures, contiguous tensors, integers, or None for a null pointer; at most eight.

    Raises:
        UnavailableError: there are no kernels.
    """

    def __init__(self, dtype: torch.dtype, name: str, *arguments: Any) -> None:
        self.library = load_kernels(NUMBERS[dtype])
        self._function = getattr(self.library, name)
        self._passed = [_passed(argument) for argument in arguments]
        self._arguments = arguments  # kept alive

    def __call__(self) -> int:
        """Call it."""
        return self._function(*self._passed)  # type: ignore[no-any-return]

    def instruction(self) -> Instruction:
        """Return what :class:`Program` is made of."""
        numbers = [_number(argument) for argument in self._arguments]
        return Instruction(ctypes.cast(self._function, _Pointer), (ctypes.c_int64 * 8)(*numbers))


Work = Callable[[], object]
"""A call of a kernel, or whatever else is done between two of them."""


class Program:
    """Work of which calls of kernels that follow each other are one call from Python.

    Args:
        work: done in this order.
    """

    def __init__(self, work: Iterable[Work]) -> None:
        self._parts: list[Work] = []
        for kind, group in itertools.groupby(work, type):
            part: list[Any] = list(group)
            self._parts += [_in_one(part)] if kind is Call else part

    def __call__(self) -> None:
        """Do all of it."""
        for part in self._parts:
            part()


def _in_one(calls: Sequence[Call]) -> Work:
    instructions = (Instruction * len(calls))(*(call.instruction() for call in calls))
    call_all, count = calls[0].library.call_all, len(calls)

    def call(alive: Sequence[Call] = calls) -> None:
        call_all(instructions, count)

    return call


def _passed(argument: Any) -> Any:
    if isinstance(argument, ctypes.Structure):
        return ctypes.byref(argument)
    if isinstance(argument, Tensor):
        return _Pointer(argument.data_ptr())
    return argument


def _number(argument: Any) -> int:
    """Return an argument as a register holds it."""
    if isinstance(argument, ctypes.Structure):
        return ctypes.addressof(argument)
    return argument.data_ptr() if isinstance(argument, Tensor) else argument or 0

"""What the compiled kernels are called with: the structures of kernels.cpp."""

import ctypes
from typing import Any

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


def pointer(tensor: Tensor | None) -> int | None:
    """Return where a tensor's numbers are; it must be contiguous and outlive what is given the address."""
    return None if tensor is None else tensor.data_ptr()


class Call:
    """A call of a kernel with arguments that are the same each time.

    Args:
        dtype: of the numbers that it computes with.
        name: of the kernel.
        arguments: structures, contiguous tensors, integers, or None for a null pointer.

    Raises:
        UnavailableError: there are no kernels.
    """

    def __init__(self, dtype: torch.dtype, name: str, *arguments: Any) -> None:
        self._function = getattr(load_kernels(NUMBERS[dtype]), name)
        self._passed = [_passed(argument) for argument in arguments]
        self._arguments = arguments  # kept alive

    def __call__(self) -> int:
        """Call it."""
        return self._function(*self._passed)  # type: ignore[no-any-return]


def _passed(argument: Any) -> Any:
    if isinstance(argument, ctypes.Structure):
        return ctypes.byref(argument)
    if isinstance(argument, Tensor):
        return _Pointer(argument.data_ptr())
    return argument

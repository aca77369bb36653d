"""Values that checkpoints hold beside tensors, read without numpy's or anybody else's unpickling.

``torch.load(weights_only=True)`` refuses every class that is not on its list, numpy's scalars among them, which many
tools store as an accuracy. What stands in for such a class here only keeps data: no constructor and no ``__setstate__``
of the class itself runs, so that a hostile file cannot reach them.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy
import torch
from torch import Tensor

NUMBER_KINDS = frozenset("biuf")
"""First letters of numpy's types that are numbers: boolean, integers, floating point."""

NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")


class Inert:
    """Stands for an object whose content nothing here reads, such as the arguments of a training script."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


class PickledType:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.byte_order = state[1]

    def numbers(self, data: object) -> numpy.ndarray[Any, Any]:
        """Return the numbers that bytes hold.

        Raises:
            ValueError: the type is not one of numbers, or the bytes do not make whole numbers.
        """
        if not isinstance(self.code, str) or self.code[:1] not in NUMBER_KINDS or not isinstance(data, bytes):
            raise ValueError("not an array of numbers")
        try:
            dtype = numpy.dtype(self.byte_order + self.code)
        except TypeError as error:
            raise ValueError("not a type of numbers") from error
        return numpy.frombuffer(data, dtype)


class PickledArray:
    """Stands for ``numpy.ndarray``."""

    def __init__(self, *_: object) -> None:
        self._state: object = None

    def __setstate__(self, state: object) -> None:
        self._state = state

    def to_tensor(self) -> Tensor:
        """Return the array as a tensor of its shape and type.

        Raises:
            ValueError: it does not hold numbers, or does not hold as many as its shape says.
        """
        match self._state:
            case (_, tuple(shape), PickledType() as dtype, columns_first, data) if all(
                isinstance(length, int) and length >= 0 for length in shape
            ):
                numbers = dtype.numbers(data)
                if len(numbers) != math.prod(shape):
                    raise ValueError("another number of entries than its shape says")
                array = numbers.reshape(shape, order="F" if columns_first else "C")
                native = numpy.array(array, dtype=array.dtype.newbyteorder("="), order="C")
                try:
                    return torch.from_numpy(native)
                except TypeError as error:
                    raise ValueError("numbers of a type that torch does not have") from error
        raise ValueError("not an array of numbers")


def _scalar(dtype: object = None, data: object = None) -> object:
    """Return a number, as Python's; it stands for numpy's ``scalar``."""
    if isinstance(dtype, PickledType):
        try:
            (number,) = dtype.numbers(data).tolist()
        except ValueError:
            return Inert()
        return number
    return Inert()


def _bytes(text: object = "", *_: object) -> bytes:
    """Return what old pickles write as ``_codecs.encode(text, "latin1")``."""
    return text.encode("latin1", "replace") if isinstance(text, str) else b""


def _dict(*_: object) -> dict[object, object]:
    """Return what the items of a ``defaultdict`` are then put into."""
    return {}


INERT = (
    "argparse.Namespace",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "pathlib.PureWindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "numpy.ndarray",
    *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "str", "tuple")),
)
"""Classes whose objects are common in checkpoints, and never read."""

StandIn = tuple[Callable[..., Any], str]

STAND_INS: tuple[StandIn, ...] = (
    (PickledType, "numpy.dtype"),
    *((_scalar, f"{module}.scalar") for module in NUMPY_MODULES),
    *((PickledArray, f"{module}._reconstruct") for module in NUMPY_MODULES),
    (_bytes, "_codecs.encode"),
    (_bytes, "builtins.bytes"),
    (_dict, "collections.defaultdict"),
    *((Inert, name) for name in INERT),
)
"""For ``torch.serialization.safe_globals``: what is put in the place of which name."""

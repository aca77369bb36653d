"""How arguments are read that are lists in one word, or whose default depends on others."""

import math
import os
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

from prunecheck.cli.output import say
from prunecheck.constraints import WholeNumber
from prunecheck.errors import InputError, field_name

WORKERS = WholeNumber()
"""How many processes may be asked for."""


def read_whole_number(kind: type, tokens: Sequence[Token]) -> int:
    """Read an integer; raise :class:`InputError` for anything else, 1.5 and 1e3 among it.

    The parser's own reading rounds 1.5 to 2 without a word.
    """
    token = tokens[0]
    try:
        return int(token.value)
    except ValueError:
        raise InputError(f"{token.keyword} takes a whole number, not {token.value!r}.") from None


Whole = Annotated[int, Parameter(converter=read_whole_number)]
"""The type of an option that takes an integer."""


def read_number_or_word(kind: type, tokens: Sequence[Token]) -> int | str:
    """Read an integer, or a word such as ``auto``, for those who know which words there are."""
    token = tokens[0]
    return token.value if token.value.isalpha() else read_whole_number(kind, tokens)


WholeOrWord = Annotated[int | str, Parameter(converter=read_number_or_word)]
"""The type of an option that takes an integer or a word."""


def read_amount(kind: type, tokens: Sequence[Token]) -> float | str:
    """Read a number, or what may be one with a unit such as ``1%``, for those who know which units there are."""
    text = tokens[0].value
    try:
        return float(text)
    except ValueError:
        return text


Amount = Annotated[float | str, Parameter(converter=read_amount)]
"""The type of an option that takes a number or a percentage."""


def read_list(field: str, text: str) -> tuple[str, ...]:
    """Split ``a,b``; raise :class:`InputError` if a part, or everything, is empty."""
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise InputError(
            f"{field_name(field)} takes one or more values with commas between them, not {text!r}.", field=field
        )
    return parts


def read_optional_list(field: str, text: str | None) -> tuple[str, ...] | None:
    """Split ``a,b``, or return None where nothing is given; see :func:`read_list`."""
    return None if text is None else read_list(field, text)


def read_numbers(field: str, text: str) -> tuple[float, ...]:
    """Split ``0.9,0.98``; raise :class:`InputError` if a part is not a number."""
    numbers = []
    for part in read_list(field, text):
        try:
            number = float(part)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(
                f"{field_name(field)} takes numbers with commas between them, and {part!r} is not a number.",
                field=field,
            )
        numbers.append(number)
    return tuple(numbers)


def read_sparsities(text: str) -> str | tuple[float, ...]:
    """Return the numbers of ``0.9,0.98``, or the word ``sweep`` as it is."""
    return text if text == "sweep" else read_numbers("sparsity", text)


def require_device(device: str) -> str:
    """Return ``device``; raise :class:`InputError` unless it is ``cpu`` or a CUDA device that is there."""
    if device == "cpu":
        return device
    if not (device == "cuda" or device.startswith("cuda:")):
        raise _unknown_device(device)
    import torch

    if not torch.cuda.is_available():
        raise InputError(
            f"{field_name('device')} {device} needs a GPU and a CUDA build of torch, and there is none: choose cpu.",
            field="device",
        )
    try:
        index = torch.device(device).index or 0
    except RuntimeError as error:
        raise _unknown_device(device) from error
    if index >= torch.cuda.device_count():
        raise InputError(
            f"there is no {device}: this machine has {torch.cuda.device_count()} CUDA devices.", field="device"
        )
    return device


def _unknown_device(device: str) -> InputError:
    return InputError(f"{field_name('device')} takes cpu, cuda or cuda:N, not {device!r}.", field="device")


def read_workers(workers: int | None, device: str) -> int:
    """Return how many processes train at the same time: so many as cores, or one on a GPU, unless it is said.

    Where the limit of open files does not suffice for a process per core, there are fewer, and that is said.

    Raises:
        InputError: fewer than one.
    """
    if workers is not None:
        return WORKERS.require("workers", workers)
    if device != "cpu":
        return 1
    from prunecheck.process_limits import workers_with_open_files

    cores, fit = available_cores(), workers_with_open_files()
    if fit < cores:
        say(
            f"{fit} workers and not one for each of the {cores} cores, because more need more open files than are "
            "allowed (ulimit -n)."
        )
    return min(cores, fit)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""What a user's code changes for the whole process is put back when it returns."""

import contextlib
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import torch


@contextlib.contextmanager
def global_state_kept() -> Iterator[None]:
    """Put back what the block changes of the process's own settings.

    These are the streams for output, the working directory, the environment, the filters of warnings,
    Python's, numpy's and torch's random generators, and torch's default dtype and device, gradient mode,
    threads and switches of precision and determinism. So neither what is computed next nor where it is
    written depends on it.
    """
    kept = [(change, read()) for read, change in SETTINGS]
    try:
        yield
    finally:
        for change, value in kept:
            change(value)


def _streams() -> tuple[tuple[Any, int, int | None], ...]:
    """Return what prints, the number that it prints to, and a copy of that to go on with; None if it is closed."""
    return tuple((getattr(sys, name), number, _copy(number)) for name, number in STREAMS.items())


def _copy(number: int) -> int | None:
    with contextlib.suppress(OSError):
        return os.dup(number)
    return None


def _set_streams(streams: tuple[tuple[Any, int, int | None], ...]) -> None:
    """Open again what has been closed, so that an answer, or a sentence, can be printed."""
    for (stream, number, copy), name in zip(streams, STREAMS, strict=True):
        if copy is not None:
            try:
                os.fstat(number)
            except OSError:
                os.dup2(copy, number)
            os.close(copy)
        if getattr(stream, "closed", False):
            stream = open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115, PLW2901
        setattr(sys, name, stream)


def _set_folder(folder: str | None) -> None:
    if folder is not None and _folder() != folder:
        os.chdir(folder)


def _folder() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return None  # removed under our feet


def _set_environment(environment: dict[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _set_filters(filters: list[Any]) -> None:
    if warnings.filters != filters:
        warnings.filters[:] = filters  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]


def _default_device() -> torch.device:
    return torch.empty(0).device


def _set_default_device(device: torch.device) -> None:
    if _default_device() != device:
        torch.set_default_device(None if device.type == "cpu" else device)


def _set_default_dtype(dtype: torch.dtype) -> None:
    if torch.get_default_dtype() != dtype:
        torch.set_default_dtype(dtype)


def _set_threads(threads: int) -> None:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_determinism(value: tuple[bool, bool]) -> None:
    if _determinism() != value:
        torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _cudnn() -> tuple[bool, bool, bool, bool]:
    backend: Any = torch.backends.cudnn
    return backend.enabled, backend.benchmark, backend.deterministic, backend.allow_tf32


def _set_cudnn(value: tuple[bool, bool, bool, bool]) -> None:
    if _cudnn() != value:
        backend: Any = torch.backends.cudnn
        backend.enabled, backend.benchmark, backend.deterministic, backend.allow_tf32 = value


def _set_precision(precision: str) -> None:
    if torch.get_float32_matmul_precision() != precision:
        torch.set_float32_matmul_precision(precision)


def _set_hooks(value: tuple[Any, int]) -> None:
    sys.excepthook = value[0]
    sys.setrecursionlimit(value[1])


STREAMS = {"stdout": 1, "stderr": 2}

SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (_streams, _set_streams),
    (_folder, _set_folder),
    (lambda: dict(os.environ), _set_environment),
    (lambda: list(warnings.filters), _set_filters),
    (lambda: (sys.excepthook, sys.getrecursionlimit()), _set_hooks),
    (random.getstate, random.setstate),
    (numpy.random.get_state, numpy.random.set_state),
    (_default_device, _set_default_device),
    (torch.get_rng_state, torch.set_rng_state),
    (torch.get_default_dtype, _set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    (torch.get_num_threads, _set_threads),
    (_determinism, _set_determinism),
    (_cudnn, _set_cudnn),
    (torch.get_float32_matmul_precision, _set_precision),
)
"""How each setting is read and written; the device is put back before what is written there."""

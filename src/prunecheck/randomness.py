"""One integer seed per run; every use draws from a generator of its own.

So a run and its check share every draw but that of the one thing that was changed, and torch's
global generator is left as it was.
"""

import contextlib
import hashlib
import random
from collections.abc import Iterator

import numpy
import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Derive the seed of one use from a run's seed.

    Args:
        seed: the run's seed.
        purpose: what the numbers are for, such as ``"data order", epoch``.

    Returns:
        An integer in [0, 2**63), stable across platforms and versions.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for one use of a run's seed; see :func:`derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def derived_generator(source: torch.Generator, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for one use of the seed of another generator.

    It depends on the seed alone, not on what was drawn from ``source``, and draws nothing from it.
    """
    return generator(source.initial_seed(), *purpose)


@contextlib.contextmanager
def seeded_global_generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's, numpy's and Python's global generators for what draws from them unasked, and put them back.

    Modules draw their initial weights from torch's, dropout its masks, and a user's criterion perhaps
    its scores, from any of them.

    Args:
        seed: the run's seed.
        purpose: see :func:`derive_seed`.
        device: a CUDA device whose generator is treated like torch's.
    """
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    derived = derive_seed(seed, *purpose)
    with torch.random.fork_rng(devices=cuda), _seeded_for_arrays(derived):
        # Not torch.manual_seed, which would seed the generators of all devices, for good.
        torch.default_generator.manual_seed(derived)
        for used in cuda:
            with torch.cuda.device(used):
                torch.cuda.manual_seed(derived)
        yield


def global_states() -> tuple[object, ...]:
    """Return the states of torch's (on the CPU), numpy's and Python's global generators, which can be compared."""
    name, numbers, *places = numpy.random.get_state()
    of_numpy = (name, numpy.asarray(numbers).tobytes(), *places)
    return (torch.get_rng_state().numpy().tobytes(), of_numpy, random.getstate())


@contextlib.contextmanager
def _seeded_for_arrays(derived: int) -> Iterator[None]:
    states = random.getstate(), numpy.random.get_state()
    random.seed(derived)
    numpy.random.seed(derived % 2**32)
    try:
        yield
    finally:
        random.setstate(states[0])
        numpy.random.set_state(states[1])

"""One integer seed per run; every use draws from a generator of its own.

So a run and its check share every draw but that of the one thing that was changed, and torch's
global generator is left as it was.
"""

import contextlib
import hashlib
from collections.abc import Iterator

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
    """Seed torch's global generator for what draws from it unasked, and put it back as it was.

    Modules draw their initial weights from it, dropout its masks, and a user's criterion perhaps
    its scores.

    Args:
        seed: the run's seed.
        purpose: see :func:`derive_seed`.
        device: a CUDA device whose generator is treated likewise.
    """
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    derived = derive_seed(seed, *purpose)
    with torch.random.fork_rng(devices=cuda):
        # Not torch.manual_seed, which would seed the generators of all devices, for good.
        torch.default_generator.manual_seed(derived)
        for used in cuda:
            with torch.cuda.device(used):
                torch.cuda.manual_seed(derived)
        yield

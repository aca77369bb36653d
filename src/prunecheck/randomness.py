"""One integer seed per run; every use draws from a generator of its own.

Nothing here touches torch's global generator, so a run and its check share every draw but that of
the one thing that was changed.
"""

import hashlib

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

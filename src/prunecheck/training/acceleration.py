"""What makes training faster, each part switchable by itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Acceleration:
    """How a training may be made faster; nothing in here is part of what is trained.

    For a part that is ``None``, it is used wherever it can be had and pays; ``True`` asks for it, and is refused
    where it cannot be had; ``False`` switches it off. The results of two settings differ by the rounding of
    float32 at most, but for ``bfloat16``.

    Attributes:
        sparse_convolutions: on the CPU, compute with the kept weights only; needs a C++ compiler.
        channels_last: keep the channels of images innermost in memory; None: as the model prefers.
        bfloat16: on a GPU, compute forward and backward in bfloat16; weights and momentum stay float32.
        cuda_graphs: on a GPU, capture a training step once and replay it.
        tickets_at_once: how many tickets share a GPU; None: as many as its memory holds.
    """

    sparse_convolutions: bool | None = None
    channels_last: bool | None = None
    bfloat16: bool = False
    cuda_graphs: bool | None = None
    tickets_at_once: int | None = None


WHERE_IT_PAYS = Acceleration()

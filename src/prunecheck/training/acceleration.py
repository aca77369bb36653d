"""What makes training faster, each part switchable by itself."""

import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from prunecheck.errors import InputError, field_name
from prunecheck.training.channels_last import FEWEST_INNERMOST, unsafe_layer
from prunecheck.training.sparse.choice import require_kernels

MOST_AT_ONCE = 32
"""On a GPU, unless more are asked for: torch has no more streams, and more tickets would share them."""

CHECKPOINT_SECONDS = 10.0
"""Of training that a killed run loses at most, beside the epoch that was going on."""


@dataclass(frozen=True)
class Acceleration:
    """How a training may be made faster; nothing in here is part of what is trained.

    For a part that is ``None``, it is used wherever it can be had and pays; ``True`` asks for it, and is refused
    where it cannot be had; ``False`` switches it off. The results of two settings differ by the rounding of
    float32 at most, but for ``bfloat16``.

    Attributes:
        sparse_convolutions: on the CPU, compute with the kept weights only; needs a C++ compiler.
        channels_last: where all weights are computed with, keep the channels of images innermost in memory; None: as
            the model prefers.
        bfloat16: on a GPU, compute forward and backward in bfloat16; weights and momentum stay float32.
        cuda_graphs: on a GPU, capture a training step once and replay it.
        tickets_at_once: how many tickets share a device; None: one on the CPU, and as many as its memory holds on
            a GPU, up to :data:`MOST_AT_ONCE`.
        thin_curves: test the network after some epochs only, the last one among them; None: where the passes over the
            test part would otherwise take long beside the training, see :mod:`.curves`. What is trained stays the same.
        checkpoint_seconds: a run leaves a checkpoint after the first epoch that ends so long after the one before;
            with 0 after every epoch. It also leaves one at its end, and when it is stopped.
    """

    sparse_convolutions: bool | None = None
    channels_last: bool | None = None
    bfloat16: bool = False
    cuda_graphs: bool | None = None
    tickets_at_once: int | None = None
    thin_curves: bool | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    def settled(self, model: nn.Module, device: torch.device | str) -> "Acceleration":
        """Return what is meant on a device by the parts that are None, but for those that depend on the ticket.

        Raises:
            InputError: a part cannot be had there, see :func:`require_available`, or not for this network.
        """
        require_available(self, device)
        channels_last, cuda_graphs = self.channels_last, self.cuda_graphs
        unsafe = None if is_gpu(device) else unsafe_layer(model)
        if channels_last is None:
            channels_last = bool(getattr(model, "prefers_channels_last", False)) and unsafe is None
        elif channels_last and unsafe is not None:
            raise InputError(
                f"layer {unsafe} cannot be trained with channels last on the CPU (strided 1x1 convolutions of fewer "
                f"than {FEWEST_INNERMOST} channels spoil memory there): leave channels last out."
            )
        if cuda_graphs is None:
            cuda_graphs = is_gpu(device)
        return replace(self, channels_last=channels_last, cuda_graphs=cuda_graphs)

    def used(self, sparse_convolutions: bool) -> tuple[str, ...]:
        """Return the names of the parts that a training is done with.

        Args:
            sparse_convolutions: whether its network has any, which keep the samples of a batch innermost in memory.
        """
        if sparse_convolutions:
            return ("sparse_convolutions",)
        parts = {
            "channels_last": self.channels_last,
            "bfloat16": self.bfloat16,
            "cuda_graphs": self.cuda_graphs,
        }
        return tuple(name for name, is_used in parts.items() if is_used)


WHERE_IT_PAYS = Acceleration()

EVERY_EPOCH = Acceleration(thin_curves=False, checkpoint_seconds=0)
"""The network is tested after every epoch, and each is written down, as the published scripts do."""


def is_gpu(device: torch.device | str) -> bool:
    """Return whether a device is a CUDA device."""
    return torch.device(device).type == "cuda"


def most_at_once(acceleration: Acceleration, device: torch.device | str) -> int:
    """Return how many tickets may be trained at the same time on a device."""
    return acceleration.tickets_at_once or (MOST_AT_ONCE if is_gpu(device) else 1)


def require_suitable(acceleration: Acceleration, device: torch.device | str) -> None:
    """See that what is asked for exists for such a device, without a look at the machine.

    Raises:
        InputError: a part is for another kind of device, or fewer than one ticket at once.
    """
    gpu = is_gpu(device)
    if acceleration.tickets_at_once is not None and acceleration.tickets_at_once < 1:
        raise InputError(f"at least 1 ticket is trained at once, not {acceleration.tickets_at_once}.")
    seconds = acceleration.checkpoint_seconds
    if not (math.isfinite(seconds) and seconds >= 0):
        raise InputError(
            f"{field_name('checkpoint_seconds')} takes a number of seconds, at least 0, not {seconds}.",
            field="checkpoint_seconds",
        )
    for name, asked in (("bfloat16", acceleration.bfloat16), ("CUDA graphs", acceleration.cuda_graphs)):
        if asked and not gpu:
            raise InputError(f"training with {name} needs a GPU, and the device is {device}: leave it out.")
    if acceleration.sparse_convolutions and gpu:
        raise InputError(f"sparse convolutions are for the CPU, and the device is {device}: leave them out.")


def require_available(acceleration: Acceleration, device: torch.device | str) -> None:
    """See that this machine can train on a device with what is asked for.

    Raises:
        InputError: see :func:`require_suitable`; there is no such GPU, torch is built without CUDA, or the GPU is
            without bfloat16.
    """
    require_suitable(acceleration, device)
    if not is_gpu(device):
        require_kernels(acceleration.sparse_convolutions)
        return
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        raise InputError(
            f"the device {device} needs a CUDA build of torch, and torch {torch.__version__} is none: install one, or "
            "train on the device cpu."
        )
    if not torch.cuda.is_available():
        raise InputError(f"the device {device} needs a GPU, and none is found: train on the device cpu.")
    count = torch.cuda.device_count()
    if (torch.device(device).index or 0) >= count:
        raise InputError(f"there is no {device}: this machine has {count} CUDA devices.")
    if acceleration.bfloat16 and not _has_bfloat16(device):
        name = torch.cuda.get_device_name(device)
        raise InputError(f"{name} ({device}) does not compute in bfloat16: leave it out, or choose another GPU.")


def _has_bfloat16(device: torch.device | str) -> bool:
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))

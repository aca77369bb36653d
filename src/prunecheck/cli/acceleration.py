"""The switches of what makes training faster, which all commands that train have in common."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from prunecheck.training import Acceleration

Switch = Annotated[bool | None, Parameter(show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class AccelerationFlags:
    """What may make training faster, and is no part of what a run is.

    Parameters
    ----------
    sparse_convolutions
        On the CPU, compute with the kept weights only. [default: in the layers where it pays]
    channels_last
        Keep the channels of images innermost in memory. [default: as the network prefers]
    bfloat16
        On a GPU, compute forward and backward in bfloat16; weights stay float32.
    cuda_graphs
        On a GPU, capture a training step once and replay it. [default: on every GPU]
    tickets_at_once
        How many runs of one setting a device trains together. [default: as many as a GPU's memory holds; 1 on the CPU]
    thin_curves
        Test after the last epoch alone. [default: after every epoch, or some, where the test part is large]
    checkpoint_seconds
        Leave a checkpoint after the first epoch that ends so long after the last one; 0: after every epoch.
    """

    sparse_convolutions: Switch = None
    channels_last: Switch = None
    bfloat16: Annotated[bool, Parameter(negative="", show_default=False)] = False
    cuda_graphs: Switch = None
    tickets_at_once: Annotated[int | None, Parameter(show_default=False)] = None
    thin_curves: Switch = None
    checkpoint_seconds: float = 10.0


WHERE_IT_PAYS = AccelerationFlags()


def read_acceleration(flags: AccelerationFlags, device: str, *, elsewhere: bool = False) -> "Acceleration":
    """Return what the flags mean.

    Args:
        flags: as given.
        device: where the runs are trained.
        elsewhere: on other machines, which know themselves what they can do.

    Raises:
        InputError: the device cannot do what is asked for.
    """
    from prunecheck.training import Acceleration
    from prunecheck.training.acceleration import require_available, require_suitable

    acceleration = Acceleration(**asdict(flags))
    (require_suitable if elsewhere else require_available)(acceleration, device)
    return acceleration

"""``prunecheck published``: the commands of the code published with the paper."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prunecheck.api.places import data_places
from prunecheck.cli.arguments import require_device
from prunecheck.printable import for_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prunecheck.paper.scripts.flags import AnyFlags
    from prunecheck.paper.scripts.setting import Machine

PUBLISHED_ROOT = Path("data")
"""Where the published scripts keep data sets; searched last before the cache."""

FLAGS = {
    "dataset": "--dataset",
    "data_root": "--data_root",
    "train_images": "--train_images",
    "test_images": "--test_images",
    "epochs": "--epochs",
    "batch_size": "--train-batch",
    "learning_rate": "--lr",
    "momentum": "--momentum",
    "weight_decay": "--weight-decay",
    "milestones": "--schedule",
    "gamma": "--gamma",
    "seed": "--manualSeed",
    "device": "--device",
    "out": "--save_dir",
}
"""How the published scripts spell the fields of ours that they take."""

published = App(
    name="published",
    help="""Run a script of the code published with arXiv:2009.11094, with its flags and its files.

    The same as baseline.py, LT_prune.py and train_ticket.py at the root of the repository.""",
    help_format="markdown",
    help_flags=["--help", "-h"],
    version_flags=[],
)

# What follows goes to the script's own parser, --help included.
Arguments = Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]


@published.command(name="baseline", help_flags=[], version_flags=[])
def baseline(*arguments: Arguments) -> None:
    """Train a whole network (baseline.py)."""
    from prunecheck.paper import scripts

    _call(scripts.baseline, scripts.BaselineFlags, arguments)


@published.command(name="lt-prune", help_flags=[], version_flags=[])
def lt_prune(*arguments: Arguments) -> None:
    """Prune a trained network to a lottery ticket's mask (LT_prune.py)."""
    from prunecheck.paper import scripts

    _call(scripts.lt_prune, scripts.PruneFlags, arguments, {"sparsity": "--prune_ratio"})


@published.command(name="train-ticket", help_flags=[], version_flags=[])
def train_ticket(*arguments: Arguments) -> None:
    """Train a ticket (train_ticket.py)."""
    from prunecheck.paper import scripts

    _call(scripts.train_ticket, scripts.TicketFlags, arguments, {"sparsity": "--init_prune_ratio"})


def _call(
    script: "Callable[[AnyFlags, Machine], object]",
    kind: "type[AnyFlags]",
    arguments: tuple[str, ...],
    spelled: "Mapping[str, str]" = MappingProxyType({}),
) -> None:
    """Read a script's flags and call it.

    Args:
        script: the script.
        kind: its flags.
        arguments: as they were given.
        spelled: how this script spells fields of ours, beside :data:`FLAGS`.
    """
    from prunecheck.errors import errors_spelled
    from prunecheck.paper.scripts import parse_flags
    from prunecheck.paper.scripts.setting import Machine

    flags = parse_flags(kind, arguments)
    with errors_spelled({**FLAGS, **spelled}.get):
        places = data_places(flags.data_root)
        if PUBLISHED_ROOT.is_dir():
            places = replace(places, roots=(*places.roots, PUBLISHED_ROOT))
        script(flags, Machine(places, require_device(flags.device or _usual_device(flags.gpu_id)), _say))


def _say(line: str) -> None:
    # Flushed, so that whoever follows a training in a file sees each epoch when it is done.
    print(for_terminal(line), flush=True)


def _usual_device(gpu_id: str) -> str:
    """Return the first of the GPUs that ``--gpu-id`` names or, where there is none, the CPU."""
    import torch

    return f"cuda:{int(gpu_id.partition(',')[0])}" if torch.cuda.is_available() else "cpu"

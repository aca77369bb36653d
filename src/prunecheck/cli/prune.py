"""``prunecheck prune``: make a ticket and write it to a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.arguments import Whole, require_at_least_one
from prunecheck.errors import InputError

if TYPE_CHECKING:
    from prunecheck.pruning import Ticket

IMAGE_SIZE_WITHOUT_DATA = 32
"""Height and width of the images for which a ticket is made when no data set says otherwise."""


def prune(
    method: str,
    /,
    *,
    model: str,
    num_classes: Whole | None = None,
    sparsity: float,
    seed: Whole = 0,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("ticket.safetensors"),
    dataset: str | None = None,
    width: Annotated[Whole | None, Parameter(show_default=False)] = None,
    input_channels: Annotated[Whole | None, Parameter(show_default=False)] = None,
    samples_per_class: Whole = 10,
) -> None:
    """Prune a network at initialisation, print what is kept of each layer, and write the ticket.

    The file holds the starting weights (weights/NAME) and the masks (masks/LAYER, True = kept).

    Parameters
    ----------
    method
        A method (see `prunecheck list`), or FILE.py:FUNCTION, a criterion of your own.
    model
        Network (see `prunecheck list`).
    num_classes
        Classes that the network tells apart; may be left out if --dataset is given.
    sparsity
        Share of weights to remove, in [0, 1).
    seed
        Of the initial weights, the data that the criterion sees, and what is random in the mask.
    output
        Where the ticket is written.
    dataset
        Data set that the criterion scores with, for methods that look at data.
    width
        Channels of the network's first stage. [default: as published]
    input_channels
        Channels of an image. [default: the data set's, or 3]
    samples_per_class
        How many training images of each class the criterion sees.
    """
    require_at_least_one("--samples-per-class", samples_per_class)
    _require_place(output)
    from prunecheck.data import load_dataset
    from prunecheck.models import build_model, require_input
    from prunecheck.pruning import find_method, make_ticket
    from prunecheck.pruning.allocations import require_sparsity
    from prunecheck.randomness import generator

    require_sparsity(sparsity)
    chosen = find_method(method)
    data = load_dataset(dataset) if dataset else None
    if chosen.criterion.sees_data and data is None:
        raise InputError(f"{method} scores with data: name a data set with --dataset, such as --dataset digits.")
    classes = _agreed("--num-classes", num_classes, data.num_classes if data else None, None)
    channels = _agreed("--input-channels", input_channels, data.image_shape[0] if data else None, 3)
    size = data.image_shape[1:] if data else (IMAGE_SIZE_WITHOUT_DATA, IMAGE_SIZE_WITHOUT_DATA)
    options = {} if width is None else {"width": width}
    network = build_model(model, classes, seed, input_channels=channels, **options)
    require_input(model, network, *size)
    batches = []
    if data and chosen.criterion.sees_data:
        from prunecheck.data import scoring_batch

        batches = [scoring_batch(data.train, data, samples_per_class, seed)]
    ticket = make_ticket(chosen, network, batches, sparsity, generator(seed, "mask placement"))
    ticket = ticket.checked(network, (channels, *size))
    _write(ticket, output, {"method": chosen.name, "model": model, "sparsity": sparsity, "seed": seed})
    _print(ticket, output)


def _agreed(option: str, given: int | None, of_data: int | None, otherwise: int | None) -> int:
    """Return the value that the user or the data set gives, which must not contradict each other."""
    if given is not None and of_data is not None and given != of_data:
        raise InputError(f"{option} is {given} and the data set has {of_data}: leave the option out.")
    value = next((value for value in (given, of_data, otherwise) if value is not None), None)
    if value is None:
        raise InputError(f"{option} is missing: give it, or a --dataset that says it.")
    return value


def _require_place(output: Path) -> None:
    if output.is_dir():
        raise InputError(f"{output} is a folder: give --output the name of a file.")
    if not output.parent.is_dir():
        raise InputError(f"there is no folder {output.parent}: make it, or choose another --output.")


def _write(ticket: "Ticket", output: Path, description: dict[str, object]) -> None:
    from prunecheck.files import write_whole
    from prunecheck.pruning.tickets import ticket_bytes

    content = ticket_bytes(ticket, description)
    if output.exists():
        if output.is_file() and output.read_bytes() == content:
            return
        raise InputError(f"{output} exists and holds something else: choose another --output, or remove it.")
    write_whole(output, content)


def _print(ticket: "Ticket", output: Path) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer")
    for heading in ("kept", "total", "keep ratio"):
        table.add_column(heading, justify="right")
    kept = {layer: int(mask.sum()) for layer, mask in ticket.masks.items()}
    for layer, mask in ticket.masks.items():
        table.add_row(layer, f"{kept[layer]:,}", f"{mask.numel():,}", f"{kept[layer] / mask.numel():.6f}")
    everything = sum(mask.numel() for mask in ticket.masks.values())
    table.add_section()
    table.add_row("all", f"{sum(kept.values()):,}", f"{everything:,}", f"{sum(kept.values()) / everything:.6f}")
    console = Console(file=sys.stdout, highlight=False)
    console.print(table)
    if ticket.collapse:
        print(f"collapsed: {ticket.collapse}")
    print(f"wrote {output}")

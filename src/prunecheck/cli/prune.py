"""``prunecheck prune``: make a ticket and write it to a file."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.arguments import Whole
from prunecheck.cli.options import DataRoot, ScoringOptions, Width
from prunecheck.cli.output import print_out, require_output, write_output
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
    data_root: DataRoot = None,
    width: Width = None,
    input_channels: Annotated[Whole | None, Parameter(show_default=False)] = None,
    scoring: ScoringOptions = ScoringOptions(),
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
    input_channels
        Channels of an image. [default: the data set's, or 3]
    """
    require_output(output)
    from prunecheck.cli.places import data_places
    from prunecheck.constraints import require_all
    from prunecheck.data import (
        Batches,
        NewSamples,
        ScoringData,
        TrainingEpochs,
        blank_batch,
        load_dataset,
        scoring_samples,
    )
    from prunecheck.models import build_model, require_input
    from prunecheck.pruning import find_method, make_ticket
    from prunecheck.pruning.allocations import require_sparsity
    from prunecheck.pruning.logits import require_logits
    from prunecheck.pruning.tickets import ticket_bytes
    from prunecheck.randomness import generator, seeded_global_generator
    from prunecheck.studies.question import QUESTION, SEED

    SEED.require("seed", seed)
    require_sparsity(sparsity)
    samples, rounds = scoring.samples_per_class, scoring.scoring_rounds
    require_all(QUESTION, vars(scoring))
    chosen = find_method(method)
    if chosen.trainings(sparsity):
        raise InputError(
            f"{method} prunes a network that was trained: use `prunecheck check {method}`, which trains it."
        )
    data = load_dataset(dataset, data_places(data_root)) if dataset else None
    if chosen.sees_data and data is None:
        raise InputError(f"{method} scores with data: name a data set with --dataset, such as --dataset digits.")
    classes = _agreed("--num-classes", num_classes, data.num_classes if data else None, None)
    channels = _agreed("--input-channels", input_channels, data.image_shape[0] if data else None, 3)
    size = data.image_shape[1:] if data else (IMAGE_SIZE_WITHOUT_DATA, IMAGE_SIZE_WITHOUT_DATA)
    options = {} if width is None else {"width": width}
    network = build_model(model, classes, seed, input_channels=channels, **options)
    require_input(model, network, *size)
    require_logits(network, (channels, *size), classes, model)
    seen = ScoringData(shape_only=[blank_batch((channels, *size))])
    if data and chosen.sees_data:
        seen = replace(
            seen,
            samples=scoring_samples(data.train, data, samples, rounds, seed),
            new_samples=NewSamples(lambda: data.train, data, samples, rounds, seed),
            training_set=TrainingEpochs(Batches(data.train, data, data.suggestion.batch_size), seed),
        )
    with seeded_global_generator(seed, "criterion"):
        ticket = make_ticket(chosen, network, seen, sparsity, generator(seed, "mask placement"))
    ticket = ticket.checked(network, (channels, *size))
    description: dict[str, object] = {"method": chosen.name, "model": model, "sparsity": sparsity, "seed": seed}
    write_output(ticket_bytes(ticket, description), output)
    _print(ticket, output)


def _agreed(option: str, given: int | None, of_data: int | None, otherwise: int | None) -> int:
    """Return the value that the user or the data set gives, which must not contradict each other."""
    if given is not None and of_data is not None and given != of_data:
        raise InputError(f"{option} is {given} and the data set has {of_data}: leave the option out.")
    value = next((value for value in (given, of_data, otherwise) if value is not None), None)
    if value is None:
        raise InputError(f"{option} is missing: give it, or a --dataset that says it.")
    return value


def _print(ticket: "Ticket", output: Path) -> None:
    from rich import box
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
    print_out(table, width=WIDTH)
    for remark in ticket.remarks:
        print(remark)
    if ticket.collapse:
        print(f"collapsed: {ticket.collapse}")
    print(f"wrote {output}")


WIDTH = 110
"""Columns of a table that is not printed to a terminal."""

"""``prunecheck prune``: make a ticket and write it to a file."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.arguments import Whole, require_at_least_one, require_seed
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
    data_root: Annotated[Path | None, Parameter(show_default=False)] = None,
    width: Annotated[Whole | None, Parameter(show_default=False)] = None,
    input_channels: Annotated[Whole | None, Parameter(show_default=False)] = None,
    samples_per_class: Whole = 10,
    scoring_rounds: Whole = 1,
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
    data_root
        Folder that holds data sets (see `prunecheck data list`). [default: PRUNECHECK_DATA, then the cache]
    width
        Channels of the network's first stage. [default: as published]
    input_channels
        Channels of an image. [default: the data set's, or 3]
    samples_per_class
        How many training images of each class the criterion sees at a time.
    scoring_rounds
        How many times it sees so many.
    """
    require_at_least_one("--samples-per-class", samples_per_class)
    require_at_least_one("--scoring-rounds", scoring_rounds)
    require_seed(seed)
    require_output(output)
    from prunecheck.cli.places import data_places
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

    require_sparsity(sparsity)
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
            samples=scoring_samples(data.train, data, samples_per_class, scoring_rounds, seed),
            new_samples=NewSamples(lambda: data.train, data, samples_per_class, scoring_rounds, seed),
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
    from prunecheck.report.table import RowGroup, Table, numbers, words

    counts = {layer: (int(mask.sum()), mask.numel()) for layer, mask in ticket.masks.items()}
    everything = (sum(kept for kept, _ in counts.values()), sum(total for _, total in counts.values()))
    rows, last = (
        tuple((name, f"{kept:,}", f"{total:,}", f"{kept / total:.6f}") for name, (kept, total) in some.items())
        for some in (counts, {"all": everything})
    )
    columns = (*words("layer"), *numbers("kept", "total", "keep ratio"))
    print_out(Table("", columns, (RowGroup(rows), RowGroup(last))), width=WIDTH)
    for remark in ticket.remarks:
        print(remark)
    if ticket.collapse:
        print(f"collapsed: {ticket.collapse}")
    print(f"wrote {output}")


WIDTH = 110
"""Columns of a table that is not printed to a terminal."""

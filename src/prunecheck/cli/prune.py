"""``prunecheck prune``: make a ticket and write it to a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.arguments import Whole, read_optional_list
from prunecheck.cli.known_names import require_known
from prunecheck.cli.options import (
    OUT,
    Augment,
    DataRoot,
    Format,
    KeepDense,
    Normalize,
    Prunable,
    ScoringOptions,
    Start,
    Width,
)
from prunecheck.cli.output import print_out, print_text
from prunecheck.errors import InputError
from prunecheck.io import require_output, write_output

if TYPE_CHECKING:
    from torch.nn import Module

    from prunecheck.data import Dataset
    from prunecheck.models import Model
    from prunecheck.pruning import Method, Ticket
    from prunecheck.pruning.export_formats import BuiltNetwork
    from prunecheck.runs.spec import RunSpec

IMAGE_SIZE_WITHOUT_DATA = 32
"""Height and width of the images for which a ticket is made when no data set says otherwise."""


def prune(
    method: str,
    /,
    *,
    model: str,
    num_classes: Whole | None = None,
    sparsity: Annotated[float | None, Parameter(show_default=False)] = None,
    start: Start = None,
    seed: Whole = 0,
    out: Annotated[Path, Parameter(name=OUT)] = Path("ticket.safetensors"),
    format: Format = None,
    dataset: str | None = None,
    data_root: DataRoot = None,
    augment: Augment = None,
    normalize: Normalize = None,
    width: Width = None,
    prunable: Prunable = None,
    keep_dense: KeepDense = None,
    input_channels: Annotated[Whole | None, Parameter(show_default=False)] = None,
    scoring: ScoringOptions = ScoringOptions(),
) -> None:
    """Prune a network at initialisation, print what is kept of each layer, and write the ticket.

    The file holds the starting weights (weights/NAME) and the masks (masks/LAYER, True = kept), unless --format, or the
    ending of its name, asks for what other programs read (see `prunecheck export --help`). It
    says what it was made of, with the hashes of code of your own.

    Parameters
    ----------
    method
        A method (see `prunecheck list`), or FILE.py:FUNCTION, a method of your own, with arguments or not:
        my.py:score?alpha=2; or mask:PATH, a mask or pruned checkpoint of any tool.
    model
        Network (see `prunecheck list`), or FILE.py:FUNCTION.
    num_classes
        Classes that the network tells apart; may be left out if --dataset is given.
    sparsity
        Share of weights to remove, in [0, 1). [default: that of mask:PATH]
    seed
        Of the initial weights, the data that the criterion sees, and what is random in the mask.
    out
        Where the ticket is written.
    dataset
        Data set that the criterion scores with, for methods that look at data.
    input_channels
        Channels of an image. [default: the data set's, or 3]
    """
    require_output(out)
    require_known(method=method, model=model, dataset=dataset)
    from prunecheck.pruning.export_formats import ExportedNetwork, export_bytes, export_remarks, find_format

    form = find_format(format, out)
    from prunecheck.api.places import data_places
    from prunecheck.constraints import require_all
    from prunecheck.data import load_dataset
    from prunecheck.data.tokenized import as_read_by
    from prunecheck.data.transforms import transformed
    from prunecheck.models import find_model
    from prunecheck.pruning.mask_reading import agreed_sparsity
    from prunecheck.pruning.prunable_layers import PATTERNS, PrunableLayers
    from prunecheck.pruning.tied_weights import tied_in_network
    from prunecheck.runs.spec import RunSpec, Setting
    from prunecheck.studies.question import QUESTION, SEED
    from prunecheck.training import Recipe

    SEED.require("seed", seed)
    samples, rounds = scoring.samples_per_class, scoring.scoring_rounds
    require_all(QUESTION, vars(scoring))
    layers = PrunableLayers.of(
        PATTERNS.require("prunable", read_optional_list("prunable", prunable)),
        PATTERNS.require("keep_dense", read_optional_list("keep_dense", keep_dense)),
    )
    augment = QUESTION["augment"].require("augment", augment)
    normalize = QUESTION["normalize"].require("normalize", normalize)
    chosen = _untrained(method, start, sparsity)
    built = find_model(model)
    data = None
    if dataset:
        loaded = as_read_by(load_dataset(dataset, data_places(data_root)), built.find_tokenizer)
        data = transformed(loaded, augment, normalize)
    if chosen.sees_data and data is None:
        raise InputError(f"{method} scores with data: name a data set with --dataset, such as --dataset digits.")
    if data is None and (augment or normalize):
        raise InputError("--augment and --normalize are about a data set: name it with --dataset, or leave them out.")
    classes = _agreed("--num-classes", num_classes, data.num_classes if data else None, None)
    channels = _agreed("--input-channels", input_channels, data.image_shape[0] if data else None, 3)
    data = data or _without_images(channels, classes)
    setting = Setting(
        data.name,
        built.name,
        width,
        Recipe(batch_size=data.suggestion.batch_size),
        prunable=layers.prunable,
        keep_dense=layers.keep_dense,
    )
    spec = RunSpec(setting, chosen.name, sparsity or 0.0, seed, samples_per_class=samples, scoring_rounds=rounds)
    network, hashes = _network(spec, data, built)
    if chosen.files:
        spec = spec.changed(sparsity=agreed_sparsity(chosen.files, network, seed, sparsity, setting.network))
    ticket, hashes_of_method = _ticket(spec, data, network, chosen, built)
    description: dict[str, object] = {"method": chosen.name, "model": model, "sparsity": spec.sparsity, "seed": seed}
    description |= hashes_of_method | hashes
    description |= {"prunable": list(layers.prunable), "keep_dense": list(layers.keep_dense)} if str(layers) else {}
    tied = tied_in_network(ticket.masks, network)
    exported = ExportedNetwork(ticket, description, lambda: _built(network, data, seen=dataset is not None), tied)
    write_output(export_bytes(exported, form), out)
    _print(ticket, out, export_remarks(exported, form))


def _untrained(method: str, start: str | None, sparsity: float | None) -> "Method":
    """Return the method of a ticket that needs no training; raise :class:`InputError` if it does."""
    from prunecheck.pruning import find_method
    from prunecheck.pruning.allocations import require_sparsity
    from prunecheck.pruning.methods_of_masks import starting_from

    chosen = starting_from(find_method(method), start)
    if sparsity is None:
        if not chosen.files:
            raise InputError("--sparsity needs a value: give the share of weights to remove, such as --sparsity 0.9.")
        return chosen
    require_sparsity(sparsity)
    if chosen.trainings(sparsity):
        raise InputError(
            f"{method} prunes a network that was trained: use `prunecheck check {method}`, which trains it."
        )
    return chosen


def _network(spec: "RunSpec", data: "Dataset", builder: "Model") -> "tuple[Module, dict[str, str]]":
    """Return the network, and the hash of its code from outside of prunecheck."""
    from prunecheck.engine.tickets import build_network
    from prunecheck.runs.own_code import watched
    from prunecheck.studies.validate import require_sound_network

    with watched(builder.name) as seen:
        network = build_network(spec, data, builder)
        require_sound_network(network, spec, data, builder)
    if not builder.code:
        return network, {}
    builder.code.include(seen.files)
    return network, {"model_hash": builder.code.hash}


def _ticket(
    spec: "RunSpec", data: "Dataset", network: "Module", method: "Method", builder: "Model"
) -> "tuple[Ticket, dict[str, str]]":
    """Return the ticket, and the hash of its method's code, or files, from outside of prunecheck."""
    from prunecheck.engine.tickets import build_ticket
    from prunecheck.runs.own_code import watched
    from prunecheck.studies.validate import require_finite_scores

    with watched(method.name) as seen:
        ticket = build_ticket(spec, data, network, method, builder=builder)
    require_finite_scores(method, ticket)
    if not method.code:
        return ticket, {}
    method.code.include(seen.files)
    return ticket, {"method_hash": method.code.hash}


def _built(network: "Module", data: "Dataset", *, seen: bool) -> "BuiltNetwork":
    from prunecheck.data import TokenDataset
    from prunecheck.pruning.export_formats import BuiltNetwork

    normalization = {"mean": data.mean, "std": data.deviation}
    is_known = seen and not isinstance(data, TokenDataset)
    return BuiltNetwork(network, data.image_shape, normalization if is_known else None)


def _without_images(channels: int, num_classes: int) -> "Dataset":
    """Return what a method that sees no data is told of images: their shape and classes."""
    import numpy

    from prunecheck.data import Dataset, Images
    from prunecheck.data.datasets import Augmentation, Suggestion

    size = (IMAGE_SIZE_WITHOUT_DATA, IMAGE_SIZE_WITHOUT_DATA)
    none = Images(numpy.zeros((0, channels, *size), numpy.uint8), numpy.zeros(0, numpy.int64))
    scale = (0.0,) * channels, (1.0,) * channels
    suggestion = Suggestion(model="", width=None, epochs=1, batch_size=64, learning_rate=0.1)
    return Dataset("none", none, none, num_classes, *scale, Augmentation(0, flip=False), suggestion)


def _agreed(option: str, given: int | None, of_data: int | None, otherwise: int | None) -> int:
    """Return the value that the user or the data set gives, which must not contradict each other."""
    if given is not None and of_data is not None and given != of_data:
        raise InputError(f"{option} is {given} and the data set has {of_data}: leave the option out.")
    value = next((value for value in (given, of_data, otherwise) if value is not None), None)
    if value is None:
        raise InputError(f"{option} is missing: give it, or a --dataset that says it.")
    return value


def _print(ticket: "Ticket", out: Path, remarks: "list[str]") -> None:
    from prunecheck.report.table import RowGroup, Table, numbers, words

    counts = {layer: (int(mask.sum()), mask.numel()) for layer, mask in ticket.masks.items()}
    everything = (sum(kept for kept, _ in counts.values()), sum(total for _, total in counts.values()))
    rows, last = (
        tuple((name, f"{kept:,}", f"{total:,}", f"{kept / total:.6f}") for name, (kept, total) in some.items())
        for some in (counts, {"all": everything})
    )
    columns = (*words("layer"), *numbers("kept", "total", "keep ratio"))
    print_out(Table("", columns, (RowGroup(rows), RowGroup(last))))
    for remark in (*ticket.remarks, *remarks):
        print_text(remark)
    if ticket.collapse:
        print_text(f"collapsed: {ticket.collapse}")
    print_text(f"wrote {out}")

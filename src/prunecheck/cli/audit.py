"""``prunecheck audit`` looks at a method's tickets without training them."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.arguments import Whole, read_list, read_numbers, require_at_least_one, require_device
from prunecheck.errors import InputError

if TYPE_CHECKING:
    from prunecheck.audit.audit import MethodAudit

WIDTH = 110
"""Columns of a table that is not printed to a terminal."""


def audit(
    methods: Annotated[str, Parameter(name="METHOD")],
    /,
    *,
    dataset: str = "digits",
    data_root: Annotated[Path | None, Parameter(show_default=False)] = None,
    train_images: Annotated[Whole | None, Parameter(show_default=False)] = None,
    model: Annotated[str | None, Parameter(show_default=False)] = None,
    width: Annotated[Whole | None, Parameter(show_default=False)] = None,
    sparsity: str = "0.9",
    seeds: Whole = 3,
    samples_per_class: Whole = 10,
    scoring_rounds: Whole = 1,
    device: str = "cpu",
    figure: Annotated[Path | None, Parameter(show_default=False)] = None,
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> None:
    """Show what methods keep of each layer, how much of it works, and how much their masks depend on the data.

    Nothing is trained; it takes seconds to minutes. A weight is effective if it is kept and lies on a path from the
    input to the output; a channel is dead if no effective weight begins (in) or ends (out) there.

    Parameters
    ----------
    methods
        A method (see `prunecheck list`), or FILE.py:FUNCTION, a criterion of your own; or several, with commas
        between them.
    dataset
        Data set (see `prunecheck list`), folder:PATH of images, or npz:FILE.
    data_root
        Folder that holds data sets (see `prunecheck data list`). [default: PRUNECHECK_DATA, then the cache]
    train_images
        Choose the images that the criterion sees from so many, the first of every class. [default: all]
    model
        Network (see `prunecheck list`). [default: the data set's own, resnet8 of width 16 for digits]
    width
        Channels of the network's first stage. [default: as published, for a --model that you name]
    sparsity
        Share of weights to remove, in [0, 1).
    seeds
        How many seeds: 0 to N-1; what is counted are means over them.
    samples_per_class
        How many training images of each class the criterion sees at a time.
    scoring_rounds
        How many times it sees so many, for more images than memory holds at once.
    device
        cpu, cuda or cuda:N.
    figure
        SVG file in which the keep ratios by layer are drawn.
    json
        Print one JSON object instead of the tables.
    """
    names = read_list("METHOD", methods)
    sparsities = read_numbers("--sparsity", sparsity)
    if len(sparsities) > 1:
        raise InputError(f"an audit has one --sparsity, not {len(sparsities)}: call it once for each.")
    require_at_least_one("--seeds", seeds)
    if figure:
        require_figure_place(figure)

    from prunecheck.audit.audit import audit_method, require_untrained
    from prunecheck.cli.places import data_places
    from prunecheck.studies.check_study import CheckStudy

    studies = [
        CheckStudy.with_suggestions(
            name,
            dataset=dataset,
            places=data_places(data_root),
            train_images=train_images,
            test_images=None,
            model=model,
            width=width,
            sparsities=sparsities,
            checks=(),
            baseline=None,
            seeds=range(seeds),
            epochs=None,
            batch_size=None,
            learning_rate=None,
            samples_per_class=samples_per_class,
            scoring_rounds=scoring_rounds,
            margin=1.0,
        )
        for name in names
    ]
    for number, study in enumerate(studies):
        if study.method.name in [other.method.name for other in studies[:number]]:
            raise InputError(f"method {study.method.name} is given twice: name it once.")
        require_untrained(study)
    require_device(device)
    for study in studies:
        study.rehearse()
    with _progress() as say:
        audits = [audit_method(study, device, _teller(study.method.name, seeds, say)) for study in studies]
    _print(audits, json)
    if figure:
        _draw(audits, figure)
        print(f"wrote {figure}", file=sys.stderr if json else sys.stdout)


def require_figure_place(file: Path) -> None:
    """Raise :class:`InputError` unless a figure can be written there, over one of ours at most."""
    from prunecheck.report.svg import is_ours

    if file.suffix != ".svg":
        raise InputError(f"--figure takes the name of an SVG file, such as {file.stem or 'ratios'}.svg, not {file}.")
    if not file.parent.is_dir():
        raise InputError(f"there is no folder {file.parent}: make it, or choose another --figure.")
    if file.exists() and not (file.is_file() and is_ours(file.read_text(encoding="utf-8", errors="replace"))):
        raise InputError(f"{file} exists and is no figure of prunecheck: choose another --figure, or remove it.")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show what is being done, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(file=sys.stderr, markup=False).status("") as status:
        yield status.update


def _teller(name: str, seeds: int, say: Callable[[str], None]) -> Callable[[int, str], None]:
    def tell(seed: int, change: str) -> None:
        say(f"{name}: seed {seed + 1} of {seeds}" + (f", {change}" if change else ""))

    return tell


def _print(audits: "Sequence[MethodAudit]", as_json: bool) -> None:
    from prunecheck.audit.tables import audit_json, audit_tables
    from prunecheck.cli.output import print_out

    if as_json:
        import json

        print(json.dumps(audit_json(audits), indent=2, allow_nan=False))
    else:
        print_out(*audit_tables(audits), width=WIDTH)


def _draw(audits: "Sequence[MethodAudit]", file: Path) -> None:
    from prunecheck.audit.tables import audit_title
    from prunecheck.io import write_whole
    from prunecheck.report.keep_ratios import ratio_file

    svg = ratio_file({audit.name: audit.keep_ratios for audit in audits}, audit_title(audits))
    write_whole(file, svg)

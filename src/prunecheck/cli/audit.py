"""``prunecheck audit`` looks at a method's tickets without training them."""

import contextlib
import itertools
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from prunecheck.cli.arguments import read_list, read_numbers, read_optional_list, require_device
from prunecheck.cli.known_names import require_known
from prunecheck.cli.options import (
    OUT,
    CalibrationOptions,
    Device,
    Json,
    NetworkOptions,
    ScoringOptions,
    SeedCount,
    SeenDataOptions,
)
from prunecheck.cli.study_runs import print_json, print_rendered
from prunecheck.errors import InputError
from prunecheck.io import require_output

if TYPE_CHECKING:
    from prunecheck.api.audits import OnTicket
    from prunecheck.audits.audit import MethodAudit


def audit(
    methods: Annotated[str, Parameter(name="METHOD")],
    /,
    *,
    data: SeenDataOptions = SeenDataOptions(),
    network: NetworkOptions = NetworkOptions(),
    sparsity: Annotated[str | None, Parameter(show_default=False)] = None,
    checks: Annotated[str | None, Parameter(show_default=False)] = None,
    seeds: SeedCount = 3,
    scoring: ScoringOptions = ScoringOptions(),
    calibration: CalibrationOptions = CalibrationOptions(),
    after: Annotated[str | None, Parameter(show_default=False)] = None,
    out: Annotated[Path, Parameter(name=OUT)] = Path("runs"),
    device: Device = "cpu",
    figure: Annotated[Path | None, Parameter(show_default=False)] = None,
    json: Json = False,
) -> None:
    """Show what methods keep of each layer, how much of it works, and how much their masks depend on the data.

    No ticket is trained; it takes seconds to minutes. A weight is effective if it is kept and lies on a path from the
    input to the output; a channel is dead if no effective weight begins (in) or ends (out) there. Counts are means
    over the seeds.

    Parameters
    ----------
    methods
        A method (see `prunecheck list`), or FILE.py:FUNCTION, a method of your own, with arguments or not:
        my.py:score?alpha=2; or mask:PATH, a mask or pruned checkpoint of any tool; or several, with commas between
        them.
    sparsity
        Share of weights to remove, in [0, 1). [default: that of mask:PATH, else 0.9; after training 0.5]
    checks
        Changes of the data that a method sees, with commas between them: its masks under each are compared with its
        own; none for no change. [default: corrupted-data; of text random-tokens; after training
        random-tokens,shuffled-tokens,one-sequence]
    after
        Checkpoint of a network that was trained with mask:PATH: how many pruned weights are no longer 0 in it; its path
        may have {seed} in it.
    out
        Folder of runs, where the trained network lies that a method after training prunes; it is trained there if it
        does not.
    figure
        SVG file in which the keep ratios by layer are drawn.
    """
    names = read_list("methods", methods)
    sparsities = (None,) if sparsity is None else read_numbers("sparsity", sparsity)
    if len(sparsities) > 1:
        raise InputError(f"an audit has one --sparsity, not {len(sparsities)}: call it once for each.")
    if figure:
        from prunecheck.report.svg import is_ours

        require_output(
            figure, ending=".svg", is_own=lambda file: is_ours(file.read_text(encoding="utf-8", errors="replace"))
        )

    listed = read_optional_list("checks", checks)
    require_known(methods=names, model=network.model, dataset=data.dataset, checks=listed)

    import prunecheck

    require_device(device)
    with _progress() as say:
        found = prunecheck.audit(
            names,
            dataset=data.dataset,
            data_root=data.data_root,
            train_images=data.train_images,
            augment=data.augment,
            normalize=data.normalize,
            model=network.model,
            width=network.width,
            prunable=read_optional_list("prunable", network.prunable),
            keep_dense=read_optional_list("keep_dense", network.keep_dense),
            sparsity=sparsities[0],
            checks=listed,
            seeds=seeds,
            samples_per_class=scoring.samples_per_class,
            scoring_rounds=scoring.scoring_rounds,
            calibration_sequences=calibration.calibration_sequences,
            calibration_data=calibration.calibration_data,
            sequence_length=calibration.sequence_length,
            after=after,
            out=out,
            device=device,
            on_ticket=_teller(seeds, say),
        )
    if json:
        print_json(found.to_dict())
    else:
        if len(names) > 1:
            given = [data, network, scoring, calibration]
            found = replace(found, training=_training_command(names, found.methods, given, out, device))
        print_rendered(found)
    if figure:
        _draw(found.methods, figure)
        print(f"wrote {figure}", file=sys.stderr if json else sys.stdout)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show what is being done, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(file=sys.stderr, markup=False, emoji=False).status("") as status:
        yield status.update


def _training_command(
    names: Sequence[str], audits: "Sequence[MethodAudit]", given: Sequence[Any], out: Path, device: str
) -> str:
    """Return the command that trains the first two methods.

    Args:
        names: of the methods, as they were given.
        audits: of them.
        given: options that a check has, too.
        out: likewise.
        device: likewise.
    """
    from prunecheck.api.audits import asked_by_training

    options = asked_by_training(names, [audit.study for audit in audits])
    method = options.pop("method")
    for group in given:
        options |= {
            one.name: getattr(group, one.name) for one in fields(group) if getattr(group, one.name) != one.default
        }
    options |= ({"out": out} if out != Path("runs") else {}) | ({"device": device} if device != "cpu" else {})
    words = [(f"--{name.replace('_', '-')}", str(value)) for name, value in options.items()]
    return shlex.join(["prunecheck", "check", method, *itertools.chain(*words)])


def _teller(seeds: int, say: Callable[[str], None]) -> "OnTicket":
    def tell(name: str, seed: int, change: str) -> None:
        say(f"{name}: seed {seed + 1} of {seeds}" + (f", {change}" if change else ""))

    return tell


def _draw(audits: "Sequence[MethodAudit]", file: Path) -> None:
    from prunecheck.audits.tables import audit_title
    from prunecheck.io import atomic_write
    from prunecheck.report.keep_ratios import ratio_file
    from prunecheck.studies.question import what_pairs

    ratios = {audit.name: audit.keep_ratios for audit in audits}
    svg = ratio_file(ratios, audit_title(audits), what_pairs(audit.study.question for audit in audits))
    atomic_write(file, svg)

"""Audits asked for from Python: a look at methods' tickets without training."""

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunecheck.api import arguments
from prunecheck.api.calls import call_text
from prunecheck.api.questions import DatasetLike, MethodLike, ModelLike, asked_study, check, require_one_method
from prunecheck.api.rendering import as_text
from prunecheck.api.trained_weights import weights_after_training
from prunecheck.audits.audit import MethodAudit, audit_method, require_untrained, usual_data_checks
from prunecheck.audits.tables import audit_json, audit_tables, audit_title
from prunecheck.audits.two_methods import TwoMethods, compare_methods
from prunecheck.checks import find_check
from prunecheck.data.datasets import named_dataset
from prunecheck.errors import InputError, field_name
from prunecheck.printable import for_terminal
from prunecheck.pruning import Method
from prunecheck.pruning.mask_files import MaskFiles, Paths
from prunecheck.report.formats.html import paragraph
from prunecheck.report.formats.terminal import rich_table
from prunecheck.report.table import Table
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.usual import USUAL_CALIBRATION

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    from rich.console import Console, ConsoleOptions, RenderResult

USUAL_SPARSITY = 0.9

OnTicket = Callable[[str, int, str], None]
"""Called before each ticket is made: with the method's name, the seed, and what is changed, empty for nothing."""


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What methods keep, how much of it works, and what their masks depend on; printed, it is tables.

    Attributes:
        methods: what was found of each method.
        between_methods: how alike the masks of each two of them are.
        training: the call or command that trains the first two; empty for one method.
    """

    methods: tuple[MethodAudit, ...]
    training: str = ""

    @functools.cached_property
    def between_methods(self) -> tuple[TwoMethods, ...]:
        """Compared when they are asked for, for of one method there are none."""
        return compare_methods(self.methods)

    def to_frame(self) -> "pd.DataFrame":
        """Return a row for each method and layer, with the fields of ``layers`` in the JSON of ``prunecheck audit``.

        ``total`` weights, ``inputs`` and ``outputs`` channels; ``keep_ratio``; means over the seeds of the counts
        ``kept`` and ``effective`` weights, ``dead_inputs``, ... ; NA where it is not known.
        """
        import pandas as pd

        rows = [{"method": one["method"]} | layer for one in self.to_dict()["methods"] for layer in one["layers"]]
        frame = pd.DataFrame(rows).drop(columns="keep_ratios")
        kinds = {"method": "string", "layer": "string", "total": "Int64", "inputs": "Int64", "outputs": "Int64"}
        return frame.astype({column: kinds.get(column, "float64") for column in frame.columns})

    def agreements(self) -> "pd.DataFrame":
        """Return a row for each method and other mask: which share of the kept weights both keep, and by chance.

        The other mask is the method's own after a change, or, where several methods are audited, another method's.

        ``agreement``, ``chance`` and ``most`` are shares in [0, 1]; ``chance_deviation`` is a standard deviation;
        ``pairs`` counts the pairs of masks.
        """
        import pandas as pd

        columns = ("against", "agreement", "chance", "chance_deviation", "most")
        content = self.to_dict()
        found = [(one["method"], other) for one in content["methods"] for other in one["agreements"]]
        found += [(two["methods"][0], two) for two in content["between_methods"]]
        rows = [
            {"method": method} | {name: other[name] for name in columns} | {"pairs": len(other["pairs"])}
            for method, other in found
        ]
        return pd.DataFrame(rows, columns=["method", *columns, "pairs"])

    def to_dict(self) -> dict[str, Any]:
        """Return what ``prunecheck audit`` prints as JSON, as a dictionary."""
        return audit_json(self.methods, self.between_methods)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return what ``prunecheck audit`` prints as JSON.

        Args:
            indent: of each level; None for all in one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Yield the tables and what is remarkable."""
        yield from (
            rich_table(part) if isinstance(part, Table) else for_terminal(part)
            for part in audit_tables(self.methods, self.between_methods)
        )
        if self.training:
            from rich.text import Text

            first, second = (audit.name for audit in self.methods[:2])
            yield for_terminal(f"Whether {first} and {second} differ in accuracy is found by training both:")
            # In one line, however long, so that it can be copied.
            yield Text(f"  {for_terminal(self.training)}", no_wrap=True, overflow="ignore")

    def __str__(self) -> str:
        """Return the tables, as the command prints them."""
        return as_text(self)

    def __repr__(self) -> str:
        """Return what was audited."""
        return f"<Audit of {audit_title(self.methods)}>"

    def _repr_html_(self) -> str:
        """Return small tables for notebooks."""
        numbers = self.to_frame()[["method", "layer", "total", "kept", "keep_ratio", "effective"]]
        tables = [frame.to_html(index=False, border=0, na_rep="?") for frame in (numbers, self.agreements())]
        return f"<div>{paragraph(audit_title(self.methods))}{''.join(tables)}</div>"


def audit(
    methods: MethodLike | Iterable[MethodLike],
    *,
    model: ModelLike | None = None,
    dataset: DatasetLike = "digits",
    sparsity: float | None = None,
    checks: str | Iterable[str] | None = None,
    seeds: int | Iterable[int] = 3,
    width: int | None = None,
    prunable: str | Iterable[str] | None = None,
    keep_dense: str | Iterable[str] | None = None,
    train_images: int | None = None,
    augment: str | None = None,
    normalize: str | None = None,
    samples_per_class: int = 10,
    scoring_rounds: int = 1,
    calibration_sequences: int = USUAL_CALIBRATION,
    calibration_data: str | None = None,
    sequence_length: int | None = None,
    after: Paths | None = None,
    data_root: str | Path | None = None,
    out: str | Path = "runs",
    device: str = "cpu",
    on_ticket: OnTicket = lambda method, seed, change: None,
) -> Audit:
    """Show what methods keep of each layer, how much of it works, and how much their masks depend on the data.

    No ticket is trained; it takes seconds to minutes. What a method after training prunes is the dense network of
    :func:`prunecheck.check`, which is trained if no run in ``out`` is it, and kept there.

    Args:
        methods: one or several, each as for :func:`prunecheck.check`, where the arguments that are not listed here are
            explained too.
        model: see there.
        dataset: see there.
        sparsity: share of weights to remove, in [0, 1); None for that of masks in files, for 0.5 after training, else
            for 0.9.
        checks: changes of the data that a method sees, under each of which its masks are compared with its own; None
            for those of the usual checks of :func:`prunecheck.check`, ``none`` or an empty list for no check.
        seeds: how many, from 0, or which; what is counted are means over them. Of a method after training a seed is a
            draw of calibration sequences.
        width: see there.
        prunable: see there.
        keep_dense: see there.
        train_images: choose the images that the criterion sees from so many, the first of every class; None for all.
        augment: see there; the images that the criterion sees are varied so, too.
        normalize: see there.
        samples_per_class: see there.
        scoring_rounds: see there.
        calibration_sequences: see there.
        calibration_data: a data set of text; masks that were made with as many sequences of it are compared, too.
        sequence_length: see there.
        after: a checkpoint of a network that was trained with the one mask, or with those by seed, as the paths of
            :func:`prunecheck.mask_from` are given: which pruned weights are no longer 0 in it is counted.
        data_root: see there.
        out: folder of runs, where the dense network lies that a method after training prunes; of others, nothing is
            read or written there.
        device: where criteria score.
        on_ticket: called before each ticket is made.

    Raises:
        InputError: an argument is wrong, a method trains, a ticket cannot be made, or a checkpoint is not one of the
            network.
    """
    given = locals()
    listed: Sequence[MethodLike] = (
        (methods,) if isinstance(methods, str | Method) or callable(methods) else tuple(methods)
    )
    if not listed:
        raise InputError("an audit is about one method or several: name one.", field="methods")
    for one in listed:
        require_one_method(one, "audit takes several as a list of single methods")
    named, own = named_dataset(dataset)  # what objects hold is read once for all methods
    studies = [
        asked_study(
            method,
            model=model,
            dataset=own or named,
            sparsity=sparsity,
            usual_sparsities=(USUAL_SPARSITY,),
            seeds=arguments.read("seeds", seeds),  # all are looked at at once: none are added
            width=width,
            prunable=prunable,
            keep_dense=keep_dense,
            train_images=train_images,
            augment=augment,
            normalize=normalize,
            samples_per_class=samples_per_class,
            scoring_rounds=scoring_rounds,
            calibration_sequences=calibration_sequences,
            calibration_data=calibration_data,
            sequence_length=sequence_length,
            checks=() if checks is None else checks,
            data_root=data_root,
        )
        for method in listed
    ]
    for number, study in enumerate(studies):
        if study.method.name in [other.method.name for other in studies[:number]]:
            raise InputError(f"method {study.method.name} is given twice: name it once.")
        require_untrained(study)
    place = arguments.read_device(device)
    checkpoints = None if after is None else _checkpoints(after, studies)
    studies = [_with_checks(_each_mask_once(study, checkpoints), is_given=checks is not None) for study in studies]
    for study in studies:
        study.validate(trains=False)
    if checkpoints:
        checkpoints.require_seeds(studies[0].seeds)

    def teller(name: str) -> Callable[[int, str], None]:
        return lambda seed, change: on_ticket(name, seed, change)

    return Audit(
        tuple(
            audit_method(
                study, place, teller(study.method.name), checkpoints, weights_after_training(study, Path(out), place)
            )
            for study in studies
        ),
        _training(listed, studies, given) if len(listed) > 1 else "",
    )


def asked_by_training(methods: Sequence[MethodLike], studies: Sequence[CheckStudy]) -> dict[str, Any]:
    """Return what a check has to be given that trains the first two of audited methods, by name.

    Masks in files stand first, since the other method can take their sparsity; where there is a file for each seed,
    there are no more seeds.

    Args:
        methods: as they were given.
        studies: of each of them.
    """
    named = [
        study.method.own_files.argument if study.method.own_files and not isinstance(method, str) else method
        for method, study in zip(methods[:2], studies, strict=False)
    ]
    (method, study), (baseline, other) = sorted(
        zip(named, studies, strict=False), key=lambda pair: pair[1].method.own_files is None
    )
    asked: dict[str, Any] = {"method": method, "baseline": baseline, "checks": "none"}
    if study.method.own_files is None:
        asked["sparsity"] = study.sparsities[0]
    if any(one.method.own_files and one.method.own_files.are_by_seed for one in (study, other)):
        seeds = max(study.seeds, other.seeds, key=len)
        asked["seeds"] = len(seeds) if list(seeds) == list(range(len(seeds))) else list(seeds)
    return asked


def _training(methods: Sequence[MethodLike], studies: Sequence[CheckStudy], given: Mapping[str, Any]) -> str:
    """Return the call that trains the first two methods; see :func:`asked_by_training`.

    Args:
        methods: as they were given.
        studies: of each of them.
        given: the arguments of :func:`audit`, by name.
    """
    parameters = inspect.signature(check).parameters.values()
    usual = {one.name: {} if one.kind is one.VAR_KEYWORD else one.default for one in parameters}
    same = usual.keys() & given.keys() - {"checks", "seeds", "sparsity"}
    return call_text(check, usual | {name: given[name] for name in same} | asked_by_training(methods, studies))


def _with_checks(study: CheckStudy, *, is_given: bool) -> CheckStudy:
    """Return the study with the checks under which its method's masks are compared.

    Raises:
        InputError: one of them changes something else than the data.
    """
    for name in study.checks:
        if find_check(name).but_data.parts:
            raise InputError(
                f"{name} changes something else than the data that a method sees, and an audit compares the masks that "
                "other data lead to: give checks of the data (`prunecheck list`).",
                field="checks",
            )
    return study if is_given else replace(study, checks=(*usual_data_checks(study), *study.checks))


def _checkpoints(after: Paths, studies: Sequence[CheckStudy]) -> MaskFiles:
    """Return where the checkpoints lie that are compared with masks; raise :class:`InputError` if they cannot be."""
    files = studies[0].method.own_files
    if len(studies) > 1 or files is None:
        raise InputError(
            f"{field_name('after')} compares a trained checkpoint with the mask that it was trained with: audit "
            "mask:PATH, and nothing beside it.",
            field="after",
        )
    try:
        checkpoints = MaskFiles.find(after)
    except InputError as error:
        raise error.within(field_name("after")) from error.__cause__
    if files.are_by_seed and not checkpoints.are_by_seed:
        raise InputError(
            f"{files.name} has a mask for each seed, and {field_name('after')} is one checkpoint: give one for each "
            "seed, with {seed} in its path.",
            field="after",
        )
    return checkpoints


def _each_mask_once(study: CheckStudy, checkpoints: MaskFiles | None) -> CheckStudy:
    """Return the study with one seed, where nothing that an audit looks at depends on it."""
    files = study.method.own_files
    if files is None or files.are_by_seed or (checkpoints and checkpoints.are_by_seed):
        return study
    return replace(study, seeds=study.seeds[:1])

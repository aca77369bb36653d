"""``prunecheck plan`` says what studies are going to do, and does nothing."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.arguments import WORKERS, Whole, require_device
from prunecheck.cli.options import Calibrate, DataRoot, Json, MsAStep, Out, Set
from prunecheck.errors import InputError

if TYPE_CHECKING:
    from prunecheck.data import DataPlaces
    from prunecheck.studies.check_study import CheckStudy
    from prunecheck.studies.study import Study


def plan(
    *studies: Annotated[str, Parameter(name="STUDY", show_default=False)],
    scale: str = "smoke",
    set: Set = (),
    out: Out = Path("runs"),
    data_root: DataRoot = None,
    workers: Annotated[Whole | None, Parameter(show_default=False)] = None,
    device: Annotated[str | None, Parameter(show_default=False)] = None,
    calibrate: Calibrate = False,
    ms_a_step: MsAStep = None,
    json: Json = False,
) -> None:
    """Say what studies are going to do: their runs, what is done, what is shared, and what the rest takes.

    Checks them as `prunecheck run` does, and changes nothing. Published data sets need not be on this machine. Runs
    that several studies have in common are counted once.

    Parameters
    ----------
    studies
        Study files, and tables of `prunecheck reproduce list`.
    scale
        Of the tables: smoke, small or full.
    workers
        So many runs are going to be done at the same time: says how long that takes.
    device
        Where they are going to be done, cpu or cuda: runs that were measured elsewhere do not count. [default:
        anywhere; cpu for --calibrate]
    """
    if not studies:
        raise InputError("STUDY needs a value: give a study file, or a table of `prunecheck reproduce list`.")
    if workers is not None:
        WORKERS.require("workers", workers)

    from prunecheck.studies.overrides import read_overrides
    from prunecheck.studies.study import Study, canonical_question

    places, given = planned_places(data_root), read_overrides(set)
    read = [_read(name, scale, places, given) for name in studies]
    questions = {canonical_question(question): question for study in read for question in study.questions}
    study = read[0] if len(read) == 1 else Study(", ".join(one.name for one in read), tuple(questions.values()))
    names = [one.name for one in read]
    labels = [name if names.count(name) == 1 else file for name, file in zip(names, studies, strict=True)]
    parts = {label: one.questions for label, one in zip(labels, read, strict=True)} if len(read) > 1 else {}
    plan_and_print(study, out, workers, device, calibrate=calibrate, ms_a_step=ms_a_step, parts=parts, as_json=json)


def planned_places(data_root: Path | None) -> "DataPlaces":
    """Return where data sets lie, something standing in for published ones that lie nowhere."""
    from dataclasses import replace

    from prunecheck.api.places import data_places

    return replace(data_places(data_root), may_be_missing=True)


def plan_and_print(
    study: "Study",
    out: Path,
    workers: int | None,
    device: str | None,
    *,
    calibrate: bool,
    ms_a_step: str | None,
    parts: "Mapping[str, Sequence[CheckStudy]]" = MappingProxyType({}),
    as_json: bool,
) -> None:
    """Validate a study, and print what it is going to do; see :func:`plan` for the arguments.

    Of each of several studies that it is made of, its questions in ``parts``, a subtotal is printed.
    """
    if calibrate and ms_a_step is not None:
        raise InputError("--ms-a-step states what --calibrate would find out: give one of them.")
    if device is not None and not device.startswith(("cpu", "cuda")):
        raise InputError(f"--device takes cpu, cuda or cuda:N, not {device!r}.", field="device")
    if calibrate:
        require_device(device or "cpu")

    from dataclasses import replace

    from prunecheck.cli.plan_output import print_plan
    from prunecheck.studies.plan import plan_study
    from prunecheck.studies.rates import MEASURED, calibrated_rates, read_ms_a_step, stated_rates
    from prunecheck.studies.same_data import as_recorded
    from prunecheck.studies.study import canonical_question

    asked = as_recorded(study, out)
    asked.validate()
    rates = MEASURED
    if ms_a_step is not None:
        rates = stated_rates(asked, read_ms_a_step(ms_a_step))
    elif calibrate:
        rates = calibrated_rates(asked, device or "cpu")
    asked_of = dict(zip(map(canonical_question, study.questions), asked.questions, strict=True)) if parts else {}
    questions = {name: [asked_of[canonical_question(one)] for one in part] for name, part in parts.items()}
    found = plan_study(asked, out, replace(rates, device=device), questions)
    print_plan(found, out, workers, device, as_json=as_json)


def _read(name: str, scale: str, places: "DataPlaces", given: dict[str, object]) -> "Study":
    """Return the study in a file, or that of a table of the paper."""
    from prunecheck.paper.tables import TABLES, paper_table
    from prunecheck.registry import unknown_name
    from prunecheck.studies.study import Study
    from prunecheck.studies.study_file import read_study

    if name not in TABLES:
        file = Path(name)
        if not file.suffix and not file.exists():
            raise unknown_name("study file or table of the paper", name, TABLES)
        return read_study(file, places, given)
    return Study(f"{name}, {scale} scale", tuple(_questions(paper_table(name, scale).files.values(), places, given)))


def _questions(files: Iterable[Path], places: "DataPlaces", given: dict[str, object]) -> "Sequence[CheckStudy]":
    from prunecheck.studies.study_file import read_study

    return [question for file in files for question in read_study(file, places, given).questions]

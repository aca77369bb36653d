"""What of a run comes from outside of prunecheck: its code, and the files that a process must load to know it."""

import contextlib
import hashlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prunecheck.checks import CHECKS, find_check
from prunecheck.data.datasets import AnyDataset, dataset_origin, load_dataset
from prunecheck.errors import InputError
from prunecheck.metrics import METRICS
from prunecheck.models import MODELS, AnyModel, find_model
from prunecheck.observation import Observation
from prunecheck.pruning import METHODS, Method
from prunecheck.pruning.methods import origins_of_parts
from prunecheck.pruning.patterns import split_pattern
from prunecheck.registry import Origin
from prunecheck.runs.spec import RunSpec
from prunecheck.user_code import Code, code_registered_by, files_that_load, folders_searched_for, load_file, search_last


@dataclass(frozen=True)
class OwnCode:
    """What a process needs to know of the code of a run that comes from outside of prunecheck.

    Attributes:
        files: those of users that are executed first: they register what the run names.
        folders: those in which modules of users are looked for, after everywhere else.
        seen_by_method: the files that the method was seen to use when the spec was made, absolute.
        seen_by_model: likewise, of the network.
        seen_by_metric: likewise, of the metric.
    """

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    seen_by_method: tuple[str, ...] = ()
    seen_by_model: tuple[str, ...] = ()
    seen_by_metric: tuple[str, ...] = ()


ALL_BUILT_IN = OwnCode()


def model_code(model: AnyModel) -> Code | None:
    """Return the code of a network; None for a built-in one."""
    return find_model(model).code


def check_code(*checks: str | None) -> Code | None:
    """Return the code of checks; None if all are built in."""
    return code_registered_by(_origins_of_checks(*checks))


def check_hash(*checks: str | None) -> str | None:
    """Return the hash of the code of checks, and of the data that they bring; None if all are built in."""
    code = check_code(*checks)
    brought = [name for check in checks for name in find_check(check).datasets]
    if not brought:
        return code.hash if code else None
    contents = [load_dataset(name).fingerprint for name in brought]
    return hashlib.sha256(repr((code.hash if code else None, contents)).encode()).hexdigest()


def _origins_of_checks(*checks: str | None) -> list[Origin | None]:
    return [CHECKS.origin_of(part.registered) for check in checks for part in find_check(check).parts]


def own_code(
    spec: RunSpec,
    method: Method | None,
    model: Code | None,
    dataset: AnyDataset,
    of_dataset: Code | None,
    metric: Code | None,
) -> OwnCode:
    """Return what a process needs to know of the code of a run.

    Args:
        spec: the run.
        method: its method; None for a dense network.
        model: the code of its network; None for a built-in one.
        dataset: how the data set is found.
        of_dataset: the code of the data set; None if it is found by a registered name.
        metric: the code of its metric; None for a built-in one.
    """
    code = method.code if method else None
    return OwnCode(
        files=_registering_files(spec, method, dataset),
        folders=folders_searched_for([code, model, of_dataset, metric]),
        seen_by_method=code.seen if code else (),
        seen_by_model=model.seen if model else (),
        seen_by_metric=metric.seen if metric else (),
    )


def _registering_files(spec: RunSpec, method: Method | None, dataset: AnyDataset) -> tuple[str, ...]:
    """Return the files of users in which something that a run names is registered."""
    origins = [MODELS.origin_of(spec.setting.model), METRICS.origin_of(spec.setting.metric)]
    origins += [dataset_origin(dataset)] if isinstance(dataset, str) else []
    origins += _origins_of_checks(spec.check, spec.trained_on)
    while method:
        name = split_pattern(method.name)[0].partition("@")[0]
        origins += [METHODS.origin_of(name), *origins_of_parts(method)]
        method = next(iter(method.made_of), None)
    return files_that_load(origins)


def load_own_code(own: OwnCode) -> None:
    """Execute the files of users in which something is registered that a run names.

    Raises:
        InputError: one of them is missing, or cannot be run.
    """
    search_last(own.folders)
    for file in own.files:
        load_file(Path(file))


@contextlib.contextmanager
def watched(what: str) -> Iterator[Observation]:
    """See which files code uses, and say so where it looks for anything that is in no file.

    Args:
        what: whose code it is, for the sentence.
    """
    with Observation(sys._getframe(2)) as seen:  # past contextlib, where the block stands
        yield seen
    if seen.elsewhere:
        logging.getLogger(__name__).warning(
            "%s uses %s; what it finds there is no part of a run's identity, and runs that are done are not done anew "
            "when that changes.",
            what,
            " and ".join(sorted(seen.elsewhere)),
        )


def require_same_code(what: str, code: Code | None, seen: tuple[str, ...], expected: str | None) -> None:
    """Raise :class:`InputError` unless code is what a spec was made for.

    Args:
        what: whose code it is, for the sentence.
        code: as this process has it; None for what is built in.
        seen: the files that it was seen to use when the spec was made.
        expected: the hash in the spec.
    """
    if code:
        code.include(seen)
    if (code.hash if code else None) != expected:
        raise InputError(f"{what} was changed while its runs were going on: call the command again.")


def require_unchanged(what: str, code: Code | None) -> None:
    """Raise :class:`InputError` if what code is made of has changed since its hash was taken."""
    changed = code.changed() if code else []
    if changed:
        raise InputError(
            f"{what} was changed while its runs were going on ({', '.join(changed)}): call the command again."
        )

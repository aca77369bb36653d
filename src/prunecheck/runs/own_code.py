"""What of a run comes from outside of prunecheck: its code, and the files that a process must load to know it."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prunecheck.checks import CHECKS, find_check
from prunecheck.data.datasets import dataset_origin
from prunecheck.errors import InputError
from prunecheck.models import MODELS
from prunecheck.observation import Observation
from prunecheck.pruning import ALLOCATIONS, CRITERIA, METHODS, Method
from prunecheck.registry import Origin
from prunecheck.runs.spec import RunSpec
from prunecheck.user_code import Code, code_registered_by, files_that_load, load_file


@dataclass(frozen=True)
class OwnCode:
    """What a process needs to know of the code of a run that comes from outside of prunecheck.

    Attributes:
        files: those of users that are executed first: they register what the run names.
        seen_by_method: the files that the method was seen to use when the spec was made, absolute.
        seen_by_model: likewise, of the network.
    """

    files: tuple[str, ...] = ()
    seen_by_method: tuple[str, ...] = ()
    seen_by_model: tuple[str, ...] = ()


ALL_BUILT_IN = OwnCode()


def model_code(model: str) -> Code | None:
    """Return the code of a network; None for a built-in one."""
    return code_registered_by([MODELS.origin_of(model)])


def check_code(*checks: str | None) -> Code | None:
    """Return the code of checks; None if all are built in."""
    return code_registered_by(_origins_of_checks(*checks))


def check_hash(*checks: str | None) -> str | None:
    """Return the hash of the code of checks; None if all are built in."""
    code = check_code(*checks)
    return code.hash if code else None


def _origins_of_checks(*checks: str | None) -> list[Origin | None]:
    return [CHECKS.origin_of(part.base) for check in checks for part in find_check(check).parts]


def own_files(spec: RunSpec, method: Method | None, dataset: str) -> tuple[str, ...]:
    """Return the files of users in which something that a run names is registered.

    Args:
        spec: the run.
        method: its method; None for a dense network.
        dataset: how the command line names the data set.
    """
    origins = [MODELS.origin_of(spec.setting.model), dataset_origin(dataset)]
    origins += _origins_of_checks(spec.check, spec.trained_on)
    while method:
        name = method.name.partition("@")[0]
        criterion = method.criterion.name.partition("@")[0]
        origins += [METHODS.origin_of(name), CRITERIA.origin_of(criterion), ALLOCATIONS.origin_of(method.allocation)]
        method = method.ratios_of
    return files_that_load(origins)


def load_own_files(files: tuple[str, ...]) -> None:
    """Execute the files of users in which something is registered that a run names.

    Raises:
        InputError: one of them is missing, or cannot be run.
    """
    for file in files:
        load_file(Path(file))


@contextlib.contextmanager
def watched(what: str) -> Iterator[Observation]:
    """See which files code uses, and say so where it looks for anything that is in no file.

    Args:
        what: whose code it is, for the sentence.
    """
    with Observation() as seen:
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

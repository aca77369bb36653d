"""Versions of users' own code: several hashes under one name, of which the latest is what was asked about last."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prunecheck.runs.index import FoundRun
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import SPEC
from prunecheck.studies.question import Question
from prunecheck.studies.question_log import LoggedQuestion
from prunecheck.user_code import without_arguments

Code = tuple[str, tuple[object, ...]]
"""What is code, such as ``method``, and what tells it from others of its kind: its name and, of data, what is used."""


@dataclass(frozen=True)
class Versions:
    """Which version of each code is the latest.

    Attributes:
        latest: the hash of it, of what has several.
    """

    latest: Mapping[Code, str]

    def old_in(self, spec: RunSpec) -> list[str]:
        """Return the names of that in a run which has a later version."""
        return [str(code[1][0]) for code, hash in codes_of(spec) if self.latest.get(code, hash) != hash]

    def is_old(self, spec: RunSpec) -> bool:
        """Say whether a run was done with code that has a later version."""
        return bool(self.old_in(spec))

    def is_about_old(self, question: Question) -> bool:
        """Say whether a question compares runs of code that has a later version."""
        return any(map(self.is_old, _kinds_of_runs(question)))


def versions_of(runs: Iterable[FoundRun], logged: Iterable[LoggedQuestion] = ()) -> Versions:
    """Return which version of each code is the latest: that of the question, or the run, that was begun last.

    Built-in code and users' own of the same name are different things, and not versions of each other. Where it cannot
    be told which is later, for the folders are gone, none is.

    Args:
        runs: that were found, the half-finished ones too.
        logged: the questions that were asked there.
    """
    of_code: defaultdict[Code, defaultdict[str, list[FoundRun]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for code, hash in codes_of(run.spec):
            of_code[code][hash].append(run)
    several = {code: hashes for code, hashes in of_code.items() if len(hashes) > 1}
    begun = {
        (code, hash): max(map(_begun_at, found)) for code, hashes in several.items() for hash, found in hashes.items()
    }
    for entry in logged if several else ():
        for spec in _kinds_of_runs(entry.question):
            for one in codes_of(spec):
                if one in begun:
                    begun[one] = max(begun[one], entry.asked_at)
    latest = {}
    for code, hashes in several.items():
        last = max(hashes, key=lambda hash: begun[code, hash])
        if sum(begun[code, hash] == begun[code, last] for hash in hashes) == 1:
            latest[code] = last
    return Versions(latest)


def of_different_versions(runs: Iterable[FoundRun]) -> list[list[str]]:
    """Return the names that differ in their arguments alone and whose runs were done with different code.

    Of these it cannot be told whether the code was changed, or reads other files under other arguments.
    """
    found: defaultdict[Code, dict[str, str]] = defaultdict(dict)
    for (kind, (name, *others)), hash in {code: hash for run in runs for code, hash in codes_of(run.spec)}.items():
        found[kind, (without_arguments(str(name))[0], *others)][str(name)] = hash
    return [sorted(names) for names in found.values() if len(set(names.values())) > 1]


def codes_of(spec: RunSpec) -> Iterator[tuple[Code, str]]:
    """Yield what in a run is users' own code or data, and its hash."""
    setting = spec.setting
    used = (setting.train_images, setting.test_images, setting.augment, setting.normalize)
    for kind, identity, hash in (
        ("dataset", (setting.dataset, *used), setting.dataset_hash),
        ("model", (setting.model,), setting.model_hash),
        ("metric", (setting.metric,), setting.metric_hash),
        ("method", (spec.method,), spec.method_hash),
        ("check", (spec.check,), spec.check_hash),
    ):
        if hash is not None:
            yield (kind, identity), hash


def _kinds_of_runs(question: Question) -> Iterator[RunSpec]:
    """Yield one run of each kind of ticket that a question compares."""
    sparsity, seed = question.sparsities[0], question.seeds[0] if question.seeds else 0
    for check in (None, *question.checks):
        yield question.method_run(sparsity, check, seed)
    if question.others is not None:
        yield question.baseline_run(sparsity, seed)


def _begun_at(run: FoundRun) -> float:
    """Return when a run was begun, in seconds since the epoch; 0 if its folder is gone."""
    try:
        return (run.path / SPEC).stat().st_mtime
    except OSError:
        return 0.0

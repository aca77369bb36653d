"""The questions that recorded runs answer: found in the folders of any number of commands."""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from prunecheck.analysis.recorded_question import RecordedMethod, RecordedQuestion, Setting
from prunecheck.checks import find_check
from prunecheck.errors import InputError
from prunecheck.pruning import DENSE, Method, find_method
from prunecheck.studies.found_runs import FoundRun, FoundRuns
from prunecheck.studies.needs import needed_runs
from prunecheck.studies.results import RunResult
from prunecheck.studies.specs import RunSpec
from prunecheck.training import Recipe

USUAL_BASELINE = "random-smart"
"""Whose tickets others are compared with unless the user says otherwise: where they were trained."""

NAMED = 3
"""So many of the folders that cannot be read are named."""


@dataclass(frozen=True)
class RecordedSetting:
    """The runs of one setting, and the questions about them.

    Attributes:
        runs: every finished run that is a ticket, or the dense network, and not only a step to one.
    """

    setting: Setting
    runs: Mapping[RunSpec, FoundRun]
    questions: tuple[RecordedQuestion, ...]

    def result(self, run: RunSpec) -> RunResult | None:
        """Return what a run ended with, or None."""
        found = self.runs.get(run)
        return found.result if found else None


@dataclass(frozen=True)
class Records:
    """What was found.

    Attributes:
        notes: sentences about what was left out, and why.
    """

    settings: tuple[RecordedSetting, ...]
    notes: tuple[str, ...]


def recorded_questions(found: FoundRuns, margin: float, baseline: str | None = USUAL_BASELINE) -> Records:
    """Return the questions that finished runs answer, one for each method in each setting.

    Runs of different data, networks or recipes are never compared with each other.

    Args:
        found: the runs, the half-finished ones too.
        margin: points of accuracy that make no practical difference.
        baseline: the method whose tickets the others' are compared with, where both were trained;
            None for nothing.

    Raises:
        InputError: the margin is none, no run is finished, or none is of the baseline (unless it
            is the usual one).
    """
    require_margin(margin)
    finished = [run for run in found.runs if run.result]
    if not finished:
        raise InputError(_nothing_finished(found))
    if baseline is not None:
        _require_baseline(baseline, finished)
    steps = _steps(finished)
    unknown = {run.spec.check for run in finished if run.spec.check and not _is_known(run.spec.check)}
    groups: dict[Setting, dict[RunSpec, FoundRun]] = {}
    for run in finished:
        if run.spec not in steps and run.spec.check not in unknown:
            groups.setdefault(Setting.of(run.spec), {})[run.spec] = run
    settings = [
        RecordedSetting(setting, runs, _questions(runs.keys(), margin, baseline))
        for setting, runs in sorted(groups.items(), key=lambda group: _most_runs_first(*group))
    ]
    return Records(tuple(settings), tuple(_notes(found, settings, len(steps), unknown)))


def require_margin(margin: float) -> None:
    """Raise :class:`InputError` unless a margin can be one."""
    if not margin > 0:
        raise InputError(f"the margin must be more than 0 points, not {margin:g}.")
    if margin >= 100:
        raise InputError(f"no two accuracies differ by {margin:g} points: give a --margin of a few points.")


def _nothing_finished(found: FoundRuns) -> str:
    if found.runs:
        count = "1 run is" if len(found.runs) == 1 else f"all {len(found.runs):,} runs are"
        return f"{count} half-finished, of which nothing can be told: call the command that began there again."
    return "no run could be read in these folders: give folders that --out of a command named."


def _require_baseline(baseline: str, finished: Sequence[FoundRun]) -> None:
    from prunecheck.registry import unknown_name

    names = {run.spec.method for run in finished} - {DENSE}
    if baseline != USUAL_BASELINE and baseline not in names:
        raise unknown_name("method among these runs", baseline, [*sorted(names), "none"])


def _steps(finished: Iterable[FoundRun]) -> set[RunSpec]:
    """Return the runs that only gave weights to others: of corrupted data, of fewer epochs, of earlier rounds."""
    specs = [run.spec for run in finished]
    steps = {spec for spec in specs if spec.trained_on or (spec.method == DENSE and spec.check)}
    asked = {(spec.method, spec.sparsity) for spec in specs if spec.check}
    for spec in specs:
        for needed in _needed(spec):
            other_method = needed.method != spec.method and (needed.method, needed.sparsity) not in asked
            if needed.recipe != spec.recipe or (needed.method != DENSE and other_method):
                steps.add(needed)
    return steps.intersection(specs)


def _needed(spec: RunSpec) -> Iterable[RunSpec]:
    in_file = ".py:" in spec.method
    method = None if in_file else _method_named(spec.method)
    try:
        return needed_runs(spec, method).values()
    except InputError:
        return ()  # its check, or what it goes back to, is none of this version


@functools.cache
def _method_named(name: str) -> Method | None:
    """Return a method; None for a dense network, and for what is known only where it was run."""
    try:
        return None if name == DENSE else find_method(name)
    except InputError:
        return None


@functools.cache
def _is_known(check: str) -> bool:
    try:
        return bool(find_check(check).name)
    except InputError:
        return False


def _most_runs_first(setting: Setting, runs: Mapping[RunSpec, FoundRun]) -> tuple[object, ...]:
    return setting.dataset, setting.model, setting.width or 0, -len(runs), repr(setting)


Variant = tuple[str, str | None, int, int]
"""What tells tickets of one setting apart, beside sparsity, check and seed."""


def _variant(spec: RunSpec) -> Variant:
    return spec.method, spec.method_hash, spec.samples_per_class, spec.scoring_rounds


def _questions(specs: Iterable[RunSpec], margin: float, baseline: str | None) -> tuple[RecordedQuestion, ...]:
    variants: dict[Variant, list[RunSpec]] = {}
    for spec in specs:
        if spec.method != DENSE:
            variants.setdefault(_variant(spec), []).append(spec)
    names = {variant: RecordedMethod(_name(variant, variants)) for variant in variants}
    of_baseline = [variant for variant in variants if variant[0] == baseline]
    others = max(of_baseline, key=lambda variant: len(variants[variant]), default=None)
    return tuple(
        RecordedQuestion(
            method=names[variant],
            own=replace(runs[0], check=None, check_hash=None),
            baseline=None if others is None or variant == others else names[others],
            others=None
            if others is None or variant == others
            else replace(variants[others][0], check=None, check_hash=None),
            sparsities=tuple(sorted({spec.sparsity for spec in runs})),
            checks=tuple(sorted({spec.check for spec in runs if spec.check}, key=_in_order)),
            seeds=tuple(sorted({spec.seed for spec in runs})),
            margin=margin,
            check_hashes=tuple(_check_hashes(runs).items()),
        )
        for variant, runs in sorted(variants.items(), key=lambda item: (item[0][0] == baseline, *map(str, item[0])))
    )


def _check_hashes(runs: Iterable[RunSpec]) -> dict[str, str]:
    """Return the hash of each check's code; of several versions of it, that of the most runs."""
    counts = Counter((spec.check, spec.check_hash) for spec in runs if spec.check and spec.check_hash)
    return {str(check): str(code) for (check, code), _ in reversed(counts.most_common())}


def _in_order(check: str) -> tuple[str, float, str]:
    """Return what checks are sorted by: the shares of one check from small to large, the whole last."""
    base, _, share = check.partition("@")
    try:
        return base, float(share or "inf"), check
    except ValueError:
        return base, 0.0, check


def _name(variant: Variant, variants: Iterable[Variant]) -> str:
    """Return a method's name, with what tells it from others of that name."""
    method, method_hash, samples, rounds = variant
    others = [other for other in variants if other[0] == method]
    parts = []
    if len({other[1] for other in others}) > 1:
        parts.append(f"file {method_hash[:8]}" if method_hash else "built in")
    if len({other[2:] for other in others}) > 1:
        parts.append(f"{samples} samples a class" + (f" in {rounds} rounds" if rounds > 1 else ""))
    return f"{method} ({', '.join(parts)})" if parts else method


def _notes(
    found: FoundRuns, settings: Sequence[RecordedSetting], steps: int, unknown: Iterable[str | None]
) -> Iterable[str]:
    half = sum(run.result is None for run in found.runs)
    if half:
        it = "it" if half == 1 else "them"
        yield f"{_count(half, 'half-finished run')} left out: call the command that began {it} again to finish {it}."
    if found.unreadable:
        first, count = found.unreadable[0], len(found.unreadable)
        names = ", ".join(run.path.name for run in found.unreadable[:NAMED])
        more = f" and {count - NAMED:,} more" if count > NAMED else ""
        yield f"{_count(count, 'folder')} left out, for what cannot be read: {names}{more} (the first: {first.reason})."
    if steps:
        yield f"{_count(steps, 'run')} only a step to others, whose weights started there, and not compared."
    listed = ", ".join(sorted(str(check) for check in unknown))
    if listed:
        yield f"Left out runs under checks that are not known here: {listed}."
    networks = {replace(one.setting, recipe=Recipe()) for one in settings}
    if len(networks) < len(settings):
        recipes = len({one.setting.recipe for one in settings})
        yield (
            f"The runs have {recipes} different recipes: each is reported by itself, and runs of different recipes are "
            "never compared."
        )
    elif len(settings) > 1:
        yield f"The runs have {len(settings)} settings (data and network): each is reported by itself."


def _count(number: int, noun: str) -> str:
    return f"1 {noun} was" if number == 1 else f"{number:,} {noun}s were"

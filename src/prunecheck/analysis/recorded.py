"""The questions that recorded runs answer: found in the folders of any number of commands."""

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from prunecheck.analysis.asked_together import RecordedQuestion, again_notes, asked_again, each_once, unshown
from prunecheck.checks import find_check
from prunecheck.errors import InputError, field_name
from prunecheck.metrics import Margin, MarginOf, Quantity
from prunecheck.pruning import DENSE, Method, find_method
from prunecheck.reading import reading_only
from prunecheck.runs.dependencies import dependencies_of
from prunecheck.runs.index import FoundRun, FoundRuns
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.studies.question import Question, Scope, template
from prunecheck.studies.question_log import LoggedQuestion
from prunecheck.training import Recipe

USUAL_BASELINE = "random-smart"
"""Whose tickets others are compared with unless the user says otherwise: where they were trained."""

NO_BASELINE = "none"
"""In the place of a baseline's name."""

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
    recorded: tuple[RecordedQuestion, ...]

    @property
    def questions(self) -> tuple[Question, ...]:
        """As they are answered."""
        return tuple(one.question for one in self.recorded)


@dataclass(frozen=True)
class Records:
    """What was found.

    Attributes:
        notes: sentences about what was left out, and why.
        unshown: other questions whose verdicts are adjusted with those of recorded ones, each with the name of the
            family: what was asked together stays together.
    """

    settings: tuple[RecordedSetting, ...]
    notes: tuple[str, ...]
    unshown: tuple[tuple[Question, str], ...] = ()


@reading_only()
def recorded_questions(
    found: FoundRuns,
    margin: float | str | None = None,
    baseline: str | None = None,
    logged: Sequence[LoggedQuestion] = (),
    family: Scope | None = None,
    every: Sequence[LoggedQuestion] = (),
) -> Records:
    """Return the questions that finished runs answer: those that were asked, and others about what is left.

    What nobody is known to have asked is gathered to one question for each method in each setting. Runs of different
    data, networks or recipes are never compared with each other.

    Args:
        found: the runs, the half-finished ones too.
        margin: what makes no practical difference, in the unit of what runs are judged by, or ``"1%"`` of its value;
            None for those that were asked with.
        baseline: the method whose tickets the others' are compared with, where both were trained; ``none`` for
            nothing; None for those that were asked for.
        logged: the questions that were asked where the runs lie.
        family: how far the families of verdicts reach; None for as far as when they were asked.
        every: all questions that were asked there, those that are not to be shown too.

    Raises:
        InputError: the margin is none, or is given for runs that are judged in different units; no run is finished, or
            none is of the baseline (unless it is the usual one).
    """
    finished = [run for run in found.runs if run.result]
    if not finished:
        raise InputError(_nothing_finished(found))
    margins = _margins(margin, {run.spec.setting.quantity for run in finished})
    if baseline not in (None, NO_BASELINE):
        _require_baseline(baseline, finished)
    steps = _steps(finished)
    unknown = {run.spec.check for run in finished if run.spec.check and not _is_known(run.spec.check)}
    groups: dict[Setting, dict[RunSpec, FoundRun]] = {}
    for run in finished:
        if run.spec not in steps and run.spec.check not in unknown:
            groups.setdefault(run.spec.setting, {})[run.spec] = run
    settings, without_margin, again = [], list[Setting](), list[str]()
    sizes = Counter(entry.asked_with for entry in every or logged)
    for setting, runs in sorted(groups.items(), key=lambda group: _most_runs_first(*group)):
        variants = _variants(runs)
        entries = [entry for entry in logged if _is_about(entry.question, setting, runs)]
        covered = {run for entry in entries for run in entry.question.runs()}
        chosen = margins.get(setting.quantity)
        least = chosen or _usual_margin(setting.quantity)
        if least is None:
            gathered: list[Question] = []
            without_margin += [setting] if covered.isdisjoint(runs) else []
        else:
            gathered = list(_gathered(variants, covered, least, baseline or USUAL_BASELINE))
        usual = USUAL_BASELINE if baseline is None else baseline
        together = Scope.REPORT.value if family is Scope.REPORT else None
        asked = [
            RecordedQuestion(
                _as_shown(entry.question, chosen, baseline, variants),
                entry,
                entry.asked_with if family is None else together,
            )
            for entry in entries
        ]
        once = each_once(asked, sizes)
        again += [question for question in asked_again(asked, once) if question not in again]
        found_here = [*once, *(RecordedQuestion(question, None, together) for question in gathered)]
        found_here.sort(key=lambda one: (one.question.own.method == usual, one.question.method))
        settings.append(RecordedSetting(setting, runs, tuple(found_here)))
    notes = (*_margin_notes(without_margin), *_notes(found, settings, len(steps), unknown), *again_notes(again))
    shown = [question for setting in settings for question in setting.recorded]
    others = tuple(unshown(every, shown, margins)) if family is None else ()
    return Records(tuple(settings), notes, others)


def _usual_margin(quantity: Quantity) -> Margin | None:
    usual = quantity.usual_margin
    return None if usual is None else Margin(usual)


def _margins(margin: float | str | None, quantities: Collection[Quantity]) -> dict[Quantity, Margin]:
    """Return the margin that is given, by what it is of; nothing for None."""
    if margin is None:
        return {}
    found = {quantity: MarginOf(quantity).require("margin", margin) for quantity in quantities}
    units = {quantity.unit_of_differences: quantity for quantity, one in found.items() if not one.is_relative}
    if len(units) > 1:
        listed = " and ".join(sorted(map(str, units.values())))
        raise InputError(
            f"these runs are judged by {listed}, and one {field_name('margin')} cannot be of both: leave it out, or "
            "give folders whose runs are judged in one unit.",
            field="margin",
        )
    return found


def _margin_notes(settings: Iterable[Setting]) -> Iterator[str]:
    for quantity in dict.fromkeys(setting.quantity for setting in settings):
        yield (
            f"Nothing is concluded from runs that are judged by {quantity}, for no question about them is known, nor a "
            "margin: give one."
        )


def _is_about(question: Question, setting: Setting, runs: Mapping[RunSpec, FoundRun]) -> bool:
    return question.setting == setting and any(run in runs for run in question.runs() if run.method != DENSE)


def _as_shown(question: Question, margin: Margin | None, baseline: str | None, variants: "Variants") -> Question:
    """Return a question that was asked, with the margin and the baseline that it is to be shown with."""
    question = replace(question, method=_name(_variant(question.own), variants))
    if margin is not None:
        question = replace(question, margin=margin)
    if baseline is not None and baseline != (question.others.method if question.others else NO_BASELINE):
        others = _baseline_among(variants, baseline, question.own)
        name = None if others is None else _name(_variant(others), variants)
        question = replace(question, baseline=name, others=others)
    elif question.others is not None:
        question = replace(question, baseline=_name(_variant(question.others), variants))
    return question


def _nothing_finished(found: FoundRuns) -> str:
    if found.runs:
        count = "1 run is" if len(found.runs) == 1 else f"all {len(found.runs):,} runs are"
        return f"{count} half-finished, of which nothing can be told: call the command that began there again."
    return "no run could be read in these folders: give folders that runs were written to."


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
            if needed.setting.recipe != spec.setting.recipe or (needed.method != DENSE and other_method):
                steps.add(needed)
    return steps.intersection(specs)


def _needed(spec: RunSpec) -> Iterable[RunSpec]:
    try:
        return dependencies_of(spec, _method_named(spec.method)).values()
    except InputError:
        return ()  # its check, or what it goes back to, is none of this version


@functools.cache
def _method_named(name: str) -> Method | None:
    """Return a method; None for a dense network, and for what users' own code defines or packages that are not here."""
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


Variants = Mapping[Variant, Sequence[RunSpec]]
"""The runs of one setting by what tells its kinds of tickets apart."""


def _variants(specs: Iterable[RunSpec]) -> Variants:
    variants: dict[Variant, list[RunSpec]] = {}
    for spec in specs:
        if spec.method != DENSE:
            variants.setdefault(_variant(spec), []).append(spec)
    return variants


def _baseline_among(variants: Variants, baseline: str, own: RunSpec) -> RunSpec | None:
    """Return what the runs of a baseline have in common: of its variants, the one with most runs, and not ``own``."""
    found = [variant for variant in variants if variant[0] == baseline]
    most = max(found, key=lambda variant: len(variants[variant]), default=None)
    return None if most is None or most == _variant(own) else template(variants[most][0])


def _gathered(variants: Variants, covered: Collection[RunSpec], margin: Margin, baseline: str) -> Iterator[Question]:
    """Yield a question for the runs of each method that no other question is about."""
    for variant, every in variants.items():
        runs = [run for run in every if run not in covered]
        if not runs:
            continue
        own = template(runs[0])
        # Where all its own tickets are covered, so is what the baseline shows.
        others = _baseline_among(variants, baseline, own) if any(run.check is None for run in runs) else None
        checks = tuple(sorted({run.check for run in runs if run.check}, key=_in_order))
        yield Question(
            method=_name(variant, variants),
            own=own,
            baseline=None if others is None else _name(_variant(others), variants),
            others=others,
            sparsities=tuple(sorted({run.sparsity for run in runs})),
            checks=checks,
            reaching=checks,
            check_hashes=_check_hashes(runs, checks),
            seeds=tuple(sorted({run.seed for run in runs})),
            margin=margin,
            is_asked=False,
        )


def _check_hashes(runs: Iterable[RunSpec], checks: Iterable[str]) -> tuple[str | None, ...]:
    """Return the hash of each check's code; of several versions of it, that of the most runs."""
    counts = Counter((run.check, run.check_hash) for run in runs)
    hashes = {check: code for (check, code), _ in reversed(counts.most_common())}
    return tuple(hashes[check] for check in checks)


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

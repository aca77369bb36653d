"""Notes of a report: what a reader should know first, of what its settings have and lack."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from prunecheck.report.afterwards import afterwards_texts
from prunecheck.report.reading import FEW_SEEDS, joined
from prunecheck.studies.question import what_pairs

if TYPE_CHECKING:
    from prunecheck.report.contents import AnsweredSetting


def afterwards_notes(settings: "Iterable[AnsweredSetting]") -> Iterator[str]:
    """Say what of questions was chosen when an answer was known, each text once, with the methods that it is about."""
    answers = [answer for setting in settings for answer in setting.answers]
    methods: dict[str, list[str]] = {}
    for answer in answers:
        for text in afterwards_texts(answer):
            methods.setdefault(text, []).append(answer.question.method)
    for text, names in methods.items():
        yield text if len(names) == len(answers) else f"{joined(list(dict.fromkeys(names)), 'and')}: {text}"


def other_notes(settings: "Sequence[AnsweredSetting]") -> Iterator[str]:
    """Say what has no partner or is missing, how few pairs there are, and in what runs of all settings differ."""
    yield from _unpaired_notes(settings)
    yield from _general_notes(settings)


def _unpaired_notes(settings: "Iterable[AnsweredSetting]") -> Iterator[str]:
    for setting in settings:
        for answer in setting.answers:
            lost: dict[str, int] = {}
            for comparison in answer.comparisons:
                if alone := comparison.own.seeds ^ comparison.other.seeds:
                    lost[comparison.against] = lost.get(comparison.against, 0) + len(alone)
            if lost:
                listed = ", ".join(f"{name} ({number})" for name, number in lost.items())
                yield (
                    f"{answer.question.method} on {setting.title}: tickets without a partner of the same "
                    f"{answer.question.paired_by} are left out of the comparisons with {listed}."
                )
            is_sequential = answer.question.sequential is not None
            missing = answer.missing if is_sequential else {*answer.question.runs()} - setting.runs.keys()
            if missing and answer.question.is_asked:
                yield (
                    f"{answer.question.method} on {setting.title}: {len(missing):,} of the runs that were asked for "
                    "are not here."
                )


def _general_notes(settings: "Sequence[AnsweredSetting]") -> Iterator[str]:
    pairs = [
        len(comparison.pairs)
        for setting in settings
        for answer in setting.answers
        for comparison in answer.comparisons
        if comparison.pairs
    ]
    if not pairs:
        yield "Nothing is compared with anything: there are no verdicts."
    elif max(pairs) == 1:
        unit = what_pairs(answer.question for setting in settings for answer in setting.answers)
        yield f"There is one {unit} only: there are no intervals, and one {unit} cannot decide anything."
    elif min(pairs) == 1:
        yield "Some comparisons have one pair only: they have no interval and decide nothing."
    elif min(pairs) <= FEW_SEEDS:
        yield f"Some comparisons have no more than {min(pairs)} pairs, which seldom decide anything."
    results = [result for setting in settings for result in setting.all_results]
    for what, values in (
        ("devices", {result.device for result in results}),
        ("versions of torch", {result.versions.get("torch", "unknown") for result in results}),
        ("versions of prunecheck", {result.versions.get("prunecheck", "unknown") for result in results}),
    ):
        if len(values) > 1:
            yield f"The runs were done with different {what} ({', '.join(sorted(values))})."
    without = [setting.title for setting in settings if not setting.dense_runs]
    if without:
        yield (
            f"No dense network was recorded for {'; '.join(without)}: whether tickets are better than guessing is "
            "judged without it."
        )

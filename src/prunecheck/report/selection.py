"""A part of a report, and other names in it: for papers, which show some methods under names of their own."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.errors import InputError
from prunecheck.registry import unknown_name
from prunecheck.report.contents import AnsweredSetting, ReportContents


def selected(
    contents: ReportContents, methods: Collection[str] | None = None, sparsities: Collection[float] | None = None
) -> ReportContents:
    """Return what a report says of some methods and sparsities; verdicts, and their families, stay what they are.

    Args:
        contents: all of it.
        methods: those whose questions are shown; None for all.
        sparsities: those that are shown; None for all.

    Raises:
        InputError: there is no such method, or no such sparsity.
    """
    if methods is None and sparsities is None:
        return contents
    answers = [answer for setting in contents.settings for answer in setting.answers]
    names = dict.fromkeys(answer.question.method for answer in answers)
    for method in methods or ():
        if method not in names:
            raise unknown_name("method in this report", method, names, field="methods")
    found = sorted({sparsity for answer in answers for sparsity in answer.question.sparsities})
    for sparsity in sparsities or ():
        if sparsity not in found:
            listed = ", ".join(f"{one:g}" for one in found)
            raise InputError(f"this report has no sparsity {sparsity:g}: choose one of {listed}.", field="sparsity")
    settings = []
    for setting in contents.settings:
        kept = [answer for answer in setting.answers if methods is None or answer.question.method in methods]
        narrowed = [one for one in (_at(answer, sparsities) for answer in kept) if one.question.sparsities]
        if narrowed:
            settings.append(replace(setting, answers=tuple(narrowed)))
    if not settings:
        raise InputError("no question is about these methods at these sparsities: choose others.", field="sparsity")
    return replace(contents, settings=tuple(settings))


def _at(answer: Conclusion, sparsities: Collection[float] | None) -> Conclusion:
    if sparsities is None:
        return answer
    question = answer.question
    left = tuple(sparsity for sparsity in question.sparsities if sparsity in sparsities)
    return replace(
        answer,
        question=replace(question, sparsities=left),
        found=replace(answer.found, own={one: answer.found.own[one] for one in left}),
        comparisons=tuple(one for one in answer.comparisons if one.sparsity in sparsities),
    )


def renamed(contents: ReportContents, names: Mapping[str, str]) -> ReportContents:
    """Return the contents with other names of methods.

    Args:
        contents: what a report says.
        names: per method as it was recorded, what it is called.

    Raises:
        InputError: there is no such method.
    """
    known = {tickets.name for setting in contents.settings for tickets in setting.methods()}
    for name in names:
        if name not in known:
            raise unknown_name("method in this report", name, sorted(known), field="name")
    if not names:
        return contents
    return replace(contents, settings=tuple(_setting_renamed(setting, names) for setting in contents.settings))


def _setting_renamed(setting: AnsweredSetting, names: Mapping[str, str]) -> AnsweredSetting:
    return replace(setting, answers=tuple(_answer_renamed(answer, names) for answer in setting.answers))


def _answer_renamed(answer: Conclusion, names: Mapping[str, str]) -> Conclusion:
    question = answer.question
    baseline = question.baseline and names.get(question.baseline, question.baseline)
    question = replace(question, method=names.get(question.method, question.method), baseline=baseline)
    return replace(
        answer, question=question, comparisons=tuple(_comparison_renamed(one, names) for one in answer.comparisons)
    )


def _comparison_renamed(comparison: Comparison, names: Mapping[str, str]) -> Comparison:
    against = comparison.against if comparison.is_check else names.get(comparison.against, comparison.against)
    return replace(comparison, method=names.get(comparison.method, comparison.method), against=against)

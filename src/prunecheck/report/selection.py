"""A part of a report, and other names in it: for papers, which show some methods under names of their own."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.errors import InputError, field_name
from prunecheck.registry import unknown_name
from prunecheck.report.contents import AnsweredSetting, ReportContents
from prunecheck.studies.selection import OF_A_RUN, Selection, tickets_row


def selected(contents: ReportContents, selection: Selection) -> ReportContents:
    """Return what a report says of some tickets; verdicts, and their families, stay what they are.

    Args:
        contents: all of it.
        selection: of tickets: by setting, recipe, method, sparsity and check (``none``: beside the baseline's alone).

    Raises:
        InputError: it is about what differs among the seeds of a ticket; or nothing is chosen.
    """
    if not selection:
        return contents
    for term in selection.terms:
        if term.field in OF_A_RUN:
            raise InputError(
                f"a verdict is over all seeds of a ticket, and {term.field} differs among them: leave it out of "
                f"{field_name('select')}.",
                field="select",
            )
    answers = [answer for setting in contents.settings for answer in setting.answers]
    selection.require_known([row for answer in answers for row in _rows(answer)])
    settings = []
    for setting in contents.settings:
        narrowed = [_narrowed(answer, selection) for answer in setting.answers]
        if left := tuple(answer for answer in narrowed if answer.question.sparsities):
            settings.append(replace(setting, answers=left))
    if not settings:
        raise InputError(f"no ticket in this report is one of {selection}: choose others.", field="select")
    return replace(contents, settings=tuple(settings))


def _rows(answer: Conclusion) -> Iterator[dict[str, Any]]:
    for sparsity in answer.question.sparsities:
        for check in (None, *answer.question.checks):
            yield _row(answer, sparsity, check)


def _row(answer: Conclusion, sparsity: float, check: str | None) -> dict[str, Any]:
    return tickets_row(replace(answer.question.own, sparsity=sparsity)) | {"check": check}


def _narrowed(answer: Conclusion, selection: Selection) -> Conclusion:
    question = answer.question

    def is_shown(sparsity: float, check: str | None) -> bool:
        return selection.matches(_row(answer, sparsity, check))

    shown = [s for s in question.sparsities if any(is_shown(s, check) for check in (None, *question.checks))]
    checks = [index for index, check in enumerate(question.checks) if any(is_shown(s, check) for s in shown)]
    return replace(
        answer,
        question=replace(
            question,
            sparsities=tuple(shown),
            checks=tuple(question.checks[index] for index in checks),
            reaching=tuple(question.reaching[index] for index in checks),
            check_hashes=tuple(question.check_hashes[index] for index in checks),
        ),
        found=replace(answer.found, own={sparsity: answer.found.own[sparsity] for sparsity in shown}),
        comparisons=tuple(
            one for one in answer.comparisons if is_shown(one.sparsity, one.against if one.is_check else None)
        ),
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

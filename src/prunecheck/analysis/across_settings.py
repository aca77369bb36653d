"""Whether verdicts about a method hang on the setting: on the recipe, the network, or the data set.

A verdict is *decided* where it is about a loss that was shown to be more, or less, than the margin. Two settings in
which the same comparison is decided in different ways show that it hangs on what they differ in: not because one is
significant and the other is not, but because both are, on two sides of the margin. Where all settings belong to one
family, the whole of that is wrong in 5 % at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.verdicts import Verdict
from prunecheck.runs.spec import Setting

OPEN = (Verdict.UNDECIDED, Verdict.COLLAPSED)
"""Verdicts that decide nothing."""


class Dependence(StrEnum):
    """What several settings show about a comparison, or about all of a method's."""

    DEPENDS = "depends on the setting"
    SAME = "the same in all settings"
    UNDECIDED = "not decided in all settings"


@dataclass(frozen=True)
class AcrossSettings:
    """One comparison, in each of several settings.

    Attributes:
        sparsity: of the tickets.
        against: the check or the baseline.
        comparisons: one for each setting, in their order; None where it was not asked for.
    """

    sparsity: float
    against: str
    comparisons: tuple[Comparison | None, ...]

    @property
    def dependence(self) -> Dependence:
        """What the verdicts say together."""
        verdicts = [comparison.verdict if comparison else Verdict.UNDECIDED for comparison in self.comparisons]
        decided = {verdict for verdict in verdicts if verdict not in OPEN}
        if len(decided) > 1:
            return Dependence.DEPENDS
        return Dependence.UNDECIDED if any(verdict in OPEN for verdict in verdicts) else Dependence.SAME


@dataclass(frozen=True)
class MethodAcrossSettings:
    """A method that was asked about in several settings.

    Attributes:
        method: its name.
        answers: one for each setting.
        varied: what the settings differ in: some of ``data set``, ``network``, ``recipe``, ``metric``.
        comparisons: each in all settings.
    """

    method: str
    answers: tuple[Conclusion, ...]
    varied: tuple[str, ...]
    comparisons: tuple[AcrossSettings, ...]

    @property
    def settings(self) -> tuple[Setting, ...]:
        """In the order of the answers."""
        return tuple(answer.question.setting for answer in self.answers)

    @property
    def dependence(self) -> Dependence:
        """Whether any verdict hangs on the setting, or all are the same."""
        found = {one.dependence for one in self.comparisons}
        if Dependence.DEPENDS in found:
            return Dependence.DEPENDS
        return Dependence.SAME if found == {Dependence.SAME} else Dependence.UNDECIDED

    def of_kind(self, dependence: Dependence) -> list[AcrossSettings]:
        """Return the comparisons of which the settings show that."""
        return [one for one in self.comparisons if one.dependence is dependence]


def across_settings(answers: Sequence[Conclusion]) -> list[MethodAcrossSettings]:
    """Return the methods that were compared in more than one setting, each with all of its settings.

    Answers about one method in the same setting are not told apart: the first counts.
    """
    methods = dict.fromkeys(answer.question.method for answer in answers if answer.comparisons)
    found = (_of_method(method, answers) for method in methods)
    return [one for one in found if len(one.answers) > 1]


def _of_method(method: str, answers: Sequence[Conclusion]) -> MethodAcrossSettings:
    by_setting: dict[Setting, Conclusion] = {}
    for answer in answers:
        if answer.question.method == method and answer.comparisons:
            by_setting.setdefault(answer.question.setting, answer)
    chosen = tuple(by_setting.values())
    return MethodAcrossSettings(method, chosen, tuple(_varied(list(by_setting))), tuple(_comparisons(chosen)))


def _comparisons(answers: Sequence[Conclusion]) -> Iterator[AcrossSettings]:
    by_name = [{(one.sparsity, one.against): one for one in answer.comparisons} for answer in answers]
    for sparsity, against in dict.fromkeys(key for of_answer in by_name for key in of_answer):
        yield AcrossSettings(sparsity, against, tuple(one.get((sparsity, against)) for one in by_name))


def _varied(settings: Sequence[Setting]) -> Iterator[str]:
    """Yield in which respects settings differ."""
    if len({(one.data, one.dataset_hash) for one in settings}) > 1:
        yield "data set"
    if len({(one.network, one.model_hash) for one in settings}) > 1:
        yield "network"
    if len({one.recipe for one in settings}) > 1:
        yield "recipe"
    if len({_but_for_metric(one) for one in settings}) < len(settings):
        yield "metric"


def _but_for_metric(setting: Setting) -> Setting:
    usual = Setting(setting.dataset, setting.model)
    names = ("metric", "metric_unit", "metric_higher_is_better", "metric_hash")
    return replace(setting, **{name: getattr(usual, name) for name in names})

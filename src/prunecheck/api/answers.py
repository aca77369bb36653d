"""What :func:`prunecheck.check` and :func:`prunecheck.run` return: answers, to read, compute with, and publish."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self, overload

from prunecheck.analysis.across_settings import MethodAcrossSettings, across_settings
from prunecheck.analysis.comparison import Comparison, Results
from prunecheck.analysis.families import Conclusion, Family
from prunecheck.analysis.sweeps import FallingBehind, falling_behind
from prunecheck.analysis.verdicts import Verdict
from prunecheck.api.exports import NamedByUser, export_runs, which_weights
from prunecheck.api.frames import verdict_frame
from prunecheck.api.rendering import as_text
from prunecheck.data.datasets import AnyDataset
from prunecheck.io import atomic_write, require_output
from prunecheck.models.registry import AnyModel
from prunecheck.printable import for_terminal
from prunecheck.pruning.export_formats import LOSSLESS, find_format
from prunecheck.report.across_settings import across_json, across_sentence, across_table
from prunecheck.report.afterwards import afterwards_texts
from prunecheck.report.answer_json import answer_json
from prunecheck.report.answers import answer_html, answer_table
from prunecheck.report.cells import seeds_text
from prunecheck.report.contents import ReportContents, contents_of_conclusions
from prunecheck.report.formats.html import html_by_itself, paragraph
from prunecheck.report.formats.terminal import rich_table
from prunecheck.report.looks import looks_text
from prunecheck.report.matrix import verdict_matrix
from prunecheck.report.page import REPORT, is_report, report_html
from prunecheck.report.papers import report_latex, report_markdown
from prunecheck.report.reading import reading
from prunecheck.report.remarks import remarks
from prunecheck.report.sweeps import sweep_text
from prunecheck.runs.export import WhichWeights, is_run
from prunecheck.runs.index import read_run
from prunecheck.runs.result import Status
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.question import Question

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    from rich.console import Console, ConsoleOptions, RenderResult

SCHEMA = 1
"""Of the object that several answers make; each answer in it has its own."""


@dataclass(frozen=True, eq=False, repr=False)
class _Answered(ABC):
    """What one answer and several have in common.

    Attributes:
        results: what the runs ended with, dense networks and changed tickets among them.
        folder: where they lie.
        call: what makes all of it again, as a report says.
        paths: the folders of runs that lie elsewhere.
        recorded: what all complete runs there ended with, those of other questions among them.
    """

    results: Results
    folder: Path
    call: str
    _temporary: "TemporaryDirectory[str] | None"
    paths: Mapping[RunSpec, Path] = field(default_factory=dict, kw_only=True)
    recorded: Results = field(default_factory=dict, kw_only=True)

    @property
    @abstractmethod
    def _conclusions(self) -> tuple[Conclusion, ...]:
        """What the questions were answered with."""

    @property
    def _contents(self) -> ReportContents:
        return contents_of_conclusions(self._conclusions, self.results, self.folder, self.paths)

    @property
    def failed(self) -> Mapping[RunSpec, str]:
        """The runs that ended with an error, which is no result, and why, in a line each; done again if asked for."""
        failed = {run: result for run, result in self.results.items() if result.status is Status.FAILED}
        return {run: result.reason or "for a reason that was not recorded" for run, result in failed.items()}

    def told_as(self, call: str) -> Self:
        """Return the same, said by reports to be made by another call."""
        return replace(self, call=call)

    def to_frame(self) -> "pd.DataFrame":
        """Return a row for each comparison, with the columns of the verdicts of ``prunecheck report`` as CSV.

        - ``setting``, ``method``, ``sparsity``, ``against``: what is compared with what; ``is_check``: whether
          ``against`` names a check, and not another method.
        - ``value``, ``changed_value``: means over the seeds of the ``metric``, in its ``unit``; ``higher_is_better``.
          ``accuracy``, ``changed_accuracy``: the same where runs are judged by accuracy, percent. ``difference``: their
          mean difference over the ``pairs`` of tickets that were both trained, ``differences_in`` (points of
          percentages), positive where the change costs something; ``low`` and ``high``: its 95 % t interval.
        - ``p``, ``p_adjusted``: of the verdict by itself, and within its ``family`` of ``family_size`` comparisons
          (Holm); missing where nothing is tested.
        - ``margin`` in the unit of differences, ``verdict``, and ``why`` where it is ``undecided``.
        - ``lost_by_the_change``, ``lost_without_the_change``: seeds of which one ticket of the two collapsed or
          diverged. ``looks``: with how many seeds this was looked at.
        - ``adjusted_low``, ``adjusted_high``: what the mean difference is shown to lie between at the level of its test
          in the family; missing where nothing is shown. ``asked_margin``, ``asked_baseline``, ``asked_differences_in``:
          of the question as it was asked; ``chosen_afterwards``: what of it was chosen when an answer was known.

        What is missing is NA.
        """
        return verdict_frame(self._contents)

    def to_latex(self) -> str:
        """Return the tables that papers need, for the package booktabs: verdicts, seeds, values, ratios, recipe.

        What they mean, and what a reader must know, stands in comments above them.
        """
        return report_latex(self._contents, f"made by: {self.call}")

    def to_markdown(self) -> str:
        """Return a document in Markdown: what the verdicts mean, what a reader must know, and the same tables."""
        return report_markdown(self._contents, self.call)

    def report(self, path: str | Path = REPORT) -> Path:
        """Write one HTML page that needs nothing else: verdicts, figures, tables.

        Args:
            path: of the file, which may be an earlier report.

        Returns:
            The path.

        Raises:
            InputError: there is no such folder, or the file exists and is not a report.
        """
        file = Path(path)
        require_output(file, is_own=is_report)
        atomic_write(file, report_html(self._contents, self.call))
        return file

    def export(
        self,
        folder: str | Path,
        *,
        format: str = LOSSLESS,
        weights: str = WhichWeights.TRAINED,
        model: AnyModel | None = None,
        dataset: AnyDataset | None = None,
        data_root: str | Path | None = None,
    ) -> tuple[Path, ...]:
        """Write the networks that were asked about, for other programs, and a manifest with their hashes.

        There is a file for each run of the questions, the dense networks and the changed tickets among them; those that
        collapsed, diverged or failed have no trained network, and are left out, which the manifest says.

        Args:
            folder: made if need be; it may hold what was exported before.
            format: ``ticket`` (safetensors of weights and masks), ``state-dict``, ``state-dict-safetensors``,
                ``torch-prune``, ``onnx`` (needs ``prunecheck[onnx]``), or ``transformers``.
            weights: ``trained``: those that the runs ended with. ``start``: the tickets, as training, or the test,
                began with them.
            model: for ONNX and ``transformers``, of a network of your own, what builds it, as :func:`prunecheck.check`
                was given it.
            dataset: likewise, a data set of your own.
            data_root: likewise, folder that holds data sets; None for ``PRUNECHECK_DATA`` and the cache.

        Returns:
            The paths of the files.

        Raises:
            InputError: an argument is wrong, no run has such weights, or a file is there that was not exported.
        """
        asked = {run.folder_name: run for one in self._conclusions for run in one.question.runs()}
        paths = [self.paths.get(run, self.folder / name) for name, run in sorted(asked.items())]
        runs = [read_run(path) for path in paths if is_run(path)]
        named = NamedByUser(model, dataset, Path(data_root) if data_root is not None else None)
        return export_runs(runs, Path(folder), find_format(format), which_weights(weights), named).files

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return what the command prints as JSON, with a ``schema`` number, as a dictionary."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return what the command prints as JSON, with a ``schema`` number.

        Args:
            indent: of each level; None for all in one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Yield the verdicts of several answers at a glance, then each one's table, what is said of it, its reading."""
        if len(self._conclusions) > 1 and (matrix := verdict_matrix(self._contents)):
            yield rich_table(matrix)
            yield "\n"
        for number, one in enumerate(self._conclusions):
            yield from ["\n"] if number else []
            yield rich_table(answer_table(one))
            texts = *afterwards_texts(one), remarks(one), looks_text(one), reading(one), sweep_text(one)
            for text in filter(None, texts):
                yield ""
                yield for_terminal(text)
        for across in across_settings(self._conclusions):
            yield "\n"
            yield rich_table(across_table(across))
            yield ""
            yield for_terminal(across_sentence(across))

    def __str__(self) -> str:
        """Return the table and the reading, as the command prints them."""
        return as_text(self)

    def _repr_html_(self) -> str:
        """Return a small table for notebooks, which needs nothing beside it."""
        parts = [f"{answer_html(one)}{paragraph(reading(one))}" for one in self._conclusions]
        for across in across_settings(self._conclusions):
            parts.append(f"{html_by_itself(across_table(across))}{paragraph(across_sentence(across))}")
        return f"<div>{''.join(parts)}</div>"


@dataclass(frozen=True, eq=False, repr=False)
class Answer(_Answered):
    """The answer to one question about one method.

    Printed, it is a table and its reading; a notebook shows a table.

    Attributes:
        conclusion: all that is concluded, for :mod:`prunecheck.analysis` and :mod:`prunecheck.report`.
    """

    conclusion: Conclusion

    @property
    def _conclusions(self) -> tuple[Conclusion, ...]:
        return (self.conclusion,)

    @property
    def question(self) -> Question:
        """What was asked: method, setting, sparsities, checks, baseline, seeds and margin."""
        return self.conclusion.question

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The method's tickets beside changed ones and the baseline's, in the order of the table."""
        return self.conclusion.comparisons

    @property
    def verdicts(self) -> Mapping[tuple[float, str], Verdict]:
        """The verdict of each comparison, by sparsity and the name of the check or baseline."""
        return {(one.sparsity, one.against): one.verdict for one in self.comparisons}

    @property
    def family(self) -> Family:
        """The comparisons that were corrected together (Holm)."""
        return self.conclusion.family

    @property
    def falls_behind(self) -> FallingBehind | None:
        """In a sweep, the sparsity at which the method falls behind its baseline; None for what is no sweep."""
        return falling_behind(self.conclusion)

    @property
    def reading(self) -> str:
        """What the verdicts mean, in a few sentences."""
        return reading(self.conclusion)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``prunecheck check`` prints as JSON, as a dictionary."""
        return answer_json(self.conclusion)

    def __repr__(self) -> str:
        """Return what was asked, and the verdicts."""
        listed = ", ".join(
            f"{against} at {sparsity:g}: {verdict}" for (sparsity, against), verdict in self.verdicts.items()
        )
        return f"<Answer {_about(self.conclusion)}; {listed or 'nothing is compared'}>"


@dataclass(frozen=True, eq=False, repr=False)
class Answers(_Answered, Sequence[Answer]):
    """The answers to the questions of a study, in their order; a sequence.

    Attributes:
        study: its name.
        hash: the same for studies that ask the same.
        conclusions: one for each question.
    """

    study: str
    hash: str
    conclusions: tuple[Conclusion, ...]

    @property
    def _conclusions(self) -> tuple[Conclusion, ...]:
        return self.conclusions

    @overload
    def __getitem__(self, index: int) -> Answer: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Answer, ...]: ...

    def __getitem__(self, index: int | slice) -> Answer | tuple[Answer, ...]:
        """Return one answer, or some."""
        if isinstance(index, slice):
            return tuple(map(self._answer, self.conclusions[index]))
        return self._answer(self.conclusions[index])

    @property
    def across_settings(self) -> tuple[MethodAcrossSettings, ...]:
        """What each method that was asked about in several settings shows in them together."""
        return tuple(across_settings(self.conclusions))

    @property
    def robustness(self) -> str:
        """Say of each such method in one sentence whether its verdicts hang on the setting; empty if there is none."""
        return " ".join(map(across_sentence, self.across_settings))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.conclusions)

    def __iter__(self) -> Iterator[Answer]:
        """Yield each answer."""
        return map(self._answer, self.conclusions)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those of all comparisons of all questions."""
        return tuple(one.verdict for conclusion in self._conclusions for one in conclusion.comparisons)

    def _answer(self, conclusion: Conclusion) -> Answer:
        return Answer(
            *(self.results, self.folder, self.call, self._temporary, conclusion),
            paths=self.paths,
            recorded=self.recorded,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what ``prunecheck run`` prints as JSON, as a dictionary."""
        answers = [answer.to_dict() for answer in self]
        across = [across_json(one) for one in self.across_settings]
        return {"schema": SCHEMA, "study": self.study, "hash": self.hash, "answers": answers, "across_settings": across}

    def __repr__(self) -> str:
        """Return whose questions they answer."""
        return f"<Answers to {self.study}: {len(self)} question{'' if len(self) == 1 else 's'}>"


@dataclass(frozen=True, eq=False, repr=False)
class RecordedAnswers(Answers):
    """The answers to the questions that were asked where recorded runs lie, and to others about what is left.

    Attributes:
        contents: what a report of them says.
    """

    contents: ReportContents

    def of(self, contents: ReportContents) -> "RecordedAnswers":
        """Return the same with what a report says of a part of it."""
        conclusions = tuple(answer for setting in contents.settings for answer in setting.answers)
        return replace(self, contents=contents, conclusions=conclusions)

    @property
    def _contents(self) -> ReportContents:
        return self.contents

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know first: what was changed since it was asked, what was left out."""
        return self.contents.notes

    def to_dict(self) -> dict[str, Any]:
        """Return what ``prunecheck report`` prints as JSON, as a dictionary."""
        across = [across_json(one) for one in self.across_settings]
        answers = [answer.to_dict() for answer in self]
        return {"schema": SCHEMA, "notes": list(self.notes), "answers": answers, "across_settings": across}

    def __repr__(self) -> str:
        """Return where the runs lie, and how many questions they answer."""
        return f"<Answers of {self.folder}: {len(self)} question{'' if len(self) == 1 else 's'}>"


def _about(conclusion: Conclusion) -> str:
    question, dense = conclusion.question, conclusion.dense.mean
    text = f"{question.method} on {question.setting}, {seeds_text(conclusion)}"
    return text if dense is None else f"{text}; dense {question.quantity.with_unit(dense)}"

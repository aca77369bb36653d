"""The questions that were asked in a root, and with how many seeds their answers were looked at.

They stand in ``questions.json``, for other commands to answer them as they were asked, and to say what looking at
growing numbers of seeds costs. Without the file, or where it is damaged, questions are gathered from runs.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from prunecheck.errors import InputError
from prunecheck.io import atomic_write, read_plain_text
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.looks import SequentialLooks
from prunecheck.studies.question import Question, margin_of

QUESTIONS = "questions.json"

SCHEMA = 1


@dataclass(frozen=True)
class LoggedQuestion:
    """A question.

    Attributes:
        question: with the most seeds that it was asked with.
        looks: the numbers of seeds, fixed beforehand, with which an answer was shown, from small to large.
        sequential: the most seeds that sequential looks at an answer that was shown reached; 0 for no such looks.
    """

    question: Question
    looks: tuple[int, ...]
    sequential: int = 0


def read_questions(root: Path) -> list[LoggedQuestion]:
    """Return the questions that were asked in a root; what cannot be read is left out."""
    try:
        content = json.loads(read_plain_text(root / QUESTIONS))
        listed = content["questions"] if content["schema"] == SCHEMA else []
        return [entry for entry in map(_read, listed) if entry]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def note_questions(root: Path, questions: Iterable[Question], *, shown: bool) -> None:
    """Add questions to those that were asked in a root, which is held.

    Args:
        root: where their runs are.
        questions: as they were asked.
        shown: whether their answers are shown now.
    """
    before = read_questions(root)
    logged = {entry.question.without_seeds: entry for entry in before}
    for question in questions:
        identity = question.without_seeds
        entry = logged.get(identity, LoggedQuestion(question, ()))
        if len(question.seeds) >= len(entry.question.seeds):
            entry = replace(entry, question=question)
        if shown and question.sequential:
            entry = replace(entry, sequential=max(entry.sequential, question.looks[-1].seeds))
        elif shown:
            entry = replace(entry, looks=tuple(sorted({*entry.looks, len(question.seeds)})))
        logged[identity] = entry
    after = list(logged.values())
    if after != before:
        content = {"schema": SCHEMA, "questions": [_written(entry) for entry in after]}
        atomic_write(root / QUESTIONS, json.dumps(content, indent=1) + "\n")


def looks_at(question: Question, logged: Iterable[LoggedQuestion]) -> tuple[int, ...]:
    """Return with how many seeds, fixed beforehand, anything that a question compares was looked at.

    This look is among them, unless its seeds are added until it is decided.
    """
    compared = set(question.comparisons())
    looks = {len(question.seeds)} if compared and not question.sequential else set()
    for entry in logged:
        if not compared.isdisjoint(entry.question.comparisons()):
            looks |= set(entry.looks)
    return tuple(sorted(looks))


def sequential_looks_at(question: Question, logged: Iterable[LoggedQuestion]) -> int:
    """Return up to how many seeds sequential looks went at anything that a question compares; 0 for no such looks."""
    compared = set(question.comparisons())
    return max(
        (entry.sequential for entry in logged if not compared.isdisjoint(entry.question.comparisons())), default=0
    )


def _written(entry: LoggedQuestion) -> dict[str, Any]:
    values = {field.name: getattr(entry.question, field.name) for field in fields(Question)}
    del values["is_asked"]
    question, others = entry.question, entry.question.others
    specs = {"own": question.own.canonical(), "others": others and others.canonical()}
    series = {"sequential": question.sequential and question.sequential.as_json()}
    return values | specs | series | {"looks": entry.looks, "sequential_looks": entry.sequential}


def _read(values: dict[str, Any]) -> LoggedQuestion | None:
    """Read an entry; None if it is not one of this version."""
    try:
        question = Question(
            method=_of_type(str, values["method"]),
            own=RunSpec.from_json(values["own"]),
            baseline=None if values["baseline"] is None else _of_type(str, values["baseline"]),
            others=None if values["others"] is None else RunSpec.from_json(values["others"]),
            sparsities=tuple(float(one) for one in values["sparsities"]),
            checks=tuple(_of_type(str, one) for one in values["checks"]),
            reaching=tuple(None if one is None else _of_type(str, one) for one in values["reaching"]),
            check_hashes=tuple(None if one is None else _of_type(str, one) for one in values["check_hashes"]),
            seeds=tuple(_of_type(int, one) for one in values["seeds"]),
            margin=float(values["margin"]),
            sequential=_read_sequential(values.get("sequential")),
        )
        looks = tuple(sorted(_of_type(int, one) for one in values["looks"]))
        sequential = _of_type(int, values.get("sequential_looks", 0))
        hash(question)  # a list where there should be a number has none
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_whole = (
        bool(question.seeds and question.looks)
        and len(question.checks) == len(question.reaching) == len(question.check_hashes)
        and _is_margin(question)
    )
    return LoggedQuestion(question, looks, sequential) if is_whole else None


def _read_sequential(values: Any) -> SequentialLooks | None:
    return None if values is None else SequentialLooks.from_json(values)


def _is_margin(question: Question) -> bool:
    try:
        margin_of(question.quantity).require("margin", question.margin)
    except InputError:
        return False
    return True


def _of_type(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of the type {kind.__name__}")
    return value

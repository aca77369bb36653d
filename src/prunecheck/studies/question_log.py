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
from prunecheck.studies.question import Question, margin_of

QUESTIONS = "questions.json"

SCHEMA = 1


@dataclass(frozen=True)
class LoggedQuestion:
    """A question.

    Attributes:
        question: with the most seeds that it was asked with.
        looks: the numbers of seeds with which an answer was shown, from small to large.
    """

    question: Question
    looks: tuple[int, ...]


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
    logged = {_identity(entry.question): entry for entry in before}
    for question in questions:
        identity = _identity(question)
        entry = logged.get(identity, LoggedQuestion(question, ()))
        if len(question.seeds) >= len(entry.question.seeds):
            entry = replace(entry, question=question)
        if shown:
            entry = replace(entry, looks=tuple(sorted({*entry.looks, len(question.seeds)})))
        logged[identity] = entry
    after = list(logged.values())
    if after != before:
        content = {"schema": SCHEMA, "questions": [_written(entry) for entry in after]}
        atomic_write(root / QUESTIONS, json.dumps(content, indent=1) + "\n")


def looks_at(question: Question, logged: Iterable[LoggedQuestion]) -> tuple[int, ...]:
    """Return with how many seeds anything that a question compares was looked at, this look among them."""
    compared = set(question.comparisons())
    looks = {len(question.seeds)} if compared else set()
    for entry in logged:
        if not compared.isdisjoint(entry.question.comparisons()):
            looks |= set(entry.looks)
    return tuple(sorted(looks))


def _identity(question: Question) -> Question:
    """Return what is the same for a question that is asked again with more seeds."""
    return replace(question, seeds=())


def _written(entry: LoggedQuestion) -> dict[str, Any]:
    values = {field.name: getattr(entry.question, field.name) for field in fields(Question)}
    del values["is_asked"]
    others = entry.question.others
    specs = {"own": entry.question.own.canonical(), "others": others and others.canonical()}
    return values | specs | {"looks": entry.looks}


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
        )
        looks = tuple(sorted(_of_type(int, one) for one in values["looks"]))
        hash(question)  # a list where there should be a number has none
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_whole = (
        bool(question.seeds)
        and len(question.checks) == len(question.reaching) == len(question.check_hashes)
        and _is_margin(question)
    )
    return LoggedQuestion(question, looks) if is_whole else None


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

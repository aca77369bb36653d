"""The questions that were asked in a root, and with how many seeds their answers were looked at.

They stand in ``questions.json``, for other commands to answer them as they were asked, and to say what was changed
since, and what looking at growing numbers of seeds costs. Without the file, or where it is damaged, questions are
gathered from runs. Reading it runs no code.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from prunecheck.constraints import ListOf, WholeNumber
from prunecheck.errors import InputError
from prunecheck.io import atomic_write
from prunecheck.metrics import Margin, MarginOf, Quantity
from prunecheck.plain_files import read_plain_text
from prunecheck.runs.spec import HASH_LENGTH, RunSpec
from prunecheck.studies.looks import SequentialLooks
from prunecheck.studies.question import MOST_SEEDS, Question, Scope, Seeds, Sparsities

QUESTIONS = "questions.json"

DAMAGED = f"{QUESTIONS}.damaged"
"""What a file that cannot be read is called from then on, with a number."""

SCHEMA = 1

LOOKS = ListOf(Seeds.number, "numbers of seeds", "[5, 8]", may_be_empty=True)

SEQUENTIAL_LOOKS = WholeNumber(at_least=0, at_most=MOST_SEEDS, what="a number of seeds")


@dataclass(frozen=True)
class Terms:
    """What of a question must be chosen before its answer is known.

    Attributes:
        margin: what makes no practical difference.
        baseline: the name of the method; None where there is none.
        family: how far the family of its verdicts reaches.
    """

    margin: Margin
    baseline: str | None
    family: Scope = Scope.QUESTION

    def as_json(self) -> dict[str, float | str | None]:
        """Return them as files have them."""
        return {"margin": self.margin.given, "baseline": self.baseline, "family": self.family}


@dataclass(frozen=True)
class LoggedQuestion:
    """A question.

    Attributes:
        question: with the most seeds that it was asked with.
        looks: the numbers of seeds, fixed beforehand, with which an answer was shown, from small to large.
        asked_with: of questions whose verdicts were adjusted together, a hash that is the same for all of them; None
            where those of the question were adjusted by themselves.
        shown_before: the terms under which an answer about the same tickets had been shown when it was asked first, if
            they were others.
        sequential: the most seeds that sequential looks at an answer that was shown reached; 0 for no such looks.
        asked_at: when it was asked last, in seconds since the epoch; 0 if that was not noted.
    """

    question: Question
    looks: tuple[int, ...]
    asked_with: str | None = None
    shown_before: tuple[Terms, ...] = ()
    sequential: int = 0
    asked_at: float = field(default=0.0, compare=False)

    @property
    def is_shown(self) -> bool:
        """Whether an answer was shown."""
        return bool(self.looks or self.sequential)

    @property
    def terms(self) -> Terms:
        """Those that it was asked under."""
        family = Scope.REPORT if self.asked_with else Scope.QUESTION
        return Terms(self.question.margin, self.question.others.method if self.question.others else None, family)


@dataclass(frozen=True)
class QuestionLog:
    """What a root's ``questions.json`` holds.

    Attributes:
        unreadable: a clause for each entry, or for the file, that cannot be read: what it is, and why.
        kept: such entries as they stand there; they stay.
    """

    entries: tuple[LoggedQuestion, ...] = ()
    unreadable: tuple[str, ...] = ()
    kept: tuple[Any, ...] = ()

    @property
    def is_damaged(self) -> bool:
        """Whether nothing of the file can be read."""
        return bool(self.unreadable) and not self.kept


NO_QUESTIONS = QuestionLog()
"""Of a root where none was asked."""


def read_log(root: Path) -> QuestionLog:
    """Read the questions that were asked in a root, and say what of them cannot be read."""
    file = root / QUESTIONS
    try:
        content = json.loads(read_plain_text(file))
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise ValueError(f"it has not the schema {SCHEMA}")
        listed = content.get("questions")
        if not isinstance(listed, list):
            raise ValueError("it has no list of questions")
    except FileNotFoundError:
        return NO_QUESTIONS
    except (OSError, ValueError, RecursionError) as error:
        return QuestionLog(unreadable=(f"{file}: {_reason(error)}",))
    entries, unreadable, kept = [], [], []
    for number, values in enumerate(listed, start=1):
        try:
            entries.append(_read(values))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, InputError) as error:
            unreadable.append(f"{file}, question {number}{_named(values)}: {_reason(error)}")
            kept.append(values)
    return QuestionLog(tuple(entries), tuple(unreadable), tuple(kept))


def read_logs(roots: Iterable[Path]) -> QuestionLog:
    """Read the questions that were asked in several roots; one that was asked in several of them is one."""
    logs = [read_log(root) for root in dict.fromkeys(roots)]
    joined: dict[tuple[Question, str | None], LoggedQuestion] = {}
    for entry in (entry for log in logs for entry in log.entries):
        before = joined.get(_identity(entry), entry)
        widest = max(before.question, entry.question, key=lambda question: len(question.seeds))
        looks = tuple(sorted({*before.looks, *entry.looks}))
        shown_before = tuple(dict.fromkeys((*before.shown_before, *entry.shown_before)))
        joined[_identity(entry)] = replace(
            entry,
            question=widest,
            looks=looks,
            shown_before=shown_before,
            sequential=max(before.sequential, entry.sequential),
            asked_at=max(before.asked_at, entry.asked_at),
        )
    unreadable = tuple(text for log in logs for text in log.unreadable)
    return QuestionLog(tuple(joined.values()), unreadable, tuple(one for log in logs for one in log.kept))


def read_questions(root: Path) -> list[LoggedQuestion]:
    """Return the questions that were asked in a root; what cannot be read is left out, see :func:`read_log`."""
    return list(read_log(root).entries)


def note_questions(root: Path, questions: Sequence[Question], *, shown: bool, family: Scope = Scope.QUESTION) -> None:
    """Add questions to those that were asked in a root, which is held.

    What cannot be read of those that stand there stays: entries in their file, a whole file under another name.

    Args:
        root: where their runs are.
        questions: as they were asked together.
        shown: whether their answers are shown now.
        family: how far the family of their verdicts reaches.
    """
    log = read_log(root)
    asked_with = None if family is Scope.QUESTION else _hash_of(questions)
    logged = {_identity(entry): entry for entry in log.entries}
    for question in questions:
        new = LoggedQuestion(question, (), asked_with)
        entry = logged.get(_identity(new)) or replace(new, shown_before=tuple(_other_terms(new, log.entries)))
        if len(question.seeds) >= len(entry.question.seeds):
            entry = replace(entry, question=question)
        if shown and question.sequential:
            entry = replace(entry, sequential=max(entry.sequential, question.looks[-1].seeds))
        elif shown:
            entry = replace(entry, looks=tuple(sorted({*entry.looks, len(question.seeds)})))
        logged[_identity(new)] = replace(entry, asked_at=time.time())
    after = tuple(logged.values())
    # Of users' own code there may be several versions, of which the latest is what is asked about now.
    if after != log.entries or any(map(_has_own_code, questions)):
        _write(root, log, after)


def merge_questions(root: Path, others: Iterable[Path]) -> tuple[str, ...]:
    """Add the questions that were asked in other roots to those of a root, which is held.

    Returns:
        A clause for each entry, or file, that cannot be read; entries are kept in the file as they are.
    """
    own, joined = read_log(root), read_logs([root, *others])
    kept = tuple({json.dumps(one, sort_keys=True): one for one in joined.kept}.values())
    if (joined.entries, kept) != (own.entries, own.kept):
        _write(root, replace(own, kept=kept), joined.entries)
    return joined.unreadable


def forget_questions(root: Path, is_gone: Callable[[Question], bool]) -> list[Question]:
    """Remove questions from those that were asked in a root, which is held, and return them."""
    log = read_log(root)
    gone = [entry.question for entry in log.entries if is_gone(entry.question)]
    if gone:
        _write(root, log, tuple(entry for entry in log.entries if not is_gone(entry.question)))
    return gone


def _write(root: Path, before: QuestionLog, entries: Iterable[LoggedQuestion]) -> None:
    """Write questions beside what cannot be read of those that stand there."""
    if before.is_damaged:
        _set_aside(root)
    content = {"schema": SCHEMA, "questions": [*map(_written, entries), *before.kept]}
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


def find_entry(question: Question, family: Scope, logged: Iterable[LoggedQuestion]) -> LoggedQuestion | None:
    """Return what was noted of a question that was asked under these terms; None if nothing was."""
    wanted = question.without_seeds
    found = (entry for entry in logged if entry.question.without_seeds == wanted and entry.terms.family is family)
    return next(found, None)


def _other_terms(new: LoggedQuestion, logged: Iterable[LoggedQuestion]) -> Iterator[Terms]:
    """Yield the terms that answers about the same tickets were shown under, if they are others."""
    found = dict.fromkeys(entry.terms for entry in logged if entry.is_shown and _is_about_the_same(entry, new))
    yield from (terms for terms in found if _differ(terms, new.terms))


def _is_about_the_same(entry: LoggedQuestion, other: LoggedQuestion) -> bool:
    mine, others = entry.question, other.question
    return mine.own == others.own and not set(mine.sparsities).isdisjoint(others.sparsities)


def _differ(before: Terms, now: Terms) -> bool:
    """Say whether terms are others; who compares with a baseline at last, or with none any more, has not changed it."""
    if before.baseline is None or now.baseline is None:
        before = replace(before, baseline=now.baseline)
    return before != now


def _has_own_code(question: Question) -> bool:
    setting, others = question.setting, question.others
    hashes = (question.own.method_hash, others and others.method_hash, setting.dataset_hash, setting.model_hash)
    return any(one is not None for one in (*hashes, setting.metric_hash, *question.check_hashes))


def _hash_of(questions: Iterable[Question]) -> str:
    """Return what is the same for questions that are asked together again with more seeds."""
    listed = sorted(json.dumps(_of_question(question.without_seeds)) for question in questions)
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()[:HASH_LENGTH]


def _set_aside(root: Path) -> None:
    number = next(number for number in range(1, 10**6) if not (root / f"{DAMAGED}-{number}").exists())
    (root / QUESTIONS).rename(root / f"{DAMAGED}-{number}")


def _identity(entry: LoggedQuestion) -> tuple[Question, str | None]:
    """Return what is the same for a question that is asked again with more seeds."""
    return entry.question.without_seeds, entry.asked_with


def _of_question(question: Question) -> dict[str, Any]:
    values = {field.name: getattr(question, field.name) for field in fields(Question)}
    del values["is_asked"]
    specs = {"own": question.own.canonical(), "others": question.others and question.others.canonical()}
    sequential = question.sequential and question.sequential.as_json()
    return values | specs | {"margin": question.margin.given, "sequential": sequential}


def _written(entry: LoggedQuestion) -> dict[str, Any]:
    noted = {
        "looks": entry.looks,
        "sequential_looks": entry.sequential,
        "asked_with": entry.asked_with,
        "shown_before": [terms.as_json() for terms in entry.shown_before],
        "asked_at": round(entry.asked_at),
    }
    return _of_question(entry.question) | noted


def _read(values: Any) -> LoggedQuestion:
    """Read an entry.

    Raises:
        ValueError, KeyError, TypeError, InputError: it is not one of this version.
    """
    own = RunSpec.from_json(values["own"])
    metric = own.setting.quantity
    question = Question(
        method=_of_type(str, values["method"]),
        own=own,
        baseline=_or_none(str, values["baseline"]),
        others=None if values["others"] is None else RunSpec.from_json(values["others"]),
        sparsities=Sparsities.listed.read(values["sparsities"]),
        checks=tuple(_of_type(str, one) for one in values["checks"]),
        reaching=tuple(_or_none(str, one) for one in values["reaching"]),
        check_hashes=tuple(_or_none(str, one) for one in values["check_hashes"]),
        seeds=Seeds.listed.read(values["seeds"]),
        margin=MarginOf(metric).read(values["margin"]),
        sequential=_read_sequential(values.get("sequential")),
    )
    _require_possible(question)
    return LoggedQuestion(
        question,
        tuple(sorted(LOOKS.read(values["looks"]))),
        _or_none(str, values.get("asked_with")),
        tuple(_read_terms(terms, metric) for terms in values.get("shown_before", ())),
        SEQUENTIAL_LOOKS.read(values.get("sequential_looks", 0)),
        float(_of_type(int, values.get("asked_at", 0))),
    )


def _require_possible(question: Question) -> None:
    """Raise :class:`ValueError` if what a question says contradicts itself."""
    hash(question)  # a list where there should be a number has none
    if not question.looks:
        raise ValueError("it has fewer seeds than its first look")
    if not len(question.checks) == len(question.reaching) == len(question.check_hashes):
        raise ValueError("its checks contradict each other")
    if (question.baseline is None) != (question.others is None):
        raise ValueError("its baseline has a name and no runs, or runs and no name")
    if question.others and question.others.setting != question.setting:
        raise ValueError("its baseline has other data, another network or another recipe")


def _read_sequential(values: Any) -> SequentialLooks | None:
    return None if values is None else SequentialLooks.from_json(values)


def _read_terms(values: Any, metric: Quantity) -> Terms:
    return Terms(MarginOf(metric).read(values["margin"]), _or_none(str, values["baseline"]), Scope(values["family"]))


def _or_none(kind: type[Any], value: Any) -> Any:
    return None if value is None else _of_type(kind, value)


def _of_type(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of the type {kind.__name__}")
    return value


def _named(values: Any) -> str:
    method = values.get("method") if isinstance(values, dict) else None
    return f" ({method})" if isinstance(method, str) else ""


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__

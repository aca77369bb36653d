"""A language to choose recorded runs in: ``method=snip,grasp sparsity>=0.9 age>30d``.

Terms have spaces between them, and all of them hold of what is chosen. A term is a column of the table of runs
(:mod:`prunecheck.runs.table`), ``age`` or ``version``; an operator; and a value, or several with commas between them.
"""

import operator
import re
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from prunecheck.errors import InputError, field_name
from prunecheck.registry import unknown_name
from prunecheck.runs.index import UNFINISHED, FoundRun
from prunecheck.runs.result import Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.table import COLUMNS, ENDED_WITH, run_row, spec_row
from prunecheck.studies.versions import Versions

AGE, VERSION = "age", "version"

LATEST, OLD = "latest", "old"

ANY_VERSION = f"{VERSION}={LATEST},{OLD}"
"""What asks for all versions of users' own code."""

NONE = "none"
"""The value of what is missing: ``check=none`` chooses tickets that no check changed."""

UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
"""Seconds in what an age is counted in."""

KNOWN_VALUES: Mapping[str, Sequence[str]] = {
    VERSION: (LATEST, OLD),
    "status": (*(status.value for status in Status), UNFINISHED),
}
"""What some fields may be, whatever there is."""

OF_A_RUN = (*ENDED_WITH, AGE, "seed")
"""What differs among the runs of one ticket, over whose seeds a report concludes."""

TERM = re.compile(r"([a-z_]+)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)

COMPARED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

EXAMPLE = "'method=snip,grasp sparsity>=0.9'"


@dataclass(frozen=True)
class Term:
    """One condition.

    Attributes:
        field: a column of runs, ``age`` or ``version``.
        operator: ``=`` one of the values, ``!=`` none of them, or ``<``, ``<=``, ``>``, ``>=``.
        values: as they were written.
    """

    field: str
    operator: str
    values: tuple[str, ...]

    def holds(self, value: Any) -> bool:
        """Say whether it holds of a value; nothing is less or more than what is missing."""
        if self.operator in ("=", "!="):
            is_one = any(_is_meant(one, value) for one in self.values) or value == ",".join(self.values)
            return is_one == (self.operator == "=")
        if value is None:
            return False
        bound = _number(self, self.values[0])
        return bool(COMPARED[self.operator](value, bound))

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{','.join(self.values)}"


@dataclass(frozen=True)
class Selection:
    """What is chosen: that of which all terms hold; everything, if there are none."""

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def of_fields(self, is_meant: Callable[[str], bool]) -> "Selection":
        """Return the part that is about some fields."""
        return Selection(tuple(term for term in self.terms if is_meant(term.field)))

    def chosen(self, runs: Iterable[FoundRun], versions: Versions) -> list[FoundRun]:
        """Return the runs that are chosen.

        Raises:
            InputError: a name that is asked for is none of what any of the runs has; the nearest are named.
        """
        rows = [(run, _row_of(run, versions, self)) for run in runs]
        self.require_known([row for _, row in rows])
        return [run for run, row in rows if self.matches(row)]

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Say whether something with these values by field is chosen; it has all that terms are about."""
        return all(term.holds(row[term.field]) for term in self.terms)

    def require_known(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Raise :class:`InputError` for a name that is no value of its field in any row."""
        for term in self.terms:
            if not rows or term.operator != "=" or term.field in KNOWN_VALUES or _kind(term.field) is not str:
                continue
            found = {row[term.field] for row in rows}
            for value in term.values:
                if not {"*", NONE}.intersection((value, *value)) and value not in found and not _is_whole(term, found):
                    named = sorted(map(str, found - {None})) or [NONE]
                    raise unknown_name(f"{term.field} among these runs", value, named, field="select")

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))


EVERYTHING = Selection()


def read_selection(text: str | None) -> Selection:
    """Read a selection; None chooses everything.

    Raises:
        InputError: what is wrong: no terms, an unknown field, a value that is not one of its field.
    """
    if text is None:
        return EVERYTHING
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _refusal(f"not {text!r}, in which a quote is not closed") from error
    if not words:
        raise _refusal("and this is empty")
    return Selection(tuple(map(_read_term, words)))


def tickets_row(spec: RunSpec) -> dict[str, Any]:
    """Return what a report's part has by field: all that its tickets have in common."""
    return {name: value for name, value in spec_row(spec).items() if name not in OF_A_RUN}


def _read_term(word: str) -> Term:
    found = TERM.fullmatch(word)
    if not found:
        raise _refusal(f"and {word!r} is not one")
    field, sign, written = found.groups()
    if field not in COLUMNS and field not in (AGE, VERSION):
        raise unknown_name("field of runs", field, [*COLUMNS, AGE, VERSION], field="select")
    values = tuple(part.strip() for part in written.split(","))
    if not all(values):
        raise _refusal(f"and {word!r} has no value: write {NONE} for what is missing")
    term = Term(field, sign, values)
    if sign not in ("=", "!="):
        if len(values) > 1:
            raise _refusal(f"and {word!r} compares with several values: give one")
        _number(term, values[0])
    elif field == AGE:
        raise _refusal(f"and an age is compared: {AGE}>30d, not {word!r}")
    elif _kind(field) in (int, float):
        for value in values:
            _ = value == NONE or _number(term, value)
    known = KNOWN_VALUES.get(field, ("true", "false", NONE) if _kind(field) is bool else values)
    for value in values:
        if value not in known:
            raise unknown_name(field, value, known, field="select")
    return term


def _refusal(wrong: str) -> InputError:
    return InputError(
        f"{field_name('select')} takes terms with spaces between them, such as {EXAMPLE}, {wrong}.", field="select"
    )


def _kind(field: str) -> type:
    if field == VERSION:
        return str
    declared = COLUMNS.get(field, float)
    kinds = [kind for kind in get_args(declared) or (declared,) if kind is not type(None)]
    return kinds[0] if kinds[0] in (int, float, bool) else str


def _number(term: Term, text: str) -> float:
    """Return the number that a value says, of an age in seconds."""
    if term.field == AGE:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
        if not found:
            raise _refusal(f"and an age is written 30d, 12h, 90m or 2w, not {text!r}")
        return float(found[1]) * UNITS[found[2]]
    if _kind(term.field) not in (int, float):
        raise _refusal(f"and {term.field} is not a number, of which {term} says that it is more or less")
    try:
        return float(text)
    except ValueError as error:
        raise _refusal(f"and {term.field} is a number, not {text!r}") from error


def _is_meant(written: str, value: Any) -> bool:
    """Say whether a value is what was written: equal, missing, or of the form of a text with ``*`` in it."""
    if value is None:
        return written == NONE
    if isinstance(value, bool):
        return written.lower() == str(value).lower()
    if isinstance(value, int | float):
        return written != NONE and float(written) == value
    pattern = ".*".join(map(re.escape, written.split("*")))
    return re.fullmatch(pattern, str(value), re.DOTALL) is not None


def _is_whole(term: Term, found: Iterable[Any]) -> bool:
    """Say whether the values were one with commas in it, as arguments of users' code may have."""
    return ",".join(term.values) in found


def _row_of(run: FoundRun, versions: Versions, selection: Selection) -> dict[str, Any]:
    """Return a run's values by field; what takes a look at its folder only if it is asked about."""
    asked = {term.field for term in selection.terms}
    row = run_row(run)
    row[VERSION] = OLD if versions.is_old(run.spec) else LATEST
    if AGE in asked:
        row[AGE] = time.time() - _written_at(run)
    return row


def _written_at(run: FoundRun) -> float:
    """Return when a run's folder was written to last, in seconds since the epoch."""
    times = (entry.stat().st_mtime for entry in run.path.iterdir() if not entry.name.startswith("."))
    return max(times, default=time.time())

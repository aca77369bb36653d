"""Command lines declared as dataclasses: each flag once, with its spellings, type, default, range and help."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from prunecheck.errors import InputError
from prunecheck.registry import nearest_names

Value = TypeVar("Value")

FLAG = "flag"
"""Under which a field's metadata hold its :class:`Flag`."""


@dataclass(frozen=True)
class Range:
    """Which values a flag can have, beside None, and what is said of any other: that it must be ``meaning``."""

    allows: Callable[[Any], bool]
    meaning: str


def at_least(least: int, why: str = "") -> Range:
    """Return the range from ``least`` on."""
    return Range(lambda value: value >= least, f"at least {least}{why}")


POSITIVE = Range(lambda value: value > 0, "more than 0")

SHARE_BELOW_ONE = Range(lambda value: 0 <= value < 1, "at least 0 and less than 1")


@dataclass(frozen=True)
class Flag:
    """How a field is given on a command line.

    Attributes:
        spellings: with their dashes; none for ``--FIELD``.
        range: None for every value of the type.
        group: the heading in the help; None for the first one.
        options: of ``add_argument``, in the place of those of the field's type. In ``help``, ``{default}`` stands for
            the default and ``{script}`` for the dataclass.
    """

    spellings: tuple[str, ...]
    range: Range | None
    group: str | None
    options: dict[str, Any]


def flag(
    default: Value, *spellings: str, range: Range | None = None, group: str | None = None, **options: Any
) -> Value:
    """Declare a field of a dataclass as a flag; see :class:`Flag`.

    A subclass that gives a field another default restates its name, type and default alone.
    """
    return field(default=default, metadata={FLAG: Flag(spellings, range, group, options)})


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a whole number, not {text!r}") from None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"takes a finite number, not {text!r}")
    return number


def _path_or_none(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("takes the path of a folder, not nothing")
    return Path(text).expanduser()


def _switch(text: str) -> bool:
    """Read an integer that is a truth value: 0 for no."""
    return _whole_number(text) != 0


OF_TYPES: dict[Any, dict[str, Any]] = {
    int: {"type": _whole_number, "metavar": "N"},
    int | None: {"type": _whole_number, "metavar": "N"},
    tuple[int, ...]: {"type": _whole_number, "metavar": "N", "nargs": "+"},
    float: {"type": _number},
    bool: {"type": _switch, "metavar": "0|1"},
    str: {},
    str | None: {},
    Path: {"type": _folder, "metavar": "DIR"},
    Path | None: {"type": _path_or_none, "metavar": "PATH"},
}
"""By the type of a field, what argparse is told of its flag."""


class Parser(argparse.ArgumentParser):
    """Raises what is wrong instead of ending the process.

    Args:
        script: a dataclass with its flags.
        name: of the script.
        description: for the help.
    """

    def __init__(self, script: type, name: str, description: str) -> None:
        super().__init__(prog=name, description=description, allow_abbrev=False, argument_default=argparse.SUPPRESS)
        groups: dict[str | None, Any] = {None: self}
        for one in fields(script):
            if declared := flags_of(script).get(one.name):
                if declared.group not in groups:
                    groups[declared.group] = self.add_argument_group(declared.group)
                options = declared.options if "action" in declared.options else OF_TYPES[one.type] | declared.options
                shown = declared.options["help"].format(default=_shown(one.default), script=script)
                spellings = declared.spellings or (f"--{one.name}",)
                groups[declared.group].add_argument(*spellings, **{**options, "dest": one.name, "help": shown})

    def error(self, message: str) -> NoReturn:
        """Raise :class:`InputError`."""
        raise InputError(f"{message.removeprefix('argument ')}: see `python {self.prog} --help`.")

    def given(self, arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what is given: the values by field, and the longest spellings by field; ``--help`` prints and exits.

        Raises:
            InputError: an unknown flag, or a value of another type.
        """
        found, unknown = self.parse_known_args(arguments)
        if unknown:
            option = unknown[0].partition("=")[0]
            known = [spelling for action in self._actions for spelling in action.option_strings]
            nearest = nearest_names(option, known) if option.startswith("-") else []
            hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"see `python {self.prog} --help`."
            raise InputError(f"{self.prog} takes no {unknown[0]}: {hint}")
        spelled = {action.dest: max(action.option_strings, key=len) for action in self._actions}
        return vars(found), {name: spelled[name] for name in vars(found)}


def flags_of(script: type) -> dict[str, Flag]:
    """Return the flags of a dataclass by field, those that it inherits among them."""
    bases = [base for base in reversed(script.__mro__) if is_dataclass(base)]
    return {one.name: one.metadata[FLAG] for base in bases for one in fields(base) if FLAG in one.metadata}


def require_ranges(flags: object, spelled: Mapping[str, str]) -> None:
    """Raise :class:`InputError` for the first value outside its range.

    Args:
        flags: what a script is told.
        spelled: by field that was given, how; defaults are in their ranges.
    """
    declared = flags_of(type(flags))
    for name, option in spelled.items():
        allowed, value = declared[name].range, getattr(flags, name)
        if allowed and value is not None and not allowed.allows(value):
            raise InputError(f"{option} must be {allowed.meaning}, not {_shown(value)}.")


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)

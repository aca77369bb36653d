"""Things that are found by the name that the command line shows."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Generic, TypeVar, cast

from prunecheck.errors import InputError
from prunecheck.observation import Observation

Item = TypeVar("Item")

Decorated = TypeVar("Decorated")

PLACEHOLDER = "<depth>"
"""Stands for the number in the name of a family."""


FARTHER = 0.25
"""So much less alike than the nearest name, in [0, 1], is far."""


def nearest_names(name: str, known: Iterable[str], alike: float = 0.5) -> list[str]:
    """Return up to three known names that look like ``name`` in upper or lower case, the most alike first.

    One that is far less alike than the first is none of them.

    Args:
        name: that is not known.
        known: names.
        alike: how much they are, in [0, 1], at least.
    """
    import difflib

    spelled = {other.lower(): other for other in known}
    found = difflib.get_close_matches(name.lower(), list(spelled), n=3, cutoff=alike)
    ratios = [difflib.SequenceMatcher(None, other, name.lower()).ratio() for other in found]
    return [spelled[other] for other, ratio in zip(found, ratios, strict=True) if ratio > ratios[0] - FARTHER]


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, field: str | None = None, lists_all: bool = True
) -> InputError:
    """Return the error for a name that is not known, of a field: the nearest names, or else all of them.

    Args:
        kind: what it should be the name of.
        name: that is not known.
        known: names.
        field: that it was given for.
        lists_all: whether all are named where none is near; else it is those that are least far.
    """
    known = list(known)
    if nearest := nearest_names(name, known):
        hint = f"did you mean {' or '.join(nearest)}?"
    elif lists_all:
        hint = f"choose one of {', '.join(known)}."
    else:
        hint = f"the nearest of {len(known)} are {', '.join(nearest_names(name, known, alike=0.0))}."
    return InputError(f"there is no {kind} named {name!r}: {hint}", field=field)


@dataclass(frozen=True)
class Origin:
    """A module from outside of prunecheck, as one execution of its file made it.

    Attributes:
        module: its name.
        file: what was executed; None for what lies in no file.
        names: what it defines.
    """

    module: str
    file: str | None
    names: Mapping[str, object] = field(repr=False)

    def is_repeated_by(self, other: "Origin") -> bool:
        """Say whether the same file was executed again."""
        return self.file is not None and self.file == other.file and self.names is not other.names


@dataclass(frozen=True)
class Entry(Generic[Item]):
    """A registered item and the line that describes it.

    Attributes:
        origin: the module whose code registered it; None for one of prunecheck's own.
    """

    name: str
    item: Item
    summary: str
    origin: Origin | None = None


@dataclass
class Registry(Generic[Item]):
    """Items of one kind by name; packages add theirs through the entry points of ``group``.

    A name with ``<depth>`` in it stands for a family: :meth:`match` finds ``resnet<depth>`` for
    ``resnet32`` and returns the number too.
    """

    kind: str
    group: str
    entries: dict[str, Entry[Item]] = field(default_factory=dict)
    _loaded: bool = False

    def add(self, name: str, item: Item, summary: str) -> None:
        """Register ``item``; a name that is taken is refused, unless by the same file, executed again."""
        origin, taken = _origin(), self.entries.get(name)
        if taken and not (origin and taken.origin and taken.origin.is_repeated_by(origin)):
            raise ValueError(f"a {self.kind} named {name!r} is registered already")
        self.entries[name] = Entry(name, item, summary, origin)

    def origin_of(self, name: str) -> Origin | None:
        """Return whose code registered what a name means; None for prunecheck's own, and for an unknown name.

        Args:
            name: of an item, or of a member of a family.
        """
        self.load_entry_points()
        entry = self.entries.get(name)
        if entry is None:
            entry = next((family for family in self.entries.values() if number_in_name(name, family.name)), None)
        return entry.origin if entry else None

    def register(self, name: str) -> Callable[[Decorated], Decorated]:
        """Decorate a function to register it under ``name``, described by its docstring's first line.

        Its type stays its own. Which types are items, no type variable can say here: the decorator of each kind does.
        """

        def decorate(item: Decorated) -> Decorated:
            self.add(name, cast(Item, item), first_line(item))
            return item

        return decorate

    def load_entry_points(self) -> None:
        """Import, once, what installed packages offer in :attr:`group`; to import it registers it.

        Raises:
            InputError: it cannot be imported, or registers nothing under its name.
        """
        if self._loaded:
            return
        import importlib.metadata  # slow, and not needed before

        self._loaded = True
        for point in importlib.metadata.entry_points(group=self.group):
            offer = f"an installed package offers the {self.kind} {point.name} ({point.value})"
            try:
                with Observation():
                    point.load()
            except Exception as error:
                self._loaded = False
                raise InputError(
                    f"{offer} and cannot be imported ({type(error).__name__}: {error}): update or uninstall it."
                ) from error
            if point.name not in self.entries:
                raise InputError(f"{offer} and does not register it: update or uninstall it.")

    def names(self) -> list[str]:
        """Return the names in order of registration."""
        self.load_entry_points()
        return list(self.entries)

    def __iter__(self) -> Iterator[Entry[Item]]:
        self.load_entry_points()
        return iter(list(self.entries.values()))

    def get(self, name: str) -> Item:
        """Return the item; raise :class:`InputError` with the nearest names if there is none."""
        self.load_entry_points()
        if name not in self.entries:
            raise unknown_name(self.kind, name, self.entries)
        return self.entries[name].item

    def match(self, name: str) -> tuple[Item, int | None]:
        """Return the item named ``name``, or the family it belongs to and the number in its name.

        Raises:
            InputError: there is none, or ``name`` is that of a family, without a number.
        """
        self.load_entry_points()
        if name in self.entries:
            if PLACEHOLDER in name:
                raise InputError(f"{name} is a family: name one {self.kind} of it, with a number for {PLACEHOLDER}.")
            return self.entries[name].item, None
        for known, entry in self.entries.items():
            if number := number_in_name(name, known):
                return entry.item, number
        raise unknown_name(self.kind, name, self.entries)


def number_in_name(name: str, family: str) -> int | None:
    """Return the number that a name has in the place of a family's placeholder; None if it is not one of them."""
    before, placeholder, after = family.partition(PLACEHOLDER)
    # No leading zero and no digits but ASCII's: one item has one name.
    found = placeholder and re.fullmatch(rf"{re.escape(before)}([1-9][0-9]*){re.escape(after)}", name)
    return int(found.group(1)) if found else None


def _origin() -> Origin | None:
    """Return the module from outside of prunecheck whose code is registering something, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        names = frame.f_globals
        if (module := str(names.get("__name__", ""))).partition(".")[0] != "prunecheck":
            return Origin(module, names.get("__file__"), names)
        if frame.f_code.co_name == "<module>":
            return None
        frame = frame.f_back
    return None


def first_line(item: object) -> str:
    """Return the first line of an item's docstring, without its full stop."""
    return (item.__doc__ or "").strip().split("\n")[0].rstrip(".")

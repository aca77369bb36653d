"""Things that are found by the name that the command line shows."""

import difflib
import importlib.metadata
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from prunecheck.errors import InputError

Item = TypeVar("Item")

PLACEHOLDER = "<depth>"
"""Stands for the number in the name of a family."""


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that look like ``name`` in upper or lower case, the most alike first."""
    spelled = {other.lower(): other for other in known}
    return [spelled[found] for found in difflib.get_close_matches(name.lower(), list(spelled), n=3, cutoff=0.5)]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that is not known: the nearest names, or else all of them."""
    known = list(known)
    nearest = nearest_names(name, known)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"choose one of {', '.join(known)}."
    return InputError(f"there is no {kind} named {name!r}: {hint}")


@dataclass(frozen=True)
class Entry(Generic[Item]):
    """A registered item and the line that describes it."""

    name: str
    item: Item
    summary: str


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
        """Register ``item``; a name that is taken is refused."""
        if name in self.entries:
            raise ValueError(f"a {self.kind} named {name!r} is registered already")
        self.entries[name] = Entry(name, item, summary)

    def register(self, name: str) -> Callable[[Item], Item]:
        """Decorate a function to register it under ``name``, described by its docstring's first line."""

        def decorate(item: Item) -> Item:
            self.add(name, item, first_line(item))
            return item

        return decorate

    def load_entry_points(self) -> None:
        """Import, once, what installed packages offer in :attr:`group`; to import it registers it.

        Raises:
            InputError: it cannot be imported, or registers nothing under its name.
        """
        if self._loaded:
            return
        self._loaded = True
        for point in importlib.metadata.entry_points(group=self.group):
            offer = f"an installed package offers the {self.kind} {point.name} ({point.value})"
            try:
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
            before, placeholder, after = known.partition(PLACEHOLDER)
            # No leading zero and no digits but ASCII's: one item has one name.
            found = placeholder and re.fullmatch(rf"{re.escape(before)}([1-9][0-9]*){re.escape(after)}", name)
            if found:
                return entry.item, int(found.group(1))
        raise unknown_name(self.kind, name, self.entries)


def first_line(item: object) -> str:
    """Return the first line of an item's docstring, without its full stop."""
    return (item.__doc__ or "").strip().split("\n")[0].rstrip(".")

"""Names that there are, kept between commands: one that there is not is refused before torch is imported.

The registers know them, whose modules need torch. Whenever a command has loaded these, their names are kept in the
user's cache, with what the package was then. Where nothing is kept, or the package is another, only the registers are
asked, as they are in any case about what is put together of names, lies in files, or may come from other packages.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prunecheck
from prunecheck.api.places import user_cache
from prunecheck.errors import InputError
from prunecheck.io import atomic_write, make_private_folder
from prunecheck.plain_files import read_plain_text
from prunecheck.registry import number_in_name, unknown_name

if TYPE_CHECKING:
    from prunecheck.registry import Registry

FILE = "names.json"

PLAIN = re.compile(r"[\w-]+")
"""A name by itself, without an argument."""

OF_FILES = (":", "/", ".py")
"""What stands in a name of users' own code, which may register others."""

NONE = "none"
"""In the place of a baseline or of checks: nothing."""

KINDS = ("method", "start of a method", "pattern", "check", "model", "data set", "metric")
"""What names are kept of."""

LOADED = ("prunecheck.pruning", "prunecheck.checks", "prunecheck.models", "prunecheck.data", "prunecheck.metrics")
"""The packages that fill the registers."""


def require_known(**given: str | Sequence[str] | None) -> None:
    """Raise :class:`InputError` for a name that is known not to be one.

    Args:
        given: by field (``method``, ``baseline``, ``checks``, ``model``, ``dataset``, ``metric``), one name or several;
            None for the usual one.
    """
    asked = {field: (names,) if isinstance(names, str) else names for field, names in given.items() if names}
    may_add = any(sign in name for names in asked.values() for name in names for sign in OF_FILES)
    kept = None if may_add or _are_registers_loaded() else _read()
    if not kept:
        return
    for field, names in asked.items():
        for name in names:
            _TESTS[field](name, kept)


def keep_names() -> None:
    """Keep the names of the registers, if they are loaded in this process; whatever hinders that is no matter."""
    if not _are_registers_loaded():
        return
    with contextlib.suppress(OSError, InputError):
        if _read() is None:
            file = user_cache() / FILE
            make_private_folder(file.parent)
            atomic_write(file, json.dumps({"of": _package(), "names": _registered()}, indent=1) + "\n")


def _are_registers_loaded() -> bool:
    return all(name in sys.modules for name in LOADED)


def _registered() -> dict[str, dict[str, list[str]]]:
    """Return the names of each register, without those from outside, and the groups of its entry points."""
    from prunecheck.checks import CHECKS
    from prunecheck.data import DATASETS
    from prunecheck.metrics import METRICS
    from prunecheck.models import MODELS
    from prunecheck.pruning import ALLOCATIONS, CRITERIA, METHODS
    from prunecheck.pruning.patterns import PATTERN_FAMILIES

    def own(*registers: "Registry[Any]") -> list[str]:
        return [name for one in registers for name, entry in one.entries.items() if entry.origin is None]

    def kept(names: list[str], *registers: "Registry[Any]") -> dict[str, list[str]]:
        return {"names": names, "groups": [one.group for one in registers]}

    return {
        "method": kept(
            [*own(METHODS, CRITERIA), *(f"random-{name}" for name in own(ALLOCATIONS))],
            *(METHODS, CRITERIA, ALLOCATIONS, PATTERN_FAMILIES),
        ),
        "start of a method": kept(own(METHODS, CRITERIA)),
        "pattern": kept(own(PATTERN_FAMILIES)),
        "check": kept(own(CHECKS), CHECKS),
        "model": kept(own(MODELS), MODELS),
        "data set": kept(own(DATASETS), DATASETS),
        "metric": kept(own(METRICS), METRICS),
    }


Kept = Mapping[str, Mapping[str, Sequence[str]]]


def _read() -> Kept | None:
    """Return what is kept; None if nothing is, or of another package."""
    try:
        content = json.loads(read_plain_text(user_cache() / FILE))
        kept = {kind: content["names"][kind] for kind in KINDS}
        listed = [*(one["names"] for one in kept.values()), *(one["groups"] for one in kept.values())]
        is_whole = all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in listed)
        return kept if is_whole and content["of"] == _package() else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError):
        return None


@functools.cache
def _package() -> str:
    """Return what is another for another version of the package, or when one of its files has changed."""
    root = Path(prunecheck.__file__).parent
    digest = hashlib.sha256(f"{prunecheck.__version__} {root}".encode())
    folders = [str(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir():
                    folders.append(entry.path)
                elif entry.name.endswith(".py"):
                    status = entry.stat()
                    digest.update(os.fsencode(f"\0{entry.path}\0{status.st_size}\0{status.st_mtime_ns}"))
    return digest.hexdigest()


def _require(kind: str, name: str, kept: Kept, *, known: bool) -> None:
    """Raise :class:`InputError` if a name is not known, and no other package may offer it."""
    if known:
        return
    from importlib.metadata import entry_points

    if not any(entry_points(group=group) for group in kept[kind]["groups"]):
        raise unknown_name(kind, name, kept[kind]["names"])


def _require_method(name: str, kept: Kept) -> None:
    patterns = {part for pattern in kept["pattern"]["names"] for part in pattern.split("-")[:1]}
    starts = tuple(f"{start}-" for start in kept["start of a method"]["names"])
    is_composed = name.startswith(starts) or not patterns.isdisjoint(name.split("-"))
    known = not PLAIN.fullmatch(name) or is_composed or name in kept["method"]["names"]
    _require("method", name, kept, known=known)


def _require_baseline(name: str, kept: Kept) -> None:
    if name != NONE and "," not in name:  # of several names it is said where they are read
        _require_method(name, kept)


def _require_check(text: str, kept: Kept) -> None:
    for part in () if text == NONE else text.split("+"):
        base = part.partition("@")[0]
        _require("check", base, kept, known=base in kept["check"]["names"])


def _require_model(name: str, kept: Kept) -> None:
    names = kept["model"]["names"]
    known = not PLAIN.fullmatch(name) or name in names or any(number_in_name(name, family) for family in names)
    _require("model", name, kept, known=known)


def _require_dataset(name: str, kept: Kept) -> None:
    _require("data set", name, kept, known=not PLAIN.fullmatch(name) or name in kept["data set"]["names"])


def _require_metric(name: str, kept: Kept) -> None:
    _require("metric", name, kept, known=not PLAIN.fullmatch(name) or name in kept["metric"]["names"])


_TESTS: Mapping[str, Callable[[str, Kept], None]] = {
    "method": _require_method,
    "methods": _require_method,
    "baseline": _require_baseline,
    "checks": _require_check,
    "model": _require_model,
    "models": _require_model,
    "dataset": _require_dataset,
    "datasets": _require_dataset,
    "metric": _require_metric,
}

"""The site's hook for the reference: what the ``__all__`` of prunecheck and its packages hold, read by mkdocstrings.

A page asks for it by a line of its own: ``<!-- public: SUBJECT -->``, ``<!-- public: all -->`` for a table of all
names, ``<!-- package: NAME -->`` for what a package offers beyond the public API. Nothing is listed by hand, so that a
name that becomes public is on the site.
"""

import ast
import importlib
import inspect
import re
import sys
from dataclasses import dataclass
from types import ModuleType

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

SUBJECTS = {
    "criteria": ("pruning.criteria", "pruning.iterative", "pruning.gem_miner", "pruning.scoring"),
    "allocations": ("pruning.allocations", "pruning.masks", "pruning.layers"),
    "tickets": ("pruning",),
    "checks": ("checks",),
    "training": ("training",),
    "data-and-models": ("data", "models"),
    "registering": ("metrics",),
}
"""By the module that defines a name; the first that fits counts."""

REGISTERING, ASKING = "registering", "asking"

WITHOUT_SITE = re.compile(r"^Without the site: .*\n\n", re.MULTILINE)
"""A line for those who read a page as the file that it is, in which the marker says nothing."""

MARKER = re.compile(r"^<!-- (public|package): ([a-z-]+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Definition:
    """What a name means.

    Attributes:
        name: as users import it.
        module: that defines it.
        path: of the definition, dotted.
        summary: the docstring's first line; empty for what has none.
    """

    name: str
    module: str
    path: str
    summary: str

    @property
    def subject(self) -> str:
        """The page that it stands on."""
        if self.name.startswith("register_"):
            return REGISTERING
        for subject, modules in SUBJECTS.items():
            if any(f"{self.module}.".startswith(f"prunecheck.{module}.") for module in modules):
                return subject
        return ASKING


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put what is asked for in the place of each marker."""
    return MARKER.sub(lambda found: reference(found[1], found[2]), WITHOUT_SITE.sub("", markdown))


def reference(kind: str, name: str) -> str:
    """Return what a marker asks for, as Markdown.

    Args:
        kind: ``public`` or ``package``.
        name: a subject or ``all``; or a package's name.

    Raises:
        ValueError: no page of the public API is about that subject.
    """
    public = _definitions("prunecheck")
    if kind == "public" and name == "all":
        return _overview(public)
    if kind == "public":
        if name not in {*SUBJECTS, REGISTERING, ASKING}:
            raise ValueError(f"no page of the reference is about {name}")
        return "\n\n".join(_entry(found, f"prunecheck.{found.name}") for found in public if found.subject == name)
    package, known = f"prunecheck.{name}", {found.path for found in public}
    offered = _definitions(package)
    shown = [_entry(found, f"{package}.{found.name}") for found in offered if found.path not in known]
    links = [f"[`{found.name}`][{found.path}]" for found in offered if found.path in known]
    also = [f"On the pages of the public API: {', '.join(links)}."] if links else []
    return "\n\n".join([*also, *shown])


def _entry(found: Definition, heading: str) -> str:
    return f"::: {found.path}\n    options:\n      heading: {heading}\n      toc_label: {found.name}"


def _overview(public: list[Definition]) -> str:
    lines = ["| name | what it is |", "|---|---|"]
    for subject in (ASKING, *SUBJECTS, REGISTERING):
        lines += [
            f"| [`prunecheck.{found.name}`][{found.path}] | {_cell(found.summary)} |"
            for found in public
            if found.subject == subject
        ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return re.sub(r":[a-z]+:`~?([^`]+)`", r"`\1`", text).replace("|", "\\|").replace("``", "`")


def _definitions(package: str) -> list[Definition]:
    """Return what a package's ``__all__`` names, without modules and the version: functions, then the rest, by name."""
    module = importlib.import_module(package)
    names = [name for name in getattr(module, "__all__", ()) if not name.startswith("_")]
    values = {name: getattr(module, name) for name in sorted(names, key=str.lower)}
    found = [_definition(name, value) for name, value in values.items() if not isinstance(value, ModuleType)]
    return sorted(found, key=lambda definition: not inspect.isroutine(values[definition.name]))


def _definition(name: str, value: object) -> Definition:
    module, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not (module in sys.modules and qualified and getattr(sys.modules[module], qualified, None) is value):
        module, qualified = _assigning_module(name, value), name
    described = inspect.isroutine(value) or inspect.isclass(value)
    summary = (inspect.getdoc(value) or "").split("\n")[0] if described else ""
    return Definition(name, module, f"{module}.{qualified}", summary)


def _assigning_module(name: str, value: object) -> str:
    """Return the module that assigns a constant, a registry or an alias of a type."""
    for module_name, module in sorted(sys.modules.items()):
        if module_name.startswith("prunecheck.") and getattr(module, name, None) is value:
            for statement in ast.parse(inspect.getsource(module)).body:
                targets = (
                    statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
                )
                if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                    return module_name
    raise ValueError(f"no module of prunecheck assigns {name}, which is public")

"""Which files code is made of: those that it was seen to use, and those that its import statements can mean."""

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from prunecheck.observation import USED_BY
from prunecheck.user_code.inputs import content_hash, installed_package, is_input


def files_used_by(files: Iterable[str], folder: Path) -> set[str]:
    """Return files and all that they use, one through another; what installed packages use is theirs.

    Statements that were not reached yet count too: a function may import what it needs when it is called.

    Args:
        files: absolute paths of source files.
        folder: where modules are looked for first.
    """
    found: set[str] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        if installed_package(file) or not is_input(file):
            continue
        waiting += USED_BY[file]
        if file.endswith(".py"):
            waiting += _meant_by_imports(file, content_hash(file), str(folder))
    return found


def files_of_imports(source: str, folder: Path) -> set[str]:
    """Return the files that the import statements in a piece of source can mean; of none if it cannot be parsed."""
    try:
        statements = ast.walk(ast.parse(source))
    except (SyntaxError, ValueError):
        return set()
    return {str(found) for statement in statements for found in _meant_by(statement, folder / "source.py", folder)}


@functools.lru_cache(maxsize=1024)
def _meant_by_imports(file: str, content: str, folder: str) -> tuple[str, ...]:
    """Return the files that import statements, anywhere in a source, can mean."""
    try:
        statements = list(ast.walk(ast.parse(Path(file).read_bytes())))
    except (OSError, SyntaxError, ValueError):
        return ()  # whoever runs it says so
    return tuple(str(found) for statement in statements for found in _meant_by(statement, Path(file), Path(folder)))


def _meant_by(statement: ast.AST, file: Path, folder: Path) -> Iterator[Path]:
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            yield from _modules(alias.name, folder)
    elif isinstance(statement, ast.ImportFrom):
        names = [alias.name for alias in statement.names]
        if not statement.level:
            module = str(statement.module)
            yield from _modules(module, folder)
            for name in names:
                yield from _modules(f"{module}.{name}", folder)
            return
        base = file.parents[min(statement.level, len(file.parents)) - 1]
        parts = statement.module.split(".") if statement.module else []
        for name in names:
            yield from (*_below([base], []), *_below([base], [*parts, name]))
    elif isinstance(statement, ast.Call) and statement.args:
        called = statement.func
        function = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
        argument = statement.args[0]
        if function in {"import_module", "__import__"} and isinstance(argument, ast.Constant):
            yield from _modules(str(argument.value), folder)


def _modules(name: str, folder: Path) -> Iterator[Path]:
    """Yield the files of a module by its whole name, and of the packages that it lies in."""
    top, *rest = name.split(".")
    if not top:
        return
    beside = list(_below([folder], [top, *rest]))
    if beside:
        yield from beside
        return
    if top in sys.stdlib_module_names:
        return
    places, file = _found(top, tuple(sys.path))
    if file is not None:
        yield file
        if installed_package(str(file)):
            return
    yield from _below([Path(place) for place in places], rest)


@functools.lru_cache(maxsize=1024)
def _found(top: str, path: tuple[str, ...]) -> tuple[tuple[str, ...], Path | None]:
    """Return where the modules of a package lie, and the file of the package or module itself."""
    try:
        spec = PathFinder.find_spec(top, list(path)) or getattr(sys.modules.get(top), "__spec__", None)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return (), None
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    return tuple(spec.submodule_search_locations or ()), file


def _below(places: list[Path], parts: list[str]) -> Iterator[Path]:
    """Yield the files of packages and module that the parts of a name mean, below one of some folders."""
    for place in places:
        for length in range(1, len(parts) + 1):
            module = place.joinpath(*parts[:length])
            yield from (
                path for path in (module.with_name(f"{module.name}.py"), module / "__init__.py") if path.is_file()
            )
    if not parts:
        yield from (path for place in places if (path := place / "__init__.py").is_file())

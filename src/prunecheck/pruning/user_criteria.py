"""Criteria in a user's own file: ``FILE.py:FUNCTION``."""

import ast
import contextlib
import hashlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from prunecheck.errors import InputError
from prunecheck.pruning.criteria import Criterion
from prunecheck.registry import nearest_names


def criterion_of_file(text: str) -> tuple[Criterion, Path, str]:
    """Return a criterion in a user's file, the file, and the SHA-256 of it and of what it imports beside it.

    Args:
        text: ``FILE.py:FUNCTION``.

    Raises:
        InputError: the file is missing, cannot be run, or does not define the function.
    """
    file, colon, function_name = text.rpartition(":")
    if not colon or not function_name:
        raise InputError(f"{text!r} names a file and no function: write it as {text.rstrip(':')}:FUNCTION.")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"there is no file {file}: give the path of the Python file that defines {function_name}.")
    source = path.read_bytes()
    namespace = _run_file(path, source)
    function = namespace.get(function_name)
    if not callable(function):
        functions = [name for name, value in namespace.items() if inspect.isfunction(value)]
        nearest = nearest_names(function_name, functions) or functions
        hint = f"it defines {', '.join(nearest)}." if nearest else "it defines no function at all."
        raise InputError(f"{file} does not define a function {function_name}: {hint}")
    criterion = Criterion(f"{path.name}:{function_name}", function, sees="samples")
    return criterion, path.resolve(), _hash_of(path.resolve(), source)


def _hash_of(path: Path, source: bytes) -> str:
    """Return the SHA-256 of a file, and of the files below its folder that it imports, one through another."""
    folder, sources = path.parent, {path: source}
    waiting = [path]
    while waiting:
        for file in _imported_from(folder, sources[waiting.pop()]):
            if file not in sources:
                sources[file] = file.read_bytes()
                waiting.append(file)
    total = hashlib.sha256(source)
    for file in sorted(sources.keys() - {path}):
        total.update(f"{file.relative_to(folder)} {len(sources[file])}\n".encode())
        total.update(sources[file])
    return total.hexdigest()


def _imported_from(folder: Path, source: bytes) -> Iterator[Path]:
    """Yield the files below a folder that import statements, anywhere in a source, can mean."""
    try:
        statements = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return  # whoever runs it says so
    for statement in statements:
        names: list[str] = []
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            module = f"{statement.module}." if statement.module else ""
            names = [f"{module}{alias.name}" for alias in statement.names]
        for name in names:
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                module_path = folder.joinpath(*parts[:length])
                candidates = (module_path.with_name(f"{module_path.name}.py"), module_path / "__init__.py")
                yield from (file.resolve() for file in candidates if file.is_file())


def _run_file(path: Path, source: bytes) -> dict[str, object]:
    if path.suffix != ".py":
        raise InputError(f"{path} is not a Python file: give one whose name ends in .py.")
    # A name that no import can mean; dataclasses look for the module that defines them under it.
    module = ModuleType(f"method file {path.resolve()}")
    module.__file__ = str(path.resolve())
    sys.modules[module.__name__] = module
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        # Compiled from what was hashed: what Python has cached may be of another version.
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the answer
            exec(compile(source, path, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        raise InputError(f"{path} cannot be run ({type(error).__name__}: {error}): correct it first.") from error
    finally:
        while folder in sys.path:
            sys.path.remove(folder)
        # Last, for what its functions import when they are called, and in nothing else's way.
        sys.path.append(folder)
    return vars(module)

"""Methods: named recipes for a ticket, and methods whose criterion is in a user's own file."""

import hashlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from prunecheck.errors import InputError
from prunecheck.pruning.criteria import CRITERIA, Criterion
from prunecheck.pruning.masks import GLOBAL
from prunecheck.registry import Registry, nearest_names


@dataclass(frozen=True)
class Method:
    """A criterion and an allocation; the ticket starts from the initial weights.

    Attributes:
        source: the user's file that defines the criterion; None for a built-in one.
        source_hash: SHA-256 of that file, so that another version makes another run; modules that
            it imports do not count.
    """

    name: str
    criterion: Criterion
    allocation: str
    source: Path | None = None
    source_hash: str | None = None


METHODS: Registry[Method] = Registry("method", "prunecheck.methods")


def _built_in(criterion: str) -> Criterion:
    """Return a criterion of ours, without importing what installed packages offer."""
    return CRITERIA.entries[criterion].item


METHODS.add(
    "snip",
    Method("snip", _built_in("snip"), GLOBAL),
    "the largest |weight x gradient| in the whole network (SNIP, arXiv:1810.02340)",
)
METHODS.add(
    "grasp",
    Method("grasp", _built_in("grasp"), GLOBAL),
    "the weights whose removal hurts the gradient flow most (GraSP, arXiv:2002.07376)",
)
METHODS.add(
    "magnitude",
    Method("magnitude", _built_in("magnitude"), GLOBAL),
    "the largest initial weights in the whole network; sees no data",
)
METHODS.add(
    "random-smart",
    Method("random-smart", _built_in("random"), "smart"),
    "random tickets: random weights within the paper's smart ratios (arXiv:2009.11094)",
)
METHODS.add(
    "random-uniform",
    Method("random-uniform", _built_in("random"), "uniform"),
    "random weights within one ratio for all convolutions",
)


def find_method(text: str) -> Method:
    """Return the method that a user names: a registered one, or ``FILE.py:FUNCTION``.

    Raises:
        InputError: an unknown name; a file that is missing, cannot be run or does not define the
            function.
    """
    if ".py" in text or "/" in text:
        return _method_from_file(text)
    return METHODS.get(text)


def _method_from_file(text: str) -> Method:
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
    name = f"{path.name}:{function_name}"
    criterion = Criterion(name, function, sees_data=True)
    return Method(name, criterion, GLOBAL, path.resolve(), hashlib.sha256(source).hexdigest())


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
        exec(compile(source, path, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        raise InputError(f"{path} cannot be run ({type(error).__name__}: {error}): correct it first.") from error
    finally:
        while folder in sys.path:
            sys.path.remove(folder)
        # Last, for what its functions import when they are called, and in nothing else's way.
        sys.path.append(folder)
    return vars(module)

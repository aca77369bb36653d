"""One way in for users' own code: text or an object, for methods, networks and data sets."""

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prunecheck.errors import InputError
from prunecheck.registry import Origin, nearest_names
from prunecheck.user_code.call_arguments import MARK, Value, read_arguments, without_arguments, written
from prunecheck.user_code.code import Code, code_registered_by
from prunecheck.user_code.global_state import global_state_kept
from prunecheck.user_code.inputs import installed_package, is_input
from prunecheck.user_code.loading import LOADED, load_file
from prunecheck.user_code.modules import import_module, is_module
from prunecheck.user_code.sources import attribute_of, file_of_module, is_current, is_importable
from prunecheck.user_code.values import code_by_value

IN_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
"""``package.module:NAME``."""

MAIN = "__main__"


class Pickled(bytes):
    """An object on its way to another process."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Something in users' own code.

    Attributes:
        kind: what it is to be: ``method``, ``model``, ``data set``.
        name: as runs and reports have it: ``net.py:build``, ``package.module:build?depth=20``; ``__main__:build`` for
            what was defined in a notebook, or in the program itself.
        code: what it is made of.
        argument: the text that finds it from any folder and in every process; None for what lies in no file.
        item: the object, or what another process has made of it.
    """

    kind: str
    name: str
    code: Code
    argument: str | None
    item: Any = field(repr=False)

    @functools.cached_property
    def value(self) -> Any:
        """The object; a function of it leaves the process as it was."""
        return _guarded(self._loaded) if self.argument is None and callable(self._loaded) else self._loaded

    @functools.cached_property
    def _loaded(self) -> Any:
        import cloudpickle

        if not isinstance(self.item, Pickled):
            return self.item
        try:
            return cloudpickle.loads(self.item)
        except Exception as error:
            raise InputError(
                f"the {self.kind} {self.name} cannot be made anew in another process "
                f"({type(error).__name__}: {error}): write it into a file and give FILE.py:NAME."
            ) from error

    @functools.cached_property
    def pickled(self) -> Pickled:
        """The object as other processes are sent it.

        Raises:
            InputError: it cannot be sent.
        """
        import cloudpickle

        if isinstance(self.item, Pickled):
            return self.item
        try:
            return Pickled(cloudpickle.dumps(self.item))
        except Exception as error:
            raise InputError(
                f"the {self.kind} {self.name} cannot be sent to other processes ({type(error).__name__}: {error}): "
                "write it into a file and give FILE.py:NAME, or use one worker."
            ) from error

    def __str__(self) -> str:
        return self.name

    def __dask_tokenize__(self) -> tuple[str, ...]:
        """Tell the engine what makes two of them the same; of code it cannot by itself."""
        return self.kind, self.name, self.code.hash

    def __getstate__(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "code": self.code,
            "argument": self.argument,
            "item": self.pickled,
        }


def is_reference(text: str) -> bool:
    """Say whether a text names something in users' own code: ``FILE.py:NAME`` or ``package.module:NAME``.

    A word before a colon may mean something else, and is a module if there is one of that name.
    """
    text = without_arguments(text)[0]
    if ".py" in text:
        return True
    module = text.partition(":")[0]
    return IN_MODULE.fullmatch(text) is not None and ("." in module or is_module(module))


def find_reference(kind: str, given: Any, may_be: tuple[type, ...] = (), supplied: Sequence[str] = ()) -> Reference:
    """Return what a text names, or what identifies an object.

    An object that an importable module defines is found by its file and name, and is loaded anew from there: what
    runs is what the file holds.

    Args:
        kind: what it is to be, for the sentence; see :class:`Reference`.
        given: ``FILE.py:NAME`` or ``package.module:NAME``, with arguments after ``?`` or not, see
            :mod:`prunecheck.user_code.call_arguments`; or an object.
        may_be: the types of objects that need not be called.
        supplied: the parameters that the function is given anyway, which are no arguments of the user's.

    Raises:
        InputError: there is no such file, module or name; it cannot be loaded; it is not callable; it lies in no file
            and cannot be told from another version of it; or it does not take the arguments.
    """
    arguments = None
    if isinstance(given, str):
        text, arguments = without_arguments(given)
        is_file = ".py:" in text or not IN_MODULE.fullmatch(text)
        found = _in_file(kind, text) if is_file else _in_module(kind, text)
    else:
        found, arguments = _of_partial(kind, given, supplied) or (_of_object(kind, given), None)
    if not callable(found.item) and not isinstance(found.item, may_be):
        raise InputError(
            f"a {kind} is a function or a class, and {found.name} is {_kind_of(found.item)}: give what can be called."
        )
    return found if arguments is None else _called_with(found, arguments, supplied)


def _called_with(found: Reference, arguments: str, supplied: Sequence[str]) -> Reference:
    """Return a reference whose function has some of its arguments already."""
    values = read_arguments(found.name, found.item, arguments, supplied)
    behind = f"{MARK}{written(values)}"
    argument = f"{found.argument}{behind}" if found.argument else None
    return replace(found, name=f"{found.name}{behind}", argument=argument, item=functools.partial(found.item, **values))


def _of_partial(kind: str, given: Any, supplied: Sequence[str]) -> tuple[Reference, str] | None:
    """Return what finds a function that has some of its arguments already, and these as text; None if no text says it.

    It is then what its text is: ``functools.partial(score, alpha=0.5)`` is ``my.py:score?alpha=0.5``.
    """
    if not isinstance(given, functools.partial) or given.args or not given.keywords:
        return None
    if not all(isinstance(value, Value) for value in given.keywords.values()):
        return None
    found = _of_object(kind, given.func)
    arguments = written(given.keywords)
    with contextlib.suppress(InputError):
        read = read_arguments(found.name, given.func, arguments, supplied)
        if found.argument and all(read[key] == v and type(read[key]) is type(v) for key, v in given.keywords.items()):
            return found, arguments
    return None


def _in_file(kind: str, text: str) -> Reference:
    file, colon, name = text.rpartition(":")
    if not colon or not name:
        raise InputError(f"{text!r} names a file and no function: write it as {text.rstrip(':')}:FUNCTION.")
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {file}: give the path of the Python file that defines {name}.")
    loaded = load_file(path)
    item = attribute_of(loaded.module, name)
    if item is None:
        raise _not_defined(file, name, loaded.names)
    value = loaded.function(item) if callable(item) else item
    return Reference(kind, f"{path.name}:{name}", Code([str(loaded.path)]), f"{loaded.path}:{name}", value)


def _in_module(kind: str, text: str) -> Reference:
    module_name, _, name = text.partition(":")
    module = import_module(module_name)
    item = attribute_of(module, name)
    if item is None:
        raise _not_defined(f"the module {module_name}", name, vars(module))
    if module_name == MAIN:
        return _of_object(kind, item)
    if file_of_module(module_name) is None:
        raise InputError(f"the module {module_name} lies in no Python file: give a function of a module that does.")
    _require_current(text, item)
    code = code_registered_by([Origin(module_name, module.__file__, vars(module))])
    assert code is not None
    return Reference(kind, text, code, text, _guarded(item) if callable(item) else item)


def _of_object(kind: str, item: Any) -> Reference:
    if is_importable(item) and (file := file_of_module(item.__module__)):
        module, qualified = item.__module__, item.__qualname__
        is_users_file = "." not in module and not installed_package(file) and is_input(file)
        if is_users_file or module.startswith(LOADED):
            return _in_file(kind, f"{file}:{qualified}")
        return _in_module(kind, f"{module}:{qualified}")
    name = _name_of(item)
    return Reference(kind, name, code_by_value(name, item), None, item)


def _name_of(item: Any) -> str:
    """Return a name for what lies in no file: that of its definition, or else that under which it is known there."""
    if isinstance(item, functools.partial):
        given = [repr(value) for value in item.args] + [f"{key}={value!r}" for key, value in item.keywords.items()]
        inner = _name_of(item.func)
        return f"{inner}({', '.join(given)})" if all(len(text) <= 20 for text in given) else f"{inner}(...)"
    module = getattr(item, "__module__", None) or MAIN
    name = getattr(item, "__qualname__", None) or type(item).__name__
    if name.endswith("<lambda>"):
        known = getattr(item, "__globals__", {})
        name = next((key for key, value in known.items() if value is item and not key.startswith("_")), "lambda")
    file = file_of_module(module)
    where = Path(file).name if file and module != MAIN and "." not in module else module
    return f"{where}:{name.replace('<locals>.', '')}"


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        with global_state_kept():
            return function(*arguments, **named)

    return called


def _require_current(text: str, item: Any) -> None:
    """Raise :class:`InputError` if a function's file was changed since it was imported."""
    code = getattr(inspect.unwrap(item) if callable(item) else item, "__code__", None)
    if code and Path(code.co_filename).is_file() and not is_current(code):
        raise InputError(
            f"the file of {text} was changed after it was imported: load it anew with importlib.reload, or start "
            "Python again."
        )


def _not_defined(where: str, name: str, names: Mapping[str, Any]) -> InputError:
    functions = [other for other, value in names.items() if inspect.isfunction(value)]
    nearest = nearest_names(name, functions) or functions
    hint = f"it defines {', '.join(nearest)}." if nearest else "it defines no function at all."
    return InputError(f"{where} does not define a function {name}: {hint}")


def _kind_of(item: object) -> str:
    name = type(item).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"

"""What identifies an object that lies in no file: its source, and what its source names."""

import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import logging
import re
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.user_code.code import Code
from prunecheck.user_code.imports import files_of_imports
from prunecheck.user_code.inputs import Input, installed_package, is_input
from prunecheck.user_code.sources import file_of_module, globals_named_by, is_importable, source_of

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range, slice, torch.dtype, torch.device)
PRINTED = (PurePath, decimal.Decimal, fractions.Fraction, datetime.date, datetime.timedelta, datetime.time)
"""Types whose values print all that they are."""

OF_NO_ACCOUNT = {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "_abc_impl"} | {
    f"__{name}__"
    for name in (
        *("firstlineno", "static_attributes", "abstractmethods", "dataclass_fields", "dataclass_params", "match_args"),
        *("parameters", "annotate", "annotate_func", "annotations_cache"),
    )
}
"""What stands in a class and does not change what it does, or is told of it in another way."""

MADE_BY_DATACLASSES = {
    f"__{name}__"
    for name in (
        *("init", "repr", "eq", "hash", "lt", "le", "gt", "ge", "setattr", "delattr"),
        *("getstate", "setstate", "replace"),
    )
}


class NotTold(Exception):  # noqa: N818 - becomes an InputError, with the name of the object
    """What of an object cannot be told from one process to the next."""


def code_by_value(name: str, item: object) -> Code:
    """Return what an object without a file is made of.

    These are its source and, by name, what it names of the module that defines it: functions and classes by their
    source, values by their content; also what its closures hold, its defaults, and the files of other modules.

    Args:
        name: of the object, for the sentence.
        item: a function, a class, or an instance.

    Raises:
        InputError: something of it has no source, or a value of it has a content that cannot be told.
    """
    _, files = _walked(name, item)
    code = Code(files, values=lambda: _walked(name, item)[0])
    _ = code.hash  # of what it is now
    return code


def have_equal_values(first: object, second: object) -> bool:
    """Say whether two objects are the same, made of the same source and the same values.

    Raises:
        InputError: that cannot be told of one of them.
    """
    return first is second or code_by_value("an object", first).hash == code_by_value("an object", second).hash


def _walked(name: str, item: object) -> tuple[list[Input], set[str]]:
    walk = _Walk()
    try:
        walk.named[""] = walk.token(item)
    except NotTold as error:
        raise InputError(
            f"{name} cannot be told from another version of it ({error}): write it into a file and give FILE.py:NAME."
        ) from error
    return [(f"object {label}", hashlib.sha256(token.encode()).hexdigest()) for label, token in walk.named.items()], (
        walk.files
    )


class _Walk:
    """Goes through an object and all that it names.

    Attributes:
        named: what identifies the object itself, under "", and all that it names in its module.
        files: absolute paths of the files of the modules that it uses.
    """

    def __init__(self) -> None:
        self.named: dict[str, str] = {}
        self.files: set[str] = set()
        self._within: dict[int, int] = {}

    def token(self, value: object) -> str:
        """Return a text that is the same for equal values, in every process.

        Raises:
            NotTold: there is no such text.
        """
        if isinstance(value, PLAIN):
            return f"{type(value).__name__} {value!r}"
        if isinstance(value, PRINTED):
            return repr(value)
        if id(value) in self._within:
            return f"what is {len(self._within) - self._within[id(value)]} further out"
        self._within[id(value)] = len(self._within)
        try:
            return self._token(value)
        finally:
            del self._within[id(value)]

    def _token(self, value: Any) -> str:
        for kind, token in self._kinds:
            if isinstance(value, kind):
                return token(value)
        for kind, parts in PARTS.items():
            if isinstance(value, kind):
                return f"{kind.__name__}({self._all(parts(value))})"
        return self._of_library(value) if is_importable(value) else self._instance(value)

    @property
    def _kinds(self) -> list[tuple[Any, Callable[[Any], str]]]:
        return [
            (ModuleType, self._module),
            ((Tensor, numpy.ndarray, numpy.generic), self._array),
            (FunctionType, self._function),
            (type, self._class),
            ((BuiltinFunctionType, numpy.ufunc), self._of_library),
            (enum.Enum, lambda value: f"{self.token(type(value))}.{value.name}"),
            ((tuple, list, deque), lambda value: f"{self._kind(value)}[{self._all(value)}]"),
            ((set, frozenset), lambda value: f"{self._kind(value)}{sorted(map(self.token, value))}"),
            (dict, lambda value: f"{self._kind(value)}[{self._all(chain.from_iterable(value.items()))}]"),
        ]

    def _module(self, module: ModuleType) -> str:
        self._use(module.__name__)
        return f"module {module.__name__}"

    def _all(self, values: Any) -> str:
        return ", ".join(self.token(value) for value in values)

    def _kind(self, value: object) -> str:
        kind = type(value)
        return kind.__name__ if kind.__module__ in {"builtins", "collections"} else self.token(kind)

    def _array(self, value: Any) -> str:
        if isinstance(value, Tensor):
            if value.layout != torch.strided or value.is_meta:
                raise NotTold("a tensor in it is sparse, or has no values")
            about = f"{type(value).__name__} {value.dtype} {tuple(value.shape)} {value.requires_grad}"
            data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        else:
            array = numpy.asarray(value)
            if array.dtype.hasobject:
                return f"array {array.shape} [{self._all(array.ravel().tolist())}]"
            about, data = f"array {array.dtype.str} {array.shape}", numpy.ascontiguousarray(array).tobytes()
        return f"{about} {hashlib.sha256(data).hexdigest()}"

    def _of_library(self, value: Any) -> str:
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType | type):
            raise NotTold(f"it holds {value!r}, a method of a value")
        module = str(getattr(value, "__module__", None) or getattr(owner, "__name__", ""))
        self._use(module)
        return f"{module}.{getattr(value, '__qualname__', getattr(value, '__name__', ''))}"

    def _function(self, function: FunctionType) -> str:
        if is_importable(function):
            return self._of_library(function)
        held = [self._cell(cell) for cell in function.__closure__ or ()]
        about = [self.token(part) for part in (function.__defaults__, function.__kwdefaults__, function.__dict__)]
        if file_of_module(function.__module__) and function.__module__ != "__main__":
            self._use(function.__module__)
            positions = list(function.__code__.co_positions())[:2]
            text = f"{function.__module__}.{function.__qualname__} {function.__code__.co_firstlineno} {positions}"
        else:
            source = source_of(function)
            if source is None:
                raise NotTold(f"there is no source of {function.__qualname__}")
            text = source
            self.files |= files_of_imports(text, Path.cwd())
            for name in sorted(globals_named_by(function.__code__)):
                if name in function.__globals__:
                    self._name(name, function.__globals__[name])
        return f"function({'; '.join([text, *held, *about])})"

    def _cell(self, cell: Any) -> str:
        try:
            return self.token(cell.cell_contents)
        except ValueError:
            return "an empty cell"

    def _name(self, name: str, value: object) -> None:
        """Take in what a name of the module means, once."""
        if name in self.named:
            return
        self.named[name] = ""
        within, self._within = self._within, {}
        try:
            self.named[name] = self.token(value)
        except NotTold as error:
            raise NotTold(f"{name}: {error}") from error
        finally:
            self._within = within

    def _class(self, kind: type) -> str:
        if is_importable(kind):
            return self._of_library(kind)
        if file_of_module(kind.__module__) and kind.__module__ != "__main__":
            self._use(kind.__module__)
        is_dataclass = dataclasses.is_dataclass(kind)
        parts = [kind.__qualname__, *(self.token(base) for base in (*kind.__bases__, type(kind)))]
        if is_dataclass:
            for field in dataclasses.fields(kind):
                given = [value for value in (field.default, field.default_factory) if value is not dataclasses.MISSING]
                parts.append(f"{field.name}: {self._all(given)}")
        for name, member in sorted(vars(kind).items()):
            is_made = is_dataclass and name in MADE_BY_DATACLASSES and source_of(member) is None
            if name in OF_NO_ACCOUNT or is_made or isinstance(member, MemberDescriptorType | GetSetDescriptorType):
                continue
            parts.append(f"{name} = {self.token(member)}")
        return f"class({'; '.join(parts)})"

    def _instance(self, value: Any) -> str:
        kind = type(value)
        is_of_library = is_importable(kind) and not isinstance(value, nn.Module) and not dataclasses.is_dataclass(value)
        if isinstance(value, Code):
            return value.hash
        if is_of_library and _comes_with_a_package(kind):
            raise NotTold(f"it holds a value of type {kind.__module__}.{kind.__qualname__}")
        slots = [name for base in kind.__mro__ for name in _slots(base) if hasattr(value, name)]
        held = {name: getattr(value, name) for name in slots} | dict(getattr(value, "__dict__", {}))
        return f"instance({self.token(kind)}; {self.token(held)})"

    def _use(self, module: str) -> None:
        file = file_of_module(module)
        if file:
            self.files.add(file)


PARTS: dict[type, Callable[[Any], tuple[object, ...]]] = {
    functools.partial: lambda value: (value.func, value.args, value.keywords),
    functools._lru_cache_wrapper: lambda value: (value.__wrapped__,),
    MethodType: lambda value: (value.__func__, value.__self__),
    staticmethod: lambda value: (value.__func__,),
    classmethod: lambda value: (value.__func__,),
    property: lambda value: (value.fget, value.fset, value.fdel),
    functools.cached_property: lambda value: (value.func,),
    re.Pattern: lambda value: (value.pattern, value.flags),
    logging.Logger: lambda value: (value.name,),
}
"""What wrappers and values of Python's own consist of."""


def _slots(kind: type) -> Iterator[str]:
    slots = vars(kind).get("__slots__", ())
    yield from (slots,) if isinstance(slots, str) else slots


def _comes_with_a_package(kind: type) -> bool:
    """Say whether a class is Python's own or an installed package's, and may keep anything anywhere."""
    file = file_of_module(kind.__module__)
    return file is None or installed_package(file) is not None or not is_input(file)

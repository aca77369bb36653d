"""Which files code reads, runs and imports while it is watched.

Python tells an audit hook (PEP 578) of every file that it opens and of all code that it executes; libraries that open
files by themselves are watched at the functions by which they do. What a module reads while it is
imported is remembered as that module's own, because it is not read again when another one imports it.
"""

import builtins
import functools
import importlib
import importlib.util
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import CodeType, FrameType, ModuleType
from typing import Any

NATIVE_READERS = (
    ("safetensors", "safe_open"),
    ("safetensors.torch", "safe_open"),
    ("safetensors.numpy", "safe_open"),
    ("torch.jit", "load"),
    ("torch", "from_file"),
    ("torch", "UntypedStorage.from_file"),
)
"""Module and name of functions that open a file, their first argument, without Python's knowing."""

OTHER_PROCESSES = {
    "subprocess.Popen": "another program",
    "os.system": "another program",
    "os.posix_spawn": "another program",
    "os.exec": "another program",
    "os.fork": "another process",
    "socket.connect": "the network",
}
"""Events after which code can know things that no file says that it opened here."""

LIBRARIES = frozenset(sys.stdlib_module_names) | {
    "prunecheck",
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "safetensors",
    "PIL",
}
"""Top-level modules that open files for others, never for themselves, but for what comes with them."""

READERS_OF_SOURCE = frozenset({"linecache", "tokenize", "inspect"})
"""Modules that open source files to quote them."""

CODE = (".py", ".pyc")

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

USED_BY: dict[str, set[str]] = defaultdict(set)
"""By module file, the files that it imported, executed, and read while it was imported."""


class Observation(AbstractContextManager["Observation"]):
    """Watches what code in its block does, in this thread and in those that are started meanwhile.

    Args:
        frame: of the function that the block stands in; None for that which enters it.

    Attributes:
        files: absolute paths of the files that were read, executed or imported. What the block wrote itself
            before is left out.
        elsewhere: where the code looked beside files: ``another program``, ``another process``, ``the network``.
    """

    def __init__(self, frame: FrameType | None = None) -> None:
        self.files: set[str] = set()
        self.elsewhere: set[str] = set()
        self._written: set[str] = set()
        self._before: dict[int | None, threading.Thread] = {}
        self._frame = frame

    def __enter__(self) -> "Observation":
        here = threading.get_ident()
        self._before = {thread.ident: thread for thread in threading.enumerate() if thread.ident != here}
        self._frame = self._frame or sys._getframe(1)
        _start(self)
        return self

    def __exit__(self, *_: object) -> None:
        _stop(self)
        self._frame = None

    def opened(self, path: str, flags: int, stack: "Stack") -> None:
        """Take note of a file that is opened."""
        if not self._concerns(stack):
            return
        if flags & WRITING:
            if path not in self.files:
                self._written.add(path)
        elif path not in self._written:
            self.files.add(path)
            for module_file in stack.modules_until(self._frame):
                USED_BY[module_file].add(path)

    def looked_elsewhere(self, where: str, stack: "Stack") -> None:
        """Take note of something that files do not show."""
        if self._concerns(stack):
            self.elsewhere.add(where)

    def _concerns(self, stack: "Stack") -> bool:
        other = self._before.get(threading.get_ident())
        if other and other.is_alive():  # the number of one that has ended may be another's by now
            return False
        return stack.is_of_others_until(self._frame)


class Stack:
    """The frames that are being executed in this thread, the innermost first."""

    def __init__(self, frame: FrameType | None) -> None:
        self._frames = list(_outwards(frame))

    @property
    def is_import_machinery(self) -> bool:
        """Whether Python itself reads: to import, which an event of its own tells of, or to quote a line."""
        innermost = next(iter(self._until(None)), None)
        return innermost is not None and (
            innermost.f_code.co_filename.startswith("<frozen importlib")
            or innermost.f_globals.get("__name__") in READERS_OF_SOURCE
        )

    def is_of_others_until(self, end: FrameType | None) -> bool:
        """Say whether code that is neither ours nor a library's is being executed, inside of a frame.

        In a thread of its own there may be a library's functions alone.
        """
        frames = self._until(end)
        names = [_top_level(frame) for frame in frames]
        if any(name not in LIBRARIES for name in names):
            return True
        return end not in self._frames and "prunecheck" not in names

    def modules_until(self, end: FrameType | None) -> Iterator[str]:
        """Yield the files of the modules that are being imported."""
        for frame in self._until(end):
            file = frame.f_globals.get("__file__")
            if frame.f_code.co_name == "<module>" and file and _top_level(frame) not in LIBRARIES:
                yield _absolute(file)

    def _until(self, end: FrameType | None) -> list[FrameType]:
        frames = self._frames[: self._frames.index(end)] if end in self._frames else self._frames
        return [frame for frame in frames if frame.f_globals.get("__name__") != __name__]


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _top_level(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


_current: list[Observation] = []
_originals: list[tuple[Any, str, Any]] = []
_has_hook = False


def _start(observation: Observation) -> None:
    global _has_hook  # noqa: PLW0603 - a hook cannot be taken out again
    if not _has_hook:
        sys.addaudithook(_audit)
        _has_hook = True
    if not _current:
        _replace(builtins, "__import__", _watched_import)
        _replace(importlib, "import_module", _watched_import_module)
        for module_name, name in NATIVE_READERS:
            _watch_reader(module_name, name)
    _current.append(observation)


def _stop(observation: Observation) -> None:
    _current.remove(observation)
    if not _current:
        while _originals:
            owner, name, original = _originals.pop()
            setattr(owner, name, original)


def _replace(owner: Any, name: str, watched: Callable[[Any], Any]) -> None:
    original = getattr(owner, name)
    _originals.append((owner, name, original))
    setattr(owner, name, watched(original))


def _watch_reader(module_name: str, name: str) -> None:
    try:
        owner: Any = importlib.import_module(module_name)
    except ImportError:
        return
    *owners, name = name.split(".")
    for attribute in owners:
        owner = getattr(owner, attribute)
    _replace(owner, name, _watched_reader)


def _watched_reader(original: Any) -> Any:
    @functools.wraps(original, updated=())
    def read(*arguments: Any, **named: Any) -> Any:
        for path in [*arguments, *named.values()][:1]:
            _opened(path, os.O_RDONLY)
        return original(*arguments, **named)

    return staticmethod(read) if isinstance(original, staticmethod) else read


def _watched_import(original: Any) -> Any:
    """Tell of imports of what is imported already, too."""

    def watched(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> ModuleType:
        module: ModuleType = original(name, globals, locals, fromlist, level)
        if globals is None:
            globals = sys._getframe(1).f_globals
        if str(globals.get("__name__", "")).partition(".")[0] not in LIBRARIES:
            base = importlib.util.resolve_name("." * level + name, globals.get("__package__")) if level else name
            parts = base.split(".")
            names = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
            _imported(names | {f"{base}.{part}" for part in fromlist or ()}, globals.get("__file__"))
        return module

    return watched


def _watched_import_module(original: Any) -> Any:
    def watched(name: str, package: str | None = None) -> ModuleType:
        module: ModuleType = original(name, package)
        caller = sys._getframe(1)
        if _top_level(caller) not in LIBRARIES:
            parts = module.__name__.split(".")
            names = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
            _imported(names, caller.f_globals.get("__file__"))
        return module

    return watched


def _imported(names: set[str], importer: str | None) -> None:
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if not isinstance(file, str):
            continue
        if importer:
            USED_BY[_absolute(importer)].add(_absolute(file))
        _opened(file, os.O_RDONLY)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _current:
        return
    if event == "open":
        _opened(arguments[0], arguments[2])
    elif event == "exec" and isinstance(arguments[0], CodeType):
        _opened(arguments[0].co_filename, os.O_RDONLY, is_executed=True)
    elif event in {"ctypes.dlopen", "sqlite3.connect"}:
        _opened(arguments[0], os.O_RDONLY)
    elif event == "import" and arguments[1]:
        _opened(arguments[1], os.O_RDONLY, is_executed=True)
    elif event in OTHER_PROCESSES:
        stack = Stack(sys._getframe(1))
        for observation in _current:
            observation.looked_elsewhere(OTHER_PROCESSES[event], stack)


def _opened(path: object, flags: int, is_executed: bool = False) -> None:
    if not _current or not isinstance(path, str | bytes | os.PathLike):
        return
    name = _absolute(path)
    if not flags & WRITING and not os.path.exists(name):  # noqa: PTH110 - a missing file, or code that lies in none
        return
    stack = Stack(sys._getframe(1))
    if not is_executed and name.endswith(CODE) and stack.is_import_machinery:
        return
    for observation in list(_current):
        observation.opened(name, flags, stack)


def _absolute(path: str | bytes | os.PathLike[Any]) -> str:
    """Return a whole path with ``..`` taken out and links left in."""
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - pathlib leaves ".." in

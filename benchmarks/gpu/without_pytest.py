"""Running the tests that wait for a GPU where pytest is not installed: of pytest, what those tests use.

``python -m benchmarks.gpu.without_pytest MODULE`` prints a line for each test and ends with 1 if one has failed.
"""

import contextlib
import importlib
import inspect
import itertools
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any


class SkippedError(Exception):
    """A test that says of itself that it cannot run here."""


class Approximately:
    """A number that others equal if they are as near as ``rel`` says."""

    def __init__(self, number: float, rel: float = 1e-6, abs: float = 1e-12) -> None:
        self.number = number
        self.tolerance = max(rel * (number if number > 0 else -number), abs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int | float) and -self.tolerance <= other - self.number <= self.tolerance

    def __hash__(self) -> int:
        return hash(self.number)


@contextlib.contextmanager
def raises(kind: type[Exception], match: str = "") -> Iterator[None]:
    """See that a block raises an error whose text has ``match`` in it."""
    try:
        yield
    except kind as error:
        assert re.search(match, str(error)), f"{error} has no {match} in it"
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


def skip(reason: str) -> None:
    """Leave a test out."""
    raise SkippedError(reason)


def fixture(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Mark a function as one whose result tests name as a parameter."""
    if function is None:
        return lambda decorated: fixture(decorated, **options)
    function.fixture_options = options  # type: ignore[attr-defined]
    return function


class Marks:
    """``pytest.mark``."""

    @staticmethod
    def parametrize(names: str | tuple[str, ...], values: list[Any], **_: Any) -> Callable[[Any], Any]:
        """Have a test run with each of the values."""
        listed = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

        def decorate(test: Any) -> Any:
            rows = [dict(zip(listed, value if len(listed) > 1 else (value,), strict=True)) for value in values]
            test.parameters = [*getattr(test, "parameters", []), rows]
            return test

        return decorate

    @staticmethod
    def skipif(condition: bool, *, reason: str) -> tuple[bool, str]:
        """Say whether a whole module is left out."""
        return condition, reason

    def __getattr__(self, name: str) -> Any:
        return lambda test: test


def stand_in() -> ModuleType:
    """Return what ``import pytest`` is to find."""
    module = ModuleType("pytest")
    for name, item in (
        ("approx", Approximately),
        ("raises", raises),
        ("skip", skip),
        ("fixture", fixture),
        ("mark", Marks()),
    ):
        setattr(module, name, item)
    return module


def run(names: list[str], say: Callable[[str], None] = print) -> dict[str, str]:
    """Run the tests of modules, with the fixtures of the ``conftest`` beside each.

    Args:
        names: of modules, the stand-in for pytest being importable.
        say: told a line for each test.

    Returns:
        By test, ``passed``, ``skipped: WHY`` or ``failed: WHY``.
    """
    outcomes: dict[str, str] = {}
    for name in names:
        module = importlib.import_module(name)
        beside = importlib.import_module(f"{name.rpartition('.')[0]}.conftest")
        fixtures = {**_fixtures(beside), **_fixtures(module)}
        is_left_out, reason = getattr(module, "pytestmark", (False, ""))
        for test in [item for key, item in vars(module).items() if key.startswith("test_") and callable(item)]:
            for row in itertools.product(*getattr(test, "parameters", [])):
                arguments = {key: value for part in row for key, value in part.items()}
                label = f"{test.__name__}{list(arguments.values()) if arguments else ''}"
                outcomes[label] = f"skipped: {reason}" if is_left_out else _outcome(test, arguments, fixtures)
                say(f"{label}: {outcomes[label]}")
    return outcomes


def _fixtures(module: ModuleType) -> dict[str, Callable[..., Any]]:
    return {name: item for name, item in vars(module).items() if hasattr(item, "fixture_options")}


def _outcome(test: Callable[..., Any], arguments: dict[str, Any], fixtures: dict[str, Callable[..., Any]]) -> str:
    made: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:

        def value(name: str) -> Any:
            if name not in made:
                function = fixtures[name]
                given = {other: value(other) for other in inspect.signature(function).parameters}
                is_generator = inspect.isgeneratorfunction(function)
                made[name] = (
                    stack.enter_context(contextlib.contextmanager(function)(**given))
                    if is_generator
                    else function(**given)
                )
            return made[name]

        try:
            for name, function in fixtures.items():
                if function.fixture_options.get("autouse"):  # type: ignore[attr-defined]
                    value(name)
            needed = [name for name in inspect.signature(test).parameters if name not in arguments]
            test(**arguments, **{name: value(name) for name in needed})
        except SkippedError as reason:
            return f"skipped: {reason}"
        except Exception as error:
            return f"failed: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}"
    return "passed"


if __name__ == "__main__":
    sys.modules["pytest"] = stand_in()
    sys.exit(any(outcome.startswith("failed") for outcome in run(sys.argv[1:]).values()))

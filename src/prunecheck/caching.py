"""Results of functions kept in memory, and much that is read and kept."""

import contextlib
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar, cast

Parameters = ParamSpec("Parameters")
Result_co = TypeVar("Result_co", covariant=True)


class Cached(Protocol[Parameters, Result_co]):
    """A function that is called once for the same arguments."""

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result_co:
        """Return what the function returns."""

    @property
    def __wrapped__(self) -> Callable[Parameters, Result_co]:
        """The function itself."""

    def cache_clear(self) -> None:
        """Forget all results."""


def cached(function: Callable[Parameters, Result_co]) -> Cached[Parameters, Result_co]:
    """Keep a function's results as :func:`functools.cache` does, whose type has lost the parameters."""
    return cast(Cached[Parameters, Result_co], functools.cache(function))


def cached_with_errors(
    kind: type[Exception],
) -> Callable[[Callable[Parameters, Result_co]], Cached[Parameters, Result_co]]:
    """Return a decorator that keeps a function's results, and its errors of a kind, which are raised again."""

    def decorate(function: Callable[Parameters, Result_co]) -> Cached[Parameters, Result_co]:
        @functools.cache
        def outcome(*args: Any, **kwargs: Any) -> tuple[Any, Exception | None]:
            try:
                return function(*args, **kwargs), None
            except kind as error:
                return None, error

        @functools.wraps(function)
        def called_once(*args: Any, **kwargs: Any) -> Any:
            value, error = outcome(*args, **kwargs)
            if error is not None:
                raise error.with_traceback(None)
            return value

        called_once.cache_clear = outcome.cache_clear  # type: ignore[attr-defined]
        return cast(Cached[Parameters, Result_co], called_once)

    return decorate


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Look for no cycles in a block that makes many objects and keeps them: each look goes through all of them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

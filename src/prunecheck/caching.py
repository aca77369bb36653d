"""Results of functions kept in memory."""

import functools
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar, cast

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

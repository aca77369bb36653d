"""Packages that not everybody needs: the extras of prunecheck's installation."""

import contextlib
from collections.abc import Iterator

from prunecheck.errors import InputError


@contextlib.contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Import packages of an extra in the block, or say how they are installed.

    Args:
        name: the extra's, as in ``pip install 'prunecheck[NAME]'``.
        what: needs them; begins the sentence.

    Raises:
        InputError: one of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise InputError(f"{what} needs {package}, which is not installed: pip install 'prunecheck[{name}]'.") from None

"""The one error that a user's input can cause, and how it names what the user gave.

Whatever raises it does not know whether a value came as an option, as a key of a study file or as an argument in
Python. It writes the *field*, ``f"{field_name('train_images')} takes ..."``, and the front end that took the value
spells it, as an option, as a key on a line of a file, or plainly ``train_images``.
"""

import contextlib
from collections.abc import Callable, Iterator

MARK = "\0"
"""Stands around the name of a field in a message: no argument of a command, path or line of a file can hold it."""

Spelling = Callable[[str], str | None]
"""Returns how a front end spells a field; None for one that it did not take, which is left to the next front end."""


def field_name(field: str) -> str:
    """Return the name of a field for the message of an :class:`InputError`, to be spelled by the front end.

    Args:
        field: as the argument is named in Python, such as ``train_images``.
    """
    return f"{MARK}{field}{MARK}"


class InputError(Exception):
    """What is wrong, what was expected and what to do, in one sentence.

    The command line prints it on stderr without a traceback and exits with 2.

    Attributes:
        field: what it is about, as the argument is named in Python; None if it is about no single one.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        """Keep a message.

        Args:
            message: the sentence; fields that it names are written with :func:`field_name`.
            field: what it is about.
        """
        super().__init__(message)
        self.field = field

    def __str__(self) -> str:
        """Return the sentence; fields that no front end has spelled have their names in Python."""
        return str(self.spelled(lambda field: field).args[0])

    def spelled(self, spelling: Spelling) -> "InputError":
        """Return the error with its fields named as a front end spells them."""
        # Every second part stands between two marks.
        parts = str(self.args[0]).split(MARK)
        for place in range(1, len(parts), 2):
            spelled = spelling(parts[place])
            parts[place] = field_name(parts[place]) if spelled is None else spelled
        return InputError("".join(parts), field=self.field)

    def followed_by(self, remedy: str) -> "InputError":
        """Return the error with something else to do behind what it says; the same where that is empty."""
        if not remedy:
            return self
        return InputError(f"{self.args[0].rstrip('.?')}; {remedy}.", field=self.field)

    def within(self, where: str) -> "InputError":
        """Return the error with what it happened in before it: ``f"{where}: {error}"``."""
        return InputError(f"{where}: {self.args[0]}", field=self.field)


@contextlib.contextmanager
def errors_spelled(spelling: Spelling) -> Iterator[None]:
    """Have errors name fields as the front end spells them that took them."""
    try:
        yield
    except InputError as error:
        raise error.spelled(spelling) from error.__cause__  # the sentence is the same


class StoppedFromOutside(KeyboardInterrupt):
    """Another command asked the runs that are going on to stop, as ``prunecheck stop`` does; what is finished stays."""

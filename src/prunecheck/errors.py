"""The one error that a user's input can cause."""


class InputError(Exception):
    """What is wrong, what was expected and what to do, in one sentence.

    The command line prints it on stderr without a traceback and exits with 2.
    """

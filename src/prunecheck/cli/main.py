"""The command ``prunecheck``: its sub-commands, and how errors and interruptions end it."""

import signal
import sys
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

import prunecheck
from prunecheck.cli.check import check
from prunecheck.cli.listing import list_names
from prunecheck.cli.prune import prune
from prunecheck.errors import InputError

WRONG_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143


class Terminated(BaseException):
    """SIGTERM arrived."""


def _build_app() -> App:
    app = App(
        name="prunecheck",
        help="Give it a pruning method; it tells you, with error bars, which information the method really uses.",
        version=prunecheck.__version__,
        version_flags=["--version"],
        help_flags=["--help", "-h"],
        suppress_keyboard_interrupt=False,  # main says what an interruption left behind
    )
    app.command(check)
    app.command(prune)
    app.command(list_names, name="list")
    return app


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 when done, 2 for wrong input, 130 or 143 when interrupted."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _build_app()(arguments, exit_on_error=False, print_error=False)
    except InputError as error:
        _fail(str(error))
    except CycloptsError as error:
        _fail(_usage(error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        _fail(_sentence(error))
    except KeyboardInterrupt:
        _say("interrupted: what is finished stays, and the same command goes on from there.")
        sys.exit(INTERRUPTED)
    except Terminated:
        _say("terminated: what is finished stays, and the same command goes on from there.")
        sys.exit(TERMINATED)
    sys.exit(0)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _usage(error: CycloptsError) -> str:
    """Say what the parser did not understand, in words of ours where its own do not say what to do."""
    see = f"see `{' '.join(['prunecheck', *(error.command_chain or ()), '--help'])}`"
    if isinstance(error, UnusedCliTokensError):
        surplus = " ".join(error.unused_tokens or ())
        return f"{surplus!r} is too much: {see}; values of one option have commas between them, and no spaces."
    if isinstance(error, MissingArgumentError) and error.argument:
        _, _, nearest = str(error).partition(" Did you mean ")
        return f"{error.argument.name} needs a value: " + (f"did you mean {nearest}" if nearest else f"{see}.")
    return str(error)


def _sentence(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    what = error.strerror or str(error)
    return f"{what[:1].lower()}{what[1:]}{where}: mend that and call the command again; what is finished stays."


def _say(text: str) -> None:
    print(f"prunecheck: {text}", file=sys.stderr)


def _fail(text: str) -> NoReturn:
    _say(" ".join(text.split()))
    sys.exit(WRONG_INPUT)

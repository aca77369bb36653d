"""The command ``prunecheck``: its sub-commands, and how errors and interruptions end it."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import FrameType, MappingProxyType
from typing import NoReturn

from cyclopts import App, CycloptsError, MissingArgumentError, UnknownOptionError, UnusedCliTokensError

import prunecheck
from prunecheck.cli.output import say
from prunecheck.cli.shortage import require_addresses, what_is_missing
from prunecheck.errors import InputError, Spelling, StoppedFromOutside
from prunecheck.reading import reading_only

COMMANDS = {
    "check": "check:check",
    "plan": "plan:plan",
    "run": "run:run",
    "report": "report:report",
    "audit": "audit:audit",
    "seeds": "seeds:seeds",
    "prune": "prune:prune",
    "list": "listing:list_names",
    "results": "results:results",
    "status": "status:status",
    "stop": "status:stop",
    "export": "export:export",
    "clean": "clean:clean",
    "merge": "merge:merge",
}
"""Per command, its function, which is imported when it is called."""

GROUPS = {"reproduce": "reproduce:reproduce", "data": "data:data", "published": "published:published"}
"""Likewise commands that have commands of their own."""

SUMMARIES = {
    "check": "Train a method's tickets beside changed and random ones, and say which information the method uses.",
    "plan": "Say what studies are going to do: their runs, what is done, what is shared, and what the rest takes.",
    "run": "Do the runs of a study and answer each of its questions.",
    "report": "Make a report of recorded runs: verdicts, figures and tables, in one page that needs nothing else.",
    "audit": "Show what methods keep of each layer, how much of it works, and how much their masks depend on the data.",
    "seeds": "Say how many seeds decide a question, how often fewer would, and how many --seeds auto takes.",
    "prune": "Prune a network at initialisation, print what is kept of each layer, and write the ticket.",
    "list": (
        "List methods, criteria, allocations, checks, networks, data sets, recipes, metrics and formats, a line each."
    ),
    "results": "Show every run of one or several folders, the half-finished ones too.",
    "status": "Say how far the runs of a folder are, and whether a command is at work there.",
    "stop": "Ask the command that is at work in a folder to finish its epochs, save and stop.",
    "export": "Write the network that a run ended with, or its ticket, to a file, or those of many runs into a folder.",
    "clean": "Remove what runs needed to go on after an interruption, and need no more; or weights, or whole runs.",
    "merge": "Copy the runs of several folders into one, with the questions that were asked about them.",
    "reproduce": (
        "Do the runs behind a table of arXiv:2009.11094, and show what was measured beside what was published."
    ),
    "data": "List, fetch and verify data sets.",
    "published": "Run a script of the code published with arXiv:2009.11094, with its flags and its files.",
}
"""The first sentence of each command's own help, so that the list of commands imports none of them."""

READING = ("report", "results", "status", "stop", "export", "clean", "merge")
"""The commands that run no code of users, whatever the folders that they are given name (export: but what its options
name); the others run what is named
on the command line, or in the study file that stands there."""

TRAINING = ("check", "run", "reproduce")
"""The commands that start worker processes, which are begun while this process imports."""

KEEPING = (*TRAINING, "published")
"""The commands that go on, when they are called again, where they were interrupted."""

WRONG_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived."""


def build_app(summaries: Mapping[str, str] = MappingProxyType({})) -> App:
    """Return the command line with all of its commands.

    Args:
        summaries: all that is told of some commands, which are then listed and not imported.
    """
    app = App(
        name="prunecheck",
        help="Give it a pruning method; it tells you, with error bars, which information the method really uses.",
        version=prunecheck.__version__,
        version_flags=["--version"],
        help_flags=["--help", "-h"],
        help_format="plaintext",  # of the list of commands: what reads Markdown is slow to import
        suppress_keyboard_interrupt=False,  # main says what an interruption left behind
    )
    for name, place in (COMMANDS | GROUPS).items():
        if name in summaries:
            app.command(App(name=name, help=summaries[name]))
        elif name in COMMANDS:
            app.command(f"prunecheck.cli.{place}", name=name, help_format="markdown")
        else:
            app.command(f"prunecheck.cli.{place}", name=name)
    return app


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 when done, 2 for wrong input, 130 or 143 when interrupted."""
    _prepare_output()
    signals = _raise_on_signals()
    words = sys.argv[1:] if arguments is None else arguments
    called = next((word for word in words if not word.startswith("-")), None)
    app = build_app({} if called in SUMMARIES else SUMMARIES)
    try:
        if called in SUMMARIES:
            require_addresses()
        with _setting_of(called):
            app(words, exit_on_error=False, print_error=False)
        _keep_names()
    except BaseException as error:
        # Whatever it is: an interruption in the middle of an import ends as an error of that import.
        is_interrupted = bool(signals) or isinstance(error, KeyboardInterrupt)
        if signal.SIGTERM in signals or (is_interrupted and not what_is_missing(error)):
            _end_interrupted(signals, called, is_stopped=isinstance(error, StoppedFromOutside))
        _end_with(error.spelled(_options_of(app, words)) if isinstance(error, InputError) else error)
    sys.exit(0)


def _setting_of(called: str | None) -> AbstractContextManager[None]:
    """Return what a command is called in."""
    if called in READING:
        return reading_only()
    if called in TRAINING:
        from prunecheck.engine.processes import processes_kept

        return processes_kept()
    return contextlib.nullcontext()


def _options_of(app: App, words: list[str]) -> Spelling:
    """Return how the command that was called spells the fields that it takes: as its options and arguments."""
    _, apps, _ = app.parse_commands(words)
    return {argument.field_info.name: argument.name for argument in apps[-1].assemble_argument_collection()}.get


def _raise_on_signals() -> list[int]:
    """Have Ctrl-C and SIGTERM raise, and return the list that they are going to be added to."""
    signals: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        signals.append(number)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell's background commands have it
        signal.signal(signal.SIGINT, interrupt)
    return signals


def _end_interrupted(signals: list[int], called: str | None, *, is_stopped: bool) -> NoReturn:
    is_terminated = signal.SIGTERM in signals
    what = "terminated" if is_terminated else "stopped by `prunecheck stop`" if is_stopped else "interrupted"
    keeps = called in KEEPING
    say(f"{what}: what is finished stays, and the same command goes on from there." if keeps else f"{what}.")
    sys.exit(TERMINATED if is_terminated else INTERRUPTED)


def _end_with(error: BaseException) -> NoReturn:
    match error:
        case InputError():
            _fail(str(error))
        case CycloptsError():
            _fail(_usage(error))
        case BrokenPipeError():
            sys.stderr.close()
            sys.exit(1)
        case BaseException() if missing := what_is_missing(error):
            _end_short_of(missing)
        case OSError():
            _fail(_sentence(error))
        case UnicodeEncodeError():
            _fail(
                f"{error.object!r} cannot be written in this locale's encoding, {error.encoding}: set PYTHONUTF8=1, or "
                "a UTF-8 locale (LC_ALL=C.UTF-8), and call the command again."
            )
    raise error


def _end_short_of(missing: str) -> NoReturn:
    from prunecheck.process_limits import limits_in_words

    say(
        f"the system gives this command no more {missing}{limits_in_words()}: raise the limit, of this shell or of the "
        "container, or end what else is at work, and call the command again; what is finished stays."
    )
    sys.stderr = io.StringIO()  # what ends with the process misses the same, and would say so in its own words
    sys.exit(WRONG_INPUT)


def _prepare_output() -> None:
    """Let nothing that is printed fail: not for an encoding without our signs, nor for a closed stream."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - stays open as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _usage(error: CycloptsError) -> str:
    """Say what the parser did not understand, in words of ours where its own do not say what to do."""
    see = f"see `{' '.join(['prunecheck', *(error.command_chain or ()), '--help'])}`"
    if isinstance(error, UnknownOptionError):
        from prunecheck.cli.near_options import near_options

        given = (error.token.keyword or error.token.value).partition("=")[0]
        if given == "--dry-run" and (error.command_chain or ("",))[-1] in ("check", "run"):
            return "there is no option --dry-run: `prunecheck plan` says what would be done, and what it costs."
        near = near_options(given, [name for argument in error.argument_collection for name in argument.names])
        return f"there is no option {given}: " + (f"did you mean {' or '.join(near)}?" if near else f"{see}.")
    if isinstance(error, UnusedCliTokensError):
        surplus = " ".join(error.unused_tokens or ())
        return f"{surplus!r} is too much: several methods, or values, have commas between them and no spaces; {see}."
    if isinstance(error, MissingArgumentError) and error.argument:
        _, _, nearest = str(error).partition(" Did you mean ")
        return f"{error.argument.name} needs a value: " + (f"did you mean {nearest}" if nearest else f"{see}.")
    return str(error)


def _sentence(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    what = error.strerror or str(error)
    return f"{what[:1].lower()}{what[1:]}{where}: mend that and call the command again; what is finished stays."


def _keep_names() -> None:
    """Keep what the registers know, if they are loaded, whose modules need torch."""
    if "torch" in sys.modules:
        from prunecheck.cli.known_names import keep_names

        keep_names()


def _fail(text: str) -> NoReturn:
    _keep_names()
    say(text)
    sys.exit(WRONG_INPUT)

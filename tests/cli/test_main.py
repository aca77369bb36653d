import errno
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import prunecheck
from prunecheck.checks import CHECKS
from prunecheck.cli.main import COMMANDS, GROUPS, SUMMARIES, build_app
from prunecheck.data import DATASETS, load_dataset
from prunecheck.models import MODELS
from prunecheck.pruning import METHODS

Call = Callable[..., Any]

SLOW = ["torch", "scipy", "sklearn", "pandas", "distributed", "dask", "tensorboard", "numpy", "statsmodels"]

HELP_IN_A_PROCESS_OF_ITS_OWN = f"""
import sys
from prunecheck.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert ended.code == 0, ended.code
print("imported:", [name for name in {SLOW} if name in sys.modules])
print("of the command line:", *sorted(name for name in sys.modules if name.startswith("prunecheck.cli.")))
"""


def imported_by(*arguments: str) -> set[str]:
    """Return the modules of the command line that are imported for a help, and see that nothing slow is."""
    ended = subprocess.run(
        [sys.executable, "-c", HELP_IN_A_PROCESS_OF_ITS_OWN, *arguments], capture_output=True, text=True, check=True
    )
    *_, slow, own = ended.stdout.splitlines()
    assert slow == "imported: []"
    assert ended.stderr == ""
    return set(own.partition(": ")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_the_list_of_commands_imports_none_of_them(arguments: list[str]) -> None:
    assert imported_by(*arguments) == {"prunecheck.cli.main", "prunecheck.cli.output", "prunecheck.cli.shortage"}


def test_help_imports_no_other_command_and_nothing_slow() -> None:
    others = {f"prunecheck.cli.{place.partition(':')[0]}" for place in (COMMANDS | GROUPS).values()}
    assert imported_by("check", "--help") & others == {"prunecheck.cli.check"}


@pytest.mark.parametrize("command", COMMANDS | GROUPS)
def test_the_list_of_commands_says_the_first_sentence_of_each(command: str) -> None:
    first_paragraph = build_app()[command].help.strip().partition("\n\n")[0]
    assert SUMMARIES[command] == " ".join(first_paragraph.split())


@pytest.mark.parametrize("command", ["clean", "data"])
def test_help_before_a_command_is_the_whole_help_of_that_command(call: Call, command: str) -> None:
    assert call("--help", command).stdout == call(command, "--help").stdout


def test_help_names_the_commands(call: Call) -> None:
    ended = call("--help")
    assert ended.code == 0
    assert all(f" {command} " in ended.stdout for command in ("check", "prune", "list"))
    assert call("-h").stdout == call().stdout == ended.stdout


def test_help_of_check_says_what_the_data_set_suggests(call: Call) -> None:
    text = " ".join(call("check", "--help").stdout.replace("│", " ").split())
    suggestion = load_dataset("digits").suggestion
    assert f"{suggestion.model} of width {suggestion.width} for digits]" in text
    for option, value in (
        ("--epochs INT", suggestion.epochs),
        ("--batch-size INT", suggestion.batch_size),
        ("--learning-rate FLOAT", suggestion.learning_rate),
    ):
        described = text.partition(option)[2].partition(" --")[0]
        assert f"[default: {value} for digits]" in described


def test_version_is_that_of_the_package(call: Call) -> None:
    ended = call("--version")
    assert (ended.code, ended.stdout.strip()) == (0, prunecheck.__version__)


def test_list_names_and_describes_everything(call: Call) -> None:
    ended = call("list")
    assert ended.code == 0
    lines = [line.split() for line in ended.stdout.splitlines()]
    for registry in (METHODS, CHECKS, MODELS, DATASETS):
        assert registry.names()
        for entry in registry:
            assert [entry.name, *entry.summary.split()] in lines
    assert max(map(len, ended.stdout.splitlines())) < 200


@pytest.mark.parametrize(
    ("words", "keeps"), [(["status"], False), (["report"], False), (["check", "snip", "--seeds", "2"], True)]
)
def test_an_interruption_promises_to_go_on_only_where_something_is_kept(
    call: Call, monkeypatch: pytest.MonkeyPatch, words: list[str], keeps: bool
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"prunecheck.cli.{words[0]}.{words[0]}", interrupted)
    ended = call(*words)
    kept = ": what is finished stays, and the same command goes on from there" if keeps else ""
    assert (ended.code, ended.stderr) == (130, f"prunecheck: interrupted{kept}.\n")


def caused(error: Exception) -> Exception:
    """Return another error that came of one."""
    other = AssertionError()
    other.__context__ = error
    return other


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (MemoryError(), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), "memory"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "threads or processes"),
        (RuntimeError("can't start new thread"), "threads or processes"),
        (caused(MemoryError()), "memory"),
    ],
)
def test_what_the_system_has_no_more_of_is_a_sentence(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception, missing: str
) -> None:
    def short(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr("prunecheck.cli.results.results", short)
    monkeypatch.setattr(sys, "stderr", sys.stderr)  # which is put aside
    ended = call("results")
    assert (ended.code, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith(f"prunecheck: the system gives this command no more {missing}")


def test_too_few_addresses_are_said_before_anything_waits_for_more(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda kind: (700_000 * 1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    ended = call("list")
    assert (ended.code, ended.stdout) == (2, "")
    assert "no more memory" in ended.stderr
    assert "ulimit -v allows 700000 kB of address space" in ended.stderr
    assert call("--version").code == 0


@pytest.mark.parametrize(("can_start", "code"), [(True, 130), (False, 2)])
def test_an_interruption_where_no_thread_can_be_started_is_one_of_the_process_s_own(
    call: Call, monkeypatch: pytest.MonkeyPatch, can_start: bool, code: int
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        signal.raise_signal(signal.SIGINT)  # as OpenBLAS does

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("prunecheck.cli.results.results", interrupted)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    if not can_start:
        monkeypatch.setattr(threading.Thread, "start", start)
    ended = call("results")
    assert (ended.code, "threads or processes" in ended.stderr) == (code, not can_start)

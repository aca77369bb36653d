"""How commands print what follows from runs, write the report beside them, and end."""

import contextlib
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunecheck.api import report_files
from prunecheck.cli.arguments import read_list
from prunecheck.cli.output import say

if TYPE_CHECKING:
    from prunecheck.analysis.verdicts import Verdict
    from prunecheck.api.answers import Answer, Answers

FAILED = 1
"""The exit code of a command some of whose runs failed, or whose verdicts are those that it was to fail on."""

MOST_REASONS = 3
"""So many reasons of failures are said."""


def begin_workers(workers: int, out: Path) -> None:
    """Begin what worker processes are started from where runs are going to be done, for nothing is there yet.

    Args:
        workers: how many processes train; 1 for this one.
        out: where the runs are going to be.
    """
    with contextlib.suppress(OSError):  # is said where runs are written
        if workers > 1 and not (out.is_dir() and any(out.iterdir())):
            from prunecheck.engine.processes import begin_early

            begin_early()


def print_rendered(answer: Any) -> None:
    """Print what rich can render: an answer is a table, what looks at it cost, and its reading."""
    from prunecheck.cli.output import print_out

    print_out(answer)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object."""
    import json

    print(json.dumps(content, indent=2, allow_nan=False))


def read_fail_on(text: str | None) -> "frozenset[Verdict]":
    """Return the verdicts that a command is to fail on; raise :class:`InputError` for an unknown one."""
    from prunecheck.analysis.verdicts import Verdict
    from prunecheck.registry import unknown_name

    names = {verdict.option: verdict for verdict in Verdict}
    found = () if text is None else read_list("fail_on", text)
    for name in found:
        if name not in names:
            raise unknown_name("verdict", name, names, field="fail_on")
    return frozenset(names[name] for name in found)


def write_report(answers: "Answer | Answers", out: Path, *, quiet: bool) -> None:
    """Write the report of all that was asked in a folder of runs, beside them."""
    file = report_files.write_report(out, answers.recorded)
    if not quiet:
        print(f"wrote {file}", file=sys.stderr)


def exit_unless_answered(answers: "Answer | Answers", fail_on: "frozenset[Verdict]") -> None:
    """Say which runs failed, and exit with 1 if there are any; then as :func:`exit_unless_decided`."""
    failed = list(answers.failed.values())
    if failed:
        say(_failed_text(failed, len(answers.results), answers.folder))
    exit_unless_decided(answers, fail_on)
    if failed:
        sys.exit(FAILED)


def exit_unless_decided(answers: "Answer | Answers", fail_on: "frozenset[Verdict]") -> None:
    """Say how many verdicts are among those that a command is to fail on, and exit with 1 if there are any."""
    verdicts = Counter(_verdicts(answers))
    found = [verdict for verdict in verdicts if verdict in fail_on]
    if found:
        counted = ", ".join(f"{verdicts[verdict]} {verdict.value}" for verdict in found)
        total = verdicts.total()
        say(f"{counted} of {total} verdict{'' if total == 1 else 's'}, which --fail-on names.")
        sys.exit(FAILED)


def _verdicts(answers: "Answer | Answers") -> "list[Verdict]":
    found = answers.verdicts
    return list(found.values()) if hasattr(found, "values") else list(found)


def _failed_text(reasons: list[str], runs: int, folder: Path) -> str:
    counts = Counter(reasons)
    told = "; ".join(f"{reason} ({count} runs)" if count > 1 else reason for reason, count in counts.most_common(3))
    more = f"; and {len(counts) - MOST_REASONS} other reasons" if len(counts) > MOST_REASONS else ""
    subject = "1 run" if len(reasons) == 1 else f"{len(reasons):,} runs"
    return (
        f"{subject} of {runs:,} failed, which is no result: {told}{more}. `prunecheck status {folder}` names them, the "
        "log in a run's folder says more, and the same command with --retry-failed does them again."
    )

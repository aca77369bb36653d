"""Random SIGKILLs over a study: ``python -m tests.fuzz.kills --kills 100 --seed 0``.

A small study is done with two workers, each of whose epochs leaves a checkpoint. At a random moment a SIGKILL goes to
the whole group, a worker, or the command; where the command has ended by that, it is called again. When the study is
complete, its runs are held against those that nothing disturbed, and it is begun anew, until there were so many kills.
"""

import argparse
import collections
import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil  # type: ignore[import-untyped]

STUDY = """
methods = ["snip"]
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
sparsities = [0.9]
checks = ["rearrange-mask"]
baseline = "none"
seeds = 3
train_images = 100
test_images = 50
recipes = ["short"]

[recipe.short]
epochs = 8
"""

RUNS = 9

COMPARED = ("spec.json", "ticket.safetensors", "last.safetensors", "metrics.csv")
"""The files of a run that hold no times and no processes."""

WORKER = "worker"

TARGETS = ("whole group", WORKER, "command")

PATIENCE = 300.0
"""Seconds after which a command hangs, or what it has left behind."""

STDERR = "stderr"
"""The file for what the latest command says."""

LOOK = 0.01


@dataclass
class Found:
    """What came of the kills.

    Attributes:
        kills: by target.
        commands: how many were called.
        studies: how many were completed, the undisturbed one left out.
        faults: sentences, one for each run that was lost or differs, and each command that did not go on.
    """

    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    commands: int = 0
    studies: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        """Keep a fault, and print it, for the next one may be hours away."""
        self.faults.append(fault)
        print(fault, flush=True)

    def __str__(self) -> str:
        """Return the counts in two lines."""
        kills = ", ".join(f"{self.kills[target]} of the {target}" for target in TARGETS)
        lost, differ = (sum(kind in fault for fault in self.faults) for kind in ("is lost", "differs"))
        return (
            f"{self.kills.total()} kills ({kills}) in {self.commands} commands and {self.studies} studies of {RUNS} "
            f"runs\n{lost} runs lost, {differ} runs differ, {len(self.faults) - lost - differ} other faults"
        )


def main() -> int:
    """Kill, and print what came of it; return 1 if anything was lost, differs or did not go on."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kills", description="Kill a study again and again.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="decides whom is killed and, beside the machine, when")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no further command is begun after so many")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prunecheck-kills-") as name:
        found = killed(Path(name), chosen.kills, Random(chosen.seed), 60 * chosen.minutes)
    print(found)
    return 1 if found.faults else 0


def killed(folder: Path, kills: int, draw: Random, at_most: float = math.inf) -> Found:
    """Do the study in a folder, undisturbed and then with kills, until there were so many or so many seconds are over.

    The last study is done to its end, so that everything that was killed is held against what was not.
    """
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    found, expected, runs = Found(), folder / "expected", folder / "runs"
    begun = time.monotonic()
    seconds = min(_undisturbed(folder, expected) for _ in range(2))  # the first of them may compile the kernels
    while (is_killed := found.kills.total() < kills and time.monotonic() - begun < at_most) or runs.exists():
        before = finished_files(runs)
        code = _disturbed(folder, runs, draw, seconds, kills if is_killed else 0, found)
        for name in changed(before, runs):
            found.add(f"{name} was changed after its run had ended")
        if code == 0:
            found.studies += 1
            for fault in faults_of(runs, expected):
                found.add(fault)
            shutil.rmtree(runs)
            print(found, flush=True)
        elif code != -signal.SIGKILL:
            said = (folder / STDERR).read_text(encoding="utf-8", errors="backslashreplace").splitlines()[-3:]
            found.add(f"a command ended with {code}: {' '.join(said)}")
            if not is_killed:
                break
    return found


def _undisturbed(folder: Path, runs: Path) -> float:
    """Do the study anew, and return how many seconds that took."""
    shutil.rmtree(runs, ignore_errors=True)
    begun = time.monotonic()
    if _begin(folder, runs).wait(PATIENCE):
        raise RuntimeError("the study failed although nothing disturbed it")
    return time.monotonic() - begun


def _disturbed(folder: Path, runs: Path, draw: Random, seconds: float, kills: int, found: Found) -> int | None:
    """Call the command, kill at random moments, and return how it ended; None if it hung.

    One that has lost a worker goes on, and is killed again.
    """
    process = _begin(folder, runs)
    found.commands += 1
    while found.kills.total() < kills:
        target = draw.choice(TARGETS)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(draw.uniform(0, seconds))  # before it could be killed
        if _kill(process, target):
            found.kills[target] += 1
        if target != WORKER:
            break
    try:
        code: int | None = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        code = None
    _end_all(process, found)
    return code


def _begin(folder: Path, runs: Path) -> "subprocess.Popen[bytes]":
    words = ["run", "study.toml", "--out", str(runs), "--workers", "2", "--checkpoint-seconds", "0", "--quiet"]
    with (folder / STDERR).open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "prunecheck", *words],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )


def _kill(process: "subprocess.Popen[bytes]", target: str) -> bool:
    """Kill, and say whether there was anything to kill."""
    if target == "whole group":
        os.killpg(process.pid, signal.SIGKILL)
        return True
    if target == "command":
        process.kill()
        return True
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        if workers := _workers(process.pid):
            with contextlib.suppress(psutil.Error):
                min(workers, key=lambda worker: worker.pid).kill()
                return True
        time.sleep(LOOK)  # it has just begun, or another one is taking the place of what was killed
    return False


def _workers(command: int) -> list[psutil.Process]:
    """Return the fork server's own children; below a worker there may be a compiler."""
    with contextlib.suppress(psutil.Error):
        servers = [child for child in psutil.Process(command).children() if "forkserver" in " ".join(child.cmdline())]
        return [worker for server in servers for worker in server.children()]
    return []


def _end_all(process: "subprocess.Popen[bytes]", found: Found) -> None:
    """Wait for the processes that a command has left behind, and end those that do not end."""
    until = time.monotonic() + PATIENCE
    while left := list(_of_session(process.pid)):
        if time.monotonic() > until:
            found.add(f"{len(left)} processes of a killed command did not end")
            os.killpg(process.pid, signal.SIGKILL)
            return
        time.sleep(LOOK)


def _of_session(session: int) -> Iterator[int]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid


def finished_files(runs: Path) -> dict[str, bytes]:
    """Return the compared files of the runs that are complete, by their path below the root."""
    folders = [file.parent for file in runs.glob("*/result.json")]
    files = [folder / name for folder in folders for name in COMPARED]
    return {file.relative_to(runs).as_posix(): file.read_bytes() for file in files if file.exists()}


def changed(before: Mapping[str, bytes], runs: Path) -> list[str]:
    """Return which files of complete runs are not what they were."""
    after = finished_files(runs)
    return [name for name, content in before.items() if after.get(name) != content]


def faults_of(runs: Path, expected: Path) -> Iterator[str]:
    """Yield a sentence for each run that is lost, or differs from an undisturbed one, and for what is left behind."""
    for file in sorted(expected.glob("*/result.json")):
        name = file.parent.name
        if not (runs / name / "result.json").exists():
            yield f"{name} is lost"
            continue
        differing = [one for one in COMPARED if _content(runs / name / one) != _content(expected / name / one)]
        if differing:
            yield f"{name} differs in {', '.join(differing)}"
    for part in sorted(runs.rglob("*.part")):
        yield f"{part.relative_to(runs)} was left behind"


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


if __name__ == "__main__":
    sys.exit(main())

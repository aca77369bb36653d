import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import prunecheck
from prunecheck.errors import StoppedFromOutside
from prunecheck.runs.result import RunResult
from prunecheck.runs.store import RunStore
from tests.cli.runs import COLLAPSED, FAILED, SPEC, TRAINED, put

Call = Callable[..., Any]
Refused = Callable[..., str]

STORE = RunStore(Path("runs"))


def put_seed(seed: int, result: RunResult | None) -> str:
    return put(replace(SPEC, seed=seed), result).name


@pytest.fixture(autouse=True)
def ended() -> list[str]:
    """Runs that have ended, in the folder that is looked in unless another is named."""
    return [put_seed(seed, result) for seed, result in enumerate((TRAINED, TRAINED, COLLAPSED, FAILED, COLLAPSED))]


def lines_of(printed: str) -> list[str]:
    return [" ".join(line.split()) for line in printed.splitlines()]


def test_status_counts_and_gives_reasons(call: Call, ended: list[str]) -> None:
    put_seed(9, None)
    said = call("status")
    assert (said.code, said.stderr) == (0, "")
    lines = lines_of(said.stdout)
    assert lines[0] == "nothing is at work in runs"
    assert lines[1] == "2 trained, 2 collapsed, 1 failed, 1 interrupted; 9 epochs done"
    assert f"{ended[2]}, ... 2 collapsed: fc: no weight is left" in lines
    assert f"{ended[3]} 1 failed: RuntimeError: no luck" in lines


def test_status_shows_what_is_running_and_that_it_was_asked_to_stop(call: Call) -> None:
    with STORE.locked():
        running = put_seed(9, None)
        lines = lines_of(call("status", "runs").stdout)
        assert lines[0] == "a prunecheck is at work in runs"
        assert lines[1] == "2 trained, 2 collapsed, 1 failed, 1 running; 9 epochs done"
        assert f"{running} 1/4 44.00" in lines
        assert not any(line.endswith("are done") for line in lines)
        STORE.request_stop()
        assert lines_of(call("status").stdout)[0] == "a prunecheck is at work in runs, and was asked to stop"


def test_status_says_how_many_of_the_latest_studys_runs_are_done(call: Call) -> None:
    """Of runs of others, in the same folder, it does not speak."""
    planned = [replace(SPEC, seed=seed) for seed in (1, 2, 3, 9, 10)]
    with STORE.locked():
        put_seed(9, None)
        STORE.write_planned(planned)
        assert lines_of(call("status").stdout)[2] == "3 of the 5 runs of its study are done"
        put_seed(9, TRAINED)
        assert lines_of(call("status").stdout)[2] == "4 of the 5 runs of its study are done"
    assert lines_of(call("status").stdout)[2] == "4 of the 5 runs of the latest study are done"
    assert json.loads(call("status", "--json").stdout)["planned"] == {"runs": 5, "done": 4}
    moment = (STORE.root / ".planned").stat().st_mtime_ns - 10**9
    os.utime(STORE.root / ".planned", ns=(moment, moment))
    with STORE.locked():  # by a command that does no study
        assert json.loads(call("status", "--json").stdout)["planned"] is None


def test_status_as_json(call: Call, ended: list[str]) -> None:
    with STORE.locked():
        running = put_seed(9, None)
        answer = json.loads(call("status", "--json").stdout)
    counts = {"trained": 2, "collapsed": 2, "diverged": 0, "failed": 1, "running": 1, "interrupted": 0}
    assert {name: answer[name] for name in counts} == counts
    assert (answer["folder"], answer["at_work"], answer["stopping"], answer["epochs_done"]) == ("runs", True, False, 9)
    assert answer["running_runs"] == [
        {"folder": f"runs/{running}", "epochs_done": 1, "epochs": 4, "accuracy": 44.0},
    ]
    assert {"folder": f"runs/{ended[3]}", "status": "failed", "reason": "RuntimeError: no luck"} in answer[
        "untrained_runs"
    ]
    assert len(answer["untrained_runs"]) == 3


def test_status_changes_nothing(call: Call) -> None:
    def state() -> list[tuple[str, int, int]]:
        return sorted((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in Path("runs").rglob("*"))

    before = state()
    call("status")
    call("results")
    assert state() == before


def test_stop_asks_what_is_at_work(call: Call) -> None:
    with STORE.locked():
        said = call("stop")
        assert said.code == 0
        assert said.stdout == (
            "asked the prunecheck in runs to stop: it finishes the epochs that are going on, saves and ends\n"
        )
        assert STORE.stop_requested()


def test_stop_with_nothing_at_work_is_refused(refused: Refused) -> None:
    assert refused("stop") == "no prunecheck is at work in runs, so there is nothing to stop."
    assert not STORE.stop_requested()


@pytest.mark.parametrize("command", ["status", "stop", "clean"])
def test_other_folders_are_refused(refused: Refused, ended: list[str], command: str) -> None:
    Path("empty").mkdir()
    assert "there is no folder runz" in refused(command, "runz")
    assert "empty holds no runs" in refused(command, "empty")
    assert f"runs/{ended[0]} is one run: give the folder that holds it" in refused(command, f"runs/{ended[0]}")


@pytest.mark.parametrize(
    ("error", "said"), [(StoppedFromOutside, "stopped by `prunecheck stop`"), (KeyboardInterrupt, "interrupted")]
)
def test_what_was_stopped_says_by_what_and_how_to_go_on(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], said: str
) -> None:
    def check(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(prunecheck, "check", check)
    found = call("check", "snip", "--seeds", "1", "--workers", "1", "--quiet")
    assert found.code == 130
    assert f"prunecheck: {said}: what is finished stays, and the same command goes on from there.\n" in found.stderr

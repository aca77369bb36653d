import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prunecheck.errors import InputError
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.status import is_at_work, look_at, request_stop
from prunecheck.runs.store import RunStore

MakeSpec = Callable[..., RunSpec]


def begin(root: Path, spec: RunSpec) -> Path:
    folder = RunStore(root).folder(spec)
    folder.open()
    folder.log("training from epoch 1")
    return folder.path


def make_older(path: Path, seconds: int = 60) -> None:
    for file in path.iterdir():
        moment = file.stat().st_mtime_ns - seconds * 10**9
        os.utime(file, ns=(moment, moment))


def test_a_command_is_at_work_as_long_as_it_holds_the_lock(tmp_path: Path) -> None:
    assert not is_at_work(tmp_path)
    with RunStore(tmp_path).locked():
        assert is_at_work(tmp_path)
        assert is_at_work(tmp_path)
    assert not is_at_work(tmp_path)
    with RunStore(tmp_path).locked():  # looking has left nothing held
        pass


def test_running_is_what_the_command_at_work_has_touched(tmp_path: Path, make_spec: MakeSpec) -> None:
    interrupted, went_on = begin(tmp_path, make_spec(seed=0)), begin(tmp_path, make_spec(seed=1))
    for path in (interrupted, went_on):
        make_older(path)
    counts = look_at(tmp_path).counts()
    assert (counts["running"], counts["interrupted"]) == (0, 2)
    with RunStore(tmp_path).locked():
        assert not look_at(tmp_path).running
        RunStore(tmp_path).folder(make_spec(seed=1)).log("training from epoch 3")
        new = begin(tmp_path, make_spec(seed=2))
        state = look_at(tmp_path)
        assert state.at_work
        assert {run.path for run in state.running} == {went_on, new}
        assert (state.counts()["running"], state.counts()["interrupted"]) == (2, 1)
    state = look_at(tmp_path)
    assert not state.at_work
    assert (state.counts()["running"], state.counts()["interrupted"]) == (0, 3)


def test_a_stop_reaches_the_command_at_work(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    with store.locked():
        assert not look_at(tmp_path).stopping
        request_stop(tmp_path)
        assert store.stop_requested()
        assert look_at(tmp_path).stopping
    assert not look_at(tmp_path).stopping


def test_no_stop_is_left_where_nothing_is_at_work(tmp_path: Path, make_spec: MakeSpec) -> None:
    path = begin(tmp_path, make_spec())
    with pytest.raises(InputError, match=r"no prunecheck is at work in .* nothing to stop"):
        request_stop(tmp_path)
    assert not RunStore(tmp_path).stop_requested()
    with pytest.raises(InputError, match=f"is one run: give the folder that holds it, {tmp_path}"):
        request_stop(path)
    with pytest.raises(InputError, match="there is no folder"):
        look_at(tmp_path / "runz")

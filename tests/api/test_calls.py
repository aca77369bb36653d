"""Calls whose runs are really done: events, workers, folders, interruptions."""

import inspect
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prunecheck
from prunecheck.api.calls import call_text
from prunecheck.api.interruption import stop_on_interrupt
from prunecheck.engine.execution import Stopped
from prunecheck.errors import StoppedFromOutside
from prunecheck.runs.store import RunStore

SMALL: dict[str, Any] = {
    "model": "resnet8",
    "width": 2,
    "sparsity": 0.5,
    "seeds": 1,
    "checks": "rearrange-mask",
    "baseline": None,
    "epochs": 2,
    "train_images": 100,
    "test_images": 50,
    "samples_per_class": 2,
}


def test_every_epoch_and_run_is_an_event_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[object] = []
    answer = prunecheck.check("snip", **SMALL, on_event=events.append)
    ends = [event for event in events if isinstance(event, prunecheck.RunDone)]
    epochs = [(event.spec, event.epoch) for event in events if isinstance(event, prunecheck.EpochDone)]
    assert {event.spec: event.result for event in ends} == answer.results
    assert sorted(epochs, key=str) == sorted([(run, epoch) for run in answer.results for epoch in (1, 2)], key=str)
    assert capsys.readouterr() == ("", "")
    events.clear()
    assert prunecheck.check("snip", **SMALL, on_event=events.append).to_dict() == answer.to_dict()
    assert events == []


def test_without_a_folder_nothing_is_left() -> None:
    answer = prunecheck.check("snip", **SMALL | {"epochs": 1}, out=None, quiet=True)
    folder = answer.folder
    assert list(folder.glob("*/result.json"))
    assert answer.report("page.html").read_text().count("<svg")
    del answer
    assert not folder.exists()
    assert [path.name for path in Path().iterdir() if path.name != ".cache"] == ["page.html"]


def test_an_interruption_saves_and_the_same_call_goes_on() -> None:
    def interrupt(event: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            prunecheck.check("snip", **SMALL, on_event=interrupt)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    (metrics,) = Path("runs").glob("*/metrics.csv")
    first = metrics.read_text().splitlines()
    assert len(first) == 2
    answer = prunecheck.check("snip", **SMALL, quiet=True)
    assert len(answer.results) == 3
    assert metrics.read_text().splitlines()[:2] == first


def test_a_call_in_another_thread_leaves_signals_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def look() -> None:
        with stop_on_interrupt(RunStore(Path())):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]
    with stop_on_interrupt(RunStore(Path())):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stop_that_another_command_asked_for_is_told_from_ctrl_c(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    with pytest.raises(StoppedFromOutside), stop_on_interrupt(store):
        raise Stopped("a run")
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as raised, stop_on_interrupt(store):
            signal.raise_signal(signal.SIGINT)
            raise Stopped("a run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not isinstance(raised.value, StoppedFromOutside)


def test_an_error_of_the_listener_is_raised_as_it_is_and_what_is_done_stays() -> None:
    def listen(event: object) -> None:
        if isinstance(event, prunecheck.RunDone):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        prunecheck.check("snip", **SMALL, on_event=listen)
    assert len(list(Path("runs").glob("*/result.json"))) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sparsity": "0.9"}, "'0.9'"),
        ({"sparsity": ()}, "sparsity takes a list of numbers"),
        ({"sparsity": [0.9, None]}, "None"),
        ({"sparsity": 1.5}, "less than 1"),
        ({"seeds": 0}, "at least 1"),
        ({"seeds": 1.5}, "not 1.5."),
        ({"seeds": True}, "not the boolean true."),
        ({"seeds": "3"}, "not '3'."),
        ({"seeds": [0, 0]}, "0 is given twice"),
        ({"seeds": [-1]}, "not -1"),
        ({"seeds": [2**63]}, "not 9223372036854775808"),
        ({"checks": ["reinit", 3]}, "not 3"),
        ({"checks": "reinnit"}, "did you mean reinit"),
        ({"epochs": "2"}, "epochs takes a whole number, at least 1, not '2'."),
        ({"epochs": 0}, "at least 1"),
        ({"margin": "wide"}, "not 'wide'."),
        ({"learning_rate": None, "margin": -1}, "more than 0"),
        ({"workers": 0}, "workers takes a whole number, at least 1, not 0."),
        ({"device": "tpu"}, "device takes cpu, cuda or cuda:N, not 'tpu'."),
        ({"acceleration": prunecheck.Acceleration(bfloat16=True)}, "bfloat16 needs a GPU"),
        ({"family": "reports"}, "did you mean report"),
        ({"data_root": "nowhere"}, "nowhere is not a folder"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_refused_before_anything_is_done(given: dict[str, Any], said: str) -> None:
    with pytest.raises(prunecheck.InputError) as refused:
        prunecheck.check("snip", **SMALL | given)
    assert said in str(refused.value)
    assert not Path("runs").exists()


def test_a_scheduler_has_workers_of_its_own() -> None:
    with pytest.raises(prunecheck.InputError, match="leave workers and dashboard out"):
        prunecheck.run("study.toml", scheduler="tcp://127.0.0.1:1", workers=2)


def test_numbers_of_numpy_are_numbers() -> None:
    asked = SMALL | {"sparsity": np.array([0.5, 0.75]), "seeds": np.arange(1, 2), "epochs": np.int64(1), "checks": ()}
    question = prunecheck.check("snip", **asked, quiet=True).question
    assert (question.sparsities, question.seeds) == ((0.5, 0.75), (1,))
    assert [type(one) for one in (*question.sparsities, *question.seeds)] == [float, float, int]
    assert prunecheck.check("snip", **asked | {"sparsity": np.float32(0.5)}, quiet=True).question.sparsities == (0.5,)


def a_score(model: object, batches: object) -> None:
    """Stand for a user's criterion."""


def test_objects_are_named_in_what_is_said_of_a_call() -> None:
    defaults = {name: one.default for name, one in inspect.signature(prunecheck.audit).parameters.items()}
    given: dict[str, Any] = {"methods": [a_score], "seeds": range(3), "model": a_score, "on_ticket": lambda *_: None}
    text = call_text(prunecheck.audit, defaults | given)
    assert text == "prunecheck.audit([a_score], model=a_score, seeds=range(0, 3))"

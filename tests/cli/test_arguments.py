import os
from collections.abc import Callable
from typing import Any

import pytest

from prunecheck import process_limits
from prunecheck.cli import arguments
from prunecheck.cli.arguments import (
    available_cores,
    read_list,
    read_numbers,
    read_workers,
    require_device,
)
from prunecheck.errors import InputError

Call = Callable[..., Any]


def test_lists_are_split_at_commas_and_stripped() -> None:
    assert read_list("checks", "reinit") == ("reinit",)
    assert read_list("checks", "reinit, rearrange-mask ,random-labels") == (
        "reinit",
        "rearrange-mask",
        "random-labels",
    )
    assert read_numbers("sparsity", "0.9, .95,0,5e-1") == (0.9, 0.95, 0.0, 0.5)


@pytest.mark.parametrize("text", ["", " ", ",", "a,", ",a", "a,,b"])
def test_empty_parts_are_refused_with_the_field(text: str) -> None:
    with pytest.raises(InputError, match=r"^checks takes"):
        read_list("checks", text)


@pytest.mark.parametrize("text", ["x", "0.9,x", "nan", "inf", "-inf", "0.9;0.95", "1e999"])
def test_what_is_no_number_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(InputError, match=r"^sparsity .* is not a number"):
        read_numbers("sparsity", text)


@pytest.mark.parametrize("device", ["", "CPU", "cpu:0", "gpu", "cudax", "mps"])
def test_devices_of_other_kinds_are_refused(device: str) -> None:
    with pytest.raises(InputError, match=r"^device takes cpu, cuda or cuda:N"):
        require_device(device)


def test_the_cpu_is_always_there() -> None:
    assert require_device("cpu") == "cpu"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_only_the_cores_that_the_process_may_use_are_counted() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, [min(before)])
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert available_cores() == len(before)


def test_as_many_processes_train_as_there_are_cores_but_one_on_a_gpu_unless_it_is_said() -> None:
    assert read_workers(None, "cpu") == available_cores()
    assert read_workers(None, "cuda:0") == 1
    assert read_workers(3, "cpu") == read_workers(3, "cuda") == 3
    with pytest.raises(InputError, match=r"^workers takes a whole number, at least 1, not 0"):
        read_workers(0, "cpu")


@pytest.mark.parametrize(("text", "channels"), [("4", "4"), ("04", "4"), ("+4", "4")])
def test_whole_numbers_are_read(call: Call, text: str, channels: str) -> None:
    ended = call(
        "prune", "magnitude", "--model", "resnet8", "--sparsity", "0.5", "--num-classes", "10", "--width", text
    )
    assert ended.code == 0
    assert " conv1 " in " ".join(ended.stdout.split())
    assert f" {int(channels) * 27} " in ended.stdout


def test_there_is_a_worker_for_each_core_unless_the_limit_of_open_files_does_not_suffice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(arguments, "available_cores", lambda: 128)
    for fit, expected, said in (
        (500, 128, ""),
        (128, 128, ""),
        (80, 80, "prunecheck: 80 workers and not one for each of the 128 cores, because more need more open files "),
    ):
        monkeypatch.setattr(process_limits, "workers_with_open_files", lambda fit=fit: fit)
        assert arguments.read_workers(None, "cpu") == expected
        assert arguments.read_workers(200, "cpu") == 200  # which is refused, with the number that fits, where it starts
        assert capsys.readouterr().err.startswith(said)
    assert arguments.read_workers(None, "cuda") == 1

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from prunecheck.checks import find_check
from prunecheck.engine.tickets import corrupted
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import dense_ticket
from prunecheck.runs.store import RunStore
from prunecheck.training import Recipe, train
from prunecheck.training.acceleration import EVERY_EPOCH

Read = Callable[[Path | str], dict[str, Any]]

TRAIN = "--epochs 3 --schedule 1 2 --manualSeed 5 --lr 0.05"

SHORT = "--epochs 1 --manualSeed 5"

RECIPE = Recipe(epochs=3, milestones=(1, 2), learning_rate=0.05)


def same_weights(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def same_checkpoints(one: dict[str, Any], other: dict[str, Any]) -> bool:
    momentum, other_momentum = one["optimizer"]["state"], other["optimizer"]["state"]
    return (
        same_weights(one["state_dict"], other["state_dict"])
        and all(same_weights(momentum[number], other_momentum[number]) for number in other_momentum)
        and one["epoch"] == other["epoch"]
        and one["optimizer"]["param_groups"] == other["optimizer"]["param_groups"]
    )


def test_files_hold_what_the_library_trains(scripts: Any, read: Read, only_run: Any) -> None:
    scripts.baseline(f"{TRAIN} --save_dir out")
    model = build_model("resnet8", 10, seed=5)
    (record,) = train([dense_ticket(model)], model, scripts.data, RECIPE, [5], acceleration=EVERY_EPOCH)
    assert same_weights(read("out/init.pth.tar")["state_dict"], dict(model.state_dict()))
    last = read("out/checkpoint.pth.tar")
    assert set(last) == {"epoch", "state_dict", "acc", "best_acc", "optimizer"}
    assert same_weights(last["state_dict"], record.weights)
    accuracies = [epoch.test_accuracy or 0 for epoch in record.metrics]
    assert (last["epoch"], last["acc"], last["best_acc"]) == (3, accuracies[-1], max(accuracies))
    assert last["optimizer"]["param_groups"][0]["lr"] == record.metrics[-1].learning_rate
    best = read("out/model_best.pth.tar")
    assert best["epoch"] == accuracies.index(max(accuracies)) + 1
    rows = [line.split("\t")[:5] for line in Path("out/log.txt").read_text().splitlines()[1:]]
    assert [float(row[4]) for row in rows] == pytest.approx(accuracies, abs=1e-6)
    assert [float(row[0]) for row in rows] == [0.05, 0.005, 0.0005]
    spec, result = only_run("out")
    assert (spec.method, spec.seed, spec.setting.recipe, spec.trained_on) == ("dense", 5, RECIPE, None)
    assert result.accuracy == accuracies[-1]
    assert scripts.said[-1] == f"Best acc:\n{max(accuracies)}"


@pytest.mark.parametrize(
    ("flags", "trained_on", "check"),
    [
        ("--randLabel 1", "random-labels", "random-labels"),
        ("--shufflePixel 1", "corrupted-data", "corrupted-data"),
        ("--shufflePixel 1 --randLabel 1", "corrupted-data", "corrupted-data"),
        ("--randLabel 0", None, None),
    ],
)
def test_corrupted_data_are_those_of_the_check(
    scripts: Any, read: Read, only_run: Any, flags: str, trained_on: str | None, check: str | None
) -> None:
    scripts.baseline(f"--epochs 1 --manualSeed 5 --save_dir out {flags}")
    model = build_model("resnet8", 10, seed=5)
    data = corrupted(scripts.data, find_check(check), 5)
    (record,) = train([dense_ticket(model)], model, data, Recipe(epochs=1), [5])
    assert same_weights(read("out/checkpoint.pth.tar")["state_dict"], record.weights)
    assert only_run("out")[0].trained_on == trained_on


def test_the_first_batches_are_trained_on_in_file_order(scripts: Any, read: Read, only_run: Any) -> None:
    scripts.baseline("--epochs 2 --manualSeed 5 --save_dir out --max_batch_idx 3 --train-batch 16")
    model, images = build_model("resnet8", 10, seed=5), scripts.data.train
    first = replace(images[numpy.arange(48)], in_file_order=True)
    (record,) = train(
        [dense_ticket(model)], model, replace(scripts.data, train=first), Recipe(epochs=2, batch_size=16), [5]
    )
    assert same_weights(read("out/checkpoint.pth.tar")["state_dict"], record.weights)
    assert only_run("out")[0].trained_on == "first-batches@3"
    assert read("out/checkpoint.pth.tar")["acc"] > 0  # there it was not measured, and 0


def test_an_interrupted_training_ends_as_an_uninterrupted_one(scripts: Any, read: Read) -> None:
    scripts.baseline(f"{TRAIN} --save_dir whole")
    scripts.interrupted(scripts.baseline, f"{TRAIN} --save_dir cut", after=2)
    assert read("cut/checkpoint.pth.tar")["epoch"] == 2
    scripts.baseline(f"{TRAIN} --save_dir cut")
    assert same_checkpoints(read("cut/checkpoint.pth.tar"), read("whole/checkpoint.pth.tar"))
    for name in ("init.pth.tar", "log.txt", "model_best.pth.tar"):
        assert (Path("cut") / name).read_bytes() == (Path("whole") / name).read_bytes()


def test_a_training_is_resumed_with_the_seed_that_was_drawn(scripts: Any, read: Read) -> None:
    drawn = TRAIN.replace("--manualSeed 5", "")
    scripts.interrupted(scripts.baseline, f"{drawn} --save_dir cut", after=1)
    scripts.baseline(f"{drawn} --resume cut/checkpoint.pth.tar")
    (seed,) = {spec.seed for spec, _ in RunStore(Path("cut")).results().items()}
    scripts.baseline(f"{drawn} --save_dir whole --manualSeed {seed}")
    assert same_checkpoints(read("cut/checkpoint.pth.tar"), read("whole/checkpoint.pth.tar"))
    assert (Path("cut") / "log.txt").read_text() == (Path("whole") / "log.txt").read_text()


def test_two_seeds_that_are_drawn_differ(scripts: Any, read: Read) -> None:
    for name in ("one", "two"):
        scripts.baseline(f"--epochs 1 --save_dir {name}")
    assert not same_weights(read("one/init.pth.tar")["state_dict"], read("two/init.pth.tar")["state_dict"])


def test_a_checkpoint_of_the_published_code_is_gone_on_with(scripts: Any, read: Read, only_run: Any) -> None:
    """That has no run folder, and its parameters may be those of several GPUs."""
    scripts.baseline(f"{TRAIN} --save_dir whole")
    scripts.interrupted(scripts.baseline, f"{TRAIN} --save_dir cut", after=2)
    Path("there").mkdir()
    content = read("cut/checkpoint.pth.tar")
    content["state_dict"] = {f"module.{name}": tensor for name, tensor in content["state_dict"].items()}
    torch.save(content, "there/checkpoint.pth.tar", _use_new_zipfile_serialization=False)
    shutil.copy("cut/log.txt", "there/log.txt")
    scripts.baseline(f"{TRAIN} --resume there/checkpoint.pth.tar --save_dir elsewhere")
    assert same_checkpoints(read("there/checkpoint.pth.tar"), read("whole/checkpoint.pth.tar"))
    assert (Path("there") / "log.txt").read_text() == (Path("whole") / "log.txt").read_text()
    assert not Path("elsewhere").exists()
    assert not Path("there/init.pth.tar").exists()  # these initial weights are not known
    assert "without effect here: --save_dir" in scripts.said
    spec, _ = only_run("there")
    assert spec.method_hash is not None


def test_a_finished_training_is_lengthened(scripts: Any, read: Read) -> None:
    scripts.baseline(f"{TRAIN} --save_dir whole")
    scripts.baseline("--epochs 2 --schedule 1 2 --manualSeed 5 --lr 0.05 --save_dir short")
    longer = "--epochs 3 --schedule 1 2 --lr 0.05 --resume short/checkpoint.pth.tar"
    scripts.interrupted(scripts.baseline, longer, after=2)  # the one it goes on from, and the third
    scripts.baseline(longer)
    assert same_checkpoints(read("short/checkpoint.pth.tar"), read("whole/checkpoint.pth.tar"))
    assert (Path("short") / "log.txt").read_text() == (Path("whole") / "log.txt").read_text()
    assert len(list(RunStore(Path("short")).results().items())) == 2


def test_epochs_begin_where_they_are_told_to(scripts: Any, read: Read, only_run: Any) -> None:
    scripts.baseline("--epochs 4 --start-epoch 2 --schedule 1 3 --manualSeed 5 --save_dir out")
    assert only_run("out")[0].setting.recipe == Recipe(epochs=2, milestones=(1,))
    assert read("out/checkpoint.pth.tar")["epoch"] == 4
    assert [line.split("\t")[0] for line in Path("out/log.txt").read_text().splitlines()[1:]] == [
        "0.100000",
        "0.010000",
    ]
    assert any(line.startswith("Epoch: [3 | 4] LR: 0.100000") for line in scripts.said)


def test_what_is_finished_is_not_done_again(scripts: Any) -> None:
    scripts.baseline(f"{TRAIN} --save_dir out")
    before = {path: path.read_bytes() for path in sorted(Path("out").rglob("*")) if path.is_file()}
    Path("out/checkpoint.pth.tar").unlink()
    scripts.baseline(f"{TRAIN.replace('--manualSeed 5', '')} --save_dir out")
    after = {path: path.read_bytes() for path in sorted(Path("out").rglob("*")) if path.is_file()}
    assert after == before
    assert any(line.startswith("done already") for line in scripts.said)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ("--manualSeed 6", "seed 5, not 6"),
        ("--lr 0.02", "learning rate 0.1, not 0.02"),
        ("--schedule 2", "milestones 80 120, not 2"),
        ("--randLabel 1", "trained on None, not random-labels"),
        ("--depth 14", "model resnet8, not resnet14"),
    ],
)
def test_another_run_is_not_overwritten_unasked(scripts: Any, other: str, difference: str) -> None:
    scripts.baseline(f"{SHORT} --save_dir out")
    before = {path: path.read_bytes() for path in sorted(Path("out").rglob("*")) if path.is_file()}
    with pytest.raises(InputError) as raised:
        scripts.baseline(f"{SHORT} --save_dir out {other}")
    assert str(raised.value) == (
        f"out holds another run of baseline.py ({difference}): choose another --save_dir, or add --overwrite."
    )
    assert {path: path.read_bytes() for path in sorted(Path("out").rglob("*")) if path.is_file()} == before


def test_another_run_is_overwritten_if_told_and_its_run_folder_stays(scripts: Any, read: Read) -> None:
    scripts.baseline(f"{TRAIN} --save_dir out")
    scripts.baseline("--epochs 1 --manualSeed 6 --save_dir out --overwrite")
    assert read("out/checkpoint.pth.tar")["epoch"] == 1
    initial = dict(build_model("resnet8", 10, seed=6).state_dict())
    assert same_weights(read("out/init.pth.tar")["state_dict"], initial)
    assert sorted(spec.seed for spec, _ in RunStore(Path("out")).results().items()) == [5, 6]
    assert Path("out/results.csv").read_text().count("\n") == 3


def test_files_of_the_published_code_are_not_overwritten_unasked(scripts: Any) -> None:
    Path("out").mkdir()
    Path("out/log.txt").write_text("precious")
    with pytest.raises(InputError, match=r"out holds log.txt of another run"):
        scripts.baseline(f"{TRAIN} --save_dir out")
    assert Path("out/log.txt").read_text() == "precious"


def test_evaluation_measures_what_the_training_did(scripts: Any, read: Read) -> None:
    scripts.baseline(f"{TRAIN} --save_dir out")
    measured = scripts.baseline("--evaluate --resume out/checkpoint.pth.tar --save_dir none")
    last = read("out/checkpoint.pth.tar")
    assert measured.accuracy == last["acc"]
    assert f"Test Acc:  {last['acc']:.2f}" in scripts.said[-1]
    assert not Path("none").exists()
    initial = scripts.baseline("--evaluate --manualSeed 5")
    assert initial.loss != measured.loss


def test_flags_that_change_nothing_are_said(scripts: Any) -> None:
    scripts.baseline("--evaluate --workers 8 --test-batch 7 --dropout 0.5 --gpu-id 1 -a vgg11_bn --depth 19")
    assert scripts.said[0] == "without effect here: --workers, --test-batch, --dropout, --gpu-id, --depth"
    scripts.baseline("--evaluate -a vgg11_bn --depth 11")
    assert len(scripts.said) == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epoch": 3}, "was trained for 3 epochs already: give --epochs more than that"),
        ({"epoch": None}, "does not say how many epochs it was trained for"),
        ({"optimizer": {}}, "no state of an optimizer that fits"),
    ],
)
def test_a_checkpoint_that_cannot_be_gone_on_with_is_refused(
    scripts: Any, read: Read, change: dict[str, Any], sentence: str
) -> None:
    scripts.interrupted(scripts.baseline, f"{TRAIN} --save_dir cut", after=1)
    Path("there").mkdir()
    torch.save(read("cut/checkpoint.pth.tar") | change, "there/checkpoint.pth.tar")
    shutil.copy("cut/log.txt", "there/log.txt")
    with pytest.raises(InputError, match=sentence):
        scripts.baseline(f"{TRAIN} --resume there/checkpoint.pth.tar")
    assert sorted(path.name for path in Path("there").iterdir()) == ["checkpoint.pth.tar", "log.txt"]


def test_one_folder_serves_one_command_at_a_time(scripts: Any) -> None:
    with (
        RunStore(Path("out")).locked(),
        pytest.raises(InputError, match=r"at work in out: wait for it, or choose another --save_dir"),
    ):
        scripts.baseline(f"{TRAIN} --save_dir out")

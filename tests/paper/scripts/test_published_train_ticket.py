from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from prunecheck.engine.tickets import build_network
from prunecheck.errors import InputError
from prunecheck.paper.scripts import TicketFlags, parse_flags
from prunecheck.paper.scripts.tickets import make_run_ticket, read_source
from prunecheck.training import train

Read = Callable[[Path | str], dict[str, Any]]

TRAIN = "--epochs 2 --schedule 1 --manualSeed 5 --lr 0.05"


def scalars(folder: str) -> dict[str, Any]:
    events = EventAccumulator(folder).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.fixture
def masks(scripts: Any) -> str:
    scripts.lt_prune("--prune_ratio 0.9 --save_dir lt --manualSeed 1")
    return "lt/pruned.pth.tar"


def test_files_hold_what_the_library_trains(scripts: Any, masks: str, read: Read, only_run: Any) -> None:
    arguments = f"--resume {masks} {TRAIN} --save_dir out --writerdir curves/out"
    scripts.train_ticket(arguments)
    spec, result = only_run("out")
    flags = parse_flags(TicketFlags, ["-a", "resnet", "--depth", "8", *arguments.split()])
    ticket = make_run_ticket(flags, scripts.data, read_source(flags, scripts.data), spec, "cpu")
    (record,) = train([ticket], build_network(spec, scripts.data), scripts.data, spec.setting.recipe, [5])
    last = read("out/scratch.pth.tar")
    assert set(last) == {"epoch", "state_dict", "acc", "best_acc", "optimizer"}
    assert all(torch.equal(tensor, record.weights[name]) for name, tensor in last["state_dict"].items())
    stored = read("lt/pruned_masks.pth.tar")["masks"]
    for layer, mask in stored.items():
        assert not last["state_dict"][f"{layer}.weight"][~mask].any()
    assert result.kept == {layer: (int(mask.sum()), mask.numel()) for layer, mask in stored.items()}
    accuracies = [epoch.test_accuracy for epoch in record.metrics]
    assert (last["acc"], result.accuracy) == (accuracies[-1], accuracies[-1])
    rows = [line.split("\t")[:5] for line in Path("out/log_scratch.txt").read_text().splitlines()[1:]]
    assert [float(row[4]) for row in rows] == pytest.approx(accuracies, abs=1e-6)
    drawn = scalars("curves/out")
    assert set(drawn) == {"train_loss", "test_loss", "train_acc", "test_acc"}
    assert drawn["test_acc"] == [(0, pytest.approx(accuracies[0])), (1, pytest.approx(accuracies[1]))]
    assert drawn["train_loss"] == [(e.epoch - 1, pytest.approx(e.train_loss)) for e in record.metrics]


def test_the_layers_are_said(scripts: Any, masks: str) -> None:
    scripts.train_ticket(f"--resume {masks} {TRAIN} --epochs 1 --save_dir out")
    *_, line = [line for line in scripts.said if line.startswith("LAYER")]
    assert line.startswith("LAYER 10(Linear)")
    assert line.split(" : ")[1] == "KEEP_RATIO = 100.000000    NUM_PARA = 1280    REMAINED_PARA = 1280    fc"


def test_without_a_mask_the_whole_network_is_trained(scripts: Any, read: Read, only_run: Any) -> None:
    scripts.train_ticket(f"{TRAIN} --save_dir ticket")
    scripts.baseline(f"{TRAIN} --save_dir dense")
    ticket, dense = read("ticket/scratch.pth.tar")["state_dict"], read("dense/checkpoint.pth.tar")["state_dict"]
    assert all(torch.equal(ticket[name], tensor) for name, tensor in dense.items())
    assert only_run("ticket")[0] == only_run("dense")[0]


def test_an_interrupted_training_ends_as_an_uninterrupted_one(scripts: Any, masks: str, read: Read) -> None:
    begin = f"--resume {masks} --epochs 3 --schedule 1 --lr 0.05 --rearrange 1"
    scripts.interrupted(scripts.train_ticket, f"{begin} --save_dir cut --writerdir curves", after=2)
    scripts.train_ticket(f"{begin} --save_dir cut --writerdir curves")
    seed = next(int(line.split()[1].rstrip(":")) for line in scripts.said if line.startswith("seed"))
    scripts.train_ticket(f"{begin} --save_dir whole --writerdir whole-curves --manualSeed {seed}")
    cut, whole = read("cut/scratch.pth.tar"), read("whole/scratch.pth.tar")
    assert all(torch.equal(cut["state_dict"][name], tensor) for name, tensor in whole["state_dict"].items())
    assert Path("cut/log_scratch.txt").read_text() == Path("whole/log_scratch.txt").read_text()
    assert scalars("curves") == scalars("whole-curves")


def test_curves_of_other_runs_stay(scripts: Any) -> None:
    """They may share a folder, the published default among them."""
    for name, seed in (("one", 1), ("two", 2)):
        scripts.train_ticket(f"--smart_ratio 1 --epochs 1 --save_dir {name} --manualSeed {seed} --writerdir curves")
    assert len(list(Path("curves").glob("events.out.tfevents.*"))) == 2
    scripts.train_ticket("--smart_ratio 1 --epochs 1 --save_dir two --manualSeed 2 --writerdir curves")
    assert len(list(Path("curves").glob("events.out.tfevents.*"))) == 2


def test_a_collapsed_ticket_is_a_result_and_not_trained(scripts: Any, only_run: Any) -> None:
    scripts.train_ticket("--smart_ratio 1 --ascend 1 --depth 32 --save_dir out --manualSeed 5")
    assert scripts.said[-1] == "collapsed, and not trained: conv1: no weight is left"
    _, result = only_run("out")
    assert (result.status, result.collapse.layer, result.accuracy) == ("collapsed", "conv1", None)
    assert not Path("out/scratch.pth.tar").exists()


def test_print_output_shows_the_logits_of_a_batch_and_trains_nothing(scripts: Any, masks: str) -> None:
    scripts.train_ticket(f"--resume {masks} --manualSeed 5 --print_output 1 --train-batch 16 --save_dir out")
    logits, accuracy = scripts.said[-2:]
    assert logits.startswith("tensor([[")
    assert logits.count("[") == 1 + 16
    label, _, value = accuracy.partition(" : ")
    assert label == "Train acc"
    assert 0 <= float(value) <= 100
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--hybrid 1", "--hybrid changes the tickets of --smart_ratio: add --smart_ratio 1."),
        ("--SNIP 1 --cubic 1", "--cubic changes the tickets of --smart_ratio: add --smart_ratio 1."),
        ("--GraSP 1 --SNIP 1", "--GraSP and --SNIP each make a mask and a ticket has one: leave one of them out."),
        ("--resume lt/pruned.pth.tar --smart_ratio 1", "--resume and --smart_ratio each make a mask"),
        ("--smart_ratio 1 --cubic 1 --uniform 1", "--cubic and --uniform each set the keep ratios"),
        ("--rearrange 1", "--rearrange has no mask to work on: give --resume with a pruned.pth.tar"),
        ("--shuffle_unmasked_weights 1", "--shuffle_unmasked_weights has no mask to work on"),
        ("--rearrange 1 --resume dense/init.pth.tar", "--rearrange has nothing to rearrange: dense/init.pth.tar"),
        ("--resume dense/init.pth.tar", "no weight of dense/init.pth.tar is 0, so that it has no mask"),
        ("--resume lt/pruned.pth.tar --randLabel 1", "--randLabel corrupts what GraSP and SNIP see"),
        ("--SNIP 1 --model nowhere.pth.tar", "--model nowhere.pth.tar does not exist"),
        ("--SNIP 1 --model dense/init.pth.tar --depth 14", "dense/init.pth.tar is not a checkpoint of resnet14"),
        ("--resume lt/pruned.pth.tar -d cifar100", "lt/pruned.pth.tar is not a checkpoint of resnet8 for the 20"),
        ("--smart_ratio 1 --init_prune_ratio 0.9999", "sparsity 0.9999 cannot be reached"),
        ("--SNIP 1 --writerdir dense/init.pth.tar", "--writerdir dense/init.pth.tar is a file"),
        ("--SNIP 1 --save_dir dense/init.pth.tar", "dense/init.pth.tar is a file"),
        ("--SNIP 1 --train_images 50", "class 0 of npz:"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    scripts: Any, masks: str, arguments: str, sentence: str
) -> None:
    scripts.baseline("--epochs 1 --save_dir dense --manualSeed 2")
    before = sorted(Path().rglob("*"))
    said = len(scripts.said)
    with pytest.raises(InputError) as raised:
        scripts.train_ticket(arguments)
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)
    assert sorted(Path().rglob("*")) == before
    assert len(scripts.said) == said

import argparse
from pathlib import Path
from typing import Any

import pytest

from prunecheck.errors import InputError
from prunecheck.paper.scripts import BaselineFlags, Flags, PruneFlags, TicketFlags, parse_flags
from prunecheck.paper.scripts.flags import build_parser

SCRIPTS: list[type[Flags]] = [BaselineFlags, PruneFlags, TicketFlags]

SHARED = {
    "dataset": "cifar10",
    "workers": 4,
    "epochs": 160,
    "start_epoch": 0,
    "train_batch": 64,
    "test_batch": 50,
    "lr": 0.1,
    "drop": 0,
    "schedule": (80, 120),
    "gamma": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "resume": None,
    "arch": "resnet20",
    "depth": 29,
    "manual_seed": None,
    "evaluate": False,
    "save_dir": Path("results/"),
    "gpu_id": "0",
}
OWN: dict[type[Flags], dict[str, Any]] = {
    BaselineFlags: {"rand_label": False, "shuffle_pixel": False, "max_batch_idx": 0},
    PruneFlags: {
        "prune_ratio": 0.98,
        "epochs": 300,
        "schedule": (150, 225),
        "test_batch": 100,
        "save_dir": Path("test_checkpoint/"),
    },
    TicketFlags: {
        "model_file": None,
        "writerdir": Path("InitExp/"),
        "linear_keep_ratio": 0.3,
        "init_prune_ratio": 0.98,
    }
    | dict.fromkeys(
        ("rearrange", "shuffle_unmasked_weights", "smart_ratio", "grasp", "snip", "rand_label", "shuffle_pixel"), False
    )
    | dict.fromkeys(("hybrid", "linear_decay", "ascend", "uniform", "cubic", "print_output"), False),
}

SPELLINGS: dict[type[Flags], str] = {
    BaselineFlags: "--randLabel --shufflePixel --max_batch_idx",
    PruneFlags: "--prune_ratio",
    TicketFlags: "--model --writerdir --linear_keep_ratio --init_prune_ratio --rearrange --smart_ratio --GraSP "
    "--shuffle_unmasked_weights --SNIP --randLabel --shufflePixel --hybrid --linear_decay --ascend --uniform --cubic "
    "--print_output",
}
SHARED_SPELLINGS = (
    "-d --dataset -j --workers --epochs --start-epoch --train-batch --test-batch --lr --learning-rate --drop --dropout "
    "--schedule --gamma --momentum --weight-decay --wd --resume --arch -a --depth --manualSeed -e --evaluate "
    "--save_dir --gpu-id"
)
OURS = (
    "-h --help --train_images --train-images --test_images --test-images --data_root --data-root --device --overwrite"
)


@pytest.mark.parametrize("kind", SCRIPTS)
def test_defaults_are_the_published_ones(kind: type[Flags]) -> None:
    flags = parse_flags(kind, [])
    expected = SHARED | OWN[kind]
    assert {name: getattr(flags, name) for name in expected} == expected
    ours = {"train_images": None, "test_images": None, "data_root": None, "device": None, "overwrite": False}
    assert set(vars(flags)) == {*expected, *ours, "given"}
    assert {name: getattr(flags, name) for name in ours} == ours
    assert flags.given == {}


@pytest.mark.parametrize("script", SPELLINGS)
def test_every_published_spelling_is_there_and_no_other(script: type[Flags]) -> None:
    known = {option for action in build_parser(script)._actions for option in action.option_strings}
    assert known == {*SPELLINGS[script].split(), *SHARED_SPELLINGS.split(), *OURS.split()}


def test_a_depth_alone_is_that_of_a_resnet() -> None:
    assert parse_flags(BaselineFlags, []).model == "resnet20"
    assert parse_flags(BaselineFlags, ["--depth", "32"]).model == "resnet32"
    assert parse_flags(BaselineFlags, ["-a", "resnet", "--depth", "56"]).model == "resnet56"
    assert parse_flags(BaselineFlags, ["-a", "vgg19_bn", "--depth", "32"]).model == "vgg19_bn"


def test_an_integer_that_is_a_truth_value() -> None:
    for text, value in (("0", False), ("1", True), ("2", True), ("-1", True)):
        assert parse_flags(TicketFlags, ["--SNIP", text]).snip is value


def test_spellings_of_one_flag_are_one() -> None:
    arguments = "--learning-rate 0.5 --wd 0.01 --dropout 0.5 -j 2 -a vgg16"
    given = parse_flags(BaselineFlags, arguments.split())
    assert (given.lr, given.weight_decay, given.drop, given.workers, given.model) == (0.5, 0.01, 0.5, 2, "vgg16")
    assert given.given["weight_decay"] == "--weight-decay"


@pytest.mark.parametrize("kind", [BaselineFlags, TicketFlags])
def test_tiny_imagenet_has_epochs_of_its_own_unless_told_otherwise(kind: type[Flags]) -> None:
    tiny = ["--dataset", "tinyimagenet"]
    flags = parse_flags(kind, tiny)
    assert (flags.epochs, flags.schedule) == (300, (150, 225))
    assert parse_flags(kind, [*tiny, "--epochs", "160"]).epochs == 160
    assert parse_flags(kind, [*tiny, "--schedule", "80", "120"]).schedule == (80, 120)
    assert parse_flags(kind, [*tiny, "--schedule", "80", "120"]).epochs == 300


def test_a_schedule_is_a_set_of_epochs() -> None:
    assert parse_flags(BaselineFlags, ["--schedule", "120", "80", "80", "100"]).schedule == (80, 100, 120)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--epochs 1.5", "--epochs: takes a whole number, not '1.5': see `python train_ticket.py --help`."),
        ("--lr nan", "--lr/--learning-rate: takes a finite number, not 'nan': see `python train_ticket.py --help`."),
        ("--lr 0", "--learning-rate must be more than 0, not 0.0."),
        ("--SNIP yes", "--SNIP: takes a whole number, not 'yes': see `python train_ticket.py --help`."),
        ("--snip 1", "train_ticket.py takes no --snip: did you mean --SNIP"),
        ("--epoch 3", "train_ticket.py takes no --epoch: did you mean --epochs"),
        ("extra", "train_ticket.py takes no extra: see `python train_ticket.py --help`."),
        ("--schedule", "--schedule: expected at least one argument: see `python train_ticket.py --help`."),
        ("--schedule -1 3", "--schedule must be made of epochs, counted from 0, not -1 3."),
        ("--init_prune_ratio 1", "--init_prune_ratio must be at least 0 and less than 1, not 1.0."),
        ("--linear_keep_ratio 1.1", "--linear_keep_ratio must be in [0, 1], not 1.1."),
        ("--momentum 1", "--momentum must be at least 0 and less than 1, not 1.0."),
        ("--train-batch 1", "--train-batch must be at least 2, for batch norm, not 1."),
        ("--manualSeed -1", "--manualSeed must be at least 0 and less than 2**63, not -1."),
        ("--gpu-id first", "--gpu-id must be the number of a GPU, such as 0, not first."),
        ("--start-epoch 160", "--start-epoch 160 leaves nothing to train of --epochs 160: give a smaller one."),
        ("-a resnet8", "-a/--arch: invalid choice: 'resnet8'"),
        ("-d cifar", "-d/--dataset: invalid choice: 'cifar'"),
    ],
)
def test_what_a_flag_cannot_be_is_said(arguments: str, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_flags(TicketFlags, arguments.split())
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_flags(TicketFlags, ["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in [*SHARED_SPELLINGS.split(), *SPELLINGS[TicketFlags].split()])
    assert argparse.SUPPRESS not in text

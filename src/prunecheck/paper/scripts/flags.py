"""The flags of the three published scripts: one dataclass each, with every flag's spellings, default and range."""
# ruff: noqa: RUF009 - what `flag` returns is a dataclass field

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from prunecheck.errors import InputError
from prunecheck.paper.scripts.parser import (
    POSITIVE,
    SHARE_BELOW_ONE,
    Parser,
    Range,
    at_least,
    flag,
    require_ranges,
)

DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "tinyimagenet": "tiny-imagenet"}
"""The published names of data sets, and ours."""

DEFAULT_ARCHITECTURE = "resnet20"
"""The published default, which is not one of the choices there and ends in an error."""

ARCHITECTURES = ("resnet", *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")))

ON_TINY_IMAGENET: dict[str, Any] = {"epochs": 300, "schedule": (150, 225)}
"""Defaults of the scripts that train, with ``--dataset tinyimagenet``."""

OURS = "options of prunecheck"

NO_EFFECT = "without effect"

SHARE = Range(lambda value: 0 <= value <= 1, "in [0, 1]")

GPU_NUMBERS = Range(lambda value: re.fullmatch(r"\d+(,\d+)*", value) is not None, "the number of a GPU, such as 0")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What all three scripts are told; the defaults are those of the scripts that train.

    Attributes:
        dataset: the published name.
        epochs: the number of the last epoch; training begins with ``start_epoch``.
        schedule: epochs, counted from 0, from which on the learning rate is multiplied by ``gamma``.
        resume: a checkpoint; its meaning is the script's.
        arch: ``resnet`` of ``depth``, or the name of another network.
        manual_seed: None to draw one.
        train_images: how many training images are used; None for all. ``test_images`` likewise.
        device: None for the first GPU of ``gpu_id`` or, without any, the CPU.
        given: what was not left to its default: the field, and how the option is spelled.
    """

    script_name: ClassVar[str]
    purpose: ClassVar[str]

    dataset: str = flag("cifar10", "-d", "--dataset", choices=tuple(DATASETS), help="[{default}]")
    workers: int = flag(4, "-j", "--workers", range=at_least(0), help=NO_EFFECT)
    epochs: int = flag(160, range=at_least(1), help="epochs to run [{default}; Tiny-ImageNet 300]")
    start_epoch: int = flag(0, "--start-epoch", range=at_least(0), help="number of the first epoch [{default}]")
    train_batch: int = flag(
        64, "--train-batch", range=at_least(2, ", for batch norm"), help="images a step [{default}]"
    )
    test_batch: int = flag(50, "--test-batch", range=at_least(1), help=NO_EFFECT)
    lr: float = flag(0.1, "--lr", "--learning-rate", metavar="LR", range=POSITIVE, help="learning rate [{default}]")
    drop: float = flag(0.0, "--drop", "--dropout", metavar="P", range=SHARE_BELOW_ONE, help=f"{NO_EFFECT}, as there")
    schedule: tuple[int, ...] = flag(
        (80, 120),
        range=Range(lambda value: min(value) >= 0, "made of epochs, counted from 0"),
        help="epochs that lower the learning rate [{default}; Tiny-ImageNet 150 225]",
    )
    gamma: float = flag(0.1, range=POSITIVE, help="by which the schedule multiplies the learning rate [{default}]")
    momentum: float = flag(0.9, metavar="M", range=SHARE_BELOW_ONE, help="[{default}]")
    weight_decay: float = flag(1e-4, "--weight-decay", "--wd", metavar="W", range=at_least(0), help="[{default}]")
    resume: Path | None = flag(None, help="checkpoint")
    arch: str = flag(
        DEFAULT_ARCHITECTURE,
        "-a",
        "--arch",
        choices=(*ARCHITECTURES, DEFAULT_ARCHITECTURE),
        metavar="ARCH",
        help=f"{', '.join(ARCHITECTURES)} [{{default}}]",
    )
    depth: int = flag(29, help="of resnet: 6n+2 [{default}, which no ResNet has]")
    manual_seed: int | None = flag(
        None,
        "--manualSeed",
        metavar="SEED",
        range=Range(lambda value: 0 <= value < 2**63, "at least 0 and less than 2**63"),
        help="[drawn, and said]",
    )
    evaluate: bool = flag(
        False, "-e", "--evaluate", action="store_true", help="measure the test accuracy and train nothing"
    )
    save_dir: Path = flag(Path("results/"), help="[{default}/]")
    gpu_id: str = flag(
        "0", "--gpu-id", metavar="ID", range=GPU_NUMBERS, help="GPU to run on, where there is one [{default}]"
    )
    train_images: int | None = flag(
        None, "--train_images", "--train-images", range=at_least(1), group=OURS, help="use so many training images"
    )
    test_images: int | None = flag(
        None, "--test_images", "--test-images", range=at_least(1), group=OURS, help="use so many test images"
    )
    data_root: Path | None = flag(None, "--data_root", "--data-root", metavar="DIR", group=OURS, help="holds data sets")
    device: str | None = flag(None, group=OURS, help="cpu, cuda or cuda:N [a GPU if there is one]")
    overwrite: bool = flag(False, action="store_true", group=OURS, help="overwrite another run in --save_dir")
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The network's name in the library."""
        return f"resnet{self.depth}" if self.arch == "resnet" else self.arch


@dataclass(frozen=True, kw_only=True)
class CorruptingFlags(Flags):
    """What the scripts are told that can corrupt images."""

    corrupted: ClassVar[str]

    rand_label: bool = flag(False, "--randLabel", help="1: {script.corrupted} random labels")
    shuffle_pixel: bool = flag(False, "--shufflePixel", help="1: {script.corrupted} random labels and random pixels")

    @property
    def corruption(self) -> str | None:
        """The check that corrupts data so: ``--shufflePixel`` makes labels random too."""
        if self.shuffle_pixel:
            return "corrupted-data"
        return "random-labels" if self.rand_label else None


@dataclass(frozen=True, kw_only=True)
class BaselineFlags(CorruptingFlags):
    """What ``baseline.py`` is told."""

    script_name = "baseline.py"
    purpose = "Train a whole network."
    corrupted = "train on"

    max_batch_idx: int = flag(
        0, range=at_least(0), help="train on the first N batches in file order [{default}: all, shuffled]"
    )


@dataclass(frozen=True, kw_only=True)
class PruneFlags(Flags):
    """What ``LT_prune.py`` is told."""

    script_name = "LT_prune.py"
    purpose = "Prune a trained network to a lottery ticket's mask."

    epochs: int = 300
    schedule: tuple[int, ...] = (150, 225)
    test_batch: int = 100
    save_dir: Path = Path("test_checkpoint/")
    prune_ratio: float = flag(0.98, metavar="P", range=SHARE_BELOW_ONE, help="share to remove [{default}]")


@dataclass(frozen=True, kw_only=True)
class TicketFlags(CorruptingFlags):
    """What ``train_ticket.py`` is told."""

    script_name = "train_ticket.py"
    purpose = "Train a ticket."
    corrupted = "GraSP and SNIP see"

    model_file: Path | None = flag(None, "--model", help="weights to start from")
    writerdir: Path = flag(Path("InitExp/"), help="TensorBoard curves [{default}/]")
    init_prune_ratio: float = flag(0.98, metavar="P", range=SHARE_BELOW_ONE, help="share to remove [{default}]")
    linear_keep_ratio: float = flag(
        0.3,
        metavar="R",
        range=Range(lambda value: 0 <= value <= 1, "in [0, 1]"),
        help="of the linear layer [{default}]",
    )
    grasp: bool = flag(False, "--GraSP", help="1: prune with GraSP")
    snip: bool = flag(False, "--SNIP", help="1: prune with SNIP")
    smart_ratio: bool = flag(False, help="1: random tickets with smart ratios")
    hybrid: bool = flag(False, help="1: smart ratios keep the largest weights")
    rearrange: bool = flag(False, help="1: rearrange the mask of each layer")
    shuffle_unmasked_weights: bool = flag(False, help="1: shuffle the kept weights of each layer")
    linear_decay: bool = flag(False, help="1: ratios that fall linearly")
    ascend: bool = flag(False, help="1: ratios that rise")
    uniform: bool = flag(False, help="1: the same ratio everywhere")
    cubic: bool = flag(False, help="1: cubic ratios")
    print_output: bool = flag(False, help="1: print what the ticket answers before training, and train nothing")


AnyFlags = TypeVar("AnyFlags", bound=Flags)


def build_parser(script: type[Flags]) -> Parser:
    """Return the parser of a script's flags."""
    about = f"{script.purpose} The flags are those published with arXiv:2009.11094; see docs/published.md."
    return Parser(script, script.script_name, about)


def parse_flags(script: type[AnyFlags], arguments: Sequence[str]) -> AnyFlags:
    """Read the arguments of a script; ``--help`` prints them and exits.

    Args:
        script: its flags.
        arguments: without the script's name.

    Raises:
        InputError: an unknown flag, or a value that it cannot have.
    """
    given, spelled = build_parser(script).given(arguments)
    defaults: dict[str, Any] = {}
    if given.get("dataset") == "tinyimagenet" and script is not PruneFlags:
        defaults |= ON_TINY_IMAGENET
    if "depth" in given:
        defaults["arch"] = "resnet"  # which alone has a depth to choose
    if "schedule" in given:
        given["schedule"] = tuple(sorted(set(given["schedule"])))
    flags = script(**defaults | given, given=spelled)
    require_ranges(flags, spelled)
    if flags.start_epoch >= flags.epochs:
        raise InputError(
            f"--start-epoch {flags.start_epoch} leaves nothing to train of --epochs {flags.epochs}: give a smaller one."
        )
    return flags

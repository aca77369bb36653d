"""The parsers of the three published scripts: every flag with its spelling and its default."""

import argparse
import math
from pathlib import Path
from typing import NoReturn

from prunecheck.errors import InputError

BASELINE, LT_PRUNE, TRAIN_TICKET = "baseline.py", "LT_prune.py", "train_ticket.py"

DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "tinyimagenet": "tiny-imagenet"}
"""The published names of data sets, and ours."""

DEFAULT_ARCHITECTURE = "resnet20"
"""The published default, which there is none of the choices and ends in an error."""

ARCHITECTURES = ("resnet", *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")))


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message.removeprefix('argument ')}: see `python {self.prog} --help`.")


def build_parser(script: str) -> argparse.ArgumentParser:
    """Return the parser of a script; what is wrong it raises as :class:`InputError`."""
    description, extend = {
        BASELINE: ("Train a whole network.", _add_baseline),
        LT_PRUNE: ("Prune a trained network to a lottery ticket's mask.", _add_prune),
        TRAIN_TICKET: ("Train a ticket.", _add_ticket),
    }[script]
    parser = _Parser(
        prog=script,
        description=f"{description} The flags are those published with arXiv:2009.11094; see docs/published.md.",
        allow_abbrev=False,
    )
    _add_shared(parser, *OF_LT_PRUNE if script == LT_PRUNE else OF_TRAINING)
    extend(parser)
    _add_ours(parser)
    return parser


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a whole number, not {text!r}") from None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"takes a finite number, not {text!r}")
    return number


def _path_or_none(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("takes the path of a folder, not nothing")
    return Path(text).expanduser()


def _switch(text: str) -> bool:
    """Read an integer that is a truth value: 0 for no."""
    return _whole(text) != 0


OF_TRAINING = (160, (80, 120), 50, Path("results/"))
OF_LT_PRUNE = (300, (150, 225), 100, Path("test_checkpoint/"))
"""The defaults in which the scripts differ: epochs, schedule, test batch and folder."""


def _add_shared(
    parser: argparse.ArgumentParser, epochs: int, schedule: tuple[int, ...], test_batch: int, save_dir: Path
) -> None:
    add = parser.add_argument
    add("-d", "--dataset", default="cifar10", choices=tuple(DATASETS), help="[cifar10]")
    add("-j", "--workers", default=4, type=_whole, metavar="N", help="without effect")
    add("--epochs", default=epochs, type=_whole, metavar="N", help=f"epochs to run [{epochs}; Tiny-ImageNet 300]")
    add("--start-epoch", dest="start_epoch", default=0, type=_whole, metavar="N", help="number of the first epoch [0]")
    add("--train-batch", dest="train_batch", default=64, type=_whole, metavar="N", help="images a step [64]")
    add("--test-batch", dest="test_batch", default=test_batch, type=_whole, metavar="N", help="without effect")
    add("--lr", "--learning-rate", dest="lr", default=0.1, type=_number, metavar="LR", help="learning rate [0.1]")
    add("--drop", "--dropout", dest="drop", default=0.0, type=_number, metavar="P", help="without effect, as there")
    add(
        "--schedule",
        default=schedule,
        type=_whole,
        nargs="+",
        metavar="N",
        help="epochs that lower the learning rate [80 120; Tiny-ImageNet 150 225]",
    )
    add("--gamma", default=0.1, type=_number, help="by which the schedule multiplies the learning rate [0.1]")
    add("--momentum", default=0.9, type=_number, metavar="M", help="[0.9]")
    add("--weight-decay", "--wd", dest="weight_decay", default=1e-4, type=_number, metavar="W", help="[1e-4]")
    add("--resume", default=None, type=_path_or_none, metavar="PATH", help="checkpoint")
    add(
        "-a",
        "--arch",
        default=DEFAULT_ARCHITECTURE,
        choices=(*ARCHITECTURES, DEFAULT_ARCHITECTURE),
        metavar="ARCH",
        help=f"{', '.join(ARCHITECTURES)} [{DEFAULT_ARCHITECTURE}]",
    )
    add("--depth", default=29, type=_whole, help="of resnet: 6n+2 [29, which is none]")
    add("--manualSeed", dest="manual_seed", default=None, type=_whole, metavar="SEED", help="[drawn, and said]")
    add("-e", "--evaluate", action="store_true", help="measure the test accuracy and train nothing")
    add("--save_dir", default=save_dir, type=_path, metavar="DIR", help=f"[{save_dir}/]")
    add("--gpu-id", dest="gpu_id", default="0", metavar="ID", help="GPU to run on, where there is one [0]")


def _add_ours(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("options of prunecheck")
    add = group.add_argument
    add("--train_images", "--train-images", default=None, type=_whole, metavar="N", help="use so many training images")
    add("--test_images", "--test-images", default=None, type=_whole, metavar="N", help="use so many test images")
    add("--data_root", "--data-root", default=None, type=_path_or_none, metavar="DIR", help="holds data sets")
    add("--device", default=None, metavar="DEVICE", help="cpu, cuda or cuda:N [a GPU if there is one]")
    add("--overwrite", action="store_true", help="overwrite another run in --save_dir")


def _add_corruptions(parser: argparse.ArgumentParser, what: str) -> None:
    help_of_labels = f"1: {what} random labels"
    parser.add_argument(
        "--randLabel", dest="rand_label", default=False, type=_switch, metavar="0|1", help=help_of_labels
    )
    help_of_pixels = f"1: {what} random labels and random pixels"
    parser.add_argument(
        "--shufflePixel", dest="shuffle_pixel", default=False, type=_switch, metavar="0|1", help=help_of_pixels
    )


def _add_baseline(parser: argparse.ArgumentParser) -> None:
    _add_corruptions(parser, "train on")
    parser.add_argument(
        "--max_batch_idx",
        default=0,
        type=_whole,
        metavar="N",
        help="train on the first N batches in file order [0: all, shuffled]",
    )


def _add_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prune_ratio", default=0.98, type=_number, metavar="P", help="share to remove [0.98]")


def _add_ticket(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", dest="model_file", default=None, type=_path_or_none, metavar="PATH", help="weights to start from")
    add("--writerdir", default=Path("InitExp/"), type=_path, metavar="DIR", help="TensorBoard curves [InitExp/]")
    add("--init_prune_ratio", default=0.98, type=_number, metavar="P", help="share to remove [0.98]")
    add("--linear_keep_ratio", default=0.3, type=_number, metavar="R", help="of the linear layer [0.3]")
    _add_corruptions(parser, "GraSP and SNIP see")
    for name, dest, meaning in (
        ("--GraSP", "grasp", "prune with GraSP"),
        ("--SNIP", "snip", "prune with SNIP"),
        ("--smart_ratio", "smart_ratio", "random tickets with smart ratios"),
        ("--hybrid", "hybrid", "smart ratios keep the largest weights"),
        ("--rearrange", "rearrange", "rearrange the mask of each layer"),
        ("--shuffle_unmasked_weights", "shuffle_unmasked_weights", "shuffle the kept weights of each layer"),
        ("--linear_decay", "linear_decay", "ratios that fall linearly"),
        ("--ascend", "ascend", "ratios that rise"),
        ("--uniform", "uniform", "the same ratio everywhere"),
        ("--cubic", "cubic", "cubic ratios"),
        ("--print_output", "print_output", "print what the ticket answers before training, and train nothing"),
    ):
        add(name, dest=dest, default=False, type=_switch, metavar="0|1", help=f"1: {meaning}")

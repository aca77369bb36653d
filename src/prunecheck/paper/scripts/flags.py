"""The flags of the three published scripts, with their spellings and defaults."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from prunecheck.errors import InputError
from prunecheck.paper.scripts.parser import BASELINE, LT_PRUNE, TRAIN_TICKET, build_parser
from prunecheck.paper.scripts.ranges import require_ranges
from prunecheck.registry import nearest_names

TINY_EPOCHS, TINY_SCHEDULE = 300, (150, 225)


@dataclass(frozen=True)
class Flags:
    """What all three scripts are told.

    Attributes:
        dataset: the published name.
        epochs: the number of the last epoch; training begins with ``start_epoch``.
        schedule: epochs, counted from 0, from which on the learning rate is multiplied by ``gamma``.
        resume: a checkpoint; its meaning is the script's.
        arch: ``resnet`` of ``depth``, or the name of another network.
        manual_seed: None to draw one.
        train_images: an option of ours: how many training images are used; None for all.
        test_images: an option of ours, likewise.
        data_root: an option of ours: folder that holds data sets.
        device: an option of ours; None for the first GPU of ``gpu_id`` or, without any, the CPU.
        overwrite: an option of ours: whether another run in ``save_dir`` may be overwritten.
        given: what was not left to its default: the field, and how the option is spelled.
    """

    dataset: str
    workers: int
    epochs: int
    start_epoch: int
    train_batch: int
    test_batch: int
    lr: float
    drop: float
    schedule: tuple[int, ...]
    gamma: float
    momentum: float
    weight_decay: float
    resume: Path | None
    arch: str
    depth: int
    manual_seed: int | None
    evaluate: bool
    save_dir: Path
    gpu_id: str
    train_images: int | None
    test_images: int | None
    data_root: Path | None
    device: str | None
    overwrite: bool
    given: Mapping[str, str]

    @property
    def model(self) -> str:
        """The network's name in the library."""
        return f"resnet{self.depth}" if self.arch == "resnet" else self.arch


@dataclass(frozen=True)
class BaselineFlags(Flags):
    """What ``baseline.py`` is told besides.

    Attributes:
        rand_label: whether the training labels are random.
        shuffle_pixel: whether the training labels and pixels are random.
        max_batch_idx: how many batches an epoch has, unshuffled; 0 for all, shuffled.
    """

    rand_label: bool
    shuffle_pixel: bool
    max_batch_idx: int


@dataclass(frozen=True)
class PruneFlags(Flags):
    """What ``LT_prune.py`` is told besides.

    Attributes:
        prune_ratio: the share of the weights that are left to remove.
    """

    prune_ratio: float


@dataclass(frozen=True)
class TicketFlags(Flags):
    """What ``train_ticket.py`` is told besides.

    Attributes:
        model_file: the checkpoint whose weights the ticket starts from; None for initial ones.
        writerdir: folder for TensorBoard curves.
        init_prune_ratio: the sparsity of GraSP, SNIP and smart ratios.
        linear_keep_ratio: what smart ratios keep of the linear layer.
        hybrid: whether smart ratios keep the largest weights instead of random ones.
    """

    model_file: Path | None
    writerdir: Path
    init_prune_ratio: float
    linear_keep_ratio: float
    grasp: bool
    snip: bool
    smart_ratio: bool
    hybrid: bool
    rearrange: bool
    shuffle_unmasked_weights: bool
    rand_label: bool
    shuffle_pixel: bool
    linear_decay: bool
    ascend: bool
    uniform: bool
    cubic: bool
    print_output: bool


AnyFlags = TypeVar("AnyFlags", bound=Flags)

SCRIPTS: dict[type[Flags], str] = {BaselineFlags: BASELINE, PruneFlags: LT_PRUNE, TicketFlags: TRAIN_TICKET}


def parse_flags(kind: type[AnyFlags], arguments: Sequence[str]) -> AnyFlags:
    """Read the arguments of a script; ``--help`` prints them and exits.

    Args:
        kind: the script's flags.
        arguments: without the script's name.

    Raises:
        InputError: an unknown flag, or a value that it cannot have.
    """
    parser, defaults = build_parser(SCRIPTS[kind]), {}
    for action in parser._actions:
        if action.dest != "help":
            defaults[action.dest], action.default = action.default, argparse.SUPPRESS
    found, unknown = parser.parse_known_args(arguments)
    options = {action.dest: _longest(action) for action in parser._actions}
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        raise InputError(_unknown(unknown[0], known, parser.prog))
    values: dict[str, Any] = defaults | vars(found)
    if values["dataset"] == "tinyimagenet" and kind is not PruneFlags:
        tiny = {"epochs": TINY_EPOCHS, "schedule": TINY_SCHEDULE}
        values |= {name: value for name, value in tiny.items() if name not in found}
    if "depth" in found and "arch" not in found:
        values["arch"] = "resnet"  # which alone has a depth to choose
    values["schedule"] = tuple(sorted(set(values["schedule"])))
    flags = kind(**values, given={name: options[name] for name in vars(found)})
    require_ranges({field.name: getattr(flags, field.name) for field in fields(flags)}, options)
    return flags


def _longest(action: argparse.Action) -> str:
    return max(action.option_strings, key=len, default="")


def _unknown(argument: str, known: list[str], script: str) -> str:
    option = argument.partition("=")[0]
    nearest = nearest_names(option, known) if option.startswith("-") else []
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"see `python {script} --help`."
    return f"{script} takes no {argument}: {hint}"

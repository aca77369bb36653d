"""Which values the published flags can have."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from prunecheck.errors import InputError

LARGEST_SEED = 2**63

RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda value: value >= 1, "at least 1"),
    "start_epoch": (lambda value: value >= 0, "at least 0"),
    "train_batch": (lambda value: value >= 2, "at least 2, for batch norm"),
    "test_batch": (lambda value: value >= 1, "at least 1"),
    "workers": (lambda value: value >= 0, "at least 0"),
    "lr": (lambda value: value > 0, "more than 0"),
    "drop": (lambda value: 0 <= value < 1, "at least 0 and less than 1"),
    "schedule": (lambda value: min(value) >= 0, "made of epochs, counted from 0"),
    "gamma": (lambda value: value > 0, "more than 0"),
    "momentum": (lambda value: 0 <= value < 1, "at least 0 and less than 1"),
    "weight_decay": (lambda value: value >= 0, "at least 0"),
    "manual_seed": (lambda value: value is None or 0 <= value < LARGEST_SEED, "at least 0 and less than 2**63"),
    "gpu_id": (lambda value: re.fullmatch(r"\d+(,\d+)*", value) is not None, "the number of a GPU, such as 0"),
    "train_images": (lambda value: value is None or value >= 1, "at least 1"),
    "test_images": (lambda value: value is None or value >= 1, "at least 1"),
    "max_batch_idx": (lambda value: value >= 0, "at least 0"),
    "prune_ratio": (lambda value: 0 <= value < 1, "at least 0 and less than 1"),
    "init_prune_ratio": (lambda value: 0 <= value < 1, "at least 0 and less than 1"),
    "linear_keep_ratio": (lambda value: 0 <= value <= 1, "in [0, 1]"),
}
"""Per field, what its value must satisfy, and how that is said."""


def require_ranges(values: Mapping[str, Any], options: Mapping[str, str]) -> None:
    """Raise :class:`InputError` for the first value outside its range.

    Args:
        values: by field; those without a range may be anything.
        options: by field, how the user spells it.
    """
    for name, (allows, meaning) in RANGES.items():
        if name in values and not allows(values[name]):
            shown = " ".join(map(str, values[name])) if isinstance(values[name], tuple) else values[name]
            raise InputError(f"{options[name]} must be {meaning}, not {shown}.")
    if values["start_epoch"] >= values["epochs"]:
        raise InputError(
            f"--start-epoch {values['start_epoch']} leaves nothing to train of --epochs {values['epochs']}: "
            "give a smaller one."
        )

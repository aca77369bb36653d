"""All that is needed to go on with a training, in one file, so that it is never half of two epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.tensors import Groups, read_tensors, tensors_bytes
from prunecheck.training.metrics import EpochMetrics

MOMENTUM = "momentum"
GROUPS = ("weights", MOMENTUM, "metrics")
MASKS = "masks"

FORMS = (GROUPS, (*GROUPS, MASKS), GROUPS[:2], (*GROUPS[:2], MASKS))
"""The groups that files are made of; those of earlier versions have the metrics in their header."""

TESTED = "tested"
"""In the group of the metrics: after which epochs the network was tested; what was not measured is NaN."""

OF_TESTS = ("test_loss", "test_accuracy")


@dataclass(frozen=True)
class Checkpoint:
    """A training after some epochs.

    Attributes:
        weights: the network's state dict.
        momentum: the optimiser's momentum buffers, by parameter name.
        metrics: of the epochs done; their number says where to go on.
        masks: by layer, of a ticket whose mask moves; empty for one whose mask stays.
    """

    weights: dict[str, Tensor]
    momentum: dict[str, Tensor]
    metrics: tuple[EpochMetrics, ...]
    masks: dict[str, Tensor] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the checkpoint as a safetensors file."""
        groups = {"weights": self.weights, MOMENTUM: self.momentum, "metrics": metrics_as_tensors(self.metrics)}
        return tensors_bytes(groups | {MASKS: self.masks} if self.masks else groups, None)

    @staticmethod
    def read(path: Path) -> "Checkpoint":
        """Read a checkpoint.

        Raises:
            InputError: the file is not a checkpoint.
        """
        try:
            groups, described = _read_groups(path)
            metrics = groups.get("metrics")
            epochs = [EpochMetrics(**epoch) for epoch in described] if metrics is None else metrics_of_tensors(metrics)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is not a checkpoint of a run: remove it and the run starts anew.") from error
        return Checkpoint(groups["weights"], groups[MOMENTUM], tuple(epochs), groups.get(MASKS, {}))


def _read_groups(path: Path) -> tuple[Groups, Any]:
    for form in FORMS[:-1]:
        try:
            return read_tensors(path, form)
        except ValueError:
            continue
    return read_tensors(path, FORMS[-1])


def metrics_as_tensors(metrics: Sequence[EpochMetrics]) -> dict[str, Tensor]:
    """Return metrics as a tensor for each field, float64 (epochs,), and one that says after which was tested, bool.

    A file's header, where they would be text, holds no more than some 100,000 epochs.
    """
    names = [one.name for one in fields(EpochMetrics)]
    columns = {name: [getattr(epoch, name) for epoch in metrics] for name in names}
    tested = [value is not None for value in columns[OF_TESTS[0]]]
    for name in OF_TESTS:
        columns[name] = [float("nan") if value is None else value for value in columns[name]]
    of_numbers = {name: torch.tensor(values, dtype=torch.float64) for name, values in columns.items()}
    return of_numbers | {TESTED: torch.tensor(tested, dtype=torch.bool)}


def metrics_of_tensors(tensors: Mapping[str, Tensor]) -> list[EpochMetrics]:
    """Return what :func:`metrics_as_tensors` was given.

    Raises:
        KeyError, ValueError: the tensors are not of metrics.
    """
    columns = {one.name: tensors[one.name].tolist() for one in fields(EpochMetrics)}
    columns["epoch"] = [int(epoch) for epoch in columns["epoch"]]
    tested = tensors[TESTED].tolist()
    for name in OF_TESTS:
        columns[name] = [value if is_tested else None for value, is_tested in zip(columns[name], tested, strict=True)]
    return [EpochMetrics(*epoch) for epoch in zip(*columns.values(), strict=True)]

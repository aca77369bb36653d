"""Controls of the checks of moving masks: methods built to use an ingredient, and methods built not to."""

from pathlib import Path

import pytest
import torch
from torch import nn

import prunecheck
from prunecheck.analysis.verdicts import Verdict
from prunecheck.data import load_dataset
from prunecheck.pruning import CRITERIA, Method, TopologyUpdates

STILL = prunecheck.Recipe(epochs=2, batch_size=20, learning_rate=1e-9, milestones=())
"""Nothing is learned: what a ticket is worth lies in the weights that it starts from and keeps."""


def linear(num_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))


def solved(num_classes: int) -> nn.Module:
    """A linear layer that is a least-squares fit of the digits, large weights where they matter."""
    data = load_dataset("digits", None)
    x = (torch.from_numpy(data.train.pixels).float().flatten(1) / data.train.unit - data.mean[0]) / data.deviation[0]
    targets = nn.functional.one_hot(torch.from_numpy(data.train.labels), num_classes).float()
    fitted = torch.linalg.solve(x.T @ x + 20 * torch.eye(64), x.T @ (targets - targets.mean(0))).T
    model = linear(num_classes)
    model[1].weight.data, model[1].bias.data = 10 * fitted, torch.zeros(num_classes)
    return model


SPARSE = Method(
    "sparse",
    CRITERIA.get("magnitude"),
    "global",
    updates=TopologyUpdates(interval=2, drop_fraction=0.1, growth="gradient"),
)
"""Drops the smallest weights, which matter least; what it grows stays at 0, and matters nothing."""

GRADUAL = Method("gradual", CRITERIA.get("magnitude"), "global", updates=TopologyUpdates(interval=1, is_gradual=True))
"""Prunes the smallest weights, which are the same at every step."""


@pytest.mark.parametrize(
    ("method", "unused"),
    [(SPARSE, ("random-growth", "freeze-topology")), (GRADUAL, ("prune-at-once", "freeze-topology"))],
)
def test_of_what_needs_no_learning_only_which_weights_go_counts(
    method: Method, unused: tuple[str, ...], tmp_path: Path
) -> None:
    answer = prunecheck.check(
        method,
        model=solved,
        sparsity=0.5,
        checks=[*unused, "random-drop"],
        baseline=None,
        seeds=8,
        recipe=STILL,
        margin=2.0,
        train_images=200,
        out=tmp_path,
        quiet=True,
        acceleration=prunecheck.Acceleration(sparse_convolutions=False),
    )
    expected = {(0.5, check): Verdict.DOES_NOT_USE for check in unused} | {(0.5, "random-drop"): Verdict.USES}
    assert answer.verdicts == expected


@pytest.mark.slow
def test_a_frozen_topology_costs_a_method_that_finds_the_pixels_that_matter(tmp_path: Path) -> None:
    answer = prunecheck.check(
        "set@4",
        model=linear,
        sparsity=0.9,
        checks="freeze-topology",
        baseline=None,
        seeds=6,
        epochs=20,
        learning_rate=0.1,
        margin=4.0,
        train_images=400,
        test_images=500,
        out=tmp_path,
        quiet=True,
    )
    assert answer.verdicts[0.9, "freeze-topology"] is Verdict.USES

"""Controls of the checks of moving masks: methods built to use an ingredient, and methods built not to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import prunecheck
from prunecheck.analysis.verdicts import Verdict
from prunecheck.data import load_dataset
from prunecheck.pruning import CRITERIA, Method, TopologyUpdates

STILL = prunecheck.Recipe(epochs=2, batch_size=20, learning_rate=1e-9, milestones=())
"""Nothing is learned: what a ticket is worth lies in the weights that it starts from and keeps."""


def solved(num_classes: int) -> nn.Module:
    """A linear layer that is a least-squares fit of the digits, large weights where they matter."""
    data = load_dataset("digits", None)
    x = (torch.from_numpy(data.train.pixels).float().flatten(1) / data.train.unit - data.mean[0]) / data.deviation[0]
    targets = nn.functional.one_hot(torch.from_numpy(data.train.labels), num_classes).float()
    fitted = torch.linalg.solve(x.T @ x + 20 * torch.eye(64), x.T @ (targets - targets.mean(0))).T
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))
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


Pixels = Callable[[NDArray[numpy.float32], NDArray[numpy.float32]], NDArray[numpy.float32]]
"""From classes, -1 or 1 (images, 1), and noise (images, 256), to pixels."""


def one_pixel_tells(classes: NDArray[numpy.float32], noise: NDArray[numpy.float32]) -> NDArray[numpy.float32]:
    noise[:, 77] = 3 * classes[:, 0]
    return noise


def all_pixels_tell(classes: NDArray[numpy.float32], noise: NDArray[numpy.float32]) -> NDArray[numpy.float32]:
    return noise + 0.2 * classes


def any_of_sixteen_tells(classes: NDArray[numpy.float32], noise: NDArray[numpy.float32]) -> NDArray[numpy.float32]:
    noise[:, ::16] = 3 * classes
    return noise


def two_classes(pixels: Pixels) -> tuple[NDArray[Any], ...]:
    """Return 200 training and 500 test images, 16 by 16, and their classes."""
    source = numpy.random.default_rng(0)
    parts: list[NDArray[Any]] = []
    for count in (200, 500):
        y = numpy.arange(count) % 2
        noise = source.normal(size=(count, 256)).astype(numpy.float32)
        x = pixels((2 * y[:, None] - 1).astype(numpy.float32), noise)
        parts += [x.reshape(count, 1, 16, 16), y]
    return tuple(parts)


def linear_of_256(num_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(256, num_classes))


SELDOM = Method("seldom", CRITERIA.get("magnitude"), "global", updates=TopologyUpdates(interval=10, growth="gradient"))
"""Moves its mask three times, which is seldom enough for what is grown at random to miss one pixel of 256."""


LEARNS = prunecheck.Recipe(epochs=4, batch_size=20, learning_rate=0.1, milestones=())

LEARNS_LATE = prunecheck.Recipe(epochs=8, batch_size=20, learning_rate=1e-7, milestones=(3,), gamma=1e6)
"""Has learned nothing halfway to the last update, where all is pruned at once, and much before the last small step."""


@pytest.mark.parametrize(
    ("method", "pixels", "recipe", "sparsity", "check", "verdict"),
    [
        (SELDOM, one_pixel_tells, LEARNS, 0.95, "random-growth", Verdict.USES),
        (SELDOM, one_pixel_tells, LEARNS, 0.95, "freeze-topology", Verdict.USES),
        (SELDOM, all_pixels_tell, LEARNS, 0.5, "random-drop", Verdict.DOES_NOT_USE),
        (GRADUAL, any_of_sixteen_tells, LEARNS_LATE, 0.99, "prune-at-once", Verdict.USES),
    ],
)
def test_what_a_trained_method_is_built_to_use_is_found(
    method: Method,
    pixels: Pixels,
    recipe: prunecheck.Recipe,
    sparsity: float,
    check: str,
    verdict: Verdict,
    tmp_path: Path,
) -> None:
    answer = prunecheck.check(
        method,
        model=linear_of_256,
        dataset=two_classes(pixels),
        augment="none",
        sparsity=sparsity,
        checks=check,
        baseline=None,
        seeds=6,
        recipe=recipe,
        margin=4.0,
        out=tmp_path,
        quiet=True,
        acceleration=prunecheck.Acceleration(sparse_convolutions=False),
    )
    assert answer.verdicts[sparsity, check] is verdict

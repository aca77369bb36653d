"""Controls of the checks of moving masks: of two methods one is built to use the ingredient, and one is not."""

from pathlib import Path

import pytest
from torch import nn

import prunecheck
from prunecheck.analysis.verdicts import Verdict


def linear(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))


def verdict(method: str, check: str, out: Path, margin: float) -> Verdict:
    answer = prunecheck.check(
        method,
        model=linear,
        sparsity=0.9,
        checks=check,
        baseline=None,
        seeds=6,
        epochs=20,
        learning_rate=0.1,
        margin=margin,
        train_images=400,
        test_images=500,
        out=out,
        quiet=True,
    )
    return answer.verdicts[0.9, check]


@pytest.mark.slow
def test_a_frozen_topology_costs_a_method_that_finds_the_pixels_that_matter(tmp_path: Path) -> None:
    assert verdict("set@4", "freeze-topology", tmp_path, 4.0) is Verdict.USES


@pytest.mark.slow
def test_growing_at_random_costs_nothing_that_grows_at_random(tmp_path: Path) -> None:
    assert verdict("set@4", "random-growth", tmp_path, 2.0) is Verdict.DOES_NOT_USE

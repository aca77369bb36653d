from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prunecheck.runs.tensorboard import Curves
from prunecheck.training import EpochMetrics

ReadCurves = Callable[[Path], dict[str, list[tuple[int, float]]]]

FIRST = EpochMetrics(1, 0.1, 2.5, 2.25, 12.5, 15.0)
SECOND = EpochMetrics(2, 0.1, 1.5, 1.25, 50.0, 55.5)


def test_the_published_tags_show_their_metrics_from_step_0(tmp_path: Path, read_curves: ReadCurves) -> None:
    with Curves(tmp_path, []) as curves:
        curves.add(FIRST)
        curves.add(SECOND)
    assert read_curves(tmp_path) == {
        "train_loss": [(0, 2.5), (1, 1.5)],
        "test_loss": [(0, 2.25), (1, 1.25)],
        "train_acc": [(0, 12.5), (1, 50.0)],
        "test_acc": [(0, 15.0), (1, 55.5)],
    }


@pytest.mark.parametrize("shown", [0, 1, 2])
def test_a_run_that_goes_on_shows_what_its_checkpoint_has_however_far_its_curves_were(
    tmp_path: Path, read_curves: ReadCurves, shown: int
) -> None:
    with Curves(tmp_path, []) as curves:
        for metrics in (replace(FIRST, test_accuracy=99.0), SECOND)[:shown]:
            curves.add(metrics)
    with Curves(tmp_path, [FIRST]) as curves:
        assert read_curves(tmp_path)["test_acc"] == [(0, 15.0)]
        curves.add(SECOND)
    assert read_curves(tmp_path)["test_acc"] == [(0, 15.0), (1, 55.5)]


def test_an_epoch_is_on_disk_as_soon_as_it_is_added(tmp_path: Path, read_curves: ReadCurves) -> None:
    with Curves(tmp_path, []) as curves:
        curves.add(FIRST)
        assert read_curves(tmp_path)["test_acc"] == [(0, 15.0)]

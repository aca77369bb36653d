"""A metric of one's own, with workers: from the shell by its file, from a program by the function itself."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILE = """
import prunecheck

@prunecheck.metric(unit="%", higher_is_better=False)
def error(logits, labels):
    return 100 - 100 * (logits.argmax(dim=1) == labels).double().mean()

if __name__ == "__main__":
    answer = prunecheck.check(
        "magnitude", model="resnet8", width=2, epochs=1, seeds=2, train_images=60, test_images=40, sparsity=0.5,
        checks="rearrange-mask", baseline=None, quiet=True, metric=error, workers=2, out="of-program",
    )
    (one,) = answer.comparisons
    print(answer.question.setting.metric, one.difference.mean)
"""

SMALL = [
    *("--model", "resnet8", "--width", "2", "--epochs", "1", "--seeds", "2", "--sparsity", "0.5", "--quiet"),
    *("--train-images", "60", "--test-images", "40", "--checks", "rearrange-mask", "--baseline", "none"),
]


def test_a_metric_of_one_s_own_is_known_to_all_workers(
    tmp_path: Path, prunecheck: Callable[..., Any], environment: dict[str, str]
) -> None:
    (tmp_path / "score.py").write_text(FILE)
    ended = prunecheck(
        *("check", "magnitude", *SMALL, "--metric", "score.py:error", "--workers", "2", "--json"), cwd=tmp_path
    )
    assert ended.code == 0, ended.stderr
    (comparison,) = json.loads(ended.stdout)["verdicts"]
    with (tmp_path / "runs" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        assert row["metric"] == "score.py:error"
        assert float(row["value"]) == pytest.approx(100 - float(row["accuracy"]))
    done = subprocess.run(
        [sys.executable, "score.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    name, difference = done.stdout.split()
    assert name == "__main__:error"
    assert float(difference) == pytest.approx(comparison["difference"], abs=1e-3)

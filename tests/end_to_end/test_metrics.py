"""A program without a guard, and a metric that it defines: the processes that do the runs know it, and run it not."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
with open("ran", "a") as file:
    file.write("x")

import prunecheck

@prunecheck.metric(unit="%", higher_is_better=False)
def error(logits, labels):
    return 100 - 100 * (logits.argmax(dim=1) == labels).double().mean()

answer = prunecheck.check(
    "snip", model="resnet8", width=2, epochs=1, seeds=1, train_images=120, test_images=40, sparsity=0.5,
    checks="rearrange-mask", baseline=None, quiet=True, metric=error, workers=2,
)
(one,) = answer.comparisons
print(one.difference.mean)

from multiprocessing import spawn
assert spawn.get_preparation_data.__module__ == "multiprocessing.spawn"
"""


def test_a_program_without_a_guard_is_not_run_by_its_workers_which_are_sent_its_function(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ran").read_text() == "x"
    with (tmp_path / "runs" / "results.csv").open(newline="") as file:
        rows = {row["method"] + row["check"]: row for row in csv.DictReader(file)}
    assert len(rows) == 3
    for row in rows.values():
        assert (row["metric"], row["metric_unit"], row["status"]) == ("__main__:error", "%", "trained")
        assert float(row["value"]) == pytest.approx(100 - float(row["accuracy"]))
    cost = float(rows["sniprearrange-mask"]["value"]) - float(rows["snip"]["value"])
    assert float(done.stdout) == pytest.approx(cost)

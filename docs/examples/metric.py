"""Finished runs judged by another number, the test loss after the last epoch: ``metric.py RUNS METHOD CHECK``."""

import csv
import sys
from pathlib import Path

from prunecheck.analysis import PairedDifference, paired_difference
from prunecheck.runs import load_results


def last_test_loss(folder: str) -> float:
    """Return the mean cross entropy on the test images after the last epoch."""
    with (Path(folder) / "metrics.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    return float(last["test_loss"])


def loss_differences(runs: str, method: str, check: str) -> dict[float, PairedDifference]:
    """Return, by sparsity, the loss of a method's tickets minus that of the changed ones, paired by seed.

    Args:
        runs: the folder that ``--out`` named, of one question.
        method: whose tickets are meant.
        check: how they were changed.
    """
    table = load_results(runs)
    table = table[(table.method == method) & (table.status == "trained")]
    table = table.assign(loss=table.folder.map(last_test_loss), check=table.check.fillna("none"))
    differences = {}
    for sparsity, rows in table.groupby("sparsity"):
        pairs = rows.pivot(index="seed", columns="check", values="loss")[["none", check]].dropna()
        differences[float(sparsity)] = paired_difference(list(pairs["none"]), list(pairs[check]))
    return differences


if __name__ == "__main__":
    for sparsity, difference in loss_differences(*sys.argv[1:]).items():
        print(f"sparsity {sparsity:g}: {difference.mean:+.4f} over {difference.n} seeds, {difference.interval}")

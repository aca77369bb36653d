"""Published test accuracies, each with where it was read.

``published-accuracies.csv`` holds a row per source, data set, network, method, change and sparsity. The paper's means
(arXiv:2009.11094) are those of its random tickets, as the README of a replication states them; the replication
(GitHub CS-433/cs-433-project-2-answer42) has single runs from its logs and notebooks, and means of its own for random
tickets, whose number of runs it does not say. The paper's other tables were not readable when these were gathered.
"""

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("published-accuracies.csv")

DATASETS = {"cifar-10": "cifar10", "cifar-100": "cifar100"}
MODELS = {"vgg19": "vgg19_bn", "resnet32": "resnet32"}
METHODS = {"smart-ratio random ticket": "random-smart"}
"""What is named otherwise there than here."""

REPLICATION = "CS-433 answer42 replication"

GRASP_BATCH = 128
"""The replication's GraSP tickets were trained with batches of 128, all else with 64."""


@dataclass(frozen=True)
class PublishedAccuracy:
    """A published number.

    Attributes:
        source: who published it, and where.
        dataset, model, method: by their names here.
        check: what changed the ticket; None for the ticket as it is.
        accuracy: on the test set, percent.
        seeds: how many runs it is the mean of; None if that is not said.
        batch_size: images in a batch of the training.
        collapsed: whether the source says that the ticket collapsed.
        note: how it was read.
    """

    source: str
    dataset: str
    model: str
    method: str
    check: str | None
    sparsity: float
    accuracy: float
    seeds: int | None
    batch_size: int
    collapsed: bool
    note: str


@functools.cache
def published_accuracies() -> tuple[PublishedAccuracy, ...]:
    """Return what is known of the published numbers, in the order of the file."""
    with FILE.open(newline="", encoding="utf-8") as file:
        return tuple(_of_row(row) for row in csv.DictReader(file))


def _of_row(row: dict[str, str]) -> PublishedAccuracy:
    is_grasp_of_replication = row["method"] == "grasp" and row["source"].startswith(REPLICATION)
    # One note stands at all sparsities, and names the one that it is about.
    collapsed = any(part.strip().startswith(row["sparsity"]) and "collapsed" in part for part in row["note"].split(";"))
    return PublishedAccuracy(
        source=row["source"],
        dataset=DATASETS.get(row["dataset"], row["dataset"]),
        model=MODELS.get(row["model"], row["model"]),
        method=METHODS.get(row["method"], row["method"]),
        check=None if row["change"] == "none" else row["change"],
        sparsity=float(row["sparsity"]),
        accuracy=float(row["test_accuracy_percent"]),
        seeds=int(row["seeds"]) if row["seeds"] else None,
        batch_size=GRASP_BATCH if is_grasp_of_replication else 64,
        collapsed=collapsed,
        note=row["note"],
    )

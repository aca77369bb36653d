"""Published test accuracies, each with where it was read and how it came about.

``published-accuracies.csv`` holds a row per source, data set, network, method, change and sparsity. The paper's means
(arXiv:2009.11094) are those of its random tickets, as the README of a replication states them; that replication
(GitHub CS-433/cs-433-project-2-answer42) has single runs from its logs and notebooks, and means of its own for random
tickets, whose number of runs it does not say. Of SynFlow (arXiv:2006.05467) there are the means of three runs that its
figures show, a replication of arXiv:2009.08576 has single runs, and one of RigL (arXiv:1911.11134) means. The recipes
are those of the sources' own code and logs; a cell is empty where these do not say.
"""

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from prunecheck.training import Recipe
from prunecheck.training.recipe import ALL

FILE = Path(__file__).with_name("published-accuracies.csv")

DATASETS = {"cifar-10": "cifar10", "cifar-100": "cifar100"}
MODELS = {
    "vgg19": "vgg19_bn",
    "vgg16": "lottery_vgg16_bn",
    "vgg11_bn": "tiny_vgg11_bn",
    "vgg16_bn": "tiny_vgg16_bn",
    "tiny_resnet18": "resnet18",
    "tiny_wide_resnet18": "resnet18",
    "wide_resnet18": "resnet18",
}
METHODS = {"smart-ratio random ticket": "random-smart"}
"""What is named otherwise there than here."""

RECIPE_COLUMNS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "momentum",
    "nesterov",
    "weight_decay",
    "milestones",
    "gamma",
)
"""``nesterov`` is ``yes`` or ``no``; milestones have spaces between them. ``decayed`` is empty where all is."""


class EpochChoice(StrEnum):
    """Of which epoch a number is; the best one is picked on test data."""

    LAST = "last"
    BEST = "best"
    NOT_SAID = ""


@dataclass(frozen=True)
class PublishedAccuracy:
    """A published number.

    Attributes:
        source: who published it, and where.
        dataset, model, method: by their names here.
        listed_as: the network's name there.
        network: the network in words.
        check: what changed the ticket; None for the ticket as it is.
        accuracy: on the test set, percent.
        seeds: how many runs it is the mean of; None if that is not said.
        recipe: of the training; None if a part of it is not said.
        batch_size: images in a batch of the training; None if that is not said.
        epoch_choice: whether it is the last epoch's or the best one's.
        normalize: how images are normalised, as text; None for the data set's own way here.
        samples_per_class, scoring_rounds: how many images a criterion saw, and how often.
        differs: what else differs from what is measured here, in words; empty if nothing is known to.
        doubt: why the number looks wrong; empty if it does not.
        collapsed: whether the source says that the ticket collapsed.
        note: how it was read.
    """

    source: str
    dataset: str
    model: str
    listed_as: str
    network: str
    method: str
    check: str | None
    sparsity: float
    accuracy: float
    seeds: int | None
    recipe: Recipe | None
    batch_size: int | None
    epoch_choice: EpochChoice
    normalize: str | None
    samples_per_class: int
    scoring_rounds: int
    differs: str
    doubt: str
    collapsed: bool
    note: str


@functools.cache
def published_accuracies() -> tuple[PublishedAccuracy, ...]:
    """Return what is known of the published numbers, in the order of the file."""
    with FILE.open(newline="", encoding="utf-8") as file:
        return tuple(_of_row(row) for row in csv.DictReader(file))


def _of_row(row: Mapping[str, str]) -> PublishedAccuracy:
    # One note stands at all sparsities, and names the one that it is about.
    collapsed = any(part.strip().startswith(row["sparsity"]) and "collapsed" in part for part in row["note"].split(";"))
    return PublishedAccuracy(
        source=row["source"],
        dataset=DATASETS.get(row["dataset"], row["dataset"]),
        model=MODELS.get(row["model"], row["model"]),
        listed_as=row["model"],
        network=row["network"],
        method=METHODS.get(row["method"], row["method"]),
        check=None if row["change"] == "none" else row["change"],
        sparsity=float(row["sparsity"]),
        accuracy=float(row["test_accuracy_percent"]),
        seeds=int(row["seeds"]) if row["seeds"] else None,
        recipe=_recipe(row),
        batch_size=int(row["batch_size"]) if row["batch_size"] else None,
        epoch_choice=EpochChoice(row["epoch_choice"]),
        normalize=row["normalize"] or None,
        samples_per_class=int(row["samples_per_class"]),
        scoring_rounds=int(row["scoring_rounds"]),
        differs=row["differs"],
        doubt=row["doubt"],
        collapsed=collapsed,
        note=row["note"],
    )


def _recipe(row: Mapping[str, str]) -> Recipe | None:
    if not all(row[column] for column in RECIPE_COLUMNS):
        return None
    return Recipe(
        epochs=int(row["epochs"]),
        batch_size=int(row["batch_size"]),
        learning_rate=float(row["learning_rate"]),
        momentum=float(row["momentum"]),
        nesterov=row["nesterov"] == "yes",
        weight_decay=float(row["weight_decay"]),
        decayed=row["decayed"] or ALL,
        milestones=tuple(int(epoch) for epoch in row["milestones"].split()),
        gamma=float(row["gamma"]),
    )

"""The tables of arXiv:2009.11094 and of its neighbours as study files, each at three scales."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.registry import unknown_name

FOLDER = Path(__file__).parent / "studies"
"""Holds TABLE/SCALE/DATASET.toml; installed with the package."""

FULL, SMALL, SMOKE = "full", "small", "smoke"

SCALES = {
    SMOKE: (
        "minutes on a CPU, with few images, a very small network and few epochs; it shows that all of it works and how "
        "the answer will look, and can show neither accuracies like the published ones nor whether the paper's "
        "verdicts hold: the networks have hardly begun to learn, and a change that costs nothing yet may cost "
        "something later"
    ),
    SMALL: (
        "hours on a CPU for a table at one sparsity, with all images, a VGG of a quarter of the width and 6 epochs; "
        "verdicts may be compared with the paper's, accuracies may not"
    ),
    FULL: "the published networks, data and recipe, for a GPU",
}
"""What each scale takes, and can and cannot show."""

TABLES = {
    "random-tickets": "random tickets with smart ratios beside lottery tickets, SNIP and GraSP",
    "initial-tickets": "lottery tickets, SNIP and GraSP with corrupted data and with rearranged masks",
    "half-data": "lottery tickets, SNIP and GraSP on half of the training set",
    "partially-trained-tickets": "rewound tickets with rearranged masks and with shuffled weights",
    "hybrid": "hybrid tickets beside learning-rate rewinding",
    "smart-ratio-ablations": "linear, cubic, ascending and uniform ratios beside smart ones",
    "tiny-imagenet": "random tickets beside SNIP and GraSP on Tiny-ImageNet",
    "low-sparsities": "SNIP and GraSP with corrupted data and with rearranged masks, at sparsities of 0.4 to 0.8",
    "synflow-figure": "SynFlow beside magnitude, SNIP, GraSP and random tickets under one threshold (arXiv:2006.05467)",
    "missing-the-mark": "SynFlow and three others with new weights, shuffled masks, inverted scores (arXiv:2009.08576)",
    "dynamic-sparse-training": "SET, RigL and gradual pruning beside masks that stay (arXiv:2103.15767, of RigL)",
}
"""What each table compares."""


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper at one scale.

    Attributes:
        files: a study file for each data set, by the data set's name.
    """

    name: str
    scale: str
    files: dict[str, Path]

    def of_datasets(self, datasets: Sequence[str]) -> "PaperTable":
        """Return the part that is about these data sets.

        Raises:
            InputError: it has nothing about one of them.
        """
        for dataset in datasets:
            if dataset not in self.files:
                has = " and ".join(self.files)
                raise InputError(
                    f"{self.name} at {self.scale} scale is about {has}, not {dataset}: choose another set or scale."
                )
        return PaperTable(self.name, self.scale, {dataset: self.files[dataset] for dataset in datasets})


def paper_table(name: str, scale: str) -> PaperTable:
    """Return a table of a paper.

    Args:
        name: a key of :data:`TABLES`.
        scale: a key of :data:`SCALES`.

    Raises:
        InputError: an unknown name or scale; the nearest ones are named.
    """
    if name not in TABLES:
        raise unknown_name("table", name, TABLES)
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    files = sorted((FOLDER / name / scale).glob("*.toml"))
    return PaperTable(name, scale, {file.stem: file for file in files})

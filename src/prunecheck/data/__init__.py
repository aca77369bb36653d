"""Data sets by name, their corruptions, and batches cut on the device."""

from prunecheck.data import digits
from prunecheck.data.batches import Batches, scoring_batch
from prunecheck.data.corruptions import random_labels, random_pixels
from prunecheck.data.datasets import DATASETS, Augmentation, Dataset, Images, load_dataset, register_dataset

__all__ = [
    "DATASETS",
    "Augmentation",
    "Batches",
    "Dataset",
    "Images",
    "digits",
    "load_dataset",
    "random_labels",
    "random_pixels",
    "register_dataset",
    "scoring_batch",
]

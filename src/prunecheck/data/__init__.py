"""Data sets by name, their corruptions, and batches cut on the device."""

from prunecheck.data import public_datasets, user_datasets  # noqa: F401 - which registers their data sets
from prunecheck.data.batches import Batches, NewSamples, ScoringData, TrainingEpochs, blank_batch, scoring_samples
from prunecheck.data.corruptions import random_labels, random_pixels
from prunecheck.data.datasets import (
    DATASETS,
    Augmentation,
    DataPlaces,
    Dataset,
    Images,
    load_dataset,
    register_dataset,
)
from prunecheck.data.readers import digits  # noqa: F401 - likewise

__all__ = [
    "DATASETS",
    "Augmentation",
    "Batches",
    "DataPlaces",
    "Dataset",
    "Images",
    "NewSamples",
    "ScoringData",
    "TrainingEpochs",
    "blank_batch",
    "load_dataset",
    "random_labels",
    "random_pixels",
    "register_dataset",
    "scoring_samples",
]

"""Data sets by name, their corruptions, and batches cut on the device."""

from prunecheck.data import public_datasets, token_datasets, user_datasets  # noqa: F401 - which registers their data
from prunecheck.data.batches import Batches
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
from prunecheck.data.inputs import TokenShape
from prunecheck.data.readers import digits  # noqa: F401 - likewise
from prunecheck.data.scoring_data import NewSamples, ScoringData, TrainingEpochs, blank_batch, scoring_samples
from prunecheck.data.token_data import Sequences, TokenDataset, calibration_sequences

__all__ = [
    "DATASETS",
    "Augmentation",
    "Batches",
    "DataPlaces",
    "Dataset",
    "Images",
    "NewSamples",
    "ScoringData",
    "Sequences",
    "TokenDataset",
    "TokenShape",
    "TrainingEpochs",
    "blank_batch",
    "calibration_sequences",
    "load_dataset",
    "random_labels",
    "random_pixels",
    "register_dataset",
    "scoring_samples",
]

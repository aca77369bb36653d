"""Data sets by name, their corruptions, and batches cut on the device."""

from prunecheck.data import public_datasets as published
from prunecheck.data import user_datasets as own
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
from prunecheck.data.readers import digits

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
    "digits",
    "load_dataset",
    "own",
    "published",
    "random_labels",
    "random_pixels",
    "register_dataset",
    "scoring_samples",
]

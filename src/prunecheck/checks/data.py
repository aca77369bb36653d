"""Checks that corrupt the training data which the criterion sees; the ticket is trained on the true data."""

import torch

from prunecheck.checks.registry import register_check
from prunecheck.data import corruptions
from prunecheck.data.datasets import Images


@register_check("corrupted-data", changes="data", information="the training data")
def corrupted_data(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The criterion sees random labels and random pixels.

    A method that relies on the data in any way has nothing left to rely on.
    """
    relabelled = corruptions.random_labels(images, num_classes, generator)
    return corruptions.random_pixels(relabelled, num_classes, generator)


@register_check("random-labels", changes="data", information="the labels")
def random_labels(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The criterion sees the true images with random labels.

    A method that relies on which image belongs to which class loses it.
    """
    return corruptions.random_labels(images, num_classes, generator)


@register_check("random-pixels", changes="data", information="the images")
def random_pixels(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The criterion sees the pixels of every image in random order, with the true labels.

    A method that relies on what the images show loses it, but for the distribution of their pixels.
    """
    return corruptions.random_pixels(images, num_classes, generator)

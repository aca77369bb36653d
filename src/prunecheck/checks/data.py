"""Checks that corrupt the training data which the method sees; the ticket is trained on the true data."""

import torch

from prunecheck.checks.registry import register_check
from prunecheck.data import corruptions
from prunecheck.data.datasets import Images


@register_check(
    "corrupted-data",
    changes="data",
    information="the training data",
    absorbs=("random-labels", "random-pixels", "one-permutation"),
)
def corrupted_data(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The method sees random labels and random pixels.

    A method that relies on the data in any way has nothing left to rely on (arXiv:2009.11094,
    section 3.1).
    """
    relabelled = corruptions.random_labels(images, num_classes, generator)
    return corruptions.random_pixels(relabelled, num_classes, generator)


@register_check("random-labels", changes="data", information="the labels")
def random_labels(images: Images, num_classes: int, generator: torch.Generator, *, share: float = 1.0) -> Images:
    """The method sees the true images with random labels (a share of them after @).

    A method that relies on which image belongs to which class loses it.
    """
    return corruptions.random_labels(images, num_classes, generator, share=share)


@register_check("random-pixels", changes="data", information="the images", absorbs=("one-permutation",))
def random_pixels(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The method sees the pixels of every image in random order, each image in its own.

    A method that relies on what the images show loses it, but for the distribution of their pixels.
    """
    return corruptions.random_pixels(images, num_classes, generator)


@register_check("one-permutation", changes="data", information="the neighbourhood of pixels")
def one_permutation(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The method sees the pixels of all images in one and the same random order.

    A method that relies on which pixels lie beside each other loses that; what tells the classes
    apart is still there.
    """
    return corruptions.one_permutation(images, num_classes, generator)


@register_check(
    "blank-data",
    changes="data",
    information="what the images show",
    absorbs=("random-pixels", "one-permutation", "noise-data"),
)
def blank_data(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The method sees blank images with the true labels.

    A method that relies on the images in any way, their brightness and contrast among it, loses it.
    """
    return corruptions.blank_images(images, num_classes, generator)


@register_check(
    "noise-data",
    changes="data",
    information="what the images show beyond their brightness",
    absorbs=("random-pixels", "one-permutation"),
)
def noise_data(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The method sees Gaussian noise, as bright and rich in contrast as the images, with the true labels.

    A method that relies on what the images show loses it.
    """
    return corruptions.noise_images(images, num_classes, generator)


@register_check("half-data", changes="selection", information="the second half of the training data", shows="either")
def half_data(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The method sees the first half of the training set, in file order, as published.

    A method that relies on having seen every image loses half of them.
    """
    return corruptions.half_data(images, num_classes, generator)


@register_check("part-of-data", changes="selection", information="the number of training images", shows="either")
def part_of_data(images: Images, num_classes: int, generator: torch.Generator, *, share: float = 0.5) -> Images:
    """The method sees a random half of the training set (another share after @).

    A method that relies on how many images it has seen loses some.
    """
    return corruptions.part_of_data(images, num_classes, generator, share=share)


@register_check("single-class", changes="selection", information="the difference between classes")
def single_class(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """The method sees the images of one class alone.

    A method that relies on what tells the classes apart loses it.
    """
    return corruptions.single_class(images, num_classes, generator)

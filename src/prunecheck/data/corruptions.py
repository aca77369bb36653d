"""Ways to take the information out of a training set (arXiv:2009.11094, section 3.1).

Each is a function ``(images, num_classes, generator) -> Images`` that leaves its argument as it was.
"""

import torch

from prunecheck.data.datasets import Images


def random_labels(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """Draw every label anew, uniformly over the classes, whatever the image shows."""
    labels = torch.randint(num_classes, (len(images),), generator=generator)
    return Images(images.pixels, labels.numpy())


def random_pixels(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """Permute the pixels of every image, over all channels and positions, each by its own permutation."""
    flat = torch.from_numpy(images.pixels).flatten(1)
    order = torch.rand(flat.shape, generator=generator, dtype=torch.float64).argsort(dim=1)
    return Images(flat.gather(1, order).view(images.pixels.shape).numpy(), images.labels)

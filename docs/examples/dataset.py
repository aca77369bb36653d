"""A data set: noisy stripes in four directions, drawn and not read."""

import numpy

from prunecheck.data import Augmentation, Dataset, Images, register_dataset
from prunecheck.data.datasets import Suggestion

SIZE = 8
"""Height and width of an image in pixels."""


@register_dataset("stripes")
def stripes() -> Dataset:
    """Stripes, 8x8 grey, in four directions; 160 training and 400 test images."""
    generator = numpy.random.default_rng(0)
    train, test = draw(160, generator), draw(400, generator)
    scaled = train.pixels / 255
    return Dataset(
        name="stripes",
        train=train,
        test=test,
        num_classes=4,
        mean=(float(scaled.mean()),),
        deviation=(float(scaled.std()),),
        augmentation=Augmentation(padding=1, flip=False),
        suggestion=Suggestion(model="resnet8", width=8, epochs=10, batch_size=32, learning_rate=0.1),
    )


def draw(count: int, generator: numpy.random.Generator) -> Images:
    """Return images, uint8 (count, 1, height, width), as many of each label, int64 (count,)."""
    labels = numpy.arange(count) % 4
    down, right = numpy.mgrid[:SIZE, :SIZE]
    directions = numpy.stack([down, right, down + right, down - right])
    phases = generator.uniform(0, 2 * numpy.pi, (count, 1, 1))
    waves = numpy.sin(directions[labels] * numpy.pi / 2 + phases)
    noisy = waves + generator.normal(0, 0.5, waves.shape)
    pixels = numpy.clip(127.5 + 60 * noisy, 0, 255).astype(numpy.uint8)
    return Images(pixels[:, None], labels.astype(numpy.int64))

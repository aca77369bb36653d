"""Makes the folders beside this file with Hugging Face's ``datasets`` 5.2.0: run it there, in an empty folder."""

# mypy: ignore-errors

import datasets as hf
import numpy
from PIL import Image

draw = numpy.random.default_rng(0)


def pictures(count, is_grey=False):
    """Return images of 8x8 with two bright columns, whose place is the class."""
    labels = [index % 3 for index in range(count)]
    images = []
    for label in labels:
        pixels = draw.integers(0, 60, (8, 8, 3), dtype=numpy.uint8)
        pixels[:, label * 2 : label * 2 + 2] += 180
        images.append(Image.fromarray(pixels[..., 0] if is_grey else pixels))
    return {"image": images, "label": labels}


def arrays(count):
    """Return the same as arrays."""
    made = pictures(count, is_grey=True)
    return {"pixels": [numpy.asarray(image) for image in made["image"]], "target": made["label"]}


def floats(count):
    """Return noise with labels of two kinds."""
    pixels = draw.normal(size=(count, 3, 8, 8)).astype("float32")
    return {"img": pixels, "fine_label": [index % 3 for index in range(count)], "coarse_label": [0] * count}


def saved(name, features, **parts):
    """Write a folder."""
    hf.DatasetDict({part: hf.Dataset.from_dict(rows, features=features) for part, rows in parts.items()}).save_to_disk(
        name, num_shards={part: 2 if (name, part) == ("colour", "train") else 1 for part in parts}
    )


classes = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=["left", "middle", "right"])})
saved("colour", classes, train=pictures(60), test=pictures(30))
hf.Dataset.from_dict(pictures(10), features=classes).save_to_disk("single")
saved(
    "arrays",
    hf.Features({"pixels": hf.Array2D((8, 8), "uint8"), "target": hf.Value("int32")}),
    train=arrays(12),
    validation=arrays(6),
)
several = {"fine_label": hf.ClassLabel(num_classes=3), "coarse_label": hf.ClassLabel(num_classes=2)}
saved("floats", hf.Features({"img": hf.Array3D((3, 8, 8), "float32"), **several}), train=floats(12), test=floats(6))
hf.DatasetDict(
    {part: hf.Dataset.from_dict(pictures(12, True), features=classes).shuffle(seed=1) for part in ("train", "test")}
).save_to_disk("grey")

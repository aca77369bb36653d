"""A user's own images, sorted into a folder for each class."""

from pathlib import Path

import numpy

from prunecheck.data.datasets import Images
from prunecheck.data.readers.image_files import SUFFIXES, decode_images, entries, is_image_name
from prunecheck.errors import InputError

TEST_NAMES = ("test", "val")

LAYOUT = "train/<class>/ and test/<class>/"


def read_image_folder(path: Path) -> tuple[Images, Images]:
    """Read ``train/<class>/`` and ``test/<class>/``, or ``val/<class>/`` where there is no ``test``.

    A class's folder may have folders in it. Hidden files and what desktops leave (Thumbs.db, desktop.ini)
    are passed over; links are followed.

    Args:
        path: the folder that holds both parts.

    Returns:
        Training and test images of one size, grey (1 channel) if all images are and RGB otherwise.
        Classes are numbered by their sorted names, as torchvision's ImageFolder does ("10" comes
        before "2"); images are ordered by class and then by path.

    Raises:
        InputError: a part or a class is missing or empty, a file is no image or is damaged, or images
            differ in size.
    """
    train_folder, test_folder = _parts(path)
    train, test = _files_by_class(train_folder), _files_by_class(test_folder)
    _require_same_classes(train, test, train_folder, test_folder)
    train_files = [file for files in train.values() for file in files]
    test_files = [file for files in test.values() for file in files]
    pixels = decode_images(train_files + test_files)
    return (
        Images(pixels[: len(train_files)], _labels(train)),
        Images(pixels[len(train_files) :], _labels(test)),
    )


def _parts(path: Path) -> tuple[Path, Path]:
    names = [entry.name for entry in entries(path) if entry.is_dir()]
    test = [name for name in TEST_NAMES if name in names]
    if "train" not in names or not test:
        missing = "train" if "train" not in names else "test (or val)"
        raise InputError(f"{path} has no folder {missing}: expected {LAYOUT}, sort the images into them.")
    return path / "train", path / test[0]


def _files_by_class(part: Path) -> dict[str, list[Path]]:
    classes = {}
    for entry in entries(part):
        if not entry.is_dir():
            raise InputError(f"{entry} lies in no class's folder: expected {LAYOUT}, move it into one or remove it.")
        classes[entry.name] = _images_below(entry, ())
        if not classes[entry.name]:
            raise InputError(f"{entry} holds no images: expected those of a class, add some or remove the folder.")
    if not classes:
        raise InputError(f"{part} holds no images: expected {LAYOUT}, sort the images into them.")
    return classes


def _images_below(folder: Path, above: tuple[tuple[int, int], ...]) -> list[Path]:
    """Return the images in a folder and those in it; ``above`` holds the folders passed on the way."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise InputError(f"{folder} is a link to a folder that it lies in: remove it.")
    images = []
    for entry in entries(folder):
        if entry.is_dir():
            images += _images_below(entry, (*above, identity))
        elif is_image_name(entry.name):
            images.append(entry)
        else:
            raise InputError(f"{entry} is no image: expected a name in {', '.join(SUFFIXES)}, remove or convert it.")
    return images


def _require_same_classes(
    train: dict[str, list[Path]], test: dict[str, list[Path]], train_folder: Path, test_folder: Path
) -> None:
    if len(train) < 2:
        raise InputError(f"{train_folder} has one class, {next(iter(train))}: expected two or more to tell apart.")
    for name in sorted(set(train) ^ set(test)):
        has, lacks = (train_folder, test_folder) if name in train else (test_folder, train_folder)
        raise InputError(
            f"class {name} is in {has} and not in {lacks}: expected the same classes in both, add or remove it."
        )


def _labels(classes: dict[str, list[Path]]) -> numpy.ndarray:
    counts = [len(files) for files in classes.values()]
    return numpy.repeat(numpy.arange(len(classes), dtype=numpy.int64), counts)

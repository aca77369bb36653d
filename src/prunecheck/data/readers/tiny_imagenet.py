"""Tiny-ImageNet: 200 classes of 64x64 pixels (http://cs231n.stanford.edu/tiny-imagenet-200.zip).

Read in its publisher's layout, and in the one that training scripts sort the validation images into:

    wnids.txt                                    the classes; checked where it is there
    train/<class>/images/*.JPEG                  or train/<class>/*.JPEG
    val/images/*.JPEG + val/val_annotations.txt  or val/<class>/images/*.JPEG or val/<class>/*.JPEG

The unlabelled images below ``test/`` are not read. Both layouts give the same arrays.
"""

from pathlib import Path

import numpy

from prunecheck.data.datasets import Images
from prunecheck.data.readers.image_files import decode_images, entries
from prunecheck.data.verified import read_file
from prunecheck.errors import InputError

CLASSES = 200
TRAIN_PER_CLASS = 500
VALIDATION_PER_CLASS = 50

SIZE = (64, 64)

ImageFiles = dict[str, list[Path]]
"""Class -> its images, both sorted by name."""


def read_tiny_imagenet(folder: Path) -> tuple[Images, Images]:
    """Read Tiny-ImageNet, or a part of it with all its classes; the validation images are the test part.

    Args:
        folder: ``tiny-imagenet-200``.

    Returns:
        Training and validation images of shape (3, 64, 64); classes are numbered, and images ordered, by
        class and then file name. Grey JPEGs become RGB.

    Raises:
        InputError: something is missing, damaged, or does not fit the rest.
    """
    train = _train_files(folder)
    validation = _validation_files(folder, list(train))
    return _decoded(train), _decoded(validation)


def tiny_imagenet_is_complete(folder: Path) -> str | None:
    """Return what is missing from the published 100,000 training and 10,000 validation images, or None.

    Files are counted, not decoded.
    """
    try:
        train = _train_files(folder)
        validation = _validation_files(folder, list(train))
    except InputError as error:
        return str(error)
    wrong = [f"{len(train)} of {CLASSES} classes"] if len(train) != CLASSES else []
    wrong += _miscounted(train, TRAIN_PER_CLASS, "training")
    wrong += _miscounted(validation, VALIDATION_PER_CLASS, "validation")
    return f"{folder} has {' and '.join(wrong)}." if wrong else None


def _miscounted(files: ImageFiles, per_class: int, part: str) -> list[str]:
    wrong = [name for name, images in files.items() if len(images) != per_class]
    if not wrong:
        return []
    total = sum(len(images) for images in files.values())
    example = f"{len(files[wrong[0]])} of {per_class} of {wrong[0]}"
    others = f" and {len(wrong) - 1} more classes that differ" if len(wrong) > 1 else ""
    return [f"{total} of {CLASSES * per_class} {part} images ({example}{others})"]


def _decoded(files: ImageFiles) -> Images:
    pixels = decode_images([file for images in files.values() for file in images], SIZE, colour=True)
    counts = [len(images) for images in files.values()]
    return Images(pixels, numpy.repeat(numpy.arange(len(files), dtype=numpy.int64), counts))


def _train_files(folder: Path) -> ImageFiles:
    files = _files_by_class(folder / "train")
    listed = folder / "wnids.txt"
    if listed in entries(folder):
        differ = sorted(set(_lines(listed)) ^ set(files))
        if differ:
            raise InputError(
                f"class {differ[0]} is only in one of {listed} and {folder / 'train'}: expected the same classes in "
                f"both, fetch the data set again."
            )
    return files


def _validation_files(folder: Path, classes: list[str]) -> ImageFiles:
    part = folder / "val"
    annotations, unsorted = part / "val_annotations.txt", part / "images"
    if {annotations, unsorted} <= set(entries(part)) and _jpegs(unsorted):
        files = _annotated_files(annotations, unsorted, classes)
    else:
        files = _files_by_class(part)
    differ = sorted(set(files) ^ set(classes))
    if differ:
        raise InputError(
            f"class {differ[0]} is only in one of {folder / 'train'} and {part}: expected the same classes in both, "
            f"fetch the data set again."
        )
    return files


def _annotated_files(annotations: Path, folder: Path, classes: list[str]) -> ImageFiles:
    """Return the images of a folder under the classes that the lines of a file give them.

    A line is a file name, a class and four numbers, parted by tabs. Names are looked up among the
    folder's files, so that none leads out of it.
    """
    unlabelled = {file.name: file for file in _jpegs(folder)}
    files: ImageFiles = {name: [] for name in classes}
    for number, line in enumerate(_lines(annotations), 1):
        name, label = [*line.split("\t"), "", ""][:2]
        if name not in unlabelled:
            raise InputError(
                f"line {number} of {annotations} names {name!r}, which is no JPEG in {folder} or is named twice: "
                f"expected one line for each image there, fetch the data set again."
            )
        if label not in files:
            raise InputError(
                f"line {number} of {annotations} names the class {label!r}, which has no training images: "
                f"fetch the data set again."
            )
        files[label].append(unlabelled.pop(name))
    if unlabelled:
        raise InputError(
            f"{min(unlabelled)} in {folder} has no line in {annotations}: expected one for each image there, fetch the "
            f"data set again."
        )
    return {name: sorted(images) for name, images in files.items() if images}


def _files_by_class(part: Path) -> ImageFiles:
    files: ImageFiles = {}
    for folder in entries(part):
        if not folder.is_dir() or (folder.name == "images" and not entries(folder)):
            continue  # scripts that sort the validation images leave images/ empty
        inner = folder / "images"
        files[folder.name] = _jpegs(inner if inner.is_dir() else folder)
        if not files[folder.name]:
            raise InputError(f"{folder} holds no JPEG: expected the images of a class, fetch the data set again.")
    if not files:
        raise InputError(f"{part} holds no folders of images, expected one for each class: fetch the data set again.")
    return files


def _jpegs(folder: Path) -> list[Path]:
    return [file for file in entries(folder) if file.name.lower().endswith((".jpeg", ".jpg"))]


def _lines(file: Path) -> list[str]:
    text = read_file(file).decode(errors="replace")
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]

"""A user's own images: a folder of image files by class, or arrays in an .npz file."""

from collections.abc import Callable
from pathlib import Path

from prunecheck.data.cache import decode_once
from prunecheck.data.datasets import OF_PATH, Augmentation, DataPlaces, Dataset, Images, Suggestion, register_dataset
from prunecheck.data.readers.folder import read_image_folder
from prunecheck.data.readers.npz import read_npz
from prunecheck.data.sources import require_places
from prunecheck.errors import InputError

SUGGESTION = Suggestion(model="resnet20", width=16, epochs=60, batch_size=64, learning_rate=0.1)
"""A small network and a middling budget: a start for images of which nothing is known."""


@register_dataset("folder" + OF_PATH)
def image_folder(path: Path, places: DataPlaces | None) -> Dataset:
    """Your own images: <path>/train/<class>/*.png (or jpg, bmp, webp), and <path>/test/<class>."""
    folder = path.expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: folder:PATH takes one that holds train/<class> and test/<class>.")
    return _own_set(f"folder:{path}", folder, read_image_folder, places)


@register_dataset("npz" + OF_PATH)
def npz_file(path: Path, places: DataPlaces | None) -> Dataset:
    """Your own arrays: an .npz file with x_train, y_train, x_test and y_test."""
    file = path.expanduser()
    if not file.is_file():
        raise InputError(f"{file} is not a file: npz:PATH takes one with x_train, y_train, x_test and y_test.")
    return _own_set(f"npz:{path}", file, read_npz, places)


def own_augmentation(channels: int, height: int, width: int) -> Augmentation:
    """Return how images are varied of which nothing is known but their size.

    They are cropped from a frame an eighth of the shorter side wide, as CIFAR's are. Colour images are
    mirrored, grey ones are not: those are digits, letters and scans more often than photographs.
    """
    return Augmentation(padding=min(height, width) // 8, flip=channels == 3)


def _own_set(
    name: str, source: Path, read: Callable[[Path], tuple[Images, Images]], places: DataPlaces | None
) -> Dataset:
    folder = source if source.is_dir() else source.parent
    plain_name = source.resolve().name
    decoded = decode_once(plain_name, folder, [source], lambda: read(source), require_places(name, places).cache)
    return Dataset(
        name=name,
        train=decoded.train,
        test=decoded.test,
        num_classes=int(decoded.train.labels.max()) + 1,
        mean=decoded.mean,
        deviation=decoded.deviation,
        augmentation=own_augmentation(*decoded.train.pixels.shape[1:]),
        suggestion=SUGGESTION,
        fingerprint=decoded.fingerprint,
    )

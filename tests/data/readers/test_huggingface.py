"""Folders that the real ``datasets`` wrote (``huggingface/make.py``)."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from prunecheck.data import DataPlaces, load_dataset
from prunecheck.data.datasets import Images, forget_datasets
from prunecheck.data.readers.huggingface import read_huggingface
from prunecheck.errors import InputError

MADE = Path(__file__).parent / "huggingface"


def bright_columns(images: Images) -> list[int]:
    """Return the class of each picture, by which of its columns are bright."""
    means = images.pixels.mean(axis=(1, 2))
    classes: list[int] = (means.argmax(axis=1) // 2).tolist()
    return classes


@pytest.mark.parametrize(
    ("name", "channels", "counts"), [("colour", 3, (60, 30)), ("grey", 1, (12, 12)), ("arrays", 1, (12, 6))]
)
def test_images_and_labels_are_those_that_were_saved(name: str, channels: int, counts: tuple[int, int]) -> None:
    parts = read_huggingface(MADE / name)
    assert tuple(map(len, parts)) == counts
    for images in parts:
        assert images.pixels.shape[1:] == (channels, 8, 8)
        assert images.pixels.dtype == numpy.uint8
        assert images.labels.tolist() == bright_columns(images)
        assert set(images.labels) == {0, 1, 2}


def test_floats_and_the_first_of_several_labels_are_read() -> None:
    train, _ = read_huggingface(MADE / "floats")
    assert train.pixels.dtype == numpy.float32
    assert train.pixels.shape == (12, 3, 8, 8)
    assert abs(float(train.pixels.mean())) < 0.2
    assert train.labels.tolist() == [index % 3 for index in range(12)]


def test_a_folder_is_a_data_set_by_its_kind_and_path(tmp_path: Path) -> None:
    places = DataPlaces((), tmp_path)
    dataset = load_dataset(f"huggingface:{MADE}/colour", places)
    assert (dataset.num_classes, dataset.image_shape) == (3, (3, 8, 8))
    forget_datasets()
    assert load_dataset(f"huggingface:{MADE}/colour", places).fingerprint == dataset.fingerprint is not None
    with pytest.raises(InputError, match="none is not a folder: huggingface:PATH takes one"):
        load_dataset("huggingface:none", places)


def edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return edit


def cut(folder: Path) -> None:
    file = folder / "test" / "data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:900])


WRONG: list[tuple[str, Callable[[Path], object], str]] = [
    ("single", lambda folder: None, "is a single split: expected a DatasetDict with train and test"),
    (
        "colour",
        lambda folder: (folder / "dataset_dict.json").unlink(),
        "has no dataset_dict.json: ",
    ),
    (
        "colour",
        edited("dataset_dict.json", '"test"', '"other"'),
        "has the splits train, other: expected",
    ),
    ("colour", edited("dataset_dict.json", "{", "["), "dataset_dict.json is not JSON"),
    ("colour", edited("train/dataset_info.json", '"label"', '"kind"'), "is damaged: its columns are image, label"),
    ("grey", edited("train/dataset_info.json", '"ClassLabel"', '"Value"'), ""),
    ("colour", edited("train/dataset_info.json", '"Image"', '"Audio"'), "the column image in"),
    (
        "arrays",
        edited("train/dataset_info.json", '"target"', '"t"'),
        "has no single column of classes (its",
    ),
    (
        "colour",
        lambda folder: (folder / "train/data-00001-of-00002.arrow").unlink(),
        "of-00002.arrow cannot be read",
    ),
    ("colour", cut, "test/data-00000-of-00001.arrow cannot be read"),
    ("arrays", edited("train/dataset_info.json", "8", "4"), "has arrays that are not of shape (4, 4)"),
]


@pytest.mark.parametrize(("name", "change", "message"), WRONG)
def test_what_is_wrong_is_named_in_a_sentence(
    tmp_path: Path, name: str, change: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / name
    shutil.copytree(MADE / name, folder)
    change(folder)
    if not message:
        assert read_huggingface(folder)[0].labels.tolist() == bright_columns(read_huggingface(folder)[0])
        return
    with pytest.raises(InputError) as refused:
        read_huggingface(folder)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)

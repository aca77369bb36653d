from pathlib import Path

import numpy
import pytest
from numpy.typing import NDArray
from PIL import Image

from prunecheck.data import Augmentation, DataPlaces, load_dataset
from prunecheck.data.datasets import forget_datasets
from prunecheck.data.user_datasets import own_augmentation
from prunecheck.errors import InputError


@pytest.fixture
def places(tmp_path: Path) -> DataPlaces:
    return DataPlaces((), tmp_path / "cache")


def arrays(shape: tuple[int, ...], seed: int = 0) -> dict[str, NDArray[numpy.generic]]:
    draw = numpy.random.default_rng(seed)
    return {
        "x_train": draw.integers(0, 256, (6, *shape), dtype=numpy.uint8),
        "y_train": numpy.array([0, 1, 2, 0, 1, 2]),
        "x_test": draw.integers(0, 256, (3, *shape), dtype=numpy.uint8),
        "y_test": numpy.array([2, 1, 0]),
    }


def test_arrays_of_ones_own_are_a_data_set(tmp_path: Path, places: DataPlaces) -> None:
    own = arrays((16, 24, 3))
    numpy.savez(tmp_path / "own.npz", **own)  # type: ignore[arg-type]
    dataset = load_dataset(f"npz:{tmp_path}/own.npz", places)
    assert numpy.array_equal(dataset.train.pixels.transpose(0, 2, 3, 1), own["x_train"])
    assert dataset.test.labels.tolist() == [2, 1, 0]
    assert dataset.num_classes == 3
    assert dataset.name == f"npz:{tmp_path}/own.npz"
    scaled = own["x_train"].astype(float) / 255
    assert dataset.mean == pytest.approx(scaled.mean(axis=(0, 1, 2)))
    assert dataset.deviation == pytest.approx(scaled.std(axis=(0, 1, 2)))
    assert dataset.augmentation == Augmentation(padding=2, flip=True)
    assert dataset.fingerprint


def test_the_fingerprint_tells_two_contents_of_one_path_apart(tmp_path: Path, places: DataPlaces) -> None:
    fingerprints = set()
    for seed in (0, 1):
        numpy.savez(tmp_path / "own.npz", **arrays((8, 8), seed))  # type: ignore[arg-type]
        forget_datasets()
        fingerprints.add(load_dataset(f"npz:{tmp_path}/own.npz", places).fingerprint)
    assert len(fingerprints) == 2


def save_images(folder: Path, mode: str) -> None:
    draw = numpy.random.default_rng(0)
    for part, count in (("train", 3), ("test", 1)):
        for label in ("cat", "dog"):
            (folder / part / label).mkdir(parents=True)
            for index in range(count):
                shape = (32, 32) if mode == "L" else (32, 32, 3)
                image = Image.fromarray(draw.integers(0, 256, shape, dtype=numpy.uint8))
                image.save(folder / part / label / f"{index}.png")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_a_folder_of_images_is_a_data_set(tmp_path: Path, places: DataPlaces, mode: str, channels: int) -> None:
    save_images(tmp_path / "own", mode)
    dataset = load_dataset(f"folder:{tmp_path}/own", places)
    assert dataset.image_shape == (channels, 32, 32)
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.num_classes == 2
    assert len(dataset.mean) == channels
    assert dataset.augmentation == Augmentation(padding=4, flip=channels == 3)


def test_an_image_that_was_changed_in_a_folder_is_read_anew(tmp_path: Path, places: DataPlaces) -> None:
    save_images(tmp_path / "own", "L")
    before = load_dataset(f"folder:{tmp_path}/own", places).fingerprint
    Image.fromarray(numpy.zeros((32, 32), numpy.uint8)).save(tmp_path / "own" / "test" / "dog" / "0.png")
    forget_datasets()
    dataset = load_dataset(f"folder:{tmp_path}/own", places)
    assert dataset.fingerprint != before
    assert not dataset.test.pixels[1].any()


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_a_path_at_which_nothing_lies_is_named(tmp_path: Path, places: DataPlaces, kind: str) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}/none is not a"):
        load_dataset(f"{kind}:{tmp_path}/none", places)


def test_a_home_is_found(tmp_path: Path, places: DataPlaces, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy.savez(tmp_path / "own.npz", **arrays((8, 8)))  # type: ignore[arg-type]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_dataset("npz:~/own.npz", places).image_shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 64, 64), Augmentation(8, True)),
        ((1, 28, 40), Augmentation(3, False)),
        ((3, 7, 99), Augmentation(0, True)),
    ],
)
def test_augmentation_follows_size_and_colour(shape: tuple[int, int, int], expected: Augmentation) -> None:
    assert own_augmentation(*shape) == expected

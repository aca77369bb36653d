"""Images of floats, in units of the user's own, are treated as 8-bit images are."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from numpy.typing import NDArray

from prunecheck.data import Batches, DataPlaces, Dataset, Images, load_dataset, scoring_samples
from prunecheck.data import corruptions as changes
from prunecheck.data.channel_statistics import mean_and_deviation
from prunecheck.data.contact_sheet import Shown, contact_sheet, sheet_rows
from prunecheck.data.datasets import forget_datasets
from prunecheck.data.transforms import transformed

DRAW = numpy.random.default_rng(3)
X_TRAIN = DRAW.normal(loc=[[[5.0]], [[-300.0]], [[0.01]]], scale=[[[2.0]], [[40.0]], [[0.001]]], size=(60, 3, 12, 12))
ARRAYS: dict[str, NDArray[Any]] = {
    "x_train": X_TRAIN,
    "y_train": numpy.arange(60) % 3,
    "x_test": X_TRAIN[:9] + 1,
    "y_test": numpy.arange(9) % 3,
}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    numpy.savez(tmp_path / "floats.npz", **ARRAYS)  # type: ignore[arg-type]
    forget_datasets()
    return load_dataset(f"npz:{tmp_path}/floats.npz", DataPlaces((), tmp_path / "cache"))


def test_they_are_kept_as_float32_in_their_own_units(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset.train.pixels.dtype == numpy.float32
    assert numpy.array_equal(dataset.train.pixels, X_TRAIN.astype(numpy.float32))
    assert dataset.mean == pytest.approx(X_TRAIN.mean(axis=(0, 2, 3)), rel=1e-5)
    assert dataset.deviation == pytest.approx(X_TRAIN.std(axis=(0, 2, 3)), rel=1e-5)
    forget_datasets()
    again = load_dataset(dataset.name, DataPlaces((), tmp_path / "cache"))  # from the cache
    assert numpy.array_equal(again.train.pixels, dataset.train.pixels)
    assert (again.fingerprint, again.mean, again.deviation) == (dataset.fingerprint, dataset.mean, dataset.deviation)


def test_batches_are_normalised_and_the_images_stay_as_they_are(dataset: Dataset) -> None:
    kept = dataset.train.pixels.copy()
    batches = Batches(dataset.train, dataset, 60)
    for _ in range(2):
        x, _ = next(batches.in_order())
        assert x.dtype == torch.float32
        assert torch.allclose(x.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-3)
        assert torch.allclose(x.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-3)
    assert numpy.array_equal(dataset.train.pixels, kept)
    plain, _ = next(Batches(dataset.train, transformed(dataset, "none", "none"), 60).in_order())
    assert numpy.array_equal(plain.numpy(), kept)


def test_they_are_cropped_over_zeros_and_mirrored(dataset: Dataset) -> None:
    batches = Batches(dataset.train, transformed(dataset, "crop=2,flip", "none"), 60)
    order, shifts, mirrored = next(batches.draws(0, 0))
    x, _ = batches.drawn(order, shifts, mirrored)
    framed = numpy.pad(dataset.train.pixels, ((0, 0), (0, 0), (2, 2), (2, 2)))
    for seen, source, (row, column), is_mirrored in zip(x, order, shifts, mirrored, strict=True):
        crop = framed[source, :, row : row + 12, column : column + 12]
        assert numpy.array_equal(seen.numpy(), crop[..., ::-1] if is_mirrored else crop)
    assert mirrored.any()
    assert not mirrored.all()


def test_samples_for_a_criterion_are_normalised(dataset: Dataset) -> None:
    ((x, y),) = scoring_samples(dataset.train, transformed(dataset, "none", None), 20, 1, seed=0)
    assert y.bincount().tolist() == [20, 20, 20]
    assert torch.allclose(x.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-3)


def corrupted(images: Images, name: str) -> Images:
    change: Any = getattr(changes, name)
    found: Images = change(images, 3, torch.Generator().manual_seed(1))
    assert found.pixels.dtype == numpy.float32
    assert found.pixels.shape == images.pixels.shape
    assert not numpy.array_equal(found.pixels, images.pixels)
    again: Images = change(images, 3, torch.Generator().manual_seed(1))
    assert numpy.array_equal(found.pixels, again.pixels)
    return found


def test_pixels_are_permuted_image_by_image(dataset: Dataset) -> None:
    pixels = dataset.train.pixels.reshape(60, -1)
    found = corrupted(dataset.train, "random_pixels").pixels.reshape(60, -1)
    assert numpy.array_equal(numpy.sort(found), numpy.sort(pixels))
    orders = [found[index].argsort()[pixels[index].argsort().argsort()] for index in (0, 1)]
    assert not numpy.array_equal(*orders)
    whole = corrupted(dataset.train, "one_permutation").pixels.reshape(60, -1)
    assert numpy.array_equal(numpy.sort(whole), numpy.sort(pixels))


def test_noise_has_the_mean_and_the_deviation_of_each_channel(dataset: Dataset) -> None:
    noise = corrupted(dataset.train, "noise_images")
    mean, deviation = mean_and_deviation(noise.pixels)
    assert (numpy.array(mean) - dataset.mean) / dataset.deviation == pytest.approx(numpy.zeros(3), abs=0.05)
    assert deviation == pytest.approx(dataset.deviation, rel=0.05)


def test_blank_images_are_the_largest_value_of_each_channel(dataset: Dataset) -> None:
    blank = corrupted(dataset.train, "blank_images").pixels
    assert numpy.array_equal(blank[7, :, 3, 5], dataset.train.pixels.max(axis=(0, 2, 3)))
    assert (blank == blank[:1, :, :1, :1]).all()


def test_a_channel_of_one_value_is_not_divided_by_nothing() -> None:
    pixels = numpy.stack([numpy.full((5, 4, 4), 0.1), DRAW.normal(size=(5, 4, 4))], axis=1).astype(numpy.float32)
    mean, deviation = mean_and_deviation(pixels)
    assert deviation[0] == 1
    assert deviation[1] == pytest.approx(pixels[:, 1].std(), rel=1e-5)
    assert mean[0] == pytest.approx(0.1)


def test_floats_are_summed_in_pieces(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    whole = mean_and_deviation(dataset.train.pixels)
    monkeypatch.setattr("prunecheck.data.channel_statistics.CHUNK", 3 * 12 * 12 * 7)
    mean, deviation = mean_and_deviation(dataset.train.pixels)
    assert mean == pytest.approx(whole[0])
    assert deviation == pytest.approx(whole[1])


def test_they_are_drawn_from_black_to_white(dataset: Dataset) -> None:
    blank = Shown("blank", corrupt=lambda images: changes.blank_images(images, 3, torch.Generator()))
    rows = sheet_rows(transformed(dataset, "none", None), [blank], seed=0, columns=5)
    assert {row.pixels.dtype for row in rows} == {numpy.dtype(numpy.uint8)}
    assert (rows[0].pixels.min(), rows[0].pixels.max()) == (0, 255)
    assert contact_sheet(dataset, [blank], seed=0).startswith(b"\x89PNG")

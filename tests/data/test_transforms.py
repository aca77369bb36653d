"""How images are varied and normalised where a user says so."""

from dataclasses import replace

import numpy
import pytest
import torch

from prunecheck.data import Augmentation, Batches, Dataset, Images, load_dataset
from prunecheck.data.transforms import AUGMENT, NORMALIZE, other_than_own, transformed
from prunecheck.errors import InputError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.mark.parametrize(
    ("text", "canonical", "augmentation"),
    [
        ("none", "none", Augmentation(0, flip=False)),
        ("flip", "flip", Augmentation(0, flip=True)),
        (" flip , crop=3", "crop=3,flip", Augmentation(3, flip=True)),
        ("crop=1", "crop=1", Augmentation(1, flip=False)),
    ],
)
def test_images_are_varied_as_the_text_says(
    digits: Dataset, text: str, canonical: str, augmentation: Augmentation
) -> None:
    assert AUGMENT.require("augment", text) == canonical
    assert transformed(digits, canonical, None).augmentation == augmentation


@pytest.mark.parametrize(
    "text", ["", "crop", "crop=0", "crop=-1", "crop=1.5", "flip,flip", "crop=1,crop=2", "none,flip", 4]
)
def test_other_texts_of_augmentation_are_refused(text: object) -> None:
    with pytest.raises(InputError, match=r"^augment takes none, or crop=PIXELS, flip, .* not ") as refused:
        AUGMENT.require("augment", text)
    assert refused.value.field == "augment"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("none", "none"),
        ("dataset", "dataset"),
        ("std=0.50 mean=0", "mean=0 std=0.5"),
        ("mean=0.4914,-1e-3,7 std=.2", "mean=0.4914,-0.001,7 std=0.2"),
    ],
)
def test_texts_of_normalisation_have_one_form(text: str, canonical: str) -> None:
    assert NORMALIZE.require("normalize", text) == canonical
    assert NORMALIZE.read(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        *("", "mean=0.5", "mean=0.5,0.5 std=0.2,0.2,0.2", "mean=0.5 std=0", "mean=nan std=1", "mean=a std=1"),
        *("mean=0.5 std=-1", "mean=1 mean=1", "mean=0 std=1 std=1", "mean=0 std=inf", "mean=0,5std=1", 1.0),
    ],
)
def test_other_texts_of_normalisation_are_refused(text: object) -> None:
    with pytest.raises(InputError, match=r"^normalize takes none, dataset, or mean and std .* not "):
        NORMALIZE.require("normalize", text)


def test_batches_are_normalised_as_the_text_says(digits: Dataset) -> None:
    x = next(Batches(digits.test, transformed(digits, None, "none"), 4).in_order())[0]
    assert torch.allclose(x, torch.from_numpy(digits.test.pixels[:4] / 255).float())
    x = next(Batches(digits.test, transformed(digits, None, "mean=0.5 std=0.25"), 4).in_order())[0]
    assert torch.allclose(x, torch.from_numpy((digits.test.pixels[:4] / 255 - 0.5) / 0.25).float())
    whole = transformed(digits, None, "dataset")
    x, _ = next(Batches(digits.train, whole, len(digits.train)).in_order())
    assert abs(float(x.double().mean())) < 1e-6
    assert float(x.double().std(correction=0)) == pytest.approx(1, abs=1e-6)
    # Of all training images, however few of them are used.
    assert whole.shortened(100, 100).mean == whole.mean == digits.measured[0]


def test_what_the_set_does_by_itself_is_left_out_of_specs(digits: Dataset) -> None:
    assert digits.augmentation == Augmentation(1, flip=False)
    assert other_than_own(digits, "crop=1", None) == (None, None)
    assert other_than_own(digits, "crop=1,flip", "none") == ("crop=1,flip", "none")
    own = replace(digits, mean=digits.measured[0], deviation=digits.measured[1])
    assert other_than_own(own, "none", "dataset") == ("none", None)


def test_what_does_not_go_with_the_images_is_refused(digits: Dataset) -> None:
    with pytest.raises(InputError, match=r"^augment crop=8 moves images of digits, which are 8x8, out of sight: .* 7 "):
        transformed(digits, "crop=8", None)
    with pytest.raises(InputError, match=r"^normalize has 3 numbers and images of digits have 1 channel: "):
        transformed(digits, None, "mean=1,2,3 std=1")


def test_a_channel_of_one_value_is_not_divided_by_nothing(digits: Dataset) -> None:
    flat = replace(digits, train=Images(numpy.full_like(digits.train.pixels, 7), digits.train.labels))
    x, _ = next(Batches(flat.train, transformed(flat, None, "dataset"), 4).in_order())
    assert torch.isfinite(x).all()

import io
from dataclasses import replace

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from prunecheck.data import Augmentation, Dataset, Images, load_dataset
from prunecheck.data.contact_sheet import CHANGED, Shown, choose, contact_sheet, sheet_rows
from prunecheck.data.corruptions import half_data, random_pixels, single_class
from prunecheck.data.datasets import Suggestion

NOTHING = Augmentation(padding=0, flip=False)


def of(images: Images, num_classes: int, augmentation: Augmentation = NOTHING) -> Dataset:
    channels = images.pixels.shape[1]
    suggestion = Suggestion("resnet8", None, 1, 8, 0.1)
    constants = (0.5,) * channels, (0.2,) * channels
    return Dataset("toy", images, images, num_classes, *constants, augmentation, suggestion)


def textured(count: int, *shape: int, num_classes: int = 4) -> Images:
    source = numpy.random.default_rng(0)
    return Images(source.integers(1, 256, (count, *shape), dtype=numpy.uint8), numpy.arange(count) % num_classes)


def opened(sheet: bytes) -> NDArray[numpy.uint8]:
    image = Image.open(io.BytesIO(sheet))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return numpy.asarray(image)


def how_often(sheet: NDArray[numpy.uint8], colour: tuple[int, ...]) -> int:
    return int((sheet == numpy.array(colour, dtype=numpy.uint8)).all(axis=2).sum())


def relabelled(images: Images) -> Images:
    return replace(images, labels=(images.labels + 1) % 4)


def scrambled(images: Images) -> Images:
    return random_pixels(images, 4, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (64, 64), (20, 9)])
def test_every_pixel_is_a_square_of_its_colour_as_it_is_and_in_training(size: tuple[int, int]) -> None:
    height, width = size
    pixels = numpy.zeros((1, 3, height, width), dtype=numpy.uint8)
    pixels[0, 0] = 255
    pixels[0, 1, -1, 0] = 201  # a corner of a colour of its own
    pixels[0, 2, 0, -1] = 203
    sheet = opened(contact_sheet(of(Images(pixels, numpy.array([0])), 1), [], seed=0, columns=1))
    scale = round(how_often(sheet, (255, 201, 0)) / 2) ** 0.5
    assert scale == round(scale) >= 1
    assert how_often(sheet, (255, 0, 203)) == 2 * scale**2
    assert how_often(sheet, (255, 0, 0)) == 2 * scale**2 * (height * width - 2)
    for colour in ((255, 201, 0), (255, 0, 203)):
        columns = numpy.flatnonzero((sheet == colour).all(axis=2).any(axis=0))
        assert columns[-1] - columns[0] + 1 == scale
    assert 80 <= min(size) * scale <= 130


def test_a_corruption_adds_a_row_and_nothing_else() -> None:
    dataset = of(textured(8, 1, 8, 8), 4)
    plain = opened(contact_sheet(dataset, [], 0, columns=4))
    more = opened(contact_sheet(dataset, [Shown("scrambled", corrupt=scrambled)], 0, columns=4))
    bottom = plain.shape[0] - 16  # the margin
    assert more.shape[0] > plain.shape[0] + 80
    assert numpy.array_equal(more[:bottom], plain[:bottom])


def test_labels_are_red_where_a_corruption_changed_them_and_only_there() -> None:
    dataset = of(textured(8, 1, 8, 8), 4)
    shown = [Shown("pixels", corrupt=scrambled), Shown("labels", corrupt=relabelled)]
    assert how_often(opened(contact_sheet(dataset, shown[:1], 0, columns=4)), CHANGED) == 0
    assert how_often(opened(contact_sheet(dataset, shown, 0, columns=4)), CHANGED) > 20
    *others, last = sheet_rows(dataset, shown, 0, columns=4)
    assert [row.labels for row in others] == [[(str(label), False) for label in range(4)]] * 3
    assert last.labels == [("0 as 1", True), ("1 as 2", True), ("2 as 3", True), ("3 as 0", True)]


def test_rows_show_the_images_as_training_sees_them_by_the_same_draws() -> None:
    dataset = of(textured(40, 3, 8, 8), 4, Augmentation(padding=2, flip=True))
    shown = [Shown("nothing"), Shown("labels", corrupt=relabelled), Shown("pixels", corrupt=scrambled)]
    as_they_are, training, nothing, labels, pixels = sheet_rows(dataset, shown, 0, columns=12)
    originals = {image.tobytes() for image in dataset.train.pixels}
    assert {image.tobytes() for image in as_they_are.pixels} <= originals
    moved = [image.tobytes() not in originals for image in training.pixels]
    assert sum(moved) > 6
    assert numpy.array_equal(nothing.pixels, training.pixels)
    assert numpy.array_equal(labels.pixels, training.pixels)
    # Where the frame of zeros shows is where it shows in training: the images themselves have no zeros.
    assert numpy.array_equal(pixels.pixels == 0, training.pixels == 0)
    assert not numpy.array_equal(pixels.pixels, training.pixels)


def test_a_selection_shows_only_what_it_selects_and_says_how_much() -> None:
    dataset = of(textured(40, 1, 8, 8), 4)
    source = torch.Generator().manual_seed(0)
    shown = [
        Shown("one class", note="One", select=lambda images: single_class(images, 4, source)),
        Shown("half", select=lambda images: half_data(images, 4, source)),
    ]
    *_, one, half = sheet_rows(dataset, shown, 0, columns=6)
    assert len({caption for caption, _ in one.labels}) == 1
    assert one.note == "One; 10 images are left"
    assert numpy.array_equal(half.pixels, dataset.train.pixels[:6])
    assert half.note == "20 images are left"


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 6), min_size=1, max_size=40), count=st.integers(1, 12), seed=st.integers(0, 99))
def test_images_of_as_many_classes_as_there_is_room_for_are_chosen(labels: list[int], count: int, seed: int) -> None:
    images = Images(numpy.zeros((len(labels), 1, 1, 1), dtype=numpy.uint8), numpy.array(labels))
    chosen = choose(images, count, seed).tolist()
    assert len(set(chosen)) == len(chosen) == (min(count, len(labels)) if len(set(labels)) <= count else count)
    shown = [labels[index] for index in chosen]
    assert shown == sorted(shown)
    assert len(set(shown)) == min(count, len(set(labels)))
    of_each = [shown.count(label) for label in set(shown)]
    assert all(
        labels.count(label) == shown.count(label) or shown.count(label) >= max(of_each) - 1 for label in set(shown)
    )


def test_images_in_file_order_are_shown_from_the_first() -> None:
    images = replace(textured(9, 1, 2, 2), in_file_order=True)
    assert choose(images, 4, seed=5).tolist() == [0, 1, 2, 3]
    assert choose(images, 12, seed=5).tolist() == list(range(9))


def test_the_sheet_is_the_same_again_and_another_for_another_seed() -> None:
    digits = load_dataset("digits")
    first, again, other = (contact_sheet(digits, [], seed, columns=5) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_of_any_number_of_channels_are_drawn(channels: int) -> None:
    pixels = numpy.empty((2, channels, 8, 8), dtype=numpy.uint8)
    pixels[:] = numpy.arange(30, 30 + 20 * channels, 20)[:, None, None]
    sheet = opened(contact_sheet(of(Images(pixels, numpy.arange(2)), 2), [], 0, columns=2))
    mean = 30 + 10 * (channels - 1)
    colour = (30, 50, 70) if channels == 3 else (mean,) * 3
    assert how_often(sheet, colour) >= 4 * 64 * 100  # two rows of two images of 8x8 pixels, at least 10 times as large


def test_long_titles_and_a_single_column_are_not_cut() -> None:
    dataset = of(textured(4, 1, 8, 8), 4)
    many_words = " + ".join(["random-labels"] * 40)
    short = opened(contact_sheet(dataset, [Shown("a")], 0, columns=1))
    long = opened(contact_sheet(dataset, [Shown(many_words)], 0, columns=1))
    assert long.shape[1] == short.shape[1]
    assert long.shape[0] > short.shape[0] + 100
    assert (long[-10:] == 255).all()
    assert (long[:, -10:] == 255).all()

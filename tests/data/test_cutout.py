from collections import Counter
from dataclasses import replace

import numpy
import pytest
import torch
from torch import Tensor

from prunecheck.data import Batches, Dataset, Images, load_dataset
from prunecheck.data.augmentation import cut_out, draw_centres
from prunecheck.randomness import generator


def cut(side: int, *centres: tuple[int, int]) -> list[list[str]]:
    """Return images of ones, 4 by 5, after the cut: its zeros as dots."""
    images = torch.ones(len(centres), 2, 4, 5)
    cut_out(images, side, torch.tensor(centres))
    assert torch.equal(images[:, 0], images[:, 1]), "all channels are cut"
    return [["".join(".1"[int(pixel)] for pixel in row) for row in image[0]] for image in images]


def test_a_square_is_cut_out_of_each_image_and_clipped_at_its_borders() -> None:
    inside, corner, far_corner = cut(2, (2, 3), (0, 0), (3, 4))
    assert inside == ["11111", "11..1", "11..1", "11111"]
    assert corner == [".1111", "11111", "11111", "11111"]
    assert far_corner == ["11111", "11111", "111..", "111.."]
    odd, at_border = cut(3, (1, 1), (0, 4))
    assert odd == ["...11", "...11", "...11", "11111"]
    assert at_border == ["111..", "111..", "11111", "11111"]
    assert cut(1, (3, 0)) == [["11111", "11111", "11111", ".1111"]]


def test_every_pixel_is_the_centre_equally_often() -> None:
    drawn = draw_centres(6000, 2, 3, torch.Generator().manual_seed(0))
    assert drawn.shape == (6000, 2)
    counts = Counter(map(tuple, drawn.tolist()))
    assert set(counts) == {(row, column) for row in range(2) for column in range(3)}
    assert all(900 < count < 1100 for count in counts.values())


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Digits without a pixel of the mean's value, so that what is cut out stands out."""
    whole = load_dataset("digits")
    pixels = numpy.full((23, 1, 8, 8), 9, numpy.uint8)
    return replace(whole, train=Images(pixels, whole.train.labels[:23]), mean=(0.5,), deviation=(0.25,))


def epoch(dataset: Dataset, cutout: int, seed: int = 3, number: int = 2) -> Tensor:
    return torch.cat([x for x, _ in Batches(dataset.train, dataset, 5, cutout=cutout).epoch(seed, number)])


@pytest.mark.parametrize("channels_last", [False, True])
def test_an_epoch_is_cut_by_numbers_of_its_own(digits: Dataset, channels_last: bool) -> None:
    whole, found = epoch(digits, 0), epoch(digits, 3)
    centres = draw_centres(23, 8, 8, generator(3, "cutout", 2))
    for image, uncut, (row, column) in zip(found, whole, centres.tolist(), strict=True):
        expected = uncut.clone()
        expected[:, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 0
        assert torch.equal(image, expected)
    batches = Batches(digits.train, digits, 5, channels_last=channels_last, cutout=3)
    assert torch.equal(torch.cat([x for x, _ in batches.epoch(3, 2)]), found)
    assert not torch.equal(found, epoch(digits, 3, number=1))
    assert not torch.equal(found, epoch(digits, 3, seed=4))


def test_order_crops_and_mirroring_are_those_without_cutout_and_tests_see_whole_images(digits: Dataset) -> None:
    plain, cutting = Batches(digits.train, digits, 5), Batches(digits.train, digits, 5, cutout=3)
    for without, (*others, _) in zip(plain.draws(3, 2), cutting.draws(3, 2), strict=True):
        assert all(map(torch.equal, without, others))
    assert all(torch.equal(x, y) for (x, _), (y, _) in zip(plain.in_order(), cutting.in_order(), strict=True))

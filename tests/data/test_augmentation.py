import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, chisquare
from torch import Tensor

from prunecheck.data import Augmentation, Batches, Dataset, Images
from prunecheck.data.augmentation import augment, draw_augmentation
from prunecheck.data.datasets import Suggestion
from prunecheck.randomness import generator


def crop_and_mirror(image: NDArray[numpy.uint8], padding: int, row: int, column: int, mirror: bool) -> list[object]:
    """One image, pixel by pixel: a frame of zeros, a crop at (row, column), mirrored if asked for."""
    channels, height, width = image.shape
    framed = numpy.zeros((channels, height + 2 * padding, width + 2 * padding), dtype=image.dtype)
    framed[:, padding : padding + height, padding : padding + width] = image
    cropped = framed[:, row : row + height, column : column + width]
    mirrored: list[object] = [[list(reversed(line)) for line in plane] for plane in cropped.tolist()]
    return mirrored if mirror else cropped.tolist()


def ones_to(high: int, *shape: int) -> Tensor:
    """Return pixels of which none is 0, so that the frame's zeros stand out."""
    return torch.randint(1, high, shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.uint8)


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    memory_format=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    data=st.data(),
)
def test_augment_equals_padding_cropping_and_mirroring_image_by_image(
    shape: tuple[int, int, int, int], padding: int, flip: bool, memory_format: torch.memory_format, data: st.DataObject
) -> None:
    count = shape[0]
    offsets = st.integers(0, 2 * padding)
    shifts = data.draw(st.lists(st.tuples(offsets, offsets), min_size=count, max_size=count))
    mirrored = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    pixels = ones_to(256, *shape).contiguous(memory_format=memory_format)
    untouched = pixels.clone()
    augmented = augment(pixels, Augmentation(padding, flip), torch.tensor(shifts), torch.tensor(mirrored))
    expected = [
        crop_and_mirror(image, padding, row, column, flip and mirror)
        for image, (row, column), mirror in zip(pixels.numpy(), shifts, mirrored, strict=True)
    ]
    assert augmented.dtype == torch.uint8
    assert augmented.tolist() == expected
    assert torch.equal(pixels, untouched)


def test_augment_by_hand() -> None:
    pixels = torch.tensor([[[[1, 2, 3], [4, 5, 6]]]] * 3, dtype=torch.uint8)
    shifts = torch.tensor([[0, 0], [1, 1], [2, 1]])
    augmented = augment(pixels, Augmentation(1, True), shifts, torch.tensor([False, True, True]))
    assert augmented[:, 0].tolist() == [[[0, 0, 0], [0, 1, 2]], [[3, 2, 1], [6, 5, 4]], [[6, 5, 4], [0, 0, 0]]]


def draw(count: int, augmentation: Augmentation, seed: int = 0) -> tuple[Tensor, Tensor]:
    return draw_augmentation(count, augmentation, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("padding", [1, 2])
def test_every_crop_and_mirroring_is_equally_likely(padding: int) -> None:
    shifts, mirrored = draw(20_000, Augmentation(padding, flip=True))
    side = 2 * padding + 1
    kinds = (shifts[:, 0] * side + shifts[:, 1]) * 2 + mirrored
    counts = torch.bincount(kinds, minlength=2 * side**2).numpy()
    assert len(counts) == 2 * side**2
    assert chisquare(counts).pvalue > 1e-3


def test_an_image_does_not_tell_how_the_next_is_varied() -> None:
    shifts, mirrored = draw(20_000, Augmentation(1, flip=True))
    kinds = ((shifts[:, 0] * 3 + shifts[:, 1]) * 2 + mirrored).numpy()
    together = numpy.bincount(kinds[:-1] * 18 + kinds[1:], minlength=18 * 18).reshape(18, 18)
    assert chi2_contingency(together).pvalue > 1e-3


def test_nothing_is_cropped_without_padding_nor_mirrored_without_flip() -> None:
    shifts, _ = draw(1000, Augmentation(0, flip=True))
    _, mirrored = draw(1000, Augmentation(2, flip=False))
    assert not shifts.any()
    assert not mirrored.any()


def test_crops_do_not_depend_on_whether_images_are_mirrored() -> None:
    assert torch.equal(draw(100, Augmentation(2, flip=True))[0], draw(100, Augmentation(2, flip=False))[0])


SIZES = [(3, 32, 32, 4, True), (3, 64, 64, 4, True), (1, 28, 28, 2, False), (1, 8, 8, 1, False), (2, 5, 9, 3, True)]


def sized(channels: int, height: int, width: int, padding: int, flip: bool, count: int = 23) -> Dataset:
    images = Images(ones_to(256, count, channels, height, width).numpy(), numpy.arange(count))
    mean, deviation = (0.4, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels]
    suggestion = Suggestion("resnet8", None, 1, 8, 0.1)
    return Dataset("sized", images, images, count, mean, deviation, Augmentation(padding, flip), suggestion)


def normalised(image: object, dataset: Dataset) -> Tensor:
    """One image, channel by channel."""
    planes = zip(torch.tensor(image, dtype=torch.float32), dataset.mean, dataset.deviation, strict=True)
    return torch.stack([(plane - torch.tensor(mean) * 255) / (torch.tensor(dev) * 255) for plane, mean, dev in planes])


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_an_epoch_is_what_one_gets_image_by_image(size: tuple[int, int, int, int, bool], channels_last: bool) -> None:
    dataset = sized(*size)
    seed, number = 3, 2
    order = torch.randperm(23, generator=generator(seed, "data order", number)).tolist()
    shifts, mirrored = draw_augmentation(23, dataset.augmentation, generator(seed, "augmentation", number))
    expected = [
        normalised(crop_and_mirror(dataset.train.pixels[index], size[3], row, column, mirror), dataset)
        for index, (row, column), mirror in zip(order, shifts.tolist(), mirrored.tolist(), strict=True)
    ]
    epoch = list(Batches(dataset.train, dataset, 5, channels_last=channels_last).epoch(seed, number))
    assert torch.equal(torch.cat([pixels for pixels, _ in epoch]), torch.stack(expected))
    assert torch.cat([labels for _, labels in epoch]).tolist() == order
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert all(pixels.is_contiguous(memory_format=layout) for pixels, _ in epoch)


@pytest.mark.parametrize("size", SIZES)
def test_images_in_order_are_normalised_and_never_augmented(size: tuple[int, int, int, int, bool]) -> None:
    dataset = sized(*size)
    expected = torch.stack([normalised(image.tolist(), dataset) for image in dataset.test.pixels])
    for _ in range(2):
        served = list(Batches(dataset.test, dataset, 5).in_order())
        assert torch.equal(torch.cat([pixels for pixels, _ in served]), expected)
        assert torch.cat([labels for _, labels in served]).tolist() == list(range(23))


@pytest.mark.parametrize("size", SIZES)
def test_batches_of_one_seed_are_the_same_again_and_others_in_another_epoch(
    size: tuple[int, int, int, int, bool],
) -> None:
    dataset = sized(*size)

    def epoch(seed: int, number: int) -> bytes:
        batches = Batches(dataset.train, dataset, 5)
        return b"".join(pixels.numpy().tobytes() for pixels, _ in batches.epoch(seed, number))

    assert epoch(0, 0) == epoch(0, 0)
    assert len({epoch(0, 0), epoch(0, 1), epoch(1, 0), epoch(1, 1)}) == 4


def test_images_that_share_memory_with_others_are_augmented_alone() -> None:
    dataset = sized(3, 32, 32, 4, True)
    strided = numpy.concatenate([dataset.train.pixels, dataset.train.pixels], axis=3)[..., :32]
    alone, beside = (Batches(Images(pixels, dataset.train.labels), dataset, 5) for pixels in (strided.copy(), strided))
    for (first, _), (second, _) in zip(alone.epoch(0, 0), beside.epoch(0, 0), strict=True):
        assert torch.equal(first, second)

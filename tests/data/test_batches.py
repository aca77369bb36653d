import numpy
import pytest
import torch
from torch import Tensor

from prunecheck.data import (
    Augmentation,
    Batches,
    Dataset,
    Images,
    TrainingEpochs,
    batches,
    blank_batch,
)
from tests.data.toy_images import CROPS_AND_MIRRORS, NOTHING, as_bytes, numbered, numbers, textured, toy, variants


def joined(batches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([pixels for pixels, _ in batches]), torch.cat([labels for _, labels in batches])


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [
        (23, 5, [5, 5, 5, 5, 3]),
        (20, 5, [5] * 4),
        (3, 8, [3]),
        (22, 5, [5, 5, 5, 5, 2]),
        # A rest of one joins the last batch, for batch norm needs two.
        (21, 5, [5, 5, 5, 6]),
        (6, 5, [6]),
        (5, 2, [2, 3]),
        (5, 5, [5]),
        (1, 5, [1]),
        (1, 1, [1]),
    ],
)
def test_epoch_serves_every_image_once_with_its_label(count: int, batch_size: int, sizes: list[int]) -> None:
    images = numbered(count)
    batches = Batches(images, toy(images), batch_size)
    epoch = list(batches.epoch(seed=0, number=0))
    assert [len(labels) for _, labels in epoch] == sizes
    assert len(batches) == len(sizes)
    pixels, labels = joined(epoch)
    assert sorted(labels.tolist()) == list(range(count))
    assert numbers(pixels) == labels.tolist()
    assert pixels.dtype == torch.float32
    assert labels.dtype == torch.int64


def test_order_is_another_in_every_epoch_and_for_every_seed() -> None:
    images = numbered(23)
    batches = Batches(images, toy(images), 23)
    orders = {tuple(joined(list(batches.epoch(seed, number)))[1].tolist()) for seed in range(4) for number in range(4)}
    assert len(orders) == 16
    assert tuple(range(23)) not in orders


def test_epoch_can_be_repeated_by_seed_and_number_in_any_batch_size_and_between_others() -> None:
    images = textured(23)
    dataset = toy(images, CROPS_AND_MIRRORS)
    pixels, labels = joined(list(Batches(images, dataset, 5).epoch(3, 2)))
    batches = Batches(images, dataset, 7)
    interleaved = list(zip(batches.epoch(3, 1), batches.epoch(3, 2), strict=True))
    pixels_again, labels_again = joined([second for _, second in interleaved])
    assert torch.equal(pixels_again, pixels)
    assert torch.equal(labels_again, labels)


def test_every_image_of_an_epoch_is_a_crop_or_mirror_image_of_its_original() -> None:
    images = textured(40)
    possible = variants(images, padding=1)
    batches = Batches(images, toy(images, CROPS_AND_MIRRORS), 16)
    seen: list[set[bytes]] = [set() for _ in range(len(images))]
    for number in range(3):
        pixels, labels = joined(list(batches.epoch(0, number)))
        for label, image in zip(labels.tolist(), as_bytes(pixels), strict=True):
            assert image in possible[label]
            seen[label].add(image)
    assert sum(len(one) for one in seen) > 2 * len(images), "the augmentation is the same in every epoch"
    originals = [image.tobytes() for image in images.pixels]
    assert sum(original in one for original, one in zip(originals, seen, strict=True)) < len(images) / 2


def test_augmentation_is_another_in_every_epoch_and_for_every_seed() -> None:
    images = textured(1)
    alike = Images(images.pixels.repeat(12, axis=0), images.labels.repeat(12))  # so that their order is not seen
    batches = Batches(alike, toy(alike, CROPS_AND_MIRRORS), 5)
    epochs = {tuple(as_bytes(joined(list(batches.epoch(seed, number)))[0])) for seed in range(3) for number in range(3)}
    assert len(epochs) == 9


def test_serving_epochs_leaves_the_images_as_they_were() -> None:
    images = textured(10)
    before = images.pixels.copy()
    batches = Batches(images, toy(images, CROPS_AND_MIRRORS), 4)
    for pixels, _ in [*batches.epoch(0, 0), *batches.in_order()]:
        pixels.zero_()
    assert numpy.array_equal(images.pixels, before)


def test_images_in_order_are_never_augmented() -> None:
    images = textured(23)
    batches = Batches(images, toy(images, CROPS_AND_MIRRORS), 5)
    for _ in range(2):
        served = list(batches.in_order())
        assert [len(labels) for _, labels in served] == [5, 5, 5, 5, 3]
        pixels, labels = joined(served)
        assert labels.tolist() == list(range(23))
        assert as_bytes(pixels) == [image.tobytes() for image in images.pixels]


@pytest.mark.parametrize("augmentation", [NOTHING, CROPS_AND_MIRRORS])
def test_normalisation_is_per_channel_of_pixels_scaled_to_one(augmentation: Augmentation) -> None:
    pixels = numpy.array([[[[0, 51]], [[102, 255]], [[0, 204]]]], dtype=numpy.uint8)
    images = Images(pixels, numpy.zeros(1, dtype=numpy.int64))
    plain = toy(images, augmentation)
    dataset = Dataset("toy", images, images, 10, (0.1, 0.4, 0.8), (0.5, 0.2, 0.25), augmentation, plain.suggestion)
    ((normalised, _),) = Batches(images, dataset, 1).in_order()
    expected = torch.tensor([[[[-0.2, 0.2]], [[0.0, 3.0]], [[-3.2, 0.0]]]])
    torch.testing.assert_close(normalised, expected, rtol=1e-6, atol=1e-6)


def test_border_of_a_crop_is_black_before_normalisation() -> None:
    images = Images(numpy.full((64, 1, 2, 2), 255, dtype=numpy.uint8), numpy.zeros(64, dtype=numpy.int64))
    plain = toy(images, Augmentation(padding=2, flip=False))
    dataset = Dataset("toy", images, images, 10, (0.5,), (0.25,), plain.augmentation, plain.suggestion)
    ((pixels, _),) = Batches(images, dataset, 64).epoch(0, 0)
    assert set(pixels.flatten().tolist()) == {-2.0, 2.0}


def test_channels_last_changes_the_memory_and_no_value() -> None:
    images = textured(11)
    dataset = toy(images, CROPS_AND_MIRRORS)
    usual, innermost = Batches(images, dataset, 4), Batches(images, dataset, 4, channels_last=True)
    for first, second in [
        *zip(usual.epoch(1, 1), innermost.epoch(1, 1), strict=True),
        *zip(usual.in_order(), innermost.in_order(), strict=True),
    ]:
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])
        assert first[0].is_contiguous()
        assert second[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("augmentation", [CROPS_AND_MIRRORS, Augmentation(2, flip=False), NOTHING])
@pytest.mark.parametrize("channels_last", [False, True])
def test_batches_of_many_images_are_those_of_few_bit_for_bit(
    augmentation: Augmentation, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where images are too many to be held normalised, each batch is cropped of the bytes and normalised then."""
    images = textured(11)
    dataset = toy(images, augmentation)
    few = list(Batches(images, dataset, 4, channels_last=channels_last, cutout=2).epoch(1, 1))
    monkeypatch.setattr(batches, "MOST_HELD", 0)
    many = list(Batches(images, dataset, 4, channels_last=channels_last, cutout=2).epoch(1, 1))
    for (first, _), (second, _) in zip(few, many, strict=True):
        assert torch.equal(first, second) and first.stride() == second.stride()
    assert not torch.equal(few[0][0], few[1][0])


@pytest.mark.parametrize("channels_last", [False, True])
def test_images_are_tested_the_same_bit_for_bit_whether_they_are_held_normalised_or_not(
    channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = textured(11)
    held = Batches(images, toy(images, CROPS_AND_MIRRORS), 4, channels_last=channels_last)
    for x, _ in held.in_order():
        x.zero_()  # as a user's network may, of what is its own
    again = list(held.in_order())
    monkeypatch.setattr(batches, "MOST_HELD", 0)
    anew = list(Batches(images, toy(images, CROPS_AND_MIRRORS), 4, channels_last=channels_last).in_order())
    for (first, labels), (second, other_labels) in zip(again, anew, strict=True):
        assert torch.equal(first, second) and first.stride() == second.stride()
        assert torch.equal(labels, other_labels)
    assert torch.cat([x for x, _ in again]).any()


def test_images_in_file_order_are_served_in_it_in_every_epoch_and_augmented_anew() -> None:
    images = textured(23)
    in_order = Images(images.pixels, images.labels, in_file_order=True)
    possible = variants(images, padding=1)
    batches = Batches(in_order, toy(images, CROPS_AND_MIRRORS), 5)
    epochs = [joined(list(batches.epoch(seed, number))) for seed, number in ((0, 0), (0, 1), (1, 0))]
    for pixels, labels in epochs:
        assert labels.tolist() == list(range(23))
        assert all(image in possible[label] for label, image in enumerate(as_bytes(pixels)))
    assert len({tuple(as_bytes(pixels)) for pixels, _ in epochs}) == 3


def test_choosing_images_keeps_their_file_order() -> None:
    images = numbered(5)
    assert Images(images.pixels, images.labels, in_file_order=True)[numpy.array([3, 1])].in_file_order
    assert not images[numpy.array([3, 1])].in_file_order


def test_every_pass_over_training_epochs_is_another_epoch_of_all_images() -> None:
    images = textured(23)
    batches = Batches(images, toy(images, CROPS_AND_MIRRORS), 5)
    epochs = TrainingEpochs(batches, seed=3)
    assert len(epochs) == 5
    passes = [joined(list(epochs)) for _ in range(3)]
    assert [sorted(labels.tolist()) for _, labels in passes] == [list(range(23))] * 3
    assert len({tuple(labels.tolist()) for _, labels in passes}) == 3
    again = TrainingEpochs(batches, seed=3)
    for pixels, labels in passes:
        pixels_again, labels_again = joined(list(again))
        assert torch.equal(pixels, pixels_again)
        assert torch.equal(labels, labels_again)


def test_training_epochs_have_not_the_order_of_the_ticket_s_training_nor_that_of_another_seed() -> None:
    images = numbered(23)
    batches = Batches(images, toy(images), 23)
    orders = [tuple(joined(list(TrainingEpochs(batches, seed)))[1].tolist()) for seed in (0, 1)]
    orders += [tuple(joined(list(batches.epoch(seed, number)))[1].tolist()) for seed in (0, 1) for number in (0, 1)]
    assert len(set(orders)) == 6


def test_a_blank_batch_is_one_image_of_zeros() -> None:
    pixels, labels = blank_batch((3, 4, 5))
    assert (pixels.shape, pixels.dtype) == ((1, 3, 4, 5), torch.float32)
    assert not pixels.any()
    assert (labels.tolist(), labels.dtype) == ([0], torch.int64)

import itertools

import numpy
import pytest
import torch
from torch import Tensor

from prunecheck.data import Augmentation, Batches, Dataset, Images, load_dataset, random_labels, scoring_batch
from prunecheck.data.datasets import Suggestion
from prunecheck.errors import InputError

NOTHING = Augmentation(padding=0, flip=False)
CROPS_AND_MIRRORS = Augmentation(padding=1, flip=True)


def toy(images: Images, augmentation: Augmentation = NOTHING, num_classes: int = 10) -> Dataset:
    """Return a data set whose normalisation does nothing but divide by 255."""
    channels = images.pixels.shape[1]
    mean, deviation = (0.0,) * channels, (1.0,) * channels
    suggestion = Suggestion("resnet8", None, 1, 8, 0.1)
    return Dataset("toy", images, images, num_classes, mean, deviation, augmentation, suggestion)


def numbered(count: int, labels: list[int] | None = None) -> Images:
    """Return images that carry their number in every pixel; it is their label too unless labels are given."""
    pixels = numpy.empty((count, 2, 3, 4), dtype=numpy.uint8)
    pixels[:] = numpy.arange(count)[:, None, None, None]
    return Images(pixels, numpy.array(range(count) if labels is None else labels, dtype=numpy.int64))


def textured(count: int) -> Images:
    source = numpy.random.default_rng(count)
    return Images(source.integers(1, 256, (count, 2, 3, 4), dtype=numpy.uint8), numpy.arange(count))


def numbers(pixels: Tensor) -> list[int]:
    """Return the numbers of numbered images, all of whose pixels must agree."""
    values = (pixels * 255).round().long().flatten(1)
    assert (values == values[:, :1]).all()
    return values[:, 0].tolist()


def variants(images: Images, padding: int) -> list[set[bytes]]:
    """Return for each image all that it can be cropped and mirrored to."""
    frame = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    framed = numpy.pad(images.pixels, frame)
    _, _, height, width = images.pixels.shape
    found: list[set[bytes]] = [set() for _ in range(len(images))]
    for row, column in itertools.product(range(2 * padding + 1), repeat=2):
        crops = framed[:, :, row : row + height, column : column + width]
        for one, crop in zip(found, crops, strict=True):
            one.update((crop.tobytes(), crop[:, :, ::-1].tobytes()))
    return found


def as_bytes(pixels: Tensor) -> list[bytes]:
    return [image.tobytes() for image in (pixels * 255).round().to(torch.uint8).numpy()]


def joined(batches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([pixels for pixels, _ in batches]), torch.cat([labels for _, labels in batches])


@pytest.mark.parametrize(("count", "batch_size", "sizes"), [(23, 5, [5, 5, 5, 5, 3]), (20, 5, [5] * 4), (3, 8, [3])])
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


LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 0, 1]
"""Six images of class 0, five of class 1, four of class 2."""


@pytest.mark.parametrize("per_class", [1, 3, 4])
def test_scoring_batch_has_as_many_images_of_every_class_sorted_by_class(per_class: int) -> None:
    images = numbered(len(LABELS), LABELS)
    pixels, labels = scoring_batch(images, toy(images, num_classes=3), per_class, seed=0)
    assert labels.tolist() == [0] * per_class + [1] * per_class + [2] * per_class
    chosen = numbers(pixels)
    assert len(set(chosen)) == 3 * per_class
    assert [LABELS[number] for number in chosen] == labels.tolist()


def test_scoring_batch_can_be_repeated_and_is_another_for_another_seed() -> None:
    images = numbered(len(LABELS), LABELS)
    dataset = toy(images, num_classes=3)
    chosen = [numbers(scoring_batch(images, dataset, 2, seed)[0]) for seed in range(5)]
    assert chosen == [numbers(scoring_batch(images, dataset, 2, seed)[0]) for seed in range(5)]
    assert len({frozenset(one) for one in chosen}) > 3


def test_scoring_batch_is_augmented_as_training_images_are_and_differently_for_another_seed() -> None:
    images = textured(30)
    possible = variants(images, padding=1)
    dataset = toy(images, CROPS_AND_MIRRORS, num_classes=30)
    batches = [as_bytes(scoring_batch(images, dataset, 1, seed)[0]) for seed in (0, 0, 1)]
    assert batches[0] == batches[1]
    assert sum(one != other for one, other in zip(batches[0], batches[2], strict=True)) > 20
    assert all(image in possible[label] for label, image in enumerate(batches[0]))
    assert batches[0] != [image.tobytes() for image in images.pixels]


def test_scoring_batch_of_corrupted_data_is_balanced_by_the_corrupted_labels() -> None:
    dataset = load_dataset("digits")
    corrupted = random_labels(dataset.train, 10, torch.Generator().manual_seed(0))
    images = Images(numbered(640).pixels[:, :1], corrupted.labels)
    images.pixels[:, 0, 0, 0] = numpy.arange(640) // 256
    unvaried = toy(Images(images.pixels, dataset.train.labels))
    pixels, labels = scoring_batch(images, unvaried, 20, seed=0)
    codes = (pixels * 255).round().long()
    chosen = codes[:, 0, 0, 0] * 256 + codes[:, 0, 1, 1]
    assert labels.tolist() == [label for label in range(10) for _ in range(20)]
    assert corrupted.labels[chosen.numpy()].tolist() == labels.tolist()
    assert (dataset.train.labels[chosen.numpy()] != labels.numpy()).sum() > 150  # nine in ten of 200


def test_scoring_batch_of_a_class_that_is_too_small_names_class_and_count() -> None:
    images = numbered(len(LABELS), LABELS)
    with pytest.raises(InputError, match=r"class 2 of toy has 4 .* needs 5 of each class"):
        scoring_batch(images, toy(images, num_classes=3), 5, seed=0)
    with pytest.raises(InputError, match=r"class 3 of toy has 0 "):
        scoring_batch(images, toy(images, num_classes=4), 1, seed=0)

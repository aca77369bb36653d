import itertools
from dataclasses import replace
from functools import partial

import numpy
import pytest
import torch
from torch import Tensor

from prunecheck.data import (
    Augmentation,
    Batches,
    Dataset,
    Images,
    NewSamples,
    TrainingEpochs,
    blank_batch,
    load_dataset,
    random_labels,
    scoring_samples,
)
from prunecheck.data.batches import Batch
from prunecheck.data.datasets import Suggestion
from prunecheck.errors import InputError
from prunecheck.randomness import generator

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


LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 0, 1]
"""Six images of class 0, five of class 1, four of class 2."""


def one_batch(images: Images, dataset: Dataset, per_class: int, seed: int) -> Batch:
    (batch,) = scoring_samples(images, dataset, per_class, 1, seed)
    return batch


@pytest.mark.parametrize("per_class", [1, 3, 4])
def test_scoring_samples_are_as_many_of_every_class_sorted_by_class(per_class: int) -> None:
    images = numbered(len(LABELS), LABELS)
    pixels, labels = one_batch(images, toy(images, num_classes=3), per_class, seed=0)
    assert labels.tolist() == [0] * per_class + [1] * per_class + [2] * per_class
    chosen = numbers(pixels)
    assert len(set(chosen)) == 3 * per_class
    assert [LABELS[number] for number in chosen] == labels.tolist()


@pytest.mark.parametrize(("per_class", "rounds"), [(1, 4), (2, 2), (1, 3)])
def test_rounds_are_batches_of_different_images_each_balanced_and_sorted(per_class: int, rounds: int) -> None:
    images = numbered(len(LABELS), LABELS)
    samples = scoring_samples(images, toy(images, num_classes=3), per_class, rounds, seed=0)
    assert len(samples) == rounds
    chosen = []
    for pixels, labels in samples:
        assert labels.tolist() == [0] * per_class + [1] * per_class + [2] * per_class
        assert [LABELS[number] for number in numbers(pixels)] == labels.tolist()
        chosen += numbers(pixels)
    assert len(set(chosen)) == 3 * per_class * rounds


def test_the_first_round_sees_the_same_images_however_many_follow() -> None:
    images = numbered(len(LABELS), LABELS)
    dataset = toy(images, num_classes=3)
    (first, _), *_ = scoring_samples(images, dataset, 1, 4, seed=0)
    assert numbers(first) == numbers(one_batch(images, dataset, 1, 0)[0])


def test_scoring_samples_can_be_repeated_and_are_others_for_another_seed() -> None:
    images = numbered(len(LABELS), LABELS)
    dataset = toy(images, num_classes=3)
    chosen = [numbers(one_batch(images, dataset, 2, seed)[0]) for seed in range(5)]
    assert chosen == [numbers(one_batch(images, dataset, 2, seed)[0]) for seed in range(5)]
    assert len({frozenset(one) for one in chosen}) > 3


def test_scoring_samples_are_augmented_as_training_images_are_and_differently_for_another_seed() -> None:
    images = textured(30)
    possible = variants(images, padding=1)
    dataset = toy(images, CROPS_AND_MIRRORS, num_classes=30)
    batches = [as_bytes(one_batch(images, dataset, 1, seed)[0]) for seed in (0, 0, 1)]
    assert batches[0] == batches[1]
    assert sum(one != other for one, other in zip(batches[0], batches[2], strict=True)) > 20
    assert all(image in possible[label] for label, image in enumerate(batches[0]))
    assert batches[0] != [image.tobytes() for image in images.pixels]


def test_rounds_are_augmented_each_by_draws_of_its_own() -> None:
    one = textured(1)
    alike = Images(one.pixels.repeat(24, axis=0), numpy.arange(24) % 2)
    samples = scoring_samples(alike, toy(alike, CROPS_AND_MIRRORS, num_classes=2), 6, 2, seed=0)
    first, second = (as_bytes(pixels) for pixels, _ in samples)
    assert set(first + second) <= variants(one, padding=1)[0]
    assert sum(one != other for one, other in zip(first, second, strict=True)) > 6


def test_scoring_samples_of_corrupted_data_are_balanced_by_the_corrupted_labels() -> None:
    dataset = load_dataset("digits")
    corrupted = random_labels(dataset.train, 10, torch.Generator().manual_seed(0))
    images = Images(numbered(640).pixels[:, :1], corrupted.labels)
    images.pixels[:, 0, 0, 0] = numpy.arange(640) // 256
    unvaried = toy(Images(images.pixels, dataset.train.labels))
    pixels, labels = one_batch(images, unvaried, 20, seed=0)
    codes = (pixels * 255).round().long()
    chosen = codes[:, 0, 0, 0] * 256 + codes[:, 0, 1, 1]
    assert labels.tolist() == [label for label in range(10) for _ in range(20)]
    assert corrupted.labels[chosen.numpy()].tolist() == labels.tolist()
    assert (dataset.train.labels[chosen.numpy()] != labels.numpy()).sum() > 150  # nine in ten of 200


def test_a_change_is_done_to_a_copy() -> None:
    images = numbered(len(LABELS), LABELS)

    def spoil(given: Images) -> Images:
        given.pixels[:] = 7
        given.labels[:] = 1
        return given

    changed = scoring_samples(images, toy(images, num_classes=3), 1, 2, 0, spoil)
    assert [numbers(pixels) for pixels, _ in changed] == [[7]] * 2
    assert [labels.tolist() for _, labels in changed] == [[1]] * 2
    assert numpy.array_equal(images.pixels, numbered(len(LABELS)).pixels)
    assert images.labels.tolist() == LABELS


@pytest.mark.parametrize("per_class", [1, 4])
def test_a_change_that_leaves_labels_alone_is_seen_in_the_same_images(per_class: int) -> None:
    images = numbered(200, [number % 5 for number in range(200)])
    dataset = toy(images, num_classes=5)
    chosen = [
        scoring_samples(images, dataset, per_class, 2, 3, change)
        for change in (lambda images: images, lambda images: replace(images, pixels=images.pixels + 50))
    ]
    plain, brighter = ([number for pixels, _ in samples for number in numbers(pixels)] for samples in chosen)
    assert brighter == [number + 50 for number in plain]


@pytest.mark.parametrize(("per_class", "rounds"), [(10, 1), (1, 1), (3, 2)])
def test_of_every_new_label_as_many_images_are_chosen(per_class: int, rounds: int) -> None:
    images = load_dataset("digits").train
    dataset = toy(images, num_classes=10)
    for seed in range(3):
        draws = generator(seed, "labels")
        samples = scoring_samples(
            images, dataset, per_class, rounds, seed, partial(random_labels, num_classes=10, generator=draws)
        )
        for _, labels in samples:
            assert labels.tolist() == [label for label in range(10) for _ in range(per_class)]


def test_the_first_of_a_new_label_in_the_shuffled_set_are_chosen_whatever_their_true_label() -> None:
    images = numbered(180, [number % 3 for number in range(180)])
    dataset = toy(images, num_classes=3)
    given: list[list[int]] = []

    def by_halves(shuffled: Images) -> Images:
        given.append(shuffled.pixels[:, 0, 0, 0].tolist())
        return replace(shuffled, labels=numpy.asarray(shuffled.pixels[:, 0, 0, 0] >= 90, dtype=numpy.int64))

    ((pixels, labels),) = scoring_samples(images, dataset, 4, 1, 0, by_halves)
    walked = given[-1]
    assert sorted(walked) == list(range(180))  # There is no label 2, so that all are looked at.
    assert walked != sorted(walked)
    expected = [number for number in walked if number < 90][:4] + [number for number in walked if number >= 90][:4]
    assert numbers(pixels) == expected
    assert labels.tolist() == [0] * 4 + [1] * 4


def test_a_new_label_with_too_few_images_shows_them_again_and_one_without_any_is_left_out() -> None:
    images = numbered(12, [number % 3 for number in range(12)])

    def rare(given: Images) -> Images:
        return replace(given, labels=numpy.where(given.pixels[:, 0, 0, 0] < 2, 2, 0))

    ((pixels, labels),) = scoring_samples(images, toy(images, num_classes=3), 4, 1, 0, rare)
    assert labels.tolist() == [0] * 4 + [2] * 4
    assert set(numbers(pixels)[4:]) == {0, 1}
    assert sorted(numbers(pixels)[4:]) == [0, 0, 1, 1]


def test_only_a_beginning_of_a_large_set_is_changed() -> None:
    images = numbered(250, [number % 2 for number in range(250)])
    sizes: list[int] = []

    def count(given: Images) -> Images:
        sizes.append(len(given))
        return given

    scoring_samples(images, toy(images, num_classes=2), 5, 2, 0, count)
    assert sizes == [(4 * 10 + 32) * 2]


def test_each_pass_over_new_samples_draws_others_balanced_and_augmented() -> None:
    images = numbered(90, [number % 3 for number in range(90)])
    dataset = toy(images, num_classes=3)

    def passes() -> list[list[int]]:
        samples = NewSamples(lambda: images, dataset, 2, 3, seed=5)
        assert len(samples) == 3
        drawn = []
        for _ in range(4):
            batches = list(samples)
            assert [labels.tolist() for _, labels in batches] == [[0, 0, 1, 1, 2, 2]] * 3
            drawn.append([number for pixels, _ in batches for number in numbers(pixels)])
        return drawn

    first = passes()
    assert first == passes()
    assert all(len(set(one)) == 18 for one in first)
    assert len({frozenset(one) for one in first}) == 4


def test_a_class_that_is_too_small_for_the_scoring_samples_is_named_with_its_count() -> None:
    images = numbered(len(LABELS), LABELS)
    dataset = toy(images, num_classes=3)
    with pytest.raises(InputError, match=r"class 2 of toy has 4 .* needs 5 of each class"):
        scoring_samples(images, dataset, 5, 1, seed=0)
    with pytest.raises(InputError, match=r"class 1 of toy has 5 .* needs 6 of each class"):
        scoring_samples(images, dataset, 2, 3, seed=0)


def test_of_a_class_without_an_image_no_scoring_samples_are_asked_for() -> None:
    images = numbered(5, [1] * 5)
    pixels, labels = one_batch(images, toy(images, num_classes=3), 4, seed=0)
    assert labels.tolist() == [1] * 4
    assert len(set(numbers(pixels))) == 4


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

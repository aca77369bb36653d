from dataclasses import replace
from functools import partial

import numpy
import pytest
import torch

from prunecheck.data import Dataset, Images, NewSamples, load_dataset, random_labels, scoring_samples
from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.randomness import generator
from tests.data.toy_images import CROPS_AND_MIRRORS, as_bytes, numbered, numbers, textured, toy, variants

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

"""Training and test parts as users have them: arrays, data sets and data loaders of torch, and their likes."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from prunecheck.data import Dataset, load_dataset
from prunecheck.errors import InputError

DRAW = numpy.random.default_rng(0)
X = DRAW.integers(0, 256, (30, 3, 6, 8), dtype=numpy.uint8)
Y = numpy.arange(30) % 3
X_TEST, Y_TEST = X[:6].copy(), Y[:6].copy()


class Items(TorchDataset[Any]):
    """Items of any kind, made when they are read."""

    def __init__(self, make: Callable[[int], Any], count: int = 30) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


class Stream(IterableDataset[Any]):
    """Items that come one after another."""

    def __init__(self, count: int = 30) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        return ((torch.from_numpy(X[index]), int(Y[index])) for index in range(self.count))


def tensors(count: int = 30) -> TensorDataset:
    return TensorDataset(torch.from_numpy(X[:count]), torch.from_numpy(Y[:count]))


def picture(index: int) -> Image.Image:
    return Image.fromarray(X[index].transpose(1, 2, 0))


KINDS: dict[str, Callable[[int], Any]] = {
    "tensors": tensors,
    "items": lambda count: Items(lambda index: (X[index], Y[index]), count),
    "pictures": lambda count: Items(lambda index: (picture(index), int(Y[index])), count),
    "mappings": lambda count: Items(lambda index: {"image": picture(index), "label": int(Y[index])}, count),
    "channels last": lambda count: Items(lambda index: [X[index].transpose(1, 2, 0), torch.tensor(Y[index])], count),
    "a list": lambda count: [(X[index], Y[index]) for index in range(count)],
    "a subset": lambda count: Subset(tensors(), range(count)),
    "a stream": Stream,
    "arrays": lambda count: (X[:count], Y[:count].tolist()),
    "a loader": lambda count: DataLoader(tensors(count), batch_size=7),
    "a loader of mappings": lambda count: DataLoader(
        Items(lambda index: {"img": X[index], "labels": Y[index]}, count), batch_size=4
    ),
    "a loader of a stream": lambda count: DataLoader(Stream(count), batch_size=7, num_workers=2),
    "a loader without batches": lambda count: DataLoader(tensors(count), batch_size=None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_part_is_read_in_its_order(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    train, test = KINDS[kind](30), KINDS[kind](6)
    for given in ((train, test), {"train": train, "validation": test}):
        dataset = load_dataset(given)
        assert dataset.train.pixels.dtype == numpy.uint8
        assert numpy.array_equal(dataset.train.pixels, X)
        assert numpy.array_equal(dataset.train.labels, Y)
        assert dataset.train.labels.dtype == numpy.int64
        assert numpy.array_equal(dataset.test.pixels, X_TEST)
        assert dataset.num_classes == 3
        assert dataset.fingerprint == load_dataset(given).fingerprint
    assert caplog.messages == []


def test_a_stream_may_be_of_any_length() -> None:
    items = [(X[index % 30], int(Y[index % 30])) for index in range(200)]

    class Long(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter(items)

    dataset = load_dataset((Long(), tensors(6)))
    assert numpy.array_equal(dataset.train.pixels, numpy.stack([image for image, _ in items]))
    assert dataset.train.labels.tolist() == [label for _, label in items]


def test_they_are_the_same_data_as_arrays_and_have_the_same_fingerprint() -> None:
    as_arrays = load_dataset({"x_train": X, "y_train": Y, "x_test": X_TEST, "y_test": Y_TEST})
    assert as_arrays.fingerprint == load_dataset((X, Y, X_TEST, Y_TEST)).fingerprint
    assert as_arrays.fingerprint == load_dataset((tensors(), DataLoader(tensors(6), batch_size=4))).fingerprint
    assert (as_arrays.name, load_dataset((Stream(), Stream(6))).name) == ("arrays", "Stream")


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floats_become_float32(kind: torch.dtype) -> None:
    floats = [(torch.from_numpy(image).to(kind) / 256, label) for image, label in zip(X, Y.tolist(), strict=True)]
    dataset = load_dataset((floats, floats[:6]))
    assert dataset.train.pixels.dtype == numpy.float32
    assert numpy.allclose(dataset.train.pixels, X / 256, atol=2**-8)


def test_grey_pictures_have_one_channel_and_colour_makes_three() -> None:
    grey = [(Image.fromarray(image[0]), label) for image, label in zip(X, Y.tolist(), strict=True)]
    dataset = load_dataset((grey, grey[:6]))
    assert numpy.array_equal(dataset.train.pixels, X[:, :1])
    mixed = [*grey[:29], (picture(29), int(Y[29]))]
    dataset = load_dataset((mixed, [*grey[:5], mixed[-1]]))
    assert numpy.array_equal(dataset.train.pixels[0], X[0, :1].repeat(3, axis=0))
    assert numpy.array_equal(dataset.train.pixels[29], X[29])


def shuffled(**options: Any) -> "DataLoader[Any]":
    return DataLoader(tensors(), batch_size=7, shuffle=True, **options)


def test_a_loader_that_shuffles_is_read_in_one_order(caplog: pytest.LogCaptureFixture) -> None:
    source = torch.Generator().manual_seed(5)
    state = source.get_state()
    loaders = [shuffled(), shuffled(num_workers=2, persistent_workers=True), shuffled(generator=source)]
    torch.rand(3)
    before = torch.get_rng_state()
    found = [load_dataset((loader, tensors(6))) for loader in (*loaders, loaders[0], loaders[2])]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(source.get_state(), state)
    orders = [dataset.train.labels.tolist() for dataset in found]
    assert orders[0] == orders[1] == orders[3] != Y.tolist()
    other = shuffled(generator=torch.Generator().manual_seed(6))
    assert orders[2] == orders[4] == load_dataset((other, tensors(6))).train.labels.tolist()
    assert sorted(orders[2]) == sorted(Y.tolist())
    assert caplog.messages == []


def test_what_a_loader_leaves_out_is_said(caplog: pytest.LogCaptureFixture) -> None:
    dataset = load_dataset((shuffled(drop_last=True), tensors(6)))
    assert len(dataset.train) == 28
    assert caplog.messages == ["train in arrays leaves out 2 images, for its last batch is not full (drop_last)."]


def flipped_at_random(source: Callable[[], float]) -> Callable[[int], tuple[Tensor, int]]:
    return lambda index: (torch.from_numpy(X[index] if source() < 0.5 else X[index, :, :, ::-1].copy()), int(Y[index]))


SOURCES: dict[str, Callable[[], float]] = {
    "torch": lambda: float(torch.rand(())),
    "numpy": numpy.random.rand,
    "python": random.random,
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("is_loaded", [False, True])
def test_random_transforms_are_read_once_and_said(
    source: str, is_loaded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    items: Any = Items(flipped_at_random(SOURCES[source]))
    items = DataLoader(items, batch_size=7) if is_loaded else items
    dataset = load_dataset((items, tensors(6)))
    (said,) = caplog.messages
    assert said.startswith("train in Items returns another image each time: it is read once, and stays so; ")
    SOURCES[source]()
    assert load_dataset((items, tensors(6))).fingerprint == dataset.fingerprint
    assert not numpy.array_equal(dataset.train.pixels, X)


def with_labels(labels: Any) -> list[Any]:
    return [(image, label) for image, label in zip(X, labels, strict=True)]


OTHER_SIZE = [*with_labels(Y)[:-1], (X[0, :, 1:], 0)]
INFINITE = [*with_labels(Y)[:-1], (X[0], 0)]

WRONG: dict[str, tuple[Any, str]] = {
    "one part": (tensors(), "the data set arrays is an object of type TensorDataset: expected the four arrays"),
    "three": (
        (1, 2, 3),
        "the data set arrays is 3 of them: expected the four arrays",
    ),
    "keys": ({"a": 1, "test": 2}, "arrays is no x_train: expected the four arrays"),
    "arrays": ((X, Y), "train in arrays is a ndarray: expected a data set (with __getitem__ and __len__, or __iter__)"),
    "a generator": (
        (iter(with_labels(Y)), tensors()),
        "train in arrays is a list_iterator, which can be gone",
    ),
    "no length": ((TorchDataset(), tensors()), "train in Dataset is a Dataset without a length: expected a data set"),
    "no images": (([], tensors()), "train in arrays has no images"),
    "an image alone": (
        ([X[0]], tensors()),
        "item 0 of train in arrays (the first is 0) is a ndarray: expected",
    ),
    "three of an item": (
        ([(X[0], 1, 2)], tensors()),
        "item 0 of train in arrays (the first is 0) is 3 values",
    ),
    "keys of an item": (
        ([{"image": X[0], "id": 3}], tensors()),
        "has the keys image, id: expected an image (under",
    ),
    "no image": (
        ([("a.png", 3)], tensors()),
        "item 0 of train in arrays (the first is 0) is a str: expected",
    ),
    "another size": (
        (OTHER_SIZE, tensors()),
        "item 29 of train in arrays (the first is 0) is uint8 of shape (3, 5, 8)",
    ),
    "flat images": (
        ([(X[0].ravel(), 0)] * 4, tensors()),
        "x_train in arrays has shape (4, 144): expected",
    ),
    "one-hot labels": (
        (with_labels(numpy.eye(3, dtype=int)[Y]), tensors()),
        "y_train in arrays has shape (30, 3)",
    ),
    "float labels": ((with_labels(Y * 1.0), tensors()), "y_train in arrays holds float64: expected integers"),
    "names": ((with_labels(["cat"] * 30), tensors()), "y_train in arrays holds <U3: expected integers"),
    "ragged labels": ((with_labels([[1]] * 29 + [[1, 2]]), tensors()), "labels of train in arrays have several shapes"),
    "one class": ((with_labels(Y * 0), tensors()), "y_train in arrays has one class"),
    "a gap": (
        (with_labels(Y * 2), tensors()),
        "y_train in arrays: no training image has label 1, expected",
    ),
    "negative": ((with_labels(Y - 1), tensors()), "y_train in arrays has the label -1"),
    "other classes": ((tensors(), with_labels(Y + 1)), "y_test in arrays: image 2 (the first is 0) has label 3"),
    "other shapes": ((tensors(), [(X[0, :1], 0)]), "(3, 6, 8) in x_train and (1, 6, 8) in x_test"),
    "other numbers": ((tensors(), [(X[0] / 255, 0)]), "are uint8 in x_train and float32 in x_test"),
    "not finite": (([(X[0] * numpy.nan, 0)] * 2, tensors()), "x_train in arrays has the value"),
    "it fails": (
        (Items(lambda index: 1 / 0), tensors()),
        "the data set Items failed (ZeroDivisionError",
    ),
    "a loader": (
        (DataLoader(TensorDataset(torch.zeros(4, 1, 4, 4)), 2), tensors()),
        "train in arrays is 1 val",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_part_is_refused_in_a_sentence(kind: str) -> None:
    given, message = WRONG[kind]
    with pytest.raises(InputError) as refused:
        load_dataset(given)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_stream_without_an_end_is_refused_once_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            while True:
                yield X[0], 0

    monkeypatch.setattr("prunecheck.process_limits.available_memory", lambda: 300 * X[0].nbytes)
    with pytest.raises(InputError, match=r"^train in Endless: .* of memory are needed, and .* are free"):
        load_dataset((Endless(), tensors()))
    with pytest.raises(InputError, match=r"^train in Items: .* of memory are needed"):
        load_dataset((Items(lambda index: (X[0], 0), 301), tensors()))  # before it is read: nothing has so many images


def test_a_function_and_a_name_in_a_file_give_parts(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\nfrom torch.utils.data import TensorDataset\n"
        "x, y = torch.arange(4 * 64, dtype=torch.uint8).reshape(4, 1, 8, 8), torch.tensor([0, 1, 0, 1])\n"
        "parts = TensorDataset(x, y), TensorDataset(x[:2], y[:2])\n"
        "def load():\n    print('loading')\n    return parts\n"
    )
    found = [load_dataset(f"{tmp_path}/own.py:{name}") for name in ("load", "parts")]
    assert [dataset.name for dataset in found] == ["own.py:load", "own.py:parts"]
    assert found[0].fingerprint == found[1].fingerprint
    assert found[0].image_shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": (0.5,)}, r"has the mean \(0.5,\) and the deviation .*: expected 3 finite numbers each"),
        ({"deviation": (1.0, 0.0, 1.0)}, r"deviations above 0\."),
        ({"num_classes": 2}, r"train in arrays: image 2 .* has label 2"),
    ],
)
def test_a_dataset_of_users_is_looked_at(changes: dict[str, Any], message: str) -> None:
    good: Dataset = load_dataset((tensors(), tensors(6)))
    with pytest.raises(InputError, match=message):
        load_dataset(replace(good, **changes))


@pytest.mark.parametrize("pixels", [X.astype(float), X[:, 0], X[:0], X.astype(numpy.int64)])
def test_pixels_of_a_dataset_of_users_are_looked_at(pixels: Any) -> None:
    good: Dataset = load_dataset((tensors(), tensors(6)))
    with pytest.raises(InputError, match=r"train in arrays has pixels of .*: expected uint8 or float32 of shape"):
        load_dataset(replace(good, train=replace(good.train, pixels=pixels)))

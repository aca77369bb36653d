from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy
import pytest

from prunecheck.data import DATASETS, DataPlaces, Dataset, Images, load_dataset, register_dataset
from prunecheck.data.datasets import forget_datasets
from prunecheck.errors import InputError


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test register data sets, and forget them after it."""
    monkeypatch.setattr(DATASETS, "entries", dict(DATASETS.entries))
    yield
    forget_datasets()


def test_data_set_is_read_once() -> None:
    assert load_dataset("digits") is load_dataset("digits")


def test_unknown_data_set_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"no data set named 'digit'.*did you mean digits\?"):
        load_dataset("digit")


@pytest.mark.usefixtures("registry")
def test_function_registered_by_a_user_is_a_data_set_like_any_other() -> None:
    @register_dataset("a user's own")
    def upside_down() -> Dataset:
        """Digits on their heads."""
        dataset = load_dataset("digits")
        return replace(dataset, train=Images(dataset.train.pixels[:, :, ::-1].copy(), dataset.train.labels))

    assert "a user's own" in DATASETS.names()
    ours, theirs = load_dataset("digits"), load_dataset("a user's own")
    assert numpy.array_equal(theirs.train.pixels[:, :, 0], ours.train.pixels[:, :, 7])


def test_image_shape_is_channels_height_width() -> None:
    pixels = numpy.zeros((5, 3, 4, 6), dtype=numpy.uint8)
    dataset = replace(load_dataset("digits"), train=Images(pixels, numpy.zeros(5, dtype=numpy.int64)))
    assert dataset.image_shape == (3, 4, 6)


def labelled(labels: list[int]) -> Images:
    """Return images of one pixel that carry their number."""
    pixels = numpy.arange(len(labels), dtype=numpy.uint8).reshape(-1, 1, 1, 1)
    return Images(pixels, numpy.array(labels, dtype=numpy.int64))


TRAIN_LABELS = [2, 0, 0, 1, 2, 0, 1, 1, 1, 2]
TEST_LABELS = [1, 1, 2, 0, 2, 0]


@pytest.fixture
def of_three_classes() -> Dataset:
    digits = load_dataset("digits")
    return replace(digits, name="toy", train=labelled(TRAIN_LABELS), test=labelled(TEST_LABELS), num_classes=3)


def places(images: Images) -> list[int]:
    return images.pixels.flatten().tolist()


def test_a_shortened_set_has_the_first_of_every_class_in_file_order(of_three_classes: Dataset) -> None:
    short = of_three_classes.shortened(6, 3)
    assert (places(short.train), short.train.labels.tolist()) == ([0, 1, 2, 3, 4, 6], [2, 0, 0, 1, 2, 1])
    assert (places(short.test), short.test.labels.tolist()) == ([0, 2, 3], [1, 2, 0])
    # Normalised as the whole set is, so that what is trained on the one can be tested on the other.
    same = [name for name in vars(of_three_classes) if name not in ("train", "test")]
    assert {name: getattr(short, name) for name in same} == {name: getattr(of_three_classes, name) for name in same}


def test_each_part_is_shortened_by_itself(of_three_classes: Dataset) -> None:
    train, test = of_three_classes.train, of_three_classes.test
    assert of_three_classes.shortened(None, None).train is train
    assert of_three_classes.shortened(9, None).test is test
    assert of_three_classes.shortened(None, 6).train is train
    assert places(of_three_classes.shortened(9, 6).train) == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    assert places(of_three_classes.shortened(9, 6).test) == list(range(6))


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [
        (4, None, r"toy has 3 classes, .* train_images takes a multiple of 3, not 4"),
        (0, None, r"train_images takes a multiple of 3, not 0"),
        (-3, None, r"train_images takes a multiple of 3, not -3"),
        (None, 2, r"test_images takes a multiple of 3, not 2"),
        (12, None, r"class 0 of toy has 3 train images and train_images 12 needs 4 of each class: give 9 or less"),
        (None, 9, r"class 0 of toy has 2 test images and test_images 9 needs 3 of each class: give 6 or less"),
    ],
)
def test_a_set_that_cannot_be_shortened_so_says_why(
    of_three_classes: Dataset, train: int | None, test: int | None, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        of_three_classes.shortened(train, test)


def test_what_is_given_instead_is_enough(of_three_classes: Dataset) -> None:
    """The number of images that a refusal offers must be one that every class has."""
    scarce = replace(of_three_classes, train=labelled([0, 0, 0, 1, 1, 2]))
    with pytest.raises(InputError, match="give 3 or less"):
        scarce.shortened(9, None)
    assert scarce.shortened(3, None).train.labels.tolist() == [0, 1, 2]


@pytest.mark.usefixtures("registry")
def test_a_data_set_that_lies_somewhere_is_told_the_places() -> None:
    given: list[DataPlaces | None] = []

    @register_dataset("somewhere")
    def somewhere(places: DataPlaces | None) -> Dataset:
        """Digits, wherever they lie."""
        given.append(places)
        return replace(load_dataset("digits"), name="somewhere")

    first, second = (DataPlaces((Path(root),), Path("cache")) for root in ("here", "there"))
    assert load_dataset("somewhere", first) is load_dataset("somewhere", DataPlaces((Path("here"),), Path("cache")))
    load_dataset("somewhere", second)
    load_dataset("somewhere")
    assert given == [first, second, None]


@pytest.mark.usefixtures("registry")
def test_a_kind_of_data_set_is_told_the_path_after_its_colon() -> None:
    given: list[tuple[Path, DataPlaces | None]] = []

    @register_dataset("rows:<path>")
    def rows(path: Path, places: DataPlaces | None) -> Dataset:
        """Digits in rows."""
        given.append((path, places))
        return load_dataset("digits")

    @register_dataset("columns:<path>")
    def columns(path: Path) -> Dataset:
        """Digits in columns."""
        given.append((path, None))
        return load_dataset("digits")

    somewhere = DataPlaces((), Path("cache"))
    load_dataset("rows:some/where.csv", somewhere)
    load_dataset("rows:C:/with a colon", somewhere)
    load_dataset("columns:elsewhere", somewhere)
    assert given == [
        (Path("some/where.csv"), somewhere),
        (Path("C:/with a colon"), somewhere),
        (Path("elsewhere"), None),
    ]
    with pytest.raises(InputError, match=r"no data set named 'row:some'.*rows:<path>"):
        load_dataset("row:some")

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from prunecheck.data.readers.folder import read_image_folder
from prunecheck.errors import InputError


def save(file: Path, image: NDArray[numpy.uint8]) -> None:
    """Write (height, width) or (height, width, 3), making the folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file)


def shade(value: int, channels: int = 3) -> NDArray[numpy.uint8]:
    return numpy.full((4, 6, 3) if channels == 3 else (4, 6), value, dtype=numpy.uint8)


FILES = {
    "train/cat/b.png": 1,
    "train/cat/a.bmp": 2,
    "train/cat/older/c.PNG": 3,
    "train/Dog/1.png": 4,
    "train/Dog/deep/deeper/2.png": 5,
    "test/cat/x.png": 6,
    "test/Dog/y.png": 7,
    "test/Dog/z.png": 8,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    for name, value in FILES.items():
        save(folder / name, shade(value))
    return folder


def test_classes_are_numbered_by_sorted_name_and_images_lie_by_path(folder: Path) -> None:
    train, test = read_image_folder(folder)
    assert train.labels.tolist() == [0, 0, 1, 1, 1]
    assert train.pixels[:, 1, 2, 3].tolist() == [4, 5, 2, 1, 3]
    assert test.labels.tolist() == [0, 0, 1]
    assert test.pixels[:, 0, 0, 0].tolist() == [7, 8, 6]
    for images in (train, test):
        assert images.pixels.shape[1:] == (3, 4, 6)
        assert images.pixels.dtype == numpy.uint8
        assert images.labels.dtype == numpy.int64
        assert images.pixels.flags.c_contiguous


@settings(max_examples=10, deadline=None)
@given(
    counts=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=2, max_size=4),
    grey=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_round_trip(counts: list[tuple[int, int]], grey: bool, seed: int) -> None:
    source = numpy.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        written: tuple[list[NDArray[numpy.uint8]], list[NDArray[numpy.uint8]]] = ([], [])
        for label, numbers in enumerate(counts):
            for part, images, number in zip(("train", "val"), written, numbers, strict=True):
                for index in range(number):
                    image = source.integers(0, 256, (5, 3) if grey else (5, 3, 3), dtype=numpy.uint8)
                    save(Path(name) / part / f"class {label}" / f"{index}.png", image)
                    images.append(image[None] if grey else image.transpose(2, 0, 1))
        read = read_image_folder(Path(name))
    for position, (part_read, expected) in enumerate(zip(read, written, strict=True)):
        assert numpy.array_equal(part_read.pixels, expected)
        assert part_read.labels.tolist() == [
            label for label, numbers in enumerate(counts) for _ in range(numbers[position])
        ]


def test_one_coloured_image_in_either_part_makes_all_rgb(folder: Path) -> None:
    for name, value in FILES.items():
        save(folder / name, shade(value, channels=1))
    assert [images.pixels.shape[1] for images in read_image_folder(folder)] == [1, 1]
    save(folder / "test" / "Dog" / "z.png", shade(8))
    train, test = read_image_folder(folder)
    assert (train.pixels.shape[1], test.pixels.shape[1]) == (3, 3)
    assert train.pixels[:, 2, 2, 3].tolist() == [4, 5, 2, 1, 3]


def test_val_is_the_test_part_only_if_there_is_no_test(folder: Path) -> None:
    both = shutil.copytree(folder, folder.parent / "both")
    shutil.move(folder / "test", folder / "val")
    _, test = read_image_folder(folder)
    assert test.pixels[:, 0, 0, 0].tolist() == [7, 8, 6]
    shutil.copytree(both / "train", both / "val")
    _, test = read_image_folder(both)
    assert test.pixels[:, 0, 0, 0].tolist() == [7, 8, 6]


def test_clutter_and_what_lies_beside_the_parts_is_passed_over(folder: Path) -> None:
    for place in (folder / "train", folder / "train" / "cat", folder / "test" / "Dog"):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
            (place / name).write_bytes(b"clutter")
        (place / ".ipynb_checkpoints").mkdir()
        (place / "__MACOSX").mkdir()
    (folder / "README.md").write_text("my cats")
    (folder / "labels").mkdir()
    train, test = read_image_folder(folder)
    assert (len(train), len(test)) == (5, 3)


def test_links_are_followed_and_circles_refused(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "train" / "cat", tmp_path / "elsewhere")
    (folder / "train" / "cat").symlink_to(tmp_path / "elsewhere")
    train, _ = read_image_folder(folder)
    assert train.pixels[:, 0, 0, 0].tolist() == [4, 5, 2, 1, 3]
    (folder / "train" / "Dog" / "deep" / "again").symlink_to(folder / "train" / "Dog")
    with pytest.raises(InputError, match=r"/train/Dog/deep/again is a link to a folder that it lies in: remove it"):
        read_image_folder(folder)


def no_training_part(folder: Path) -> None:
    shutil.rmtree(folder / "train")


def no_test_part(folder: Path) -> None:
    shutil.rmtree(folder / "test")


def a_file_in_place_of_a_part(folder: Path) -> None:
    shutil.rmtree(folder / "test")
    (folder / "test").touch()


def no_classes(folder: Path) -> None:
    for child in (folder / "test").iterdir():
        shutil.rmtree(child)


def images_without_classes(folder: Path) -> None:
    save(folder / "train" / "stray.png", shade(1))


def empty_class(folder: Path) -> None:
    (folder / "test" / "cat" / "x.png").unlink()
    (folder / "test" / "cat" / "deep").mkdir()


def class_only_in_train(folder: Path) -> None:
    save(folder / "train" / "emu" / "1.png", shade(1))


def class_only_in_test(folder: Path) -> None:
    save(folder / "test" / "emu" / "1.png", shade(1))


def single_class(folder: Path) -> None:
    shutil.rmtree(folder / "train" / "Dog")


def no_image(folder: Path) -> None:
    (folder / "train" / "Dog" / "notes.txt").touch()


def other_size(folder: Path) -> None:
    save(folder / "test" / "Dog" / "y.png", numpy.zeros((6, 4, 3), dtype=numpy.uint8))


def corrupt(folder: Path) -> None:
    file = folder / "test" / "Dog" / "z.png"
    file.write_bytes(file.read_bytes()[:-24])


def text_named_as_an_image(folder: Path) -> None:
    (folder / "train" / "cat" / "b.png").write_text("no image")


def broken_link(folder: Path) -> None:
    (folder / "train" / "cat" / "lost.png").symlink_to(folder / "nowhere.png")


FAULTS: dict[Callable[[Path], None], str] = {
    no_training_part: r"/own has no folder train: expected train/<class>/ and test/<class>/",
    no_test_part: r"/own has no folder test \(or val\)",
    a_file_in_place_of_a_part: r"/own has no folder test \(or val\)",
    no_classes: r"/test holds no images: expected train/<class>/",
    images_without_classes: r"/train/stray\.png lies in no class's folder",
    empty_class: r"/test/cat holds no images: expected those of a class",
    class_only_in_train: r"class emu is in .*/train and not in .*/test",
    class_only_in_test: r"class emu is in .*/test and not in .*/train",
    single_class: r"/train has one class, cat: expected two or more",
    no_image: r"/train/Dog/notes\.txt is no image: expected a name in \.bmp, ",
    other_size: r"/test/Dog/y\.png is 4 pixels wide and 6 high, .*/train/Dog/1\.png has 6 and 4",
    corrupt: r"/test/Dog/z\.png cannot be decoded",
    text_named_as_an_image: r"/train/cat/b\.png cannot be decoded \(cannot identify image file\)",
    broken_link: r"/train/cat/lost\.png is missing",
}


@pytest.mark.parametrize("damage", FAULTS)
def test_fault_is_named_in_one_sentence(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    with pytest.raises(InputError, match=FAULTS[damage]) as caught:
        read_image_folder(folder)
    assert "\n" not in str(caught.value)


def test_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/absent is missing: expected a folder"):
        read_image_folder(tmp_path / "absent")

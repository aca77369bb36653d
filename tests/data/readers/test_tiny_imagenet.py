import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from PIL import Image

from prunecheck.data import Images
from prunecheck.data.readers import tiny_imagenet
from prunecheck.data.readers.tiny_imagenet import read_tiny_imagenet, tiny_imagenet_is_complete
from prunecheck.errors import InputError

CLASSES = ["n02124075", "n01443537", "n04540053"]
"""Not in sorted order, as in the published wnids.txt."""

TRAIN, VALIDATION = 3, 2


def save(file: Path, seed: int, mode: str = "RGB") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = numpy.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).convert(mode).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write the publisher's layout, of three classes; the first training image of each is grey."""
    folder = tmp_path / "tiny-imagenet-200"
    for place, name in enumerate(CLASSES):
        for index in range(TRAIN):
            file = folder / "train" / name / "images" / f"{name}_{index + 9}.JPEG"
            save(file, 100 * place + index, "RGB" if index else "L")
        (folder / "train" / name / f"{name}_boxes.txt").write_text(f"{name}_0.JPEG\t0\t10\t63\t58\n")
    owners = CLASSES * VALIDATION
    random.Random(1).shuffle(owners)
    for index, _ in enumerate(owners):
        save(folder / "val" / "images" / f"val_{index + 7}.JPEG", 1000 + index)
    lines = [f"val_{index + 7}.JPEG\t{name}\t0\t32\t44\t62\n" for index, name in enumerate(owners)]
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    (folder / "words.txt").write_text("n00001740\tentity\n")
    save(folder / "test" / "images" / "test_0.JPEG", 5)
    return folder


def decoded(file: Path) -> numpy.ndarray:
    with Image.open(file) as image:
        return numpy.asarray(image.convert("RGB")).transpose(2, 0, 1)


def owners(folder: Path) -> dict[str, str]:
    lines = (folder / "val" / "val_annotations.txt").read_text().splitlines()
    return dict(line.split("\t")[:2] for line in lines)


def test_images_lie_by_sorted_class_and_then_by_file_name(folder: Path) -> None:
    train, test = read_tiny_imagenet(folder)
    names = ["n01443537", "n02124075", "n04540053"]
    train_files = [
        folder / "train" / name / "images" / f"{name}_{index}.JPEG" for name in names for index in (10, 11, 9)
    ]
    owner = owners(folder)
    test_names = [file for name in names for file in sorted(owner) if owner[file] == name]
    test_files = [folder / "val" / "images" / name for name in test_names]
    for images, files, each in ((train, train_files, TRAIN), (test, test_files, VALIDATION)):
        assert images.labels.tolist() == [label for label in range(3) for _ in range(each)]
        assert images.labels.dtype == numpy.int64
        assert images.pixels.dtype == numpy.uint8
        assert numpy.array_equal(images.pixels, [decoded(file) for file in files])


def test_grey_images_become_rgb_even_if_there_are_no_others(folder: Path) -> None:
    for number, file in enumerate(folder.glob("*/**/*.JPEG")):
        save(file, number, "L")
    train, test = read_tiny_imagenet(folder)
    for images in (train, test):
        assert images.pixels.shape[1:] == (3, 64, 64)
        assert numpy.array_equal(images.pixels[:, 0], images.pixels[:, 2])


def sort_validation(folder: Path, inner: str) -> None:
    for file, name in owners(folder).items():
        target = folder / "val" / name / inner
        target.mkdir(parents=True, exist_ok=True)
        (folder / "val" / "images" / file).rename(target / file)


def into_images_folders(folder: Path) -> None:
    sort_validation(folder, "images")
    (folder / "val" / "images").rmdir()


def leaving_an_empty_folder(folder: Path) -> None:
    sort_validation(folder, "images")


def straight_into_class_folders(folder: Path) -> None:
    sort_validation(folder, "")
    (folder / "val" / "images").rmdir()
    (folder / "val" / "val_annotations.txt").unlink()
    for inner in (folder / "train").glob("*/images"):
        for file in inner.iterdir():
            file.rename(inner.parent / file.name)
        inner.rmdir()


def without_lists(folder: Path) -> None:
    into_images_folders(folder)
    for file in (folder / "wnids.txt", folder / "words.txt", folder / "val" / "val_annotations.txt"):
        file.unlink()
    shutil.rmtree(folder / "test")


@pytest.mark.parametrize(
    "rearrange", [into_images_folders, leaving_an_empty_folder, straight_into_class_folders, without_lists]
)
def test_layouts_of_training_scripts_give_the_same_arrays(folder: Path, rearrange: Callable[[Path], None]) -> None:
    published = read_tiny_imagenet(folder)
    rearrange(folder)
    for before, after in zip(published, read_tiny_imagenet(folder), strict=True):
        assert numpy.array_equal(before.pixels, after.pixels)
        assert numpy.array_equal(before.labels, after.labels)


def replace_in_annotations(folder: Path, old: str, new: str) -> None:
    file = folder / "val" / "val_annotations.txt"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_annotations_lead_to_no_file_outside_their_folder(folder: Path) -> None:
    for name in ("../../train/n01443537/images/n01443537_9.JPEG", str(folder / "test" / "images" / "test_0.JPEG")):
        (folder / "val" / "images" / "val_7.JPEG").rename(folder / "val" / "val_7.JPEG")
        replace_in_annotations(folder, "val_7.JPEG", name)
        with pytest.raises(InputError, match=rf"line 1 of .*/val_annotations\.txt names '{name}', which is no JPEG in"):
            read_tiny_imagenet(folder)
        (folder / "val" / "val_7.JPEG").rename(folder / "val" / "images" / "val_7.JPEG")
        replace_in_annotations(folder, name, "val_7.JPEG")
    read_tiny_imagenet(folder)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("val_8.JPEG", "val_7.JPEG", r"line 2 of .* names 'val_7\.JPEG', which is no JPEG in .* or is named twice"),
        ("n02124075", "n99999999", r"names the class 'n99999999', which has no training images"),
        ("\tn0", " n0", r"line \d of .* names 'val_\d+\.JPEG n0"),
        ("n", "\tn", r"names the class '', which has no training images"),
    ],
)
def test_wrong_line_of_the_annotations_is_named(folder: Path, old: str, new: str, says: str) -> None:
    replace_in_annotations(folder, old, new)
    with pytest.raises(InputError, match=says):
        read_tiny_imagenet(folder)


def remove(pattern: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = list(folder.glob(pattern))
        assert found
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def unlisted_image(folder: Path) -> None:
    save(folder / "val" / "images" / "val_99.JPEG", 0)


def unlisted_class(folder: Path) -> None:
    save(folder / "train" / "n05555555" / "images" / "n05555555_0.JPEG", 0)


def half_sorted(folder: Path) -> None:
    file, name = next(iter(owners(folder).items()))
    (folder / "val" / name / "images").mkdir(parents=True)
    (folder / "val" / "images" / file).rename(folder / "val" / name / "images" / file)


def sorted_without_a_class(folder: Path) -> None:
    into_images_folders(folder)
    shutil.rmtree(folder / "val" / "n04540053")


def class_never_validated(folder: Path) -> None:
    file = folder / "val" / "val_annotations.txt"
    file.write_text(file.read_text().replace("n04540053", "n02124075"))


def wrong_size(folder: Path) -> None:
    file = folder / "val" / "images" / "val_9.JPEG"
    Image.new("RGB", (64, 63)).save(file)


def truncate(folder: Path) -> None:
    file = folder / "train" / "n04540053" / "images" / "n04540053_10.JPEG"
    file.write_bytes(file.read_bytes()[:-400])


FAULTS: dict[Callable[[Path], None], str] = {
    remove("train"): r"/train is missing",
    remove("val"): r"/val is missing",
    remove("train/*"): r"/train holds no folders of images",
    remove("train/n01443537/images/*"): r"/train/n01443537 holds no JPEG|/train/n01443537/images holds no JPEG",
    remove("train/n01443537"): r"class n01443537 is only in one of .*/wnids\.txt and .*/train",
    remove("val/images/val_7.JPEG"): r"names 'val_7\.JPEG', which is no JPEG in",
    remove("val/images"): r"/val holds no folders of images",
    unlisted_image: r"val_99\.JPEG in .*/images has no line in .*/val_annotations\.txt",
    unlisted_class: r"class n05555555 is only in one of .*/wnids\.txt and",
    half_sorted: r"line 1 of .*/val_annotations\.txt names 'val_7\.JPEG', which is no JPEG in .*/val/images",
    sorted_without_a_class: r"class n04540053 is only in one of .*/train and .*/val",
    class_never_validated: r"class n04540053 is only in one of .*/train and .*/val",
}


@pytest.mark.parametrize("damage", FAULTS)
def test_what_is_missing_or_does_not_fit_is_named(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    with pytest.raises(InputError, match=FAULTS[damage]) as caught:
        read_tiny_imagenet(folder)
    assert tiny_imagenet_is_complete(folder) == str(caught.value)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (wrong_size, r"/val_9\.JPEG is 64 pixels wide and 63 high, expected 64 and 64"),
        (truncate, r"/n04540053_10\.JPEG cannot be decoded"),
    ],
)
def test_damaged_image_is_named(folder: Path, damage: Callable[[Path], None], says: str) -> None:
    damage(folder)
    with pytest.raises(InputError, match=says):
        read_tiny_imagenet(folder)


@pytest.fixture
def few_are_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three classes of a few images be the whole set."""
    monkeypatch.setattr(tiny_imagenet, "CLASSES", len(CLASSES))
    monkeypatch.setattr(tiny_imagenet, "TRAIN_PER_CLASS", TRAIN)
    monkeypatch.setattr(tiny_imagenet, "VALIDATION_PER_CLASS", VALIDATION)


@pytest.mark.usefixtures("few_are_all")
def test_complete_set_misses_nothing_in_any_layout(folder: Path) -> None:
    assert tiny_imagenet_is_complete(folder) is None
    straight_into_class_folders(folder)
    assert tiny_imagenet_is_complete(folder) is None


@pytest.mark.usefixtures("few_are_all")
def test_missing_images_are_counted(folder: Path) -> None:
    (folder / "train" / "n02124075" / "images" / "n02124075_9.JPEG").unlink()
    says = tiny_imagenet_is_complete(folder)
    assert says == f"{folder} has 8 of 9 training images (2 of 3 of n02124075)."
    into_images_folders(folder)
    (folder / "val" / "n04540053" / "images" / "val_99.JPEG").touch()
    next((folder / "val" / "n01443537" / "images").iterdir()).unlink()
    says = tiny_imagenet_is_complete(folder)
    assert says is not None
    assert says.endswith(" and 6 of 6 validation images (1 of 2 of n01443537 and 1 more classes that differ).")


def test_sample_is_not_complete(folder: Path) -> None:
    says = tiny_imagenet_is_complete(folder)
    assert says is not None
    assert "has 3 of 200 classes and 9 of 100000 training images (3 of 500 of n01443537 and 2 more" in says
    assert "and 6 of 10000 validation images (2 of 50 of n01443537" in says


@pytest.mark.real_data
def test_real_sample(real_data: Path) -> None:
    folder = real_data / "tiny-imagenet-200"
    train, test = read_tiny_imagenet(folder)
    classes = sorted((folder / "wnids.txt").read_text().split())
    for images in (train, test):
        assert images.pixels.shape[1:] == (3, 64, 64)
        assert numpy.array_equal(numpy.unique(images.labels), numpy.arange(200))
    owner = owners(folder)
    name = next(file for file in sorted(owner) if owner[file] == classes[123])
    first: Images = test[numpy.flatnonzero(test.labels == 123)[:1]]
    assert numpy.array_equal(first.pixels[0], decoded(folder / "val" / "images" / name))
    # published: mean per channel of all training images, in [0, 1]; this is a sample of them
    assert train.pixels.mean(axis=(0, 2, 3)) / 255 == pytest.approx([0.4802, 0.4481, 0.3975], abs=0.02)

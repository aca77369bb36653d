import re
from itertools import pairwise
from pathlib import Path

import numpy
import pytest

from prunecheck.data import DATASETS, DataPlaces, load_dataset
from prunecheck.data.layouts import ClassFolders, HashedFiles, IdxFiles
from prunecheck.data.public_datasets import PUBLISHED
from prunecheck.data.sources import PublishedSet, damage, find, require
from prunecheck.models import build_model


def ids(published: PublishedSet) -> str:
    return published.name


EVERY = pytest.mark.parametrize("published", PUBLISHED.values(), ids=ids)


def test_sets_are_registered_by_name_with_a_line_each() -> None:
    entries = {entry.name: entry.summary for entry in DATASETS}
    assert set(PUBLISHED) == {"cifar10", "cifar100", "cifar100-coarse", "tiny-imagenet", "fashion-mnist", "mnist"}
    for name, published in PUBLISHED.items():
        assert published.name == name
        assert entries[name] == published.summary
        assert "\n" not in published.summary


def digests(published: PublishedSet) -> list[str]:
    tables = [layout.table for layout in published.layouts if isinstance(layout, HashedFiles | IdxFiles)]
    return [download.digest for download in published.downloads] + [
        digest for table in tables for digest, _ in table.values()
    ]


@EVERY
def test_digests_are_whole_and_no_two_files_have_the_same(published: PublishedSet) -> None:
    found = digests(published)
    assert all(re.fullmatch("md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", digest) for digest in found)
    assert len(set(found)) == len(found)


@EVERY
def test_the_same_file_is_offered_at_every_address(published: PublishedSet) -> None:
    for download in published.downloads:
        assert {address.rpartition("/")[2] for address in download.addresses} == {download.name}
        assert all(address.startswith(("https://", "http://")) for address in download.addresses)


@EVERY
def test_what_is_fetched_are_the_files_of_the_first_layout(published: PublishedSet) -> None:
    layout = published.layouts[0]
    if isinstance(layout, IdxFiles):
        assert {download.name for download in published.downloads} == {f"{name}.gz" for name in layout.table}
    else:
        assert len(published.downloads) == 1
        assert published.downloads[0].unpacked


@EVERY
def test_statistics_are_per_channel_and_the_suggested_network_can_be_built(published: PublishedSet) -> None:
    channels = 1 if "mnist" in published.name else 3
    assert len(published.mean) == len(published.deviation) == channels
    suggestion = published.suggestion
    build_model(
        suggestion.model, num_classes=published.num_classes, input_channels=channels, width=suggestion.width, seed=0
    )


def test_no_two_sets_lie_in_one_folder_unless_they_are_made_of_the_same_files() -> None:
    folders = {
        name: sorted(folder for layout in published.layouts for folder in layout.folders)
        for name, published in PUBLISHED.items()
    }
    assert folders.pop("cifar100-coarse") == folders["cifar100"]
    everything = sorted(folder for below in folders.values() for folder in below)
    assert all(one != other for one, other in pairwise(everything))


def test_mnist_and_fashion_mnist_tell_themselves_apart_in_a_folder_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(bytes(10_008))
    for name in ("mnist", "fashion-mnist"):
        (layout,) = PUBLISHED[name].layouts
        assert layout.files(tmp_path)
        assert not layout.is_itself(tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "published_mean"),
    [
        ("cifar10", (0.49139968, 0.48215841, 0.44653091)),
        ("cifar100", (0.50707516, 0.48654887, 0.44091784)),
        ("fashion-mnist", (0.2860,)),
    ],
)
def test_the_real_sets_are_what_was_published(
    real_data: Path, tmp_path: Path, name: str, published_mean: tuple[float, ...]
) -> None:
    places = DataPlaces((real_data,), tmp_path)
    if name == "fashion-mnist" and not find(PUBLISHED[name], places):
        pytest.skip("neither PRUNECHECK_TEST_DATA nor a package has Fashion-MNIST")
    assert damage(require(PUBLISHED[name], places)) == []
    dataset = load_dataset(name, places)
    classes = dataset.num_classes
    assert numpy.bincount(dataset.train.labels).tolist() == [len(dataset.train) // classes] * classes
    assert numpy.bincount(dataset.test.labels).tolist() == [10_000 // classes] * classes
    assert dataset.fingerprint is None
    means = [numpy.mean(dataset.train.pixels[:, channel]) / 255 for channel in range(len(published_mean))]
    assert means == pytest.approx(published_mean, abs=5e-5)
    # What results on CIFAR-100 were computed with, 0.5071, 0.4867 and 0.4408, is the mean but for its last digit.
    assert dataset.mean == pytest.approx(published_mean, abs=2e-4)


@pytest.mark.real_data
def test_the_superclasses_of_the_real_cifar_100_hold_five_classes_each(real_data: Path, tmp_path: Path) -> None:
    places = DataPlaces((real_data,), tmp_path)
    fine, coarse = (load_dataset(name, places) for name in ("cifar100", "cifar100-coarse"))
    assert (fine.num_classes, coarse.num_classes) == (100, 20)
    for part in ("train", "test"):
        images, of_superclass = getattr(fine, part), getattr(coarse, part)
        assert numpy.array_equal(images.pixels, of_superclass.pixels)
        pairs = set(zip(images.labels.tolist(), of_superclass.labels.tolist(), strict=True))
        assert len(pairs) == 100
        assert numpy.bincount([superclass for _, superclass in pairs]).tolist() == [5] * 20


@pytest.mark.real_data
def test_a_damaged_copy_of_the_real_cifar_10_is_refused(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for file in (real_data / "cifar-10-batches-bin").glob("*.bin"):
        (folder / file.name).symlink_to(file)
    content = bytearray((folder / "data_batch_3.bin").read_bytes())
    content[1_000_000] ^= 1
    (folder / "data_batch_3.bin").unlink()
    (folder / "data_batch_3.bin").write_bytes(content)
    places = DataPlaces((tmp_path,), tmp_path / "cache")
    assert damage(require(PUBLISHED["cifar10"], places)) == ["data_batch_3.bin is not the published file"]
    with pytest.raises(Exception, match=r"data_batch_3\.bin is not the published file"):
        load_dataset("cifar10", places)
    assert list((tmp_path / "cache" / "decoded").iterdir()) == []


@pytest.mark.real_data
def test_a_sample_of_tiny_imagenet_is_usable_under_a_fingerprint_and_not_complete(
    real_data: Path, tmp_path: Path
) -> None:
    places = DataPlaces((real_data / "tiny-imagenet-200",), tmp_path)
    found = require(PUBLISHED["tiny-imagenet"], places)
    assert isinstance(found.layout, ClassFolders)
    dataset = load_dataset("tiny-imagenet", places)
    assert dataset.image_shape == (3, 64, 64)
    assert len(numpy.unique(dataset.train.labels)) == dataset.num_classes == 200
    assert dataset.fingerprint
    if len(dataset.train) < 100_000:
        assert "training images" in damage(found)[0]

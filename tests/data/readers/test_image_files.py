import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from prunecheck.data.readers import image_files
from prunecheck.data.readers.image_files import CHUNK, decode_images, entries, is_image_name
from prunecheck.errors import InputError

LOSSLESS: dict[str, dict[str, Any]] = {"png": {}, "bmp": {}, "webp": {"lossless": True, "exact": True}}


def random_pixels(count: int, channels: int, height: int, width: int, seed: int) -> NDArray[numpy.uint8]:
    source = numpy.random.default_rng(seed)
    return source.integers(0, 256, (count, channels, height, width), dtype=numpy.uint8)


def save(file: Path, image: NDArray[numpy.uint8]) -> Path:
    """Write (channels, height, width) without loss."""
    picture = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    Image.fromarray(picture).save(file, **LOSSLESS[file.suffix[1:]])
    return file


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 4),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    ending=st.sampled_from(["png", "bmp"]),
    seed=st.integers(0, 2**32),
)
def test_pixels_arrive_as_they_were_saved(
    tmp_path: Path, count: int, channels: int, height: int, width: int, ending: str, seed: int
) -> None:
    pixels = random_pixels(count, channels, height, width, seed)
    files = [save(tmp_path / f"{index}.{ending}", image) for index, image in enumerate(pixels)]
    decoded = decode_images(files)
    assert numpy.array_equal(decoded, pixels)
    assert decoded.dtype == numpy.uint8
    assert decoded.flags.c_contiguous


def test_lossless_webp_arrives_as_it_was_saved(tmp_path: Path) -> None:
    pixels = random_pixels(2, 3, 5, 7, seed=1)
    files = [save(tmp_path / f"{index}.webp", image) for index, image in enumerate(pixels)]
    assert numpy.array_equal(decode_images(files), pixels)


@pytest.mark.usefixtures("two_threads")
def test_threads_give_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = random_pixels(3 * CHUNK + 1, 3, 4, 6, seed=2)
    files = [save(tmp_path / f"{index:03}.bmp", image) for index, image in enumerate(pixels)]
    alone = decode_images(files)
    monkeypatch.setattr(image_files, "THREADED_PIXELS", 24)
    assert numpy.array_equal(decode_images(files), pixels)
    assert numpy.array_equal(alone, pixels)


@pytest.mark.usefixtures("two_threads")
def test_first_damaged_file_in_order_is_named_by_threads_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "THREADED_PIXELS", 0)
    file = save(tmp_path / "whole.png", random_pixels(1, 3, 4, 4, seed=3)[0])
    early, late = tmp_path / "early.png", tmp_path / "late.png"
    for damaged in (early, late):
        damaged.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"early\.png cannot be decoded"):
        decode_images([*[file] * (2 * CHUNK - 1), early, late, *[file] * CHUNK])


def test_grey_images_have_one_channel_until_one_is_in_colour(tmp_path: Path) -> None:
    grey = random_pixels(2, 1, 3, 5, seed=4)
    files = [save(tmp_path / f"{index}.png", image) for index, image in enumerate(grey)]
    assert decode_images(files).shape == (2, 1, 3, 5)
    assert numpy.array_equal(decode_images(files, colour=True), grey.repeat(3, axis=1))
    colour = random_pixels(1, 3, 3, 5, seed=5)
    mixed = decode_images([files[0], save(tmp_path / "colour.png", colour[0]), files[1]])
    assert numpy.array_equal(mixed, numpy.stack([grey[0].repeat(3, axis=0), colour[0], grey[1].repeat(3, axis=0)]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("LA", 1), ("P", 3), ("RGBA", 3), ("P with transparency", 3)])
def test_other_kinds_of_8_bits_become_grey_or_rgb(tmp_path: Path, mode: str, channels: int) -> None:
    shades = numpy.array([[0, 255, 0], [255, 255, 0]], dtype=numpy.uint8)
    picture = Image.fromarray(shades if channels == 1 else numpy.stack([shades, 255 - shades, shades], axis=2))
    options: dict[str, Any] = {"transparency": b"\x00\x80"} if "transparency" in mode else {}
    picture.convert(mode.split(maxsplit=1)[0]).save(tmp_path / "image.png", **options)
    expected = [shades] if channels == 1 else [shades, 255 - shades, shades]
    assert numpy.array_equal(decode_images([tmp_path / "image.png"])[0], expected)


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "image.jpg", quality=100)
    red, green, blue = decode_images([tmp_path / "image.jpg"])[0].mean(axis=(1, 2))
    assert red > 250
    assert max(green, blue) < 5


def test_grey_jpeg_has_the_same_values_in_all_channels(tmp_path: Path) -> None:
    shades = random_pixels(1, 1, 64, 64, seed=6)[0, 0]
    Image.fromarray(shades).save(tmp_path / "image.JPEG")
    pixels = decode_images([tmp_path / "image.JPEG"], (64, 64), colour=True)[0]
    with Image.open(tmp_path / "image.JPEG") as image:
        assert numpy.array_equal(pixels, numpy.asarray(image.convert("RGB")).transpose(2, 0, 1))


def encoded(ending: str) -> bytes:
    pixels = random_pixels(1, 3, 32, 32, seed=7)[0].transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, {"jpg": "JPEG"}.get(ending, ending))
    return buffer.getvalue()


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp"])
@pytest.mark.parametrize("kept", [0, 3, 30, 0.5, 0.95])
def test_truncated_image_is_named(tmp_path: Path, ending: str, kept: float) -> None:
    content = encoded(ending)
    (tmp_path / f"broken.{ending}").write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    with pytest.raises(InputError, match=rf"^{tmp_path}/broken\.{ending} cannot be decoded \([^<\n]*\): expected"):
        decode_images([tmp_path / f"broken.{ending}"])


@pytest.mark.parametrize("ending", ["gif", "ppm", "tiff"])
def test_other_formats_are_refused_under_any_name(tmp_path: Path, ending: str) -> None:
    (tmp_path / "image.png").write_bytes(encoded(ending))
    with pytest.raises(InputError, match=r"image\.png cannot be decoded"):
        decode_images([tmp_path / "image.png"])


def test_16_bit_grey_is_refused_and_not_cut_to_8(tmp_path: Path) -> None:
    Image.fromarray(numpy.full((4, 4), 40_000, dtype=numpy.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png has more than 8 bits a channel: expected 8"):
        decode_images([tmp_path / "deep.png"])


def test_image_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    first = save(tmp_path / "first.png", random_pixels(1, 3, 4, 6, seed=8)[0])
    other = save(tmp_path / "other.png", random_pixels(1, 3, 6, 4, seed=9)[0])
    says = r"other\.png is 4 pixels wide and 6 high, .*first\.png has 6 and 4: all images of a set have one size"
    with pytest.raises(InputError, match=says):
        decode_images([first, first, other])
    with pytest.raises(InputError, match=r"first\.png is 6 pixels wide and 4 high, expected 64 and 64"):
        decode_images([first], (64, 64))


def test_images_larger_than_memory_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"1000000000 images of 10000x10000 pixels: 279396772.4 GiB of memory are needed, and"
    ):
        image_files._allocate(10**9, 10**4, 10**4)


def test_entries_are_sorted_and_without_clutter(tmp_path: Path) -> None:
    for name in ("b.png", "10", "9", "Z", ".hidden", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).touch()
    (tmp_path / "__MACOSX").mkdir()
    assert [entry.name for entry in entries(tmp_path)] == ["10", "9", "Z", "b.png"]


def test_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/absent is missing: expected a folder"):
        entries(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match=r"/file cannot be read \((Not a directory|Permission denied)\): expected a folder"
    ):
        entries(tmp_path / "file")


def test_names_of_images() -> None:
    assert all(map(is_image_name, ["a.png", "A.PNG", "a.b.JpEg", "x.jpg", "x.bmp", "x.WebP"]))
    assert not any(map(is_image_name, ["png", "a.png.txt", "a.gif", "a.npz", "images"]))

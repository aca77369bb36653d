"""A picture of training images as a method sees them, with and without each corruption of the data."""

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy
import torch
from numpy.typing import NDArray

from prunecheck.data.augmentation import augment, draw_augmentation
from prunecheck.data.datasets import Dataset, Images
from prunecheck.extras import extra
from prunecheck.randomness import generator

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Corruption = Callable[[Images], Images]
Colour = tuple[int, int, int]
Line = tuple[str, int, Colour]

SHORT_SIDE = 96
"""Pixels that the shorter side of an image is about as long as, on paper."""

GAP = 8
MARGIN = 16
TITLE_WIDTH = 220
TITLE_SIZE, NOTE_SIZE, LABEL_SIZE = 15, 12, 13
LABEL_HEIGHT = LABEL_SIZE + 8
LEADING = 3

LEGEND = "Below each image stands the number of its class; in red, 3 as 7 says that class 3 is given the label 7."

PAPER, INK, FAINT, CHANGED = (255, 255, 255), (20, 20, 20), (110, 110, 110), (190, 30, 30)


@dataclass(frozen=True)
class Shown:
    """A corruption as the sheet shows it.

    Attributes:
        title: stands left of its row.
        note: what it does, in a line.
        select: which of all training images are seen.
        corrupt: what those that are shown look like, and are labelled.
    """

    title: str
    note: str = ""
    select: Corruption = lambda images: images
    corrupt: Corruption = lambda images: images


@dataclass(frozen=True)
class Row:
    """Images side by side.

    Attributes:
        pixels: uint8, (N, channels, height, width).
        labels: a caption for each, and whether it is not the true class alone.
    """

    title: str
    note: str
    pixels: NDArray[numpy.uint8]
    labels: list[tuple[str, bool]]


def contact_sheet(dataset: Dataset, corruptions: Sequence[Shown], seed: int, columns: int = 10) -> bytes:
    """Draw a sheet: a row of training images as they are, one as training sees them, one per corruption.

    Floats are drawn from black, the lowest value of the images chosen, to white, the highest.

    Every row has images of as many classes as there is room for, cropped and mirrored as training
    images are, by the same draws in every row; normalisation alone is left out. Of a selection that
    keeps its file order, the first images are shown. A label is the number of a class; a label that
    a corruption changed is shown beside the true one.

    Args:
        dataset: images with one channel are shown in grey and with three as red, green and blue; of
            other numbers of channels the mean is shown.
        corruptions: what to show, from top to bottom.
        seed: of the choice of images and their augmentation.
        columns: images in a row.

    Returns:
        A PNG file, the same for the same arguments.

    Raises:
        InputError: pillow is not installed.
    """
    with extra("images", "drawing images"):
        import PIL.Image  # noqa: F401 - before any is made
    sheet = _draw(_heading(dataset, seed), sheet_rows(dataset, corruptions, seed, columns))
    file = io.BytesIO()
    sheet.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _heading(dataset: Dataset, seed: int) -> str:
    channels, height, width = dataset.image_shape
    kind = {1: "in grey", 3: "in RGB"}.get(channels, f"in {channels} channels")
    images = f"{len(dataset.train):,} training images of {height}x{width} {kind}"
    scale = f"minus {_numbers(dataset.mean)}, divided by {_numbers(dataset.deviation)}"
    return f"{dataset.name}: {images}, {dataset.num_classes} classes; normalised: {scale}; seed {seed}"


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3g}" for value in values)


def sheet_rows(dataset: Dataset, corruptions: Sequence[Shown], seed: int, columns: int) -> list[Row]:
    """Return what :func:`contact_sheet` draws, from top to bottom."""
    chosen = dataset.train[choose(dataset.train, columns, seed)]
    draws = draw_augmentation(columns, dataset.augmentation, generator(seed, "contact sheet augmentation"))

    def row(title: str, note: str, seen: Images, truth: Images) -> Row:
        shifts, mirrored = (draw[: len(seen)] for draw in draws)
        pixels = augment(torch.from_numpy(seen.pixels), dataset.augmentation, shifts, mirrored)
        return Row(title, note, shades(pixels.numpy()), _captions(truth.labels, seen.labels))

    shades = _shades_of(chosen.pixels)
    note = "The training images and their classes"
    as_they_are = Row("as they are", note, shades(chosen.pixels), _captions(chosen.labels))
    rows = [as_they_are, row("in training", _augmentation_note(dataset), chosen, chosen)]
    for shown in corruptions:
        selected = shown.select(dataset.train)
        note = shown.note
        if len(selected) != len(dataset.train):
            note = f"{note}; {len(selected):,} images are left".removeprefix("; ")
        truth = selected[choose(selected, columns, seed)]
        rows.append(row(shown.title, note, shown.corrupt(truth), truth))
    return rows


def _shades_of(pixels: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[numpy.uint8]]:
    """Return what turns pixels into uint8 to be drawn, floats from the lowest of these (black) to the highest."""
    if pixels.dtype == numpy.uint8:
        return lambda seen: seen
    lowest, highest = float(pixels.min()), float(pixels.max())
    per_unit = 255 / (highest - lowest) if highest > lowest else 0.0
    return lambda seen: ((seen - lowest) * per_unit).round().clip(0, 255).astype(numpy.uint8)


def choose(images: Images, count: int, seed: int) -> NDArray[numpy.int64]:
    """Return indices of up to ``count`` images, of classes spread evenly over those present, sorted by class.

    Of images that keep their file order, it is the first.
    """
    if images.in_file_order:
        return numpy.arange(min(count, len(images)))
    order = torch.randperm(len(images), generator=generator(seed, "contact sheet")).numpy()
    present = numpy.unique(images.labels)
    if len(present) > count:
        present = present[numpy.linspace(0, len(present) - 1, count).round().astype(int)]
    members = [order[images.labels[order] == label] for label in present]
    turns = [one[turn] for turn in range(count) for one in members if turn < len(one)][:count]
    indices = numpy.array(turns, dtype=numpy.int64)
    return indices[numpy.argsort(images.labels[indices], kind="stable")]


def _augmentation_note(dataset: Dataset) -> str:
    padding, flip = dataset.augmentation.padding, dataset.augmentation.flip
    over = "black" if dataset.train.pixels.dtype == numpy.uint8 else "zeros"
    changes = [f"moved by up to {padding} px over {over}"] * bool(padding) + ["mirrored half of the time"] * flip
    return f"{' and '.join(changes) or 'Just as they are'}, as in all rows below".capitalize()


def _captions(truth: NDArray[numpy.int64], seen: NDArray[numpy.int64] | None = None) -> list[tuple[str, bool]]:
    seen = truth if seen is None else seen
    pairs = zip(truth.tolist(), seen.tolist(), strict=True)
    return [(f"{true}", False) if true == given else (f"{true} as {given}", True) for true, given in pairs]


def _draw(heading: str, rows: list[Row]) -> "Image":
    from PIL import Image, ImageDraw

    _, _, height, width = rows[0].pixels.shape
    scale = max(1, round(SHORT_SIDE / min(height, width)))
    columns = max(len(row.labels) for row in rows)
    left = MARGIN + TITLE_WIDTH + GAP
    sheet_width = left + columns * (width * scale + GAP) - GAP + MARGIN
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))  # to measure with
    titles = [_lines(pen, [(row.title, TITLE_SIZE, INK), (row.note, NOTE_SIZE, FAINT)], TITLE_WIDTH) for row in rows]
    heads = _lines(pen, [(heading, TITLE_SIZE, INK), (LEGEND, NOTE_SIZE, FAINT)], sheet_width - 2 * MARGIN)
    tops = [MARGIN + _height(heads) + 2 * GAP]
    for lines in titles:
        tops.append(tops[-1] + max(height * scale + LABEL_HEIGHT, _height(lines)) + GAP)
    sheet = Image.new("RGB", (sheet_width, tops[-1] - GAP + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    _write(pen, heads, MARGIN)
    for row, lines, top in zip(rows, titles, tops, strict=False):
        _write(pen, lines, top)
        for column, (caption, changed) in enumerate(row.labels):
            x = left + column * (width * scale + GAP)
            picture = _picture(row.pixels[column]).resize((width * scale, height * scale), Image.Resampling.NEAREST)
            pen.rectangle((x - 1, top - 1, x + picture.width, top + picture.height), outline=FAINT)
            sheet.paste(picture, (x, top))
            middle = (x + picture.width / 2, top + picture.height + 4)
            pen.text(middle, caption, fill=CHANGED if changed else INK, font=_font(LABEL_SIZE), anchor="ma")
    return sheet


def _lines(pen: "ImageDraw", texts: list[Line], width: int) -> list[Line]:
    """Break texts between words, so that each line is at most so wide unless a single word is wider."""
    lines: list[Line] = []
    for text, size, ink in texts:
        line = ""
        for word in text.split():
            longer = f"{line} {word}".lstrip()
            if line and pen.textlength(longer, font=_font(size)) > width:
                lines.append((line, size, ink))
                longer = word
            line = longer
        lines += [(line, size, ink)] * bool(line)
    return lines


def _height(lines: list[Line]) -> int:
    return sum(size + LEADING for _, size, _ in lines)


def _write(pen: "ImageDraw", lines: list[Line], y: int) -> None:
    for line, size, ink in lines:
        pen.text((MARGIN, y), line, fill=ink, font=_font(size))
        y += size + LEADING


@functools.cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _picture(pixels: NDArray[numpy.uint8]) -> "Image":
    from PIL import Image

    if len(pixels) not in (1, 3):
        pixels = pixels.mean(axis=0, keepdims=True).round().astype(numpy.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else numpy.ascontiguousarray(pixels.transpose(1, 2, 0)))

"""Where published data sets lie, whether they are whole, and how they are opened."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy

from prunecheck.data.cache import decode_once
from prunecheck.data.datasets import Augmentation, DataPlaces, Dataset, Images, Suggestion
from prunecheck.data.layouts import Layout
from prunecheck.errors import InputError, field_name

SHOWN = 3
"""How many damaged files an error names."""


@dataclass(frozen=True)
class Download:
    """A file that a publisher offers.

    Attributes:
        addresses: where it is offered, the publisher's own first; the last part is the file's name.
        digest: ``md5:...`` or ``sha256:...`` of the file.
        unpacked: whether it is an archive, whose one folder is the set; else the file itself is part of it.
    """

    addresses: tuple[str, ...]
    digest: str
    unpacked: bool = True

    @property
    def name(self) -> str:
        """The file's name."""
        return self.addresses[0].rpartition("/")[2]


@dataclass(frozen=True)
class PublishedSet:
    """A data set that others publish: everything about it but its images.

    Attributes:
        name: the command line's.
        summary: one line for lists.
        mean: per channel, of pixels scaled to [0, 1]; as published with results, not computed.
        deviation: per channel, of pixels scaled to [0, 1].
        layouts: the forms in which it may lie on disk; what is fetched has the first form and folder.
        downloads: what is fetched.
        installed: folders in which packages of operating systems put it.
        image_shape: channels, height and width of an image; None if that is not declared, as for ``images``.
        images: how many there are to train on and to test on.
    """

    name: str
    summary: str
    num_classes: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    augmentation: Augmentation
    suggestion: Suggestion
    layouts: tuple[Layout, ...]
    downloads: tuple[Download, ...]
    installed: tuple[Path, ...] = ()
    image_shape: tuple[int, int, int] | None = None
    images: tuple[int, int] | None = None

    @property
    def folder(self) -> str:
        """The folder that is made of it, below a root, when it is fetched."""
        return self.layouts[0].folders[0]


@dataclass(frozen=True)
class Found:
    """A folder that holds a set, or some of its files."""

    folder: Path
    layout: Layout


def find(published: PublishedSet, places: DataPlaces) -> Found | None:
    """Return where a set lies: the first folder with all its files, else the first with some of them.

    Looked at are the roots, in their order, then the cache, then where packages put it; in each every
    form of the set, below the root or the root itself. No file is opened.
    """
    some = None
    for found in _candidates(published, places):
        if not found.layout.missing(found.folder):
            return found
        some = some or found
    return some


def _candidates(published: PublishedSet, places: DataPlaces) -> Iterator[Found]:
    for root in (*places.roots, places.cache):
        for layout in published.layouts:
            for name in layout.folders:
                if _may_read(layout.files, root / name):
                    yield Found(root / name, layout)
        for layout in published.layouts:
            if _may_read(layout.is_itself, root):
                yield Found(root, layout)
    for folder in published.installed:
        for layout in published.layouts:
            if _may_read(layout.files, folder):
                yield Found(folder, layout)


def _may_read(holds: Callable[[Path], object], folder: Path) -> bool:
    """Say whether a folder holds something; one that may not be looked into holds nothing."""
    try:
        return bool(holds(folder))
    except PermissionError:
        return False


def require(published: PublishedSet, places: DataPlaces) -> Found:
    """Return where a set lies; see :func:`find`.

    Raises:
        InputError: it lies in none of the places, or files are missing.
    """
    found = find(published, places)
    if found is None:
        raise InputError(not_found(published, places))
    missing = found.layout.missing(found.folder)
    if missing:
        raise InputError(_damaged(published, found, missing))
    return found


def not_found(published: PublishedSet, places: DataPlaces) -> str:
    """Return the sentence that says where a set was looked for and what to do."""
    looked = ", ".join(str(place) for place in (*places.roots, places.cache, *published.installed))
    return (
        f"{published.name} is not on this machine (looked in {looked}): "
        f"call `prunecheck data get {published.name}`, or put its folder {published.folder} below "
        f"{field_name('data_root')}."
    )


def _damaged(published: PublishedSet, found: Found, damage: list[str]) -> str:
    shown = ", ".join(damage[:SHOWN]) + (f" and {len(damage) - SHOWN} more" if len(damage) > SHOWN else "")
    return (
        f"{published.name} in {found.folder} is damaged ({shown}): "
        f"move that folder away and call `prunecheck data get {published.name}`."
    )


def damage(found: Found) -> list[str]:
    """Return what is wrong with the files of a set, in words, file by file; reads all of them."""
    return found.layout.missing(found.folder) or found.layout.altered(found.folder)


def require_places(name: str, places: DataPlaces | None) -> DataPlaces:
    """Return ``places``; raise :class:`InputError` if they are not given."""
    if places is None:
        raise InputError(f"{name} lies on disk: give load_dataset the DataPlaces where to look for it.")
    return places


def open_published(published: PublishedSet, places: DataPlaces | None) -> Dataset:
    """Return a published set, decoded at most once for all processes; see :func:`decode_once`.

    What has official hashes is held against them before it is decoded.

    Raises:
        InputError: it lies in none of the places, or it is damaged.
    """
    places = require_places(published.name, places)
    if places.may_be_missing and find(published, places) is None and (standing_in := stand_in(published)):
        return standing_in
    found = require(published, places)
    layout, folder = found.layout, found.folder
    decoded = decode_once(published.name, folder, layout.files(folder), lambda: layout.read(folder), places.cache)
    return Dataset(
        name=published.name,
        train=decoded.train,
        test=decoded.test,
        num_classes=published.num_classes,
        mean=published.mean,
        deviation=published.deviation,
        augmentation=published.augmentation,
        suggestion=published.suggestion,
        fingerprint=None if layout.is_hashed else decoded.fingerprint,
    )


def stand_in(published: PublishedSet) -> Dataset | None:
    """Return what has the shape of a set, blank images that take no memory; None if the shape is not declared."""
    if published.image_shape is None or published.images is None:
        return None
    parts = []
    for count in published.images:
        pixels = numpy.broadcast_to(numpy.uint8(0), (count, *published.image_shape))
        parts.append(Images(pixels, numpy.arange(count, dtype=numpy.int64) % published.num_classes))
    return Dataset(
        name=published.name,
        train=parts[0],
        test=parts[1],
        num_classes=published.num_classes,
        mean=published.mean,
        deviation=published.deviation,
        augmentation=published.augmentation,
        suggestion=published.suggestion,
        is_stand_in=True,
    )

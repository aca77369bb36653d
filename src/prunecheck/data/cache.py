"""Decoded data sets on disk: a set is decoded once, and all processes share the memory of its arrays."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from prunecheck.data.channel_statistics import mean_and_deviation
from prunecheck.data.datasets import Images
from prunecheck.io import atomic_folder, lock_name, make_private_folder

FORMAT = 1
"""Of the folders written here; to be raised when what the readers make of the same files changes."""

META = "meta.json"

LONGEST_NAME = 60

Read = Callable[[], tuple[Images, Images]]


@dataclass(frozen=True)
class DecodedSet:
    """The arrays of a data set.

    Attributes:
        train: uint8 or float32 (N, channels, height, width) and int64 (N,).
        test: likewise.
        mean: per channel, of the training pixels; see :func:`mean_and_deviation`.
        deviation: likewise, around their mean.
        fingerprint: SHA-256 of the four arrays with their shapes, in hexadecimal.
    """

    train: Images
    test: Images
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    fingerprint: str


def decode_once(name: str, folder: Path, files: Sequence[Path], read: Read, cache: Path) -> DecodedSet:
    """Return the arrays of a set, decoded at most once for all processes on a cache.

    They are memory maps, copied on write: processes share the pages that nobody writes to. Where the
    cache cannot be written to, or its disk is full, they are ordinary arrays, decoded by each process.

    Args:
        name: of the set; begins the name of its folder in the cache.
        folder: where the set lies.
        files: all files that it is read from; a folder stands for all files in it. As long as none of
            them has another path, size or time of change, what was decoded is taken to be theirs.
        read: reads and checks the files; returns the training and the test images.
        cache: the set is kept in ``cache/decoded/<name>-<key>``.

    Raises:
        InputError: whatever ``read`` raises.
    """
    key = _key(folder, files)
    entry = cache / "decoded" / f"{_plain(name)}-{key}"
    found = _open(entry)
    if found:
        return found
    with contextlib.ExitStack() as stack:
        try:
            for private in (cache, entry.parent):  # as what is decoded there may be
                make_private_folder(private)
            stack.enter_context(lock_name(entry))
            may_keep = True
        except OSError:
            may_keep = False
        found = _open(entry)  # made by another process while this one waited
        if found:
            return found
        made = described(*read())
        if may_keep:
            with contextlib.suppress(OSError):
                if _key(folder, files) == key:  # else the files changed while they were read
                    atomic_folder(entry, lambda beside: _fill(beside, made, folder))
                    _forget_older(entry, folder)
                    return _open(entry) or made
        return made


def _key(folder: Path, files: Sequence[Path]) -> str:
    digest = hashlib.sha256(os.fsencode(f"{FORMAT}\0{folder.resolve()}"))
    for file in files:
        for path, status in sorted(_states(str(file))):
            below = path.removeprefix(str(folder))
            digest.update(os.fsencode(f"\0{below}\0{status.st_size}\0{status.st_mtime_ns}"))
    return digest.hexdigest()[:16]


def _states(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the file, or each in the folder, and its size and times; fast, since a set may have 100,000."""
    status = Path(path).stat()
    if not stat.S_ISDIR(status.st_mode):
        yield path, status
        return
    folders, seen = [path], {(status.st_dev, status.st_ino)}
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=not entry.is_symlink() or Path(entry.path).exists())
                if not entry.is_dir():
                    yield entry.path, status
                elif (status.st_dev, status.st_ino) not in seen:  # a link may lead back
                    seen.add((status.st_dev, status.st_ino))
                    folders.append(entry.path)


def _plain(name: str) -> str:
    """Return a name as a part of a file name, on every file system; the end of a path says most."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[-LONGEST_NAME:].lstrip(".-")


def described(train: Images, test: Images) -> DecodedSet:
    """Return images with what is computed of them."""
    mean, deviation = mean_and_deviation(train.pixels)
    return DecodedSet(train, test, mean, deviation, _fingerprint(train, test))


def _fingerprint(train: Images, test: Images) -> str:
    digest = hashlib.sha256()
    for part in (train, test):
        for array in (part.pixels, part.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(numpy.ascontiguousarray(array).data)
    return digest.hexdigest()


def _fill(beside: Path, made: DecodedSet, source: Path) -> Path:
    beside.chmod(0o700)  # what it is made of may be private
    sizes = {}
    for name in (META, *_arrays(made)):
        (beside / name).touch(0o600)
    for name, array in _arrays(made).items():
        with (beside / name).open("wb") as file:
            numpy.save(file, numpy.ascontiguousarray(array), allow_pickle=False)
        sizes[name] = (beside / name).stat().st_size
    meta = {
        "format": FORMAT,
        "source": str(source.resolve()),
        "fingerprint": made.fingerprint,
        "mean": made.mean,
        "deviation": made.deviation,
        "sizes": sizes,
    }
    (beside / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return beside


def _arrays(decoded: DecodedSet) -> dict[str, NDArray[Any]]:
    return {
        f"{part}-{what}.npy": getattr(getattr(decoded, part), what)
        for part in ("train", "test")
        for what in ("pixels", "labels")
    }


def _open(entry: Path) -> DecodedSet | None:
    """Return what lies in a folder of the cache; None if nothing does, or not what was written."""
    try:
        meta = json.loads((entry / META).read_text(encoding="utf-8"))
        if any((entry / name).stat().st_size != size for name, size in meta["sizes"].items()):
            return None
        parts = [
            Images(_mapped(entry / f"{part}-pixels.npy"), _mapped(entry / f"{part}-labels.npy"))
            for part in ("train", "test")
        ]
        if _fingerprint(*parts) != meta["fingerprint"]:
            return None
        return DecodedSet(
            train=parts[0],
            test=parts[1],
            mean=tuple(meta["mean"]),
            deviation=tuple(meta["deviation"]),
            fingerprint=meta["fingerprint"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _mapped(file: Path) -> NDArray[Any]:
    """Map an array, writable in memory, never on disk."""
    return numpy.asarray(numpy.load(file, mmap_mode="c", allow_pickle=False))


def _forget_older(entry: Path, source: Path) -> None:
    """Remove what was decoded from the same folder when its files were others."""
    prefix, _, key = entry.name.rpartition("-")
    for other in entry.parent.glob(f"{prefix}-{'?' * len(key)}"):
        if other == entry:
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            meta = json.loads((other / META).read_text(encoding="utf-8"))
            if (meta["source"], meta["format"]) == (str(source.resolve()), FORMAT):
                shutil.rmtree(other)

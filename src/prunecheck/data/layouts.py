"""The forms in which published data sets lie on disk, and how a file is found to be missing or altered."""

# ruff: noqa: D102 (what the methods of the layouts do is said once, in Layout)

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from prunecheck.data.datasets import Images
from prunecheck.data.verified import LARGEST, PublishedFiles
from prunecheck.errors import InputError
from prunecheck.plain_files import NoPlainFileError, open_file

Read = Callable[[Path], tuple[Images, Images]]

CHUNK = 1 << 20

WORDNET = "n[0-9]*"
"""The name of a class folder that is named after a noun of WordNet."""


class Layout(Protocol):
    """A form in which a set lies on disk.

    Attributes:
        title: the form in words.
        folders: paths below a root at which a set of this form usually lies, the official one first.
        is_hashed: whether every file is held against its publisher's hash, so that the set's name
            determines its images.
    """

    @property
    def title(self) -> str: ...

    @property
    def folders(self) -> tuple[str, ...]: ...

    @property
    def is_hashed(self) -> bool: ...

    def is_itself(self, folder: Path) -> bool:
        """Say whether a folder of any name holds this set and no other of the same file names."""

    def files(self, folder: Path) -> list[Path]:
        """List what is there that the set is read from, a folder for all files in it; none if it does not lie there."""

    def missing(self, folder: Path) -> list[str]:
        """Say of each file that is not there, or not of its size, so; looks at names and sizes only."""

    def altered(self, folder: Path) -> list[str]:
        """Say of each file whose content is not the published one so; reads everything."""

    def read(self, folder: Path) -> tuple[Images, Images]:
        """Return the training and the test images, once the files were held against known hashes.

        Raises:
            InputError: a file is damaged.
        """


@dataclass(frozen=True)
class HashedFiles:
    """Files whose hashes are known, such as the batches of CIFAR; see :class:`Layout`.

    Attributes:
        reader: holds the bytes that it reads against the hashes itself.
    """

    title: str
    folders: tuple[str, ...]
    table: PublishedFiles
    reader: Read
    is_hashed: bool = True

    def is_itself(self, folder: Path) -> bool:
        return len(self.files(folder)) == len(self.table)

    def files(self, folder: Path) -> list[Path]:
        return [folder / name for name in self.table if (folder / name).is_file()]

    def missing(self, folder: Path) -> list[str]:
        return list(_missing(folder, self.table))

    def altered(self, folder: Path) -> list[str]:
        return [
            f"{file.name} is not the published file"
            for file in self.files(folder)
            if not has_digest(file, self.table[file.name][0])
        ]

    def read(self, folder: Path) -> tuple[Images, Images]:
        return self.reader(folder)


def _missing(folder: Path, table: PublishedFiles) -> Iterator[str]:
    for name, (_, size) in table.items():
        file = folder / name
        if not file.is_file():
            yield f"{name} is missing"
        elif size is not None and file.stat().st_size != size:
            yield f"{name} has {file.stat().st_size:,} bytes instead of {size:,}"


@dataclass(frozen=True)
class IdxFiles:
    """The four idx files of MNIST and its likes, gzipped or not; see :class:`Layout`.

    Attributes:
        table: digest and size of each file's content, unzipped: the same image files are gzipped
            differently by different distributors.
        telling: the file, a small one, that tells sets of the same file names apart.
    """

    title: str
    folders: tuple[str, ...]
    table: PublishedFiles
    reader: Read
    telling: str = "t10k-labels-idx1-ubyte"
    is_hashed: bool = True

    def is_itself(self, folder: Path) -> bool:
        file = self._file(folder, self.telling)
        return file is not None and not self._damage(file, self.telling)

    def files(self, folder: Path) -> list[Path]:
        return [file for name in self.table if (file := self._file(folder, name))]

    def missing(self, folder: Path) -> list[str]:
        missing = []
        for name, (_, size) in self.table.items():
            file = self._file(folder, name)
            if file is None:
                missing.append(f"{name}.gz is missing")
            elif file.suffix != ".gz" and file.stat().st_size != size:
                missing.append(f"{file.name} has {file.stat().st_size:,} bytes instead of {size:,}")
        return missing

    def altered(self, folder: Path) -> list[str]:
        files = ((self._file(folder, name), name) for name in self.table)
        return [damage for file, name in files if file and (damage := self._damage(file, name))]

    def read(self, folder: Path) -> tuple[Images, Images]:
        altered = self.altered(folder)
        if altered:
            raise InputError(f"{folder} is damaged ({', '.join(altered)}): move it away and fetch the set again.")
        return self.reader(folder)

    @staticmethod
    def _file(folder: Path, name: str) -> Path | None:
        """Return the form of a file that is read: the first there is, as the reader chooses."""
        dotted = name.replace("-idx", ".idx")
        forms = [folder / (stem + suffix) for suffix in ("", ".gz") for stem in (name, dotted)]
        return next((form for form in forms if form.is_file()), None)

    def _damage(self, file: Path, name: str) -> str | None:
        try:
            is_published = has_digest(file, self.table[name][0])
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return f"{file.name} is not a whole gzip file"
        return None if is_published else f"{file.name} is not the published file"


@dataclass(frozen=True)
class ClassFolders:
    """Folders of images by class, for which the publisher gives no hashes; see :class:`Layout`.

    Attributes:
        parts: the folders in the set's folder that it is read from; all must be there.
        lists: files that it may be read from too.
        incomplete: says in words what a folder lacks, or returns None.
    """

    title: str
    folders: tuple[str, ...]
    parts: tuple[str, ...]
    reader: Read
    incomplete: Callable[[Path], str | None]
    lists: tuple[str, ...] = ()
    is_hashed: bool = False

    def is_itself(self, folder: Path) -> bool:
        return not self._absent(folder) and any((folder / self.parts[0]).glob(WORDNET))

    def files(self, folder: Path) -> list[Path]:
        return [folder / name for name in (*self.parts, *self.lists) if (folder / name).exists()]

    def missing(self, folder: Path) -> list[str]:
        return [f"{name} is missing" for name in self._absent(folder)]

    def altered(self, folder: Path) -> list[str]:
        incomplete = self.incomplete(folder)
        damage = [incomplete.rstrip(".")] if incomplete else []
        try:
            self.reader(folder)
        except InputError as error:
            damage.append(str(error).rstrip("."))
        return damage

    def read(self, folder: Path) -> tuple[Images, Images]:
        return self.reader(folder)

    def _absent(self, folder: Path) -> list[str]:
        return [name for name in self.parts if not (folder / name).exists()]


def has_digest(file: Path, digest: str) -> bool:
    """Say whether a file has a digest, ``md5:...`` or ``sha256:...``; that of a .gz is of what is in it.

    What is no plain file, or holds more than :data:`LARGEST` bytes, has none.
    """
    algorithm, _, expected = digest.partition(":")
    found = hashlib.new(algorithm, usedforsecurity=False)
    left = LARGEST
    try:
        opened = open_file(file, LARGEST)
    except NoPlainFileError:
        return False
    with opened:
        content = gzip.GzipFile(fileobj=opened) if file.suffix == ".gz" else opened
        while left > 0 and (chunk := content.read(CHUNK)):
            found.update(chunk)
            left -= len(chunk)
    return left > 0 and found.hexdigest() == expected

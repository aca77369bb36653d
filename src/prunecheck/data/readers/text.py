"""Texts as bytes, and token arrays, read from a user's files and from Python's own."""

import hashlib
import os
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy

from prunecheck.data.readers.huggingface import is_huggingface
from prunecheck.data.readers.huggingface_text import read_huggingface_text
from prunecheck.data.token_data import PARTS, Stream, parts_of_stream
from prunecheck.errors import InputError
from prunecheck.process_limits import require_memory

BYTES = 256
"""The vocabulary of texts, each of whose tokens is a byte."""

BETWEEN_FILES = b"\n"

LARGEST_VOCABULARY = 2**31
"""Of token arrays."""

OF_BIN = numpy.dtype("<u2")
"""What a ``.bin`` file holds: the format of nanoGPT and its likes."""


def read_text(path: Path) -> dict[str, Stream]:
    """Read a text, or all texts in a folder, as bytes.

    A folder with the folders ``train``, ``calibration`` and ``test`` has these parts. Of any other its files, in an
    order that their names decide, are divided into parts whole; a single file is cut: see :func:`parts_of_stream`. One
    that ``save_to_disk`` of Hugging Face's ``datasets`` wrote is read as :func:`read_huggingface_text` says.

    Raises:
        InputError: there is no such file, it cannot be read, or a folder has fewer than three files with something in
            them.
    """
    if path.is_file():
        return parts_of_stream(_bytes_of([path]))
    if not path.is_dir():
        raise InputError(f"{path} is neither a file nor a folder: text:PATH takes a text, or a folder of texts.")
    if is_huggingface(path):
        return read_huggingface_text(path)
    folders = [path / part for part in PARTS]
    if all(folder.is_dir() for folder in folders):
        return {part: _bytes_of(_files_below(folder)) for part, folder in zip(PARTS, folders, strict=True)}
    files = [file for file in _files_below(path) if file.stat().st_size]
    if len(files) < len(PARTS):
        raise InputError(
            f"{path} has {len(files)} files with something in them: give at least three, which are divided into a "
            "training, a calibration and a test part, or a single text."
        )
    return {part: _bytes_of(listed) for part, listed in divided_by_name(files, path).items()}


def python_sources(sizes: Mapping[str, int]) -> dict[str, Stream]:
    """Read the source of Python's standard library, without its tests, as much of it as each part is to have.

    Args:
        sizes: bytes of each part, at most.

    Raises:
        InputError: this Python has no source files.
    """
    library = Path(sysconfig.get_path("stdlib"))
    files = sorted(_sources_below(library))
    if len(files) < len(PARTS):
        raise InputError(f"{library} has no source of Python's standard library: choose another data set of text.")
    return {part: _bytes_of(listed, sizes[part]) for part, listed in divided_by_name(files, library).items()}


NO_SOURCES = {"site-packages", "dist-packages", "test", "tests", "idlelib", "__pycache__"}
"""Folders that are not looked into: what is installed, tests, and a program."""

OF_THIS_MACHINE = "_sysconfigdata"
"""Begins the name of a file that says how this Python was built."""


def _sources_below(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            if entry.name not in NO_SOURCES:
                yield from _sources_below(Path(entry.path))
        elif entry.name.endswith(".py") and not entry.name.startswith(OF_THIS_MACHINE):
            yield Path(entry.path)


def divided_by_name(files: Sequence[Path], folder: Path) -> dict[str, list[Path]]:
    """Divide files among parts, 8 to 1 to 1, in an order that hashes of their names decide; each part has one."""
    names = {file: file.relative_to(folder).as_posix() for file in files}
    ordered = sorted(files, key=lambda file: (hashlib.sha256(names[file].encode()).digest(), names[file]))
    share = max(1, len(files) // 10)
    return {"test": ordered[:share], "calibration": ordered[share : 2 * share], "train": ordered[2 * share :]}


def read_tokens(path: Path) -> tuple[dict[str, Stream], int]:
    """Read an array of tokens, and return its parts and the size of its vocabulary, the largest token and one more.

    Args:
        path: an ``.npy`` file of integers in one dimension; a ``.bin`` file of unsigned 16-bit numbers, little-endian;
            or a folder with ``train``, ``calibration`` and ``test`` of either kind.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    if path.is_dir():
        streams = {part: _tokens_of(_file_of_part(path, part)) for part in PARTS}
    else:
        streams = parts_of_stream(_tokens_of(path))
    largest = max((int(stream.max()) for stream in streams.values() if len(stream)), default=0)
    return streams, max(2, largest + 1)


def _file_of_part(folder: Path, part: str) -> Path:
    found = [file for ending in (".npy", ".bin") if (file := folder / f"{part}{ending}").is_file()]
    if not found:
        raise InputError(
            f"{folder} has no {part}.npy and no {part}.bin: tokens:PATH takes one file, or a folder with "
            f"{', '.join(PARTS)}."
        )
    return found[0]


def _tokens_of(path: Path) -> Stream:
    if not path.is_file() or path.suffix not in (".npy", ".bin"):
        raise InputError(f"{path} is not an .npy or .bin file: tokens:PATH takes an array of tokens in one of them.")
    require_memory(str(path), path.stat().st_size)
    try:
        stream = numpy.load(path, allow_pickle=False) if path.suffix == ".npy" else numpy.fromfile(path, OF_BIN)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read ({error}): expected an array of tokens, save it anew.") from error
    if stream.ndim != 1 or stream.dtype.kind not in "iu":
        raise InputError(
            f"{path} holds {stream.dtype} of shape {stream.shape}: expected integers in one dimension, the tokens one "
            "after the other."
        )
    if len(stream) and not 0 <= int(stream.min()) <= int(stream.max()) < LARGEST_VOCABULARY:
        raise InputError(f"{path} has tokens from {stream.min()} to {stream.max()}: expected numbers from 0 on.")
    return stream.astype(numpy.uint16 if not len(stream) or stream.max() < 2**16 else numpy.uint32)


def _files_below(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))


def _bytes_of(files: Iterable[Path], most: int | None = None) -> Stream:
    """Return files one after the other, as many bytes as there may be."""
    read, size = [], 0
    for file in files:
        if most is not None and size >= most:
            break
        try:
            require_memory(str(file), file.stat().st_size)
            content = file.read_bytes() + BETWEEN_FILES
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}): allow it, or leave it out.") from error
        read.append(content)
        size += len(content)
    return numpy.frombuffer(bytearray().join(read)[:most], numpy.uint8)  # which may be written to

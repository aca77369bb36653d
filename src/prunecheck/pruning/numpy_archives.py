"""Arrays in ``.npz`` files, read as what their headers say, without unpickling anything."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy
import torch
from numpy.lib import format as numpy_format
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.printable import printable
from prunecheck.process_limits import require_memory

ENDING = ".npy"
"""Ends the name of each file in the archive."""

READERS = {(1, 0): numpy_format.read_array_header_1_0, (2, 0): numpy_format.read_array_header_2_0}
"""Of headers, by their version; numpy writes later ones only for arrays with named columns."""

TYPES = frozenset("biuf")
"""First letters of numpy's types that are numbers: boolean, integers, floating point."""

LONGEST_NAME = 80
"""Characters of an array's name that an error shows."""

REMEDY = "save masks by layer with numpy.savez(file, **masks)"


def is_numpy_archive(path: Path) -> bool:
    """Say whether a file is a zip archive of nothing but arrays of numpy."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return False
    return bool(names) and all(name.endswith(ENDING) for name in names)


def read_numpy_archive(path: Path) -> dict[str, Tensor]:
    """Read the arrays of an ``.npz`` file, each in the type and shape that it has, by name.

    How much memory they take is asked of the archive before anything is unpacked, and each array is read only where it
    has as many bytes as its header says.

    Raises:
        InputError: it is damaged, larger than the memory, has arrays that are not numbers, or has them without names.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            require_memory(str(path), 2 * sum(member.file_size for member in members), "give a smaller file")
            found = {member.filename.removesuffix(ENDING): _read(archive, member, path) for member in members}
    except InputError:
        raise
    except Exception as error:  # a damaged archive fails in any way
        raise InputError(
            f"{path} cannot be read as an npz file: it is damaged or cut short; copy or fetch it again."
        ) from error
    if found and all(name.startswith("arr_") for name in found):
        raise InputError(f"{path} has arrays without names (arr_0, ...): {REMEDY}.")
    return found


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Tensor:
    name = printable(member.filename.removesuffix(ENDING)[:LONGEST_NAME])
    with archive.open(member) as file:
        shape, by_columns, dtype = _header(file, name, path)
        # One more byte than there should be, so that those too many are seen.
        size = dtype.itemsize * math.prod(shape)
        data = file.read(min(size, member.file_size) + 1)
    if len(data) != size:
        raise InputError(f"{path} has an array {name} with other bytes than its header says: save it anew.")
    numbers = numpy.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")
    if dtype.kind == "b":
        return torch.from_numpy(numbers.view(numpy.uint8) != 0)  # a file may have other bytes than 0 and 1
    try:
        return torch.from_numpy(numpy.array(numbers, dtype=dtype.newbyteorder("="), order="C"))
    except TypeError:
        raise InputError(f"{path} has an array {name} of type {dtype}, which torch does not have: {REMEDY}.") from None


def _header(file: IO[bytes], name: str, path: Path) -> "tuple[tuple[int, ...], bool, numpy.dtype[numpy.generic]]":
    reader = READERS.get(numpy_format.read_magic(file))
    if reader is None:
        raise InputError(f"{path} has an array {name} that is not one of numbers: {REMEDY}.")
    shape, by_columns, dtype = reader(file)
    if dtype.hasobject:
        raise InputError(
            f"{path} has objects of Python in {name}, which could run code and are refused: {REMEDY}, each an array of "
            "0 and 1."
        )
    if dtype.kind not in TYPES:
        raise InputError(f"{path} has an array {name} of type {dtype}, and not of numbers: {REMEDY}.")
    return shape, by_columns, dtype

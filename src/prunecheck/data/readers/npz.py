"""A user's own arrays, in one ``.npz`` file."""

from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from prunecheck.data.datasets import Images
from prunecheck.data.readers.arrays import KEYS, images_of
from prunecheck.errors import InputError
from prunecheck.process_limits import require_memory


def read_npz(path: Path) -> tuple[Images, Images]:
    """Read ``x_train``, ``y_train``, ``x_test`` and ``y_test``; other arrays are passed over.

    What they may hold is said at :func:`prunecheck.data.readers.arrays.images_of`.

    Args:
        path: made by ``numpy.savez`` or ``numpy.savez_compressed``; objects in it are not unpickled.

    Returns:
        Training and test images of one shape, (channels, height, width), in the order of the file.

    Raises:
        InputError: the file or an array in it is missing, damaged, or not as above.
    """
    return images_of(_load(path), path)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        file = numpy.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: expected an .npz file, name one that is there.") from None
    except Exception as error:  # a damaged file fails in any way
        raise _unreadable(path, error) from error
    if not isinstance(file, numpy.lib.npyio.NpzFile):
        raise InputError(f"{path} holds a single array: expected {', '.join(KEYS)}, save them with numpy.savez.")
    with file:
        absent = [key for key in KEYS if key not in file.files]
        if absent:
            raise InputError(
                f"{path} has no array {absent[0]}: expected {', '.join(KEYS)}, and it has "
                f"{', '.join(file.files) or 'none'}."
            )
        require_memory(str(path), _size(file))
        return {key: _member(file, key, path) for key in KEYS}


def _size(file: "numpy.lib.npyio.NpzFile") -> int:
    """Return how many bytes the arrays that are read take once they are unpacked."""
    archive = file.zip
    sizes = {member.filename: member.file_size for member in archive.infolist()} if archive else {}
    return sum(sizes.get(f"{key}.npy", sizes.get(key, 0)) for key in KEYS)


def _member(file: "numpy.lib.npyio.NpzFile", key: str, path: Path) -> NDArray[Any]:
    try:
        return numpy.asarray(file[key])
    except Exception as error:
        raise _unreadable(f"{key} in {path}", error) from error


def _unreadable(what: Path | str, error: Exception) -> InputError:
    return InputError(f"{what} cannot be read ({error}): expected plain arrays written by numpy.savez, save them anew.")

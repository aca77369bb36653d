"""Data sets that ``save_to_disk`` of Hugging Face's ``datasets`` wrote, read without that package.

A folder with ``dataset_dict.json`` holds a folder for each split. In that, ``state.json`` lists files of record batches
(Arrow's streaming format), and ``dataset_info.json`` says what the columns are.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from prunecheck.data.datasets import Images
from prunecheck.data.image_stack import IMAGE_KEYS, LABEL_KEYS, ImageStack
from prunecheck.data.readers.arrays import KEYS, images_of
from prunecheck.data.verified import read_file
from prunecheck.errors import InputError
from prunecheck.extras import extra
from prunecheck.process_limits import require_memory

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

TEST_SPLITS = ("test", "validation", "valid", "val")
"""The first of these that is there is the test part."""

IMAGE, ARRAYS, LABEL = "Image", ("Array2D", "Array3D"), "ClassLabel"
"""Types of columns."""


DICTIONARY, STATE, INFORMATION = "dataset_dict.json", "state.json", "dataset_info.json"


def is_huggingface(folder: Path) -> bool:
    """Say whether ``save_to_disk`` wrote a folder: of several splits, or of a single one."""
    return (folder / DICTIONARY).is_file() or (folder / STATE).is_file()


def splits_of(folder: Path) -> list[str]:
    """Return the names of the splits in a folder; raise :class:`InputError` if it is none of several."""
    return [str(split) for split in _json(folder / DICTIONARY, folder).get("splits", [])]


def read_split(folder: Path) -> "tuple[Mapping[str, Any], pyarrow.Table]":
    """Return what the columns of a split are, and the split, mapped into memory.

    Raises:
        InputError: a file of it is damaged or missing, or ``pyarrow`` is not installed.
    """
    features = _json(folder / INFORMATION, folder).get("features") or {}
    listed = _json(folder / STATE, folder).get("_data_files") or []
    return features, _table(folder, [str(one.get("filename")) for one in listed])


def read_huggingface(folder: Path) -> tuple[Images, Images]:
    """Read the splits ``train`` and ``test`` (or ``validation``) of a folder that ``DatasetDict.save_to_disk`` wrote.

    Images lie in the one column of images (``Image``, or ``Array2D`` or ``Array3D`` of uint8 or floats), or in the
    first of several that is called ``image``, ``img``, ...; labels likewise in the column of classes, ``label``, ...

    Args:
        folder: holds ``dataset_dict.json``.

    Returns:
        Training and test images; see :func:`prunecheck.data.readers.arrays.images_of`.

    Raises:
        InputError: there is no such folder, a file of it is damaged or missing, or it has no such splits or columns.
    """
    splits = splits_of(folder)
    test = next((split for split in TEST_SPLITS if split in splits), None)
    if "train" not in splits or test is None:
        raise InputError(
            f"{folder} has the splits {', '.join(splits) or 'none'}: expected train and test (or "
            f"validation), split it with train_test_split and save it anew."
        )
    parts = (*_split(folder / "train"), *_split(folder / test))
    return images_of(dict(zip(KEYS, parts, strict=True)), folder)


def _json(file: Path, folder: Path) -> Mapping[str, Any]:
    if not file.is_file() and (folder / STATE).is_file():
        raise InputError(
            f"{folder} is a single split: expected a DatasetDict with train and test, as train_test_split makes it."
        )
    if not file.is_file():
        raise InputError(f"{folder} has no {file.name}: expected a folder that DatasetDict.save_to_disk wrote.")
    try:
        content = json.loads(read_file(file))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON ({error}): it is damaged, save the data set anew.") from error
    return content if isinstance(content, dict) else {}


def _split(folder: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    features, table = read_split(folder)
    image = _column(features, (IMAGE, *ARRAYS), IMAGE_KEYS, f"{folder} has no single column of images")
    label = _column(features, (LABEL,), LABEL_KEYS, f"{folder} has no single column of classes")
    if missing := [name for name in (image, label) if name not in table.column_names]:
        raise InputError(
            f"{folder} has no column {missing[0]}, though it says so, and is damaged: its columns are "
            f"{', '.join(table.column_names)}, save the data set anew."
        )
    kind = features[image]
    labels = numpy.asarray(table.column(label).to_numpy())
    if kind.get("_type") in ARRAYS:
        return _arrays(table.column(image), tuple(kind["shape"]), f"{image} in {folder}"), labels
    if kind.get("_type") != IMAGE:
        raise InputError(
            f"the column {image} in {folder} is {kind.get('_type')}: expected {IMAGE}, {' or '.join(ARRAYS)}, cast it."
        )
    stack = ImageStack(str(folder), table.num_rows)
    for stored, one in zip(table.column(image), labels, strict=True):
        stack.add_item((_content(stored.as_py(), folder), one))
    return stack.arrays()


def _column(features: Mapping[str, Any], kinds: Sequence[str], names: Sequence[str], otherwise: str) -> str:
    """Return the one column of some kinds, or else the first that has one of some names."""
    found = [name for name, feature in features.items() if isinstance(feature, dict) and feature.get("_type") in kinds]
    if len(found) == 1:
        return found[0]
    named = [name for name in names if name in (found or features)]
    if not named:
        raise InputError(
            f"{otherwise} (its columns are {', '.join(features) or 'none'}): rename one to {names[0]}, or remove "
            f"others."
        )
    return named[0]


def _table(folder: Path, names: Sequence[str]) -> "pyarrow.Table":
    """Return what files hold, mapped into memory."""
    with extra("huggingface", "reading data sets of Hugging Face"):
        import pyarrow

    tables = []
    for name in names:
        try:
            with pyarrow.memory_map(str(folder / name)) as file:
                tables.append(pyarrow.ipc.open_stream(file).read_all())
        except (OSError, pyarrow.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{folder / name} cannot be read ({reason}): save the data set anew.") from error
    if not tables:
        raise InputError(f"{folder} lists no files: it is damaged, save the data set anew.")
    return pyarrow.concat_tables(tables)


def _arrays(column: "pyarrow.ChunkedArray", shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """Return nested lists as an array (N, *shape)."""
    require_memory(where, column.nbytes)
    chunks = []
    for chunk in column.chunks:
        values = chunk.storage if hasattr(chunk, "storage") else chunk
        while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
            values = values.flatten()
        flat = values.to_numpy(zero_copy_only=False)
        if len(flat) != len(chunk) * int(numpy.prod(shape)):
            raise InputError(f"{where} has arrays that are not of shape {shape}: make them so, and save it anew.")
        chunks.append(flat.reshape(len(chunk), *shape))
    return numpy.concatenate(chunks) if chunks else numpy.zeros((0, *shape), numpy.uint8)


def _content(stored: Any, folder: Path) -> Any:
    """Return the bytes of an image file, which lie in the table or, by its path, elsewhere."""
    if not isinstance(stored, dict) or not (stored.get("bytes") or stored.get("path")):
        raise InputError(f"{folder} has a row without an image: expected one in each, filter the others out.")
    return stored["bytes"] or read_file(Path(stored["path"]))

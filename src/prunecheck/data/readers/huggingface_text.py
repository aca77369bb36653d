"""Texts in data sets that ``save_to_disk`` of Hugging Face's ``datasets`` wrote, read without that package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from prunecheck.data.readers.huggingface import DICTIONARY, TEST_SPLITS, read_split, splits_of
from prunecheck.data.token_data import PARTS, Stream, parts_of_stream
from prunecheck.errors import InputError
from prunecheck.process_limits import require_memory

TEXT = "text"
"""What the column is called, where there are several of strings."""

STRINGS = ("string", "large_string")

BETWEEN_ROWS = b"\n"


def read_huggingface_text(folder: Path) -> dict[str, Stream]:
    """Read the rows of a text column, one after the other, as bytes in UTF-8.

    A single split is cut as a text is. Of several, ``train`` is the training part and ``test`` the test part, and
    ``validation`` the one for calibration; of one that lacks either of these, ``train`` is cut, and what there is of
    them is the test part.

    Args:
        folder: that ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` wrote.

    Returns:
        The bytes of each part.

    Raises:
        InputError: a file is damaged or missing, there is no training split or no column of text, or ``pyarrow`` is not
            installed.
    """
    if not (folder / DICTIONARY).is_file():
        return parts_of_stream(_text_of(folder))
    splits = splits_of(folder)
    if "train" not in splits:
        raise InputError(
            f"{folder} has the splits {', '.join(splits) or 'none'}: expected train, and test or validation."
        )
    train, *others = (_text_of(folder / split) for split in ("train", *(one for one in TEST_SPLITS if one in splits)))
    if not others:
        return parts_of_stream(train)
    if len(others) > 1:
        return dict(zip(PARTS, (train, others[1], others[0]), strict=True))
    cut = parts_of_stream(train)
    calibration = numpy.concatenate([cut["calibration"], cut["test"]])
    return {"train": cut["train"], "calibration": calibration, "test": others[0]}


def _text_of(folder: Path) -> Stream:
    features, table = read_split(folder)
    column = _column(features, folder)
    if column not in table.column_names:
        raise InputError(f"{folder} has no column {column}, though it says so, and is damaged: save it anew.")
    require_memory(str(folder), 2 * table.column(column).nbytes, "give a shorter text")
    rows = (row.as_py() or "" for row in table.column(column))
    return numpy.frombuffer(bytearray(BETWEEN_ROWS.join(row.encode() for row in rows) + BETWEEN_ROWS), numpy.uint8)


def _column(features: Mapping[str, Any], folder: Path) -> str:
    """Return the only column of strings, or the one that is called ``text``."""
    strings = [name for name, kind in features.items() if isinstance(kind, dict) and kind.get("dtype") in STRINGS]
    if len(strings) == 1:
        return strings[0]
    if TEXT not in strings:
        raise InputError(
            f"{folder} has no column of strings that is called {TEXT}, nor a single one (its columns are "
            f"{', '.join(features) or 'none'}): rename one to {TEXT}."
        )
    return TEXT

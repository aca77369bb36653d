"""Texts in folders of the layout that ``datasets`` writes, read as bytes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow  # type: ignore[import-untyped]
import pytest

from prunecheck.data.readers.text import read_text
from prunecheck.errors import InputError


def write_split(folder: Path, columns: Mapping[str, Sequence[str | None]]) -> None:
    """Write a split as ``save_to_disk`` does: Arrow's streaming format, and two files that describe it."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({name: pyarrow.array(rows, pyarrow.string()) for name, rows in columns.items()})
    with pyarrow.OSFile(str(folder / "data.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    features = {name: {"dtype": "string", "_type": "Value"} for name in columns}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def write_splits(folder: Path, **splits: str) -> Path:
    for name, row in splits.items():
        write_split(folder / name, {"text": [row] * 10, "title": ["no"] * 10})
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder


def parts_of(folder: Path) -> dict[str, bytes]:
    return {part: stream.tobytes() for part, stream in read_text(folder).items()}


def test_splits_are_the_parts(tmp_path: Path) -> None:
    folder = write_splits(tmp_path, train="abc", validation="de", test="f")
    assert parts_of(folder) == {"train": b"abc\n" * 10, "calibration": b"de\n" * 10, "test": b"f\n" * 10}


@pytest.mark.parametrize("other", ["test", "validation"])
def test_where_one_split_is_missing_the_end_of_the_training_split_is_for_calibration(
    other: str, tmp_path: Path
) -> None:
    parts = parts_of(write_splits(tmp_path, train="abc", **{other: "f"}))
    assert parts["train"] + parts["calibration"] == b"abc\n" * 10
    assert (len(parts["train"]), parts["test"]) == (32, b"f\n" * 10)


def test_a_single_split_is_cut_as_a_text_and_rows_without_text_are_empty(tmp_path: Path) -> None:
    write_split(tmp_path, {"story": ["ä", None, "b" * 95]})
    assert b"".join(parts_of(tmp_path).values()) == "ä\n\n".encode() + b"b" * 95 + b"\n"


def test_what_holds_no_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has the splits test: expected train, and test or validation"):
        read_text(write_splits(tmp_path / "a", test="x"))
    write_split(tmp_path / "b", {"one": ["x"], "two": ["y"]})
    with pytest.raises(InputError, match=r"no column of strings that is called text, nor a single one .*one, two"):
        read_text(tmp_path / "b")
    (tmp_path / "b" / "data.arrow").write_bytes(b"damaged")
    (tmp_path / "b" / "dataset_info.json").write_text(json.dumps({"features": {"one": {"dtype": "string"}}}))
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path / "b")

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import Tensor

from prunecheck.tensors import read_tensors, tensors_bytes, without_group

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]

SHAPES = st.lists(st.integers(0, 3), max_size=3)

TENSORS = st.dictionaries(
    st.text(st.sampled_from("ab.é\\\"'/"), min_size=1, max_size=4),
    st.tuples(SHAPES, st.sampled_from(DTYPES)).map(lambda made: torch.arange(9).resize_(made[0]).to(made[1])),
    max_size=4,
)


def written(folder: Path, groups: dict[str, dict[str, Tensor]], description: object = None) -> Path:
    file = folder / "own.safetensors"
    file.write_bytes(tensors_bytes(groups, description))
    return file


@settings(max_examples=60, deadline=None)
@given(kept=TENSORS, dropped=TENSORS, description=st.none() | st.text(max_size=3))
def test_a_file_without_a_group_is_what_would_be_written_of_the_rest(
    tmp_path_factory: pytest.TempPathFactory,
    kept: dict[str, Tensor],
    dropped: dict[str, Tensor],
    description: object,
) -> None:
    folder = tmp_path_factory.mktemp("tensors")
    file = written(folder, {"kept": kept, "dropped": dropped}, description)
    left = without_group(file, "dropped")
    assert left == tensors_bytes({"kept": kept, "dropped": {}}, description)
    file.write_bytes(left)
    assert list(read_tensors(file, ("kept", "dropped"))[0]["kept"]) == list(kept)


@settings(max_examples=60, deadline=None)
@given(tensors=TENSORS)
def test_a_file_is_what_the_library_makes_of_the_same_tensors(tensors: dict[str, Tensor]) -> None:
    content = tensors_bytes({"kept": tensors}, None)
    with_metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert content == save({f"kept/{name}": tensor for name, tensor in tensors.items()}, with_metadata)


def test_tensors_that_are_views_or_part_of_a_graph_are_written_as_they_are(tmp_path: Path) -> None:
    numbers = torch.arange(6.0).view(2, 3).requires_grad_()
    given = {"turned": numbers.t(), "weight": numbers, "row": numbers[1]}
    found = read_tensors(written(tmp_path, {"kept": given}), ("kept",))[0]["kept"]
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        name: tensor.tolist() for name, tensor in given.items()
    }


def test_a_bit_that_was_turned_anywhere_is_found_and_never_copied(tmp_path: Path) -> None:
    file = written(tmp_path, {"kept": {"a": torch.ones(2)}, "dropped": {"b": torch.ones(3)}})
    content, whole = file.read_bytes(), without_group(file, "dropped")
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            assert without_group(file, "dropped") == whole  # a blank or a digit that changes nothing
        except ValueError:
            continue


@pytest.mark.parametrize("length", [0, 5, 8, 30, -1])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    file = written(tmp_path, {"kept": {"a": torch.ones(2)}, "dropped": {}})
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"."):
        without_group(file, "dropped")

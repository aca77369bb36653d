"""Groups of named tensors, and what describes them, in one safetensors file that shows when it is damaged."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunecheck.declared_types import json_of
from prunecheck.plain_files import open_file, utf8_path

Groups = dict[str, dict[str, Tensor]]

ORDER, CHECKSUM, DESCRIPTION = "order", "sha256", "description"
"""In a file's metadata: the names of its tensors as they were given, the hash of all that it holds, and what it is."""


def tensors_bytes(groups: Mapping[str, Mapping[str, Tensor]], description: Any) -> bytes:
    """Return the content of a safetensors file with tensors named ``GROUP/NAME``.

    Args:
        groups: tensors by group and name.
        description: kept as JSON in the file's metadata.
    """
    from safetensors.torch import save

    tensors = {
        f"{group}/{name}": tensor.contiguous() for group, named in groups.items() for name, tensor in named.items()
    }
    described = json.dumps(description, sort_keys=True)
    # One entry: several would be written in any order, and equal tensors make equal files.
    metadata = {ORDER: list(tensors), CHECKSUM: _checksum(tensors, described), DESCRIPTION: described}
    return save(tensors, metadata={_key(groups): json.dumps(metadata)})


LONGEST_HEADER = 100_000_000
"""Bytes; the library refuses longer ones, too."""


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file: by a tensor's name its dtype, its shape and where its bytes lie.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not such a file.
    """
    with open_file(path, sys.maxsize) as file:
        size = int.from_bytes(file.read(8), "little")
        if size > LONGEST_HEADER:
            raise ValueError(f"{path} is not a safetensors file")
        return json_of(file.read(size).decode())


def with_sorted_metadata(content: bytes) -> bytes:
    """Return a safetensors file with the entries of its metadata by name: it writes several in any order."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    written = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    written += b" " * (-len(written) % 8)  # tensors begin at a multiple of 8
    return len(written).to_bytes(8, "little") + written + content[8 + size :]


def _checksum(tensors: Mapping[str, Tensor], description: str) -> str:
    """Return the SHA-256 of a description and of tensors, in order: names, dtypes, shapes and values."""
    total = hashlib.sha256(description.encode())
    for name, tensor in tensors.items():
        total.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _key(groups: Iterable[str]) -> str:
    """Return under what a file describes itself: files of other groups have nothing there."""
    return f"content of {' and '.join(groups)}"


def _key_of_earlier_versions(groups: Iterable[str]) -> str:
    """Return under what the description alone was kept, of tensors that were sorted by name."""
    return f"description of {' and '.join(groups)}"


def read_tensors(path: Path, groups: Iterable[str]) -> tuple[Groups, Any]:
    """Read what :func:`tensors_bytes` wrote.

    Args:
        path: of the file.
        groups: the groups that it is made of.

    Returns:
        The tensors by group and name, in the order in which they were given, and the description.

    Raises:
        ValueError: the file is damaged, or made of something else.
    """
    from safetensors import SafetensorError, safe_open

    found: Groups = {group: {} for group in groups}
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a pipe or a device, and no plain file")  # of which opening may wait for ever
    try:
        with utf8_path(path) as name, safe_open(name, framework="pt") as file:
            names = list(file.keys())
            written = _described(file.metadata() or {}, found, names)
            tensors = {tensor: file.get_tensor(tensor) for tensor in written[ORDER]}
            description = json.loads(written[DESCRIPTION])
    except (SafetensorError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not made of {', '.join(found)}") from error
    if set(tensors) != set(names) or written[CHECKSUM] not in (None, _checksum(tensors, written[DESCRIPTION])):
        raise ValueError(f"{path} is damaged: it does not hold what was written")
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        if group not in found:
            raise ValueError(f"{path} is not made of {', '.join(found)}")
        found[group][name] = tensor
    return found, description


def _described(metadata: Mapping[str, str], groups: Iterable[str], names: list[str]) -> dict[str, Any]:
    if (key := _key(groups)) in metadata:
        return dict(json.loads(metadata[key]))
    return {ORDER: names, CHECKSUM: None, DESCRIPTION: metadata[_key_of_earlier_versions(groups)]}

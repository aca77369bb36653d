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
from prunecheck.plain_files import open_file, read_plain_file, utf8_path

Groups = dict[str, dict[str, Tensor]]

ORDER, CHECKSUM, DESCRIPTION = "order", "sha256", "description"
"""In a file's metadata: the names of its tensors as they were given, the hash of all that it holds, and what it is."""


def tensors_bytes(groups: Mapping[str, Mapping[str, Tensor]], description: Any) -> bytes:
    """Return the content of a safetensors file with tensors named ``GROUP/NAME``.

    Args:
        groups: tensors by group and name.
        description: kept as JSON in the file's metadata.
    """
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous()
        for group, named in groups.items()
        for name, tensor in named.items()
    }
    described = json.dumps(description, sort_keys=True)
    # One entry: several would be written in any order, and equal tensors make equal files.
    metadata = {ORDER: list(tensors), CHECKSUM: checksum(tensors, described), DESCRIPTION: described}
    return _saved(tensors, {_key(groups): json.dumps(metadata)})


def _saved(tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Return the file that the library makes of tensors, by way of arrays where there are such: five times as fast."""
    try:
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    except TypeError:  # of bfloat16, for one
        from safetensors.torch import save as save_tensors

        return save_tensors(dict(tensors), metadata=metadata)
    from safetensors.numpy import save

    return save(arrays, metadata=metadata)


CONTENT, AND = "content of ", " and "
"""Under what a file describes itself: the one, and between the names of its groups the other."""

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


DTYPES = {
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{"BF16": "bfloat16", "U8": "uint8", "BOOL": "bool"},
}
"""What torch calls the dtypes of a file's header."""


def without_group(path: Path, group: str) -> bytes:
    """Return the content of a file without the tensors of one group: what :func:`tensors_bytes` would make of the rest.

    The file is copied as bytes. To make tensors of them, and bytes of these, takes ten times as long.

    Args:
        path: of the file.
        group: its name stays among those that the file is made of.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or nothing that :func:`tensors_bytes` wrote.
    """
    content = read_plain_file(path, sys.maxsize)
    begin = 8 + int.from_bytes(content[:8], "little")
    header, values = json_of(content[8:begin].decode()), memoryview(content)[begin:]
    try:
        ((key, metadata),) = header.pop("__metadata__").items()
        if not {name.partition("/")[0] for name in header} | {group} <= set(_groups_of(key)):
            raise ValueError(f"{path} is not made of what it says")
        written = json_of(metadata)
        tensors = {name: header[name] for name in written[ORDER]}
        parts = {name: values[slice(*entry["data_offsets"])] for name, entry in tensors.items()}
        if tensors.keys() != header.keys() or _checksum_of_bytes(tensors, parts, written) != written[CHECKSUM]:
            raise ValueError(f"{path} is damaged: it does not hold what was written")
        left = {name: entry for name, entry in header.items() if not name.startswith(f"{group}/")}
        written[ORDER] = [name for name in written[ORDER] if name in left]
        written[CHECKSUM] = _checksum_of_bytes({name: left[name] for name in written[ORDER]}, parts, written)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not made of groups of tensors") from error
    return _file_of({key: json.dumps(written)}, left, parts)


def _checksum_of_bytes(
    tensors: Mapping[str, Mapping[str, Any]], parts: Mapping[str, memoryview], written: Mapping[str, str]
) -> str:
    """Return what :func:`checksum` returns for tensors of which there are only the entries in a header, and bytes."""
    total = hashlib.sha256(written[DESCRIPTION].encode())
    for name, entry in tensors.items():
        total.update(f"\n{name} torch.{DTYPES[entry['dtype']]} {tuple(entry['shape'])}\n".encode())
        total.update(parts[name])
    return total.hexdigest()


def _file_of(
    metadata: Mapping[str, str], tensors: Mapping[str, Mapping[str, Any]], parts: Mapping[str, memoryview]
) -> bytes:
    """Return a safetensors file whose tensors lie in the order of their entries in a header."""
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, entry in tensors.items():
        begin, end = end, end + len(parts[name])
        header[name] = {**entry, "data_offsets": [begin, end]}
    return _with_header(header, b"".join(parts[name] for name in tensors))


def _with_header(header: Mapping[str, Any], values: bytes) -> bytes:
    written = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    written += b" " * (-len(written) % 8)  # tensors begin at a multiple of 8
    return len(written).to_bytes(8, "little") + written + values


def with_sorted_metadata(content: bytes) -> bytes:
    """Return a safetensors file with the entries of its metadata by name: it writes several in any order."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    return _with_header(header, content[8 + size :])


def checksum(tensors: Mapping[str, Tensor], description: str = "") -> str:
    """Return the SHA-256 of a description and of tensors, in order: names, dtypes, shapes and values."""
    total = hashlib.sha256(description.encode())
    for name, tensor in tensors.items():
        total.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _key(groups: Iterable[str]) -> str:
    """Return under what a file describes itself: files of other groups have nothing there."""
    return CONTENT + AND.join(groups)


def _groups_of(key: str) -> list[str]:
    """Return the groups that :func:`_key` was given; none if it is not one that it returned."""
    return key.removeprefix(CONTENT).split(AND) if key.startswith(CONTENT) else []


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
    if set(tensors) != set(names) or written[CHECKSUM] not in (None, checksum(tensors, written[DESCRIPTION])):
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

"""Groups of named tensors, and what describes them, in one safetensors file."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

Groups = dict[str, dict[str, Tensor]]


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
    return save(tensors, metadata={_key(groups): json.dumps(description, sort_keys=True)})


def _key(groups: Iterable[str]) -> str:
    """Return under what the description is kept: files of other groups have none there."""
    return f"description of {' and '.join(groups)}"


def read_tensors(path: Path, groups: Iterable[str]) -> tuple[Groups, Any]:
    """Read what :func:`tensors_bytes` wrote.

    Args:
        path: of the file.
        groups: the groups that it is made of.

    Returns:
        The tensors by group and name, and the description.

    Raises:
        ValueError: the file is damaged, or made of something else.
    """
    from safetensors import SafetensorError, safe_open

    found: Groups = {group: {} for group in groups}
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a pipe or a device, and no plain file")  # of which opening may wait for ever
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})[_key(found)])
            for key in file.keys():  # noqa: SIM118 - not a mapping
                group, _, name = key.partition("/")
                found[group][name] = file.get_tensor(key)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path} is not made of {', '.join(found)}") from error
    return found, description

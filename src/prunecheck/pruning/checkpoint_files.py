"""Files of weights, whoever wrote them, read without running what is in them."""

import codecs
import json
import pickle
import pickletools
import re
import stat
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from prunecheck.errors import InputError
from prunecheck.plain_files import utf8_path
from prunecheck.pruning.numpy_archives import is_numpy_archive, read_numpy_archive
from prunecheck.pruning.pickled_values import STAND_INS

Content = dict[str, Any]

LONGEST_NAME = 80
"""Characters of a name from a file that an error shows."""

LONGEST_HEADER = 100_000_000
"""Bytes; safetensors files with a longer header are refused by their own library, too."""

KINDS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a pointer of Git LFS in the place of the file: fetch that with `git lfs pull`"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras): save the weights with torch.save and give that"),
    (b"\x93NUMPY", "an array of numpy: save masks by layer with numpy.savez(file, **masks), weights with torch.save"),
    (b"\x1f\x8b", "compressed by gzip: unpack it and give what is in it"),
    (b"BZh", "compressed by bzip2: unpack it and give what is in it"),
    (b"\xfd7zXZ", "compressed by xz: unpack it and give what is in it"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it and give what is in it"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it and give what is in it"),
)
"""How files that are often given by mistake begin, and what they are."""

READABLE = "give a file that torch.save, safetensors or numpy.savez wrote"


def read_checkpoint(path: Path, name: str = "the file") -> Content:
    """Read a file of weights, with its tensors on the CPU; nothing in it is run.

    Files of ``torch.save`` of every version, of safetensors and of ``numpy.savez`` are told apart by their content.
    Numpy's numbers and arrays are read, arguments and paths beside the weights are passed over.

    Args:
        path: of the file.
        name: what it is called in an error, such as the option that names it.

    Returns:
        What the file holds, by name. Of safetensors and npz files with names ``GROUP/NAME``, the groups.

    Raises:
        InputError: there is no such regular file, it is of another kind or damaged, or reading it would run code.
    """
    with _opened(path, name) as file:
        start = file.read(64)
        file.seek(0)
        if not start:
            raise InputError(f"{path} is empty: {READABLE}.")
        if _is_safetensors(start, path):
            return _read_safetensors(path)
        if start.startswith(b"PK") and is_numpy_archive(path):
            return _in_groups(read_numpy_archive(path).items())
        content = _load(file, start, path)
    if not isinstance(content, Mapping):
        raise InputError(
            f"{path} holds {type(content).__name__} and no state_dict: save model.state_dict() with torch.save and "
            "give that, or masks in a dict by layer name, {layer: mask}."
        )
    return {shown(key): value for key, value in content.items()}


def shown(name: object) -> str:
    """Return a name that a file holds as it may be printed: without control characters, and not too long."""
    text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(name)[: LONGEST_NAME + 1])
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."


def _opened(path: Path, name: str) -> BinaryIO:
    """Open a regular file; anything else could block for ever or have no end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "is a folder" if path.is_dir() else "is not a regular file"
            raise InputError(f"{name} {path} {what}: give the path of a checkpoint.")
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{name} {path} does not exist: give the path of a checkpoint.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{name} {path} cannot be opened ({reason}): give the path of a checkpoint.") from error


def _is_safetensors(start: bytes, path: Path) -> bool:
    """Say whether a file begins with the length of a header in JSON."""
    length = int.from_bytes(start[:8], "little")
    return path.suffix == ".safetensors" or (start[8:9] == b"{" and length <= min(path.stat().st_size, LONGEST_HEADER))


def _read_safetensors(path: Path) -> Content:
    from safetensors import SafetensorError, safe_open

    try:
        with utf8_path(path) as utf8, safe_open(utf8, framework="pt") as file:
            return _in_groups((key, file.get_tensor(key)) for key in file.keys())  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError) as error:
        raise InputError(
            f"{path} cannot be read as a safetensors file ({_short(error)}): {_kind(path) or 'give another file'}."
        ) from error


def _in_groups(tensors: Iterable[tuple[str, torch.Tensor]]) -> Content:
    """Return tensors by name, those with names ``GROUP/NAME`` in dicts of their own."""
    content: Content = {}
    for key, tensor in tensors:
        group, slash, name = key.partition("/")
        if slash:
            content.setdefault(f"{shown(group)}/", {})[name] = tensor
        else:
            content[shown(key)] = tensor
    return {key.removesuffix("/"): value for key, value in content.items()}


def _load(file: BinaryIO, start: bytes, path: Path) -> object:
    """Load what ``torch.save`` wrote."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            torch.serialization.safe_globals(list(STAND_INS)),
            torch.sparse.check_sparse_tensor_invariants(),  # type: ignore[no-untyped-call] # or others are written to
        ):
            # Strings in latin1 are those of Python 2; later ones say that they are UTF-8.
            return torch.load(file, map_location="cpu", weights_only=True, encoding="latin1")
    except MemoryError as error:
        raise InputError(f"{path} needs more memory than there is: {READABLE}.") from error
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) and (refused := _refused(error, path, start)):
            if refused.startswith("pandas."):
                raise InputError(
                    f"{path} is a table of pandas (as Synaptic-Flow's compression files, which say how much of each "
                    "layer is kept) and holds no mask: give the state_dict of the network."
                ) from error
            raise InputError(
                f"{path} is a pickle that wants to run code ({shown(refused)}), which is refused: where you trust it, "
                "save its state_dict alone with torch.save, and give that."
            ) from error
        what = _kind(path) or "it is damaged, or not written by torch.save; give another file"
        raise InputError(f"{path} cannot be read as a checkpoint: {what}.") from error


def _refused(error: pickle.UnpicklingError, path: Path, start: bytes) -> str | None:
    """Return the function or class that a refused pickle names, if it was refused for that."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return named.group(1).rstrip(".")
    is_pickle = start[:1] in (b"\x80", b"(", b"c", b"]", b"}")
    return _first_global(path) if is_pickle else None


def _first_global(path: Path) -> str | None:
    """Return what a plain pickle imports first; it is gone through without being run."""
    texts: list[str] = []
    try:
        with path.open("rb") as file:
            for operation, argument, _ in pickletools.genops(file):
                if operation.name in ("GLOBAL", "INST"):
                    return str(argument).replace(" ", ".")
                if operation.name == "STACK_GLOBAL":
                    return ".".join(texts[-2:])
                if isinstance(argument, str):
                    texts.append(argument)
    except (ValueError, IndexError, OverflowError, MemoryError):
        return None
    return None


def _kind(path: Path) -> str | None:
    """Say what a file is that cannot be read, and what to do, if that can be told."""
    with path.open("rb") as file:
        start = file.read(4096)
    for magic, what in KINDS:
        if start.startswith(magic):
            return f"it is {what}"
    if start[257:262] == b"ustar":
        return "it is a tar archive, which torch wrote before 0.1.10 and others do: unpack it and give what is in it"
    if start.startswith(b"PK"):
        return _kind_of_archive(path)
    if _is_text(start):
        return f"it is {_kind_of_text(start)} and not a file of weights; {READABLE}"
    return None


def _is_text(start: bytes) -> bool:
    """Say whether a file begins with text in UTF-8, of which the last character may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return bool(text) and all(sign.isprintable() or sign in "\t\n\r" for sign in text)


def _kind_of_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return "it is damaged or cut short; copy or fetch it again"
    if any("/code/" in f"/{name}" and name.endswith(".py") for name in names):
        return (
            "it is a TorchScript archive, which is code; save the state_dict() of what torch.jit.load returns with "
            "torch.save, and give that"
        )
    if any(name.endswith("/data.pkl") for name in names):
        return "it is damaged; copy or fetch it again"
    return f"it is a zip archive of other files; {READABLE}"


def _kind_of_text(start: bytes) -> str:
    text = start.decode("latin1").lstrip().lower()
    if text.startswith(("<!doctype html", "<html")):
        return "a web page (the download of a link that asks for more)"
    if text.startswith("{"):
        try:
            json.loads(start)
        except ValueError:
            return "a text"
        return "a JSON text"
    return "a text"


def _short(error: BaseException) -> str:
    lines = str(error).splitlines()
    return shown(lines[0] if lines else type(error).__name__)

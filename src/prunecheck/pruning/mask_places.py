"""Places of masks: a file of any tool, a folder of open_lth, and which of them is that of a seed.

In a folder of open_lth ``mask.pth`` lies beside ``model_ep0_it0.pth``, from which training started, and
``model_ep160_it0.pth``, where it ended.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from prunecheck.errors import InputError

SEED = "{seed}"
"""Stands for the seed in a path."""

MASK_OF_OPEN_LTH = "mask.pth"

MODEL_OF_OPEN_LTH = re.compile(r"model_ep(\d+)_it(\d+)\.pth")

ENDINGS = (".safetensors", ".pt", ".pth", ".tar", ".bin", ".ckpt", ".npz")
"""Of the files of a folder that are taken for checkpoints."""


def exists(text: str) -> bool:
    """Say whether a text is the path of something."""
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError):  # a text that is too long for a path, or no path at all
        return False


def absolute(text: str) -> Path:
    """Return a whole path with ``..`` taken out and links left in."""
    return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - pathlib leaves ".." in


def require_place(path: Path, of: str = "") -> None:
    """Raise :class:`InputError` if a path is no file and no folder of open_lth.

    Args:
        path: of it.
        of: whose it is, for the sentence.
    """
    if not path.exists():
        raise InputError(f"there is no file {path}{of}: give the path of a mask, or of a pruned checkpoint.")
    if path.is_dir() and not is_of_open_lth(path):
        raise InputError(f"the folder {path} holds no {MASK_OF_OPEN_LTH} of open_lth: give the file of a mask.")


def is_of_open_lth(path: Path) -> bool:
    """Say whether a path is a folder in which open_lth has written a mask."""
    return (path / MASK_OF_OPEN_LTH).is_file()


def mask_file(place: Path) -> Path:
    """Return the file that holds the mask of a place."""
    return place / MASK_OF_OPEN_LTH if place.is_dir() else place


def models_in(folder: Path) -> list[Path]:
    """Return the models that open_lth has written in a folder, the earliest first."""
    matches = [match for name in _entries(folder) if (match := MODEL_OF_OPEN_LTH.fullmatch(name))]
    return [folder / match[0] for match in sorted(matches, key=lambda match: (int(match[1]), int(match[2])))]


def first_model(place: Path) -> Path | None:
    """Return the file of the weights that training started from, beside a mask of open_lth; None if there is none."""
    return next(iter(models_in(place)), None) if place.is_dir() else None


def files_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, in the order of the numbers in their names."""
    names = [name for name in _entries(folder) if name.endswith(ENDINGS) and (folder / name).is_file()]
    return [folder / name for name in sorted(names, key=_by_numbers)]


def with_seed(pattern: Path, seed: int) -> Path:
    """Return a path with the seed in its place."""
    return Path(str(pattern).replace(SEED, str(seed)))


def seeds_of(pattern: Path) -> list[int]:
    """Return the seeds for which there is something at the path of a pattern, sorted."""
    parts = pattern.parts
    first = next(index for index, part in enumerate(parts) if SEED in part)
    before, *after = map(re.escape, parts[first].split(SEED))
    own = re.compile(rf"{before}(?P<seed>0|[1-9][0-9]*){'(?P=seed)'.join(after)}")
    found = [int(match["seed"]) for name in _entries(Path(*parts[:first])) if (match := own.fullmatch(name))]
    return sorted(seed for seed in found if with_seed(pattern, seed).exists())


def short_name(path: Path) -> str:
    """Return the end of a path that tells what it is: from the part with the seed on, or its last part.

    Folders of open_lth have two parts, since the last is ``main`` in all of them.
    """
    if SEED in str(path):
        first = next(index for index, part in enumerate(path.parts) if SEED in part)
        return "/".join(path.parts[first:])
    return "/".join(path.parts[-2:]) if is_of_open_lth(path) else path.name


def _by_numbers(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _entries(folder: Path) -> Iterator[str]:
    try:
        yield from sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return

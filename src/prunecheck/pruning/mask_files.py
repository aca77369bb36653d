"""Masks, and checkpoints with masks, in files of any tool: one for all seeds, or one for each.

Masks by seed are a path with ``{seed}`` in it; a folder of files, of which the first, in the order of the numbers in
their names, is that of seed 0; or a list, likewise.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prunecheck.constraints import OneOf
from prunecheck.errors import InputError, field_name
from prunecheck.pruning.checkpoint_mismatch import listed
from prunecheck.pruning.mask_places import (
    ENDINGS,
    MASK_OF_OPEN_LTH,
    SEED,
    absolute,
    exists,
    files_in,
    first_model,
    is_of_open_lth,
    mask_file,
    require_place,
    seeds_of,
    short_name,
    with_seed,
)
from prunecheck.pruning.patterns import UNSTRUCTURED, find_pattern
from prunecheck.user_code import content_hash, with_arguments

KIND = "mask"
"""Begins the name of a method that is masks in files: ``mask:PATH``."""

BETWEEN = ":"
"""Stands between the paths of a list."""

INITIAL, FILE = "initial", "file"

START = OneOf((INITIAL, FILE), "start")
"""Which weights training starts from: the run's initial ones, or the file's own."""

MOST_IN_NAME = 3
"""Of so many files each is named in a method's name."""

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def are_masks_in_files(method: str) -> bool:
    """Say whether the masks of the method of this name lie in files."""
    return method.startswith(f"{KIND}:")


def is_one_mask(method: str) -> bool:
    """Say whether the method of this name is one mask for all seeds."""
    paths = method.partition(":")[2].partition("?")[0]
    return are_masks_in_files(method) and not (SEED in paths or BETWEEN in paths or paths.endswith("/"))


def are_masks_by_seed(method: str) -> bool:
    """Say whether the method of this name is a mask in a file for each seed, so that more seeds need more files."""
    return are_masks_in_files(method) and not is_one_mask(method)


@dataclass(frozen=True)
class MaskFiles:
    """Where the masks of a method lie.

    Attributes:
        paths: absolute; several are a list by seed.
        start: ``initial`` or ``file``, see :data:`START`.
        pattern: which of the weights are kept together, by name.
    """

    paths: tuple[Path, ...]
    start: str = INITIAL
    pattern: str = UNSTRUCTURED

    @staticmethod
    def find(paths: Paths, start: str = INITIAL, pattern: str = UNSTRUCTURED) -> "MaskFiles":
        """Return where masks lie, without reading them.

        Args:
            paths: a path, perhaps with ``{seed}`` in it; a list by seed, or a text with ``:`` between its paths.
            start: which weights training starts from.
            pattern: which the masks have.

        Raises:
            InputError: there is no such file, or no file of any seed, ``start`` is another word, or there is no such
                pattern.
        """
        if isinstance(paths, str | os.PathLike):
            text = os.fspath(paths)
            given = [text] if exists(text) else text.split(BETWEEN)
        else:
            given = [os.fspath(path) for path in paths]
        if not given or not all(given):
            raise InputError(f"{KIND}:PATH takes the path of a mask, or of a pruned checkpoint: name one.")
        if len(given) > 1 and (wrong := next((path for path in given if BETWEEN in path or SEED in path), None)):
            raise InputError(f"{wrong} stands in a list of files by seed, whose names have no {BETWEEN} and no {SEED}.")
        found = MaskFiles(tuple(map(absolute, given)), START.require("start", start), find_pattern(pattern).name)
        found._require_any()
        return found

    def _require_any(self) -> None:
        """Raise :class:`InputError` if a file of a list is missing, or all of a pattern or folder."""
        first = self.paths[0]
        if self._is_pattern:
            if not seeds_of(first):
                raise InputError(f"there is no file {first} with a seed in the place of {SEED}: correct the path.")
        elif self._is_folder:
            if not files_in(first):
                raise InputError(
                    f"the folder {first} holds no mask: give one with a file for each seed ({', '.join(ENDINGS)}), or "
                    f"one of open_lth, with {MASK_OF_OPEN_LTH}."
                )
        else:
            for path in self.paths:
                require_place(path)

    @property
    def _is_pattern(self) -> bool:
        return SEED in str(self.paths[0])

    @property
    def _is_folder(self) -> bool:
        path = self.paths[0]
        return len(self.paths) == 1 and path.is_dir() and not is_of_open_lth(path)

    @property
    def are_by_seed(self) -> bool:
        """Whether each seed has a mask of its own."""
        return len(self.paths) > 1 or self._is_pattern or self._is_folder

    @property
    def name(self) -> str:
        """The method's name, as runs and reports have it: with the ends of the paths."""
        names = [short_name(path) for path in self.paths]
        if len(names) > MOST_IN_NAME:
            names = [names[0], "...", names[-1]]
        return f"{KIND}:{BETWEEN.join(names)}{'/' if self._is_folder else ''}{self._behind}"

    @property
    def argument(self) -> str:
        """The text that finds the method from any folder."""
        return f"{KIND}:{BETWEEN.join(map(str, self.paths))}{self._behind}"

    @property
    def _behind(self) -> str:
        given = {"pattern": self.pattern} if self.pattern != UNSTRUCTURED else {}
        return with_arguments("", given | ({"start": self.start} if self.start != INITIAL else {}))

    @property
    def seeds(self) -> list[int]:
        """The seeds for which there are files, sorted; 0 for one mask that all have in common."""
        if self._is_pattern:
            return seeds_of(self.paths[0])
        return list(range(len(files_in(self.paths[0]) if self._is_folder else self.paths)))

    def place(self, seed: int) -> Path:
        """Return the file of a seed's mask, or its folder of open_lth.

        Raises:
            InputError: there is none for this seed.
        """
        if self._is_pattern:
            path = with_seed(self.paths[0], seed)
            require_place(path, f" of seed {seed}")
            return path
        if not self.are_by_seed:
            return self.paths[0]
        files = files_in(self.paths[0]) if self._is_folder else self.paths
        if seed >= len(files):
            raise InputError(
                f"{self.name} has masks of {len(files)} seeds, from 0, and none of seed {seed}: give more files, or "
                f"fewer {field_name('seeds')}."
            )
        return files[seed]

    def require_seeds(self, seeds: Sequence[int]) -> None:
        """Raise :class:`InputError` if there is no mask for some seeds; of a pattern it names the files."""
        if self._is_pattern:
            missing = [str(path) for seed in seeds if not (path := with_seed(self.paths[0], seed)).exists()]
            if missing:
                raise InputError(
                    f"{self.name} has no file of {len(missing)} of the {len(seeds)} seeds ({listed(missing)}): make "
                    f"them, or ask for other {field_name('seeds')}."
                )
        for seed in seeds if self.are_by_seed else seeds[:1]:
            self.place(seed)

    def contents(self) -> list[tuple[str, str]]:
        """Return the SHA-256 of each file that is read, as it is now, by its part and seed."""
        found = []
        for seed in self.seeds:
            place = self.place(seed)
            files = {"mask": mask_file(place)}
            if self.start == FILE and (weights := first_model(place)):
                files["weights"] = weights
            found += [(f"{part} {seed}", content_hash(str(file))) for part, file in files.items()]
        return found

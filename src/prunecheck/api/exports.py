"""Tickets and trained networks of finished runs, written for other programs."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunecheck.api.places import data_places
from prunecheck.data import Dataset, TokenDataset, load_dataset
from prunecheck.data.datasets import AnyDataset
from prunecheck.data.tokenized import as_read_by
from prunecheck.data.transforms import as_spec_says
from prunecheck.declared_types import json_of
from prunecheck.errors import InputError, field_name
from prunecheck.io import atomic_write, lock_name, require_output_folder
from prunecheck.models import Model, find_model
from prunecheck.models.registry import AnyModel
from prunecheck.plain_files import read_plain_text
from prunecheck.pruning import DENSE
from prunecheck.pruning.export_formats import BuiltNetwork, ExportFormat, export_bytes, export_remarks
from prunecheck.reading import loading_what_the_user_names, reading_only
from prunecheck.runs.export import ExportedRun, WhichWeights, file_stem, read_exported_run, why_not
from prunecheck.runs.index import FoundRun
from prunecheck.runs.own_code import watched
from prunecheck.runs.spec import RunSpec
from prunecheck.user_code import is_reference

if TYPE_CHECKING:
    from torch import nn

MANIFEST = "manifest.json"
"""In a folder of exported networks: what each file is, and its hash."""

SCHEMA = 1
"""Of the manifest."""


@dataclass(frozen=True)
class Exported:
    """What was written into a folder.

    Attributes:
        files: the paths, in the order of the runs.
        left_out: the folders of runs that have nothing to write, and why.
        remarks: likewise, of files, what a reader cannot know.
    """

    files: tuple[Path, ...]
    left_out: Mapping[Path, str]
    remarks: Mapping[Path, str]


def which_weights(name: str) -> WhichWeights:
    """Return which weights a user names; raise :class:`InputError` for any others."""
    try:
        return WhichWeights(name)
    except ValueError:
        raise InputError(f"{field_name('weights')} takes trained or start, not {name!r}.", field="weights") from None


@dataclass(frozen=True)
class NamedByUser:
    """What a user names for formats that need the network built: no code that only a record names is loaded.

    Attributes:
        model: what finds the network; None for a built-in one, which its spec names.
        dataset: what finds the data set, whose images the network takes; None for the name in its spec.
        data_root: folder that holds data sets; None for the usual places.
    """

    model: AnyModel | None = None
    dataset: AnyDataset | None = None
    data_root: Path | None = None


NOTHING_NAMED = NamedByUser()


def read_for_export(folder: Path, weights: WhichWeights, named: NamedByUser = NOTHING_NAMED) -> ExportedRun:
    """Read a run's network, which knows how it is built, should a format ask for that.

    Raises:
        InputError: see :func:`~prunecheck.runs.export.read_exported_run`.
    """
    exported = read_exported_run(folder, weights)
    spec = exported.run.spec
    return replace(exported, network=replace(exported.network, build=lambda: _build(spec, named)))


def _build(spec: RunSpec, named: NamedByUser) -> BuiltNetwork:
    model = _find_network(spec, named.model)
    dataset = _find_dataset(spec, named, model)
    network = _same_network(spec, dataset, model)
    is_of_images = not isinstance(dataset, TokenDataset)
    normalization = {"mean": dataset.mean, "std": dataset.deviation} if is_of_images else None
    return BuiltNetwork(network, dataset.image_shape, normalization)


def _find_network(spec: RunSpec, given: AnyModel | None) -> Model:
    name = spec.setting.model
    if given is None and spec.setting.model_hash is not None:
        raise InputError(
            f"the network {name} is in a file of your own, which is not run unasked: {_give_the_network()}."
        )
    with loading_what_the_user_names() if given is not None else reading_only():
        return find_model(name if given is None else given)


def _same_network(spec: RunSpec, dataset: Dataset, model: Model) -> "nn.Module":
    """Build a run's network; raise :class:`InputError` if it is another one, with what its code reads meanwhile."""
    from prunecheck.engine.tickets import build_network
    from prunecheck.studies.validate import require_sound_network

    with watched(model.name) as seen:
        network = build_network(spec, dataset, model)
        require_sound_network(network, spec, dataset, model)
    if model.code:
        model.code.include(seen.files)
    if (model.code.hash if model.code else None) != spec.setting.model_hash:
        raise InputError(
            f"{model.name} is not the network that {spec.folder_name} was made with, or it was changed since: "
            f"{_give_the_network()}.",
            field="model",
        )
    return network


def _give_the_network() -> str:
    return f"give that as {field_name('model')}, or choose a format that needs no network"


def _find_dataset(spec: RunSpec, named: NamedByUser, model: Model) -> Dataset:
    """Return the data set of a run, as its network reads it, in sequences as long as the run's."""
    name, given = spec.setting.dataset, named.dataset
    remedy = f"give that as {field_name('dataset')}, or choose a format that needs no network"
    if given is None and is_reference(name):
        raise InputError(f"the data set {name} is in a file of your own, which is not run unasked: {remedy}.")
    with loading_what_the_user_names() if given is not None else reading_only():
        loaded = load_dataset(name if given is None else given, data_places(named.data_root))
        dataset = as_read_by(loaded, model.find_tokenizer)
    if dataset.fingerprint != spec.setting.dataset_hash:
        raise InputError(
            f"{dataset.name} is not the data set that {spec.folder_name} was made with, or it was changed since: "
            f"{remedy}.",
            field="dataset",
        )
    return as_spec_says(dataset, None, None, None, None, spec.setting.sequence_length)


def export_runs(
    runs: Iterable[FoundRun],
    folder: Path,
    form: ExportFormat,
    weights: WhichWeights = WhichWeights.TRAINED,
    named: NamedByUser = NOTHING_NAMED,
) -> Exported:
    """Write a file for each of several runs, and a manifest that says what each is.

    Files are named by their runs (data, network, method, sparsity, check, seed, hash), by which weights, and by the
    format, so that several of these can share a folder. ``manifest.json`` has, for each, its SHA-256, and all that
    tells it, and which runs were left out, and why; files that were exported there before stay in it.

    Args:
        runs: those that have no such weights, and dense networks in a format of masks, are left out.
        folder: made if need be.
        form: of each file.
        weights: which.
        named: see :func:`read_for_export`.

    Raises:
        InputError: all of the runs are left out, a run's files are damaged, or a file of such a name is there that was
            not exported, or was changed since; that is found before anything is written.
    """
    chosen, left_out = _choose(runs, form, weights)
    require_output_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder} cannot be written to: choose another place.")
    paths = {run.path: folder / f"{file_stem(run, weights)}-{form.name}{form.endings[0]}" for run in chosen}

    def content_of(run: FoundRun) -> tuple[ExportedRun, bytes]:
        exported = read_for_export(run.path, weights, named)
        return exported, export_bytes(exported.network, form)

    with lock_name(folder / MANIFEST):
        entries = _read_manifest(folder)
        for run in chosen:
            file = paths[run.path]
            # One that is not listed may be what a killed process wrote.
            if file.exists() and not _is_listed(file, entries) and not _holds(file, content_of(run)[1]):
                raise InputError(f"{file} exists and holds something else: choose another folder, or remove it.")
        remarks = {}
        try:
            for run in chosen:
                exported, content = content_of(run)
                file = paths[run.path]
                atomic_write(file, content)
                entries[file.name] = _entry(exported, form, content)
                if found := export_remarks(exported.network, form):
                    remarks[file] = "; ".join(found)
        finally:
            missing = {path.name: reason for path, reason in sorted(left_out.items())}
            manifest = {"schema": SCHEMA, "files": dict(sorted(entries.items())), "left_out": missing}
            atomic_write(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return Exported(tuple(paths.values()), left_out, remarks)


def _choose(
    runs: Iterable[FoundRun], form: ExportFormat, weights: WhichWeights
) -> tuple[list[FoundRun], dict[Path, str]]:
    """Return the runs that can be written so, and why the others cannot."""
    chosen, left_out = [], {}
    for run in runs:
        missing = why_not(run, weights)
        if not missing and form.needs_masks and run.spec.method == DENSE:
            missing = f"is a dense network, which has no masks for the format {form.name}", "choose another format"
        if missing:
            left_out[run.path] = missing
        else:
            chosen.append(run)
    if not chosen and not left_out:
        raise InputError("there is no run to export: do runs first, with `prunecheck check`.")
    if not chosen:
        path, (reason, remedy) = next(iter(left_out.items()))
        count = len(left_out) - 1
        others = f", and {count} other run{' has' if count == 1 else 's have'} nothing either" if count else ""
        raise InputError(f"{path} {reason}{others}: {remedy}.")
    return chosen, {path: reason for path, (reason, _) in left_out.items()}


def _entry(exported: ExportedRun, form: ExportFormat, content: bytes) -> dict[str, object]:
    described = {name: value for name, value in exported.network.description.items() if value is not None}
    return {"sha256": _sha256(content), "format": form.name, **described}


def _read_manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    if not file.exists():
        return {}
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        manifest = json_of(read_plain_text(file))
        if manifest["schema"] == SCHEMA:
            return dict(manifest["files"])
    raise InputError(f"{file} is not a manifest of exported networks: choose another folder, or move it away.")


def _is_listed(file: Path, entries: Mapping[str, Any]) -> bool:
    """Say whether a file is what the manifest says of it."""
    entry = entries.get(file.name)
    return file.is_file() and isinstance(entry, dict) and entry.get("sha256") == _sha256(file.read_bytes())


def _holds(file: Path, content: bytes) -> bool:
    return file.is_file() and file.read_bytes() == content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

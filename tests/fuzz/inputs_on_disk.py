"""Inputs that were written whole and are damaged: folders of runs, tensors, data, checkpoints."""

import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from tests.fixtures.forked_commands import Ended, run_command
from tests.fuzz import samples
from tests.fuzz.cases import Case, copied
from tests.fuzz.damage import damaged_bytes, damaged_json

READING: tuple[tuple[str, ...], ...] = (
    ("results", "runs", "--csv"),
    ("results", "runs", "--csv"),
    ("results", "runs", "--json"),
    ("report", "runs", "-o", "page.html"),
    ("report", "runs", "--markdown"),
    ("report", "runs", "--latex"),
    ("status", "runs"),
    ("status", "runs", "--json"),
    ("clean", "runs"),
    ("clean", "runs", "--select", "status=failed,collapsed", "--remove", "runs"),
    ("merge", "runs", "-o", "merged"),
    ("export", "runs", "-o", "exported"),
)
"""Commands that only read a folder of runs."""


def run_folders(chance: Random, folder: Path) -> Case:
    """A file of a run, or of the folder around the runs, is damaged, and a command reads them all, or goes on."""
    files = dict(samples.study())
    name = chance.choice([name for name in files if not name.endswith((".safetensors", ".html"))])
    files[name] = _damaged(name, files[name], chance)
    copied(files, folder)
    if chance.random() < 0.2:
        return Case(samples.ASKED, f"{name} damaged, and the study called again")
    arguments = chance.choice(READING)
    says = f"{name} damaged"
    return Case(arguments, says, fault=_shows_what_was_written if arguments == READING[0] else lambda ended: None)


def _damaged(name: str, content: bytes, chance: Random) -> bytes:
    if name.endswith(".json") and chance.random() < 0.8:
        return damaged_json(content.decode(), chance).encode(errors="surrogatepass")
    return damaged_bytes(content, chance)


@functools.cache
def _written() -> frozenset[str]:
    """The rows that ``results --csv`` prints of the folder before it is damaged."""
    with tempfile.TemporaryDirectory() as name:
        copied(samples.study(), Path(name))
        return frozenset(run_command(READING[0], Path(name)).stdout.splitlines())


def _shows_what_was_written(ended: Ended) -> str | None:
    if surplus := set(ended.stdout.splitlines()) - _written():
        return f"a damaged file was taken for whole: {surplus}"
    if _written() - set(ended.stdout.splitlines()) and not ended.stderr:
        return "a run is left out and nothing is said"
    return None


def tensors(chance: Random, folder: Path) -> Case:
    """A file of tensors of a run is damaged that is not complete, and the study goes on."""
    files = dict(samples.study())
    name = chance.choice([name for name in files if name.endswith(".safetensors")])
    files[name] = damaged_bytes(files[name], chance)
    run = name.rpartition("/")[0]
    if chance.random() < 0.3:
        copied(files, folder)
        return Case(("export", run, "-o", "t.pt"), f"{name} damaged, and exported")
    result = files.pop(f"{run}/result.json").decode()
    copied(files, folder)
    return Case(samples.ASKED, f"{name} damaged, and the study called again", fault=_as_before(folder, run, result))


def _as_before(folder: Path, run: str, result: str) -> Callable[[Ended], str | None]:
    """See that a run which went on from what was damaged ended as it had, or did not end well."""

    def accuracy(text: str) -> object:
        return json.loads(text)["accuracy"]

    def fault(ended: Ended) -> str | None:
        file = folder / run / "result.json"
        if ended.code == 0 and accuracy(file.read_text()) != accuracy(result):
            return f"a damaged file was taken for whole: {accuracy(file.read_text())} where {accuracy(result)} was"
        return None

    return fault


def data_files(chance: Random, folder: Path) -> Case:
    """A file of images is damaged, and a command reads it."""
    if chance.random() < 0.5:
        files: Mapping[str, bytes] = {"data.npz": damaged_bytes(samples.arrays(), chance)}
        dataset = "npz:data.npz"
        says = "an npz damaged"
    else:
        images = dict(samples.images())
        name = chance.choice(sorted(images))
        if chance.random() < 0.2:
            content = images.pop(name)
            name += chance.choice((" copy.png", "\x1b[2J.png", ".gif", "/x.png"))
            images[name] = content
        else:
            images[name] = damaged_bytes(images[name], chance)
        files, dataset, says = images, "folder:images", f"{name} damaged"
    copied(files, folder)
    command = ("audit", "snip", "--model", "resnet8", "--width", "2", "--seeds", "1", "--samples-per-class", "1")
    return Case((*command, "--dataset", dataset), says)


def checkpoints(chance: Random, folder: Path) -> Case:
    """A checkpoint or ticket is damaged, and a mask is read from it."""
    content, name = chance.choice(((samples.checkpoint(), "c.pt"), (samples.ticket(), "c.safetensors")))
    copied({name: damaged_bytes(content, chance)}, folder)
    command = ("audit", f"mask:{name}", "--model", "resnet8", "--width", "2", "--seeds", "1")
    return Case((*command, "--dataset", "digits"), f"{name} damaged")

"""``prunecheck data``: which data sets are here, fetching and verifying them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prunecheck.api.places import data_places, user_cache
from prunecheck.cli.data_show import show
from prunecheck.cli.options import DataRoot
from prunecheck.cli.output import print_text
from prunecheck.errors import InputError
from prunecheck.io import make_private_folder

if TYPE_CHECKING:
    from types import TracebackType

    from prunecheck.data import DataPlaces
    from prunecheck.data.sources import PublishedSet

DAMAGED = 1
"""The exit code of ``prunecheck data verify`` for a set that is here and not whole."""

data = App(
    name="data",
    help="""List, fetch and verify data sets.

    They are looked for below --data-root, then below the folders that the environment variable
    PRUNECHECK_DATA names (with : between them), then in ~/.cache/prunecheck ($XDG_CACHE_HOME/prunecheck).""",
    help_format="markdown",
    help_flags=["--help", "-h"],
    version_flags=[],
)

data.command(show)


@data.command(name="list")
def list_sets(*, data_root: DataRoot = None) -> None:
    """Say of each data set where it lies and in what form, without reading it."""
    from rich.table import Table
    from rich.text import Text

    from prunecheck.cli.output import print_out
    from prunecheck.data import DATASETS
    from prunecheck.report.formats.whole_words import WholeRows

    places = data_places(data_root)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for entry in DATASETS:
        table.add_row(f"  {entry.name}", *_state(entry.name, places))
    print_out(Text("data sets", style="bold"), WholeRows(table))
    print_out(Text("places searched", style="bold"))
    for place, why in _places(places, data_root):
        print_text(f"  {place}  {why}" + ("" if place.is_dir() else " (not there)"))


@data.command(name="get")
def get(name: str, /, *, data_root: Annotated[Path | None, Parameter(show_default=False)] = None) -> None:
    """Fetch a data set from its publisher and check it; an interrupted fetch goes on when called again.

    Parameters
    ----------
    name
        A published data set (see `prunecheck data list`).
    data_root
        The folder to put it in; it is made if need be. [default: ~/.cache/prunecheck]
    """
    from prunecheck.data.download import fetch
    from prunecheck.data.sources import damage, find

    published = _published(name)
    cache = user_cache()
    found = find(published, data_places(None)) if data_root is None else None
    if found and not damage(found):
        print_text(f"{name} is complete in {found.folder}.")
        return
    root = data_root.expanduser() if data_root else cache
    if not data_root:
        make_private_folder(cache)
    with _Transfer() as transfer:
        folder = fetch(published, root, replace_damaged=root == cache, progress=transfer)
    print_text(f"{name} is complete in {folder}.")


@data.command(name="verify")
def verify(name: str, /, *, data_root: DataRoot = None) -> None:
    """Read all files of a data set and hold them against what was published; exit with 0 if it is complete.

    Parameters
    ----------
    name
        A data set (see `prunecheck data list`), or folder:PATH or npz:PATH, images of your own.
    """
    from prunecheck.data.datasets import load_dataset
    from prunecheck.data.public_datasets import PUBLISHED
    from prunecheck.data.sources import damage, find, not_found

    places = data_places(data_root)
    if name not in PUBLISHED:
        dataset = load_dataset(name, places)
        print_text(
            f"{name} is complete: {len(dataset.train):,} training and {len(dataset.test):,} test images, "
            f"{dataset.num_classes} classes."
        )
        return
    found = find(PUBLISHED[name], places)
    if found is None:
        raise InputError(not_found(PUBLISHED[name], places))
    wrong = damage(found)
    if wrong:
        print_text(f"{name} in {found.folder} is not complete:")
        print_text("\n".join(f"  {line}" for line in wrong))
        sys.exit(DAMAGED)
    against = "every file has its published hash" if found.layout.is_hashed else "counted, and every image decodes"
    print_text(f"{name} in {found.folder} is complete: {against}.")


def _state(name: str, places: "DataPlaces") -> tuple[str, str]:
    """Return in words whether a set is here, and where and in which form."""
    from prunecheck.data.datasets import OF_PATH
    from prunecheck.data.public_datasets import PUBLISHED
    from prunecheck.data.sources import find

    if name.endswith(OF_PATH):
        return "where you say", ""
    if name not in PUBLISHED:
        return "here", "ships with a package"
    found = find(PUBLISHED[name], places)
    if found is None:
        return "not here", f"prunecheck data get {name}"
    where = f"{found.folder} ({found.layout.title})"
    missing = found.layout.missing(found.folder)
    return ("damaged", f"{where}: {', '.join(missing)}") if missing else ("here, not verified", where)


def _places(places: "DataPlaces", data_root: Path | None) -> list[tuple[Path, str]]:
    from prunecheck.data.public_datasets import PUBLISHED

    named = len(places.roots) - (data_root is not None)
    reasons = ["--data-root"] * (data_root is not None) + ["PRUNECHECK_DATA"] * named
    installed = [(folder, "package") for published in PUBLISHED.values() for folder in published.installed]
    return [*zip(places.roots, reasons, strict=True), (places.cache, "cache"), *installed]


def _published(name: str) -> "PublishedSet":
    from prunecheck.data.datasets import DATASETS
    from prunecheck.data.public_datasets import PUBLISHED
    from prunecheck.registry import unknown_name

    if name in PUBLISHED:
        return PUBLISHED[name]
    if name in DATASETS.names():
        raise InputError(f"{name} need not be fetched: choose one of {', '.join(PUBLISHED)}.")
    raise unknown_name("published data set", name, PUBLISHED)


class _Transfer:
    """Shows on a terminal how much of each file is there."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> "_Transfer":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._bars.stop()

    def __call__(self, file: str, done: int, total: int | None) -> None:
        from rich.progress import TaskID

        if file not in self._tasks:
            self._tasks[file] = self._bars.add_task(file, total=total)
        self._bars.update(TaskID(self._tasks[file]), completed=done, total=total)
